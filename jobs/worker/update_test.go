package worker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/internal/testenv"
	"left4me/jobs"
	"left4me/models"
)

// plays makes a server one that runs, with so many players: for the rows, and for a
// worker that begins and looks at the host.
func (w *world) plays(s *models.Server, players int) {
	w.t.Helper()
	ctx := context.Background()
	w.up = append(w.up, ctl.Status{Name: s.Instance, State: ctl.ServerRunning})
	w.hostHas(w.up...)
	_, _, err := models.Observe(ctx, w.s.DB, models.Observation{
		Host: models.LocalHost, Instance: s.Instance, State: models.ServerRunning,
		Status: models.ServerStatus{Live: &models.Live{At: models.Now(), Players: players}},
	})
	if err := errors.Join(err, models.SetDesired(ctx, w.s.DB, s.ID, models.ServerRunning)); err != nil {
		w.t.Fatal(err)
	}
}

// step finds an update's job of a kind for a server ("" for none).
func (w *world) step(update int64, kind, serverID string) *models.Job {
	w.t.Helper()
	for _, j := range w.ofKind(kind) {
		if jobs.UpdateOf(&j) == update && j.ServerID == serverID {
			return &j
		}
	}
	w.t.Fatalf("the update %d has no %s for %q", update, kind, serverID)
	return nil
}

func (w *world) desired(s *models.Server) models.ServerState {
	w.t.Helper()
	now, err := models.ServerByID(context.Background(), w.s.DB, s.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return now.Desired
}

const (
	kindStop, kindInstall, kindStart = "game.stop", "game.install", "server.start"
)

// An update tells players, stops what runs, installs, and starts what ran: each step
// waits for those before it, and nothing that was stopped is touched.
func TestUpdateOfTheGame(t *testing.T) {
	t.Parallel()
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		played, empty, off := w.server(), w.server(), w.server()
		w.plays(played, 2)
		w.plays(empty, 0)
		w.work()
		lead := w.ask(jobs.UpdateGame{Warn: 1})
		w.until(lead.ID, soon, models.JobSucceeded)
		install := w.until(w.step(lead.ID, kindInstall, "").ID, soon, models.JobSucceeded)
		for _, srv := range []*models.Server{played, empty} {
			stop := w.until(w.step(lead.ID, kindStop, srv.ID).ID, soon, models.JobSucceeded)
			start := w.until(w.step(lead.ID, kindStart, srv.ID).ID, soon, models.JobSucceeded)
			if stop.FinishedAt.After(install.StartedAt) || install.FinishedAt.After(start.StartedAt) {
				t.Errorf("the stop ended %s, the install went from %s to %s, the start began %s", stop.FinishedAt, install.StartedAt, install.FinishedAt, start.StartedAt)
			}
			if start.UserID != w.user.ID {
				t.Errorf("the start was asked for by %q, want who asked for the update", start.UserID)
			}
			if got := w.desired(srv); got != models.ServerRunning {
				t.Errorf("the server is to be %s after the update", got)
			}
			if w.runs("stop", srv.Instance) != 1 || w.runs("start", srv.Instance) != 1 {
				t.Errorf("it was stopped %d times and started %d times", w.runs("stop", srv.Instance), w.runs("start", srv.Instance))
			}
		}
		if w.runs("say", played.Instance) == 0 || w.runs("say", empty.Instance) != 0 {
			t.Errorf("%d words to the players, %d to nobody", w.runs("say", played.Instance), w.runs("say", empty.Instance))
		}
		if w.runs("stop", off.Instance)+w.runs("start", off.Instance) != 0 || w.desired(off) != models.ServerStopped {
			t.Error("a server that was stopped was touched")
		}
		list, err := jobs.LastUpdate(context.Background(), s.DB, models.LocalHost, models.Now().Add(-time.Hour))
		if err != nil || len(list) != 6 || list[0].ID != lead.ID {
			t.Errorf("the update consists of %d jobs, %v; want 6", len(list), err)
		}
	})
}

