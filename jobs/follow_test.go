package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/jobs"
	"left4me/models"
)

// running makes a job that is being written to.
func running(t testing.TB, db *bun.DB) *models.Job {
	t.Helper()
	ctx := context.Background()
	j := &models.Job{Kind: "test", Host: "local", Pool: models.PoolBulk, Title: "Test", Args: json.RawMessage(`{}`), MaxAttempts: 1}
	err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error { return models.InsertJob(ctx, tx, j, nil) })
	if err != nil {
		t.Fatal(err)
	}
	if j, err = models.ClaimJob(ctx, db, j.ID, "me"); err != nil {
		t.Fatal(err)
	}
	return j
}

// write stores and publishes n lines in batches of up to 40, as the worker does.
func write(t testing.TB, db *bun.DB, rdb *redis.Client, j *models.Job, n int) {
	for done := 0; done < n; {
		batch := make([]models.LogLine, min(1+rand.IntN(40), n-done))
		for i := range batch {
			batch[i] = models.LogLine{At: models.Now(), Stream: "out", Text: fmt.Sprint(done + i + 1)}
		}
		if err := models.AppendLog(context.Background(), db, j.ID, j.Attempt, batch); err != nil {
			t.Errorf("append: %v", err)
			return
		}
		m := jobs.Message{Topics: []string{jobs.TopicJob(j.ID)}, First: batch[0].Seq, Last: batch[len(batch)-1].Seq}
		for _, l := range batch {
			m.Lines = append(m.Lines, jobs.Line{N: l.Seq, At: l.At, Text: l.Text})
		}
		ctx, stop := context.WithTimeout(context.Background(), 200*time.Millisecond)
		_ = jobs.Publish(ctx, rdb, m) // Redis may be away: that is the point
		stop()
		done += len(batch)
	}
}

// A viewer that is cut off at random and comes back with its cursor gets every
// line once and in order, also when Redis dies in the middle.
func TestReconnectingViewersLoseAndDoubleNothing(t *testing.T) {
	const lines, viewers = 4000, 12
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		ctx, stop := context.WithTimeout(context.Background(), 60*time.Second)
		defer stop()
		hub := jobs.NewHub(s.Redis, testenv.Log())
		go hub.Run(ctx)
		j := running(t, s.DB)
		var all sync.WaitGroup
		for range viewers {
			all.Go(func() { view(ctx, t, hub, s.DB, j.ID, lines) })
		}
		all.Go(func() { write(t, s.DB, s.Redis, j, lines/2) })
		if s.Server != nil {
			all.Go(func() {
				testenv.Eventually(t, 20*time.Second, "some lines are there", func() bool {
					got, err := models.LogAfter(ctx, s.DB, j.ID, lines/8, 1)
					return err == nil && len(got) == 1
				})
				s.Server.Kill()
				s.Server.Start()
			})
		}
		testenv.Eventually(t, 40*time.Second, "the first half is there", func() bool {
			got, err := models.LogAfter(ctx, s.DB, j.ID, lines/2-1, 1)
			return err == nil && len(got) == 1
		})
		write(t, s.DB, s.Redis, j, lines/2)
		all.Wait()
	})
}

// view reads until line last, leaving and coming back every 150 to 350 lines.
func view(ctx context.Context, t *testing.T, hub *jobs.Hub, db *bun.DB, id int64, last int64) {
	var cursor int64
	for cursor < last {
		v := hub.Subscribe(jobs.TopicJob(id))
		f := jobs.FollowJob(db, id, cursor)
		cursor = watch(ctx, t, v, f, cursor, cursor+150+rand.Int64N(200), last)
		v.Close()
		if ctx.Err() != nil {
			t.Errorf("gave up at line %d of %d", cursor, last)
			return
		}
	}
}

