package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// state_test.go: what the helper does in every state that a host may be in.

func TestEveryVerbMayBeRepeated(t *testing.T) { // rows 46, 47, 50 to 54
	server(t, "again", "50/v1")
	version(t, "50/v1", service)
	version(t, "50/v2", service)
	want(t, 0, "umount", "again")
	want(t, 0, "purge", "again")
	want(t, 0, "mount", "again")
	want(t, 0, "mount", "again")
	writeList(t, "again", "50/v2")
	r := want(t, 5, "mount", "again")
	if !strings.Contains(r.stderr, "stop the server") {
		t.Errorf("no advice in %s", r)
	}
	if b, err := os.ReadFile(merged("again", "cfg/common")); err != nil || string(b) != "50/v1" {
		t.Errorf("the mount changed: %q, %v", b, err)
	}
	want(t, 6, "purge", "again")
	want(t, 0, "umount", "again")
	want(t, 0, "umount", "again")
	want(t, 0, "mount", "again")
	if b, err := os.ReadFile(merged("again", "cfg/common")); err != nil || string(b) != "50/v2" {
		t.Errorf("the new list is not mounted: %q, %v", b, err)
	}
	want(t, 1, "mount", "never-initialised")
	want(t, 0, "umount", "never-initialised")
	want(t, 0, "purge", "never-initialised")
	if _, err := os.Lstat(at("runtime/never-initialised")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folders were made for no server: %v", err)
	}
}

// 66 and G30: whatever is stacked or left over of ours goes with one umount.
func TestLeftoversAreSwept(t *testing.T) {
	server(t, "swept", "66/v1")
	version(t, "66/v1", service)
	want(t, 0, "mount", "swept")
	overlay := func(to string, i int) {
		onHost(t, "mount", "-t", "overlay", fmt.Sprintf("left4me:swept:%012d", i), "-o", "lowerdir="+at("overlays/66/v1")+":"+at("installation"), to)
	}
	overlay(merged("swept"), 1)
	overlay(merged("swept"), 2)
	elsewhere := filepath.Join(dirPrograms, "victim", "else where\n")
	must(t, os.Mkdir(elsewhere, 0o755))
	overlay(elsewhere, 3)
	for _, d := range []string{"a", "b", "b/cfg"} {
		must(t, mkdirAs(at("runtime/swept/idmap", strings.Split(d, "/")[0]), 0))
		onHost(t, "mount", "--bind", at("overlays/66/v1"), at("runtime/swept/idmap", d))
	}
	want(t, 5, "mount", "swept")
	want(t, 6, "purge", "swept")
	want(t, 0, "umount", "swept")
	for _, e := range hostTable(t) {
		if e.OfInstance("swept") || e.Below(at("runtime/swept")) || e.Point == elsewhere {
			t.Errorf("left: %+v", e)
		}
	}
	want(t, 0, "mount", "swept")
}

// The service user may own the state root and move all of runtime away, mounts
// and all: they are found by name all the same.
func TestRuntimeMovedAway(t *testing.T) {
	server(t, "moved")
	want(t, 0, "mount", "moved")
	must(t, os.Rename(at("runtime"), at("runtime-moved")))
	t.Cleanup(func() { must(t, os.RemoveAll(at("runtime-moved"))) })
	must(t, mkdirAs(at("runtime"), service))
	want(t, 3, "mount", "moved")
	want(t, 0, "umount", "moved")
	for _, e := range hostTable(t) {
		if e.OfInstance("moved") {
			t.Errorf("left: %+v", e)
		}
	}
	must(t, os.Remove(at("runtime")))
	want(t, 0, "mount", "moved")
}

// An overlay that was led astray goes although merged cannot be looked at.
func TestSweepWithoutMerged(t *testing.T) {
	server(t, "astray")
	must(t, mkdirAs(at("runtime/astray/elsewhere"), 0))
	must(t, os.Symlink("elsewhere", merged("astray")))
	onHost(t, "mount", "-t", "overlay", "left4me:astray:000000000000", "-o", "lowerdir="+at("installation")+":"+at("overlays"), at("runtime/astray/elsewhere"))
	want(t, 1, "umount", "astray")
	if m := mountsOf(t, "astray"); len(m) != 0 {
		t.Errorf("left: %+v", m)
	}
	must(t, os.Remove(merged("astray")))
	want(t, 0, "mount", "astray")
}

// Another server whose name begins alike is not touched by the sweep.
func TestSweepKnowsItsServer(t *testing.T) {
	server(t, "friday")
	server(t, "friday-2")
	want(t, 0, "mount", "friday")
	want(t, 0, "mount", "friday-2")
	want(t, 0, "umount", "friday")
	if m := mountsOf(t, "friday-2"); len(m) != 1 {
		t.Errorf("mounts of the other server: %+v", m)
	}
}

