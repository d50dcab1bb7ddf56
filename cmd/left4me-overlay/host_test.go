package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"left4me/overlayhelper"
)

// host_test.go gives the built helper a host. The test program starts itself as
// process 1 of a PID and a mount namespace of their own, with a shared mount
// tree, /run, /etc/passwd and state root of its own, in a control group called
// init.scope: to the helper that is a container whose init is systemd. The tests
// then run in there, in a mount namespace that is a slave copy, as a unit's
// would be. Nothing of the machine's own mount table is touched.

const envRole = "LEFT4ME_OVERLAY_TEST_ROLE"

// Who is who in the host's /etc/passwd.
const (
	service = 3000
	game    = 3001
	build   = 3002
	foreign = 3003

	passwd = `root:x:0:0:root:/root:/bin/sh
left4me:x:3000:3000::/var/lib/left4me:/usr/sbin/nologin
l4d2:x:3001:3001::/var/lib/left4me:/usr/sbin/nologin
l4d2-build:x:3002:3002::/var/lib/left4me:/usr/sbin/nologin
`
)

const root = overlayhelper.StateRoot

// The programs under test, on the scratch folder that the host's init binds.
var (
	dirPrograms = os.Getenv("LEFT4ME_OVERLAY_TEST_PROGRAMS")
	shipped     = filepath.Join(dirPrograms, "left4me-overlay")      // as the package has it
	stepwise    = filepath.Join(dirPrograms, "left4me-overlay-step") // may be killed at each step
	noHost      = ""                                                 // why there is no host
)

func TestMain(m *testing.M) {
	role, args, _ := strings.Cut(os.Getenv(envRole), " ")
	switch role {
	case "init":
		_ = os.Unsetenv(envRole) // of two values for one name the first would count
		os.Exit(runInit())
	case "tests":
		if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
			fmt.Fprintln(os.Stderr, "make a unit's mount namespace:", err)
			os.Exit(1)
		}
		_ = os.Unsetenv(envRole)
		os.Exit(m.Run())
	case "attack":
		attack(strings.Fields(args))
		os.Exit(1)
	}
	if os.Geteuid() != 0 {
		noHost = "mounting needs root"
		os.Exit(m.Run())
	}
	code, err := startHost()
	if err != nil {
		fmt.Fprintln(os.Stderr, "start a host for the tests:", err)
	}
	os.Exit(code)
}

// needHost skips a test where there can be no host, and fails it in CI.
func needHost(t testing.TB) {
	t.Helper()
	if noHost == "" {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal(noHost)
	}
	t.Skip(noHost)
}

// startHost builds the programs, starts the host's init and returns its code.
func startHost() (int, error) {
	dir, err := os.MkdirTemp("", "left4me-overlay-test")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return 1, err
	}
	for _, p := range [][]string{{"left4me-overlay"}, {"left4me-overlay-step", "-tags=overlaytest"}} {
		cmd := exec.Command("go", append(append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, p[0])}, p[1:]...), ".")...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("%s: %w\n%s", cmd, err, out)
		}
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), envRole+"=init", "LEFT4ME_OVERLAY_TEST_PROGRAMS="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	runtime.LockOSThread() // the signal comes at the end of the thread that started it
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode(), nil // the tests said why
	}
	return 1, err
}

// runInit is process 1: it makes the host, starts the tests and reaps.
func runInit() int {
	if err := furnish(dirPrograms); err != nil {
		fmt.Fprintln(os.Stderr, "furnish the host:", err)
		return 1
	}
	runtime.LockOSThread() // as in startHost
	p, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{
		Env:   append(os.Environ(), envRole+"=tests"),
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys:   &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the tests:", err)
		return 1
	}
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 1
		case pid == p.Pid && ws.Exited():
			return ws.ExitStatus()
		case pid == p.Pid:
			fmt.Fprintln(os.Stderr, "the tests were killed by", ws.Signal())
			return 1
		}
	}
}

// furnish makes the mounts of the host and shares them.
func furnish(dir string) error {
	state, users, group := filepath.Join(dir, "state"), filepath.Join(dir, "passwd"), filepath.Join(dir, "cgroup")
	for _, d := range []string{state, filepath.Join(dir, "victim")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	for file, text := range map[string]string{users: passwd, group: "0::/init.scope\n"} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		source, target, fstype string
		flags                  uintptr
	}{
		{"none", "/", "", unix.MS_REC | unix.MS_PRIVATE},
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{group, "/proc/1/cgroup", "", unix.MS_BIND},
		{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV},
		{"tmpfs", "/var/lib", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV},
		{state, root, "", unix.MS_BIND},
		{users, "/etc/passwd", "", unix.MS_BIND},
		{"none", "/", "", unix.MS_REC | unix.MS_SHARED},
	} {
		if m.target == root {
			if err := os.Mkdir(root, 0o755); err != nil {
				return err
			}
		}
		if err := unix.Mount(m.source, m.target, m.fstype, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.source, m.target, err)
		}
	}
	for _, d := range []string{"instances", "overlays", "installation", "runtime"} {
		if err := os.Mkdir(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
		if d != "runtime" {
			if err := os.Chown(filepath.Join(root, d), service, service); err != nil {
				return err
			}
		}
	}
	return writeAs(filepath.Join(root, "installation/srcds_linux"), "game", service)
}

