package models_test

import (
	"context"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

func TestStats(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, key := context.Background(), modelstest.Key(t)
		u := modelstest.User(t, db, false)
		began := models.Now().Add(-time.Second)
		insert := func(kind string) *models.Job {
			t.Helper()
			j := &models.Job{Kind: kind, Host: "local", Pool: models.PoolBulk, Title: "Test", Args: []byte(`{}`), MaxAttempts: 1}
			if err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error { return models.InsertJob(ctx, tx, j, nil) }); err != nil {
				t.Fatal(err)
			}
			return j
		}
		insert("a")
		insert("a")
		runs := insert("a")
		if _, err := models.ClaimJob(ctx, db, runs.ID, "w"); err != nil {
			t.Fatal(err)
		}
		ended := insert("b")
		if _, err := models.ClaimJob(ctx, db, ended.ID, "w"); err != nil {
			t.Fatal(err)
		}
		if err := models.FinishJob(ctx, db, ended.ID, 1, models.Ending{State: models.JobFailed}); err != nil {
			t.Fatal(err)
		}
		counts, err := models.CountUnfinished(ctx, db)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for _, c := range counts {
			got[c.Kind+" "+string(c.Pool)+" "+string(c.State)] = c.N
		}
		if len(got) != 2 || got["a bulk queued"] != 2 || got["a bulk running"] != 1 {
			t.Errorf("unfinished are %v", got)
		}
		list, err := models.EndedJobs(ctx, db, began, models.Now(), 10)
		if err != nil || len(list) != 1 || list[0].Kind != "b" || list[0].State != models.JobFailed || list[0].StartedAt == nil || list[0].FinishedAt.IsZero() {
			t.Errorf("ended are %+v, %v", list, err)
		}
		if list, err = models.EndedJobs(ctx, db, models.Now(), models.Now().Add(time.Hour), 10); err != nil || len(list) != 0 {
			t.Errorf("ended later are %+v, %v", list, err)
		}
		s := modelstest.Server(t, db, key, u)
		modelstest.Server(t, db, key, u)
		_, _, err = models.Observe(ctx, db, models.Observation{Host: s.Host, Instance: s.Instance, State: models.ServerRunning, Status: models.ServerStatus{Live: &models.Live{Players: 3, Bots: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		servers, err := models.CountServers(ctx, db)
		if err != nil || servers.ByState[models.ServerRunning] != 1 || servers.ByState[models.ServerAbsent] != 1 || servers.Players != 3 || servers.Bots != 1 {
			t.Errorf("servers are %+v, %v", servers, err)
		}
		if n, err := models.PendingMigrations(ctx, db); err != nil || n != 0 {
			t.Errorf("%d migrations are pending (%v) in a migrated database", n, err)
		}
		if _, err := db.NewRaw("DELETE FROM bun_migrations WHERE name = (SELECT max(name) FROM bun_migrations)").Exec(ctx); err != nil {
			t.Fatal(err)
		}
		if n, err := models.PendingMigrations(ctx, db); err != nil || n != 1 {
			t.Errorf("%d migrations are pending (%v), want 1", n, err)
		}
	})
}
