package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// race_test.go: while the helper works, somebody exchanges what it uses for
// something of the victim's, as fast as a processor can. A mount is either
// refused, or it is the right one; the victim is never seen and never touched.

// attack exchanges two names for ever. It is another process, as its user.
func attack(names []string) {
	if len(names) != 2 {
		return
	}
	for {
		_ = unix.Renameat2(unix.AT_FDCWD, names[0], unix.AT_FDCWD, names[1], unix.RENAME_EXCHANGE) // it may lose a race, too
	}
}

// attacker is a process that exchanges two names.
type attacker struct{ cmd *exec.Cmd }

// exchange starts an attacker as the user, and returns when it is at work.
func exchange(t *testing.T, uid uint32, a, b string) attacker {
	t.Helper()
	cmd := as(uid, exec.Command("/proc/self/exe"))
	cmd.Env = append(os.Environ(), envRole+"=attack "+a+" "+b)
	must(t, cmd.Start())
	ino := stat(t, a).Ino
	eventually(t, a+" is exchanged", func() bool {
		var st unix.Stat_t
		return unix.Lstat(a, &st) == nil && st.Ino != ino
	})
	return attacker{cmd}
}

func (a attacker) stop() { _ = a.cmd.Process.Kill(); _ = a.cmd.Wait() } // killed

// pause stops the attacker so that the test can look, wherever it is just now.
func (a attacker) pause(t *testing.T) {
	t.Helper()
	must(t, a.cmd.Process.Signal(unix.SIGSTOP))
	var ws unix.WaitStatus
	for !ws.Stopped() {
		if _, err := unix.Wait4(a.cmd.Process.Pid, &ws, unix.WUNTRACED, nil); err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
}

func (a attacker) resume(t *testing.T) {
	t.Helper()
	must(t, a.cmd.Process.Signal(unix.SIGCONT))
}

type race struct {
	name  string
	uid   uint32 // the attacker's
	layer string
	text  string // of cfg/common in the layer
	// arrange returns the two names to exchange; the second is the victim's.
	arrange func(t *testing.T, victim string) (string, string)
}

var races = []race{ // rows 67 to 71
	{"68 overlay for a link to the victim", service, "68/v1", "68/v1", func(t *testing.T, victim string) (string, string) {
		version(t, "68/v1", service)
		return at("overlays/68/v1"), link(t, victim, at("overlays/68/v2"))
	}},
	{"68 the versions' folder for a link to the victim", service, "681/v1", "681/v1", func(t *testing.T, victim string) (string, string) {
		version(t, "681/v1", service)
		return at("overlays/681"), link(t, victim, at("overlays/682"))
	}},
	{"68 overlay for a stranger's folder", 0, "683/v1", "683/v1", func(t *testing.T, _ string) (string, string) {
		version(t, "683/v1", service)
		must(t, writeAs(at("overlays/683/v2/cfg/common"), secret, foreign))
		return at("overlays/683/v1"), at("overlays/683/v2")
	}},
	{"68 generated layer for a link to the victim", service, generated, "own", func(t *testing.T, victim string) (string, string) {
		must(t, writeAs(at("instances/race/layers", generated[1:], "cfg/common"), "own", service))
		return at("instances/race/layers", generated[1:]), link(t, victim, at("instances/race/layers/x"))
	}},
	{"71 instance for a link to another", service, "67/v1", "67/v1", func(t *testing.T, victim string) (string, string) {
		must(t, os.WriteFile(filepath.Join(victim, "mount"), []byte("1/../../x"), 0o644))
		return at("instances/race"), link(t, victim, at("instances/race2"))
	}},
	{"71 list for a link to the victim's file", service, "67/v1", "67/v1", func(t *testing.T, victim string) (string, string) {
		return at("instances/race/mount"), link(t, filepath.Join(victim, "cfg/common"), at("instances/race/other"))
	}},
	// Only root can do these since runtime is root's; the descriptors hold even then.
	{"67 merged for a link to the victim", 0, "67/v1", "67/v1", func(t *testing.T, victim string) (string, string) {
		return merged("race"), link(t, victim, at("runtime/race/m2"))
	}},
	{"69 upper for a link to the victim", 0, "67/v1", "67/v1", func(t *testing.T, victim string) (string, string) {
		return at("runtime/race/upper"), link(t, victim, at("runtime/race/u2"))
	}},
	{"70 merged for another folder", 0, "67/v1", "67/v1", func(t *testing.T, _ string) (string, string) {
		must(t, os.Mkdir(at("runtime/race/m2"), 0o755))
		return merged("race"), at("runtime/race/m2")
	}},
}

func TestRaces(t *testing.T) {
	needHost(t)
	version(t, "67/v1", service)
	for _, r := range races {
		t.Run(r.name, r.run)
	}
}

func (r race) run(t *testing.T) {
	server(t, "race", r.layer)
	dir, _ := victim(t)
	if r.uid == 0 { // its folders must be there to be exchanged
		must(t, mkdirAs(merged("race"), 0))
		must(t, mkdirAs(at("runtime/race/upper"), 0))
	}
	a, b := r.arrange(t, dir)
	before := tree(t, dir)
	attacker := exchange(t, r.uid, a, b)
	defer attacker.stop()
	mounted, refused := 0, 0
	start := time.Now()
	for i := range tries(250) {
		if i >= 60 && tries(1) == 1 && time.Since(start) > 2500*time.Millisecond {
			break // a slow machine; LEFT4ME_OVERLAY_TRIES=4 has no such end
		}
		got := helper(t, "mount", "race")
		attacker.pause(t)
		switch got.code {
		case 0:
			mounted++
		case 1, 3:
			refused++
		default:
			t.Fatalf("mount: %s", got)
		}
		if strings.Contains(got.stderr, secret) {
			t.Fatalf("printed: %s", got)
		}
		if r.onlyOurs(t, dir) == 0 && got.code == 0 {
			t.Fatal("said it was mounted, and it is not")
		}
		if after := tree(t, dir); after != before {
			t.Fatalf("the victim was changed:\n%s\nwas\n%s", after, before)
		}
		if i%2 == 0 {
			attacker.resume(t)
			unmountRaced(t)
		} else {
			unmountRaced(t)
			attacker.resume(t)
		}
	}
	attacker.stop()
	t.Logf("%d mounted rightly, %d refused in %s", mounted, refused, time.Since(start).Round(time.Millisecond))
	if mounted == 0 || refused == 0 {
		t.Error("the attacker and the helper never met, so this proves nothing")
	}
	if isLink(a) { // put it back under its name
		must(t, unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE))
	}
}

