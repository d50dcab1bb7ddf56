package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"left4me/hostops/ctl"
)

// A blueprint is changed while a server runs with it: arguments as a list, by mouse
// and by keyboard, and the config. The page says what differs, and one button
// restarts the server with it.
func TestBrowserBlueprint(t *testing.T) {
	path := chromium(t)
	s := newSite(t, true)
	s.script(`{"speed": "instant"}`)
	s.up()
	s.signIn()
	s.install()
	id := s.makeBlueprint("Competitive", "sv_alltalk 1\n", "-insecure +map c1m1_hotel")
	name := s.addServer("Friday versus", id, "", freePort(t))
	s.startNow(name)
	before := s.status(name)
	b := newBrowser(t, path, s.base)
	b.signInAs("admin", adminPassword)

	b.open("/blueprints/" + id)
	b.sees("#blueprint-linked", "Has it as it is now.")
	b.fill("Argument to add", "-tickrate 30")
	b.press("Add the argument")
	b.sees("#argv", "How often a second the game computes.")
	argument := func() string { return get[string](b, `document.getElementById('b-arguments').value`) }
	b.fill("What stands behind -tickrate", "60")
	b.sees("#argv .note", "no overlay brings the Tickrate Enabler")
	b.hand(`document.getElementById('arg-up-2').focus()`)
	b.typeText(kb.Enter)
	b.sees("#hear", "-tickrate is now number 2 of 3.")
	b.wait("the focus to stay with what was moved", `document.activeElement?.id === 'arg-up-1'`)
	b.press("Take -insecure out")
	b.sees("#hear", "-insecure is taken out.")
	if got, want := argument(), "-tickrate 60 +map c1m1_hotel"; got != want {
		t.Fatalf("the arguments are %q, want %q", got, want)
	}
	b.press("As text")
	b.fill("Launch arguments as text", `-tickrate 60 +map "c1m1_hotel`)
	b.sees("#argv", "is never closed")
	b.fill("Launch arguments as text", `-tickrate 60 +map "c1m1_hotel versus"`)
	b.sees("#argv", `"c1m1_hotel versus"`)
	b.press("As a list")
	b.look("blueprint-arguments")

	b.click(fields, "server.cfg")
	b.do("go to the end", chromedp.KeyEvent(kb.End, chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	b.typeText("sv_region 255")
	b.sees("#cfg-preview", "sv_region 255")
	b.press("Save")
	b.sees("#blueprint-form .note", "Saved.")
	for _, part := range []string{"+map c1m1_hotel", `+map "c1m1_hotel versus"`, "-insecure", "-tickrate 60", "sv_region 255", "Changes pending"} {
		b.sees("#blueprint-linked", part)
	}
	b.look("blueprint-diff")

	b.press("Apply now (Friday versus)")
	b.sees("#confirm", "Restart the server “Friday versus”?")
	b.sees("#confirm", "plays on it")
	b.press("Restart it")
	var after ctl.Status
	s.eventually("the server to run anew", func() bool {
		after = s.status(name)
		return after.State == ctl.ServerRunning && after.PID != before.PID
	})
	b.sees("#blueprint-linked", "Has it as it is now.")
	if after.Applied == nil || !slices.Contains(after.Applied.Argv, "60") || slices.Contains(after.Applied.Argv, "-insecure") {
		t.Errorf("before it ran as %d, now as %d with %+v", before.PID, after.PID, after.Applied)
	}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cwd/left4dead2/cfg/server.cfg", after.PID))
	if err != nil || !strings.Contains(string(raw), "sv_region 255") {
		t.Errorf("the game reads the config (%v)\n%s", err, raw)
	}

	b.open("/servers/" + name)
	b.wait("no note of changes", `document.querySelector('[id^="changes-"]').hidden`)
	s.makeBlueprint("Other", "", "")
	b.open("/blueprints/" + id)
	b.press("Copy")
	b.sees("h1", "Competitive copy")
	b.sees("main", "No server yet")
	b.open("/blueprints")
	b.follow("Import")
	b.look("blueprint-import")
	b.fill("The blueprint", "name: Pasted")
	b.press("Import it")
	b.sees("h1", "Pasted")
}
