package steamsim

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Every scenario that ends by itself and keeps its output has a transcript.
func TestTranscripts(t *testing.T) {
	status := map[string]int{
		"ok": 0, "decimal_comma": 0, "too_large": 0, "exit0_error": 0, "stub_refused": 0, "confirm_on_phone": 0,
		"bootstrap_failure": 1, "offline": 1, "timeout": 1, "appinfo_error": 1,
		"rate_limit": 5, "rate_limit_old": 5, "no_connection": 5, "invalid_password": 5, "two_factor": 5, "login_failure": 5, "user_info_timeout": 5,
		"missing_configuration": 8, "invalid_platform": 8, "no_subscription": 8, "file_permissions": 8, "beta_password": 8, "lost_session": 8,
		"disk_full": 8, "disk_full_212": 8, "network": 8, "state_402": 8, "state_6": 8, "state_606": 8, "state_626": 8, "state_6a6": 8,
		"state_e": 8, "state_206": 8, "state_406": 8, "state_unknown": 8,
	}
	endless := []string{"hang", "segfault_after_success", "steam_guard"} // tested below
	for _, name := range Scenarios() {
		want, ok := status[name]
		if !ok {
			if !slices.Contains(endless, name) {
				t.Errorf("scenario %q has no test", name)
			}
			continue
		}
		t.Run(name, func(t *testing.T) {
			h := newHost(t, scenarioControl(name, 0))
			args := append([]string{"+@ShutdownOnFailedCommand", "1"}, h.flip()...)
			if scenarios[name].account {
				args[slices.Index(args, "anonymous")] = "alice"
			}
			out, got := h.steamcmd(args...)
			if got != want {
				t.Errorf("exit status %d, want %d", got, want)
			}
			h.golden("steamcmd/"+name+".txt", out)
		})
	}
}

func TestFailuresLeaveTheirStateInTheManifest(t *testing.T) {
	for name, want := range map[string]int{
		"disk_full": 514, "disk_full_212": 0x212, "network": 1538, "state_402": 0x402, "state_6": 6, "exit0_error": 1542, "state_606": 1542,
		"state_626": 0x626, "state_6a6": 0x6a6, "state_e": 0xe, "state_206": 0x206, "state_406": 0x406, "no_subscription": -1, "lost_session": -1,
	} {
		h := newHost(t, scenarioControl(name, 0))
		h.steamcmd(h.flip()...)
		if got := h.manifest().flags; got != want {
			t.Errorf("%s: StateFlags %d, want %d", name, got, want)
		}
	}
}

func TestInstallLeavesWhatAnInstallCheckLooksFor(t *testing.T) {
	h := newHost(t, Control{})
	h.install()
	for _, path := range []string{
		"srcds_run", "srcds_linux", "bin/engine_srv.so", "bin/steamclient.so", "left4dead2/steam.inf", "left4dead2/cfg/valve.rc",
		"left4dead2/missions/campaign1.txt", "left4dead2/maps/c1m1_hotel.bsp", "left4dead2/maps/c14m1_junkyard.bsp", "left4dead2/addons",
	} {
		if !h.exists(path) {
			t.Errorf("%s is missing", path)
		}
	}
	if h.exists("left4dead2/cfg/server.cfg") {
		t.Error("the game comes without server.cfg")
	}
	if !sameContent(filepath.Join(h.game, "srcds_linux"), Here().Exe) {
		t.Error("srcds_linux is no copy of the binary")
	}
	if h.exists("steamapps/downloading/" + appID) {
		t.Error("the staging directory was left behind")
	}
	h.golden("appmanifest.acf", h.read(manifestPath(h.game)))
	if out, _ := h.steamcmd("+force_install_dir", h.game, "+login", "anonymous", "+app_update", appID, "+quit"); !strings.Contains(out, "Success! App '222860' already up to date.\n") {
		t.Errorf("second install:\n%s", out)
	}
}

