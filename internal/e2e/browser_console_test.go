package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Somebody talks to their game by keyboard: commands are completed, answers come by
// themselves, earlier lines come back, and another map is chosen. The same works
// without scripts.
func TestBrowserConsole(t *testing.T) {
	path := chromium(t)
	s := newSite(t, true)
	s.up()
	s.signIn()
	s.install()
	instance := s.makeServer("Talk", "", "", "")
	page := "/servers/" + instance + "/console"
	b := newBrowser(t, path, s.base)
	b.signInAs("admin", adminPassword)
	b.open(page)
	b.sees("#exchanges", "The server is not running")
	b.look("server-console-empty")
	s.startNow(instance)
	b.sees("#server-head", "Running")

	b.open(page)
	r := b.record("#exchanges")
	b.wait("the line to have the focus", `document.activeElement.id === 'command'`)
	b.typeText("sta")
	b.sees("#offers", "status")
	b.look("server-console-offers")
	b.key(kb.Escape)
	b.wait("the offers to go", `document.getElementById('offers').hidden`)
	b.typeText("t")
	b.sees("#offers", "status")
	for range 8 { // Tab walks through what is offered
		if b.line() == "status" {
			break
		}
		b.key(kb.Tab)
	}
	if got := b.line(); got != "status" {
		t.Fatalf("Tab made %q of stat", got)
	}
	b.key(kb.Enter)
	b.sees(".exchange pre", "map     : c1m1_hotel")
	b.wait("an empty line", `document.getElementById('command').value === ''`)

	b.typeText(`echo <b>it's</b>; sv_password hunter2`)
	b.key(kb.Enter)
	b.sees(".exchange pre", "<b>it's</b>")
	b.sees(".exchange .said", "sv_password ********")
	b.typeText("half")
	b.key(kb.ArrowUp)
	if got := b.line(); got != "status" { // what had a password in it is not offered again
		t.Errorf("the line before is %q", got)
	}
	b.key(kb.ArrowDown)
	if got := b.line(); got != "half" {
		t.Errorf("the line that was being typed became %q", got)
	}
	b.fill("Command", "cvarlist")
	b.press("Send")
	b.sees(".exchange pre", "total convars/concommands")
	b.wait("the newest answer in sight", `(() => { const e = document.getElementById('exchanges'); return e.scrollHeight - e.scrollTop - e.clientHeight < 40; })()`)
	b.fill("Command", "rcon_password other1234")
	b.press("Send")
	b.sees(".exchange .why", "cannot be changed here")
	r.texts() // fails when the page was loaded anew
	b.look("server-console")

	b.follow("Log")
	b.follow("Change map")
	b.sees("h2", "Change the map")
	b.press("Dark Carnival Valve")
	b.look("server-map")
	b.press("The Highway")
	b.sees(".exchange .said", "map c2m1_highway coop")
	b.sees(".exchange pre", "Changing to c2m1_highway coop.")
	b.sees("#server-head", "Running")
	consoleWithoutScripts(b, page)
}

// consoleWithoutScripts sends by the plain form and finds the answer on the page.
func consoleWithoutScripts(b *tab, page string) {
	b.t.Helper()
	b.scripts(false)
	defer b.scripts(true)
	b.open(page)
	b.fill("Command", "echo plain words")
	b.press("Send")
	b.sees("#exchanges", "echo plain words")
	b.waitFor("the answer on the page", func() bool {
		b.open(page)
		return strings.Count(b.text("#exchanges"), "plain words") == 2
	})
}

// key presses one key.
func (b *tab) key(key string) {
	b.t.Helper()
	b.do("press a key", chromedp.KeyEvent(key))
}

// line is what stands in the console's field.
func (b *tab) line() string {
	b.t.Helper()
	return get[string](b, `document.getElementById('command').value`)
}
