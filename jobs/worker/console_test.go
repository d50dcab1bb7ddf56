package worker_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"left4me/internal/testenv"
	"left4me/jobs"
	"left4me/jobs/worker"
	"left4me/models"
)

// The page of a server that never got as far as the host filled the log with a
// warning every five seconds.
func TestConsoleThatIsNotThereIsNoWarning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.EmbeddedPair(t))
	srv := w.server()
	w.plan("logs", act{Codes: []int{66}})
	var log bytes.Buffer // read when the worker has ended
	run := worker.New(worker.Config{
		DB: w.s.DB, Redis: w.s.Redis, Key: w.key, Log: slog.New(slog.NewTextHandler(&log, nil)), Host: models.LocalHost,
		Ctl: []string{"/proc/self/exe"}, CtlEnv: ctlEnv(w.dir),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run.Run(ctx) }()
	testenv.Eventually(t, soon, "the console is asked for twice", func() bool {
		if err := w.queue.WatchConsole(ctx, srv.Instance); err != nil {
			t.Fatal(err)
		}
		return w.runs("logs", srv.Instance) >= 2
	})
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "stopped following") {
		t.Errorf("it logged:\n%s", log.String())
	}
}

// A console goes on where it was when its worker is stopped, killed, or replaced while
// lines come: its viewers, who hold on by their cursors, lose none and see none twice.
func TestConsoleGoesOnOverWorkerRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.ServerPair(t))
	srv := w.server()
	w.plan("logs", act{Console: true})
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	hub := jobs.NewHub(w.s.Redis, testenv.Log())
	heard := make(chan struct{})
	go func() { defer close(heard); hub.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-heard })
	v := w.watchConsole(hub, srv.Instance)

	stop := w.work()
	v.until(300)
	stop()
	process := w.workerProcess()
	v.until(v.last + 300)
	if err := process.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = process.Wait() // killed
	first := w.work()
	second := w.workerProcess() // two workers at once, as in an update
	v.until(v.last + 300)
	first()
	v.until(v.last + 300)
	if err := second.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = second.Wait() // how it ends does not matter here
	if missed := v.follow.Missed(); missed != 0 {
		t.Errorf("the viewer was told that it missed %d lines", missed)
	}
	// What is stored is the same sequence.
	stored := w.queue.FollowConsole(srv.Instance, "")
	n := int64(0)
	for more := true; more; {
		var lines []jobs.Line
		var err error
		if lines, more, err = stored.Replay(ctx); err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if n == 0 {
				n = l.N - 1 // only the newest lines are stored
			}
			if n++; l.N != n || l.Text != fmt.Sprintf("console line %d", n) {
				t.Fatalf("stored line %d is number %d: %q", n, l.N, l.Text)
			}
		}
	}
	if n < v.last {
		t.Errorf("%d lines are stored, %d were seen", n, v.last)
	}
}

// viewer reads a console as a page's live stream does.
type viewer struct {
	w      *world
	name   string
	follow *jobs.ConsoleFollower
	live   *jobs.Viewer
	last   int64 // line that was seen
}

func (w *world) watchConsole(hub *jobs.Hub, instance string) *viewer {
	v := &viewer{w: w, name: instance, follow: w.queue.FollowConsole(instance, ""), live: hub.Subscribe(jobs.TopicConsole(instance))}
	w.t.Cleanup(v.live.Close)
	return v
}

// until reads until line n was seen.
func (v *viewer) until(n int64) {
	v.w.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for more := true; v.last < n; {
		var lines []jobs.Line
		var err error
		switch {
		case more:
			lines, more, err = v.follow.Replay(ctx)
		default:
			select {
			case m := <-v.live.Messages():
				lines, more, err = v.follow.Take(ctx, m)
			case <-v.live.Gap():
				more = true
			case <-look.C: // somebody is still there
				err = v.w.queue.WatchConsole(ctx, v.name)
			}
		}
		if err != nil {
			v.w.t.Fatalf("after line %d of %d: %v", v.last, n, err)
		}
		for _, l := range lines {
			if v.last++; l.N != v.last || l.Text != fmt.Sprintf("console line %d", v.last) {
				v.w.t.Fatalf("line %d is number %d: %q", v.last, l.N, l.Text)
			}
		}
		if ctx.Err() != nil {
			v.w.t.Fatalf("waited a minute for line %d; the last one is %d", n, v.last)
		}
	}
}
