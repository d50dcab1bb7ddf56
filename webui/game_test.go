package webui

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"left4me/jobs"
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

// runningServer makes a server that runs, with so many players.
func (s *site) runningServer(u *models.User, players int) *models.Server {
	s.t.Helper()
	ctx := context.Background()
	srv := modelstest.Server(s.t, s.db, s.key, u)
	_, _, err := models.Observe(ctx, s.db, models.Observation{
		Host: models.LocalHost, Instance: srv.Instance, State: models.ServerRunning,
		Status: models.ServerStatus{Live: &models.Live{At: models.Now(), Players: players, Max: 8}},
	})
	if err := errors.Join(err, models.SetDesired(ctx, s.db, srv.ID, models.ServerRunning)); err != nil {
		s.t.Fatal(err)
	}
	return srv
}

func (s *site) game(g models.Game) {
	s.t.Helper()
	if err := models.SeeHost(context.Background(), s.db, models.LocalHost, &g); err != nil {
		s.t.Fatal(err)
	}
}

// end ends the newest job of a kind.
func (s *site) end(kind string, state models.JobState, message string) *models.Job {
	s.t.Helper()
	ctx := context.Background()
	j, err := models.NewestJobByKind(ctx, s.db, models.LocalHost, kind)
	if err != nil || j == nil {
		s.t.Fatalf("no job %s: %v", kind, err)
	}
	if j, err = models.ClaimJob(ctx, s.db, j.ID, "test"); err == nil {
		err = models.FinishJob(ctx, s.db, j.ID, j.Attempt, models.Ending{State: state, Message: message})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return j
}

// The page says what is installed, whether there is something newer, how old that
// word is, and in which state the files are.
func TestGamePageIsTrue(t *testing.T) {
	whole := models.Game{Installed: true, Build: "100", Version: "2.2.4.3", Size: 9_000_000_000, Method: "flip"}
	newest, older := whole, whole
	newest.Latest, newest.CheckedAt = "100", models.Now().Add(-3*time.Hour)
	older.Latest, older.CheckedAt = "101", models.Now()
	for name, test := range map[string]struct {
		game   models.Game
		says   []string
		silent []string
	}{
		"nothing":   {models.Game{}, []string{"Not installed", "Install the game"}, []string{"Update available", "Check for an update"}},
		"unasked":   {whole, []string{"Installed", "Steam was not asked yet", "Check for an update", "2.2.4.3", "the Windows files first"}, []string{"Update the game", "Up to date"}},
		"newest":    {newest, []string{"Up to date", "Build 100 is the newest.", "As of"}, []string{"Update the game</a>"}},
		"outdated":  {older, []string{"Update available", "Steam has build 101, and build 100 is installed.", "Update the game</a>"}, []string{"Up to date"}},
		"half done": {models.Game{Message: "the installation of the game is not complete (Steam's state flags are 1026): run l4d2ctl install"}, []string{"Not complete", "state flags are 1026", "No server can be started", "Install again"}, []string{"l4d2ctl install", "The game is not on this host yet"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.game(test.game)
			page := s.browser(modelstest.User(t, s.db, true)).get("/game")
			page.want(t, 200, test.says...)
			for _, not := range test.silent {
				if strings.Contains(page.Text, not) {
					t.Errorf("the page says %q", not)
				}
			}
			if plain := s.browser(modelstest.User(t, s.db, false)).get("/game"); strings.Contains(plain.Text, "<button class=\"btn") && strings.Contains(plain.Text, "/game/") {
				t.Error("a user who is no administrator is offered to change the game")
			}
		})
	}
}

// Steam that does not answer is said beside what was known before.
func TestGamePageSaysThatSteamDidNotAnswer(t *testing.T) {
	s := newSite(t)
	s.game(models.Game{Installed: true, Build: "100", Latest: "100", CheckedAt: models.Now().Add(-30 * time.Hour)})
	b := s.browser(modelstest.User(t, s.db, true))
	b.post("/game/check", nil).want(t, 303)
	b.get("/game").want(t, 200, "Steam is being asked")
	s.end("game.check", models.JobFailed, "Steam refuses logins for a while")
	b.get("/game").want(t, 200, "Steam could not be asked", "Steam refuses logins for a while.", "Build 100 is the newest.", "Check for an update")
}

// Before an update is asked for, its page names what it stops; what it does is seen on
// the game's page, step by step.
func TestUpdateOnTheGamePage(t *testing.T) {
	s := newSite(t)
	s.game(models.Game{Installed: true, Build: "100", Latest: "101", CheckedAt: models.Now()})
	admin, owner := modelstest.User(t, s.db, true), modelstest.User(t, s.db, false)
	srv := s.runningServer(owner, 3)
	b := s.browser(admin)
	b.get("/game/update").want(t, 200, srv.Name, "3 players", "Stop 1 server and update", "When everybody has left")
	b.post("/game/install", nil).want(t, 303)
	if list, err := models.UnfinishedByKind(context.Background(), s.db, models.LocalHost, "game.install"); err != nil || len(list) != 0 {
		t.Errorf("an install was asked for beside a running server: %+v, %v", list, err)
	}
	for name, form := range map[string]url.Values{
		"a warning that is too long": {"warn": {"100000"}}, "no number": {"warn": {"soon"}}, "too long a wait": {"when": {"empty"}, "hours": {"1000"}},
	} {
		if got := b.post("/game/update", form); got.StatusCode != 422 {
			t.Errorf("%s: status %d", name, got.StatusCode)
		}
	}
	b.post("/game/update", url.Values{"when": {"now"}, "warn": {"60"}, "hours": {"6"}}).want(t, 303)
	b.get("/game").want(t, 200, "Update the game: prepare", "Cancel the update", "Preparing")
	if page := s.browser(owner).get("/game"); strings.Contains(page.Text, "prepare") {
		t.Error("somebody who is no administrator sees the update's steps")
	}
	lead, err := models.NewestJobByKind(context.Background(), s.db, models.LocalHost, "game.update")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(lead.Args), `"warn":60`) || strings.Contains(string(lead.Args), "hours") {
		t.Errorf("the update is asked for with %s", lead.Args)
	}
	s.end("game.update", models.JobSucceeded, "")
	_, err = s.Jobs.EnqueueWith(context.Background(), models.Actor{ID: admin.ID, Name: admin.Name}, func(ctx context.Context, tx bun.Tx) ([]jobs.Args, error) {
		return jobs.UpdateSteps(ctx, tx, lead.ID)
	})
	if err != nil {
		t.Fatal(err)
	}
	b.get("/game").want(t, 200, "Under way", "Stop "+srv.Name+" for the update", "Start "+srv.Name+" again after the update")
	// The owner could cancel the stop of their server, and with it every update.
	stop, err := models.NewestJobByKind(context.Background(), s.db, models.LocalHost, "game.stop")
	if err != nil {
		t.Fatal(err)
	}
	s.browser(owner).post(jobView{Job: stop}.Path()+"/cancel", nil).want(t, 403, "Only an administrator")
	if page := s.browser(owner).get(jobView{Job: stop}.Path()); page.StatusCode != 200 || strings.Contains(page.Text, "/cancel") {
		t.Errorf("the owner's page of the stop, status %d, offers to cancel it", page.StatusCode)
	}
	b.post("/game/update", url.Values{"warn": {"60"}}).want(t, 422, "being installed or updated already")
	s.end("game.stop", models.JobSucceeded, "")
	s.end("game.install", models.JobFailed, "the disk is full")
	s.end("server.start", models.JobFailed, "the installation of the game is not complete")
	s.game(models.Game{Message: "the installation of the game is not complete (Steam's state flags are 1026): run l4d2ctl install"})
	b.get("/game").want(t, 200, "Ended with a failure", "The game was not updated. Of 1 server that ran, 1 could not be started again", "Not complete", "Install again", "The disk is full.")
}
