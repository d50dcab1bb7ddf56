package supervisor_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor/suitetest"
)

// Attacks 6 and 7 of the list and the promise of the view: a hostile game reads and reaches
// nothing of its user's, of another server's or of the panel's.
func TestHostileGame(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	r := newRootless(t)
	const secret = "SECRET-OF-THE-HOST"
	outside := t.TempDir()
	in := func(p string) string { return filepath.Join(r.Root, p) }
	for _, p := range []string{in("left4me.db"), in("steam/config.vdf"), in("instances/other/spec.yaml"), in("visible/ok"), filepath.Join(outside, "file")} {
		suitetest.Write(t, p, secret)
	}
	other := suitetest.Launch("other", "write:private="+secret, "print:ready", "wait")
	suitetest.Up(t, r, other)
	suitetest.WaitLine(t, r, "other", "ready")
	socket := filepath.Join(outside, "socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	host := exec.Command("/bin/sleep", "1000")
	host.Env = []string{"SECRET=" + secret}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = host.Process.Kill(); _ = host.Wait() }() // ours alone
	shm := "/dev/shm/left4me-test-" + strconv.Itoa(os.Getpid())
	suitetest.Write(t, shm, secret)
	defer os.Remove(shm)
	otherPID := suitetest.Status(t, r, "other").PID
	a := suitetest.Attack{
		Secret: secret,
		Read: []string{
			in("left4me.db"), in("steam/config.vdf"), in("instances/other/spec.yaml"), in("runtime/other/upper/private"),
			in("runtime/other/merged/private"), in("runtime/other/state.json"), in("runtime/hostile/state.json"),
			in("installation/attack.json"), filepath.Join(outside, "file"), shm, "../../../left4me.db", "../../other/upper/private",
		},
		Write: []string{
			in("installation/new"), in("new"), in("runtime/new"), in("runtime/hostile/upper/new"), in("runtime/hostile/log/new"), in("visible/new"),
			filepath.Join(outside, "new"), "/home/new", "/root/new", "/run/user/new", "/dev/new", "/etc/new", "/var/lib/new",
		},
		List:  []string{in("instances"), in("overlays"), in("runtime/other"), outside, "/home", "/root", "/run/user"},
		Kill:  []int{host.Process.Pid, otherPID, os.Getpid()},
		Abuse: []string{socket, in("runtime/other/keeper.sock"), in("runtime/hostile/keeper.sock")},
	}
	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	suitetest.Write(t, in("installation/attack.json"), string(b))
	hostile := suitetest.Launch("hostile", "attack:attack.json", "read:"+in("visible/ok"), "write:/tmp/x=y", "read:/tmp/x", "write:own=z", "print:the end", "wait")
	hostile.Visible = []string{"visible", "not/there"}
	suitetest.Up(t, r, hostile)
	suitetest.WaitLine(t, r, "hostile", "the end")
	text := strings.Join(suitetest.Console(t, r, "hostile"), "\n")
	if strings.Contains(text, "BREACH") || !strings.Contains(text, "attack over") {
		t.Errorf("the attack:\n%s", text)
	}
	// What it is meant to have, it has.
	for _, want := range []string{"content of " + in("visible/ok"), `content of /tmp/x: "y"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if _, err := os.Stat(in("runtime/hostile/upper/own")); err != nil {
		t.Error(err)
	}
	if !suitetest.Alive(host.Process.Pid) || !suitetest.Alive(otherPID) {
		t.Error("a process of the host was killed")
	}
}

// Attack 7 of the list: a game that starts as many processes as it can meets a limit of
// its own and can be stopped.
func TestForkBomb(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	r := newRootless(t)
	suitetest.Up(t, r, suitetest.Launch("bomb", "forkbomb", "wait"))
	line := suitetest.WaitLine(t, r, "bomb", "processes ")
	n, err := strconv.Atoi(strings.TrimPrefix(line, "processes "))
	if err != nil || n < 100 || n > 1024 {
		t.Errorf("%q, want a few hundred (%v)", line, err)
	}
	suitetest.Up(t, r, suitetest.Launch("beside", "print:fine", "wait")) // another server is not hit
	suitetest.WaitLine(t, r, "beside", "fine")
	suitetest.Down(t, r, "bomb")
	if i := suitetest.Status(t, r, "bomb"); i.State != ctl.ServerStopped {
		t.Errorf("%+v", i)
	}
}

// Attack 1 of the list: links planted where the supervisor writes lead nowhere.
func TestPlantedLinks(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	r := newRootless(t)
	for _, name := range []string{"upper", "work", "merged", "anchor", "log", "log/00000000000000000001.log", "keeper.lock", "keeper.log"} {
		t.Run(name, func(t *testing.T) {
			victim := t.TempDir()
			suitetest.Write(t, filepath.Join(victim, "file"), "untouched")
			target := victim
			if strings.Contains(name, ".") {
				target = filepath.Join(victim, "file")
			}
			link := filepath.Join(r.Root, "runtime/links", name)
			if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(target, link); err != nil {
				t.Fatal(err)
			}
			err := r.Start(context.Background(), suitetest.Launch("links", "print:x", "wait"))
			if err == nil {
				suitetest.Down(t, r, "links")
				t.Error("started over a link")
			} else if !strings.Contains(err.Error(), "symbolic link") {
				t.Errorf("got %v", err)
			}
			left, rerr := os.ReadDir(victim)
			b, ferr := os.ReadFile(filepath.Join(victim, "file"))
			if rerr != nil || ferr != nil || len(left) != 1 || string(b) != "untouched" {
				t.Errorf("the victim has %v, %q (%v, %v)", left, b, rerr, ferr)
			}
			if err := os.Remove(link); err != nil {
				t.Fatal(err)
			}
			if err := r.Purge(context.Background(), "links"); err != nil {
				t.Error(err)
			}
		})
	}
	// The folder itself, and a file that is replaced by rename.
	victim := t.TempDir()
	if err := os.Symlink(victim, filepath.Join(r.Root, "runtime/self")); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(context.Background(), suitetest.Launch("self", "wait")); err == nil {
		t.Error("started over a link")
	}
	if err := r.Purge(context.Background(), "self"); err == nil {
		t.Error("purged through a link")
	}
}

func TestPurgeOfHostileTrees(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	r := newRootless(t)
	suitetest.Up(t, r, suitetest.Launch("trees", "write:a=b", "wait"))
	suitetest.Down(t, r, "trees")
	victim := t.TempDir()
	suitetest.Write(t, filepath.Join(victim, "file"), "untouched")
	upper := filepath.Join(r.Root, "runtime/trees/upper")
	deep := filepath.Join(upper, strings.Repeat("d/", 300))
	suitetest.Write(t, filepath.Join(deep, "leaf"), "x")
	suitetest.Write(t, filepath.Join(upper, "closed/file"), "x")
	for _, err := range []error{
		os.Symlink(victim, filepath.Join(upper, "link")), os.Symlink(victim, filepath.Join(deep, "link")),
		syscall.Mkfifo(filepath.Join(upper, "fifo"), 0o600), os.Chmod(filepath.Join(upper, "closed"), 0),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("the operator changed his mind"))
	if err := r.Purge(ctx, "trees"); !errors.Is(err, ctl.ErrCancelled) || !strings.Contains(err.Error(), "changed his mind") {
		t.Errorf("a cancelled purge: %v", err)
	}
	if err := r.Purge(context.Background(), "trees"); err != nil { // goes on where that one ended
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(r.Root, "runtime", ".*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left %q (%v)", left, err)
	}
	if _, err := os.Stat(filepath.Join(victim, "file")); err != nil {
		t.Error(err)
	}
}
