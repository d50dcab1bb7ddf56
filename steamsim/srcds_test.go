package steamsim

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gameServer is a running srcds_linux.
type gameServer struct {
	*host
	cmd   *exec.Cmd
	out   *transcript
	stdin io.WriteCloser
	port  int
}

const loadedLine = "VAC secure mode is activated.\n"

// server installs the game and writes a server.cfg; start it with start.
func newServer(t *testing.T, c SrcdsControl, config string) *host {
	t.Helper()
	c.LineBuffered = true
	h := newHost(t, Control{Srcds: c})
	h.install()
	h.write("left4dead2/cfg/server.cfg", config)
	return h
}

// srcds is the command that starts the game server.
func (h *host) srcds(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(h.game, "srcds_linux"), append([]string{"-game", "left4dead2", "-console"}, args...)...)
	cmd.Dir = h.game
	cmd.Env = append(h.env(), "LD_LIBRARY_PATH=.:bin")
	return h.owned(cmd)
}

func (h *host) launch(args ...string) *gameServer {
	h.Helper()
	g := &gameServer{host: h, cmd: h.srcds(args...), out: newTranscript()}
	g.cmd.Stdout, g.cmd.Stderr = g.out, g.out
	g.cmd.WaitDelay = patience
	var err error
	if g.stdin, err = g.cmd.StdinPipe(); err != nil {
		h.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		h.Fatal(err)
	}
	return g
}

var networkLine = regexp.MustCompile(`Network: IP \S+, mode MP, dedicated Yes, ports (\d+) SV`)

// start launches a server on a free port and waits until it is on the net.
func (h *host) start(args ...string) *gameServer {
	h.Helper()
	g := h.launch(append([]string{"+ip", "0.0.0.0", "+hostport", strconv.Itoa(freePort(h.T)), "+map", "c1m1_hotel"}, args...)...)
	m := networkLine.FindStringSubmatch(g.out.waitFor(h.T, loadedLine))
	if m == nil {
		h.Fatalf("no Network line in:\n%s", g.out)
	}
	g.port, _ = strconv.Atoi(m[1])
	return g
}

// freePort is free now; a server without -strictportbind goes on from there.
func freePort(t *testing.T) int {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }() // only the number was wanted
	return c.LocalAddr().(*net.UDPAddr).Port
}

func TestStartTranscript(t *testing.T) {
	h := newServer(t, SrcdsControl{}, "hostname x\nsv_hibernate_when_empty 0\n")
	g := h.start("-maxplayers", "8", "-tickrate", "60", "+sv_setmax", "31")
	text := g.out.waitFor(t, loadedLine+"Server is hibernating\n")
	text = strings.ReplaceAll(text, strconv.Itoa(g.port), "$PORT")
	text = regexp.MustCompile(`Network: IP \S+,`).ReplaceAllString(text, "Network: IP $$IP,")
	h.golden("srcds/start.txt", text)
}

func TestArgumentsReachTheServer(t *testing.T) {
	h := newServer(t, SrcdsControl{}, "rcon_password pw\n")
	args := []string{"-tickrate", "60", "+sv_setmax", "31", "+map", "c2m1_highway versus", "+hostname", `Friday "versus" $(id)`, "+sv_contact", "-not-a-value"}
	g := h.start(args...)
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", g.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(b), "\x00"+strings.Join(args, "\x00")+"\x00") {
		t.Errorf("cmdline %q", b)
	}
	if out := g.rcon("pw", "status"); !strings.Contains(out, "map     : c2m1_highway\n") || !strings.Contains(out, "(8 max)") {
		t.Errorf("two words after +map are map and mode:\n%s", out)
	}
	if out := g.rcon("pw", "hostname"); !strings.HasPrefix(out, `"hostname" = "Friday "versus" $(id)" ( def. "Left 4 Dead 2" )`) {
		t.Errorf("hostname: %s", out)
	}
	if out := g.rcon("pw", "sv_contact"); !strings.HasPrefix(out, "\"sv_contact\" = \"\"\n") {
		t.Errorf("a value with a sign in front begins a new option: %s", out)
	}
}

