package main

import (
	"bytes"
	"encoding/json"
	"errors"
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

	"github.com/creack/pty"

	"left4me/hostops/ctl"
)

// rig is a state root with the simulated Steam in it, and an ordinary user.
type rig struct {
	*testing.T
	root string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "l4d2ctl-steam-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // a leftover in the temporary folder hurts nobody
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	r := &rig{t, filepath.Join(dir, "root")}
	if out, err := r.as("steamsim", "link", filepath.Join(r.root, "steam"), "--speed", "instant").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return r
}

// as is a program under test, run by an ordinary user.
func (r *rig) as(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(os.Getenv(binVariable), program), args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "LEFT4ME_ROOT="+r.root, "LEFT4ME_SUPERVISOR=rootless")
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	return cmd
}

// meets chooses what the next installs meet.
func (r *rig) meets(steamcmd string) {
	r.Helper()
	path := filepath.Join(r.root, "steam", "steamsim.json")
	if err := os.WriteFile(path, fmt.Appendf(nil, `{"speed":"instant","steamcmd":%s}`, steamcmd), 0o644); err != nil {
		r.Fatal(err)
	}
}

// outcome is what a run said.
type outcome struct {
	ctl.Result
	events []ctl.Event
	stderr string
}

func (o outcome) said(pattern string) bool {
	re := regexp.MustCompile(pattern)
	for _, e := range o.events {
		if re.MatchString(e.Text) {
			return true
		}
	}
	return false
}

func (r *rig) ctl(input string, args ...string) outcome {
	r.Helper()
	cmd := r.as("l4d2ctl", append([]string{"--events=json"}, args...)...)
	var out, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.Fatal(err)
	}
	o := outcome{stderr: stderr.String()}
	for line := range bytes.Lines(out.Bytes()) {
		o.events = append(o.events, ctl.Parse(line))
	}
	if n := len(o.events); n == 0 || o.events[n-1].Result == nil {
		r.Fatalf("%q printed no result:\n%s%s", args, out.String(), o.stderr)
	}
	o.Result = *o.events[len(o.events)-1].Result
	if o.Code != cmd.ProcessState.ExitCode() {
		r.Errorf("%q ended with %d and said %d", args, cmd.ProcessState.ExitCode(), o.Code)
	}
	return o
}

func (r *rig) login() {
	r.Helper()
	if o := r.ctl("alice\nQx7 zz//9!\n", "steam", "login"); o.Code != 0 {
		r.Fatal(o.Message)
	}
}

