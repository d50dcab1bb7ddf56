package webui

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"left4me/models"
	"left4me/models/modelstest"
)

// The account is kept sealed, never shown, and refused with a sentence at its field.
func TestSteamAccountOnTheGamePage(t *testing.T) {
	s := newSite(t)
	b := s.browser(modelstest.User(t, s.db, true))
	b.get("/game").want(t, 200, "Steam account", "Keep the account")
	b.post("/game/account", url.Values{"name": {"anonymous"}, "password": {"secret-of-steam"}}).want(t, 422, "An anonymous sign-in is what left4me tries by itself.")
	b.post("/game/account", url.Values{"name": {"gabe"}, "password": {"secret-of-steam"}}).want(t, 303)
	page := b.get("/game")
	page.want(t, 200, "Forget gabe", "Replace the account")
	if strings.Contains(page.Text, "secret-of-steam") {
		t.Error("the page shows the password")
	}
	entries, err := models.AuditEntries(context.Background(), s.db, 10)
	if err != nil || len(entries) == 0 {
		t.Fatalf("audit: %+v, %v", entries, err)
	}
	for _, e := range entries {
		if strings.Contains(e.Subject+e.Detail, "secret-of-steam") {
			t.Errorf("the audit log holds the password: %+v", e)
		}
	}
	b.post("/game/account/forget", nil).want(t, 303)
	b.get("/game").want(t, 200, "Keep the account")
	if page := s.browser(modelstest.User(t, s.db, false)).get("/game"); strings.Contains(page.Text, "Steam account") {
		t.Error("a user who is no admin sees the form")
	}
}
