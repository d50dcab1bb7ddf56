package steamsim

import (
	"bytes"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// idleServer is a server without process and sockets, on its first map.
func idleServer(t *testing.T, c SrcdsControl) (*server, func() string) {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "console"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // read by its name
	s := &server{
		online:  true,
		control: c, speed: SpeedInstant, out: newConsole(f), cvars: newCvars(), commands: consoleCommands(),
		secure: true, loaded: true, dir: dir, game: filepath.Join(dir, "left4dead2"), mapName: "c1m1_hotel",
		address: address{bind: loopback, rcon: loopback, shown: loopback, port: 27015},
	}
	s.out.lines = true
	if err := os.MkdirAll(filepath.Join(s.game, "cfg"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, m := range campaigns[0].maps {
		if err := writeFile(filepath.Join(s.game, "maps", m+".bsp"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return s, func() string {
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

func (s *server) steps(seed uint64, n int) {
	s.world.rng = rand.New(rand.NewPCG(seed, seed))
	s.world.userids = 1
	s.hibernate()
	for range n {
		s.step()
	}
}

func TestTheSameSeedPlaysTheSameGame(t *testing.T) {
	played := func(seed uint64) string {
		s, out := idleServer(t, SrcdsControl{Players: true})
		s.run("sv_logfile 0\nlog on\n", fromConfig)
		s.steps(seed, 2000)
		return clock.ReplaceAllString(out(), "TIME")
	}
	one, again, other := played(7), played(7), played(8)
	if one != again {
		t.Error("seed 7 played two different games")
	}
	if one == other {
		t.Error("seeds 7 and 8 played the same game")
	}
	for _, want := range []string{
		"Server is hibernating\nServer waking up from hibernation\nClient \"", `<STEAM_1:`, `><Survivor>" say "`, " entered the game\n",
		`" disconnected (reason "Disconnect by user.")`, "Host_NewGame on map c1m2_streets\n", `Coach<2><STEAM_1:0:1><`,
	} {
		if !strings.Contains(one+other, want) {
			t.Errorf("in 2000 ticks there was no %q", want)
		}
	}
}

var statusRow = regexp.MustCompile(`(?m)^#(?: *\d+ \d+ ".+" STEAM_1:[01]:\d+ \d\d:\d\d \d+ 0 (?:active|spawning) 100000 198\.51\.100\.\d+:27005|[ \d]\d ".+" BOT active)$`)

func TestStatusWithPlayers(t *testing.T) {
	s, out := idleServer(t, SrcdsControl{Players: true})
	s.steps(3, 60)
	for _, p := range s.world.players {
		p.joined = time.Now().Add(-48500 * time.Millisecond)
	}
	before := len(out())
	s.run("hostname \"my \"place\"\"\nstatus\nusers", fromConfig)
	text := out()[before:]
	humans, bots := s.world.count()
	if humans == 0 || humans+bots < teamSize {
		t.Fatalf("%d humans, %d bots after a minute", humans, bots)
	}
	if rows := statusRow.FindAllString(text, -1); len(rows) != humans+bots {
		t.Errorf("%d rows look right, there are %d players:\n%s", len(rows), humans+bots, text)
	}
	(&host{T: t, home: "\x00", game: "\x00", steam: "\x00"}).golden("srcds/status.txt", text)
}

func TestStatusOfAnEmptyServer(t *testing.T) {
	s, out := idleServer(t, SrcdsControl{})
	s.hibernate()
	s.secure = false
	s.run("sv_lan 1\nstatus", fromConfig)
	want := "Server is hibernating\nhostname: Left 4 Dead 2\nversion : 2.2.4.3 10097 insecure  (unknown)\nudp/ip  : 127.0.0.1:27015 [ public n/a ]\n" +
		"os      : Linux Dedicated\nmap     : c1m1_hotel\nplayers : 0 humans, 0 bots (4 max) (hibernating) (unreserved)\n\n" +
		"# userid name uniqueid connected ping loss state rate adr\n#end\n"
	if out() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out(), want)
	}
	if got := connected(time.Hour + 2*time.Minute + 3*time.Second); got != "1:02:03" {
		t.Errorf("an hour is shown as %s", got)
	}
}

func TestKickAndBan(t *testing.T) {
	s, out := idleServer(t, SrcdsControl{Players: true})
	s.steps(3, firstPlayer)
	p := s.world.players[0]
	s.run("log on\nkickid 99\nkickid 2 \"too loud\"\n", fromConsole)
	text := out()
	for _, want := range []string{`userid "99" not found`, "Dropped " + p.name + " from server (too loud)\n", `disconnected (reason "too loud")`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if len(s.world.players) != 0 || !strings.HasSuffix(text, "Server is hibernating\n") {
		t.Errorf("the bots should leave with the last person: %v\n%s", s.world.players, text)
	}
	before := len(out())
	s.run("banid 30 STEAM_1:0:123\nbanid 0 \"STEAM_1:1:77\"\nlistid\nwriteid\nremoveid STEAM_1:1:77\nlistid\naddip 0 60.85.66.4\nlistip\n", fromConsole)
	minutes := regexp.MustCompile(`\d+\.\d{3} min`) // some of which may have passed
	got := minutes.ReplaceAllString(out()[before:], "N min")
	want := "ID filter list: 2 entries\n1 STEAM_1:0:123 : N min\n2 STEAM_1:1:77 : permanent\n" +
		"ID filter list: 1 entry\n1 STEAM_1:0:123 : N min\n" +
		"IP filter list: 1 entry\n1  60. 85. 66.  4 : permanent\n"
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if b, err := os.ReadFile(filepath.Join(s.game, "cfg/banned_user.cfg")); err != nil || string(b) != "banid 0 STEAM_1:1:77\n" {
		t.Errorf("banned_user.cfg: %q (%v)", b, err)
	}
}

func TestPeopleComeWithoutBeingStepped(t *testing.T) {
	h := newServer(t, SrcdsControl{Players: true, Seed: 5}, "rcon_password pw\nlog on\n")
	g := h.start()
	g.out.waitFor(t, "Server waking up from hibernation\n")
	g.out.waitFor(t, " entered the game\n")
	if out := g.rcon("pw", "status"); !strings.Contains(out, " STEAM_1:") {
		t.Error(out)
	}
	if b := g.query("127.0.1.1").challenged(askPlayers); len(b) < 7 || b[5] < teamSize {
		t.Errorf("players: %q", b)
	}
}

func TestLogFiles(t *testing.T) {
	h := newServer(t, SrcdsControl{}, "rcon_password pw\nsv_logecho 0\nlog on\n")
	g := h.start()
	g.rcon("pw", "changelevel c1m2_streets")
	if _, err := g.stdin.Write([]byte("quit\n")); err != nil {
		t.Fatal(err)
	}
	_ = g.cmd.Wait() // status is another test's matter
	files, err := filepath.Glob(filepath.Join(h.game, "left4dead2/logs/L*.log"))
	if err != nil || len(files) != 2 {
		t.Fatalf("log files %v (%v), want one per map", files, err)
	}
	line := regexp.MustCompile(`^L \d\d/\d\d/\d{4} - \d\d:\d\d:\d\d: .+$`)
	for _, f := range files {
		text := strings.TrimSuffix(h.read(f), "\n")
		if !strings.Contains(text, `: Log file started (file "logs/L`) || !strings.HasSuffix(text, ": Log file closed") {
			t.Errorf("%s:\n%s", f, text)
		}
		for l := range strings.SplitSeq(text, "\n") {
			if !line.MatchString(l) {
				t.Errorf("%s has the line %q", f, l)
			}
		}
	}
	if strings.Contains(g.out.String(), "\nL ") {
		t.Errorf("sv_logecho 0, and yet:\n%s", g.out)
	}
}

func TestRemoteLog(t *testing.T) {
	g := newServer(t, SrcdsControl{}, "rcon_password pw\nlog on\nsv_logsecret 4711\n").start()
	listen := func(ip string) (*net.UDPConn, string) {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(ip)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() }) // nothing is pending
		return c, c.LocalAddr().String()
	}
	outside, at := listen(primaryAddress().String())
	inside, at2 := listen("127.0.0.1")
	if out := g.rcon("pw", "logaddress_add "+at2+";logaddress_add "+at+";logaddress_list;say hello"); !strings.Contains(out, "logaddress_list: 2 entries\n"+at2+"\n"+at+"\n") {
		t.Error(out)
	}
	buf := make([]byte, 1500)
	if primaryAddress().IsLoopback() {
		const why = "this machine has no address outside 127.0.0.0/8: nothing can be sent"
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	if err := outside.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	n, err := outside.Read(buf)
	want := regexp.MustCompile(`^S4711L \d\d/\d\d/\d{4} - \d\d:\d\d:\d\d: "Console<0><Console><Console>" say "hello"\n\x00$`)
	if rest, ok := bytes.CutPrefix(buf[:n], []byte("\xff\xff\xff\xff")); err != nil || !ok || !want.Match(rest) {
		t.Errorf("got %q (%v), want %v", buf[:n], err, want)
	}
	if err := inside.SetReadDeadline(time.Now().Add(silence)); err != nil {
		t.Fatal(err)
	}
	if n, err := inside.Read(buf); err == nil {
		t.Errorf("something was sent to 127.0.0.1: %q", buf[:n])
	}
}

func TestAMapFromTheConsoleOpensTheServer(t *testing.T) {
	h := newServer(t, SrcdsControl{}, "rcon_password pw\n")
	g := h.launch("+ip", "0.0.0.0", "+hostport", "0", "-port", "1")
	_ = g.cmd.Wait() // port 0 cannot be had
	if !strings.HasSuffix(g.out.String(), "Couldn't allocate any server IP port\n") {
		t.Errorf("port 0:\n%s", g.out)
	}
	g = h.launch("+ip", "127.0.0.1", "+map", "nosuchmap")
	g.out.waitFor(t, "map load failed: nosuchmap not found or invalid\n")
	if strings.Contains(g.out.String(), "Executing dedicated server config file") {
		t.Error("server.cfg was run without a map")
	}
	if _, err := g.stdin.Write([]byte("map \"c5m1_waterfront scavenge\"\n")); err != nil {
		t.Fatal(err)
	}
	g.out.waitFor(t, "Host_NewGame on map c5m1_waterfront\n")
	g.out.waitFor(t, loadedLine)
}
