package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/rcon"
	"left4me/internal/testenv"
)

// pasted is what people paste: comments, tabs, a password of its own, settings
// that only SourceMod knows.
const pasted = `// Made easy to work with
hostname "My Cool Server"       // Hostname bit that won't change.

rcon_password "WowYouKnowThePasswordHere"        	 // Rcon password, used for remote access mostly.
sv_steamgroup "13333337"
sm_cvar confogl_match_execcfg_plugins "generalfixes.cfg;confogl_plugins.cfg"
sv_tags "100 tick; no // cheats"
sv_pure "2"
log on                                   //Creates a logfile (on | off)
sm_cvar nb_update_frequency  0.01              // The lower the value, the more often
`

const hostname = `Friday "versus" ; $(id)`

func (s *site) signIn() {
	s.t.Helper()
	status, body := s.post("/signin", url.Values{"name": {"admin"}, "password": {adminPassword}})
	if status != http.StatusOK || strings.Contains(body, `action="/signin"`) {
		s.t.Fatalf("sign in: status %d\n%s", status, body)
	}
}

// newestJob is the number of the job that was asked for last.
func (s *site) newestJob() string {
	s.t.Helper()
	_, body := s.get("/jobs")
	m := regexp.MustCompile(`/jobs/(\d+)`).FindAllStringSubmatch(body, -1)
	best := 0
	for _, one := range m {
		n, err := strconv.Atoi(one[1])
		if err != nil {
			s.t.Fatal(err)
		}
		best = max(best, n)
	}
	if best == 0 {
		s.t.Fatal("the jobs page lists no job")
	}
	return strconv.Itoa(best)
}

// follow reads a job's stream to its end and returns its lines.
func (s *site) follow(job string) (lines []string) {
	s.t.Helper()
	s.stream("/jobs/"+job, time.Minute, func(e event) bool {
		if e.name == "log" {
			lines = append(lines, logLines(s.t, e)...)
		}
		return e.name == "finished"
	})
	return lines
}

func (s *site) succeed(job, what string) []string {
	s.t.Helper()
	lines := s.follow(job)
	_, body := s.get("/jobs/" + job)
	if !strings.Contains(body, "Succeeded") && !strings.Contains(body, "Done") {
		s.t.Fatalf("%s did not succeed; its log:\n%s\n\nits page:\n%s", what, strings.Join(lines, "\n"), body)
	}
	return lines
}

func (s *site) status(name string) ctl.Status {
	s.t.Helper()
	var st ctl.Status
	if err := json.Unmarshal([]byte(s.run("l4d2ctl", "status", name, "--json")), &st); err != nil {
		s.t.Fatal(err)
	}
	return st
}

func contains(t *testing.T, lines []string, want ...string) {
	t.Helper()
	all := strings.Join(lines, "\n")
	for _, w := range want {
		if !strings.Contains(all, w) {
			t.Errorf("the log does not contain %q:\n%s", w, all)
		}
	}
}

func (s *site) install() []string {
	s.t.Helper()
	s.post("/game/install", nil)
	return s.succeed(s.newestJob(), "the install")
}

// makeServer makes a blueprint and a server from it and returns its instance.
func (s *site) makeServer(name, config, arguments, hostname string) string {
	s.t.Helper()
	blueprint := s.makeBlueprint(name+" blueprint", config, arguments)
	return s.addServer(name, blueprint, hostname, freePort(s.t))
}

// makeBlueprint makes a blueprint and returns its id.
func (s *site) makeBlueprint(name, config, arguments string) string {
	s.t.Helper()
	status, body := s.post("/blueprints", url.Values{"name": {name}, "config": {strings.ReplaceAll(config, "\n", "\r\n")}, "arguments": {arguments}})
	if status != http.StatusOK {
		s.t.Fatalf("make a blueprint: status %d\n%s", status, body)
	}
	_, page := s.get("/servers/new")
	option := regexp.MustCompile(`<option value="([^"]+)"[^>]*>` + regexp.QuoteMeta(name)).FindStringSubmatch(page)
	if option == nil {
		s.t.Fatalf("the new blueprint cannot be chosen:\n%s", page)
	}
	return option[1]
}

