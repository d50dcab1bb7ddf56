//go:build system

package systemtest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"left4me/hostops/supervisor"
	"left4me/hostops/supervisor/suitetest"
)

const (
	secret     = "SECRET-OF-THE-HOST"
	attackFile = "/tmp/left4me-attack.json"
	shared     = "/dev/shm/left4me-test"
)

// Attacks 6 and 7 of the list, under the unit that is shipped: a hostile game, which runs
// as the same user as every other game, reads and reaches nothing of the host's,
// of left4me's or of another server's, while that one runs on.
func TestHostileGame(t *testing.T) {
	if os.Getenv(envUser) == "" {
		// What is the host's, readable by all where the file's mode is no obstacle
		// that could hide a hole in the view.
		for _, p := range []string{
			stateRoot + "/left4me.db", stateRoot + "/steam/config.vdf", stateRoot + "/instances/other/spec.yaml",
			stateRoot + "/tmp/secret", "/var/tmp/secret", "/tmp/secret", "/etc/left4me/secret", "/srv/secret", "/opt/secret", "/run/secret", shared,
		} {
			suitetest.Write(t, p, secret)
		}
		sh(t, "chown", "-R", "left4me:left4me", stateRoot+"/instances/other")
		// A process of the game's own user, outside.
		host := exec.Command("setpriv", "--reuid", "l4d2", "--regid", "l4d2", "--clear-groups", "env", "SECRET="+secret, "sleep", "1000")
		if err := host.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = host.Process.Kill(); _ = host.Wait() }() // ours alone
		b, err := json.Marshal(hostileGame(t, host.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		suitetest.Write(t, attackFile, string(b))
		// A forbidden system call kills the game, see below; here each is to be tried.
		addDropIns(t, map[string]string{"left4me-server@hostile.service": "[Service]\nSystemCallErrorNumber=EPERM\nRestart=no\n"})
		if !again(t) {
			t.Fatal("root is nobody else")
		}
		if !suitetest.Alive(host.Process.Pid) {
			t.Error("a process of the host was killed")
		}
		return
	}
	addGame(t)
	s := systemd()
	suitetest.Up(t, s, suitetest.Launch("other", "write:private="+secret, "print:ready", "wait"))
	suitetest.WaitLine(t, s, "other", "ready")
	victim := suitetest.Status(t, s, "other").PID
	attack := readAttack(t)
	attack.Kill = append(attack.Kill, victim)
	b, err := json.Marshal(attack)
	if err != nil {
		t.Fatal(err)
	}
	suitetest.Write(t, filepath.Join(stateRoot, "overlays/66/v1/attack.json"), string(b))
	suitetest.Write(t, filepath.Join(stateRoot, "workshop/1/2/x.vpk"), "an add-on")
	l := suitetest.Launch("hostile", "attack:attack.json", "read:"+stateRoot+"/workshop/1/2/x.vpk",
		"write:"+stateRoot+"/workshop/1/2/x.vpk=hostile", "write:/tmp/x=y", "read:/tmp/x", "write:own=z", "print:the end", "wait")
	l.Layers = []string{"overlays/66/v1", "installation"}
	suitetest.Up(t, s, l)
	suitetest.WaitLine(t, s, "hostile", "the end")
	text := strings.Join(suitetest.Console(t, s, "hostile"), "\n")
	if strings.Contains(text, "BREACH") || !strings.Contains(text, "attack over") {
		t.Errorf("the attack:\n%s", text)
	}
	// What it is meant to have, it has.
	for _, want := range []string{`x.vpk: "an add-on"`, `content of /tmp/x: "y"`, "x.vpk: read-only file system"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if i := suitetest.Status(t, s, "other"); i.PID != victim || i.Restarts != 0 {
		t.Errorf("the other server was hit: %+v", i)
	}
	// left4me reads what the game wrote, through the group.
	own := filepath.Join(stateRoot, "runtime/hostile/upper/own")
	if b, err := os.ReadFile(own); err != nil || string(b) != "z" {
		t.Errorf("%s: %q, %v", own, b, err)
	}
	if err := os.WriteFile(own, []byte("left4me"), 0o644); err == nil {
		t.Error("left4me can write where the game writes")
	}
	l.Name = "killed"
	l.Argv = l.Argv[:2]
	suitetest.Up(t, s, l)
	suitetest.Eventually(t, "the kernel ends the attack", func() bool {
		e := suitetest.Status(t, s, "killed").Exit
		return e != nil && e.Signal == "SIGSYS"
	})
	for _, name := range []string{"hostile", "killed", "other"} {
		suitetest.Down(t, s, name)
		purge(t, s, name)
	}
}

func readAttack(t *testing.T) (a suitetest.Attack) {
	t.Helper()
	b, err := os.ReadFile(attackFile)
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func hostileGame(t *testing.T, hostPID int) suitetest.Attack {
	t.Helper()
	in := func(p string) string { return filepath.Join(stateRoot, p) }
	terminals, err := filepath.Glob("/dev/pts/*")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 8 { // also those that other games are about to have
		terminals = append(terminals, "/dev/pts/"+strconv.Itoa(n))
	}
	return suitetest.Attack{
		Secret: secret,
		Read: []string{
			in("left4me.db"), in("steam/config.vdf"), in("instances/other/spec.yaml"), in("instances/other/launch.json"), in("tmp/secret"),
			in("runtime/other/upper/private"), in("runtime/other/merged/private"), in("installation/srcds_linux"),
			"/etc/left4me/secret", "/etc/left4me/web.env", "/etc/shadow", "/etc/machine-id", "/etc/redis/redis.conf", "/var/lib/postgresql/17/main/PG_VERSION",
			"/srv/secret", "/opt/secret", "/run/secret", "/tmp/secret", "/var/tmp/secret", shared,
			"../../../left4me.db", "../../other/upper/private", "/var/log/journal", "/opt/left4me-test/steamsim", "/proc/kcore", "/proc/sysrq-trigger",
		},
		Write: []string{
			in("installation/new"), in("new"), in("runtime/new"), in("runtime/hostile/new"), in("runtime/hostile/upper/new"), in("workshop/new"),
			in("instances/hostile/launch.json"), "/etc/new", "/home/new", "/root/new", "/run/new", "/run/user/new", "/dev/new", "/opt/left4me/bin/l4d2ctl",
			"/opt/left4me/bin/left4me-overlay", "/usr/bin/new", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/sys/fs/cgroup/cgroup.procs",
		},
		List: []string{in("instances/other"), in("overlays"), in("runtime/other"), in("installation"), "/home", "/root", "/run/user", "/etc/left4me", "/var/log", "/var/lib/postgresql", "/srv"},
		Kill: []int{hostPID, os.Getpid()},
		Abuse: []string{
			"/run/dbus/system_bus_socket", "/run/systemd/private", "/run/systemd/journal/stdout", "/run/postgresql/.s.PGSQL.5432", "/run/redis/redis-server.sock",
		},
		Open: terminals,
	}
}

func purge(t *testing.T, s *supervisor.Systemd, name string) {
	t.Helper()
	if err := s.Purge(t.Context(), name); err != nil {
		t.Error(err)
	}
}