func TestServerConfig(t *testing.T) {
	h := newServer(t, SrcdsControl{}, strings.Join([]string{
		`hostname "first"`, `hostname "Friday "versus" ; $(id)"   // a comment`, `rcon_password theirs`,
		`sv_search_key "CompetitiveRework" ; sv_steamgroup "13333337"`, `sm_cvar mv_maxplayers 30`, `exec more`, `exec missing.cfg`,
		`nb_update_frequency 0.01`, `sv_tags a`, `nosuchthing "1 2"`, `exec loop`, `rcon_password "ours"`,
	}, "\n"))
	h.write("left4dead2/cfg/more.cfg", "sv_contact \"unclosed\nz_difficulty Hard")
	h.write("left4dead2/cfg/loop.cfg", "exec loop")
	g := h.start()
	text := g.out.String()
	for _, want := range []string{
		"Unknown command \"sm_cvar\"\n", "exec: couldn't exec missing.cfg\n", "Unknown command \"nosuchthing\"\n", "Unknown command \"sv_tags\"\n",
		"exec: loop.cfg: nested too deep\n", "Can't use cheat cvar nb_update_frequency in multiplayer, unless the server has sv_cheats set to 1.\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("console lacks %q:\n%s", want, text)
		}
	}
	for name, want := range map[string]string{
		"hostname": `"hostname" = "Friday "versus" ; $(id)"`, "sv_search_key": `"sv_search_key" = "CompetitiveRework"`,
		"sv_steamgroup": `"sv_steamgroup" = "13333337"`, "sv_contact": `"sv_contact" = "unclosed"`,
		"z_difficulty": `"z_difficulty" = "Hard" ( def. "Normal" )`, "mp_gamemode": `Unknown command "mp_gamemode"`,
	} {
		if out := g.rcon("ours", name); !strings.HasPrefix(out, want) {
			t.Errorf("%s: got %s, want %s", name, out, want)
		}
	}
}

func TestSourceModReachesHiddenCvars(t *testing.T) {
	h := newServer(t, SrcdsControl{}, "rcon_password pw\nsm_cvar mp_gamemode versus\n")
	h.write("left4dead2/addons/sourcemod/configs/admins_simple.ini", "")
	h.write("left4dead2/addons/l4dtoolz/l4dtoolz.so", "")
	g := h.start("+sv_setmax", "31")
	if out := g.rcon("pw", "sm_cvar mp_gamemode"); out != "[SM] Value of cvar \"mp_gamemode\": \"versus\"\n" {
		t.Error(out)
	}
	if out := g.rcon("pw", "status"); !strings.Contains(out, "(31 max)") {
		t.Errorf("sv_setmax with L4DToolZ:\n%s", out)
	}
}

func TestServerConfigIsReadAtEveryMap(t *testing.T) {
	h := newServer(t, SrcdsControl{}, "rcon_password pw\nhostname one\n")
	g := h.start()
	h.write("left4dead2/cfg/server.cfg", "rcon_password pw\nhostname two\n")
	if out := g.rcon("pw", "changelevel nowhere"); out != "changelevel failed: nowhere not found\n" {
		t.Error(out)
	}
	if out := g.rcon("pw", "changelevel c1m2_streets"); !strings.Contains(out, "Host_NewGame on map c1m2_streets\n") {
		t.Error(out)
	}
	if out := g.rcon("pw", "status"); !strings.HasPrefix(out, "hostname: two\n") || !strings.Contains(out, "map     : c1m2_streets\n") {
		t.Error(out)
	}
}

