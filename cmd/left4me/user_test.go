package main

import (
	"bytes"
	"context"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"left4me/models"
	"left4me/models/modelstest"
)

// TestUserCommands goes through a user's life on the command line, refusals included,
// on a database of `left4me up`.
func TestUserCommands(t *testing.T) {
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	t.Setenv("LEFT4ME_DATA", data)
	t.Setenv("LEFT4ME_USER", who.Username) // as root it stays who it is: the folder is the test's
	t.Setenv("DATABASE_URL", "sqlite://"+filepath.Join(data, "test.db"))
	t.Setenv("LEFT4ME_ADMIN_PASSWORD", "correct horse battery")
	do := func(want int, part string, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		code := run(context.Background(), append([]string{"user"}, args...), &out, &errs)
		if all := out.String() + errs.String(); code != want || !strings.Contains(all, part) {
			t.Fatalf("left4me user %s: code %d, want %d and %q; it said:\n%s", strings.Join(args, " "), code, want, part, all)
		}
		return out.String()
	}
	do(0, "Added root.", "add", "root", "--admin")
	do(1, "there is a user Root already", "add", "Root")
	do(1, "beginning with a letter", "add", "no spaces")
	do(0, "Added mira.", "add", "mira")
	do(1, "root is the only administrator who can sign in and cannot be deactivated", "deactivate", "root")
	do(1, "cannot be made an ordinary user", "admin", "root", "off")
	do(1, "cannot be deleted", "delete", "root")
	do(1, "there is no user nobody", "activate", "nobody")
	do(0, "mira is an administrator now.", "admin", "mira", "on")
	do(0, "mira is an ordinary user now", "admin", "mira", "off")
	do(0, "The password of mira is set", "passwd", "mira")

	ctx := context.Background()
	db, err := models.Open(ctx, "sqlite://"+filepath.Join(data, "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // a test's database
	mira, err := models.UserByName(ctx, db, "mira")
	if err != nil {
		t.Fatal(err)
	}
	srv := modelstest.Server(t, db, modelstest.Key(t), mira)
	if err := models.SetDesired(ctx, db, srv.ID, models.ServerRunning); err != nil {
		t.Fatal(err)
	}
	do(1, "mira owns 1 server and 1 blueprint", "delete", "mira")
	do(0, "mira is signed out everywhere", "deactivate", "mira", "--stop-servers")
	if list := do(0, "deactivated", "list"); !strings.Contains(list, "1 server and 1 blueprint") || strings.Contains(list, "correct horse") {
		t.Errorf("the list is\n%s", list)
	}
	waiting, err := models.UnfinishedJobs(ctx, db, srv.ID)
	if err != nil || len(waiting) != 1 || waiting[0].Kind != "server.stop" {
		t.Errorf("the servers' jobs are %+v, %v; want a stop", waiting, err)
	}
	do(0, "mira can sign in again", "activate", "mira")
	entries, err := models.AuditLog(ctx, db, models.AuditFilter{Action: "user"}, 50)
	if err != nil || len(entries) != 7 || entries[0].UserName != "(host)" || entries[0].UserID != "" {
		t.Errorf("%d lines of the audit log (%v), want 7 of the host's: %+v", len(entries), err, entries)
	}
}
