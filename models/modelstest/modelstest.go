// Package modelstest makes the rows that tests of other packages begin with.
package modelstest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/uptrace/bun"

	"left4me/models"
)

var count atomic.Int64

// Key is a secret key for tests.
func Key(t testing.TB) *models.SecretKey {
	t.Helper()
	key, err := models.ParseSecretKey(models.NewSecretKey())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// User makes a user who cannot sign in: the hash fits no password.
func User(t testing.TB, db bun.IDB, admin bool) *models.User {
	t.Helper()
	u, err := models.CreateUser(context.Background(), db, fmt.Sprintf("user%d", count.Add(1)), "!", admin)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Blueprint makes an empty blueprint of the user's.
func Blueprint(t testing.TB, db bun.IDB, u *models.User) *models.Blueprint {
	t.Helper()
	b := &models.Blueprint{UserID: u.ID, Name: fmt.Sprintf("Blueprint %d", count.Add(1))}
	if err := models.CreateBlueprint(context.Background(), db, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// Server makes a server of the user's on a blueprint of its own.
func Server(t testing.TB, db bun.IDB, key *models.SecretKey, u *models.User) *models.Server {
	t.Helper()
	s := &models.Server{UserID: u.ID, BlueprintID: Blueprint(t, db, u).ID, Name: fmt.Sprintf("Server %d", count.Add(1))}
	if err := models.CreateServer(context.Background(), db, key, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// Overlay makes an overlay of the user's, or a shared one for nil.
func Overlay(t testing.TB, db bun.IDB, u *models.User, kind models.OverlayKind) *models.Overlay {
	t.Helper()
	o := &models.Overlay{Name: fmt.Sprintf("Overlay %d", count.Add(1)), Kind: kind}
	if u != nil {
		o.UserID = u.ID
	}
	if kind == models.OverlayManaged {
		o.Definition.Recipe = "sourcemod"
	}
	if err := models.CreateOverlay(context.Background(), db, o); err != nil {
		t.Fatal(err)
	}
	return o
}

// Publish records a version of an overlay, which becomes its current one. No host
// has its files.
func Publish(t testing.TB, db bun.IDB, o *models.Overlay, number int64) {
	t.Helper()
	v := &models.OverlayVersion{OverlayID: o.ID, Number: number, CreatedAt: models.Now(), UserName: "somebody", Why: "a test", Report: json.RawMessage(`{}`)}
	if err := models.PublishVersion(context.Background(), db, v); err != nil {
		t.Fatal(err)
	}
	o.Version = number
}