// What an older helper left in a folder of the service user's is taken down and
// purged, though nothing is mounted there any more.
func TestOlderFoldersGo(t *testing.T) {
	server(t, "older")
	must(t, mkdirAs(at("runtime/older/merged"), service))
	must(t, mkdirAs(at("runtime/older/idmap/x"), service))
	onHost(t, "mount", "--bind", at("installation"), at("runtime/older/idmap/x"))
	onHost(t, "mount", "-t", "overlay", "left4me:older:000000000000", "-o", "lowerdir="+at("installation")+":"+at("overlays"), merged("older"))
	want(t, 3, "mount", "older")
	want(t, 0, "umount", "older")
	want(t, 3, "mount", "older")
	want(t, 0, "purge", "older")
	want(t, 0, "mount", "older")
}

func TestBusy(t *testing.T) {
	t.Parallel()
	server(t, "busy")
	want(t, 0, "mount", "busy")
	cmd := exec.Command("sleep", "60")
	cmd.Dir = merged("busy")
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) // it may be dead already
	r := want(t, 6, "umount", "busy")
	if !strings.Contains(r.stderr, fmt.Sprintf("process %d %q", cmd.Process.Pid, "sleep")) {
		t.Errorf("%s does not name process %d", r, cmd.Process.Pid)
	}
	if r.took < 2*time.Second {
		t.Errorf("gave up after %s", r.took)
	}
	// Let go while the helper waits.
	done := make(chan result)
	go func() { done <- runHelper(t, exec.Command(shipped, "umount", "busy")) }()
	waitFor(t, "busy")
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed
	checkResult(t, 0, <-done, "umount")
}

// A game in its unit has a copy of the mount that keeps the host's one free; it
// must not be unmounted from under it.
func TestBusyInAUnitsOwnView(t *testing.T) {
	t.Parallel()
	server(t, "unit")
	want(t, 0, "mount", "unit")
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", "cd "+merged("unit")+" && echo ready && exec sleep 60")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	if r := want(t, 6, "umount", "unit"); !strings.Contains(r.stderr, fmt.Sprintf("process %d ", cmd.Process.Pid)) {
		t.Errorf("%s does not name process %d", r, cmd.Process.Pid)
	}
	if m := mountsOf(t, "unit"); len(m) != 1 {
		t.Errorf("mounts: %+v", m)
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed
	want(t, 0, "umount", "unit")
	want(t, 0, "mount", "unit")
}

// waitFor waits until a helper holds the server's lock.
func waitFor(t testing.TB, name string) {
	t.Helper()
	eventually(t, "a helper at work on "+name, func() bool {
		f, err := os.OpenFile("/proc/1/root/run/left4me-overlay/"+name+".lock", os.O_RDWR, 0)
		if err != nil {
			return false
		}
		defer f.Close()
		return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
	})
}

func TestLocked(t *testing.T) {
	t.Parallel()
	server(t, "locked")
	want(t, 0, "mount", "locked")
	f, err := os.OpenFile("/proc/1/root/run/left4me-overlay/locked.lock", os.O_RDWR, 0)
	must(t, err)
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	r := want(t, 4, "umount", "locked")
	if r.took < 9*time.Second || r.took > 15*time.Second {
		t.Errorf("gave up after %s, want 10 s", r.took)
	}
	must(t, f.Close())
	st := stat(t, "/proc/1/root/run/left4me-overlay")
	if st.Uid != 0 || st.Mode&0o7777 != 0o700 {
		t.Errorf("the locks' folder: %d %o", st.Uid, st.Mode)
	}
}