// Every class of failure ends in its own sentence, exit code and retry behaviour.
func TestEveryFailureOfSteam(t *testing.T) {
	t.Parallel()
	tests := []struct {
		scenario string
		login    bool
		code     int
		retry    bool
		runs     int // of steamcmd, those that signed in or would have
		want     string
	}{
		{"invalid_platform", false, 8, false, 2, `^Steam offers no Linux files of the game to an anonymous login this way\. If it stays so, give left4me a Steam account`},
		{"missing_configuration", true, 8, false, 3, `^Steam did not have the game's description at hand in 3 tries\.`},
		{"no_subscription", true, 8, false, 1, `^Steam says that this login may not download the game`},
		{"file_permissions", false, 8, false, 1, `^steamcmd may not write into the installation folder`},
		{"beta_password", true, 8, false, 1, `^Steam asked for the password of a private beta branch`},
		{"timeout", false, 1, true, 1, `^Steam did not send the game's description in time`},
		{"appinfo_error", false, 1, true, 1, `^Steam did not answer the request for the game's description`},
		{"lost_session", false, 8, true, 1, `^The connection to Steam was lost`},
		{"rate_limit", false, 5, false, 1, `^Steam refuses logins from this address for a while \(rate limit\).* Try again after [0-2][0-9]:[0-5][0-9] UTC`},
		{"rate_limit_old", false, 5, false, 1, `^Steam refuses logins from this address for a while \(rate limit\)`},
		{"no_connection", false, 5, true, 1, `^Steam did not answer the login in time`},
		{"user_info_timeout", false, 5, true, 1, `^Steam accepted the login but did not send`},
		{"login_failure", true, 5, false, 1, `^Steam refused the login\.`},
		{"invalid_password", true, 5, false, 1, `^Steam did not accept the name or the password`},
		{"two_factor", true, 5, false, 1, `^Steam did not accept the two-factor code`},
		{"steam_guard", true, 76, false, 1, `^Steam asks for a Steam Guard code`},
		{"disk_full", false, 8, false, 1, `^(The disk that holds .* is too small for the game|Steam reports a full disk, although) .*5\.9 GB`},
		{"disk_full_212", false, 8, false, 1, `^(The disk that holds .* is too small for the game|Steam reports a full disk, although) .*4\.[0-9] GB`},
		{"too_large", false, 73, false, 1, `^The disk that holds .* is too small for the game: about [0-9.]+ TB more are needed, and .* are free`},
		{"network", false, 8, true, 1, `^The download broke off`},
		{"state_402", false, 8, true, 1, `^The download broke off`},
		{"state_6", false, 8, true, 1, `^Steam could not bring the game up to date: .*name service`},
		{"state_606", false, 8, false, 1, `^steamcmd could not write to the disk`},
		{"exit0_error", false, 76, false, 1, `^steamcmd could not write to the disk`},
		{"state_626", false, 8, false, 2, `^Files of the update were missing or damaged, and again after all were checked`},
		{"state_6a6", false, 8, false, 2, `^Files of the update were missing or damaged, and again after all were checked`},
		{"state_e", false, 8, true, 1, `^The update was not finished`},
		{"state_206", false, 8, true, 1, `^The update was not finished`},
		{"state_406", false, 8, true, 1, `^The update was not finished`},
		{"state_unknown", false, 8, false, 1, `^Steam ended the update in a state that left4me does not know`},
		{"bootstrap_failure", false, 1, true, 0, `^steamcmd could not download its own update`},
		{"offline", false, 1, true, 0, `^steamcmd cannot reach Steam to update itself`},
	}
	for _, tt := range tests {
		t.Run(tt.scenario, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.meets(`{"scenario":"` + tt.scenario + `"}`)
			method := "auto"
			if tt.login {
				method = "login"
				r.login()
			}
			o := r.ctl("", "install", "--method", method)
			if o.Code != tt.code || o.Retry != tt.retry || !regexp.MustCompile(tt.want).MatchString(o.Message) {
				t.Errorf("code %d, retry %v: %s\nwant %d, %v, %s", o.Code, o.Retry, o.Message, tt.code, tt.retry, tt.want)
			}
			runs := 0
			for _, e := range o.events {
				if strings.HasPrefix(e.Text, "Connecting anonymously") || strings.HasPrefix(e.Text, "Logging in user") {
					runs++
				}
			}
			if runs != tt.runs {
				t.Errorf("steamcmd signed in %d times, want %d", runs, tt.runs)
			}
			if strings.Contains(o.stderr, "Qx7") || o.said("Qx7") {
				t.Error("the password is shown")
			}
		})
	}
}

func TestARateLimitIsRespectedByEveryCommand(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.meets(`{"scenario":"rate_limit"}`)
	r.ctl("", "install")
	r.meets(`{"scenario":"ok"}`)
	for _, verb := range []string{"install", "game"} {
		o := r.ctl("", verb)
		if o.Code != 76 || o.Retry || !strings.Contains(o.Message, "nothing was tried. Try again after ") || o.said("^Connecting") {
			t.Errorf("%s: %+v", verb, o.Result)
		}
	}
}

func TestTheThirdWayIsTheAccount(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.login()
	if info, err := os.Stat(filepath.Join(r.root, "steam", "login.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of the account: %v, %v", info, err)
	}
	// The scenario is met by the seed and the flip, and by no named login.
	r.meets(`{"scenario":"invalid_platform","count":2}`)
	o := r.ctl("", "install")
	if o.Code != 0 || !o.said(`^The way "flip" did not work`) || !o.said(`^Logging in user '\*+' to Steam Public\.\.\.OK`) || o.said("alice|Qx7") {
		t.Errorf("%+v", o)
	}
	r.meets(`{"scenario":"ok"}`) // the way that worked is first now
	if o := r.ctl("", "install"); o.Code != 0 || o.said("^Connecting anonymously") {
		t.Errorf("the second install: %+v", o)
	}
	if o := r.ctl("", "steam", "logout"); o.Code != 0 {
		t.Error(o.Message)
	}
	if o := r.ctl("", "install"); o.Code != 0 || o.said("^Logging in user") {
		t.Errorf("without the account: %+v", o)
	}
}

