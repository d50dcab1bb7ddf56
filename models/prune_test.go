package models_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

func TestPrune(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		u := modelstest.User(t, db, true)
		s, other := modelstest.Server(t, db, modelstest.Key(t), u), modelstest.Server(t, db, modelstest.Key(t), u)
		now := models.Now()
		exec := func(query string, args ...any) {
			t.Helper()
			if _, err := db.NewRaw(query, args...).Exec(ctx); err != nil {
				t.Fatal(err)
			}
		}
		count := func(table string) int64 {
			t.Helper()
			n, err := db.NewSelect().TableExpr(table).Count(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		// Two of each are too old by a day, one is not.
		for i, age := range []time.Duration{0, 1, 2} {
			late := func(keep time.Duration) time.Time { return now.Add(-keep + 24*time.Hour - age*48*time.Hour) }
			if err := models.SaveSamples(ctx, db, []models.ServerSample{{ServerID: s.ID, At: late(models.KeepSamples), Until: late(models.KeepSamples)}}); err != nil {
				t.Fatal(err)
			}
			see(t, db, s.ID, late(models.KeepSessions), models.SeenPlayer{Name: fmt.Sprint(i)})
			see(t, db, s.ID, late(models.KeepSessions))
			exec("INSERT INTO steam_profiles (steam_id, name, avatar, asked_at) VALUES (?, '', '', ?)", fmt.Sprint(i), late(models.KeepProfiles))
			exec("INSERT INTO audit_log (id, at, user_name, address, action, subject, detail) VALUES (?, ?, '', '', '', '', '')", models.NewID(), late(models.KeepAudit))
		}
		see(t, db, other.ID, now.AddDate(-1, 0, 0), models.SeenPlayer{Name: "still on it"})
		for i := range models.KeepSpecs + 3 { // the oldest one runs
			exec("INSERT INTO server_specs (server_id, sum, spec, created_at) VALUES (?, ?, '{}', ?)", s.ID, fmt.Sprintf("sum%02d", i), now.Add(time.Duration(i)*time.Second))
		}
		if _, _, err := models.Observe(ctx, db, models.Observation{Host: s.Host, Instance: s.Instance, State: models.ServerRunning, Status: models.ServerStatus{Spec: "sum00"}}); err != nil {
			t.Fatal(err)
		}
		prune(t, db, now)
		for table, want := range map[string]int64{
			"server_samples": 1, "player_sessions": 2, "steam_profiles": 1, "audit_log": 1, "server_specs": models.KeepSpecs + 1,
		} {
			if got := count(table); got != want {
				t.Errorf("%d rows are left in %s, want %d", got, table, want)
			}
		}
		if n, err := db.NewSelect().TableExpr("server_specs").Where("sum = 'sum00'").Count(ctx); err != nil || n != 1 {
			t.Errorf("the spec that runs is gone (%v)", err)
		}
	})
}

func prune(t *testing.T, db *bun.DB, now time.Time) {
	t.Helper()
	for range 1000 {
		more, err := models.Prune(context.Background(), db, now)
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return
		}
	}
	t.Fatal("there always was more to remove")
}

func TestPruneOfJobs(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		u := modelstest.User(t, db, true)
		s := modelstest.Server(t, db, modelstest.Key(t), u)
		now := models.Now()
		old := now.Add(-models.KeepJobs - time.Hour)
		var ids []int64
		add := func(kind, server string, created time.Time, finished bool) int64 {
			t.Helper()
			var j *models.Job
			err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				j = &models.Job{Kind: kind, Host: models.LocalHost, Pool: models.PoolBulk, Title: kind, Args: []byte("{}"), ServerID: server, UserID: u.ID, MaxAttempts: 1}
				return models.InsertJob(ctx, tx, j, nil)
			})
			if err != nil {
				t.Fatal(err)
			}
			q := db.NewUpdate().Model((*models.Job)(nil)).Set("created_at = ?", created).Where("id = ?", j.ID)
			if finished {
				q = q.Set("state = ?", models.JobSucceeded).Set("finished_at = ?", created)
			}
			if _, err := q.Exec(ctx); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, j.ID)
			return j.ID
		}
		left := func() []int64 {
			var list []int64
			if err := db.NewSelect().TableExpr("jobs").Column("id").OrderExpr("id").Scan(ctx, &list); err != nil {
				t.Fatal(err)
			}
			return list
		}
		for range 120 { // more than a batch
			add("a", "", old, true)
		}
		unfinished := add("a", "", old, false)
		lastOfServer := add("a", s.ID, old, true)
		lastOfKind := add("b", "", old, true)
		young := add("a", "", now, true)
		if err := models.AppendLog(ctx, db, unfinished, 0, nil); err != nil {
			t.Fatal(err)
		}
		prune(t, db, now)
		if got, want := left(), []int64{unfinished, lastOfServer, lastOfKind, young}; !slices.Equal(got, want) {
			t.Errorf("left are %v, want %v", got, want)
		}
		// However young, more than so many are too many.
		add("a", s.ID, now, true)
		if _, err := db.NewRaw("UPDATE counters SET value = value + ? WHERE name = 'job'", models.KeepJobCount).Exec(ctx); err != nil {
			t.Fatal(err)
		}
		last := add("a", "", now, true)
		prune(t, db, now)
		if got, want := left(), []int64{unfinished, lastOfKind, ids[len(ids)-2], last}; !slices.Equal(got, want) {
			t.Errorf("left are %v, want %v", got, want)
		}
	})
}
