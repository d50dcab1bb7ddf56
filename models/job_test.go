package models_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
)

// insert queues a job that needs the given resources: "x" alone, "x+" shared.
func insert(t *testing.T, db *bun.DB, needs ...string) *models.Job {
	t.Helper()
	j := &models.Job{Kind: "test", Host: "local", Pool: models.PoolInteractive, Title: "Test", Args: json.RawMessage(`{}`), MaxAttempts: 2}
	var rows []models.JobResource
	for _, n := range needs {
		shared := n[len(n)-1] == '+'
		if shared {
			n = n[:len(n)-1]
		}
		rows = append(rows, models.JobResource{Resource: n, Exclusive: !shared})
	}
	err := db.RunInTx(context.Background(), nil, func(ctx context.Context, tx bun.Tx) error {
		return models.InsertJob(ctx, tx, j, rows)
	})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func claim(t *testing.T, db *bun.DB, j *models.Job) *models.Job {
	t.Helper()
	got, err := models.ClaimJob(context.Background(), db, j.ID, "me")
	if err != nil {
		t.Fatalf("claim job %d: %v", j.ID, err)
	}
	return got
}

func finish(t *testing.T, db *bun.DB, j *models.Job) {
	t.Helper()
	if err := models.FinishJob(context.Background(), db, j.ID, j.Attempt, models.Ending{State: models.JobSucceeded}); err != nil {
		t.Fatalf("finish job %d: %v", j.ID, err)
	}
}

func TestEarlierJobsBlockLaterOnes(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		install := insert(t, db, "game")
		start := insert(t, db, "server:a", "game+")
		other := insert(t, db, "server:b", "game+")
		stop := insert(t, db, "server:a")

		for _, j := range []*models.Job{start, other, stop} {
			if _, err := models.ClaimJob(ctx, db, j.ID, "me"); !errors.Is(err, models.ErrConflict) {
				t.Fatalf("job %d was claimed although an earlier one is in the way: %v", j.ID, err)
			}
		}
		finish(t, db, claim(t, db, install))
		first, second := claim(t, db, start), claim(t, db, other) // they share the game
		if _, err := models.ClaimJob(ctx, db, stop.ID, "me"); !errors.Is(err, models.ErrConflict) {
			t.Fatalf("the stop was claimed while the start runs: %v", err)
		}
		finish(t, db, first)
		finish(t, db, second)
		finish(t, db, claim(t, db, stop))
	})
}

func TestOnlyOneClaimWins(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		var queued []*models.Job
		for i := range 30 {
			queued = append(queued, insert(t, db, fmt.Sprintf("server:%d", i%6)))
		}
		var (
			wg      sync.WaitGroup
			running [6]atomic.Int32
			done    atomic.Int32
		)
		for range 16 {
			wg.Go(func() {
				for done.Load() < 30 {
					for i, j := range queued {
						got, err := models.ClaimJob(context.Background(), db, j.ID, "me")
						if errors.Is(err, models.ErrConflict) {
							continue
						}
						if err != nil {
							t.Errorf("claim: %v", err)
							return
						}
						if n := running[i%6].Add(1); n != 1 {
							t.Errorf("%d jobs hold server %d", n, i%6)
						}
						running[i%6].Add(-1)
						if err := models.FinishJob(context.Background(), db, got.ID, got.Attempt, models.Ending{State: models.JobSucceeded}); err != nil {
							t.Errorf("finish: %v", err)
						}
						done.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if n := done.Load(); n != 30 {
			t.Errorf("%d of 30 jobs ran", n)
		}
	})
}

func TestSilentWorkerLosesItsJob(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		j := claim(t, db, insert(t, db, "server:a"))
		if back, err := models.TakeBackStale(ctx, db, "local", models.Now().Add(-time.Minute)); err != nil || len(back) != 0 {
			t.Fatalf("a fresh job was taken back: %v, %v", back, err)
		}
		back, err := models.TakeBackStale(ctx, db, "local", models.Now().Add(time.Second))
		if err != nil || len(back) != 1 || back[0].State != models.JobQueued {
			t.Fatalf("taken back: %+v, %v; want job %d queued", back, err, j.ID)
		}
		// What the silent worker still says counts no more.
		if err := models.AppendLog(ctx, db, j.ID, j.Attempt, []models.LogLine{{At: models.Now(), Stream: "out", Text: "late"}}); !errors.Is(err, models.ErrFenced) {
			t.Errorf("a late line was stored: %v", err)
		}
		if _, err := models.BeatJob(ctx, db, j); !errors.Is(err, models.ErrFenced) {
			t.Errorf("a late heartbeat was stored: %v", err)
		}
		if err := models.FinishJob(ctx, db, j.ID, j.Attempt, models.Ending{State: models.JobFailed}); !errors.Is(err, models.ErrFenced) {
			t.Errorf("a late end was stored: %v", err)
		}
		// The second attempt was the last that is allowed.
		claim(t, db, j)
		back, err = models.TakeBackStale(ctx, db, "local", models.Now().Add(time.Second))
		if err != nil || len(back) != 1 || back[0].State != models.JobFailed {
			t.Fatalf("after the last attempt: %+v, %v; want failed", back, err)
		}
		if n, err := db.NewSelect().Model((*models.JobResource)(nil)).Count(ctx); err != nil || n != 0 {
			t.Errorf("%d resources are still held, %v", n, err)
		}
	})
}

func TestCancel(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		queued, running := insert(t, db, "a"), claim(t, db, insert(t, db, "b"))
		if ended, err := models.CancelJob(ctx, db, queued.ID, "no"); err != nil || !ended {
			t.Errorf("cancel a queued job: ended %v, %v", ended, err)
		}
		if ended, err := models.CancelJob(ctx, db, running.ID, "no"); err != nil || ended {
			t.Errorf("cancel a running job: ended %v, %v", ended, err)
		}
		if asked, err := models.BeatJob(ctx, db, running); err != nil || !asked {
			t.Errorf("the heartbeat does not say that the end was asked for: %v, %v", asked, err)
		}
		finish(t, db, running)
		for _, j := range []*models.Job{queued, running} {
			if _, err := models.CancelJob(ctx, db, j.ID, "no"); !errors.Is(err, models.ErrConflict) {
				t.Errorf("cancel ended job %d: %v, want a conflict", j.ID, err)
			}
		}
	})
}