func TestConfirmingOnThePhoneIsAPhase(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.login()
	r.meets(`{"scenario":"confirm_on_phone"}`)
	o := r.ctl("", "install", "--method", "login")
	found := false
	for _, e := range o.events {
		found = found || e.Phase != nil && e.Phase.Key == "confirm"
	}
	if o.Code != 0 || !found {
		t.Errorf("phase %v, %+v", found, o.Result)
	}
}

func TestSteamLoginOfNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, input := range map[string]string{"nothing": "", "no password": "alice\n", "a display name": "Alice in Chains\nx\n", "a quotation mark": "alice\na\"b\n"} {
		if o := r.ctl(input, "steam", "login"); o.Code != 64 || o.Message == "" {
			t.Errorf("%s: %+v", name, o.Result)
		}
	}
	if _, err := os.Stat(filepath.Join(r.root, "steam", "login.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was kept: %v", err)
	}
}

// On a terminal the password is asked for and not shown.
func TestSteamLoginOnATerminal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cmd := r.as("l4d2ctl", "steam", "login")
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	terminal, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close() // everything was read
	seen := make(chan string)
	go func() {
		defer close(seen)
		for buf := make([]byte, 4096); ; {
			n, err := terminal.Read(buf)
			if n > 0 {
				seen <- string(buf[:n])
			}
			if err != nil { // EIO when the program is gone
				return
			}
		}
	}()
	all := ""
	await := func(want string) {
		t.Helper()
		deadline := time.After(20 * time.Second)
		for !strings.Contains(all, want) {
			select {
			case text, more := <-seen:
				if all += text; !more {
					t.Fatalf("it ended before %q:\n%s", want, all)
				}
			case <-deadline:
				t.Fatalf("no %q in\n%s", want, all)
			}
		}
	}
	await("Name of the Steam account: ")
	if _, err := terminal.WriteString("alice\n"); err != nil {
		t.Fatal(err)
	}
	await("Password (it is not shown): ")
	if _, err := terminal.WriteString("Qx7secret\n"); err != nil {
		t.Fatal(err)
	}
	await("The account is kept")
	if err := cmd.Wait(); err != nil || strings.Contains(all, "Qx7") {
		t.Errorf("%v\n%s", err, all)
	}
}

func TestGameTellsOfAnUpdate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	game := func(args ...string) (g struct {
		ctl.Game
		Outdated bool
	},
	) {
		t.Helper()
		out, err := r.as("l4d2ctl", append([]string{"game", "--json"}, args...)...).Output()
		if jerr := json.Unmarshal(out, &g); err != nil || jerr != nil {
			t.Fatalf("%v, %v\n%s", err, jerr, out)
		}
		return g
	}
	if g := game(); g.Installed || g.Outdated || g.Latest != "18904237" {
		t.Errorf("before an install: %+v", g)
	}
	r.ctl("", "install")
	if g := game("--no-check"); !g.Installed || g.Outdated || g.Build != "18904237" {
		t.Errorf("installed: %+v", g)
	}
	r.meets(`{"scenario":"ok","build":"20000001"}`)
	if g := game("--no-check"); g.Outdated {
		t.Errorf("without asking: %+v", g)
	}
	if g := game(); !g.Outdated || g.Build != "18904237" || g.Latest != "20000001" { // a stale cache would say otherwise
		t.Errorf("a newer build: %+v", g)
	}
	r.ctl("", "install")
	if g := game("--no-check"); g.Outdated || g.Build != "20000001" {
		t.Errorf("updated: %+v", g)
	}
	r.meets(`{"scenario":"no_connection"}`)
	o := r.ctl("", "game")
	told := o.events[len(o.events)-2]
	if o.Code != 5 || !o.Retry || told.Game == nil || told.Game.Build != "20000001" {
		t.Errorf("Steam is away: %+v, %+v", o.Result, told)
	}
}

func killIt(t *testing.T, cmd *exec.Cmd) {
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
}

