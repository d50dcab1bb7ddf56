package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// An administrator adds somebody, by keyboard alone, gives them the password that is
// shown once, and takes the right to sign in away again while their page is open.
func TestBrowserUsers(t *testing.T) {
	path := chromium(t)
	s := newSite(t, true)
	s.script(`{}`)
	s.up()
	b := newBrowser(t, path, s.base)
	b.signInAs("admin", adminPassword)

	b.open("/admin/users")
	b.look("users")
	b.fill("Name", "zoey")
	b.do("send the form", chromedp.KeyEvent(kb.Enter))
	b.sees("main", "It is shown only now.")
	b.sees("h1", "zoey")
	b.look("user-password")
	password := b.text("#new-password")

	theirs := b.stranger(t)
	theirs.signInAs("zoey", password)
	theirs.open("/account")
	theirs.sees("#browsers", "this browser")
	theirs.look("account")

	b.press("Deactivate zoey")
	b.sees("#confirm-title", "Deactivate zoey?")
	b.do("say yes", chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	b.sees(".title .state", "Deactivated")
	b.sees("main", "They are signed out everywhere")
	theirs.sees("h1", "Sign in") // the open page notices by itself
	b.look("user-deactivated")
	b.press("Activate zoey")
	b.sees(".title .state", "Active")

	b.follow("What they did")
	b.sees("h1", "Who did what")
	b.sees("main", "Signed in")
	b.fill("Person", "admin")
	b.fill("Action", "user")
	b.press("Show")
	b.sees("main", "Deactivated a user")
	b.look("audit")
	theirs.fill("Name", "zoey")
	theirs.fill("Password", password)
	theirs.press("Sign in")
	theirs.sees("h1", "zoey") // back where the page was
}
