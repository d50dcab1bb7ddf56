package worker_test

import (
	"context"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/internal/testenv"
	"left4me/jobs"
	"left4me/models"
)

// A restart whose blueprint the host refuses leaves the running game alone.
func TestRefusedRestartStopsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.EmbeddedPair(t))
	srv := w.server()
	w.plan("initialize", act{Codes: []int{ctl.ExitCode(ctl.ErrBadSpec), 0}, Message: "spec:1: Argument 3 is not allowed."})
	w.work()
	if j := w.until(w.ask(jobs.RestartServer{ServerID: srv.ID}).ID, soon, models.JobFailed); j.Message != "Argument 3 is not allowed." {
		t.Errorf("it says %q", j.Message)
	}
	if n := w.runs("stop", srv.Instance); n != 0 {
		t.Errorf("the game was stopped %d times", n)
	}
	w.until(w.ask(jobs.RestartServer{ServerID: srv.ID}).ID, soon, models.JobSucceeded)
	if a, b, c := w.runs("initialize", srv.Instance), w.runs("stop", srv.Instance), w.runs("start", srv.Instance); a != 2 || b != 1 || c != 1 {
		t.Errorf("initialize, stop, start ran %d, %d, %d times", a, b, c)
	}
	after, err := models.ServerByID(context.Background(), w.s.DB, srv.ID)
	if err != nil || after.Desired != models.ServerRunning {
		t.Errorf("it is to be %s, %v", after.Desired, err)
	}
}

// A server that was never set up has nothing to remove.
func TestResetOfNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.EmbeddedPair(t))
	srv := w.server()
	w.plan("reset", act{Codes: []int{ctl.ExitCode(ctl.ErrNotFound), 1}, Message: "no such server"})
	w.work()
	w.until(w.ask(jobs.ResetServer{ServerID: srv.ID}).ID, soon, models.JobSucceeded)
	w.until(w.ask(jobs.ResetServer{ServerID: srv.ID}).ID, soon, models.JobFailed)
}

// A job that is asked for later does not begin before, and a stop does not wait for it.
func TestLater(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		a, b := w.server(), w.server()
		w.work()
		const wait = 2 * time.Second
		late, never := w.ask(jobs.Later{Args: jobs.StartServer{ServerID: a.ID}, Wait: wait}), w.ask(jobs.Later{Args: jobs.StartServer{ServerID: b.ID}, Wait: time.Hour})
		w.until(w.ask(jobs.StopServer{ServerID: b.ID}).ID, soon, models.JobSucceeded)
		if j := w.job(never.ID); j.State != models.JobCancelled {
			t.Errorf("the stop left the start behind it %s", j.State)
		}
		j := w.until(late.ID, soon, models.JobSucceeded)
		if j.StartedAt.Before(j.CreatedAt.Add(wait)) {
			t.Errorf("it began %s after it was asked for", j.StartedAt.Sub(j.CreatedAt))
		}
		if string(j.Args) == "" || w.runs("start", a.Instance) != 1 {
			t.Errorf("it ran %d times with %s", w.runs("start", a.Instance), j.Args)
		}
	})
}
