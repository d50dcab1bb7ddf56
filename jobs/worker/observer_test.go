package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/internal/testenv"
	"left4me/jobs"
	"left4me/models"
)

// watched has the fake l4d2ctl's watch tell a status, with a time of its own so that a
// game's list of people is a new one.
func (w *world) watched(s ctl.Status) {
	w.t.Helper()
	now := time.Now().UTC()
	if s.Since.IsZero() {
		s.Since = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	}
	if s.Live != nil {
		s.Live.At, s.Live.NamesAt = now, now
	}
	f, err := os.OpenFile(filepath.Join(w.dir, "watch"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(ctl.Encode(ctl.Event{Type: ctl.EventState, At: now, Status: &s})); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) seenRow(id string) *models.Server {
	w.t.Helper()
	s, err := models.ServerByID(context.Background(), w.s.DB, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func running(name string, cpu int, players ...ctl.Player) ctl.Status {
	return ctl.Status{
		Name: name, State: ctl.ServerRunning, Grade: ctl.GradeSteam, PID: 1, CPU: cpu, Memory: 600 << 20, Applied: &ctl.Applied{Spec: "sum"},
		Live: &ctl.Live{Map: "c1m1_hotel", Players: len(players), Max: 8, Mode: "versus", Public: "198.51.100.1:27015", Names: players},
	}
}

func TestObservedChangesAreStoredAndTold(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		srv, other := w.server(), w.server()
		hub := jobs.NewHub(s.Redis, testenv.Log())
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		go hub.Run(ctx)
		page, quiet := hub.Subscribe(jobs.TopicServer(srv.ID)), hub.Subscribe(jobs.TopicServer(other.ID))
		defer page.Close()
		defer quiet.Close()
		testenv.Eventually(t, 10*time.Second, "the hub listens", func() bool {
			_ = jobs.Publish(ctx, s.Redis, jobs.Message{Topics: []string{jobs.TopicServer(srv.ID)}})
			select {
			case <-page.Messages():
				return true
			case <-time.After(20 * time.Millisecond):
				return false
			}
		})
		w.work()
		w.watched(ctl.Status{Name: "nobody-knows-it", State: ctl.ServerRunning})
		w.watched(running(srv.Instance, 200))
		testenv.Eventually(t, 10*time.Second, "the row has it", func() bool {
			r := w.seenRow(srv.ID)
			return r.Observed == models.ServerRunning && r.Status.Live != nil && r.Status.CPU == 200 &&
				r.Status.Spec == "sum" && r.Status.Live.Mode == "versus" && r.Status.Live.Public != ""
		})
		deadline := time.After(10 * time.Second)
		for told := false; !told; {
			select {
			case m := <-page.Messages():
				told = m.Change
			case <-deadline:
				t.Fatal("the change was told to nobody")
			}
		}
		if len(quiet.Messages()) != 0 {
			t.Error("a change of one server was told to another's page")
		}
		seen := w.seenRow(srv.ID)
		w.watched(running(srv.Instance, 210)) // a sign of life
		testenv.Eventually(t, 20*time.Second, "a sign of life is noted", func() bool { return w.seenRow(srv.ID).ObservedAt.After(seen.ObservedAt) })
		if r := w.seenRow(srv.ID); r.Status.CPU != 200 {
			t.Errorf("a sign of life wrote the row anew (CPU %d)", r.Status.CPU)
		}
		if len(page.Messages()) != 0 {
			t.Errorf("a sign of life was told to pages: %+v", <-page.Messages())
		}
	})
}

func TestHistoryIsKept(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		srv := w.server()
		w.work()
		stays := func() string {
			list, err := models.PlayerSessions(context.Background(), s.DB, models.PlayerFilter{ServerID: srv.ID}, 10, "")
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, p := range list {
				out = append(out, fmt.Sprintf("%s %s %v", p.SteamID, p.Name, p.Here()))
			}
			return strings.Join(out, ", ")
		}
		samples := func() string {
			var list []models.ServerSample
			if err := s.DB.NewSelect().Model(&list).Where("server_id = ?", srv.ID).OrderExpr("at").Scan(context.Background()); err != nil {
				t.Fatal(err)
			}
			var out []string
			for i, p := range list {
				if i > 0 && !p.At.Equal(list[i-1].Until) {
					t.Errorf("sample %d begins at %s, the one before ended at %s", i, p.At, list[i-1].Until)
				}
				out = append(out, fmt.Sprintf("%d on %s, cpu %d, %d MB", p.Players, p.Map, p.CPU, p.Memory>>20))
			}
			return strings.Join(out, "; ")
		}
		is := func(what, wantStays, wantSamples string) {
			t.Helper()
			testenv.Eventually(t, 20*time.Second, what, func() bool { return stays() == wantStays && samples() == wantSamples })
		}
		nick := ctl.Player{Name: "Nick", SteamID: "76561197984957085", Connected: 60, Ping: 30}
		w.watched(running(srv.Instance, 220, nick))
		is("Nick is on it", "76561197984957085 Nick true", "1 on c1m1_hotel, cpu 200, 608 MB")
		w.watched(running(srv.Instance, 20))
		is("Nick went", "76561197984957085 Nick false", "1 on c1m1_hotel, cpu 200, 608 MB; 0 on c1m1_hotel, cpu 0, 608 MB")
		w.watched(running(srv.Instance, 220, nick))
		is("Nick is back", "76561197984957085 Nick true, 76561197984957085 Nick false",
			"1 on c1m1_hotel, cpu 200, 608 MB; 0 on c1m1_hotel, cpu 0, 608 MB; 1 on c1m1_hotel, cpu 200, 608 MB")
		w.watched(ctl.Status{Name: srv.Instance, State: ctl.ServerStopped})
		is("it stopped", "76561197984957085 Nick false, 76561197984957085 Nick false",
			"1 on c1m1_hotel, cpu 200, 608 MB; 0 on c1m1_hotel, cpu 0, 608 MB; 1 on c1m1_hotel, cpu 200, 608 MB")
	})
}