// addServer makes a server from a blueprint and returns its instance.
func (s *site) addServer(name, blueprint, hostname, port string) string {
	s.t.Helper()
	status, body := s.post("/servers", url.Values{"name": {name}, "port": {port}, "blueprint": {blueprint}, "hostname": {hostname}})
	if status != http.StatusOK {
		s.t.Fatalf("make a server: status %d\n%s", status, body)
	}
	_, list := s.get("/servers")
	slug := strings.ReplaceAll(strings.ToLower(name), " ", "-")
	m := regexp.MustCompile(`/servers/(` + slug + `-[a-z0-9]{4})`).FindStringSubmatch(list)
	if m == nil {
		s.t.Fatalf("the new server is not listed:\n%s", list)
	}
	s.succeed(s.newestJob(), "applying the blueprint")
	return m[1]
}

// freePort is a port that is free in UDP and TCP now.
func freePort(t testing.TB) string {
	t.Helper()
	_, port, ok := strings.Cut(freeAddress(t), ":")
	if !ok {
		t.Fatal("an address without a port")
	}
	return port
}

func eachSite(t *testing.T, test func(t *testing.T, s *site)) {
	t.Run("one process", func(t *testing.T) {
		s := newSite(t, true)
		s.up()
		s.signIn()
		test(t, s)
	})
	t.Run("one process as root", func(t *testing.T) {
		if os.Geteuid() != 0 {
			if os.Getenv("CI") != "" {
				t.Fatal("only root can start it as root, and CI must test it")
			}
			t.Skip("skipped: only root can start it as root; the other cases ran")
		}
		s := newSite(t, false)
		s.up()
		s.signIn()
		test(t, s)
	})
	t.Run("postgres and redis", func(t *testing.T) {
		s := newSite(t, false)
		s.split()
		s.signIn()
		test(t, s)
	})
}

// The whole way: install, blueprint, server, start, look, stop, delete.
func TestOneClickEndToEnd(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		contains(t, s.install(), "Success! App '222860' fully installed.", `"@sSteamCmdForcePlatformType" = "windows"`)
		_, done := s.get("/jobs/" + s.newestJob())
		contains(t, []string{done}, "Windows files: downloading", "Linux files: downloading")

		name := s.makeServer("Friday versus", pasted, `-tickrate 60 +sv_setmax 31 +map "c2m1_highway versus"`, hostname)
		s.post("/servers/"+name+"/start", nil)
		contains(t, s.succeed(s.newestJob(), "the start"), "Executing dedicated server config file", "Host_NewGame on map c2m1_highway")

		st := s.status(name)
		if st.State != ctl.ServerRunning {
			t.Fatalf("the host says %s: %s", st.State, st.Message)
		}
		checkArgv(t, st)
		checkConfig(t, s, name)
		checkRCON(t, s, name, st.Port)
		s.stream("/servers/"+name, 30*time.Second, func(e event) bool {
			return e.name == "log" && strings.Contains(e.data, "Connection to Steam servers successful")
		})
		page := ""
		testenv.Eventually(t, 30*time.Second, "the server's page shows it running with its map", func() bool {
			_, page = s.get("/servers/" + name)
			return strings.Contains(page, "Running") && strings.Contains(page, "c2m1_highway")
		})
		if strings.Contains(page, s.password(name)) {
			t.Error("the page shows the RCON password")
		}

		s.post("/servers/"+name+"/stop", nil)
		s.succeed(s.newestJob(), "the stop")
		if st := s.status(name); st.State != ctl.ServerStopped {
			t.Errorf("after the stop the host says %s", st.State)
		}
		s.post("/servers/"+name+"/delete", url.Values{"sure": {"yes"}})
		s.succeed(s.newestJob(), "the delete")
		if st := s.status(name); st.State != ctl.ServerAbsent {
			t.Errorf("after the delete the host says %s", st.State)
		}
		if status, _ := s.get("/servers/" + name); status != http.StatusNotFound {
			t.Errorf("the deleted server's page answers %d", status)
		}
	})
}

// checkArgv reads what the kernel says the game was started with.
func checkArgv(t *testing.T, st ctl.Status) {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", st.PID))
	if err != nil {
		t.Fatal(err)
	}
	argv := strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")
	tail := []string{"-tickrate", "60", "+sv_setmax", "31", "+map", "c2m1_highway versus"}
	if len(argv) < len(tail) || !slices.Equal(argv[len(argv)-len(tail):], tail) {
		t.Errorf("the game was started with %q; want it to end in %q", argv, tail)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", st.PID))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(status), "Uid:\t0\t") || !strings.Contains(string(status), "CapEff:\t0000000000000000") || !strings.Contains(string(status), "NoNewPrivs:\t1") {
		t.Errorf("the game has rights that it must not have:\n%s", status)
	}
}

