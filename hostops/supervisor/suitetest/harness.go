// Package suitetest is what every supervisor.Supervisor must do, as a test, and
// the help that tests of running servers need: a game that does what its
// arguments say, and a way to be an ordinary user.
//
// It knows only the interface. A test package calls Main from its TestMain and
// Run with its own supervisor; start there.
package suitetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"left4me/hostops/supervisor"
)

// GameName is the file name under which a test binary is the game.
const GameName = "srcds_linux"

// KeeperArg is the first argument that makes a test binary a keeper.
const KeeperArg = "keeper"

// nobody is the ordinary user that root's tests become.
const nobody = 65534

// ExecArg is the first argument that makes a test binary the init of a unit; the
// second is the state root.
const ExecArg = "exec"

// Main runs a package's tests, or what the test binary is started as: the game, a
// keeper, or a unit's init. It does not return.
func Main(m *testing.M) {
	switch {
	case filepath.Base(os.Args[0]) == GameName:
		syscall.Exit(Game(os.Args[1:])) // os.Exit waits a second under the race detector
	case len(os.Args) > 1 && os.Args[1] == KeeperArg:
		syscall.Exit(supervisor.RunKeeper(os.Args[2:]))
	case len(os.Args) > 2 && os.Args[1] == ExecArg:
		syscall.Exit(supervisor.RunGame(os.Args[2], os.Args[3:]))
	}
	os.Exit(m.Run())
}

// Self is supervisor.Rootless.Self for a test binary with Main.
func Self() []string { return []string{"/proc/self/exe", KeeperArg} }

// AsUser makes a test run as an ordinary user. As root it runs the test again in
// a process of user nobody, passes its result on and returns true: the caller
// returns. As anyone else it returns false at once. For tests without subtests'
// names in between: call it first thing in a top-level test or benchmark.
func AsUser(tb testing.TB) bool {
	tb.Helper()
	if os.Geteuid() != 0 {
		return false
	}
	tmp, err := os.MkdirTemp("", "left4me-user-")
	if err == nil {
		err = os.Chown(tmp, nobody, nobody)
	}
	if err != nil {
		tb.Fatal(err)
	}
	defer os.RemoveAll(tmp) // whatever a failed test left
	name := "^" + regexp.QuoteMeta(tb.Name()) + "$"
	args := []string{"-test.v", "-test.count=1", "-test.timeout=5m", "-test.run", name}
	if _, ok := tb.(*testing.B); ok {
		args = []string{"-test.v", "-test.timeout=5m", "-test.run", "^$", "-test.bench", name}
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "HOME="+tmp, "USER=nobody")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		tb.Log("nobody: " + line)
	}
	switch {
	case err != nil:
		tb.Fatalf("as user nobody: %v", err)
	case bytes.Contains(out, []byte("--- SKIP")):
		tb.Skip("skipped as user nobody, see above")
	case reportBenchmark(tb, out):
	case !bytes.Contains(out, []byte("--- PASS: "+tb.Name())):
		tb.Fatal("as user nobody: the test did not run")
	}
	return true
}

var perOp = regexp.MustCompile(`\s([0-9.]+) ns/op`)

// reportBenchmark makes the figure of the other process this benchmark's own.
func reportBenchmark(tb testing.TB, out []byte) bool {
	b, ok := tb.(*testing.B)
	m := perOp.FindSubmatch(out)
	if !ok || m == nil {
		return false
	}
	ns, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		return false
	}
	b.ReportMetric(ns, "ns/op")
	return true
}

// NewRoot makes a state root whose layer "installation" holds the game. It is
// removed at the end, with overlayfs's closed folders.
func NewRoot(tb testing.TB) string {
	tb.Helper()
	root, err := os.MkdirTemp("", "left4me-state-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { RemoveAll(tb, root) })
	if err := os.Mkdir(filepath.Join(root, "installation"), 0o755); err != nil {
		tb.Fatal(err)
	}
	AddGame(tb, filepath.Join(root, "installation", GameName))
	return root
}

// AddGame puts the game at path.
func AddGame(tb testing.TB, path string) {
	tb.Helper()
	b, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		// A child that another test starts meanwhile would inherit the open file, and a
		// program that is open for writing cannot be run.
		syscall.ForkLock.RLock()
		err = os.WriteFile(path, b, 0o755)
		syscall.ForkLock.RUnlock()
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// RemoveAll removes a tree with folders that nobody may enter.
func RemoveAll(tb testing.TB, root string) {
	tb.Helper()
	_ = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700) // RemoveAll below tells when it mattered
		}
		return nil
	})
	if err := os.RemoveAll(root); err != nil {
		tb.Errorf("remove %s: %v", root, err)
	}
}

// Eventually waits until ok is true and fails the test with what after a long
// time.
func Eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	if !Poll(ok) {
		tb.Fatalf("waited in vain until %s", what)
	}
}

// Poll asks until ok is true; false after a long time.
func Poll(ok func() bool) bool {
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// Mountinfo is the caller's mount table.
func Mountinfo(tb testing.TB) string {
	tb.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// Alive says whether a process exists and is not a zombie.
func Alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	i := bytes.LastIndexByte(b, ')')
	return i > 0 && i+2 < len(b) && b[i+2] != 'Z' && b[i+2] != 'X'
}

// Write makes a file and the folders it needs.
func Write(tb testing.TB, path, content string) {
	tb.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(content), 0o644)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// ownerOf is the user id that owns a file.
func ownerOf(fi os.FileInfo) uint32 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Uid
	}
	return 0
}