func TestPortInUse(t *testing.T) {
	h := newServer(t, SrcdsControl{}, "rcon_password pw\n")
	first := h.start()
	port := strconv.Itoa(first.port)
	strict := h.launch("+ip", "0.0.0.0", "+hostport", port, "-strictportbind", "+map", "c1m1_hotel")
	if status := h.status(strict.cmd.Wait()); status != 1 {
		t.Errorf("status %d", status)
	}
	want := "WARNING: UDP_OpenSocket: port: " + port + "  bind: Address already in use\nCouldn't allocate any server IP port\n"
	if text := strict.out.String(); !strings.HasSuffix(text, want) {
		t.Errorf("got:\n%s", text)
	}
	walks := h.launch("+ip", "0.0.0.0", "-port", port, "+map", "c1m1_hotel")
	walks.out.waitFor(t, fmt.Sprintf("ports %d SV", first.port+1))
	foreign := h.launch("-ip", "192.0.2.77", "-port", port, "+map", "c1m1_hotel")
	foreign.out.waitFor(t, "bind: Cannot assign requested address\nCouldn't allocate any server IP port\n")
}

func TestWithoutSteamclientTheServerCrashes(t *testing.T) {
	h := newServer(t, SrcdsControl{}, "")
	if err := os.RemoveAll(filepath.Join(h.home, ".steam")); err != nil {
		t.Fatal(err)
	}
	g := h.launch("+map", "c1m1_hotel")
	if status := h.status(g.cmd.Wait()); status != 128+int(syscall.SIGSEGV) {
		t.Errorf("status %d", status)
	}
	for _, want := range []string{"[S_API FAIL] SteamAPI_Init() failed; SteamAPI_IsSteamRunning() failed.\n", "/.steam/sdk32/steamclient.so: cannot open shared object file: No such file or directory\n"} {
		if !strings.Contains(g.out.String(), want) {
			t.Errorf("no %q in:\n%s", want, g.out)
		}
	}
}

func TestThingsThatStopAServerFromStarting(t *testing.T) {
	h := newServer(t, SrcdsControl{}, "")
	noLibraries := h.srcds("+map", "c1m1_hotel")
	noLibraries.Env = h.env()
	if out, err := noLibraries.CombinedOutput(); h.status(err) != 1 || !strings.HasPrefix(string(out), "Failed to open dedicated_srv.so") {
		t.Errorf("without LD_LIBRARY_PATH: %s", out)
	}
	noGame := h.srcds()
	noGame.Args = []string{"srcds_linux", "+map", "c1m1_hotel"}
	if out, err := noGame.CombinedOutput(); h.status(err) != 1 || !strings.Contains(string(out), "gameinfo.txt") {
		t.Errorf("without -game: %s", out)
	}
	h.write("left4dead2/addons/bad.vpk", "PK\x03\x04 a zip")
	bad := h.launch("+map", "c1m1_hotel")
	if status := h.status(bad.cmd.Wait()); status != 128+int(syscall.SIGSEGV) || !strings.Contains(bad.out.String(), "Server is hibernating\n") {
		t.Errorf("bad VPK: status %d\n%s", status, bad.out)
	}
}

func TestExecutableStackIsRefused(t *testing.T) {
	h := newServer(t, SrcdsControl{ExecStack: true}, "")
	if out, err := h.srcds("+map", "c1m1_hotel").CombinedOutput(); h.status(err) != 1 || !strings.Contains(string(out), "engine_srv.so: cannot enable executable stack as shared object requires: Invalid argument") {
		t.Errorf("%s", out)
	}
}

func TestUnreadableAddonHangs(t *testing.T) {
	h := newServer(t, SrcdsControl{}, "")
	if err := os.Symlink("/nowhere", filepath.Join(h.game, "left4dead2", "addons", "gone.vpk")); err != nil {
		t.Fatal(err)
	}
	g := h.launch("+map", "c1m1_hotel")
	g.out.waitFor(t, "addons/gone.vpk\n")
	if strings.Contains(g.out.String(), "Network: IP") {
		t.Error("it went on to its port")
	}
}

