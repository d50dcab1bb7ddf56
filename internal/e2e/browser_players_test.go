package e2e

import (
	"testing"
)

// Who plays has a name and a picture, can be thrown out by a click that asks first,
// and is remembered.
func TestBrowserPlayers(t *testing.T) {
	path := chromium(t)
	s := newSite(t, true)
	s.workshop()
	s.up()
	s.signIn()
	s.install()
	s.games(playersOf(608))
	blueprint := s.makeBlueprint("Vanilla", "", "+map c2m1_highway")
	name := s.addServer("Friday versus", blueprint, "", freePort(t))
	s.startNow(name)

	b := newBrowser(t, path, s.base)
	b.signInAs("admin", adminPassword)
	b.open("/servers/" + name + "/players")
	b.sees("#players-now", "ms")
	b.sees("main", "Who played")

	b.open("/game")
	b.press("Players' names and pictures optional, with a Steam Web API key")
	b.fill("Steam Web API key", "0123456789ABCDEF0123456789ABCDEF")
	b.press("Keep the key")
	b.sees("main", "a Steam Web API key is kept")
	b.look("game-key")

	b.open("/servers/" + name + "/players")
	b.sees("#players-now", "in the game:")
	b.wait("a picture", `document.querySelector('#players-now .face img')?.naturalWidth > 0`)
	b.look("players")
	b.press(get[string](b, `document.querySelector('#players-now .order summary').textContent.trim().replace(/\s+/g, ' ')`))
	b.look("players-order")
	b.press("Kick")
	b.sees("#confirm", "thrown out")
	b.look("players-confirm")
	b.press("Kick them")
	b.sees("#players-now", "Asked for lately")
	b.sees("#players-now .state", "Done")
	b.look("players-kicked")

	b.open("/servers/" + name + "/history?span=hour")
	b.waitFor("a chart, on a page loaded anew", func() bool {
		b.open("/servers/" + name + "/history?span=hour")
		return get[bool](b, `document.querySelectorAll('svg.chart .line').length === 3`)
	})
	b.look("history")
}
