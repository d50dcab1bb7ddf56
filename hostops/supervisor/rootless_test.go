package supervisor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
	"left4me/hostops/supervisor/suitetest"
)

func TestMain(m *testing.M) {
	if raw := os.Getenv(envInner); raw != "" {
		syscall.Exit(inner(raw)) // os.Exit waits a second under the race detector
	}
	suitetest.Main(m)
}

// newRootless is a supervisor over a state root of its own.
func newRootless(tb testing.TB) *supervisor.Rootless {
	tb.Helper()
	return &supervisor.Rootless{Root: suitetest.NewRoot(tb), Self: suitetest.Self()}
}

func TestRootless(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	suitetest.Run(t, func(t *testing.T) suitetest.Env {
		r := newRootless(t)
		small := *r
		small.LogBytes, small.LogSegments = 20<<10, 4
		return suitetest.Env{Supervisor: r, Root: r.Root, SmallLogs: &small}
	})
}

// keeperOf is the keeper's process: the parent of the game's.
func keeperOf(t testing.TB, r *supervisor.Rootless, name string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", suitetest.Status(t, r, name).PID))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "PPid:"); ok {
			pid, err := strconv.Atoi(strings.TrimSpace(v))
			if err != nil || pid <= 1 {
				t.Fatalf("no keeper: %q %v", line, err)
			}
			return pid
		}
	}
	t.Fatal("no keeper")
	return 0
}

