package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"left4me/models"
	"left4me/models/modelstest"
)

const manyJobs = 1_000_000

// fillJobs writes a million ended jobs and a few that are under way: half of them
// busy's on one server, 20 of the oldest rare's, the others nobody's.
func fillJobs(b *testing.B, db *bun.DB, busy, rare *models.User, srv *models.Server) {
	b.Helper()
	numbers := "SELECT i FROM generate_series(1, ?) AS g(i)"
	at := "CAST(? AS TIMESTAMPTZ)" // PostgreSQL does not guess it inside a CASE
	if db.Dialect().Name() == dialect.SQLite {
		at = "?"
		numbers = "WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < ?) SELECT i FROM g"
	}
	ctx, now := context.Background(), models.Now()
	for _, q := range []struct {
		text string
		args []any
	}{
		{
			`INSERT INTO jobs (id, kind, host, pool, title, args, server_id, user_id, owner_id, state, attempt, max_attempts, run_after, created_at,
			started_at, finished_at, worker, cancel_reason, message, notices, progress, last_seq)
			SELECT i, 'server.start', 'local', 'interactive', 'Start Friday versus', '{}',
			CASE WHEN i % 2 = 0 THEN ? END, CASE WHEN i % 2 = 0 THEN ? WHEN i <= 40 THEN ? END, CASE WHEN i % 2 = 0 THEN ? WHEN i <= 40 THEN ? END,
			CASE WHEN i % 200000 = 1 THEN 'queued' ELSE 'succeeded' END, 1, 3, ?, ?, ?, CASE WHEN i % 200000 <> 1 THEN ` + at + ` END,
			'w', '', 'It runs.', '[]', '{}', 20 FROM (` + numbers + `) AS n`,
			[]any{srv.ID, busy.ID, rare.ID, busy.ID, rare.ID, now, now, now, now, manyJobs},
		},
		{"UPDATE counters SET value = ? WHERE name = 'job'", []any{manyJobs}},
	} {
		if _, err := db.ExecContext(ctx, q.text, q.args...); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkJobsPage opens the lists of jobs where there are a million.
func BenchmarkJobsPage(b *testing.B) {
	for _, kind := range databases {
		b.Run(kind, func(b *testing.B) {
			s := newSite(b, false)
			tokens := map[string]string{}
			var srv *models.Server
			s.webOn(s.database(kind), func(db *bun.DB, key *models.SecretKey) {
				busy, rare, admin := modelstest.User(b, db, false), modelstest.User(b, db, false), modelstest.User(b, db, true)
				srv = modelstest.Server(b, db, key, busy)
				fillJobs(b, db, busy, rare, srv)
				for name, u := range map[string]*models.User{"busy": busy, "rare": rare, "admin": admin} {
					token, err := models.CreateSession(context.Background(), db, u.ID, "127.0.0.1", "bench")
					if err != nil {
						b.Fatal(err)
					}
					tokens[name] = token
				}
			})
			for b.Loop() {
				for _, page := range []struct{ what, who, path string }{
					{"all", "admin", "/jobs"},
					{"unfinished", "admin", "/jobs?state=unfinished"},
					{"the oldest", "admin", "/jobs?before=100"},
					{"of a user with 500,000", "busy", "/jobs"},
					{"unfinished of a user with 500,000", "busy", "/jobs?state=unfinished"},
					{"of a user with 20 old ones", "rare", "/jobs"},
					{"of one server", "busy", "/servers/" + srv.Instance + "/jobs"},
				} {
					var took []time.Duration
					for i := range 12 {
						began := time.Now()
						s.as(b, tokens[page.who], page.path)
						if i >= 2 { // the first ones fill the database's memory
							took = append(took, time.Since(began))
						}
					}
					slices.Sort(took)
					figure(b, fmt.Sprintf("jobs, %s, 1,000,000 rows, %s", page.what, kind), float64(took[len(took)/2].Microseconds())/1000, "ms", atMost(50))
				}
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
