//go:build system

// Package systemtest tests left4me on a real systemd, as `make install` puts it
// there: units, polkit rule, root helper, users and folders. It runs as root
// inside the container that scripts/test-system boots, which is thrown away
// afterwards, and nowhere else.
//
// It knows the host's fixed paths and nothing of how the container came about.
// Everything that left4me does there, it does as user left4me without the means
// to gain privileges. Start at TestMain.
package systemtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"left4me/hostops/supervisor"
	"left4me/hostops/supervisor/suitetest"
)

const (
	stateRoot = "/var/lib/left4me"
	steamsim  = "/opt/left4me-test/steamsim"
	// Runtime drop-ins are gone after a reboot.
	dropIns = "/run/systemd/system/"
)

// envUser is set in a test that runs again as user left4me.
const envUser = "LEFT4ME_TEST_USER"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == suitetest.GameName || os.Getenv(envUser) != "" {
		suitetest.Main(m)
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "systemtest:", err)
		os.Exit(1)
	}
	suitetest.Main(m)
}

// prepare makes of the container a host that left4me was just installed on.
func prepare() error {
	if _, err := os.Stat(steamsim); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("this runs as root in the container of scripts/test-system only (%v)", err)
	}
	if err := os.Chdir("/"); err != nil { // where this began is a folder of another user
		return err
	}
	for _, argv := range [][]string{
		{"systemd-sysusers"},
		{"systemd-tmpfiles", "--create"},
		{"systemctl", "daemon-reload"},
		{"systemctl", "try-restart", "polkit.service"}, // it reads new rules by itself, some time
	} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, out)
		}
	}
	return nil
}

// sh runs a program as root and fails the test if it fails.
func sh(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := try(argv...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return out
}

func try(argv ...string) (string, error) {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// asLeft4me is how everything of left4me is run: as its service does.
func asLeft4me(argv ...string) []string {
	return append([]string{
		"setpriv", "--no-new-privs", "--reuid", "left4me", "--regid", "left4me", "--init-groups", "--bounding-set=-all",
		"env", "HOME=" + stateRoot, "TMPDIR=/tmp",
	}, argv...)
}

func l4d2ctl(t testing.TB, args ...string) string {
	t.Helper()
	return sh(t, asLeft4me(append([]string{"l4d2ctl"}, args...)...)...)
}

// again runs this test once more, as user left4me, and passes its result on. It
// returns true where the caller is done.
func again(t *testing.T) bool {
	t.Helper()
	if os.Getenv(envUser) != "" {
		return false
	}
	tmp, err := os.MkdirTemp("", "left4me-user-")
	if err == nil {
		err = os.Chmod(tmp, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp) // whatever a failed test left
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	argv := asLeft4me("TMPDIR="+tmp, envUser+"=1", self,
		"-test.v", "-test.count=1", "-test.timeout=5m", "-test.run", "^"+regexp.QuoteMeta(t.Name())+"$")
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		t.Log("left4me: " + strings.TrimRight(line, "\n"))
	}
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Fatalf("as user left4me: %v", err)
	}
	return true
}

func uidOf(t testing.TB, name string) int {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	return uid
}

func systemd() *supervisor.Systemd { return &supervisor.Systemd{Root: stateRoot} }

// addGame makes the installation one file: a game that does what it is told.
func addGame(t testing.TB) {
	t.Helper()
	path := filepath.Join(stateRoot, "installation", suitetest.GameName)
	_ = os.Remove(path) // a running one cannot be written to
	suitetest.AddGame(t, path)
}

// addDropIns changes units for one test.
func addDropIns(t testing.TB, texts map[string]string) {
	t.Helper()
	for unit, text := range texts {
		suitetest.Write(t, filepath.Join(dropIns, unit+".d", "test.conf"), text)
	}
	sh(t, "systemctl", "daemon-reload")
	t.Cleanup(func() {
		for unit := range texts {
			if err := os.RemoveAll(filepath.Join(dropIns, unit+".d")); err != nil {
				t.Error(err)
			}
		}
		sh(t, "systemctl", "daemon-reload")
	})
}

// leftovers is what servers must not leave behind: mounts, control groups, units.
func leftovers(t testing.TB) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/1/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, stateRoot) || strings.Contains(line, "left4me:") {
			b.WriteString(line)
		}
	}
	b.WriteString(sh(t, "find", "/sys/fs/cgroup", "-name", "left4me-server@*"))
	b.WriteString(sh(t, "systemctl", "list-units", "--all", "--plain", "--no-legend", "left4me-server@*", "left4me-purge@*", "*left4me*.mount"))
	return b.String()
}

// atRest is what is there before a test: nothing, as soon as systemd has taken
// note of how the test before it ended.
func atRest(t testing.TB) string {
	t.Helper()
	left := ""
	suitetest.Poll(func() bool { left = leftovers(t); return left == "" })
	return left
}

// checkLeft fails the test unless everything is soon as it was before: systemd
// takes note of an unmounting a moment after it has happened.
func checkLeft(t testing.TB, before string) {
	t.Helper()
	after := ""
	if !suitetest.Poll(func() bool { after = leftovers(t); return after == before }) {
		t.Errorf("left behind: %s\nbefore: %s", after, before)
	}
}

func ownerOf(fi os.FileInfo) uint32 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Uid
	}
	return ^uint32(0)
}
