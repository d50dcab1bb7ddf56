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

// inTx runs one change as its callers do.
func inTx(db *bun.DB, change func(context.Context, bun.Tx) error) error {
	return db.RunInTx(context.Background(), nil, change)
}

// refusal is the sentence of an InvalidError, "" for none.
func refusal(err error) string {
	if bad, ok := models.AsInvalid(err); ok {
		return bad.Message
	}
	return ""
}

func TestPeople(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, key := context.Background(), modelstest.Key(t)
		owner, idle := modelstest.User(t, db, false), modelstest.User(t, db, true)
		modelstest.Server(t, db, key, owner)
		modelstest.Overlay(t, db, owner, models.OverlayFiles)
		modelstest.Overlay(t, db, owner, models.OverlayFiles)
		if _, err := models.CreateSession(ctx, db, owner.ID, "192.0.2.1", "agent"); err != nil {
			t.Fatal(err)
		}
		list, err := models.People(ctx, db, "", 10)
		if err != nil || len(list) != 2 || list[0].ID != owner.ID || list[1].ID != idle.ID {
			t.Fatalf("the list is %+v, %v", list, err)
		}
		got := list[0]
		if got.Servers != 1 || got.Blueprints != 1 || got.Overlays != 2 || got.Browsers != 1 || got.SeenAt.IsZero() || got.Name != owner.Name {
			t.Errorf("the owner is %+v", got)
		}
		if got.Belongings() != "1 server, 1 blueprint and 2 overlays" || list[1].Belongings() != "" || !list[1].SeenAt.IsZero() {
			t.Errorf("belongings %q and %q, seen %s", got.Belongings(), list[1].Belongings(), list[1].SeenAt)
		}
		if list, err = models.People(ctx, db, strings.ToUpper(owner.Name), 1); err != nil || len(list) != 1 || list[0].ID != idle.ID {
			t.Errorf("behind the first: %+v, %v", list, err)
		}
		if _, err := models.PersonByID(ctx, db, "nobody"); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("somebody who does not exist: %v", err)
		}
	})
}

// TestRefusalsOfPeople: what is not done to oneself, to the last administrator and
// to owners, and that nothing has changed afterwards.
func TestRefusalsOfPeople(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		admin, plain := modelstest.User(t, db, true), modelstest.User(t, db, false)
		idle := modelstest.User(t, db, true)
		self, host := models.Actor{ID: admin.ID, Name: admin.Name}, models.Actor{Name: "(host)"}
		if err := inTx(db, func(ctx context.Context, tx bun.Tx) error {
			_, err := models.DeactivateUser(ctx, tx, self, idle.ID)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		modelstest.Server(t, db, modelstest.Key(t), plain)
		deactivate := func(ctx context.Context, tx bun.Tx, by models.Actor, id string) error {
			_, err := models.DeactivateUser(ctx, tx, by, id)
			return err
		}
		remove := func(ctx context.Context, tx bun.Tx, by models.Actor, id string) error {
			_, err := models.DeleteUser(ctx, tx, by, id)
			return err
		}
		for name, tt := range map[string]struct {
			do   func(context.Context, bun.Tx, models.Actor, string) error
			by   models.Actor
			to   *models.User
			want string
		}{
			"deactivate oneself": {deactivate, self, admin, "You cannot deactivate yourself."},
			"unmake oneself": {func(ctx context.Context, tx bun.Tx, by models.Actor, id string) error {
				return models.UnmakeAdmin(ctx, tx, by, id)
			}, self, admin, "from yourself"},
			"delete oneself":      {remove, self, admin, "You cannot delete yourself."},
			"deactivate the last": {deactivate, host, admin, "the only administrator who can sign in and cannot be deactivated"},
			"unmake the last": {func(ctx context.Context, tx bun.Tx, by models.Actor, id string) error {
				return models.UnmakeAdmin(ctx, tx, by, id)
			}, host, admin, "cannot be made an ordinary user"},
			"delete the last":          {remove, host, admin, "cannot be deleted"},
			"delete who owns a server": {remove, self, plain, "owns 1 server and 1 blueprint, which would be lost"},
		} {
			err := inTx(db, func(ctx context.Context, tx bun.Tx) error { return tt.do(ctx, tx, tt.by, tt.to.ID) })
			if got := refusal(err); !strings.Contains(got, tt.want) {
				t.Errorf("%s: %q (%v), want %q in it", name, got, err, tt.want)
			}
		}
		for _, u := range []*models.User{admin, plain} {
			if p, err := models.PersonByID(ctx, db, u.ID); err != nil || !p.Active || p.Admin != u.Admin {
				t.Errorf("%s is now %+v, %v", u.Name, p, err)
			}
		}
		if p, err := models.PersonByID(ctx, db, idle.ID); err != nil || p.Active {
			t.Errorf("the one who was deactivated is %+v, %v", p, err)
		}
	})
}