// result is one run of the helper.
type result struct {
	code   int
	stderr string
	took   time.Duration
}

func (r result) String() string {
	return fmt.Sprintf("exit %d after %s: %s", r.code, r.took.Round(time.Millisecond), r.stderr)
}

// helper runs the shipped helper.
func helper(t testing.TB, args ...string) result {
	t.Helper()
	return runHelper(t, exec.Command(shipped, args...))
}

func runHelper(t testing.TB, cmd *exec.Cmd) result {
	t.Helper()
	var stderr bytes.Buffer
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err := cmd.Wait()
	r := result{code: cmd.ProcessState.ExitCode(), stderr: stderr.String(), took: time.Since(start)}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", cmd, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%s hung: %s", cmd, r)
	}
	return r
}

// want runs the helper and fails unless it ends with the code, and with one
// sentence when that is no success.
func want(t testing.TB, code int, args ...string) result {
	t.Helper()
	r := helper(t, args...)
	checkResult(t, code, r, args)
	return r
}

func checkResult(t testing.TB, code int, r result, what any) {
	t.Helper()
	if r.code != code {
		t.Errorf("%q: %s; want exit %d", what, r, code)
	}
	if r.code != 0 && (strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "left4me-overlay: ")) {
		t.Errorf("%q: %s; want one sentence", what, r)
	}
	if r.code == 0 && r.stderr != "" {
		t.Errorf("%q succeeded but said %s", what, r.stderr)
	}
}

// writeAs writes a file with its folders, all owned by uid.
func writeAs(path, text string, uid int) error {
	if err := mkdirAs(filepath.Dir(path), uid); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Chown(path, uid, uid)
}

// mkdirAs makes the missing folders on the way to path, each owned by uid.
func mkdirAs(path string, uid int) error {
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	if err := mkdirAs(filepath.Dir(path), uid); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	return os.Chown(path, uid, uid)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func at(parts ...string) string { return filepath.Join(append([]string{root}, parts...)...) }

func merged(name string, parts ...string) string {
	return at(append([]string{"runtime", name, "merged"}, parts...)...)
}

// version makes an overlay version with one file that holds its own name.
func version(t testing.TB, ref string, uid int) {
	t.Helper()
	must(t, writeAs(at("overlays", ref, "cfg", "layer-"+strings.ReplaceAll(ref, "/", "-")), ref, uid))
	must(t, writeAs(at("overlays", ref, "cfg", "common"), ref, uid))
}

// server makes an instance with the list of layers. After the test it is
// unmounted, and nothing of it may be left in the mount table.
func server(t testing.TB, name string, layers ...string) {
	t.Helper()
	needHost(t)
	writeList(t, name, layers...)
	t.Cleanup(func() {
		want(t, 0, "umount", name)
		if left := mountsOf(t, name); len(left) > 0 {
			t.Errorf("left in the mount table: %+v", left)
		}
		want(t, 0, "purge", name)
		if _, err := os.Lstat(at("runtime", name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after purge: %v", err)
		}
		must(t, os.RemoveAll(at("instances", name)))
	})
}

func writeList(t testing.TB, name string, layers ...string) {
	t.Helper()
	var text string
	if len(layers) > 0 {
		text = strings.Join(layers, "\n") + "\n"
	}
	must(t, writeAs(at("instances", name, "mount"), text, service))
}

// hostTable is the mount table of the host, read until it is the same twice: it
// may change while it is read.
func hostTable(t testing.TB) []overlayhelper.MountEntry {
	t.Helper()
	var text, last []byte
	for range 1000 {
		var err error
		text, err = os.ReadFile("/proc/1/mountinfo")
		must(t, err)
		if bytes.Equal(text, last) {
			break
		}
		last = text
	}
	table, err := overlayhelper.ParseMountinfo(bytes.NewReader(text))
	must(t, err)
	return table
}

// mountsOf returns the host's mounts of the server, by name or by place.
func mountsOf(t testing.TB, name string) []overlayhelper.MountEntry {
	t.Helper()
	var found []overlayhelper.MountEntry
	for _, e := range hostTable(t) {
		if e.OfInstance(name) || e.Below(at("runtime", name)) {
			found = append(found, e)
		}
	}
	return found
}

// onHost runs a command in the host's mount namespace.
func onHost(t testing.TB, args ...string) {
	t.Helper()
	cmd := exec.Command("nsenter", append([]string{"--target", "1", "--mount", "--"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// as runs the command as that user with no group but his own.
func as(uid uint32, cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// eventually polls until the condition holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
