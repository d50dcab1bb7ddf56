package e2e

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/internal/testenv"
)

// steamHas says which build Steam has from now on and what installs meet.
func (s *site) steamHas(build, scenario string) {
	s.t.Helper()
	s.script(fmt.Sprintf(`{"speed": 30, "steamcmd": {"scenario": %q, "build": %q}, "srcds": {}}`, scenario, build))
}

// updateNow asks for an update and waits for its end. It returns the game's page.
func (s *site) updateNow() string {
	s.t.Helper()
	if status, body := s.post("/game/update", url.Values{"when": {"now"}, "warn": {"3"}}); status != 200 {
		s.t.Fatalf("ask for the update: status %d\n%s", status, body)
	}
	page := ""
	testenv.Eventually(s.t, 2*time.Minute, "the update comes to its end", func() bool {
		time.Sleep(100 * time.Millisecond) // a poll, not a pause: the condition decides
		_, page = s.get("/game")
		return strings.Contains(page, "The game is up to date.") || strings.Contains(page, "The game was not updated.")
	})
	return page
}

// A new build in Steam is found, players are told of the update, what runs is
// stopped, updated and started again.
func TestGameUpdate(t *testing.T) {
	s := newSite(t, true)
	s.steamHas("17000001", "ok")
	s.up()
	s.signIn()
	s.install()
	blueprint := s.makeBlueprint("Vanilla", "", "+map c1m1_hotel")
	empty := s.addServer("Empty one", blueprint, "", freePort(t))
	played := s.addServer("Played one", blueprint, "", freePort(t))
	s.startNow(empty)
	s.games(`{"speed": 30, "steamcmd": {}, "srcds": {"players": true, "seed": 608}}`)
	s.startNow(played)
	s.eventually("somebody plays on one of them", func() bool {
		_, page := s.get("/game/update")
		return strings.Contains(page, "Stop 2 servers and update") && strings.Contains(page, "on them")
	})

	s.steamHas("17000002", "ok")
	s.post("/game/check", nil)
	s.succeed(s.newestJob(), "asking Steam")
	_, page := s.get("/game")
	contains(t, []string{page}, "Update available", "Steam has build 17000002, and build 17000001 is installed.")
	before := map[string]int{empty: s.status(empty).PID, played: s.status(played).PID}
	page = s.updateNow()
	contains(t, []string{page}, "Every server that ran was started again.", "Up to date", "Build 17000002 is the newest.", "Stop Played one for the update", "Start Empty one again after the update")
	for _, name := range []string{empty, played} {
		if st := s.status(name); st.State != ctl.ServerRunning || st.PID == before[name] {
			t.Errorf("after the update %s is %s, pid %d (before: %d)", name, st.State, st.PID, before[name])
		}
	}
	const word = "for an update of the game and comes back afterwards."
	if log := s.run("l4d2ctl", "logs", played, "--lines", "2000", "--no-follow"); !strings.Contains(log, "This server stops in 3 seconds "+word) {
		t.Errorf("the players were told nothing; the game printed:\n%s", log)
	}
	if log := s.run("l4d2ctl", "logs", empty, "--lines", "2000", "--no-follow"); strings.Contains(log, word) {
		t.Error("an empty server was told of the update")
	}
}

// Where an update does not get to its end, servers run with the old files as long as
// those are whole. Half-done ones are started by nobody: the page says in which state
// they are and what to do, and so does l4d2ctl.
func TestAttack30HalfDoneUpdateIsStartedByNobody(t *testing.T) {
	s := newSite(t, true)
	s.steamHas("17000001", "ok")
	s.up()
	s.signIn()
	s.install()
	name := s.addServer("Sunday", s.makeBlueprint("Vanilla", "", "+map c1m1_hotel"), "", freePort(t))
	s.startNow(name)

	s.steamHas("17000002", "no_connection")
	contains(t, []string{s.updateNow()}, "Ended with a failure", "The game was not updated. Every server that ran was started again.", "17000001")
	if st := s.status(name); st.State != ctl.ServerRunning {
		t.Errorf("with whole old files the server is %s: %s", st.State, st.Message)
	}

	s.steamHas("17000002", "state_626")
	contains(t, []string{s.updateNow()}, "Not complete", "No server can be started with files that are not whole.", "Install again", "Of 1 server that ran, 1 could not be started again", "he installation of the game is not complete (Steam")
	if st := s.status(name); st.State != ctl.ServerStopped {
		t.Errorf("with half-done files the server is %s", st.State)
	}
	if out, err := s.try("l4d2ctl", "start", name); err == nil || !strings.Contains(out, "not complete") {
		t.Errorf("l4d2ctl starts half-done files: %v\n%s", err, out)
	}

	s.steamHas("17000002", "ok")
	_, page := s.post("/game/install", nil) // there is a server that is to run: it leads to the update's page
	contains(t, []string{page}, "Stop 1 server and update")
	contains(t, []string{s.updateNow()}, "Every server that ran was started again.", "17000002")
	if st := s.status(name); st.State != ctl.ServerRunning {
		t.Errorf("after the files were mended the server is %s: %s", st.State, st.Message)
	}
}
