package hostops

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
)

// fakeSupervisor plays a supervisor whose games do what the test says: the real
// one cannot be told to print an odd line at the right moment.
type fakeSupervisor struct {
	mu     sync.Mutex
	games  map[string]supervisor.Instance
	lines  map[string][]supervisor.LogLine
	grown  chan struct{} // closed and renewed with every line
	calls  []string
	launch func(supervisor.Launch) error
}

func newFake() *fakeSupervisor {
	return &fakeSupervisor{
		games: map[string]supervisor.Instance{}, lines: map[string][]supervisor.LogLine{}, grown: make(chan struct{}),
	}
}

func (f *fakeSupervisor) set(name string, i supervisor.Instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i.Since.IsZero() {
		i.Since = time.Now()
	}
	f.games[name] = i
}

func (f *fakeSupervisor) print(name string, texts ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, text := range texts {
		f.lines[name] = append(f.lines[name], supervisor.LogLine{
			Cursor: string(rune('a' + len(f.lines[name]))), At: time.Now(), Text: text,
		})
	}
	close(f.grown)
	f.grown = make(chan struct{})
}

func (f *fakeSupervisor) called(call string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.calls, call)
}

func (f *fakeSupervisor) Start(_ context.Context, l supervisor.Launch) error {
	f.mu.Lock()
	f.calls = append(f.calls, "start "+l.Name)
	act := f.launch
	f.mu.Unlock()
	applied := l.Applied
	f.set(l.Name, supervisor.Instance{State: ctl.ServerRunning, PID: 4711, Applied: &applied})
	if act != nil {
		return act(l)
	}
	return nil
}

func (f *fakeSupervisor) Stop(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, "stop "+name)
	if i, ok := f.games[name]; ok {
		i.State = ctl.ServerStopped
		f.games[name] = i
	}
	return nil
}

func (f *fakeSupervisor) Status(_ context.Context, name string) (supervisor.Instance, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i, ok := f.games[name]; ok {
		return i, nil
	}
	return supervisor.Instance{State: ctl.ServerStopped}, nil
}

func (f *fakeSupervisor) Stamp(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("%+v", f.games[name])
}

func (f *fakeSupervisor) Purge(context.Context, string) error { return nil }

func (f *fakeSupervisor) Logs(ctx context.Context, name string, o supervisor.LogOptions, each func(supervisor.LogLine) error) error {
	next := -1
	for {
		f.mu.Lock()
		all, grown := slices.Clone(f.lines[name]), f.grown
		f.mu.Unlock()
		if next < 0 {
			next = max(len(all)-o.Lines, 0)
			for i, l := range all {
				if o.After != "" && l.Cursor == o.After {
					next = i + 1
				}
			}
		}
		for ; next < len(all); next++ {
			if err := each(all[next]); err != nil {
				return err
			}
		}
		if !o.Follow {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// recorder collects events.
type recorder struct {
	mu     sync.Mutex
	events []ctl.Event
	grown  chan struct{}
}

func newRecorder() *recorder { return &recorder{grown: make(chan struct{}, 1)} }

func (r *recorder) emit(e ctl.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	select {
	case r.grown <- struct{}{}:
	default:
	}
}

func (r *recorder) all() []ctl.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func (r *recorder) text() string {
	var b strings.Builder
	for _, e := range r.all() {
		b.WriteString(e.Text + "\n")
	}
	return b.String()
}

// wait returns the first event that is wanted.
func (r *recorder) wait(t *testing.T, what string, wanted func(ctl.Event) bool) ctl.Event {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		for _, e := range r.all() {
			if wanted(e) {
				return e
			}
		}
		select {
		case <-r.grown:
		case <-deadline:
			t.Fatalf("%s never came; there were %+v", what, r.all())
		}
	}
}

// newHost is a host with a complete installation and a fake supervisor.
func newHost(t *testing.T) (*Host, *fakeSupervisor, *recorder) {
	t.Helper()
	fake, rec := newFake(), newRecorder()
	h := &Host{Root: t.TempDir(), Supervisor: fake, Emit: rec.emit, Verb: "test"}
	for name, text := range map[string]string{
		"installation/srcds_linux":                      "x",
		"installation/left4dead2/steam.inf":             "x",
		"installation/steamapps/appmanifest_222860.acf": "\"AppState\"\n{\n\"StateFlags\" \"4\"\n\"buildid\" \"12\"\n}\n",
	} {
		writeFile(t, h.path(name), text)
	}
	return h, fake, rec
}
