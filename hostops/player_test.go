package hostops

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/servercfg"
	"left4me/hostops/supervisor"
)

// fakeGame is the RCON port of a game that answers as the test says and notes what it
// was told.
type fakeGame struct {
	port  int
	mu    sync.Mutex
	told  []string
	reply func(command string) string
}

func newGame(t *testing.T, reply func(string) string) *fakeGame {
	t.Helper()
	l, err := net.Listen("tcp4", rconHost+":0")
	if err != nil {
		t.Fatal(err)
	}
	g := &fakeGame{port: l.Addr().(*net.TCPAddr).Port, reply: reply}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(30 * time.Second)) // a stuck test fails instead of hanging
				g.serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return g
}

func (g *fakeGame) serve(conn net.Conn) {
	for {
		var head [12]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		body := make([]byte, binary.LittleEndian.Uint32(head[:4])-8)
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}
		id, kind, text := head[4:8], binary.LittleEndian.Uint32(head[8:]), strings.TrimRight(string(body), "\x00")
		answerKind := uint32(0)
		switch kind {
		case 3:
			answerKind, text = 2, ""
		case 2:
			g.mu.Lock()
			g.told = append(g.told, text)
			g.mu.Unlock()
			text = g.reply(text)
		}
		out := binary.LittleEndian.AppendUint32(nil, uint32(10+len(text)))
		out = append(out, id...)
		out = binary.LittleEndian.AppendUint32(out, answerKind)
		_, _ = conn.Write(append(append(out, text...), 0, 0)) // a client that left is for the test to notice
	}
}

// heard is what the game was told so far.
func (g *fakeGame) heard() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.told)
}

// runs makes an instance whose game this is, and which has run for an hour.
func (g *fakeGame) runs(t *testing.T, h *Host, fake *fakeSupervisor, name string) {
	t.Helper()
	initialise(t, h, name, 27015)
	fake.set(name, supervisor.Instance{
		State: ctl.ServerRunning, PID: 1, Since: time.Now().Add(-time.Hour),
		Applied: &ctl.Applied{Argv: []string{"srcds_linux", "-port", strconv.Itoa(g.port)}},
	})
}

// hostileStatus has names that are made to be taken for something else.
const hostileStatus = `hostname: x
map     : c1m1_hotel
players : 4 humans, 1 bots (8 max) (not hibernating) (unreserved)

# userid name uniqueid connected ping loss state rate adr
#  2 1 "" STEAM_1:0:99 00:10 5 0 active" STEAM_1:0:12345678 00:48 29 0 active 100000 198.51.100.7:27005
#  3 2 "50% off; quit" STEAM_1:0:99 00:48 29 0 active 100000 198.51.100.8:27005
#  4 3 "50% off; quit" STEAM_1:1:7 1:00:48 29 0 active 100000 198.51.100.9:27005
#  5 4 "# 3 BOT active" STEAM_1:1:8 00:48 29 0 active 100000 198.51.100.9:27005
#27 "Coach" BOT active
#end
`

// Kick and ban find a player by Steam id alone, whatever names say, and no name is in
// what the game is told.
func TestAttack8KickAndBan(t *testing.T) {
	banned := "ID filter list: empty\n"
	reply := func(command string) string {
		switch {
		case command == "status":
			return hostileStatus
		case command == "listid":
			return banned
		case strings.HasPrefix(command, "banid "):
			banned = "ID filter list: 1 entry\n1 " + strings.Fields(command)[2] + " : permanent\n"
		case strings.HasPrefix(command, "removeid "):
			banned = "ID filter list: empty\n"
		}
		return ""
	}
	tests := map[string]struct {
		act  func(*Host) error
		want []string
	}{
		"a name like a row": {func(h *Host) error { return h.Kick(t.Context(), "friday", "STEAM_1:0:12345678", "") }, []string{"status", "kickid 2"}},
		"a reason that quotes": {
			func(h *Host) error { return h.Kick(t.Context(), "friday", "76561197960265743", "a \"b\"\n; quit") },
			[]string{"status", `kickid 4 "a 'b' ; quit"`},
		},
		"for ever": {
			func(h *Host) error { return h.Ban(t.Context(), "friday", "[U:1:198]", 0, "x") },
			[]string{"banid 0 STEAM_1:0:99", "listid", "writeid", "status", `kickid 3 "Banned. x"`},
		},
		"who is not here": {
			func(h *Host) error { return h.Ban(t.Context(), "friday", "STEAM_0:0:5", 10, "") },
			[]string{"banid 10 STEAM_1:0:5", "listid", "status"},
		},
		"unban": {
			func(h *Host) error {
				banned = "ID filter list: 1 entry\n1 STEAM_0:0:5 : permanent\n"
				return h.Unban(t.Context(), "friday", "STEAM_1:0:5")
			},
			[]string{"listid", "removeid STEAM_0:0:5", "writeid", "listid"},
		},
		"words": {func(h *Host) error { return h.Say(t.Context(), "friday", `"; quit`) }, []string{`say "'; quit"`}},
	}
	for name, test := range tests {
		h, fake, rec := newHost(t)
		g := newGame(t, reply)
		g.runs(t, h, fake, "friday")
		if err := test.act(h); err != nil || !slices.Equal(g.heard(), test.want) {
			t.Errorf("%s: the game was told %q, %v; want %q", name, g.heard(), err, test.want)
		}
		for _, line := range g.heard() {
			if len(servercfg.Commands(line)) != 1 || strings.Contains(line, "50%") {
				t.Errorf("%s: the engine would read %q as more than one command", name, line)
			}
		}
		if strings.ContainsAny(strings.ReplaceAll(rec.text(), "\n", ""), "\x00\x1b") {
			t.Errorf("%s: said %q", name, rec.text())
		}
	}
	h, fake, _ := newHost(t)
	g := newGame(t, reply)
	g.runs(t, h, fake, "friday")
	for _, id := range []string{"STEAM_1:0:4242", "BOT", "Coach", "", "STEAM_1:0:99; quit", "99"} {
		if err := h.Kick(t.Context(), "friday", id, ""); !errors.Is(err, ctl.ErrNoPlayer) && !errors.Is(err, ctl.ErrUsage) {
			t.Errorf("kick %q: %v", id, err)
		}
	}
	for _, line := range g.heard() {
		if line != "status" {
			t.Errorf("somebody who is not there was answered with %q", line)
		}
	}
}

