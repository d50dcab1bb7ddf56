//go:build system

package systemtest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor/suitetest"
)

// simulateSteam gives the host an unpacked steamcmd that is steamsim, and no game.
func simulateSteam(t testing.TB) {
	t.Helper()
	for _, dir := range []string{"installation", "steam"} {
		entries, err := filepath.Glob(filepath.Join(stateRoot, dir, "*"))
		hidden, herr := filepath.Glob(filepath.Join(stateRoot, dir, ".[a-z]*"))
		if err != nil || herr != nil {
			t.Fatal(err, herr)
		}
		for _, path := range append(entries, hidden...) {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	sh(t, asLeft4me(steamsim, "link", filepath.Join(stateRoot, "steam"), "--speed", "fast")...)
	control := `{"speed": 30, "steamcmd": {}, "srcds": {"seed": 7}}`
	if err := os.WriteFile(filepath.Join(stateRoot, "steam", "steamsim.json"), []byte(control), 0o644); err != nil {
		t.Fatal(err)
	}
}

// initialise makes a server and deletes it at the end of the test.
func initialise(t testing.TB, name string, port int) {
	t.Helper()
	spec := filepath.Join(t.TempDir(), "spec.yaml")
	text := fmt.Sprintf("port: %d\noverlays: []\narguments: [\"+map\", \"c1m1_hotel versus\"]\nhostname: 'Friday \"versus\" ; $(id)'\nrcon_password: \"correcthorse\"\n", port)
	suitetest.Write(t, spec, text)
	for dir := filepath.Dir(spec); dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l4d2ctl(t, "initialize", name, "-f", spec)
}

func status(t testing.TB, name string) ctl.Status {
	t.Helper()
	var st ctl.Status
	if err := json.Unmarshal([]byte(l4d2ctl(t, "status", name, "--json")), &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// The seven verbs on a host, all as user left4me with NoNewPrivileges, with a
// game that behaves like the real one.
func TestServerOnTheShell(t *testing.T) {
	simulateSteam(t)
	before := atRest(t)
	if out := l4d2ctl(t, "install"); !strings.Contains(out, "Success! App '222860' fully installed.") {
		t.Errorf("install says:\n%s", out)
	}
	initialise(t, "friday", 27015)
	if out := l4d2ctl(t, "start", "friday"); !strings.Contains(out, "Server friday is running on port 27015") {
		t.Errorf("start says:\n%s", out)
	}
	st := status(t, "friday")
	if st.State != ctl.ServerRunning || st.PID == 0 || st.Live == nil || st.Live.Hostname != `Friday "versus" ; $(id)` || st.Memory == 0 {
		t.Errorf("status %+v", st)
	}
	checkRights(t, st.PID)
	if out := l4d2ctl(t, "logs", "friday", "--lines", "500", "--no-follow"); !strings.Contains(out, "Host_NewGame on map c1m1_hotel") {
		t.Errorf("the log is:\n%s", out)
	}
	// As root it becomes left4me first, and may read the journal all the same.
	if out := sh(t, "l4d2ctl", "logs", "friday", "--lines", "500", "--no-follow"); !strings.Contains(out, "Host_NewGame") {
		t.Errorf("the log for root is:\n%s", out)
	}
	if out, err := try(asLeft4me("l4d2ctl", "install")...); err == nil || !strings.Contains(out, "friday") {
		t.Errorf("an installation under a running server: %v\n%s", err, out)
	}
	l4d2ctl(t, "stop", "friday")
	if st := status(t, "friday"); st.State != ctl.ServerStopped || st.Exit == nil || st.Exit.Signal == "SIGKILL" {
		t.Errorf("after stop: %+v, exit %+v", st, st.Exit)
	}
	l4d2ctl(t, "reset", "friday")
	if _, err := os.Lstat(filepath.Join(stateRoot, "runtime", "friday")); !os.IsNotExist(err) {
		t.Errorf("after reset runtime/friday is there: %v", err)
	}
	l4d2ctl(t, "start", "friday")
	l4d2ctl(t, "delete", "friday") // stops it, too
	if st := status(t, "friday"); st.State != ctl.ServerAbsent {
		t.Errorf("after delete: %+v", st)
	}
	for _, dir := range []string{"instances", "runtime"} {
		if _, err := os.Lstat(filepath.Join(stateRoot, dir, "friday")); !os.IsNotExist(err) {
			t.Errorf("%s/friday is left: %v", dir, err)
		}
	}
	checkLeft(t, before)
}

// checkRights reads what the kernel says a game may do.
func checkRights(t *testing.T, pid int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, want := range []string{fmt.Sprintf("Uid:\t%d\t", uidOf(t, "l4d2")), "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(text, want) {
			t.Errorf("the game's process has no %q:\n%s", want, text)
		}
	}
}

// kill -9 of the game, or of the init above it, and it is up again; killed again
// and again, it is given up, with the reason, and can be started anew.
func TestKilledGameIsRestarted(t *testing.T) {
	simulateSteam(t)
	before := atRest(t)
	l4d2ctl(t, "install")
	initialise(t, "killed", 27016)
	l4d2ctl(t, "start", "killed")
	for n, victim := range []string{"game", "init", "game"} {
		st := status(t, "killed")
		pid := st.PID
		if victim == "init" {
			pid = mainPID(t, "killed")
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		suitetest.Eventually(t, "it runs again", func() bool {
			now := status(t, "killed")
			return now.State == ctl.ServerRunning && now.PID != st.PID && now.Restarts == n+1
		})
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("it took %s", took)
		}
	}
	if err := syscall.Kill(status(t, "killed").PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var st ctl.Status
	suitetest.Eventually(t, "it is given up", func() bool { st = status(t, "killed"); return st.State == ctl.ServerFailed })
	if !strings.Contains(st.Message, "started 4 times within 5") || !strings.Contains(st.Message, "SIGKILL") || st.Restarts != 3 {
		t.Errorf("%+v", st)
	}
	l4d2ctl(t, "start", "killed")
	if st := status(t, "killed"); st.State != ctl.ServerRunning || st.Restarts != 0 {
		t.Errorf("started anew: %+v", st)
	}
	l4d2ctl(t, "delete", "killed")
	checkLeft(t, before)
}

func mainPID(t testing.TB, name string) int {
	t.Helper()
	var pid int
	if _, err := fmt.Sscan(sh(t, "systemctl", "show", "--value", "-p", "MainPID", "left4me-server@"+name), &pid); err != nil || pid == 0 {
		t.Fatalf("no main process: %v", err)
	}
	return pid
}
