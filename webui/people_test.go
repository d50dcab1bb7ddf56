package webui

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"left4me/jobs"
	"left4me/models"
	"left4me/models/modelstest"
)

// second starts another web process over the same database and Redis.
func (s *site) second() *site {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	cfg := s.Config
	cfg.Hub = jobs.NewHub(s.rdb, s.Log)
	cfg.Jobs = jobs.NewClient(s.db, s.rdb, s.Log)
	heard := make(chan struct{})
	go func() { cfg.Hub.Run(ctx); close(heard) }()
	s.t.Cleanup(func() { stop(); <-heard })
	web, err := New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	other := &site{Server: web, t: s.t, redis: s.redis, rdb: s.rdb, db: s.db, key: s.key}
	other.http = httptest.NewServer(web.Handler())
	s.t.Cleanup(other.http.Close)
	s.t.Cleanup(web.Close)
	return other
}

// TestAttack17RightWithdrawnWhileAStreamIsOpen: whatever takes a right away ends the
// open pages of its user within a second, also those that another web process
// serves, and none of anybody else's.
func TestAttack17RightWithdrawnWhileAStreamIsOpen(t *testing.T) {
	s := newSite(t)
	away := s.second()
	admin := modelstest.User(t, s.db, true)
	boss := s.browser(admin)
	sure := url.Values{"sure": {"yes"}}
	for name, tt := range map[string]struct {
		path   string
		form   url.Values
		status int
		admin  bool // of the user to whom it happens
		out    bool // they are signed out, too
	}{
		"deactivated":    {"/deactivate", sure, 303, false, true},
		"deleted":        {"/delete", sure, 303, false, true},
		"demoted":        {"/admin", url.Values{"admin": {"off"}}, 303, true, true},
		"promoted":       {"/admin", url.Values{"admin": {"on"}}, 303, false, false},
		"password reset": {"/password", url.Values{"password": {rightPassword}}, 303, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			u, bystander := modelstest.User(t, s.db, tt.admin), modelstest.User(t, s.db, false)
			here, there, other := s.browser(u), away.browser(u), away.browser(bystander)
			open := []*listener{here.listen("topics=strip"), there.listen("topics=strip"), other.listen("topics=strip")}
			for _, l := range open {
				l.html("strip")
			}
			word := away.Hub.Subscribe(jobs.TopicUser(u.ID))
			defer word.Close()
			began := time.Now()
			boss.post("/admin/users/"+u.ID+tt.path, tt.form).want(t, tt.status)
			select { // without it the other process would find out by itself, ten seconds later
			case <-word.Messages():
			case <-time.After(15 * time.Second):
				t.Error("the other web process was told nothing")
			}
			for _, l := range open[:2] {
				if _, ok := l.next("bye"); !ok {
					t.Error("the stream ended without a word")
				}
			}
			t.Logf("both streams ended %s after the form was sent", time.Since(began))
			want := 200
			if tt.out {
				want = 303
			}
			here.get("/servers").want(t, want)
			there.get("/servers").want(t, want)
			other.get("/servers").want(t, 200)
			select {
			case e, ok := <-open[2].events:
				t.Errorf("somebody else's stream got %+v, %v", e, ok)
			default:
			}
			open[2].close()
		})
	}
}

// TestAttack17PasswordChangeEndsOtherBrowsers: the browser that changed it goes on,
// with its stream; every other one ends, in every web process.
func TestAttack17PasswordChangeEndsOtherBrowsers(t *testing.T) {
	s := newSite(t)
	away := s.second()
	u := s.account("mira", false)
	here, there := s.browser(u), away.browser(u)
	mine, theirs := here.listen("topics=strip"), there.listen("topics=strip")
	mine.html("strip")
	theirs.html("strip")
	here.post("/account/password", url.Values{"current": {rightPassword}, "password": {"another good one"}}).want(t, 303)
	if _, ok := theirs.next("bye"); !ok {
		t.Error("the other browser's stream ended without a word")
	}
	there.get("/servers").want(t, 303)
	here.get("/servers").want(t, 200)
	s.runningJob(u)
	if err := jobs.Publish(context.Background(), s.rdb, jobs.Message{Topics: []string{jobs.TopicJobs(u.ID)}, Change: true}); err != nil {
		t.Fatal(err)
	}
	mine.html("strip", "Start it")
}

