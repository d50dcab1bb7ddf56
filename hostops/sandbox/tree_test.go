package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"left4me/hostops/supervisor/suitetest"
)

// Whatever a script leaves can be removed: folders too deep for any path, closed
// ones, names that are taken by the removal itself, and links, which lead nowhere.
func TestAttack1EmptyLeavesNothing(t *testing.T) {
	t.Parallel()
	if suitetest.AsUser(t) { // root may open what is closed
		return
	}
	top := t.TempDir()
	outside := t.TempDir()
	suitetest.Write(t, filepath.Join(outside, "file"), "untouched")
	dir := filepath.Join(top, "out")
	for _, p := range []string{"a/b/c", ".left4me-1/.left4me-2/.left4me-1", "closed/inner"} {
		suitetest.Write(t, filepath.Join(dir, p, "file"), "x")
	}
	for name, to := range map[string]string{"link": outside, "a/link": outside, "dangling": "/nowhere"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0); err != nil {
		t.Fatal(err)
	}
	deepen(t, dir, 3000)
	for _, p := range []string{"closed/inner", "closed"} {
		if err := os.Chmod(filepath.Join(dir, p), 0); err != nil {
			t.Fatal(err)
		}
	}
	f, err := openDir(unix.AT_FDCWD, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if u := measure(f, HostLimits); u.limit != limitDepth {
		t.Errorf("measured %+v", u)
	}
	if err := empty(f); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
	if b, err := os.ReadFile(filepath.Join(outside, "file")); err != nil || string(b) != "untouched" {
		t.Errorf("a link was followed: %q, %v", b, err)
	}
}

// deepen makes n folders in each other, far beyond what a path can name.
func deepen(t *testing.T, dir string, n int) {
	t.Helper()
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for i := 0; err == nil && i < n; i++ {
		name := fmt.Sprint("deep", i)
		if err = unix.Mkdirat(at, name, 0o700); err == nil {
			var next int
			next, err = unix.Openat(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			_ = unix.Close(at) // a path
			at = next
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(at) // a path
}