func TestLogNumbersGoOnOverAttempts(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		j := claim(t, db, insert(t, db))
		lines := func(n int) (l []models.LogLine) {
			for i := range n {
				l = append(l, models.LogLine{At: models.Now(), Stream: "out", Text: fmt.Sprint(i)})
			}
			return l
		}
		if err := models.AppendLog(ctx, db, j.ID, j.Attempt, lines(3)); err != nil {
			t.Fatal(err)
		}
		if err := models.RetryJob(ctx, db, j.ID, j.Attempt, models.Now(), "again"); err != nil {
			t.Fatal(err)
		}
		j = claim(t, db, j)
		if err := models.AppendLog(ctx, db, j.ID, j.Attempt, lines(2)); err != nil {
			t.Fatal(err)
		}
		got, err := models.LogAfter(ctx, db, j.ID, 1, 10)
		if err != nil || len(got) != 4 || got[0].Seq != 2 || got[3].Seq != 5 {
			t.Fatalf("lines after 1: %+v, %v; want numbers 2 to 5", got, err)
		}
	})
}

func TestRetryWaitsForItsTime(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		j := claim(t, db, insert(t, db))
		if err := models.RetryJob(ctx, db, j.ID, j.Attempt, models.Now().Add(time.Hour), "later"); err != nil {
			t.Fatal(err)
		}
		if list, err := models.RunnableJobs(ctx, db, "local", 10); err != nil || len(list) != 0 {
			t.Errorf("runnable: %+v, %v; want nothing for an hour", list, err)
		}
		if _, err := models.ClaimJob(ctx, db, j.ID, "me"); !errors.Is(err, models.ErrConflict) {
			t.Errorf("claimed before its time: %v", err)
		}
	})
}

func TestJobsListIsPagedAndPrivate(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		mine, err := models.CreateUser(ctx, db, "mine", "!", false)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			j := insert(t, db)
			if i%2 == 0 {
				if _, err := db.NewUpdate().Model((*models.Job)(nil)).Set("owner_id = ?", mine.ID).Where("id = ?", j.ID).Exec(ctx); err != nil {
					t.Fatal(err)
				}
			}
		}
		first, err := models.Jobs(ctx, db, models.JobFilter{User: mine, Limit: 2})
		if err != nil || len(first) != 2 {
			t.Fatalf("first page: %+v, %v", first, err)
		}
		rest, err := models.Jobs(ctx, db, models.JobFilter{User: mine, Limit: 2, Before: first[1].ID})
		if err != nil || len(rest) != 1 || rest[0].ID >= first[1].ID {
			t.Fatalf("second page: %+v, %v", rest, err)
		}
	})
}
