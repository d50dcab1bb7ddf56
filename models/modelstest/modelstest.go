// Package modelstest makes the rows that tests of other packages begin with.
package modelstest

import (
	"context"
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