// checkConfig reads the generated layer: the pasted text unchanged, our lines
// behind it, the password last.
func checkConfig(t *testing.T, s *site, name string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.data, "instances", name, "layers", "*", "left4dead2/cfg/server.cfg"))
	if err != nil || len(found) != 1 {
		t.Fatalf("generated configs: %v, %v; want one", found, err)
	}
	raw, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	if !strings.Contains(text, pasted) {
		t.Errorf("the pasted config is not in server.cfg unchanged:\n%s", text)
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "rcon_password ") {
		t.Errorf("the last line is %q, not our password", last)
	}
}

func (s *site) password(name string) string {
	s.t.Helper()
	status, body := s.post("/servers/"+name+"/rcon", nil)
	m := regexp.MustCompile(`[A-Za-z0-9]{24}`).FindAllString(html.UnescapeString(body), -1)
	for _, candidate := range m {
		if raw, err := os.ReadFile(filepath.Join(s.data, "instances", name, "spec.yaml")); err == nil && strings.Contains(string(raw), candidate) {
			return candidate
		}
	}
	s.t.Fatalf("the password is not revealed: status %d\n%s", status, body)
	return ""
}

// checkRCON asks the game itself.
func checkRCON(t *testing.T, s *site, name string, port int) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	conn, err := rcon.Dial(ctx, fmt.Sprintf("127.0.0.1:%d", port), s.password(name))
	if err != nil {
		t.Fatalf("our password does not open RCON: %v", err)
	}
	defer func() { _ = conn.Close() }() // only asked
	text, err := conn.Exec(ctx, "status")
	if err != nil {
		t.Fatal(err)
	}
	got, err := rcon.ParseStatus(text)
	if err != nil || got.Hostname != hostname {
		t.Errorf("the game calls itself %q, %v; want %q", got.Hostname, err, hostname)
	}
}

// A steamcmd that fails: its exit code and a sentence stand on the job's page.
func TestFailingInstallSaysWhy(t *testing.T) {
	s := newSite(t, true)
	s.script(`{"speed": "instant", "steamcmd": {"scenario": "disk_full"}, "srcds": {}}`)
	s.up()
	s.signIn()
	s.post("/game/install", nil)
	job := s.newestJob()
	lines := s.follow(job)
	contains(t, lines, "state is 0x202 after update job")
	_, body := s.get("/jobs/" + job)
	for _, want := range []string{"Failed", "exit code 8", "disk"} {
		if !strings.Contains(body, want) {
			t.Errorf("the job's page does not say %q:\n%s", want, body)
		}
	}
}

// left4me up is killed with -9 while a server runs: the server goes on, and the
// next left4me up finds it again. What the shell does is seen on the page.
func TestServersOutliveAKill(t *testing.T) {
	s := newSite(t, true)
	first := s.up()
	s.signIn()
	s.install()
	name := s.makeServer("Survivor", "", `+map c1m1_hotel`, "")
	s.post("/servers/"+name+"/start", nil)
	s.succeed(s.newestJob(), "the start")
	before := s.status(name)

	if err := first.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // killed
	if after := s.status(name); after.State != ctl.ServerRunning || after.PID != before.PID {
		t.Fatalf("after the kill: %s, pid %d; want running, pid %d", after.State, after.PID, before.PID)
	}
	s.up()
	s.forget()
	s.signIn()
	shows := func(word string) {
		t.Helper()
		testenv.Eventually(t, 30*time.Second, "the page shows "+word, func() bool {
			_, page := s.get("/servers/" + name)
			return strings.Contains(page, word)
		})
	}
	shows("Running")
	s.run("l4d2ctl", "stop", name)
	shows("Stopped")
	s.run("l4d2ctl", "start", name)
	shows("Running")
}

// The blueprint's rules: private, linked servers block its deletion.
func TestBlueprintIsHeldByItsServers(t *testing.T) {
	s := newSite(t, true)
	s.up()
	s.signIn()
	s.makeServer("Held", "", "", "")
	_, list := s.get("/blueprints")
	m := regexp.MustCompile(`/blueprints/([0-9a-f-]{36})`).FindStringSubmatch(list)
	if m == nil {
		t.Fatalf("no blueprint is listed:\n%s", list)
	}
	_, body := s.post("/blueprints/"+m[1]+"/delete", url.Values{"sure": {"yes"}})
	if !strings.Contains(body, "This blueprint is used by the server Held") {
		t.Errorf("the refusal does not name the server:\n%s", body)
	}
	if status, _ := s.get("/blueprints/" + m[1]); status != http.StatusOK {
		t.Errorf("after the refused deletion the blueprint answers %d", status)
	}
}