// 200 servers that say each few seconds that they live cost a statement now and then,
// not one each.
func TestSignsOfLifeAreStoredTogether(t *testing.T) {
	w := newWorld(t, testenv.EmbeddedPair(t))
	list := make([]*models.Server, 40)
	for i := range list {
		list[i] = w.server()
	}
	w.work()
	all := func() (oldest time.Time, up int) {
		oldest = time.Now()
		for _, srv := range list {
			r := w.seenRow(srv.ID)
			if r.ObservedAt.Before(oldest) {
				oldest = r.ObservedAt
			}
			if r.Observed == models.ServerRunning {
				up++
			}
		}
		return oldest, up
	}
	for _, srv := range list {
		w.watched(running(srv.Instance, 0))
	}
	testenv.Eventually(t, 20*time.Second, "all are up", func() bool { _, up := all(); return up == len(list) })
	before, _ := all()
	for _, srv := range list {
		w.watched(running(srv.Instance, 0))
	}
	testenv.Eventually(t, 20*time.Second, "all were seen again", func() bool { oldest, _ := all(); return oldest.After(before) })
	times := map[time.Time]bool{}
	for _, srv := range list {
		times[w.seenRow(srv.ID).ObservedAt] = true
	}
	if len(times) > 3 {
		t.Errorf("40 signs of life were stored at %d different times", len(times))
	}
}