// Whatever becomes of the install: what ran is asked to start again, and whether the
// files are good is the host's to say.
func TestFailedUpdateStartsWhatRan(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		install act
		cancel  bool
		state   models.JobState
	}{
		"it fails":        {act{Codes: []int{76}, Message: "Steam was in a bad mood."}, false, models.JobFailed},
		"it is cancelled": {act{Hold: true}, true, models.JobCancelled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
				w := newWorld(t, s)
				w.plan("install", test.install)
				w.plan("start", act{Codes: []int{69}, Message: "the installation of the game is not complete"})
				srv := w.server()
				w.plays(srv, 0)
				w.work()
				lead := w.ask(jobs.UpdateGame{Warn: 60})
				w.until(lead.ID, soon, models.JobSucceeded)
				install := w.step(lead.ID, kindInstall, "")
				if test.cancel {
					w.until(install.ID, soon, models.JobRunning)
					if err := w.queue.Cancel(context.Background(), models.Actor{ID: w.user.ID}, install.ID); err != nil {
						t.Fatal(err)
					}
				}
				w.until(install.ID, soon, test.state)
				start := w.until(w.step(lead.ID, kindStart, srv.ID).ID, soon, models.JobFailed)
				if !strings.Contains(start.Message, "not complete") {
					t.Errorf("the start says %q", start.Message)
				}
				if got := w.desired(srv); got != models.ServerRunning {
					t.Errorf("the server is to be %s", got)
				}
			})
		})
	}
}

// As long as players are warned, or waited for, an update can be cancelled with
// nothing done.
func TestUpdateIsCancelledWithNothingDone(t *testing.T) {
	t.Parallel()
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		srv := w.server()
		w.plays(srv, 1)
		w.work()
		for name, args := range map[string]jobs.UpdateGame{"warning": {Warn: 600}, "waiting": {Warn: 600, Hours: 3}} {
			lead := w.ask(args)
			testenv.Eventually(t, soon, "it shows what it is at", func() bool {
				now := w.job(lead.ID).Progress.Now
				return now != nil && now.Left > 500
			})
			if err := w.queue.Cancel(context.Background(), models.Actor{ID: w.user.ID}, lead.ID); err != nil {
				t.Fatal(err)
			}
			w.until(lead.ID, soon, models.JobCancelled)
			if n := len(w.ofKind(kindStop)) + len(w.ofKind(kindInstall)); n != 0 {
				t.Errorf("%s: after the cancel there are %d jobs", name, n)
			}
		}
		if w.runs("stop", srv.Instance) != 0 {
			t.Error("the server was stopped")
		}
	})
}

// An update that waits until everybody has left goes on when that is so.
func TestUpdateWaitsUntilNobodyPlays(t *testing.T) {
	t.Parallel()
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		srv := w.server()
		w.plays(srv, 3)
		w.work()
		lead := w.ask(jobs.UpdateGame{Warn: 600, Hours: 1})
		testenv.Eventually(t, soon, "it says whom it waits for", func() bool {
			now := w.job(lead.ID).Progress.Now
			return now != nil && now.Title == "Waiting until nobody plays: 3 players on 1 server"
		})
		if again := w.ask(jobs.UpdateGame{Warn: 10}); again.ID != lead.ID {
			t.Errorf("a second update is the job %d, want %d", again.ID, lead.ID)
		}
		w.plays(srv, 0)
		w.until(lead.ID, soon, models.JobSucceeded)
		w.until(w.step(lead.ID, kindStart, srv.ID).ID, soon, models.JobSucceeded)
		if w.runs("say", srv.Instance) != 0 {
			t.Error("nobody was on it, and was told")
		}
	})
}

// A stop by its owner while an update is under way is the last word.
func TestStopDuringAnUpdateStays(t *testing.T) {
	t.Parallel()
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		w.plan("install", act{Hold: true})
		srv := w.server()
		w.plays(srv, 0)
		w.work()
		lead := w.ask(jobs.UpdateGame{})
		w.until(lead.ID, soon, models.JobSucceeded)
		w.until(w.step(lead.ID, kindInstall, "").ID, soon, models.JobRunning)
		if _, err := w.queue.Enqueue(context.Background(), models.Actor{ID: w.user.ID}, jobs.UpdateGame{}); err == nil {
			t.Error("a second update began beside an install")
		} else if _, ok := models.AsInvalid(err); !ok {
			t.Errorf("a second update is refused with %v", err)
		}
		stop := w.ask(jobs.StopServer{ServerID: srv.ID})
		w.until(stop.ID, soon, models.JobSucceeded) // it waits for no download
		w.release()
		w.until(w.step(lead.ID, kindInstall, "").ID, soon, models.JobSucceeded)
		w.until(w.step(lead.ID, kindStart, srv.ID).ID, soon, models.JobCancelled)
		if w.desired(srv) != models.ServerStopped || w.runs("start", srv.Instance) != 0 {
			t.Error("the server was started although its owner stopped it")
		}
	})
}