func TestServersWithoutSteam(t *testing.T) {
	for name, c := range map[string]SrcdsControl{
		"This server will operate in LAN mode only.\n": {LAN: true},
		"Initializing Steam libraries for secure":      {NoSteam: true},
	} {
		h := newServer(t, c, "rcon_password pw\n")
		g := h.launch("+ip", "0.0.0.0", "+hostport", strconv.Itoa(freePort(t)), "+map", "c1m1_hotel")
		text := g.out.waitFor(t, name)
		g.port, _ = strconv.Atoi(networkLine.FindStringSubmatch(g.out.waitFor(t, "Executing dedicated server config file\n"))[1])
		if out := g.rcon("pw", "status"); !strings.Contains(out, "[ public n/a ]") || strings.Contains(text, "Connection to Steam") {
			t.Errorf("%+v: %s\n%s", c, out, text)
		}
	}
}

func TestStoppedBySignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		g := newServer(t, SrcdsControl{}, "").start()
		if err := g.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if status := g.status(g.cmd.Wait()); status != 128+int(sig) {
			t.Errorf("status %d after %v", status, sig)
		}
	}
}

func TestConsoleOnStandardInput(t *testing.T) {
	g := newServer(t, SrcdsControl{}, "").start()
	if _, err := io.WriteString(g.stdin, "echo hello \"big world\"; say hi\nquit\n"); err != nil {
		t.Fatal(err)
	}
	if status := g.status(g.cmd.Wait()); status != 0 {
		t.Errorf("quit ended with %d", status)
	}
	if text := g.out.String(); !strings.HasSuffix(text, "hello big world\nConsole: hi\n") {
		t.Errorf("got:\n%s", text)
	}
}

func TestKnobs(t *testing.T) {
	t.Run("crash_at_start", func(t *testing.T) {
		g := newServer(t, SrcdsControl{CrashAtStart: true}, "").launch("+map", "c1m1_hotel")
		if status := g.status(g.cmd.Wait()); status != 128+int(syscall.SIGSEGV) {
			t.Errorf("status %d", status)
		}
		if text := g.out.String(); !strings.Contains(text, "Server is hibernating\nPreMinidumpCallback") {
			t.Error(text)
		}
	})
	t.Run("crash_after", func(t *testing.T) {
		g := newServer(t, SrcdsControl{CrashAfter: 0.05}, "").start()
		if status := g.status(g.cmd.Wait()); status != 128+int(syscall.SIGSEGV) {
			t.Errorf("status %d", status)
		}
	})
	t.Run("hang", func(t *testing.T) {
		h := newServer(t, SrcdsControl{}, "")
		h.write("steamsim.json", `{"control":"/nowhere/to/be/seen","embedded":{"speed":"instant","srcds":{"players":false,"hang":true,"line_buffered":true}}}`)
		g := h.launch("+map", "c1m1_hotel")
		g.out.waitFor(t, "Server is hibernating\n")
		if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		_ = g.cmd.Wait() // by the signal
		if strings.Contains(g.out.String(), "Network:") {
			t.Error("a hanging server must not reach the network")
		}
	})
	t.Run("ignore_term", func(t *testing.T) {
		g := newServer(t, SrcdsControl{IgnoreTerm: true}, "").start()
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			if err := g.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.WriteString(g.stdin, "echo alive\n"); err != nil {
			t.Fatal(err)
		}
		g.out.waitFor(t, "alive\n")
	})
	t.Run("fork_child", func(t *testing.T) {
		g := newServer(t, SrcdsControl{ForkChild: true}, "").start()
		orphans := func() []int { return processesWith(t, "HOME="+g.home, orphanName) }
		if n := len(orphans()); n != 1 {
			t.Fatalf("%d processes left behind, want 1", n)
		}
		t.Cleanup(func() {
			for _, pid := range orphans() {
				_ = syscall.Kill(pid, syscall.SIGKILL) // ours: it has our HOME
			}
		})
		_ = syscall.Kill(-g.cmd.Process.Pid, syscall.SIGKILL)
		until(t, "the server's end", func() bool { return len(processesWith(t, "HOME="+g.home, "srcds_linux")) == 0 })
		if len(orphans()) != 1 {
			t.Error("killing the group must not reach the process left behind")
		}
	})
	t.Run("quiet", func(t *testing.T) {
		h := newServer(t, SrcdsControl{Quiet: true}, "rcon_password pw\n")
		port := strconv.Itoa(freePort(t))
		g := h.launch("+ip", "127.0.0.1", "+hostport", port, "+map", "c1m1_hotel")
		g.port, _ = strconv.Atoi(port)
		until(t, "RCON", func() bool {
			c, err := net.DialTimeout("tcp4", "127.0.0.1:"+port, time.Second)
			if err == nil {
				_ = c.Close() // open is all we asked
			}
			return err == nil
		})
		if out := g.rcon("pw", "status"); !strings.Contains(out, "c1m1_hotel") || g.out.String() != "" {
			t.Errorf("status %q, console %q", out, g.out)
		}
	})
}