// watch checks that lines come without a gap and stops behind line enough.
func watch(ctx context.Context, t *testing.T, v *jobs.Viewer, f *jobs.JobFollower, cursor, enough, last int64) int64 {
	take := func(lines []jobs.Line, more bool, err error) bool {
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("read: %v", err)
		}
		for _, l := range lines {
			if l.N != cursor+1 {
				t.Errorf("line %d came after line %d", l.N, cursor)
			}
			cursor = l.N
		}
		return more
	}
	replay := func() {
		for take(f.Replay(ctx)) {
			continue
		}
	}
	reread := time.NewTicker(500 * time.Millisecond) // a lost last message
	defer reread.Stop()
	replay()
	for cursor < enough && cursor < last && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case m := <-v.Messages():
			if m.Last > 0 && take(f.Take(ctx, m)) {
				replay()
			}
		case <-v.Gap():
			replay()
		case <-reread.C:
			replay()
		}
	}
	return cursor
}

// A viewer that never reads loses its own messages and nobody else's.
func TestStalledViewerHarmsNobody(t *testing.T) {
	s := testenv.EmbeddedPair(t)
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	hub := jobs.NewHub(s.Redis, testenv.Log())
	stalled := hub.Subscribe("job:1")
	defer stalled.Close()
	good := hub.Subscribe("job:1")
	defer good.Close()
	go hub.Run(ctx) // after the viewers, or the word that it stands would be missed
	select {
	case <-good.Gap(): // the subscription stands
	case <-ctx.Done():
		t.Fatal("the hub never subscribed")
	}
	for i := range int64(2000) {
		if err := jobs.Publish(ctx, s.Redis, jobs.Message{Topics: []string{"job:1"}, First: i + 1, Last: i + 1}); err != nil {
			t.Fatal(err)
		}
		select {
		case m := <-good.Messages():
			if m.First != i+1 {
				t.Fatalf("message %d came instead of %d", m.First, i+1)
			}
		case <-ctx.Done():
			t.Fatalf("message %d never came", i+1)
		}
	}
	if n := len(stalled.Messages()); n > 256 {
		t.Errorf("%d messages are kept for the stalled viewer", n)
	}
	if stalled.Dropped() == 0 {
		t.Error("the stalled viewer is not told that it missed something")
	}
}

// A reader that lies far behind is moved ahead and told how much it missed.
func TestFarBehindIsToldHowMuch(t *testing.T) {
	s := testenv.EmbeddedPair(t)
	j := running(t, s.DB)
	batch := make([]models.LogLine, 6000)
	for i := range batch {
		batch[i] = models.LogLine{At: models.Now(), Stream: "out", Text: "x"}
	}
	for rest := batch; len(rest) > 0; rest = rest[500:] {
		if err := models.AppendLog(context.Background(), s.DB, j.ID, j.Attempt, rest[:500]); err != nil {
			t.Fatal(err)
		}
	}
	f := jobs.FollowJob(s.DB, j.ID, 0)
	lines, _, err := f.Replay(context.Background())
	if err != nil || len(lines) == 0 || lines[0].N != 1001 || f.Missed() != 1000 {
		t.Fatalf("began at %+v, %v; want line 1001 and 1000 missed", lines[:min(1, len(lines))], err)
	}
}

func TestConsoleGoesOnBehindItsCursor(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		ctx := context.Background()
		c := jobs.NewClient(s.DB, s.Redis, testenv.Log())
		add := func(n int) {
			t.Helper()
			w, after, err := jobs.OpenConsole(ctx, s.Redis, "a")
			if err != nil {
				t.Fatal(err)
			}
			var lines []jobs.ConsoleLine
			for i := range n {
				lines = append(lines, jobs.ConsoleLine{Line: jobs.Line{At: models.Now(), Stream: "game", Text: fmt.Sprint(i)}, Cursor: fmt.Sprintf("%s+%d", after, i)})
			}
			if err := w.Append(ctx, lines); err != nil {
				t.Fatal(err)
			}
		}
		add(700)
		f := c.FollowConsole("a", "")
		got := readAll(t, f)
		if len(got) != 700 || got[0].N != 1 || got[699].N != 700 {
			t.Fatalf("read %d lines", len(got))
		}
		add(10) // a second tail goes on numbering
		again := c.FollowConsole("a", f.Cursor())
		if got := readAll(t, again); len(got) != 10 || got[0].N != 701 || again.Reset() {
			t.Fatalf("behind the cursor: %+v", got)
		}
		if err := s.Redis.FlushAll(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		add(3)
		if got := readAll(t, again); len(got) != 3 || got[0].N != 1 || !again.Reset() {
			t.Fatalf("after Redis was emptied: %+v, reset not said", got)
		}
	})
}

