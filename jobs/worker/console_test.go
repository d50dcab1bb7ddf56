package worker_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"left4me/internal/testenv"
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