// 73: a copy of the old overlay in somebody's own mount namespace is in no table
// of the host; the next mount is refused until it is gone.
func TestLiveNamespaceCopy(t *testing.T) {
	t.Parallel()
	for name, prefix := range map[string][]string{
		"an ordinary user's": {"unshare", "--user", "--map-root-user", "--mount"},
		"root's":             {"unshare", "--mount", "--propagation", "private"},
	} {
		t.Run(name, func(t *testing.T) {
			instance := "copied" + fmt.Sprint(len(name))
			server(t, instance)
			want(t, 0, "mount", instance)
			cmd := exec.Command(prefix[0], append(prefix[1:], "sh", "-c", "echo ready; exec sleep 60")...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			if strings.HasPrefix(name, "an ordinary") {
				as(game, cmd)
			}
			var errout bytes.Buffer
			cmd.Stderr = &errout
			out, err := cmd.StdoutPipe()
			must(t, err)
			must(t, cmd.Start())
			if _, err := out.Read(make([]byte, 8)); err != nil {
				t.Fatalf("%v: %s", err, errout.String())
			}
			want(t, 0, "umount", instance)
			r := want(t, 7, "mount", instance)
			if m := mountsOf(t, instance); len(m) != 0 {
				t.Errorf("refused, but mounted: %+v", m)
			}
			if r.took < time.Second {
				t.Errorf("gave up after %s", r.took)
			}
			must(t, cmd.Process.Kill())
			_ = cmd.Wait() // killed
			// The kernel takes a dead process's namespace apart in its own time, and the
			// helper of another test may hold a copy of all mounts for a moment.
			eventually(t, "the mount is allowed again", func() bool {
				r := helper(t, "mount", instance)
				if r.code != 7 {
					checkResult(t, 0, r, "mount")
				}
				return r.code != 7
			})
		})
	}
}

func TestPurge(t *testing.T) {
	server(t, "purged")
	dir, untouched := victim(t)
	want(t, 0, "mount", "purged")
	sh(t, game, `set -e; cd `+merged("purged")+`
		ln -s `+dir+` link; ln -s /etc/passwd file; mkdir -p shut/a/b; touch shut/a/b/c; chmod 000 shut/a shut
		touch "$(printf 'new\nline')" -- -rf; mkdir -p .purge-1/x .purge-2/y; touch .purge-1/x/1 .purge-2/y/2
		for i in $(seq 1 3000); do echo "f$i"; done | xargs touch`)
	deep(t, merged("purged"), 300)
	want(t, 0, "umount", "purged")
	want(t, 0, "purge", "purged")
	if _, err := os.Lstat(at("runtime/purged")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
	untouched()
	// A bind in there, whosever, is a reason to stop.
	must(t, mkdirAs(at("runtime/purged/upper/x"), 0))
	onHost(t, "mount", "--bind", dir, at("runtime/purged/upper/x"))
	want(t, 6, "purge", "purged")
	onHost(t, "umount", at("runtime/purged/upper/x"))
	untouched()
	want(t, 0, "purge", "purged")
	must(t, os.Symlink(dir, at("runtime/purged")))
	want(t, 0, "purge", "purged")
	untouched()
	// Somebody's own folder in place of runtime is not cleaned for him.
	must(t, os.Rename(at("runtime"), at("runtime-away")))
	must(t, mkdirAs(at("runtime/purged/x"), service))
	want(t, 3, "purge", "purged")
	want(t, 3, "mount", "purged")
	must(t, os.RemoveAll(at("runtime")))
	must(t, os.Symlink(dir, at("runtime")))
	want(t, 1, "purge", "purged")
	want(t, 1, "mount", "purged")
	want(t, 1, "umount", "purged")
	must(t, os.Remove(at("runtime")))
	want(t, 0, "purge", "purged")
	must(t, os.Rename(at("runtime-away"), at("runtime")))
	untouched()
}

// deep makes folders in each other, deeper than any path can say.
func deep(t *testing.T, path string, depth int) {
	t.Helper()
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY, 0)
	must(t, err)
	for range depth {
		for _, d := range []string{"deeper-and-deeper-and-deeper", "beside"} {
			must(t, unix.Mkdirat(fd, d, 0o700))
		}
		must(t, unix.Mkdirat(fd, "beside/x", 0o700))
		next, err := unix.Openat(fd, "deeper-and-deeper-and-deeper", unix.O_PATH|unix.O_DIRECTORY, 0)
		must(t, err)
		must(t, unix.Close(fd))
		fd = next
	}
	must(t, unix.Close(fd))
}

// The shipped program has no test's hook in it, and depends on nothing to load.
func TestShippedProgram(t *testing.T) {
	needHost(t)
	for path, hook := range map[string]bool{shipped: false, stepwise: true} {
		b, err := os.ReadFile(path)
		must(t, err)
		if bytes.Contains(b, []byte("OVERLAYTEST")) != hook {
			t.Errorf("%s: the test's hook is there: %v, want %v", path, !hook, hook)
		}
		if bytes.Contains(b, []byte("ld-linux")) {
			t.Errorf("%s is not static", path)
		}
		out, err := exec.Command("go", "version", "-m", path).CombinedOutput()
		must(t, err)
		if strings.Contains(string(out), "-tags=overlaytest") != hook || !strings.Contains(string(out), "CGO_ENABLED=0") {
			t.Errorf("%s: %s", path, out)
		}
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "dep" && f[1] != "golang.org/x/sys" {
				t.Errorf("%s depends on %s", path, f[1])
			}
		}
	}
}
