package models_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

func TestUserNames(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		if _, err := models.CreateUser(ctx, db, "Mira", "!", false); err != nil {
			t.Fatal(err)
		}
		if _, err := models.CreateUser(ctx, db, "mIRA", "!", false); !errors.Is(err, models.ErrTaken) {
			t.Errorf("the same name in other capitals: %v, want taken", err)
		}
		if u, err := models.UserByName(ctx, db, "MIRA"); err != nil || u.Name != "Mira" {
			t.Errorf("found %+v, %v", u, err)
		}
		for _, name := range []string{"", "-a", "a b", "ä", "a\n", strings.Repeat("a", 33), "../x"} {
			if _, err := models.CreateUser(ctx, db, name, "!", false); field(err) != "name" {
				t.Errorf("CreateUser(%q): %v, want a refusal", name, err)
			}
		}
	})
}

func TestSessions(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, u := context.Background(), modelstest.User(t, db, false)
		sign := func() string {
			t.Helper()
			token, err := models.CreateSession(ctx, db, u.ID, "192.0.2.1", strings.Repeat("agent ", 100))
			if err != nil {
				t.Fatal(err)
			}
			return token
		}
		one, two := sign(), sign()
		got, err := models.FindSession(ctx, db, one)
		if err != nil || got.User.ID != u.ID || got.ID == one {
			t.Fatalf("session %+v, %v", got, err)
		}
		if _, err := models.FindSession(ctx, db, got.ID); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("the stored id opens a session: %v", err)
		}
		if err := models.SetPassword(ctx, db, u.ID, "!!", got.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := models.FindSession(ctx, db, one); err != nil {
			t.Errorf("the session that changed the password ended: %v", err)
		}
		if _, err := models.FindSession(ctx, db, two); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("another session survived the change of password: %v", err)
		}
		if _, err := db.NewUpdate().Model((*models.User)(nil)).Set("active = ?", false).Where("id = ?", u.ID).Exec(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := models.FindSession(ctx, db, one); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("a deactivated user's session lives: %v", err)
		}
	})
}

// TestAttack23SignInWhileThePasswordChanges: a password that was right when it was checked
// opened a session after the change that ended all of them.
func TestAttack23SignInWhileThePasswordChanges(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		for range 8 {
			u := modelstest.User(t, db, false)
			seen := *u
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					err := inTx(db, func(ctx context.Context, tx bun.Tx) error {
						if err := seen.Unchanged(ctx, tx); err != nil {
							return err
						}
						_, err := models.CreateSession(ctx, tx, u.ID, "", "")
						return err
					})
					if err != nil && !errors.Is(err, models.ErrConflict) {
						t.Error(err)
					}
				})
			}
			all.Go(func() {
				if err := models.SetPassword(ctx, db, u.ID, "another hash", ""); err != nil {
					t.Error(err)
				}
			})
			all.Wait()
			if list, err := models.Sessions(ctx, db, u.ID); err != nil || len(list) != 0 {
				t.Errorf("%d sessions of the old password live, %v", len(list), err)
			}
			if err := models.RehashPassword(ctx, db, &seen, "the old one again"); !errors.Is(err, models.ErrConflict) {
				t.Errorf("the old password is back: %v", err)
			}
		}
		u := modelstest.User(t, db, false)
		if err := models.RehashPassword(ctx, db, u, "fresh"); err != nil || u.PasswordHash != "fresh" || u.Unchanged(ctx, db) != nil {
			t.Errorf("after a fresh hash of the same password: %v, %q", err, u.PasswordHash)
		}
		if _, err := db.NewUpdate().Model(u).Set("active = ?", false).WherePK().Exec(ctx); err != nil || !errors.Is(u.Unchanged(ctx, db), models.ErrConflict) {
			t.Errorf("a deactivated user is unchanged (%v)", err)
		}
	})
}

func TestExpiredSessionsGo(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, u := context.Background(), modelstest.User(t, db, false)
		token, err := models.CreateSession(ctx, db, u.ID, "", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.NewUpdate().Model((*models.Session)(nil)).Set("expires_at = ?", models.Now()).Where("user_id = ?", u.ID).Exec(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := models.FindSession(ctx, db, token); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("an expired session opens: %v", err)
		}
		if err := models.DeleteExpiredSessions(ctx, db); err != nil {
			t.Fatal(err)
		}
		if n, err := db.NewSelect().Model((*models.Session)(nil)).Count(ctx); err != nil || n != 0 {
			t.Errorf("%d sessions are left, %v", n, err)
		}
	})
}

func TestSecrets(t *testing.T) {
	key, other := modelstest.Key(t), modelstest.Key(t)
	sealed := key.Seal("server:1:rcon_password", "hunter2")
	if strings.Contains(sealed, "hunter2") {
		t.Fatal("the secret can be read")
	}
	if got, err := key.Open("server:1:rcon_password", sealed); err != nil || got != "hunter2" {
		t.Errorf("Open = %q, %v", got, err)
	}
	tests := map[string]func() (string, error){
		"another row": func() (string, error) { return key.Open("server:2:rcon_password", sealed) },
		"another key": func() (string, error) { return other.Open("server:1:rcon_password", sealed) },
		"cut off":     func() (string, error) { return key.Open("server:1:rcon_password", sealed[:10]) },
		"not sealed":  func() (string, error) { return key.Open("server:1:rcon_password", "hunter2") },
		"changed":     func() (string, error) { return key.Open("server:1:rcon_password", sealed[:len(sealed)-2]+"AA") },
		"empty":       func() (string, error) { return key.Open("server:1:rcon_password", "") },
	}
	for name, open := range tests {
		if got, err := open(); err == nil {
			t.Errorf("%s opens as %q", name, got)
		}
	}
	for _, bad := range []string{"", "x", "AAAA", strings.Repeat("A", 100)} {
		if _, err := models.ParseSecretKey(bad); err == nil {
			t.Errorf("ParseSecretKey(%q) was accepted", bad)
		}
	}
}

// The error that reaches a log or a terminal must not carry the password.
func TestOpenHidesThePassword(t *testing.T) {
	for _, dsn := range []string{"postgres://u:hunter2@127.0.0.1:1/x?connect_timeout=1", "postgres://u:hunter2@[::bad/x", "mysql://u:hunter2@h/x", "hunter2"} {
		_, err := models.Open(context.Background(), dsn)
		if err == nil {
			t.Errorf("%s was opened", dsn)
		} else if strings.Contains(err.Error(), "hunter2") && dsn != "hunter2" {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

// A browser whose name was cut inside a character, or is no UTF-8 at all, could
// not sign in on PostgreSQL.
func TestAnyBrowserMaySignIn(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		u := modelstest.User(t, db, false)
		for _, agent := range []string{"x" + strings.Repeat("ü", 200), "\xff\xfe", strings.Repeat("\xff", 300)} {
			if _, err := models.CreateSession(context.Background(), db, u.ID, agent, agent); err != nil {
				t.Errorf("agent %.20q: %v", agent, err)
			}
		}
	})
}