func TestLinuxNeedsAManifest(t *testing.T) {
	linux := func(h *host, user ...string) string {
		out, _ := h.steamcmd(append(append([]string{"+force_install_dir", h.game, "+login"}, user...), "+app_update", appID, "validate", "+quit")...)
		return out
	}
	const refusal, success = "(Invalid platform)", "Success! App '222860' fully installed."
	h := newHost(t, Control{})
	if out := linux(h, "anonymous"); !strings.Contains(out, refusal) {
		t.Errorf("anonymous, nothing installed:\n%s", out)
	}
	if out := linux(h, "alice", "secret"); !strings.Contains(out, success) {
		t.Errorf("an account that owns the game:\n%s", out)
	}
	const stub = "\"AppState\"\n{\n\t\"appid\"\t\t\"222860\"\n\t\"StateFlags\"\t\t\"2\"\n\t\"buildid\"\t\t\"0\"\n\t\"InstalledDepots\"\n\t{\n\t}\n}\n"
	refused := newHost(t, scenarioControl("stub_refused", 0))
	refused.write("steamapps/appmanifest_222860.acf", stub)
	if out := linux(refused, "anonymous"); !strings.Contains(out, refusal) {
		t.Errorf("anonymous, stub manifest that Steam does not take:\n%s", out)
	}
	seeded := newHost(t, Control{})
	seeded.write("steamapps/appmanifest_222860.acf", stub)
	if out := linux(seeded, "anonymous"); !strings.Contains(out, success) {
		t.Errorf("anonymous, seeded manifest:\n%s", out)
	}
	if m := seeded.manifest(); m.flags != stateInstalled || len(m.depots) != 2 || !seeded.exists("srcds_linux") {
		t.Errorf("after the seeded install: %+v", m)
	}
}

func TestMissingConfigurationCountsRuns(t *testing.T) {
	h := newHost(t, scenarioControl("missing_configuration", 2))
	for run, want := range []int{8, 8, 0, 0} {
		out, got := h.steamcmd(append([]string{"+@ShutdownOnFailedCommand", "1"}, h.flip()...)...)
		if got != want || strings.Contains(out, "(Missing configuration)") != (want == 8) {
			t.Fatalf("run %d: status %d, want %d:\n%s", run+1, got, want, out)
		}
	}
	if err := os.RemoveAll(filepath.Join(h.home, "Steam")); err != nil {
		t.Fatal(err)
	}
	if _, got := h.steamcmd("+login", "anonymous", "+app_update", appID, "+quit"); got != 8 {
		t.Errorf("with a new Steam home: status %d, want 8", got)
	}
}

func TestOnlyTheFirstRunUpdatesTheClient(t *testing.T) {
	h := newHost(t, Control{})
	first, _ := h.steamcmd("+quit")
	second, _ := h.steamcmd("+quit")
	const self = "[----] Update complete, launching Steamcmd...\n"
	if !strings.Contains(first, self) || strings.Contains(second, self) {
		t.Errorf("first run:\n%s\nsecond run:\n%s", first, second)
	}
	if glued := "UpdateUI: skip show logoSteam Console Client (c)"; !strings.Contains(first, glued) {
		t.Errorf("no glued line in:\n%s", first)
	}
}

// downloading starts an install that stops for good at 30 %.
func (h *host) downloading() (*exec.Cmd, *transcript) {
	h.Helper()
	h.control(scenarioControl("hang", 0))
	cmd := h.command(h.flip()...)
	out := newTranscript()
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		h.Fatal(err)
	}
	until(h.T, "30 % of the bytes", func() bool { return h.manifest().done > depots[0].size/4 })
	return cmd, out
}