func TestKilledKeeper(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	r := newRootless(t)
	before := suitetest.Mountinfo(t)
	suitetest.Up(t, r, suitetest.Launch("killed", "child", "print:up", "wait"))
	suitetest.WaitLine(t, r, "killed", "up")
	game := suitetest.Status(t, r, "killed").PID
	if err := syscall.Kill(keeperOf(t, r, "killed"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	suitetest.Eventually(t, "the game is gone", func() bool { return !suitetest.Alive(game) })
	suitetest.Eventually(t, "it is seen as failed", func() bool { return suitetest.Status(t, r, "killed").State == ctl.ServerFailed })
	i := suitetest.Status(t, r, "killed")
	if !strings.HasPrefix(i.Message, "The keeper was killed; ") || i.PID != 0 || i.Applied == nil || !i.Lost {
		t.Errorf("%+v", i)
	}
	if after := suitetest.Mountinfo(t); after != before {
		t.Errorf("mounts before:\n%s\nafter:\n%s", before, after)
	}
	suitetest.Up(t, r, suitetest.Launch("killed", "print:again", "wait"))
	suitetest.WaitLine(t, r, "killed", "again")
	if err := syscall.Kill(keeperOf(t, r, "killed"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	suitetest.Down(t, r, "killed")
	if i := suitetest.Status(t, r, "killed"); i.State != ctl.ServerStopped || i.Message != "" {
		t.Errorf("after stop: %+v", i)
	}
}

// A machine that restarted has no keeper either; the sentence is another.
func TestRestartedMachine(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	r := newRootless(t)
	suitetest.Write(t, filepath.Join(r.Root, "runtime/boot/state.json"), `{"state":"running","since":"2026-01-02T03:04:05Z","boot_id":"other"}`)
	if i := suitetest.Status(t, r, "boot"); i.State != ctl.ServerFailed || !strings.Contains(i.Message, "machine was restarted") || !i.Lost {
		t.Errorf("%+v", i)
	}
	for boot, lost := range map[string]bool{"other": true, thisBoot(t): false} {
		suitetest.Write(t, filepath.Join(r.Root, "runtime/boot/state.json"), `{"state":"failed","message":"It crashed.","boot_id":"`+boot+`"}`)
		if i := suitetest.Status(t, r, "boot"); i.State != ctl.ServerFailed || i.Message != "It crashed." || i.Lost != lost {
			t.Errorf("given up in boot %s: %+v, want lost %v", boot, i, lost)
		}
	}
	suitetest.Write(t, filepath.Join(r.Root, "runtime/boot/state.json"), `{"sta`)
	if i := suitetest.Status(t, r, "boot"); i.State != ctl.ServerUnknown || !strings.Contains(i.Message, "damaged") {
		t.Errorf("%+v", i)
	}
	suitetest.Down(t, r, "boot")
	if i := suitetest.Status(t, r, "boot"); i.State != ctl.ServerStopped {
		t.Errorf("%+v", i)
	}
}

func TestFiftyCyclesLeaveNoMount(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	r := newRootless(t)
	before := suitetest.Mountinfo(t)
	for n := range 50 {
		if err := r.Start(context.Background(), suitetest.Launch("cycle", "wait")); err != nil {
			t.Fatalf("start %d: %v", n, err)
		}
		if n%2 == 1 {
			if err := syscall.Kill(keeperOf(t, r, "cycle"), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			continue // the next start works at once
		}
		suitetest.Down(t, r, "cycle")
	}
	suitetest.Down(t, r, "cycle")
	if after := suitetest.Mountinfo(t); after != before {
		t.Errorf("mounts before:\n%s\nafter:\n%s", before, after)
	}
	suitetest.Eventually(t, "no process is left", func() bool {
		paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			if b, err := os.ReadFile(p); err == nil && bytes.Contains(b, []byte("keeper\x00cycle")) {
				return false
			}
		}
		return true
	})
}

// A keeper that hangs does not block anybody, and stop ends it.
func TestHangingKeeper(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	r := newRootless(t)
	suitetest.Up(t, r, suitetest.Launch("hang", "print:up", "wait"))
	suitetest.WaitLine(t, r, "hang", "up")
	keeper := keeperOf(t, r, "hang")
	if err := syscall.Kill(keeper, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	suitetest.Eventually(t, "every thread of the keeper has stopped", func() bool { return stopped(t, keeper) })
	if i := suitetest.Status(t, r, "hang"); i.State != ctl.ServerUnknown || i.Message == "" {
		t.Errorf("%+v", i)
	}
	suitetest.Down(t, r, "hang")
	if i := suitetest.Status(t, r, "hang"); i.State != ctl.ServerStopped {
		t.Errorf("%+v", i)
	}
}

// stopped says whether all threads of a process are stopped: SIGSTOP reaches one
// after the other, and one that still runs still answers.
func stopped(t *testing.T, pid int) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("threads of %d: %v, %v", pid, threads, err)
	}
	for _, path := range threads {
		if raw, err := os.ReadFile(path); err == nil && !strings.Contains(string(raw), ") T ") {
			return false
		}
	}
	return true
}

func TestKeeperObeysSIGTERMAndNothingElse(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	r := newRootless(t)
	suitetest.Up(t, r, suitetest.Launch("signals", "print:up", "wait"))
	suitetest.WaitLine(t, r, "signals", "up")
	keeper := keeperOf(t, r, "signals")
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGPIPE} {
		if err := syscall.Kill(keeper, s); err != nil {
			t.Fatal(err)
		}
	}
	if i := suitetest.Status(t, r, "signals"); i.State != ctl.ServerRunning {
		t.Errorf("%+v", i)
	}
	if err := syscall.Kill(keeper, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	suitetest.Eventually(t, "the keeper has gone", func() bool { return !suitetest.Alive(keeper) })
	if i := suitetest.Status(t, r, "signals"); i.State != ctl.ServerStopped || !strings.Contains(i.Message, "SIGTERM") {
		t.Errorf("%+v", i)
	}
}

// The socket's address is longer than the 108 bytes that an address may have.
func TestLongStateRoot(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	r := newRootless(t)
	long := filepath.Join(r.Root, strings.Repeat("long/", 40))
	if err := os.MkdirAll(filepath.Dir(long), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(long, "installation"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(r.Root, "installation", suitetest.GameName), filepath.Join(long, "installation", suitetest.GameName)); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(r.Root, "link") // and by way of a link
	if err := os.Symlink(long, link); err != nil {
		t.Fatal(err)
	}
	r.Root = link
	suitetest.Up(t, r, suitetest.Launch("long", "print:up", "wait"))
	suitetest.WaitLine(t, r, "long", "up")
	suitetest.Down(t, r, "long")
}

// The server outlives whoever started it, with its whole process group.
func TestStarterKilled(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	r := newRootless(t)
	cmd := innerCommand(t, innerOrder{Root: r.Root, Linger: true}, nil)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 4096)
	if n, err := out.Read(line); err != nil || !bytes.Contains(line[:n], []byte(`"Code":0`)) {
		t.Fatalf("%s %v", line[:n], err)
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, as it should be
	if i := suitetest.Status(t, r, "inner"); i.State != ctl.ServerRunning {
		t.Errorf("%+v", i)
	}
	suitetest.WaitLine(t, r, "inner", "inner game")
	suitetest.Down(t, r, "inner")
}

func TestStartIsCancelled(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	r := newRootless(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("the operator changed his mind"))
	err := r.Start(ctx, suitetest.Launch("cancel", "wait"))
	if !errors.Is(err, ctl.ErrCancelled) || !strings.Contains(err.Error(), "changed his mind") {
		t.Errorf("got %v", err)
	}
	if i := suitetest.Status(t, r, "cancel"); i.State != ctl.ServerStopped || i.Message == "" {
		t.Errorf("%+v", i)
	}
}

// Somebody who looks into the game's mounts keeps them alive. The next start
// must not write to the same files beside him.
func TestStillInUse(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	r := newRootless(t)
	r.SetInUseLimit(300 * time.Millisecond)
	suitetest.Up(t, r, suitetest.Launch("pinned", "print:up", "wait"))
	suitetest.WaitLine(t, r, "pinned", "up")
	pid := strconv.Itoa(suitetest.Status(t, r, "pinned").PID)
	holder := exec.Command("nsenter", "-U", "-m", "--preserve-credentials", "-t", pid, "--", "/bin/sh", "-c", "echo in; exec sleep 1000")
	holder.Stderr = os.Stderr
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatalf("nobody is in the namespace: %v", err)
	}
	suitetest.Down(t, r, "pinned")
	err = r.Start(context.Background(), suitetest.Launch("pinned", "wait"))
	if !errors.Is(err, ctl.ErrInUse) || !strings.Contains(err.Error(), "pinned are still in use") {
		t.Errorf("got %v", err)
	}
	_ = holder.Process.Kill() // ours alone
	_ = holder.Wait()
	suitetest.Up(t, r, suitetest.Launch("pinned", "print:free", "wait"))
	suitetest.WaitLine(t, r, "pinned", "free")
}

func TestKeeperByHand(t *testing.T) {
	for _, args := range [][]string{nil, {"x"}, {"../x"}, {"x", "run", "1", "2"}} {
		if code := supervisor.RunKeeper(args); code != 64 {
			t.Errorf("%q: code %d, want 64", args, code)
		}
	}
}

func BenchmarkStartStop(b *testing.B) {
	if suitetest.AsUser(b) {
		return
	}
	r := newRootless(b)
	for b.Loop() {
		if err := r.Start(context.Background(), suitetest.Launch("bench", "wait")); err != nil {
			b.Fatal(err)
		}
		if err := r.Stop(context.Background(), "bench"); err != nil {
			b.Fatal(err)
		}
	}
}

func thisBoot(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}