// TestAttack20DeactivatedUser: sessions end, signing in looks like a wrong password,
// waiting jobs are cancelled, and no route answers them more than a stranger. A
// deleted user leaves jobs and audit lines.
func TestAttack20DeactivatedUser(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	u, admin := s.account("mira", false), modelstest.User(t, s.db, true)
	boss, b := s.browser(admin), s.browser(u)
	srv := modelstest.Server(t, s.db, s.key, u)
	if err := models.SetDesired(ctx, s.db, srv.ID, models.ServerRunning); err != nil {
		t.Fatal(err)
	}
	job, err := s.Jobs.Enqueue(ctx, models.Actor{ID: u.ID, Name: u.Name}, jobs.ApplyBlueprint{ServerID: srv.ID})
	if err != nil {
		t.Fatal(err)
	}
	boss.post("/admin/users/"+u.ID+"/deactivate", nil).want(t, 200, "Deactivate mira?", "Never mind")
	b.get("/servers").want(t, 200) // nothing has happened yet
	boss.post("/admin/users/"+u.ID+"/deactivate", url.Values{"sure": {"yes"}, "servers": {"stop"}}).want(t, 303)
	b.get("/servers").want(t, 303)
	wrong := s.browser(nil).post("/signin", url.Values{"name": {"mira"}, "password": {"wrong password"}})
	right := s.browser(nil).post("/signin", url.Values{"name": {"mira"}, "password": {rightPassword}})
	wrong.want(t, 422)
	if right.StatusCode != 422 || right.Text != wrong.Text {
		t.Errorf("the right password of a deactivated user is told from a wrong one:\n%s", clip(right.Text, 3000))
	}
	if j, err := models.JobByID(ctx, s.db, job.ID); err != nil || j.State != models.JobCancelled || j.Message != "Cancelled because mira may not sign in any more." {
		t.Errorf("their waiting job is %+v, %v", j, err)
	}
	waiting, err := models.UnfinishedJobs(ctx, s.db, srv.ID)
	if err != nil || len(waiting) != 1 || waiting[0].Kind != "server.stop" || waiting[0].UserID != admin.ID {
		t.Errorf("the server's jobs are %+v, %v; want a stop that the administrator asked for", waiting, err)
	}
	boss.get("/admin/users/"+u.ID).want(t, 200, "Deactivated", "Activate mira")
	boss.post("/admin/users/"+u.ID+"/activate", nil).want(t, 303)
	s.browser(nil).post("/signin", url.Values{"name": {"mira"}, "password": {rightPassword}}).want(t, 303)
}

// TestRefusalsOnTheUserPage: what may not be done says why, and nothing happens.
func TestRefusalsOnTheUserPage(t *testing.T) {
	s := newSite(t)
	admin, owner := modelstest.User(t, s.db, true), modelstest.User(t, s.db, false)
	modelstest.Overlay(t, s.db, owner, models.OverlayFiles)
	boss := s.browser(admin)
	at := "/admin/users/" + admin.ID
	sure := url.Values{"sure": {"yes"}}
	boss.post(at+"/deactivate", sure).want(t, 422, "You cannot deactivate yourself.")
	boss.post(at+"/delete", sure).want(t, 422, "You cannot delete yourself.")
	boss.post(at+"/admin", url.Values{"admin": {"off"}}).want(t, 422, "from yourself")
	boss.post(at+"/admin", url.Values{"admin": {"perhaps"}}).want(t, 422)
	boss.post("/admin/users/"+owner.ID+"/delete", sure).want(t, 422, "owns 1 overlay, which would be lost", owner.Name)
	boss.post("/admin/users/"+owner.ID+"/password", url.Values{"password": {"short"}}).want(t, 422, "The password is too short")
	boss.post("/admin/users/nobody/delete", sure).want(t, 404)
	boss.get(at).want(t, 200, "This is you")
	boss.get("/admin/users/"+owner.ID).want(t, 200, "1 overlay")
}