// hostHas has the fake l4d2ctl's status tell what the host has.
func (w *world) hostHas(list ...ctl.Status) {
	w.t.Helper()
	raw, err := json.Marshal(list)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "status"), raw, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func TestAttack29ServersThatAreToRunComeBack(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		tests := map[string]struct {
			desired models.ServerState
			state   ctl.ServerState // "" for none on the host
			lost    bool
			job     func(srv *models.Server)
			back    bool
		}{
			"stopped":                        {models.ServerRunning, ctl.ServerStopped, false, nil, true},
			"not on the host":                {models.ServerRunning, "", false, nil, true},
			"down since the boot":            {models.ServerRunning, ctl.ServerFailed, true, nil, true},
			"crashed too often":              {models.ServerRunning, ctl.ServerFailed, false, nil, false},
			"it runs":                        {models.ServerRunning, ctl.ServerRunning, false, nil, false},
			"nobody can tell":                {models.ServerRunning, ctl.ServerUnknown, false, nil, false},
			"meant to be stopped":            {models.ServerStopped, ctl.ServerStopped, false, nil, false},
			"a job has it":                   {models.ServerRunning, ctl.ServerStopped, false, func(srv *models.Server) { w.ask(jobs.ApplyBlueprint{ServerID: srv.ID}) }, false},
			"its start failed a moment ago":  {models.ServerRunning, ctl.ServerStopped, false, func(srv *models.Server) { w.ended(srv, models.JobFailed, time.Minute) }, false},
			"its start failed an hour ago":   {models.ServerRunning, ctl.ServerStopped, false, func(srv *models.Server) { w.ended(srv, models.JobFailed, time.Hour) }, true},
			"it was started before the boot": {models.ServerRunning, ctl.ServerFailed, true, func(srv *models.Server) { w.ended(srv, models.JobSucceeded, time.Minute) }, true},
		}
		servers := map[string]*models.Server{}
		var host []ctl.Status
		for name, test := range tests {
			srv := w.server()
			servers[name] = srv
			if err := models.SetDesired(context.Background(), s.DB, srv.ID, test.desired); err != nil {
				t.Fatal(err)
			}
			if test.state != "" {
				host = append(host, ctl.Status{Name: srv.Instance, State: test.state, Lost: test.lost, Since: time.Now()})
			}
			if test.job != nil {
				test.job(srv)
			}
		}
		w.hostHas(host...)
		w.plan("apply", act{Hold: true})
		w.plan("initialize", act{Hold: true}) // applying goes by it too
		started := func(srv *models.Server) (asked []models.Job) {
			list, err := models.Jobs(context.Background(), s.DB, models.JobFilter{User: w.user, ServerID: srv.ID, Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			for _, j := range list {
				if strings.Contains(j.Title, "it was down when the worker began") {
					asked = append(asked, j)
				}
			}
			return asked
		}
		for round := range 2 { // a worker that begins again asks for nothing twice
			stop := w.work()
			var due []time.Time
			for name, test := range tests {
				want := 0
				if test.back {
					want = 1
					testenv.Eventually(t, 20*time.Second, name, func() bool { return len(started(servers[name])) == 1 })
					due = append(due, started(servers[name])[0].RunAfter)
				}
				if got := started(servers[name]); len(got) != want {
					t.Errorf("round %d: %s: asked for %d times, want %d", round, name, len(got), want)
				}
			}
			for i := range due {
				for j := range i {
					if round > 0 {
						break // the worker that stopped gave jobs back, which are due at once
					}
					if apart := due[i].Sub(due[j]).Abs(); apart < 2*time.Second {
						t.Errorf("two starts are only %s apart", apart)
					}
				}
			}
			stop()
		}
	})
}

// ended leaves a start of the server that ended some time ago.
func (w *world) ended(srv *models.Server, state models.JobState, ago time.Duration) {
	w.t.Helper()
	ctx := context.Background()
	j := w.ask(jobs.StartServer{ServerID: srv.ID})
	at := models.Now().Add(-ago)
	_, err := w.s.DB.NewUpdate().Model((*models.Job)(nil)).Set("state = ?", state).Set("finished_at = ?", at).Where("id = ?", j.ID).Exec(ctx)
	if err == nil {
		_, err = w.s.DB.NewDelete().Model((*models.JobResource)(nil)).Where("job_id = ?", j.ID).Exec(ctx)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// What the host lost while no worker ran is not shown as running for ever.
func TestAttack29ServersThatTheHostLostAreAbsent(t *testing.T) {
	w := newWorld(t, testenv.EmbeddedPair(t))
	ctx, srv := context.Background(), w.server()
	_, _, err := models.Observe(ctx, w.s.DB, models.Observation{Host: models.LocalHost, Instance: srv.Instance, State: models.ServerRunning})
	if err != nil {
		t.Fatal(err)
	}
	w.work()
	testenv.Eventually(t, 20*time.Second, "it is absent", func() bool { return w.seenRow(srv.ID).Observed == models.ServerAbsent })
}

// A database that is away for a while delays what is observed and loses nothing of how
// things are in the end.
func TestAttack29WhatIsObservedWhileTheDatabaseIsAway(t *testing.T) {
	w := newWorld(t, testenv.ServerPair(t))
	srv, other := w.server(), w.server()
	w.work()
	w.watched(running(srv.Instance, 0))
	testenv.Eventually(t, 20*time.Second, "it runs", func() bool { return w.seenRow(srv.ID).Observed == models.ServerRunning })
	resume := testenv.PausePostgres(t)
	w.watched(running(other.Instance, 0))
	w.watched(ctl.Status{Name: srv.Instance, State: ctl.ServerFailed, Message: "It crashed."})
	time.Sleep(2 * time.Second) // that long it is away
	resume()
	testenv.Eventually(t, 40*time.Second, "both are known", func() bool {
		return w.seenRow(srv.ID).Observed == models.ServerFailed && w.seenRow(other.ID).Observed == models.ServerRunning
	})
}
