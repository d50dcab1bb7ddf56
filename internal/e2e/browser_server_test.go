package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// What a server's owner does on its tabs Log, Files and Settings, by mouse and by
// keyboard.
func TestBrowserServerTools(t *testing.T) {
	path := chromium(t)
	s := newSite(t, true)
	s.up()
	s.signIn()
	s.install()
	name := s.makeServer("Friday versus", "sv_alltalk 1\nlog on\n", arguments, "")
	s.startNow(name)
	b := newBrowser(t, path, s.base)
	b.signInAs("admin", adminPassword)
	b.open("/servers/" + name)

	seeLogSearch(t, b, name)
	seeWholeLog(t, b, name)
	seeServerFiles(b, name)
	seeSettings(t, s, b, name)
}

func seeLogSearch(t *testing.T, b *tab, name string) {
	t.Helper()
	b.sees(".log", "Host_NewGame on map")
	b.fill("Search the log", "HOST_newgame ON")
	b.sees("[data-found]", "1 of 1 lines")
	b.wait("the match to be marked", `document.querySelector('.log .hit.at')?.textContent.includes('Host_NewGame') && CSS.highlights.get('found').size === 1`)
	b.fill("Search the log", "map")
	b.wait("several matches", `/^(\d+) of \1 lines$/.test(document.querySelector('[data-found]').innerText) && document.querySelectorAll('.log .hit').length > 1`)
	b.enter()
	b.sees("[data-found]", "1 of ")
	b.press("The match before")
	b.wait("the last match again", `/^(\d+) of \1 lines$/.test(document.querySelector('[data-found]').innerText)`)
	b.look("server-log-search")
	b.typeText(kb.Escape)
	b.fill("Search the log", "no such words")
	b.sees("[data-found]", "Not in the lines below")
	b.press("Wrap")
	b.wait("long lines", `document.querySelector('.log.long') && document.querySelector('[data-wrap]').getAttribute('aria-pressed') === 'false'`)
	b.open("/servers/" + name + "#L3")
	b.wait("line 3", `document.querySelector('.log #L3:target') && document.querySelector('.log.long')`)
	b.press("Wrap")
	b.wait("broken lines", `!document.querySelector('.log.long')`)
}

func seeWholeLog(t *testing.T, b *tab, name string) {
	t.Helper()
	b.fill("Search the log", "host_newgame on")
	b.press("Whole log")
	b.sees("#whole-log mark", "Host_NewGame")
	b.sees("#whole-log", "1 line found.")
	b.look("server-log-whole")
	n := b.text("#whole-log .n")
	b.follow("Line " + n + " between its neighbours")
	b.wait("the line between its neighbours", `document.querySelector('#whole-log #L`+n+`:target') && document.querySelectorAll('#whole-log .log > div').length > 5`)
	b.open("/servers/" + name + "/log#L1")
	b.wait("the first line", `document.querySelector('#L1')`)
}

func seeServerFiles(b *tab, name string) {
	b.t.Helper()
	b.open("/servers/" + name)
	b.follow("Files")
	b.follow("left4dead2/")
	b.follow("logs/")
	b.sees("#server-files", ".log")
	file := get[string](b, `[...document.querySelectorAll('#server-files td a.mono')].map((a) => a.innerText).find((n) => n.startsWith('L'))`)
	b.look("server-files")
	b.follow(file)
	b.sees("#server-file pre", "Log file started")
	b.look("server-file")
	b.open("/servers/" + name + "/files?path=left4dead2")
	b.follow("All files")
	b.follow("cfg/")
	b.sees("#server-files", "Made by left4me")
	b.look("server-files-all")
	b.follow("server.cfg")
	b.sees("#server-file pre", `rcon_password "********"`)
	b.sees("#server-file pre", "sv_alltalk 1")
}

func seeSettings(t *testing.T, s *site, b *tab, name string) {
	t.Helper()
	before := s.password(name)
	b.open("/servers/" + name + "/settings")
	b.press("New password")
	b.sees("#confirm", "Make a new RCON password?")
	b.press("Make a new one")
	b.sees("main", "There is a new RCON password.")
	b.press("Show")
	b.wait("the new password", fmt.Sprintf(`(document.querySelector('#server-rcon code')?.innerText ?? %q) !== %q`, before, before))
	b.look("server-settings")
	b.fill("Port", " ")
	b.press("Save settings")
	b.sees("#server-form", "Saved")
	if port := get[string](b, `document.getElementById('f-port').value`); !strings.HasPrefix(port, "27") {
		t.Errorf("the next free port is %q", port)
	}
	b.press("Reset Friday versus")
	b.sees("#confirm", "Reset the server “Friday versus”?")
	b.press("Reset the server")
	b.sees("main", "The server is being reset.")
	b.sees("#server-head .state", "Stopped")
	b.waitFor("what the game wrote to be gone", func() bool {
		b.open("/servers/" + name + "/files")
		return strings.Contains(b.text("#server-files"), "The game has written nothing yet")
	})
	b.look("server-files-empty")
}
