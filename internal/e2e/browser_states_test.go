package e2e

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"left4me/hostops/ctl"
	"left4me/steamsim"
)

// The list shows servers in every state at once, each in words, and follows what
// happens to them without a reload.
func TestBrowserServersInEveryState(t *testing.T) {
	path := chromium(t)
	s := newSite(t, true)
	s.env = append(s.env, "LEFT4ME_PUBLIC_HOST=left4.example")
	s.up()
	s.signIn()
	s.install()
	s.games(playersOf(608))
	b := newBrowser(t, path, s.base)
	b.signInAs("admin", adminPassword)

	competitive := s.makeBlueprint("Competitive", pasted, arguments)
	vanilla := s.makeBlueprint("Vanilla plus", "sv_alltalk 1\n", "+map c5m4_quarter")
	custom := s.makeBlueprint("Workshop maps", "", "+map c1m1_hotel")
	friday := s.addServer("Friday versus", competitive, "", nicePort(t, 27015))
	coop := s.addServer("Coop for four", vanilla, "", nicePort(t, 27016))
	slow := s.addServer("Custom campaigns", custom, "", nicePort(t, 27017))
	broken := s.addServer("Training", custom, "", nicePort(t, 27018))
	idle := s.addServer("Scavenge night", vanilla, "", nicePort(t, 27019))

	b.open("/servers")
	b.record("main")
	s.startNow(friday)
	s.games(playersOf(636))
	s.startNow(coop)
	s.startNow(idle)
	s.post("/servers/"+idle+"/stop", nil)
	s.post("/blueprints/"+vanilla, url.Values{"name": {"Vanilla plus"}, "arguments": {"+map c5m4_quarter"}, "config": {"sv_alltalk 0\r\n"}, "edits": {"1"}})
	s.games(`{"speed": 6, "steamcmd": {}, "srcds": {"crash_at_start": true}}`)
	s.post("/servers/"+broken+"/start", nil)
	failed := s.newestJob()
	s.follow(failed)
	s.games(`{"speed": 6, "steamcmd": {}, "srcds": {"hang": true}}`)
	s.post("/servers/"+slow+"/start", nil)

	card := func(name string) string { return `.card[aria-label="` + name + `"]` }
	b.sees(card("Friday versus"), "Running")
	b.sees(card("Friday versus"), "of 8 players")
	b.sees(card("Coop for four"), "Changes pending")
	b.sees(card("Custom campaigns"), "Starting")
	b.sees(card("Scavenge night"), "Stopped")
	b.sees(card("Training"), "Failed")
	b.sees(card("Training")+" .note", "ended each time")
	b.sees("#server-summary", "5 servers · 2 running")
	if n := len((&recording{b: b, selector: "main"}).texts()); n < 5 {
		t.Errorf("the list showed %d texts while all that happened; want it live", n)
	}
	b.wait("players on both", `[...document.querySelectorAll('.card')].filter((e) => /[1-9] of \d+ players/.test(e.innerText)).length === 2`)
	b.look("servers")

	b.follow("Training")
	b.sees("#server-head .note", "ended each time")
	b.look("server-failed")
	b.open("/servers/" + friday)
	b.sees("#server-now .players", "ms")
	b.sees(".log", `say "`)
	b.look("server-played")
	b.open("/servers/" + slow)
	b.sees("#server-head .note", "holds this server since")
	b.look("server-starting")
	b.open("/blueprints/" + vanilla)
	b.sees("#blueprint-linked", "Changes pending")
	b.look("blueprint-linked")
	b.open("/jobs/" + failed)
	b.look("job-failed")
	b.open("/jobs")
	b.look("jobs-several")
	b.open("/blueprints")
	b.look("blueprints")
	b.open("/account")
	b.look("account")
}

// playersOf is a script in which people come, decided by seed.
func playersOf(seed int) string {
	return fmt.Sprintf(`{"speed": 6, "steamcmd": {}, "srcds": {"players": true, "seed": %d}}`, seed)
}

// games decides what games that start from now on do. They cannot see the
// control file; what counts for them is the copy that was installed with them,
// and the game cannot be installed anew while servers run.
func (s *site) games(script string) {
	s.t.Helper()
	raw := `{"control": "/nowhere", "embedded": ` + script + `}`
	if err := os.WriteFile(filepath.Join(s.data, "installation", steamsim.ControlName), []byte(raw), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// startNow starts a server and waits until its game answers.
func (s *site) startNow(name string) {
	s.t.Helper()
	s.post("/servers/"+name+"/start", nil)
	s.succeed(s.newestJob(), "the start of "+name)
	if st := s.status(name); st.State != ctl.ServerRunning {
		s.t.Fatalf("%s is %s: %s", name, st.State, st.Message)
	}
}

// nicePort is the port that people know, or a free one when it is taken.
func nicePort(t testing.TB, port int) string {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return freePort(t)
	}
	defer func() { _ = l.Close() }() // only asked whether it is free
	u, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port))
	if err != nil {
		return freePort(t)
	}
	defer func() { _ = u.Close() }() // only asked whether it is free
	return fmt.Sprint(port)
}
