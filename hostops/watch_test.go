package hostops

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
)

// state waits for an event that tells a server's state.
func state(t *testing.T, rec *recorder, name string, want ctl.ServerState) ctl.Event {
	t.Helper()
	return rec.wait(t, name+" "+string(want), func(e ctl.Event) bool {
		return e.Type == ctl.EventState && e.Status.Name == name && e.Status.State == want
	})
}

func TestWatchTellsChangesOnce(t *testing.T) {
	h, fake, rec := newHost(t)
	port := freePort(t)
	initialise(t, h, "friday", port)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- h.Watch(ctx) }()
	state(t, rec, "friday", ctl.ServerStopped)

	fake.set("friday", supervisor.Instance{State: ctl.ServerRunning, PID: 1, Memory: 1})
	state(t, rec, "friday", ctl.ServerStarting)
	fake.print("friday", "---- Host_NewGame ----")
	running := state(t, rec, "friday", ctl.ServerRunning)
	if running.Status.Grade != ctl.GradeMap || running.Status.Live != nil || running.Status.Port != port {
		t.Errorf("a map that loads is %+v", running.Status)
	}
	fake.set("friday", supervisor.Instance{State: ctl.ServerFailed, Exit: &ctl.Exit{Code: 139, Signal: "SIGSEGV"}, Message: "It crashed."})
	failed := state(t, rec, "friday", ctl.ServerFailed)
	if failed.Status.Message != "It crashed." || failed.Status.Exit.Signal != "SIGSEGV" {
		t.Errorf("a crash is %+v", failed.Status)
	}
	if err := os.RemoveAll(h.path(dirInstances, "friday")); err != nil {
		t.Fatal(err)
	}
	fake.set("friday", supervisor.Instance{State: ctl.ServerStopped})
	state(t, rec, "friday", ctl.ServerAbsent)
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	told := map[ctl.ServerState]int{}
	for _, e := range rec.all() {
		if e.Type == ctl.EventState {
			told[e.Status.State]++
		}
	}
	for _, s := range []ctl.ServerState{ctl.ServerStopped, ctl.ServerStarting, ctl.ServerRunning, ctl.ServerFailed, ctl.ServerAbsent} {
		if told[s] != 1 {
			t.Errorf("%s was told %d times: %v", s, told[s], told)
		}
	}
}

func TestTellRepeatsOnlyWhatMatters(t *testing.T) {
	h, _, rec := newHost(t)
	w := &watcher{h: h, name: "friday"}
	st := ctl.Status{Name: "friday", State: ctl.ServerRunning, Live: &ctl.Live{Players: 1, Names: []ctl.Player{{Name: "a", Ping: 5, Connected: 1}}}}
	tell := func(want int) {
		t.Helper()
		w.tell(st)
		if got := len(rec.all()); got != want {
			t.Errorf("%d events, want %d", got, want)
		}
	}
	tell(1)
	st.Memory = 7
	st.Live = &ctl.Live{At: time.Now(), Players: 1, Names: []ctl.Player{{Name: "a", Ping: 90, Connected: 61}}}
	tell(1)
	st.Live.Names[0].Name = "b"
	tell(2)
	w.toldAt = time.Now().Add(-watchBeat)
	tell(3) // a sign of life
}

func TestOneLostReplyIsNoDeath(t *testing.T) {
	w := &watcher{live: &ctl.Live{Players: 3}}
	for i := range watchMisses {
		if w.live == nil {
			t.Errorf("forgotten after %d lost replies", i)
		}
		w.misses++
		w.forget()
	}
	if w.live != nil {
		t.Errorf("still believed after %d lost replies", watchMisses)
	}
}

func TestWatchSaysWhatItCannotFindOut(t *testing.T) {
	h, _, rec := newHost(t)
	initialise(t, h, "friday", freePort(t))
	h.Supervisor = brokenSupervisor{h.Supervisor}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- h.Watch(ctx) }()
	unknown := state(t, rec, "friday", ctl.ServerUnknown)
	if unknown.Status.Message != "the supervisor is on holiday" {
		t.Errorf("got %+v", unknown.Status)
	}
	cancel()
	<-ended
}

type brokenSupervisor struct{ supervisor.Supervisor }

func (brokenSupervisor) Status(context.Context, string) (supervisor.Instance, error) {
	return supervisor.Instance{}, errors.New("the supervisor is on holiday")
}