// processesWith finds live processes by a word of their environment and their
// name.
func processesWith(t *testing.T, env, name string) []int {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, d := range dirs {
		e, err := os.ReadFile(d + "/environ")
		c, err2 := os.ReadFile(d + "/cmdline")
		if err != nil || err2 != nil || !strings.Contains("\x00"+string(e), "\x00"+env+"\x00") {
			continue // not ours, or gone
		}
		if arg0, _, _ := strings.Cut(string(c), "\x00"); filepath.Base(arg0) == name {
			pid, _ := strconv.Atoi(filepath.Base(d))
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestWithoutATerminalTheConsoleComesInBlocks(t *testing.T) {
	h := newHost(t, Control{})
	h.install()
	h.write("left4dead2/cfg/server.cfg", "rcon_password pw\n")
	g := h.launch("+ip", "127.0.0.1", "+hostport", strconv.Itoa(freePort(t)), "-pidfile", "srv.pid", "-condebug", "+map", "c1m1_hotel")
	until(t, "the whole start in console.log", func() bool {
		b, err := os.ReadFile(filepath.Join(h.game, "left4dead2/console.log"))
		return err == nil && strings.Contains(string(b), loadedLine)
	})
	if s := g.out.String(); s != "" {
		t.Errorf("%d bytes came through before a block was full", len(s))
	}
	if pid := strings.TrimSpace(h.read(filepath.Join(h.game, "srv.pid"))); pid != strconv.Itoa(g.cmd.Process.Pid) {
		t.Errorf("-pidfile says %s, the pid is %d", pid, g.cmd.Process.Pid)
	}
}

func TestStartScript(t *testing.T) {
	script := func(h *host, args ...string) (*transcript, *exec.Cmd) {
		cmd := h.owned(exec.Command(filepath.Join(h.game, "srcds_run"), args...))
		cmd.Env = h.env()
		out := newTranscript()
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return out, cmd
	}
	h := newServer(t, SrcdsControl{}, "rcon_password pw\n")
	out, _ := script(h, "-norestart", "+ip", "127.0.0.1", "+hostport", strconv.Itoa(freePort(t)), "+map", "c2m1_highway versus")
	g := &gameServer{host: h, out: out}
	g.port, _ = strconv.Atoi(networkLine.FindStringSubmatch(out.waitFor(t, loadedLine))[1])
	if text := g.rcon("pw", "status"); !strings.Contains(text, "map     : c2m1_highway\n") || !strings.Contains(text, "(4 max)") {
		t.Errorf("the script loses the second word of +map:\n%s", text)
	}
	out, _ = script(newServer(t, SrcdsControl{CrashAtStart: true}, ""), "-timeout", "0")
	text := out.waitFor(t, "Server restart in 0 seconds\n#Using breakpad")
	if !strings.HasPrefix(text, "WARNING: No map specified! Defaulting to c1m1_hotel\nServer will auto-restart if there is a crash.\n") {
		t.Errorf("got:\n%s", text)
	}
}
