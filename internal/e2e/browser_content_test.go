package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// What is pasted into a workshop overlay: a collection, a link, a ZIP that is called
// a VPK, an item that its author removed, and words that mean nothing.
const pastedItems = `my maps:
https://steamcommunity.com/sharedfiles/filedetails/?id=3100000001&searchtext=
3200000001, 3110000032; 3110000001
and please the one with the boat`

// Links become items, items become a version, and somebody can see what is in it
// and why something is not; nothing is reloaded while that happens.
func TestBrowserWorkshop(t *testing.T) {
	path := chromium(t)
	s := newSite(t, true)
	s.workshop()
	s.up()
	s.signIn()
	b := newBrowser(t, path, s.base)
	b.signInAs("admin", adminPassword)

	b.follow("Overlays")
	b.sees("main", "Nothing to stack yet")
	b.look("overlays-empty")
	b.follow("New overlay")
	b.look("overlay-new")
	b.fill("Name", "Friday maps")
	b.press("Make the overlay")
	b.sees("h1", "Friday maps")
	b.look("overlay-workshop-empty")

	b.paste("Add items or collections", pastedItems)
	b.press("Add")
	b.sees("#workshop-add", "4 items added")
	r := b.record("main")
	if got := get[string](b, `document.getElementById('items').value`); !strings.Contains(got, "boat") || strings.Contains(got, "3200000001") {
		t.Errorf("what was not understood stays to be looked at; the field has %q", got)
	}
	b.sees("#overlay-versions", "Version 1")
	b.sees("#workshop-items", "Rust Harbor")
	b.sees("#workshop-items", "It is a ZIP archive")
	b.sees("#workshop-items", "Steam has no such item")
	b.sees("#overlay-head .state", "1 file refused")
	r.texts() // fails when the page was loaded anew
	if n := get[int](b, `document.querySelectorAll('#workshop-items .state.ok').length`); n < 5 {
		t.Errorf("%d items are ready, want at least 5:\n%s", n, b.text("#workshop-items"))
	}
	if n := get[int](b, `[...document.querySelectorAll('#workshop-items img')].filter((i) => i.complete && i.naturalWidth > 0).length`); n == 0 {
		t.Error("no item has a picture")
	}
	b.look("overlay-workshop")

	b.follow("Version 1")
	b.sees("h1", "Version 1")
	b.sees("#files", "left4dead2/addons/3100000001.vpk")
	b.look("overlay-version")
	seeAdmitted(b)
	seeOlderVersion(b)
	seeRenamed(b)
	b.follow("Overlays")
	b.sees("#overlay-list", "Saturday maps")
	b.sees("#overlay-list", "not stacked")
	b.look("overlays")
	seeOverlayDeleted(b)
	seeChoices(b)
	itemsWithoutScripts(t, s, b.stranger(t))
}

// seeAdmitted lets the ZIP in although it was refused.
func seeAdmitted(b *tab) {
	b.t.Helper()
	b.press("Let it in")
	b.sees("#confirm", "every server with this overlay does")
	b.look("confirm-admit")
	b.press("Let it in all the same")
	b.sees("#job-head", "Done")
	b.follow("Friday maps")
	b.sees("#overlay-versions", "Version 2")
	b.sees("#overlay-versions", "was let in")
}

// seeOlderVersion goes back to the version without it.
func seeOlderVersion(b *tab) {
	b.t.Helper()
	b.press("Use this one: version 1")
	b.sees("#overlay-head", "v1")
	b.wait("version 1 to be the current one", `[...document.querySelectorAll('#overlay-versions li')].some((e) => e.innerText.includes('Version 1') && e.innerText.includes('current'))`)
}

func seeRenamed(b *tab) {
	b.t.Helper()
	b.fill("Name", "Saturday maps")
	b.press("Rename")
	b.sees("h1", "Saturday maps")
}

// seeOverlayDeleted deletes it, and the page that is left open notices.
func seeOverlayDeleted(b *tab) {
	b.t.Helper()
	b.follow("Saturday maps")
	other := b.second()
	other.open(get[string](b, `location.pathname`))
	other.sees("h1", "Saturday maps")
	b.press("Delete Saturday maps")
	b.sees("#confirm", "Delete the overlay “Saturday maps”?")
	b.press("Delete the overlay")
	b.sees("#job-head", "Done")
	other.wait("the list", `location.pathname === '/overlays'`)
	other.sees("main", "Nothing to stack yet")
}

// seeChoices makes an overlay of a recipe: its choices are there when it is chosen.
func seeChoices(b *tab) {
	b.t.Helper()
	b.open("/overlays/new")
	b.fill("Name", "House rules")
	if text := b.text("main"); strings.Contains(text, "Plain server settings") {
		b.t.Errorf("recipes are shown although a workshop overlay is chosen:\n%s", text)
	}
	b.do("choose a recipe", chromedp.Click("input[value=managed]"), chromedp.Click("input[value=server-defaults]"))
	b.sees(".options", "Region in Steam's list")
	if text := b.text(".recipes"); strings.Contains(text, "Ticks a second") {
		b.t.Errorf("the choices of another recipe are shown:\n%s", text)
	}
	b.look("overlay-new-recipe")
	b.press("Make the overlay")
	b.sees("#overlay-versions", "Version 1")
	b.sees("#overlay-head", "for everybody")
	b.look("overlay-choices")
	b.press("Fetch the newest")
	b.sees("#overlay-head .state", "Ready")
}

// itemsWithoutScripts does the same with plain forms.
func itemsWithoutScripts(t *testing.T, s *site, b *tab) {
	t.Helper()
	b.scripts(false)
	b.signInAs("admin", adminPassword)
	b.open("/overlays/new")
	b.fill("Name", "Plain maps")
	b.press("Make the overlay")
	b.sees("h1", "Plain maps")
	at := get[string](b, `location.pathname`)
	b.paste("Add items or collections", "3100000001 121086524")
	b.press("Add")
	b.sees("main", "Added. Steam is asked about them now.")
	b.waitFor("a version with both, on a page loaded anew", func() bool {
		b.open(at)
		return strings.Contains(b.text("#overlay-versions"), "2 files")
	})
	b.press("Take Rust Harbor out")
	b.wait("the item to leave the list", `!document.querySelector('#workshop-items').innerText.includes('Rust Harbor')`)
	b.waitFor("a version with one, on a page loaded anew", func() bool {
		b.open(at)
		return strings.Contains(b.text("#overlay-versions"), "Version 2") && !strings.Contains(b.text("#workshop-items"), "Rust Harbor")
	})
	b.press("Delete Plain maps")
	b.sees("h1", "Delete the overlay “Plain maps”?")
	b.press("Delete the overlay")
	s.eventually("its page is gone", func() bool {
		status, _ := s.get(at)
		return status == 404
	})
}
