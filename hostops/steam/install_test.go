package steam

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"left4me/hostops/ctl"
)

// bench is a place to install to, with a steamcmd.sh that does what a test says.
type bench struct {
	Options
	mu     sync.Mutex
	events []ctl.Event
	stderr bytes.Buffer
}

// newBench writes body as steamcmd.sh. $DIR is the install directory.
func newBench(t *testing.T, body string) *bench {
	t.Helper()
	root := t.TempDir()
	b := &bench{}
	b.Options = Options{
		Steamcmd: filepath.Join(root, "steam", "steamcmd.sh"), Home: filepath.Join(root, "steam"), Dir: filepath.Join(root, "installation"),
		Stderr: &b.stderr, Pause: time.Millisecond, Grace: 200 * time.Millisecond,
	}
	b.Emit = func(e ctl.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, e)
	}
	write(t, b.Steamcmd, "#!/bin/sh\nDIR="+b.Dir+"\n"+body)
	write(t, filepath.Join(b.Home, "linux32", "steamclient.so"), "so")
	return b
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	// A child that another test starts meanwhile would inherit the open file, and a
	// program that is open for writing cannot be run.
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, []byte(text), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) lines(stream ctl.Stream) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, e := range b.events {
		if e.Type == ctl.EventLog && e.Stream == stream {
			all = append(all, e.Text)
		}
	}
	return all
}

// installs is what a steamcmd does that succeeds.
const installs = `
mkdir -p $DIR/left4dead2 && echo x > $DIR/srcds_linux && echo x > $DIR/left4dead2/steam.inf
printf '"AppState"\n{\n"StateFlags" "4"\n"buildid" "7"\n}\n' > $DIR/steamapps/appmanifest_222860.acf
echo "Success! App '222860' fully installed."
`

func TestInstallNeedsSuccessAndFiles(t *testing.T) {
	tests := map[string]struct {
		body string
		code int
		want string // of the sentence; "" for success
	}{
		"all well":                  {installs, 0, ""},
		"crash on the way out":      {installs + "kill -SEGV $$", 0, ""},
		"success without files":     {"echo \"Success! App '222860' fully installed.\"", 76, "steamcmd reported success, but the game is not installed yet"},
		"success without one file":  {installs + "rm $DIR/srcds_linux", 76, "steamcmd reported success, but the installation lacks srcds_linux"},
		"files without success":     {installs + "echo \"Error! App '222860' state is 0x602 after update job.\"; exit 8", 8, "The download broke off"},
		"error but exit 0":          {"echo \"Error! App '222860' state is 0x606 after update job.\"", 76, "could not write to the disk"},
		"nothing said":              {"exit 3", 3, "ended with exit code 3 and did not say why"},
		"nothing said, exit 0":      {"", 76, "ended without installing the game and did not say why"},
		"killed":                    {"kill -KILL $$", 137, "ended by a signal (killed)"},
		"disk":                      {"echo \"Error! App '222860' state is 0x202 after update job.\"; exit 8", 8, "is too small for the game: about 9.9 GB more are needed, and 5.0 GB are free"},
		"another app's success":     {"echo \"Success! App '90' fully installed.\"", 76, "ended without installing"},
		"only its log knows":        {"mkdir -p $HOME/Steam/logs; echo 'Download failed: http error 0 (x)' >> $HOME/Steam/logs/bootstrap_log.txt; exit 1", 1, "could not download its own update"},
		"exit code of a cut script": {"echo partial; exit 255", 255, "exit code 255"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, tt.body)
			b.free = func(string) (int64, error) { return 5e9, nil }
			_, err := Install(t.Context(), b.Options)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || ctl.ExitCode(err) != tt.code {
				t.Errorf("got code %d: %v\nwant %d: %q", ctl.ExitCode(err), err, tt.code, tt.want)
			}
		})
	}
}

func TestInstallPassesStandardErrorOn(t *testing.T) {
	b := newBench(t, "printf 'one\\n\\377two' >&2; test -t 1 && echo out on a terminal; test -t 2 || echo err on none; exit 9")
	_, err := Install(t.Context(), b.Options)
	if ctl.ExitCode(err) != 9 {
		t.Errorf("code %d: %v", ctl.ExitCode(err), err)
	}
	if got := b.stderr.String(); got != "one\n\xfftwo" {
		t.Errorf("standard error became %q", got)
	}
	if got := b.lines(ctl.StreamErr); !slices.Equal(got, []string{"one", "\uFFFDtwo"}) {
		t.Errorf("as events %q", got)
	}
	if got := b.lines(ctl.StreamOut); !slices.Equal(got, []string{"out on a terminal", "err on none"}) {
		t.Errorf("output %q", got)
	}
}

