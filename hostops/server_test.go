package hostops

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/servercfg"
	"left4me/hostops/supervisor"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// freePort is one that nobody has for UDP and TCP right now.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if bindBoth(t.Context(), port) == nil && port >= minPort {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func initialise(t *testing.T, h *Host, name string, port int) {
	t.Helper()
	spec := fmt.Sprintf("port: %d\nrcon_password: secret1234\n", port)
	if _, err := h.Initialize(t.Context(), name, "spec", strings.NewReader(spec)); err != nil {
		t.Fatal(err)
	}
}

func TestStartStopsAGameOnAnotherPort(t *testing.T) {
	h, fake, _ := newHost(t)
	port := freePort(t)
	initialise(t, h, "friday", port)
	fake.launch = func(supervisor.Launch) error {
		fake.print("friday", fmt.Sprintf("Network: IP 192.0.2.1, mode MP, dedicated Yes, ports %d SV / 0 CL", port+1))
		return nil
	}
	_, err := h.Start(t.Context(), "friday", time.Minute)
	if !errors.Is(err, ctl.ErrPortTaken) || !strings.Contains(err.Error(), fmt.Sprintf("took port %d although it was told %d", port+1, port)) {
		t.Errorf("got %v", err)
	}
	if !fake.called("stop friday") {
		t.Error("the game was left running on the wrong port")
	}
}

func TestStartTellsWhyAGameDied(t *testing.T) {
	tests := map[string]struct {
		line string
		inst supervisor.Instance
		want string
	}{
		"by a signal":    {"Server is hibernating", supervisor.Instance{State: ctl.ServerFailed, Exit: &ctl.Exit{Code: 139, Signal: "SIGSEGV"}}, `by the signal SIGSEGV. Its last line was "Server is hibernating"`},
		"port":           {"Couldn't allocate any server IP port", supervisor.Instance{State: ctl.ServerFailed, Exit: &ctl.Exit{Code: 1}}, "with exit code 1: it could not bind its port"},
		"steamclient":    {"dlopen failed trying to load: /x/steamclient.so with error: /x: cannot open shared object file", supervisor.Instance{State: ctl.ServerFailed, Exit: &ctl.Exit{Code: 139, Signal: "SIGSEGV"}}, "it did not find steamclient.so"},
		"its supervisor": {"x", supervisor.Instance{State: ctl.ServerFailed, Message: "The keeper was killed."}, "The keeper was killed."},
		"by itself":      {"x", supervisor.Instance{State: ctl.ServerStopped, Exit: &ctl.Exit{}, Message: "It ended by itself."}, "with exit code 0: It ended by itself."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h, fake, rec := newHost(t)
			initialise(t, h, "friday", freePort(t))
			fake.launch = func(supervisor.Launch) error {
				fake.print("friday", tt.line)
				fake.set("friday", tt.inst)
				return nil
			}
			_, err := h.Start(t.Context(), "friday", time.Minute)
			if !errors.Is(err, ctl.ErrGameFailed) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %q", err, tt.want)
			}
			if !strings.Contains(rec.text(), tt.line) {
				t.Error("the game's last line was not passed on")
			}
		})
	}
}

func TestStartThatIsStoppedMeanwhile(t *testing.T) {
	h, fake, _ := newHost(t)
	initialise(t, h, "friday", freePort(t))
	fake.launch = func(supervisor.Launch) error {
		fake.set("friday", supervisor.Instance{State: ctl.ServerStopped})
		return nil
	}
	if _, err := h.Start(t.Context(), "friday", time.Minute); !errors.Is(err, ctl.ErrCancelled) {
		t.Errorf("got %v", err)
	}
}

func TestStartIgnoresLinesOfAnEarlierRun(t *testing.T) {
	h, fake, rec := newHost(t)
	port := freePort(t)
	initialise(t, h, "friday", port)
	fake.print("friday", fmt.Sprintf("Network: IP 192.0.2.1, mode MP, dedicated Yes, ports %d SV / 0 CL", port+1), "old line")
	notices, err := h.Start(t.Context(), "friday", 300*time.Millisecond)
	if err != nil || len(notices) != 1 || !strings.Contains(notices[0], "did not answer RCON within 300ms") {
		t.Errorf("got %q, %v", notices, err)
	}
	if strings.Contains(rec.text(), "old line") {
		t.Error("a line of the run before was shown as one of this start")
	}
	if fake.called("stop friday") {
		t.Error("a slow game was stopped")
	}
}

