package supervisor_test

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor/suitetest"
)

// unitInit is `l4d2ctl exec NAME` as its unit would run it, but without a unit.
type unitInit struct {
	t      *testing.T
	cmd    *exec.Cmd
	notify *net.UnixConn
	mu     sync.Mutex
	out    bytes.Buffer
}

func (u *unitInit) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.out.Write(p)
}

func (u *unitInit) output() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.out.String()
}

// startInit starts the init over a launch file with this content.
func startInit(t *testing.T, launch string) *unitInit {
	t.Helper()
	root := suitetest.NewRoot(t)
	suitetest.Write(t, filepath.Join(root, "instances/x/launch.json"), launch)
	merged := filepath.Join(root, "runtime/x/merged")
	if err := os.MkdirAll(merged, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(root, "installation", suitetest.GameName), filepath.Join(merged, suitetest.GameName)); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(root, "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // nothing can be lost
	u := &unitInit{t: t, notify: c, cmd: exec.Command("/proc/self/exe", suitetest.ExecArg, root, "x")}
	u.cmd.Env = []string{"NOTIFY_SOCKET=" + socket, "SECRET=of the unit"}
	u.cmd.Stdout, u.cmd.Stderr = u, u
	u.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := u.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-u.cmd.Process.Pid, syscall.SIGKILL) }) // whatever a failed test left
	return u
}

func launchOf(t *testing.T, grace time.Duration, argv ...string) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"argv": append([]string{suitetest.GameName}, argv...), "env": []string{"GAME=yes"}, "stop_grace": grace})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// told is the next notification.
func (u *unitInit) told() string {
	u.t.Helper()
	buf := make([]byte, 4096)
	if err := u.notify.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		u.t.Fatal(err)
	}
	n, err := u.notify.Read(buf)
	if err != nil {
		u.t.Fatalf("no notification: %v; it says %s", err, u.output())
	}
	return string(buf[:n])
}

func (u *unitInit) waitFor(text string) {
	u.t.Helper()
	suitetest.Eventually(u.t, "it prints "+text, func() bool { return strings.Contains(u.output(), text) })
}

// code waits for the end.
func (u *unitInit) code() int {
	u.t.Helper()
	_ = u.cmd.Wait() // the code is asked for
	return u.cmd.ProcessState.ExitCode()
}

