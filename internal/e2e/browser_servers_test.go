package e2e

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/uptrace/bun"

	"left4me/models"
)

// Thirty servers: looked for by words and by state, by mouse and by keyboard; many are
// chosen and stopped at once, after a question that says how many play on them.
func TestBrowserManyServers(t *testing.T) {
	path := chromium(t)
	s := newSite(t, false)
	s.webOn(s.database("SQLite"), func(db *bun.DB, key *models.SecretKey) {
		s.run("left4me", "user", "add", "admin", "--admin")
		admin, err := models.UserByName(context.Background(), db, "admin")
		if err != nil {
			t.Fatal(err)
		}
		fillServers(t, db, key, admin, 30)
	})
	b := newBrowser(t, path, s.base)
	b.open("/")
	b.signInAs("admin", adminPassword)
	b.sees("#server-summary", "30 servers · 22 running")
	shown := func(n string) {
		b.wait(n+" servers are shown", `document.querySelectorAll('.card:not([hidden])').length === `+n)
	}
	shown("30")
	b.wait("lines, not cards", `!!document.querySelector('.grid.lines')`)
	b.look("servers-many")

	b.hand(`document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '/', bubbles: true }))`) // to the words
	b.wait("the words have the focus", `document.activeElement.id === 'filter-text'`)
	b.typeText("carnival")
	shown("5")
	b.wait("the address has the filter", `location.search === '?q=carnival'`)
	state := func(value string) {
		b.hand(`document.querySelector('#filter-state').value = '` + value + `', document.querySelector('#filter-state').dispatchEvent(new Event('change'))`)
	}
	state("off")
	shown("0")
	b.sees("#none-shown", "No server is like that")
	state("")
	shown("5")
	b.open("/servers?q=carnival&state=ok")
	shown("5")
	b.hand(`document.querySelector('#filter-text').focus()`)
	b.key(kb.Escape)
	shown("22") // the words are gone, the state stays

	b.hand(`document.querySelector('[data-choose-all] input').click()`)
	b.sees("[data-chosen]", "chosen")
	b.press("Stop")
	b.sees("h1", "Stop 22 servers?")
	b.sees("main", "will be thrown out")
	b.look("servers-stop")
	b.follow("Leave as it is")
	shown("30")
	b.hand(`document.querySelector('.choose').focus()`)
	b.key(" ")
	b.sees("[data-chosen]", "1 chosen")
	b.press("Apply changes")
	b.sees("[data-flash]", "being applied")
	b.sees("#strip", "Apply")
	b.quiet()
}
