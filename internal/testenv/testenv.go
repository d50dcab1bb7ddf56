// Package testenv gives tests private PostgreSQL and Redis servers: children of
// the test process on unix sockets in a temporary folder, started when first
// asked for. Started as root they run as an unprivileged user, because
// PostgreSQL refuses root.
//
// A package that uses it calls Main from its TestMain. Where the programs are
// missing a test skips and says what to install; with CI set it fails.
package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	mu      sync.Mutex
	dir     string // short, because socket paths have 108 bytes
	closers []func()
)

// Main runs the tests and ends the servers they started.
func Main(m *testing.M) {
	code := m.Run()
	mu.Lock()
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i]()
	}
	if dir != "" {
		_ = os.RemoveAll(dir) // a temporary folder
	}
	mu.Unlock()
	os.Exit(code)
}

// AtExit runs f after the package's tests.
func AtExit(f func()) {
	mu.Lock()
	defer mu.Unlock()
	closers = append(closers, f)
}

// missing skips the test, or fails it in CI.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is needed and missing; `make deps` installs it", what)
	}
	t.Skipf("skipped: %s is missing; `make deps` installs it", what)
}

// servers returns the folder of the servers, made once, owned by whom they run
// as. mu is held.
func servers(t testing.TB) string {
	t.Helper()
	if dir != "" {
		return dir
	}
	made, err := os.MkdirTemp("", "l4m")
	if err != nil {
		t.Fatal(err)
	}
	if cred := credential(); cred != nil {
		if err := os.Chown(made, int(cred.Uid), int(cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	dir = made
	return dir
}

// credential is whom servers run as: nil for ourselves, an unprivileged user
// when we are root.
func credential() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32) // the system's own numbers
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return &syscall.Credential{Uid: 65534, Gid: 65534}
}

// start runs a server that dies with the test process. The thread that starts it
// is kept, because the kernel sends Pdeathsig when that thread ends.
func start(name string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(), Pdeathsig: syscall.SIGKILL, Setpgid: true}
	log, err := os.Create(filepath.Join(dir, filepath.Base(name)+".log"))
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		_ = log.Close() // the child has its own copy
		started <- err
		if err == nil {
			_ = cmd.Wait() // an end by signal is how we stop it
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return cmd, nil
}

// Eventually polls ok until it is true. It fails the test after the limit with
// what was waited for.
func Eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for this in vain: %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
