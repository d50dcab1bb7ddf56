package e2e

import (
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/internal/testenv"
)

// What a person wants to run comes back when left4me begins: after its server was
// stopped behind its back, and after everything of it was killed, as by a reboot. What
// is meant to be stopped stays so, and a game that crashes comes back by its keeper
// and tells why.
func TestServersComeBack(t *testing.T) {
	s := newSite(t, true)
	s.script(`{"speed": "instant"}`)
	s.run("l4d2ctl", "install")
	up := s.up()
	s.signIn()
	stopped, killed, off := s.makeServer("Stopped", "", "", ""), s.makeServer("Killed", "", "", ""), s.makeServer("Off", "", "", "")
	for _, instance := range []string{stopped, killed, off} {
		s.post("/servers/"+instance+"/start", url.Values{})
	}
	running := func(instance string) {
		t.Helper()
		testenv.Eventually(t, time.Minute, instance+" runs", func() bool { return s.status(instance).State == ctl.ServerRunning })
	}
	for _, instance := range []string{stopped, killed, off} {
		running(instance)
	}
	s.idle()
	s.post("/servers/"+off+"/stop", url.Values{})
	testenv.Eventually(t, time.Minute, "it stopped", func() bool { return s.status(off).State == ctl.ServerStopped })
	s.idle()

	stop(up)
	s.run("l4d2ctl", "stop", stopped)
	keeper := parentOf(t, s.status(killed).PID)
	if err := syscall.Kill(keeper, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, time.Minute, "its keeper is gone", func() bool { return s.status(killed).Lost })
	s.up()
	s.signIn()
	running(stopped)
	running(killed)
	for _, instance := range []string{stopped, killed} {
		testenv.Eventually(t, time.Minute, "its jobs say why", func() bool {
			_, page := s.get("/servers/" + instance + "/jobs")
			return strings.Contains(page, "it was down when the worker began")
		})
	}
	if st := s.status(off); st.State != ctl.ServerStopped {
		t.Errorf("what was to be stopped is %s", st.State)
	}
	s.idle()
	if err := syscall.Kill(s.status(stopped).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, time.Minute, "its page tells of the crash", func() bool {
		_, page := s.get("/servers/" + stopped)
		return strings.Contains(page, "The game crashed") && strings.Contains(page, "SIGKILL")
	})
}

// parentOf is the process that started another one.
func parentOf(t *testing.T, pid int) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(line, "PPid:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(v))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("process %d has no parent", pid)
	return 0
}
