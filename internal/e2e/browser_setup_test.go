package e2e

import (
	"testing"

	"left4me/hostops/ctl"
)

// A new administrator with nothing is led to the first game, one thing at a time.
func TestBrowserFirstRun(t *testing.T) {
	path := chromium(t)
	s := newSite(t, true)
	s.script(`{"speed": 30, "steamcmd": {"scenario": "ok"}, "srcds": {}}`)
	s.up()
	b := newBrowser(t, path, s.base)
	b.signInAs("admin", adminPassword)
	one := func(primary string) {
		t.Helper()
		b.wait("the one thing to do next is "+primary, `[...document.querySelectorAll('main .btn.primary')].map((e) => e.innerText.trim()).join() === `+quote(primary))
	}

	one("Check the host")
	b.look("setup-begin")
	b.press("Check the host")
	b.sees("h1", "Host")
	b.sees("#host-report", "Kernel")
	b.look("host")
	problem := get[bool](b, `!!document.querySelector('#host-report li .state.bad')`)
	b.follow("Servers")
	b.sees(".setup", "Install the game")
	if problem { // something is missing on the machine of the test, which the simulated game does without
		one("See what to do")
	} else {
		one("Install the game")
	}
	b.press("Install the game")
	b.sees("#game-card", "Up to date")
	b.follow("Servers")
	b.sees(".setup", "It is on this host.")
	one("New blueprint")
	b.look("setup-blueprint")
	b.follow("New blueprint")
	b.fill("Name", "First")
	b.press("Make the blueprint")
	b.sees("h1", "First")
	b.follow("Servers")
	b.follow("New server")
	b.fill("Name", "Saturday")
	b.fill("Port", freePort(t))
	b.press("Make the server")
	b.sees("#server-head h1", "Saturday")
	b.follow("Servers")
	b.sees("#setup-title", "One thing is missing")
	b.look("setup-start")
	b.press("Start Saturday")
	b.sees("#server-head h1", "Saturday")
	b.follow("Servers")
	b.sees(".card .state", "Running")
	b.wait("the way to the first game to be over", `!document.querySelector('.setup')`)
	name := get[string](b, `document.querySelector('.card a[href^="/servers/"]').pathname.split('/')[2]`)
	if st := s.status(name); st.State != ctl.ServerRunning {
		t.Errorf("the host says %s: %s", st.State, st.Message)
	}

	b.follow("Game")
	b.sees("#game-card", "Up to date")
	b.look("game")
	b.follow("Check and mend the files")
	b.sees("main", "Saturday")
	b.look("game-update")
	b.press("Stop 1 server and update")
	b.sees("#game-card", "Every server that ran was started again.")
	b.look("game-updated")
	b.follow("Admin")
	b.sees("#admin-health", "Worker")
	b.look("admin")
	b.follow("Schedules")
	b.sees("main", "Restart the servers that are empty")
	b.wait("the clock to be looked at", `!document.querySelector('main').innerText.includes('No worker looked at it')`)
	b.look("schedules")
}