func TestOutputIsBufferedInBlocksWithoutATerminal(t *testing.T) {
	h := newHost(t, Control{})
	cmd, out := h.downloading()
	// The client waits for ever after 27.75 %, as it shows on a terminal below.
	if s := out.String(); strings.Contains(s, "downloading, progress: 27.75") || len(s)%4096 > 1024 {
		t.Errorf("%d bytes came through:\n%s", len(s), s)
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait()

	h = newHost(t, scenarioControl("hang", 0))
	seen := onTerminal(t, h.command(h.flip()...)).waitFor(t, "downloading, progress: 27.75")
	if !strings.Contains(seen, "Loading Steam API...OK\r\n") {
		t.Errorf("no \\r\\n on a terminal:\n%q", seen)
	}
}

// Each write of a program that buffers blocks is one block.
func TestBlocksAre4096Bytes(t *testing.T) {
	h := newHost(t, Control{})
	h.steamcmd("+quit")
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	near, far := os.NewFile(uintptr(fds[0]), "near"), os.NewFile(uintptr(fds[1]), "far")
	cmd := h.command(h.flip()...)
	cmd.Stdout = far
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = far.Close() // the child has its own
	var sizes []int
	for buf := make([]byte, 1<<16); ; {
		n, err := near.Read(buf)
		if n == 0 || err != nil {
			break
		}
		sizes = append(sizes, n)
	}
	_ = near.Close()
	if status := h.status(cmd.Wait()); status != 0 {
		t.Fatalf("status %d", status)
	}
	for i, n := range sizes {
		if i < len(sizes)-1 && n != 4096 || len(sizes) < 2 {
			t.Errorf("write sizes %v: want 4096 in all but the last", sizes)
			break
		}
	}
}

func TestASecondClientInOneSteamHomeFails(t *testing.T) {
	h := newHost(t, Control{})
	h.downloading()
	out, status := h.steamcmd("+quit")
	if status != 1 || !strings.Contains(out, errHomeInUse.Error()) {
		t.Errorf("status %d, output:\n%s", status, out)
	}
}

func TestAKilledInstallGoesOn(t *testing.T) {
	h := newHost(t, Control{})
	cmd, _ := h.downloading()
	if m := h.manifest(); m.flags != stateUpdating || m.todo != 9710287462 {
		t.Errorf("manifest under way: %+v", m)
	}
	if !h.exists("steamapps/downloading/222860/left4dead2/steam.inf") || h.exists("left4dead2/steam.inf") {
		t.Error("files under way should be staged, not installed")
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := h.status(cmd.Wait()); got != 128+int(syscall.SIGTERM) {
		t.Errorf("status after SIGTERM: %d", got)
	}
	h.control(Control{})
	out, status := h.steamcmd(h.flip()...)
	_, after, _ := strings.Cut(out, "(0x61) downloading, progress: ")
	if first := leadingNumber(after); status != 0 || first < 25 {
		t.Errorf("status %d; the download went on at %.2f %%, want at least 25", status, first)
	}
	if !h.exists("srcds_linux") {
		t.Error("the game is not there")
	}
}

func TestSegfaultAfterSuccess(t *testing.T) {
	h := newHost(t, scenarioControl("segfault_after_success", 0))
	out, status := h.steamcmd(h.flip()...)
	if status != 128+int(syscall.SIGSEGV) {
		t.Errorf("status %d, want that of SIGSEGV", status)
	}
	if strings.Contains(out, "\nquit\n") {
		t.Error("a crash must lose the last block of output")
	}
	cmd := h.command(h.flip()...)
	seen := onTerminal(t, cmd)
	if status := h.status(cmd.Wait()); status != 128+int(syscall.SIGSEGV) {
		t.Errorf("status on a terminal %d", status)
	}
	seen.waitFor(t, "Success! App '222860' fully installed.\r\n")
	if m := h.manifest(); m.flags != stateInstalled {
		t.Errorf("StateFlags %d, want 4", m.flags)
	}
}

func TestSteamGuardAsksWithoutALineEnd(t *testing.T) {
	h := newHost(t, scenarioControl("steam_guard", 0))
	seen := onTerminal(t, h.command("+login", "alice", "secret")).waitFor(t, "Steam Guard code:")
	if !strings.HasSuffix(seen, "Steam Guard code:") {
		t.Errorf("something follows the question:\n%q", seen)
	}
}

func TestANewBuildIsAnUpdate(t *testing.T) {
	h := newHost(t, Control{})
	h.install()
	print := []string{"+login", "anonymous", "+app_info_print", appID, "+app_info_print", appID, "+quit"}
	before, _ := h.steamcmd(print...)
	h.control(Control{Steamcmd: SteamcmdControl{Build: "20000001"}})
	stale, _ := h.steamcmd(print...)
	if err := os.Remove(filepath.Join(h.home, "Steam/appcache/appinfo.vdf")); err != nil {
		t.Fatal(err)
	}
	fresh, _ := h.steamcmd(print...)
	for text, want := range map[string]string{before: appBuild, stale: appBuild, fresh: "20000001"} {
		if !strings.Contains(text, "\"buildid\"\t\t\""+want+"\"") {
			t.Errorf("no build %s in\n%s", want, text)
		}
	}
	out, _ := h.steamcmd("+force_install_dir", h.game, "+login", "anonymous", "+app_update", appID, "+quit")
	if m := h.manifest(); m.build != "20000001" || m.flags != stateInstalled || !strings.Contains(out, "fully installed") {
		t.Errorf("after the update %+v\n%s", m, out)
	}
}

func TestBootstrapFailureSpeaksOnlyInItsLog(t *testing.T) {
	h := newHost(t, scenarioControl("bootstrap_failure", 0))
	if out, status := h.steamcmd(h.flip()...); out != "" || status != 1 {
		t.Errorf("status %d, output %q", status, out)
	}
	if log := h.read(filepath.Join(h.home, "Steam/logs/bootstrap_log.txt")); !strings.Contains(log, "http error 0 (client-download.steampowered.com") {
		t.Errorf("bootstrap_log.txt:\n%s", log)
	}
}

func TestValidateRepairs(t *testing.T) {
	h := newHost(t, Control{})
	h.install()
	if err := os.Remove(filepath.Join(h.game, "bin/engine_srv.so")); err != nil {
		t.Fatal(err)
	}
	h.steamcmd("+force_install_dir", h.game, "+login", "anonymous", "+app_update", appID, "+quit")
	if h.exists("bin/engine_srv.so") {
		t.Error("only validate looks at the files")
	}
	out, _ := h.steamcmd("+force_install_dir", h.game, "+login", "anonymous", "+app_update", appID, "validate", "+quit")
	if !h.exists("bin/engine_srv.so") || !strings.Contains(out, "(0x61) downloading, progress: 100.00 (202762857 / 202762857)") {
		t.Errorf("validate did not repair:\n%s", out)
	}
}

func TestAChangedControlFileIsNoDamage(t *testing.T) {
	h := newHost(t, Control{})
	h.install()
	h.control(Control{Srcds: SrcdsControl{Hang: true}})
	out, _ := h.steamcmd("+force_install_dir", h.game, "+login", "anonymous", "+app_update", appID, "validate", "+quit")
	if !strings.Contains(out, "(0x61) downloading, progress: 0.00 (0 / 0)") {
		t.Errorf("something was downloaded:\n%s", out)
	}
	if settings := h.read(filepath.Join(h.game, ControlName)); !strings.Contains(settings, `"hang": true`) {
		t.Errorf("the game keeps old settings: %s", settings)
	}
}

func TestCommandsFromScriptAndInput(t *testing.T) {
	h := newHost(t, Control{})
	h.steamcmd("+quit")
	script := filepath.Join(t.TempDir(), "install.txt")
	if err := os.WriteFile(script, []byte("// as people write them\nforce_install_dir \""+h.game+"\"\nlogin anonymous\n@sSteamCmdForcePlatformType windows\napp_update 222860\nquit\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, status := h.steamcmd("+runscript", script); status != 0 || !strings.Contains(out, "Success!") {
		t.Errorf("runscript: status %d\n%s", status, out)
	}
	cmd := h.command("+login", "anonymous")
	cmd.Stdin = strings.NewReader("force_install_dir /late\nnonsense\napp_info_print 222860\napp_info_print 222860\nquit\n")
	b, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	h.golden("steamcmd/stdin.txt", string(b))
}

func TestUnknownControlIsRefused(t *testing.T) {
	h := newHost(t, Control{})
	for text, want := range map[string]string{
		`{"steamcmd":{"scenario":"disk_fulll"}}`: `unknown scenario "disk_fulll" (known: appinfo_error,`,
		`{"steamcmd":{"scenarios":"ok"}}`:        `unknown field "scenarios"`,
		`{"speed":"quick"}`:                      `want demo, fast, instant or a factor above 0`,
		`{"steamcmd":{"count":-1}}`:              `steamcmd.count is -1`,
	} {
		path := filepath.Join(t.TempDir(), "control.json")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := h.command("+quit")
		cmd.Env = append(cmd.Env, ControlEnv+"="+path)
		out, err := cmd.CombinedOutput()
		if status := h.status(err); status != exitControl || !strings.Contains(string(out), want) {
			t.Errorf("%s: status %d, %s", text, status, out)
		}
	}
}

func TestCommandLine(t *testing.T) {
	tests := map[string]struct{ args, want string }{
		"usual":            {"+force_install_dir /g +login anonymous +app_update 222860 validate +quit", `[["force_install_dir","/g"],["login","anonymous"],["app_update","222860","validate"],["quit"]]`},
		"at sign":          {"+@sSteamCmdForcePlatformType windows", `[["@sSteamCmdForcePlatformType","windows"]]`},
		"words before":     {"-verbose x +quit", `[["quit"]]`},
		"beta with a dash": {"+app_update 222860 -beta public", `[["app_update","222860","-beta","public"]]`},
		"lone plus":        {"+", `null`},
	}
	for name, tt := range tests {
		if got := toJSON(t, commandLine(strings.Fields(tt.args))); got != tt.want {
			t.Errorf("%s: %s\n got %s\nwant %s", name, tt.args, got, tt.want)
		}
	}
}

func TestLinkKeepsTheControlFileAndRefreshesTheRest(t *testing.T) {
	dir := t.TempDir()
	if err := Link(dir, Here().Exe, SpeedFast); err != nil {
		t.Fatal(err)
	}
	bin, control := filepath.Join(dir, "linux32/steamcmd"), filepath.Join(dir, ControlName)
	before, err := os.Stat(bin)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(control, []byte(`{"speed":2}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Link(dir, Here().Exe, SpeedFast); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(bin); err != nil || !os.SameFile(before, after) {
		t.Errorf("an unchanged binary was replaced (%v)", err)
	}
	if b, err := os.ReadFile(control); err != nil || string(b) != `{"speed":2}` {
		t.Errorf("control file is now %s (%v)", b, err)
	}
	if err := os.WriteFile(bin, []byte("old"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Link(dir, Here().Exe, SpeedFast); err != nil {
		t.Fatal(err)
	}
	if !sameContent(bin, Here().Exe) {
		t.Error("a changed binary was kept")
	}
}