// The nightly restart is for servers that run and on which nobody is known to play.
func TestRestartOfEmptyServers(t *testing.T) {
	t.Parallel()
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		played, empty, off := w.server(), w.server(), w.server()
		w.plays(played, 1)
		w.plays(empty, 0)
		w.work()
		ask := w.ask(jobs.RestartEmpty{})
		w.until(ask.ID, soon, models.JobSucceeded)
		list := w.ofKind("server.restart")
		if len(list) != 1 || list[0].ServerID != empty.ID || list[0].UserID != "" {
			t.Fatalf("asked for %+v, want a restart of the empty server by nobody", list)
		}
		w.until(list[0].ID, soon, models.JobSucceeded)
		if w.runs("start", empty.Instance) != 1 || w.runs("stop", played.Instance)+w.runs("stop", off.Instance) != 0 {
			t.Error("another server than the empty one was restarted")
		}
		if lines := w.lines(ask.ID); !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, played.Name) && strings.Contains(l, "1 on it") }) {
			t.Errorf("the log does not say why the other was left alone:\n%s", strings.Join(lines, "\n"))
		}
	})
}

// What the doctor finds is kept; problems are no failure of the look.
func TestCheckOfTheHostIsKept(t *testing.T) {
	t.Parallel()
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		check := func(level ctl.Level, title, fix string) ctl.Event {
			return ctl.Event{Type: ctl.EventCheck, Check: &ctl.Check{Key: title, Level: level, Title: title, Text: "was looked at", Fix: fix}}
		}
		w.plan("doctor", act{
			Events:  []ctl.Event{check(ctl.LevelOK, "Kernel", ""), check(ctl.LevelProblem, "steamcmd", "apt-get install steamcmd")},
			Codes:   []int{92, 70},
			Message: "servers cannot run here yet: there is a problem with steamcmd",
		})
		w.work()
		j := w.until(w.ask(jobs.CheckHost{}).ID, soon, models.JobSucceeded)
		if len(j.Notices) != 1 || !strings.Contains(j.Notices[0], "cannot run here") {
			t.Errorf("the notices are %q", j.Notices)
		}
		host, err := models.HostByName(context.Background(), s.DB, models.LocalHost)
		if err != nil || len(host.Doctor.Checks) != 2 || host.Doctor.Checks[1].Fix == "" || host.DoctorAt.IsZero() {
			t.Fatalf("the host is %+v, %v", host, err)
		}
		w.until(w.ask(jobs.CheckHost{}).ID, soon, models.JobFailed)
		after, err := models.HostByName(context.Background(), s.DB, models.LocalHost)
		if err != nil || !after.DoctorAt.Equal(host.DoctorAt) {
			t.Errorf("a check that failed was kept: %+v, %v", after, err)
		}
	})
}

// What was missed is served late once, or passed over, as the schedule says.
func TestMissedTicks(t *testing.T) {
	t.Parallel()
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		ctx, w := context.Background(), newWorld(t, s)
		missed := time.Now().Add(-2 * time.Hour)
		for _, name := range []string{"game.check", "server.restart_empty"} {
			sch, err := models.ScheduleByName(ctx, s.DB, models.LocalHost, name)
			if err != nil {
				t.Fatal(err)
			}
			sch.Hour, sch.Minute, sch.Enabled = missed.Hour(), missed.Minute(), true
			if err := models.EditSchedule(ctx, s.DB, sch, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		err := s.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewUpdate().Model((*models.Schedule)(nil)).Set("last_at = ?", models.Now().Add(-72*time.Hour)).Where("name IN ('game.check', 'server.restart_empty')").Exec(ctx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		w.work()
		testenv.Eventually(t, 2*soon, "the ticks were taken and the look noted", func() bool {
			list, err := models.Schedules(ctx, s.DB, models.LocalHost)
			if err != nil {
				t.Fatal(err)
			}
			return !slices.ContainsFunc(list, func(s models.Schedule) bool {
				return s.SeenAt.IsZero() || s.Enabled && s.LastAt.Before(s.Tick(time.Now()))
			})
		})
		if n := len(w.ofKind("game.check")); n != 1 {
			t.Errorf("what is caught up with was asked for %d times, want once", n)
		}
		if n := len(w.ofKind("server.restart_empty")); n != 0 {
			t.Errorf("what is passed over was asked for %d times", n)
		}
	})
}