func readAll(t *testing.T, f *jobs.ConsoleFollower) (all []jobs.Line) {
	t.Helper()
	for more := true; more; {
		var lines []jobs.Line
		var err error
		if lines, more, err = f.Replay(context.Background()); err != nil {
			t.Fatal(err)
		}
		all = append(all, lines...)
	}
	return all
}

// A page of a console is read without the rest of it: all of it may be 40 MB.
func TestConsoleIsReadInParts(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		ctx := context.Background()
		c := jobs.NewClient(s.DB, s.Redis, testenv.Log())
		if span, err := c.ConsoleSpan(ctx, "a"); err != nil || span.First != 1 || span.Last != 0 {
			t.Errorf("an empty console has %+v, %v", span, err)
		}
		w, _, err := jobs.OpenConsole(ctx, s.Redis, "a")
		if err != nil {
			t.Fatal(err)
		}
		lines := make([]jobs.ConsoleLine, 1200)
		for i := range lines {
			lines[i].Line = jobs.Line{At: models.Now(), Stream: "game", Text: fmt.Sprint(i + 1)}
		}
		if err := w.Append(ctx, lines); err != nil {
			t.Fatal(err)
		}
		if err := s.Redis.XTrimMaxLen(ctx, "left4me:console:a", 1000).Err(); err != nil {
			t.Fatal(err)
		}
		span, err := c.ConsoleSpan(ctx, "a")
		if err != nil || span.First != 201 || span.Last != 1200 {
			t.Fatalf("lines 201 to 1200 are stored, and it says %+v, %v", span, err)
		}
		for name, tt := range map[string]struct {
			after       int64
			limit       int
			first, last string
			n           int
		}{
			"all":       {0, 5000, "201", "1200", 1000},
			"a part":    {700, 50, "701", "750", 50},
			"the end":   {1190, 50, "1191", "1200", 10},
			"behind it": {1200, 50, "", "", 0},
			"nothing":   {700, -3, "", "", 0},
			"overflow":  {1<<63 - 1, 50, "", "", 0},
			"negative":  {-1 << 63, 2, "201", "202", 2},
		} {
			got, err := c.ConsoleLines(ctx, span, tt.after, tt.limit)
			if err != nil || len(got) != tt.n || tt.n > 0 && (got[0].Text != tt.first || got[tt.n-1].Text != tt.last || fmt.Sprint(got[0].N) != tt.first) {
				t.Errorf("%s: %d lines, %v", name, len(got), err)
			}
		}
		f := c.FollowConsole("a", span.At(1199))
		if got := readAll(t, f); len(got) != 1 || got[0].N != 1200 {
			t.Errorf("behind line 1199 come %+v", got)
		}
	})
}

// Two tails of one server, as after a takeover: no line is stored twice.
func TestSecondConsoleWriterIsRefused(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		ctx := context.Background()
		one, _, err := jobs.OpenConsole(ctx, s.Redis, "a")
		if err != nil {
			t.Fatal(err)
		}
		line := []jobs.ConsoleLine{{Line: jobs.Line{Text: "x"}}}
		if err := one.Append(ctx, line); err != nil {
			t.Fatal(err)
		}
		two, _, err := jobs.OpenConsole(ctx, s.Redis, "a")
		if err != nil {
			t.Fatal(err)
		}
		if err := two.Append(ctx, line); err != nil {
			t.Fatal(err)
		}
		if err := one.Append(ctx, line); !errors.Is(err, jobs.ErrConsoleMoved) {
			t.Errorf("the overtaken writer got %v, want ErrConsoleMoved", err)
		}
	})
}