// A ban that the game does not show is a failure, and nobody is told otherwise.
func TestABanThatTheGameIgnored(t *testing.T) {
	h, fake, _ := newHost(t)
	g := newGame(t, func(command string) string {
		if command == "listid" {
			return "ID filter list: empty\n"
		}
		return ""
	})
	g.runs(t, h, fake, "friday")
	if err := h.Ban(t.Context(), "friday", "STEAM_1:0:5", 0, ""); !errors.Is(err, ctl.ErrConsole) || slices.Contains(g.heard(), "writeid") {
		t.Errorf("%v after %q", err, g.heard())
	}
}

// A rejected password is sent once in a run of the game, whatever is asked.
func TestCommandsDoNotRepeatARejectedPassword(t *testing.T) {
	h, fake, _ := newHost(t)
	initialise(t, h, "friday", 27015)
	port, tries := refuser(t)
	fake.set("friday", supervisor.Instance{
		State: ctl.ServerRunning, PID: 1, Since: time.Now().Add(-time.Hour),
		Applied: &ctl.Applied{Argv: []string{"srcds_linux", "-port", strconv.Itoa(port)}},
	})
	for range 3 {
		err := h.Rcon(t.Context(), "friday", "status")
		if !errors.Is(err, ctl.ErrConsole) || !strings.Contains(err.Error(), "rejected the RCON password") {
			t.Errorf("got %v", err)
		}
	}
	if n := tries.Load(); n != 1 {
		t.Errorf("the password was sent %d times", n)
	}
}

// A game that has not read its server.cfg yet would take the right password for a
// wrong one: it is not asked.
func TestAGameThatStartsIsNotAsked(t *testing.T) {
	h, fake, _ := newHost(t)
	initialise(t, h, "friday", 27015)
	port, tries := refuser(t)
	fake.set("friday", supervisor.Instance{
		State: ctl.ServerRunning, PID: 1, Since: time.Now(),
		Applied: &ctl.Applied{Argv: []string{"srcds_linux", "-port", strconv.Itoa(port)}},
	})
	if err := h.Rcon(t.Context(), "friday", "status"); !errors.Is(err, ctl.ErrConsole) || tries.Load() != 0 {
		t.Errorf("%v after %d tries", err, tries.Load())
	}
}

// The mode that is played decides how the map changes.
func TestChangeMapKeepsPlayersWhereItCan(t *testing.T) {
	for name, test := range map[string]struct {
		mode, says string
		want       []string
	}{
		"the same mode, by SourceMod": {"versus", `[SM] Value of cvar "mp_gamemode": "versus"`, []string{"mp_gamemode", "sm_cvar mp_gamemode", "changelevel c2m1_highway"}},
		"another mode":                {"coop", `[SM] Value of cvar "mp_gamemode": "versus"`, []string{"mp_gamemode", "sm_cvar mp_gamemode", "map c2m1_highway coop"}},
		"nobody tells":                {"coop", `Unknown command "sm_cvar"`, []string{"mp_gamemode", "sm_cvar mp_gamemode", "map c2m1_highway coop"}},
		"no mode":                     {"", "", []string{"changelevel c2m1_highway"}},
	} {
		h, fake, _ := newHost(t)
		g := newGame(t, func(command string) string {
			if command == "sm_cvar mp_gamemode" {
				return test.says
			}
			return ""
		})
		g.runs(t, h, fake, "friday")
		if err := h.ChangeMap(t.Context(), "friday", "c2m1_highway", test.mode); err != nil || !slices.Equal(g.heard(), test.want) {
			t.Errorf("%s: %q, %v; want %q", name, g.heard(), err, test.want)
		}
	}
}