func TestCancelledStartIsUndone(t *testing.T) {
	h, fake, _ := newHost(t)
	initialise(t, h, "friday", freePort(t))
	ctx, cancel := context.WithCancel(t.Context())
	fake.launch = func(supervisor.Launch) error { cancel(); return nil }
	if _, err := h.Start(ctx, "friday", time.Minute); !errors.Is(err, ctl.ErrCancelled) {
		t.Errorf("got %v", err)
	}
	if !fake.called("stop friday") {
		t.Error("the game still runs")
	}
}

func TestStartMasksThePassword(t *testing.T) {
	h, fake, rec := newHost(t)
	initialise(t, h, "friday", freePort(t))
	fake.launch = func(supervisor.Launch) error {
		fake.print("friday", `"rcon_password" = "secret1234"`)
		fake.set("friday", supervisor.Instance{State: ctl.ServerFailed})
		return nil
	}
	_, err := h.Start(t.Context(), "friday", time.Minute)
	if err == nil || strings.Contains(err.Error()+rec.text(), "secret1234") || !strings.Contains(rec.text(), servercfg.Mask) {
		t.Errorf("the password shows, or its line does not: %v\n%s", err, rec.text())
	}
}

func TestStartWaitsForAGameThatIsStopping(t *testing.T) {
	h, fake, _ := newHost(t)
	initialise(t, h, "friday", freePort(t))
	fake.set("friday", supervisor.Instance{State: ctl.ServerStopping})
	if _, err := h.Start(t.Context(), "friday", time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if !fake.called("stop friday") || !fake.called("start friday") {
		t.Errorf("calls %q", fake.calls)
	}
}

func TestLocksExcludeAndShare(t *testing.T) {
	h, _, _ := newHost(t)
	release, err := h.lock(t.Context(), "x", "server x", exclusive)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.lock(t.Context(), "x", "server x", shared); !errors.Is(err, ctl.ErrBusy) || !strings.Contains(err.Error(), "server x is busy: l4d2ctl test (process") {
		t.Errorf("got %v", err)
	}
	waiting := &Host{Root: h.Root, Emit: h.Emit, Wait: 20 * time.Second}
	got := make(chan error)
	go func() {
		r, err := waiting.lock(t.Context(), "x", "server x", shared)
		if err == nil {
			r() // before it is told: whoever waits for that takes the lock next
		}
		got <- err
	}()
	release()
	if err := <-got; err != nil {
		t.Errorf("waiting for the lock: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	again, err := h.lock(t.Context(), "x", "server x", exclusive)
	if err != nil {
		t.Fatal(err)
	}
	defer again()
	why := errors.New("the operator went home")
	cancel(why)
	if _, err := waiting.lock(ctx, "x", "server x", exclusive); !errors.Is(err, why) {
		t.Errorf("a cancelled wait gave %v", err)
	}
}

func TestMarkers(t *testing.T) {
	m := markers{grade: ctl.GradeProcess}
	for _, step := range []struct {
		line  string
		grade ctl.Grade
	}{
		{"Server is hibernating", ctl.GradeProcess},
		{`say "Network: IP 1.2.3.4, mode MP, dedicated Yes, ports 1 SV / 0 CL"`, ctl.GradeProcess},
		{"Network: IP 192.0.2.10, mode MP, dedicated Yes, ports 27015 SV / 0 CL", ctl.GradePort},
		{"---- Host_NewGame ----", ctl.GradeMap},
		{"Network: IP 192.0.2.10, mode MP, dedicated Yes, ports 27015 SV / 0 CL", ctl.GradeMap},
		{"Executing dedicated server config file", ctl.GradeMap},
		{"Connection to Steam servers successful.", ctl.GradeMap},
	} {
		m.take(step.line)
		if m.grade != step.grade {
			t.Errorf("after %q the grade is %s, want %s", step.line, m.grade, step.grade)
		}
	}
	if !m.executed || !m.steam || m.port != 27015 {
		t.Errorf("at the end %+v", m)
	}
}