// TestAddUser: with a typed password and with one that is made and shown once.
func TestAddUser(t *testing.T) {
	s := newSite(t)
	boss := s.browser(modelstest.User(t, s.db, true))
	boss.post("/admin/users", url.Values{"name": {"Zoey"}, "password": {rightPassword}}).want(t, 303)
	boss.post("/admin/users", url.Values{"name": {"zoey"}, "password": {rightPassword}}).want(t, 422, "There is a user of this name already.", `value="zoey"`)
	boss.post("/admin/users", url.Values{"name": {"a b"}}).want(t, 422, "A user name is 1 to 32 letters")
	boss.post("/admin/users", url.Values{"name": {"louis"}, "password": {"short"}}).want(t, 422, "The password is too short")
	made := boss.post("/admin/users", url.Values{"name": {"louis"}, "admin": {"yes"}})
	made.want(t, 200, "It is shown only now.", "louis can sign in with this password.")
	_, rest, _ := strings.Cut(made.Text, `id="new-password">`)
	password, _, _ := strings.Cut(rest, "<")
	if len(password) != 19 {
		t.Fatalf("the password is %q", password)
	}
	s.browser(nil).post("/signin", url.Values{"name": {"louis"}, "password": {password}}).want(t, 303)
	s.browser(nil).post("/signin", url.Values{"name": {"Zoey"}, "password": {rightPassword}}).want(t, 303)
	u, err := models.UserByName(context.Background(), s.db, "louis")
	if err != nil || !u.Admin {
		t.Errorf("the user is %+v, %v", u, err)
	}
	page := boss.get("/admin/users")
	page.want(t, 200, "Zoey", "louis", "Administrator")
	if strings.Contains(page.Text, password) || strings.Contains(boss.get("/admin/users/"+u.ID).Text, password) {
		t.Error("the password is shown twice")
	}
	reset := boss.post("/admin/users/"+u.ID+"/password", nil)
	reset.want(t, 200, "This is the new password of louis.")
	s.browser(nil).post("/signin", url.Values{"name": {"louis"}, "password": {password}}).want(t, 422)
}

// TestManyUsers: the list goes on page by page.
func TestManyUsers(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	for i := range usersPerPage + 5 {
		if _, err := models.CreateUser(ctx, s.db, fmt.Sprintf("many%03d", i), "!", false); err != nil {
			t.Fatal(err)
		}
	}
	boss := s.browser(modelstest.User(t, s.db, true))
	first := boss.get("/admin/users")
	first.want(t, 200, "many000", "many099", `href="/admin/users?after=many099"`)
	if strings.Contains(first.Text, "many100") {
		t.Error("the first page shows too many")
	}
	boss.get("/admin/users?after=many099").want(t, 200, "many100", "many104", `href="/admin/users"`)
	boss.get("/admin/users?after="+url.QueryEscape("zzz'\"<")).want(t, 200, "Nobody comes after this name.")
	boss.get("/admin/users?after=zzz%00").want(t, 404)
	boss.get("/admin/users?after=%ff").want(t, 404)
}

// TestBrowsersOfAnAccount: the list marks this one; one and all others can be ended.
func TestBrowsersOfAnAccount(t *testing.T) {
	s := newSite(t)
	u, other := s.account("mira", false), s.account("zoey", false)
	b := s.browser(u)
	phone, err := models.CreateSession(context.Background(), s.db, u.ID, "203.0.113.7", "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := models.CreateSession(context.Background(), s.db, other.ID, "203.0.113.8", "x")
	if err != nil {
		t.Fatal(err)
	}
	b.get("/account").want(t, 200, "Chrome on Android", "203.0.113.7", "this browser", "Sign every other browser out")
	b.post("/account/sessions/"+models.SessionID(theirs)+"/end", nil).want(t, 404)
	on := s.browser(nil)
	on.token = phone
	on.get("/servers").want(t, 200)
	b.post("/account/sessions/"+models.SessionID(phone)+"/end", nil).want(t, 303)
	on.get("/servers").want(t, 303)
	third, fourth := s.browser(u), s.browser(u)
	b.post("/account/sessions/end", nil).want(t, 303)
	third.get("/servers").want(t, 303)
	fourth.get("/servers").want(t, 303)
	b.get("/servers").want(t, 200)
	page := b.get("/account")
	page.want(t, 200, "What you did", "Signed out")
	if strings.Contains(page.Text, "Sign every other browser out") {
		t.Error("there is no other browser, and the page offers to sign it out")
	}
	own := b.post("/account/sessions/"+models.SessionID(b.token)+"/end", nil)
	if own.StatusCode != http.StatusSeeOther || own.Header.Get("Location") != "/signin" {
		t.Errorf("ending the own session answers %d to %q", own.StatusCode, own.Header.Get("Location"))
	}
}

func TestBrowserWords(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0":                                                                         "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0":                  "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15":                             "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/131.0.6778.73 Mobile/15E148 Safari/604.1": "Chrome on iPhone",
		"curl/8.10.1":                        "curl",
		"":                                   "An unknown browser",
		"<script>alert(1)</script>":          "An unknown browser",
		"Mozilla/5.0 (X11; Linux) Something": "A browser on Linux",
	} {
		if got := browserWords(agent); got != want {
			t.Errorf("browserWords(%q) = %q, want %q", agent, got, want)
		}
	}
}