func TestInstallTriesAgainOnlyWhatPasses(t *testing.T) {
	count := "echo x >> $HOME/tries; n=$(wc -l < $HOME/tries)\n"
	missing := "ERROR! Failed to install app '222860' (Missing configuration)"
	tests := map[string]struct {
		method Method
		body   string
		tries  int
		ok     bool
	}{
		"third try":          {MethodFlip, fmt.Sprintf("if [ $n -lt 3 ]; then echo \"%s\"; exit 8; fi\n%s%s", missing, installs, "echo \"Success! App '222860' fully installed.\""), 3, true},
		"never":              {MethodFlip, fmt.Sprintf("echo \"%s\"; exit 8", missing), 3, false},
		"both ways":          {MethodAuto, fmt.Sprintf("echo \"%s\"; exit 8", missing), 6, false},
		"network":            {MethodFlip, "echo \"Error! App '222860' state is 0x602 after update job.\"; exit 8", 1, false},
		"network, both ways": {MethodAuto, "echo \"Error! App '222860' state is 0x602 after update job.\"; exit 8", 1, false},
		"platform, both":     {MethodAuto, "echo \"ERROR! Failed to install app '222860' (Invalid platform)\"; exit 8", 2, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, count+tt.body)
			b.Method = tt.method
			_, err := Install(t.Context(), b.Options)
			tries, readErr := os.ReadFile(filepath.Join(b.Home, "tries"))
			if got := strings.Count(string(tries), "x"); readErr != nil || got != tt.tries || (err == nil) != tt.ok {
				t.Errorf("%d tries, want %d; %v", got, tt.tries, err)
			}
			var f *Failure
			if err != nil && (!errors.As(err, &f) || f.Retry() != strings.HasPrefix(name, "network")) {
				t.Errorf("retry of %v", err)
			}
		})
	}
}

func TestInstallMethods(t *testing.T) {
	b := newBench(t, "echo \"$@\" >> $HOME/args\n"+installs)
	if _, err := Install(t.Context(), b.Options); err != nil {
		t.Fatal(err)
	}
	if _, err := Install(t.Context(), b.Options); err != nil {
		t.Fatal(err)
	}
	args, err := os.ReadFile(filepath.Join(b.Home, "args"))
	if err != nil {
		t.Fatal(err)
	}
	want := "+@ShutdownOnFailedCommand 1 +@NoPromptForPassword 1 +force_install_dir " + b.Dir +
		" +login anonymous +@sSteamCmdForcePlatformType linux +app_update 222860 validate +quit\n"
	if string(args) != want+want {
		t.Errorf("called with\n%s, want twice\n%s", args, want)
	}
	flip := once{Options: Options{Dir: "/d"}, method: MethodFlip, list: passes[MethodFlip]}
	got, _, err := b.arguments(flip.commands())
	if err != nil || !strings.Contains(strings.Join(got, " "),
		"+@sSteamCmdForcePlatformType windows +app_update 222860 +@sSteamCmdForcePlatformType linux +app_update 222860 validate +quit") {
		t.Errorf("the flip is %q", got)
	}
}

func TestInstallInheritsNothing(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://proxy")
	t.Setenv("LD_PRELOAD_OF_A_USER", "x")
	b := newBench(t, "env; ls -l /proc/self/fd | wc -l; exit 1")
	_, err := Install(t.Context(), b.Options)
	if err == nil {
		t.Fatal("no failure")
	}
	for _, line := range b.lines(ctl.StreamOut) {
		name, _, isVariable := strings.Cut(line, "=")
		if isVariable && !slices.Contains([]string{"HOME", "LANG", "PATH", "TERM", "PWD", "_", "SHLVL", "OLDPWD"}, name) {
			t.Errorf("steamcmd saw %s", line)
		}
	}
}

