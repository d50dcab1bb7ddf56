package steamsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

var rewrite = flag.Bool("update", false, "rewrite the golden files")

// TestMain lets the test binary play all parts: Link copies it, and the copies
// end up here under the names of the simulated programs.
func TestMain(m *testing.M) {
	if status, played := Act(Here()); played {
		os.Exit(status)
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for something that takes milliseconds.
const patience = 20 * time.Second

// host is a machine with a linked Steam and a home of its own.
type host struct {
	*testing.T
	home, steam, game string
}

func newHost(t *testing.T, c Control) *host {
	t.Helper()
	dir := t.TempDir()
	h := &host{T: t, home: filepath.Join(dir, "home"), steam: filepath.Join(dir, "steam"), game: filepath.Join(dir, "game")}
	if err := os.MkdirAll(h.home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Link(h.steam, Here().Exe, SpeedInstant); err != nil {
		t.Fatal(err)
	}
	h.control(c)
	return h
}

// control replaces the control file. Speed 0 is instant here.
func (h *host) control(c Control) {
	h.Helper()
	if c.Speed == 0 {
		c.Speed = SpeedInstant
	}
	if err := c.Write(filepath.Join(h.steam, ControlName)); err != nil {
		h.Fatal(err)
	}
}

func scenarioControl(name string, count int) Control {
	return Control{Steamcmd: SteamcmdControl{Scenario: name, Count: count}}
}

// env is the environment of the simulated programs. With the race detector they
// would stay a second longer, each; measuring coverage they would complain that
// they have nowhere to write it.
func (h *host) env() []string {
	return []string{"HOME=" + h.home, "PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0", "GOCOVERDIR=" + h.home}
}

// command is steamcmd.sh with arguments, in a process group of its own that is
// killed when the test ends.
func (h *host) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(h.steam, "steamcmd.sh"), args...)
	cmd.Env = h.env()
	return h.owned(cmd)
}

func (h *host) owned(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	h.Cleanup(func() {
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // usually gone already
		}
	})
	return cmd
}

// steamcmd runs steamcmd.sh to its end and returns stdout and status.
func (h *host) steamcmd(args ...string) (string, int) {
	h.Helper()
	cmd := h.command(args...)
	var out bytes.Buffer
	cmd.Stdout = &out
	status := h.status(cmd.Run())
	return out.String(), status
}

func (h *host) status(err error) int {
	h.Helper()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal())
		}
		return exit.ExitCode()
	}
	if err != nil {
		h.Fatal(err)
	}
	return 0
}

// flip are the arguments of the platform flip, the usual anonymous install.
func (h *host) flip() []string {
	return []string{
		"+force_install_dir", h.game, "+login", "anonymous",
		"+@sSteamCmdForcePlatformType", "windows", "+app_update", appID,
		"+@sSteamCmdForcePlatformType", "linux", "+app_update", appID, "validate", "+quit",
	}
}

func (h *host) install() {
	h.Helper()
	if out, status := h.steamcmd(h.flip()...); status != 0 {
		h.Fatalf("install ended with %d:\n%s", status, out)
	}
	h.steamclient()
}

func (h *host) steamclient() {
	h.Helper()
	if err := copyFile(filepath.Join(h.home, ".steam/sdk32/steamclient.so"), filepath.Join(h.steam, "linux32/steamclient.so"), 0o755); err != nil {
		h.Fatal(err)
	}
}

func (h *host) write(path, text string) {
	h.Helper()
	if err := writeFile(filepath.Join(h.game, path), []byte(text), 0o644); err != nil {
		h.Fatal(err)
	}
}

func (h *host) read(path string) string {
	h.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		h.Fatal(err)
	}
	return string(b)
}

func (h *host) exists(path string) bool {
	_, err := os.Stat(filepath.Join(h.game, path))
	return err == nil
}

// transcript is what a program has printed so far; waiting for text in it needs
// no polling.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func newTranscript() *transcript { return &transcript{news: make(chan struct{}, 1)} }

func (tr *transcript) Write(b []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	select {
	case tr.news <- struct{}{}:
	default:
	}
	return tr.text.Write(b)
}

func (tr *transcript) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.text.String()
}

func (tr *transcript) waitFor(t *testing.T, want string) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		if s := tr.String(); strings.Contains(s, want) {
			return s
		}
		select {
		case <-tr.news:
		case <-deadline:
			t.Fatalf("waited for %q, got:\n%s", want, tr)
		}
	}
}

// until polls what no event tells.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited for %s", what)
		}
	}
}

// onTerminal starts cmd on a pty and returns what it prints.
func onTerminal(t *testing.T, cmd *exec.Cmd) *transcript {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	f, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	tr := newTranscript()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(tr, f) // ends with EIO when the last process has gone
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // usually gone already
		_ = f.Close()                                       // ends the copying
		<-done
	})
	return tr
}

var clock = regexp.MustCompile(`\d\d/\d\d/\d{4} - \d\d:\d\d:\d\d|\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\]|"LastUpdated"\t\t"\d+"`)

// golden compares text, with this machine's paths and times taken out, with
// testdata/NAME.
func (h *host) golden(name, text string) {
	h.Helper()
	text = strings.NewReplacer(h.home, "$HOME", h.game, "$GAME", h.steam, "$STEAM").Replace(text)
	text = clock.ReplaceAllString(text, "$$TIME")
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := writeFile(path, []byte(text), 0o644); err != nil {
			h.Fatal(err)
		}
	}
	if want := h.read(path); text != want {
		h.Errorf("%s differs (go test -update writes it anew), got:\n%s", path, text)
	}
}

// manifest returns the game's manifest; flags are -1 when there is none.
func (h *host) manifest() *manifest {
	h.Helper()
	m, err := readManifest(h.game)
	if err != nil {
		h.Fatal(err)
	}
	if m == nil {
		return &manifest{flags: -1}
	}
	return m
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// missing ends a test that this machine cannot run: a failure where everything
// is installed, a skip elsewhere.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}