// onlyOurs fails if a mount of the server is on the victim, shows its files or
// writes to it. It returns how many mounts there are.
func (r race) onlyOurs(t *testing.T, victim string) int {
	t.Helper()
	found := 0
	for _, e := range hostTable(t) {
		if e.Point == victim || e.Below(victim) {
			t.Fatalf("mounted on the victim: %+v", e)
		}
		if !e.OfInstance("race") {
			continue
		}
		found++
		if text, err := os.ReadFile(filepath.Join(e.Point, "cfg/common")); err != nil || string(text) != r.text {
			t.Fatalf("%s serves %q, %v; want %q", e.Point, text, err, r.text)
		}
		written := filepath.Join(e.Point, "written")
		must(t, os.WriteFile(written, nil, 0o644))
		if _, err := os.Lstat(filepath.Join(victim, "written")); err == nil {
			t.Fatal("what is written there lands on the victim")
		}
		must(t, os.Remove(written))
	}
	return found
}

func isLink(path string) bool {
	_, err := os.Readlink(path)
	return err == nil
}

func link(t *testing.T, to, name string) string {
	t.Helper()
	must(t, os.Symlink(to, name))
	t.Cleanup(func() { must(t, os.Remove(name)) })
	return name
}

// unmountRaced unmounts; under a running exchange that may take some tries, too.
func unmountRaced(t *testing.T) {
	t.Helper()
	eventually(t, "the server is unmounted", func() bool {
		helper(t, "umount", "race")
		return len(mountsOf(t, "race")) == 0
	})
}

// Since runtime is root's, nobody else can exchange anything on the way to a
// mount point at all.
func TestMountPointsAreRoots(t *testing.T) {
	server(t, "roots")
	want(t, 0, "mount", "roots")
	want(t, 0, "umount", "roots")
	for _, uid := range []uint32{service, game, build} {
		for _, name := range []string{merged("roots"), at("runtime/roots/upper"), at("runtime/roots"), at("runtime")} {
			sh(t, uid, "! mv -T "+name+" "+name+"-x 2>/dev/null; ! rmdir "+name+" 2>/dev/null; ! ln -s / "+filepath.Dir(name)+"/x 2>/dev/null")
		}
	}
}
