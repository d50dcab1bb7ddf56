package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// A blueprint stacks a collection of the workshop and a recipe: in a real browser,
// by mouse and by keyboard, up to the map that its servers begin with.
func TestBrowserStack(t *testing.T) {
	path := chromium(t)
	s := newSite(t, true)
	s.script(`{"speed": "instant"}`)
	s.workshop()
	s.up()
	s.signIn()
	s.install()
	b := newBrowser(t, path, s.base)
	b.open("/")
	b.signInAs("admin", adminPassword)

	seeCollection(b)
	seeSourceMod(b)
	blueprint := s.makeBlueprint("Everything", "sv_alltalk 1\n", "-tickrate 60")
	seeStacking(t, b, blueprint)
	seeMapChoice(t, b, blueprint)
}

func seeCollection(b *tab) {
	b.t.Helper()
	b.open("/overlays/new")
	b.fill("Name", "Maps of friends")
	b.press("Make the overlay")
	b.sees("#overlay-head h1", "Maps of friends")
	b.fill("Add items or collections", "3200000001")
	b.press("Add")
	b.sees("#overlay-versions", "Version 1")
}

func seeSourceMod(b *tab) {
	b.t.Helper()
	b.open("/overlays/new?kind=managed")
	b.fill("Name", "Plug-ins")
	b.hand(`document.querySelector('input[name=recipe][value=sourcemod]').click()`)
	b.press("Make the overlay")
	b.sees("#overlay-head h1", "Plug-ins")
	b.sees("#overlay-versions", "Version 1")
	b.sees("#overlay-head", "SourceMod 1.")
	b.look("overlay-recipe")
}

func seeStacking(t *testing.T, b *tab, blueprint string) {
	t.Helper()
	b.open("/blueprints/" + blueprint)
	for n := range 2 {
		b.press("Add on top")
		b.wait("one overlay more", fmt.Sprintf(`document.querySelectorAll('.layers [data-overlay]').length === %d`, n+1))
	}
	names := `[...document.querySelectorAll('.layers [data-overlay] a.strong')].map((a) => a.textContent).join()`
	order := func() string { return get[string](b, names) }
	first := order()
	// By keyboard: the focus goes where the entry goes.
	b.hand(`document.querySelector('.layers [data-overlay]:first-child button[value=down]').focus()`)
	b.typeText(kb.Enter)
	b.waitFor("another order", func() bool { return order() != first })
	b.wait("the focus to stay with what was moved", `document.activeElement?.closest('.layers [data-overlay]:nth-child(2)')`)
	b.sees("#hear", "is now number 2 of 2")
	b.drag(".layers [data-overlay]:nth-child(2) .grip", ".layers [data-overlay]:nth-child(1)")
	b.waitFor("the order from before", func() bool { return order() == first })
	b.sees("#hear", "The new order is saved.")
	b.open("/blueprints/" + blueprint)
	if got := order(); got != first {
		t.Errorf("after loading anew the order is %s, want %s", got, first)
	}
	b.look("blueprint-overlays")
	b.follow("What it comes to")
	b.sees("h1", "What Everything comes to")
	b.follow("left4dead2/")
	b.follow("addons/")
	b.sees("main", "3100000001.vpk")
	b.sees("main", "metamod")
	b.look("stack")
}

func seeMapChoice(t *testing.T, b *tab, blueprint string) {
	t.Helper()
	b.open("/blueprints/" + blueprint)
	b.press("Choose the first map")
	b.sees(".campaigns", "Rust Harbor")
	b.sees(".campaigns", "Dead Center")
	b.hand(`[...document.querySelectorAll('.campaigns details')].find((d) => d.textContent.includes('Rust Harbor')).open = true`)
	b.look("maps")
	b.hand(`[...document.querySelectorAll('.campaigns details')].find((d) => d.open).querySelector('button[name=map]').click()`)
	b.wait("the map in the arguments", `/\+map/.test(document.getElementById('b-arguments').value)`)
	if got := get[string](b, `document.getElementById('b-arguments').value`); !strings.HasPrefix(got, "-tickrate 60 +map ") {
		t.Errorf("arguments %q", got)
	}
	b.press("Save")
	b.sees("#blueprint-form .note", "Saved.")
}

// hand runs JavaScript as a person's hand would, for what has no text of its own.
func (b *tab) hand(js string) {
	b.t.Helper()
	get[bool](b, "("+js+", true)")
}

// drag takes hold of one thing and lets go over the upper half of another.
func (b *tab) drag(from, to string) {
	b.t.Helper()
	spot := func(selector string, share float64) (at [2]float64) {
		at = get[[2]float64](b, fmt.Sprintf(`(() => { const e = document.querySelector(%s); e.scrollIntoView({ block: 'center', behavior: 'instant' }); const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height * %f]; })()`, quote(selector), share))
		return at
	}
	a, z := spot(from, 0.5), spot(to, 0.2)
	b.do("drag "+from+" to "+to,
		chromedp.MouseEvent(chromedp.MousePressed, a[0], a[1], chromedp.ButtonLeft, chromedp.ClickCount(1)),
		chromedp.MouseEvent(chromedp.MouseMoved, a[0], (a[1]+z[1])/2, chromedp.ButtonLeft),
		chromedp.MouseEvent(chromedp.MouseMoved, z[0], z[1], chromedp.ButtonLeft),
		chromedp.MouseEvent(chromedp.MouseReleased, z[0], z[1], chromedp.ButtonLeft, chromedp.ClickCount(1)))
}