func TestInstallEndsAHangingSteamcmdWithItsChildren(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := newBench(t, "trap '' TERM HUP\nsleep 1000 & echo child $! $$\nwait\nsleep 1000\n")
	inner := b.Emit
	var pids []int
	b.Emit = func(e ctl.Event) {
		inner(e)
		if rest, ok := strings.CutPrefix(e.Text, "child "); ok {
			for _, word := range strings.Fields(rest) {
				pid, err := strconv.Atoi(word)
				if err != nil {
					t.Error(err)
				}
				pids = append(pids, pid)
			}
			cancel()
		}
	}
	_, err := Install(ctx, b.Options)
	if !errors.Is(err, ctl.ErrCancelled) || ctl.ExitCode(err) != 130 {
		t.Errorf("code %d: %v", ctl.ExitCode(err), err)
	}
	if len(pids) != 2 {
		t.Fatalf("saw %v, want two processes", pids)
	}
	for _, pid := range pids {
		gone(t, pid)
	}
}

// gone waits until a process is no more, or only its zombie, which is its
// parent's affair.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") || syscall.Kill(pid, 0) != nil {
			return
		}
	}
	t.Errorf("process %d is still there", pid)
}

func TestInstallGivesUpASilentSteamcmd(t *testing.T) {
	b := newBench(t, "echo hello; sleep 1000")
	b.Silence = 300 * time.Millisecond
	_, err := Install(t.Context(), b.Options)
	var f *Failure
	if !errors.As(err, &f) || !f.Retry() || ctl.ExitCode(err) != 78 || !strings.Contains(err.Error(), "printed nothing for 300ms") {
		t.Errorf("code %d: %v", ctl.ExitCode(err), err)
	}
}

func TestInstallDoesNotWaitForWhoLeft(t *testing.T) {
	b := newBench(t, installs+"setsid sleep 30 & echo stray $!")
	inner := b.Emit
	b.Emit = func(e ctl.Event) {
		inner(e)
		if rest, ok := strings.CutPrefix(e.Text, "stray "); ok {
			if pid, err := strconv.Atoi(rest); err == nil {
				t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) }) // it may be gone
			}
		}
	}
	began := time.Now()
	if _, err := Install(t.Context(), b.Options); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("waited %s for a process that left the session", took)
	}
}

func TestSteamcmdIsMissing(t *testing.T) {
	b := newBench(t, "")
	if err := os.Remove(b.Steamcmd); err != nil {
		t.Fatal(err)
	}
	if _, err := Install(t.Context(), b.Options); !errors.Is(err, ctl.ErrNotInstalled) {
		t.Errorf("not there: %v", err)
	}
	if err := os.Mkdir(b.Steamcmd, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Install(t.Context(), b.Options); !errors.Is(err, ctl.ErrNotInstalled) {
		t.Errorf("a directory: %v", err)
	}
}

func TestSteamclientElsewhereIsCopied(t *testing.T) {
	b := newBench(t, installs)
	other := filepath.Join(t.TempDir(), "steamcmd")
	if err := os.Rename(b.Home, other); err != nil {
		t.Fatal(err)
	}
	b.Steamcmd = filepath.Join(other, "steamcmd.sh")
	if _, err := Install(t.Context(), b.Options); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(filepath.Join(b.Home, ".steam", "sdk32", "steamclient.so"))
	if err != nil || !info.Mode().IsRegular() {
		t.Errorf("%v, %v", info, err)
	}
}

func TestManifest(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "steamapps"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := seedManifest(dir); err != nil {
		t.Fatal(err)
	}
	m, err := ReadManifest(dir)
	if err != nil || !m.Seeded() || m.Complete() || m.StateFlags != 2 {
		t.Errorf("the stub reads as %+v, %v", m, err)
	}
	write(t, manifestPath(dir), "\"AppState\"\n{\n\t\"StateFlags\"\t\t\"1026\"\n\t\"buildid\"\t\t\"99\"\n}\n")
	if err := seedManifest(dir); err != nil {
		t.Fatal(err)
	}
	if err := Installed(dir); !errors.Is(err, ctl.ErrNotInstalled) || !strings.Contains(err.Error(), "state flags are 1026") {
		t.Errorf("half an update is %v; the stub must not replace its manifest", err)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{-5: "0 bytes", 999: "999 bytes", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 9_710_287_462: "9.7 GB", 3e12: "3.0 TB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}