func TestInitRunsTheGame(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	u := startInit(t, launchOf(t, 10*time.Second, "argv", "read:/proc/self/environ", "print:", "print:ready", "wait"))
	if got := u.told(); !strings.HasPrefix(got, "READY=1\n") {
		t.Errorf("told %q", got)
	}
	u.waitFor("ready\n")
	if err := u.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := u.code(); code != 0 {
		t.Errorf("code %d", code)
	}
	want := "argv [\"./srcds_linux\" \"argv\" \"read:/proc/self/environ\" \"print:\" \"print:ready\" \"wait\"]\n" +
		"content of /proc/self/environ: \"GAME=yes\\x00\"\n \nready\ninterrupted\n"
	if got := u.output(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// systemd sends SIGINT to the game as well: a second one from the init could end
// it before it has saved anything. A game that ignores both is killed.
func TestInitInsists(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	u := startInit(t, launchOf(t, 50*time.Millisecond, "print:deaf", "deaf"))
	u.told()
	u.waitFor("deaf\n")
	if err := u.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := u.code(); code != 137 || !strings.Contains(u.output(), "[left4me] The game did not end within 50ms and is killed.") {
		t.Errorf("code %d, %s", code, u.output())
	}
	u = startInit(t, launchOf(t, 20*time.Second, "print:ready", "wait"))
	u.told()
	u.waitFor("ready\n")
	if err := syscall.Kill(-u.cmd.Process.Pid, syscall.SIGINT); err != nil { // the game has a session of its own
		t.Fatal(err)
	}
	game, err := os.ReadFile("/proc/" + pidText(u.cmd.Process.Pid) + "/task/" + pidText(u.cmd.Process.Pid) + "/children")
	if err != nil {
		t.Fatal(err)
	}
	if !suitetest.Alive(pidOf(t, string(game))) {
		t.Error("the init passed SIGINT on")
	}
	if err := syscall.Kill(pidOf(t, string(game)), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := u.code(); code != 0 || !strings.HasSuffix(u.output(), "interrupted\n") {
		t.Errorf("code %d, %s", code, u.output())
	}
}

// A stopped server said that its game had ended by itself: systemd signals both,
// and the game was gone before the init had heard its own signal.
func TestInitHearsAStopThatCameFirst(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	u := startInit(t, launchOf(t, 20*time.Second, "print:ready", "wait"))
	u.told()
	u.waitFor("ready\n")
	raw, err := os.ReadFile("/proc/" + pidText(u.cmd.Process.Pid) + "/task/" + pidText(u.cmd.Process.Pid) + "/children")
	if err != nil {
		t.Fatal(err)
	}
	// Frozen, it cannot react to its signal before the game has gone.
	for _, s := range []struct {
		pid int
		sig syscall.Signal
	}{{u.cmd.Process.Pid, syscall.SIGSTOP}, {u.cmd.Process.Pid, syscall.SIGINT}, {pidOf(t, string(raw)), syscall.SIGINT}} {
		if err := syscall.Kill(s.pid, s.sig); err != nil {
			t.Fatal(err)
		}
	}
	suitetest.Eventually(t, "the game ends", func() bool { return !suitetest.Alive(pidOf(t, string(raw))) })
	if err := u.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if code := u.code(); code != 0 || !strings.HasSuffix(u.output(), "interrupted\n") {
		t.Errorf("code %d, %s", code, u.output())
	}
}

func TestInitTellsHowTheGameEnded(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	tests := map[string]struct {
		argv []string
		code int
		says string
	}{
		"an error": {[]string{"part:last words", "exit:7"}, 7, "last words\n[left4me] The game ended with exit code 7;"},
		"a signal": {[]string{"abort"}, 137, "[left4me] The game ended with signal SIGKILL;"},
		"no error": {[]string{"exit:0"}, 0, "[left4me] The game ended by itself, without an error."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			u := startInit(t, launchOf(t, time.Second, tt.argv...))
			if code := u.code(); code != tt.code || !strings.Contains(u.output(), tt.says) {
				t.Errorf("code %d, want %d; %s", code, tt.code, u.output())
			}
		})
	}
}

func TestInitRefuses(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	tests := map[string]struct {
		launch string
		want   error
	}{
		"no JSON":           {`{"argv":`, ctl.ErrBadSpec},
		"an unknown field":  {`{"argv":["srcds_linux"],"user":"root"}`, ctl.ErrBadSpec},
		"no program":        {`{"argv":[]}`, ctl.ErrBadSpec},
		"a program outside": {`{"argv":["/bin/sh"]}`, ctl.ErrBadSpec},
		"a path outside":    {`{"argv":["../../../x"]}`, ctl.ErrBadSpec},
		"no environment":    {`{"argv":["srcds_linux"],"env":["X"]}`, ctl.ErrBadSpec},
		"no such program":   {`{"argv":["srcds_windows"]}`, ctl.ErrNotInstalled},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			u := startInit(t, tt.launch)
			code := u.code()
			if ctl.FromExitCode(code) != tt.want {
				t.Errorf("code %d, want that of %v; %s", code, tt.want, u.output())
			}
			told := u.told()
			sentence, ok := strings.CutPrefix(told, "STATUS=")
			if !ok || sentence == "" || !strings.Contains(u.output(), sentence) || strings.Contains(told, "READY") {
				t.Errorf("told %q, printed %q", told, u.output())
			}
		})
	}
}

// Terminals of other servers, which belong to the same user, do not open.
func TestInitHidesTerminals(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	u := startInit(t, launchOf(t, time.Second, "read:/dev/ptmx", "write:/dev/null=x", "read:/dev/shm/none", "read:/proc/self/fd/1", "exit:0"))
	u.code()
	if strings.Contains(u.output(), "has no Landlock") {
		if os.Getenv("CI") != "" {
			t.Fatal("this kernel has no Landlock")
		}
		t.Skip("skipped: this kernel has no Landlock")
	}
	for _, want := range []string{"error: open /dev/ptmx: permission denied", "error: open /dev/shm/none: no such file", "error: open /proc/self/fd/1: permission denied"} {
		if !strings.Contains(u.output(), want) {
			t.Errorf("no %q in %s", want, u.output())
		}
	}
	if strings.Contains(u.output(), "/dev/null") {
		t.Errorf("/dev/null is closed: %s", u.output())
	}
}

func pidText(pid int) string { return strconv.Itoa(pid) }

func pidOf(t *testing.T, text string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