// TestTwoAdministratorsDemoteEachOther: whoever is first wins, and one is left.
func TestTwoAdministratorsDemoteEachOther(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		one, two := modelstest.User(t, db, true), modelstest.User(t, db, true)
		var all sync.WaitGroup
		errs := make([]error, 2)
		for i, pair := range [][2]*models.User{{one, two}, {two, one}} {
			all.Go(func() {
				errs[i] = inTx(db, func(ctx context.Context, tx bun.Tx) error {
					return models.UnmakeAdmin(ctx, tx, models.Actor{ID: pair[0].ID, Name: pair[0].Name}, pair[1].ID)
				})
			})
		}
		all.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("both ended alike: %v, %v", errs[0], errs[1])
		}
		n, err := db.NewSelect().Model((*models.User)(nil)).Where("admin").Count(context.Background())
		if err != nil || n != 1 {
			t.Errorf("%d administrators are left (%v), want 1", n, err)
		}
	})
}

// TestLeaving: sessions and waiting jobs end with the right to sign in, what runs
// goes on, and jobs and audit lines outlive their user.
func TestLeaving(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		admin, leaver := modelstest.User(t, db, true), modelstest.User(t, db, true)
		by := models.Actor{ID: admin.ID, Name: admin.Name}
		token, err := models.CreateSession(ctx, db, leaver.ID, "192.0.2.1", "agent")
		if err != nil {
			t.Fatal(err)
		}
		insert := func(u *models.User, args string) *models.Job {
			t.Helper()
			j := &models.Job{Kind: "test", Host: "local", Pool: models.PoolBulk, Title: "Test", Args: []byte(args), MaxAttempts: 1, UserID: u.ID}
			if err := inTx(db, func(ctx context.Context, tx bun.Tx) error {
				if err := models.InsertJob(ctx, tx, j, nil); err != nil {
					return err
				}
				return models.Audit(ctx, tx, models.Actor{ID: u.ID, Name: u.Name}, "test", "job", "")
			}); err != nil {
				t.Fatal(err)
			}
			return j
		}
		runs, waits, others := insert(leaver, `{}`), insert(leaver, `{}`), insert(admin, `{}`)
		step := insert(leaver, `{"server_id": "x", "update": 7}`) // or the servers that an update stopped would stay so
		if _, err := models.ClaimJob(ctx, db, runs.ID, "w"); err != nil {
			t.Fatal(err)
		}
		var ended []models.Job
		if err := inTx(db, func(ctx context.Context, tx bun.Tx) (err error) {
			ended, err = models.DeactivateUser(ctx, tx, by, leaver.ID)
			return err
		}); err != nil || len(ended) != 1 || ended[0].ID != waits.ID {
			t.Fatalf("ended %+v, %v", ended, err)
		}
		if n, err := db.NewSelect().Model((*models.Session)(nil)).Where("user_id = ?", leaver.ID).Count(ctx); err != nil || n != 0 {
			t.Errorf("%d sessions are left (%v), which would open again with the user", n, err)
		}
		if _, err := models.FindSession(ctx, db, token); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("the session lives on: %v", err)
		}
		state := func(j *models.Job) models.JobState {
			t.Helper()
			got, err := models.JobByID(ctx, db, j.ID)
			if err != nil {
				t.Fatal(err)
			}
			return got.State
		}
		if a, b, c, d := state(runs), state(waits), state(others), state(step); a != models.JobRunning || b != models.JobCancelled || c != models.JobQueued || d != models.JobQueued {
			t.Errorf("the jobs are %s, %s, %s and %s", a, b, c, d)
		}
		if err := inTx(db, func(ctx context.Context, tx bun.Tx) error { return models.ActivateUser(ctx, tx, by, leaver.ID) }); err != nil {
			t.Fatal(err)
		}
		if err := inTx(db, func(ctx context.Context, tx bun.Tx) error {
			_, err := models.DeleteUser(ctx, tx, by, leaver.ID)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if state(runs) != models.JobRunning {
			t.Error("the job went with its user")
		}
		n, err := db.NewSelect().Model((*models.AuditEntry)(nil)).Where("user_name = ?", leaver.Name).Count(ctx)
		if err != nil || n != 3 {
			t.Errorf("%d audit lines are left of the user (%v), want 3", n, err)
		}
	})
}

func TestEndSession(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, mine, theirs := context.Background(), modelstest.User(t, db, false), modelstest.User(t, db, false)
		var tokens []string
		for range 3 {
			token, err := models.CreateSession(ctx, db, mine.ID, "192.0.2.1", "agent")
			if err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, token)
		}
		if err := models.EndSession(ctx, db, theirs.ID, models.SessionID(tokens[0])); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("somebody else's session ended: %v", err)
		}
		if err := models.EndSession(ctx, db, mine.ID, models.SessionID(tokens[0])); err != nil {
			t.Fatal(err)
		}
		list, err := models.Sessions(ctx, db, mine.ID)
		if err != nil || len(list) != 2 {
			t.Fatalf("%d sessions are left (%v), want 2", len(list), err)
		}
		if err := models.EndSessions(ctx, db, mine.ID, models.SessionID(tokens[1])); err != nil {
			t.Fatal(err)
		}
		if list, err = models.Sessions(ctx, db, mine.ID); err != nil || len(list) != 1 || list[0].ID != models.SessionID(tokens[1]) {
			t.Errorf("left are %+v, %v", list, err)
		}
	})
}