// A steamcmd that is killed midway leaves a game that is not started, and the next
// install goes on.
func TestAnInterruptedUpdateIsNotStarted(t *testing.T) {
	t.Parallel()
	for name, victim := range map[string]func(*testing.T, *exec.Cmd){
		"steamcmd is killed": func(t *testing.T, cmd *exec.Cmd) {
			for _, pid := range descendants(t, cmd.Process.Pid) {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
					t.Fatal(err)
				}
			}
		},
		"l4d2ctl is killed": killIt,
		// steamcmd went on for ever: nobody had told it that SIGHUP counts again.
		"l4d2ctl is killed under nohup": killIt,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if o := r.ctl("", "install"); o.Code != 0 {
				t.Fatal(o.Message)
			}
			if o := r.ctl("port: 27031\nrcon_password: secret1234\n", "initialize", "friday", "-f", "-"); o.Code != 0 {
				t.Fatal(o.Message)
			}
			r.meets(`{"scenario":"hang","build":"20000001"}`)
			install := r.as("l4d2ctl", "install")
			if strings.HasSuffix(name, "nohup") {
				install.Args = append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`, install.Path}, install.Args[1:]...)
				install.Path = "/bin/sh"
			}
			if err := install.Start(); err != nil {
				t.Fatal(err)
			}
			manifest := filepath.Join(r.root, "installation", "steamapps", "appmanifest_222860.acf")
			r.until("a quarter of the update is there", func() bool {
				data, err := os.ReadFile(manifest)
				found := regexp.MustCompile(`"StateFlags"\t\t"1026"(?s:.*)"BytesDownloaded"\t\t"[23][0-9]{9}"`).Match(data)
				return err == nil && found
			})
			if o := r.ctl("", "start", "friday"); o.Code != 75 || !strings.Contains(o.Message, "l4d2ctl install") {
				t.Errorf("start during the update: %+v", o.Result)
			}
			victim(t, install)
			if err := install.Wait(); err == nil {
				t.Error("the install succeeded")
			}
			r.until("steamcmd is gone", func() bool { return !r.busy() })
			if o := r.ctl("", "start", "friday"); o.Code != 69 || !strings.Contains(o.Message, "the installation of the game is not complete") {
				t.Errorf("start after it: %+v", o.Result)
			}
			r.meets(`{"scenario":"ok","build":"20000001"}`)
			o := r.ctl("", "install")
			first := 0.0
			for _, e := range o.events {
				if e.Type == ctl.EventProgress && strings.HasSuffix(e.Phase.Key, ".download") && first == 0 {
					first = e.Phase.Percent
				}
			}
			if o.Code != 0 || first < 20 {
				t.Errorf("the next install began its download at %.1f %%: %+v", first, o.Result)
			}
			var game ctl.Game
			for _, e := range o.events {
				if e.Game != nil {
					game = *e.Game
				}
			}
			if !game.Installed || game.Build != "20000001" {
				t.Errorf("afterwards %+v", game)
			}
		})
	}
}

// busy reports whether somebody changes the installation.
func (r *rig) busy() bool {
	f, err := os.Open(filepath.Join(r.root, "installation"))
	if err != nil {
		r.Fatal(err)
	}
	defer f.Close() // unlocks
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}

// until polls what no event tells.
func (r *rig) until(what string, done func() bool) {
	r.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("never: %s", what)
		}
	}
}

// descendants are the processes below pid.
func descendants(t *testing.T, pid int) []int {
	t.Helper()
	var all []int
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range tasks {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // the thread ended
		}
		for _, word := range strings.Fields(string(data)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			all = append(append(all, child), descendants(t, child)...)
		}
	}
	return all
}

func TestReplayPrintsWhatARunWould(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.meets(`{"scenario":"state_402"}`)
	lived := r.ctl("", "install", "--method", "flip")
	recording := filepath.Join(r.root, "steam", "last-install.txt")
	replayed := r.ctl("", "install", "--replay", recording)
	if lived.Result.Code != 8 || lived.Code != replayed.Code || lived.Message != replayed.Message || lived.Retry != replayed.Retry {
		t.Errorf("lived %+v\nreplayed %+v", lived.Result, replayed.Result)
	}
	keys := func(o outcome) (keys []string) {
		for _, e := range o.events {
			if e.Type == ctl.EventPhase && e.Phase.Key != "check" {
				keys = append(keys, e.Phase.Key)
			}
		}
		return keys
	}
	if a, b := fmt.Sprint(keys(lived)), fmt.Sprint(keys(replayed)); a != b || !strings.Contains(a, "windows.download") {
		t.Errorf("phases lived %s, replayed %s", a, b)
	}
	if o := r.ctl("", "install", "--replay", "/nowhere"); o.Code != 64 {
		t.Errorf("a recording that is not there: %+v", o.Result)
	}
	if out, err := r.as("l4d2ctl", "install", "--help").CombinedOutput(); err != nil || strings.Contains(string(out), "replay") {
		t.Errorf("%v; --replay is for us:\n%s", err, out)
	}
}
