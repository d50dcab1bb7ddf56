//go:build system && vm

package systemtest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
	"left4me/hostops/supervisor/suitetest"
)

// These tests are about what only a machine of its own can enforce; they run in
// the one that scripts/test-vm boots.

const cgroups = "/sys/fs/cgroup"

// TestVMIsAMachine makes sure that the tests below prove what they say.
func TestVMIsAMachine(t *testing.T) {
	if got := sh(t, "systemd-detect-virt"); got != "qemu" {
		t.Fatalf("this is %s and no emulated machine", got)
	}
	if got := read(t, "/proc/sys/kernel/osrelease"); !strings.HasPrefix(got, "6.12.") {
		t.Errorf("the kernel is %s, want Debian 13's 6.12", got)
	}
	controllers := strings.Fields(read(t, cgroups+"/cgroup.controllers"))
	for _, want := range []string{"cpu", "io", "memory", "pids"} {
		if !strings.Contains(" "+strings.Join(controllers, " ")+" ", " "+want+" ") {
			t.Errorf("no controller %s among %s", want, controllers)
		}
	}
	if out := sh(t, "systemctl", "--failed", "--no-legend", "--plain"); out != "" {
		t.Errorf("failed in the machine: %s", out)
	}
}

// The kernel has the limits that stand in the unit.
func TestVMLimits(t *testing.T) {
	if again(t) {
		return
	}
	s := beside(t)
	group := groupOf(t, "beside")
	for file, want := range map[string]string{
		"pids.max":    "256",
		"memory.max":  strconv.Itoa(3 << 30),
		"memory.high": "max", // see the unit
	} {
		if got := read(t, filepath.Join(group, file)); got != want {
			t.Errorf("%s is %s, want %s", file, got, want)
		}
	}
	suitetest.Down(t, s, "beside")
	purge(t, s, "beside")
}

// A game that forks without end gets what the unit allows and no more; the
// machine still answers, the server beside it runs on, and it can be stopped.
func TestVMForkBomb(t *testing.T) {
	if again(t) {
		return
	}
	s := beside(t)
	before := suitetest.Status(t, s, "beside")
	suitetest.Up(t, s, program(t, "bomb", "#!/bin/sh\nexec perl -e 'fork while 1'\n"))
	group := groupOf(t, "bomb")
	patiently(t, "the kernel refuses it a process", func() bool { return number(t, group, "pids.events", "max") > 0 })
	most, slowest := 0, time.Duration(0)
	for range 10 {
		n, err := strconv.Atoi(read(t, filepath.Join(group, "pids.current")))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if out := sh(t, "systemctl", "is-active", "left4me-server@beside.service"); out != "active" {
			t.Errorf("the server beside it is %s", out)
		}
		most, slowest = max(most, n), max(slowest, time.Since(began))
	}
	t.Logf("%d processes, %d forks refused; a question to systemd took at most %s", most, number(t, group, "pids.events", "max"), slowest.Round(time.Millisecond))
	if most > 256 || most < 250 {
		t.Errorf("it has %d processes, want what TasksMax=256 allows", most)
	}
	if slowest > 20*time.Second {
		t.Error("the machine does not answer any more")
	}
	began := time.Now()
	if err := s.Stop(context.Background(), "bomb"); err != nil {
		t.Errorf("stop: %v", err)
	}
	t.Logf("stopped after %s", time.Since(began).Round(time.Millisecond))
	after := suitetest.Status(t, s, "beside")
	if after.PID != before.PID || after.Restarts != 0 {
		t.Errorf("the server beside it was hit: %+v", after)
	}
	if i := suitetest.Status(t, s, "bomb"); i.PID != 0 {
		t.Errorf("it runs on: %+v", i)
	}
	purge(t, s, "bomb")
}

const fill = `perl -e '$x = "x" x 4000000; push @all, $x . $n++ while 1'`

// A game that fills memory is killed by its unit's limit and not by the machine's
// end, and is started again; one that does it again and again is given up.
func TestVMMemory(t *testing.T) {
	if os.Getenv(envUser) == "" {
		addDropIns(t, map[string]string{"left4me-server@glutton.service": "[Service]\nMemoryMax=128M\n"})
		again(t)
		log := sh(t, "journalctl", "-k", "-q", "--no-pager", "-o", "cat")
		if n := strings.Count(log, "constraint=CONSTRAINT_MEMCG"); n < 5 || strings.Contains(log, "constraint=CONSTRAINT_NONE") {
			t.Errorf("%d kills by a unit's limit, want one of the hog and four of the glutton, and none by the machine's end:\n%s", n, log)
		}
		return
	}
	s := beside(t)
	before := suitetest.Status(t, s, "beside")
	began := time.Now()
	suitetest.Up(t, s, program(t, "hog", "#!/bin/sh\n[ -e full ] && exec ./"+suitetest.GameName+" wait\n: >full\nexec "+fill+"\n"))
	patiently(t, "the hog is killed and runs again", func() bool {
		i := suitetest.Status(t, s, "hog")
		return i.Restarts == 1 && i.State == ctl.ServerRunning && i.PID != 0
	})
	t.Logf("killed at MemoryMax=3G and up again after %s", time.Since(began).Round(time.Millisecond))

	suitetest.Up(t, s, program(t, "glutton", "#!/bin/sh\nexec "+fill+"\n"))
	var i supervisor.Instance
	patiently(t, "the glutton is given up", func() bool { i = suitetest.Status(t, s, "glutton"); return i.State == ctl.ServerFailed })
	t.Log(i.Message)
	if i.Restarts != 3 || !strings.Contains(i.Message, "memory") {
		t.Errorf("%+v", i)
	}
	after := suitetest.Status(t, s, "beside")
	if after.PID != before.PID || after.Restarts != 0 {
		t.Errorf("the server beside it was hit: %+v", after)
	}
	for _, name := range []string{"hog", "glutton"} {
		suitetest.Down(t, s, name)
		purge(t, s, name)
	}
}

// When all want the processor, game servers get ten times what the rest gets.
func TestVMProcessor(t *testing.T) {
	const spin = "fork; fork; 1 while 1"
	if os.Getenv(envUser) == "" {
		sh(t, "systemd-run", "-q", "--unit=busy.service", "perl", "-e", spin)
		defer sh(t, "systemctl", "stop", "busy.service")
		again(t)
		return
	}
	s := systemd()
	addGame(t)
	suitetest.Up(t, s, program(t, "spin", "#!/bin/sh\nexec perl -e '"+spin+"'\n"))
	game, rest := groupOf(t, "spin"), cgroups+"/system.slice/busy.service"
	games, rests := number(t, game, "cpu.stat", "usage_usec"), number(t, rest, "cpu.stat", "usage_usec")
	pause(10 * time.Second) // what is measured is shares of time
	games, rests = number(t, game, "cpu.stat", "usage_usec")-games, number(t, rest, "cpu.stat", "usage_usec")-rests
	t.Logf("within 10 s: the game %.1f s, the rest %.1f s; %s", float64(games)/1e6, float64(rests)/1e6, game)
	if games < 4*rests {
		t.Error("the weights of the slices have no effect")
	}
	suitetest.Down(t, s, "spin")
	purge(t, s, "spin")
}

// beside starts a server that does nothing wrong.
func beside(t *testing.T) *supervisor.Systemd {
	t.Helper()
	addGame(t)
	s := systemd()
	suitetest.Up(t, s, suitetest.Launch("beside", "wait"))
	return s
}

// program is a server whose game is that text.
func program(t *testing.T, name, text string) supervisor.Launch {
	t.Helper()
	l := suitetest.Launch(name)
	layer := "overlays/9" + strconv.Itoa(len(name)) + "/v1"
	path := filepath.Join(stateRoot, layer, name)
	suitetest.Write(t, path, text)
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	l.Argv = []string{name}
	l.Layers = []string{layer, "installation"}
	return l
}

func groupOf(t *testing.T, name string) string {
	t.Helper()
	return cgroups + sh(t, "systemctl", "show", "--value", "-p", "ControlGroup", "left4me-server@"+name+".service")
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// number is what stands behind a key in a control group's file.
func number(t *testing.T, group, file, key string) int {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(read(t, filepath.Join(group, file))))
	for lines.Scan() {
		var k string
		var n int
		if _, err := fmt.Sscan(lines.Text(), &k, &n); err == nil && k == key {
			return n
		}
	}
	t.Fatalf("no %s in %s/%s", key, group, file)
	return 0
}

// patiently waits longer than suitetest.Eventually: filling 3 GB takes an
// emulated machine its time.
func patiently(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 6 {
		if suitetest.Poll(ok) {
			return
		}
	}
	t.Fatalf("waited in vain until %s", what)
}
