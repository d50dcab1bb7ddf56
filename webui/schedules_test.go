package webui

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"left4me/models"
	"left4me/models/modelstest"
)

func TestSchedulesAreEditedAndSeen(t *testing.T) {
	s := newSite(t)
	ctx, b := context.Background(), s.browser(modelstest.User(t, s.db, true))
	b.get("/admin/schedules").want(t, 200, "Restart the servers that are empty", "Switched off", "Late", "No worker looked at it yet.")
	if err := models.SeeSchedules(ctx, s.db, models.LocalHost, models.Now()); err != nil {
		t.Fatal(err)
	}
	if page := b.get("/admin/schedules"); strings.Contains(page.Text, "Late") {
		t.Error("a clock that was looked at a moment ago is called late")
	}
	const path = "/admin/schedules/server.restart_empty"
	for name, test := range map[string]struct {
		form url.Values
		says string
	}{
		"no time":     {url.Values{"at": {""}}, "Give a time of day"},
		"25 o'clock":  {url.Values{"at": {"25:00"}}, "Give a time of day"},
		"words":       {url.Values{"at": {"at dawn"}}, "Give a time of day"},
		"no zone":     {url.Values{"at": {"04:30"}, "zone": {"Middle/Earth"}}, "This is no time zone."},
		"a long zone": {url.Values{"at": {"04:30"}, "zone": {strings.Repeat("x", 5000)}}, "This is no time zone."},
	} {
		t.Run(name, func(t *testing.T) { b.post(path, test.form).want(t, 422, test.says, `aria-invalid="true"`) })
	}
	b.post(path, url.Values{"at": {"04:30"}, "zone": {"America/New_York"}, "enabled": {"yes"}, "missed": {"late"}}).want(t, 303)
	sch, err := models.ScheduleByName(ctx, s.db, models.LocalHost, "server.restart_empty")
	if err != nil || sch.Hour != 4 || sch.Minute != 30 || sch.Zone != "America/New_York" || !sch.Enabled || !sch.CatchUp {
		t.Fatalf("the schedule is %+v, %v", sch, err)
	}
	b.get("/admin/schedules").want(t, 200, `value="04:30"`, `value="America/New_York"`, sch.Next(time.Now()).UTC().Format(time.RFC3339))
	entries, err := models.AuditEntries(ctx, s.db, 1)
	if err != nil || len(entries) != 1 || entries[0].Action != "schedule.edit" || !strings.Contains(entries[0].Detail, "at 04:30 America/New_York, late when missed") {
		t.Errorf("audit: %+v, %v", entries, err)
	}
	b.post(path+"/run", nil).want(t, 303)
	j, err := models.NewestJobByKind(ctx, s.db, models.LocalHost, "server.restart_empty")
	if err != nil || j == nil || j.Finished() {
		t.Errorf("done now: %+v, %v", j, err)
	}
	b.post("/admin/schedules/game.install/run", nil).want(t, 404)
	b.post("/admin/schedules/x", url.Values{"at": {"04:30"}}).want(t, 404)
}

// What was found on the host is shown with what to do, the worst first; the overview
// says it in a word.
func TestHostPageShowsFindings(t *testing.T) {
	s := newSite(t)
	ctx, b := context.Background(), s.browser(modelstest.User(t, s.db, true))
	b.get("/admin/host").want(t, 200, "Not checked", "Nobody looked yet", "Check the host")
	b.post("/admin/host/check", nil).want(t, 303)
	b.get("/admin/host").want(t, 200, "Being checked", "the findings appear here")
	s.end("host.doctor", models.JobFailed, "l4d2ctl was killed")
	b.get("/admin/host").want(t, 200, "The last check did not get to its end.", "L4d2ctl was killed.")
	d := models.Doctor{Checks: []models.HostCheck{
		{Key: "kernel", Level: models.CheckOK, Title: "Kernel", Text: "Linux 6.12 on x86_64"},
		{Key: "steamcmd", Level: models.CheckProblem, Title: "steamcmd", Text: "is not at <b>/opt</b>", Fix: "mkdir -p /opt/steamcmd && curl x | tar -xz"},
		{Key: "space", Level: models.CheckWarning, Title: "Free space", Text: "12 GB are just enough"},
	}}
	if err := models.SetDoctor(ctx, s.db, models.LocalHost, d); err != nil {
		t.Fatal(err)
	}
	page := b.get("/admin/host")
	page.want(t, 200, "1 problem", "Check again", "mkdir -p /opt/steamcmd &amp;&amp; curl x | tar -xz", "&lt;b&gt;/opt&lt;/b&gt;")
	if first, last := strings.Index(page.Text, "Problem</span>"), strings.Index(page.Text, "Linux 6.12"); first < 0 || first > last {
		t.Error("the problem does not come first")
	}
	if strings.Contains(page.Text, "did not get to its end") {
		t.Error("a failure that is older than the findings is shown")
	}
	b.get("/admin").want(t, 200, "1 problem", "Administration", "/admin/users", "/admin/audit")
	if page := s.browser(modelstest.User(t, s.db, false)).get("/servers"); strings.Contains(page.Text, `href="/admin"`) {
		t.Error("a user who is no administrator is led to the administrators' pages")
	}
}

// The way to the first game has one thing to do at a time.
func TestSetupLeadsToTheFirstGame(t *testing.T) {
	s := newSite(t)
	ctx, admin := context.Background(), modelstest.User(t, s.db, true)
	b := s.browser(admin)
	now := func(what string) {
		t.Helper()
		page := b.get("/servers")
		page.want(t, 200, what)
		_, steps, _ := strings.Cut(page.Text, `<ol class="setup">`)
		steps, _, _ = strings.Cut(steps, "</ol>")
		if now, first := strings.Count(steps, `<li class="now">`), strings.Count(steps, "btn primary"); now != 1 || first != 1 {
			t.Errorf("at “%s” there are %d steps to do now and %d first actions, want one of each", what, now, first)
		}
	}
	now("Check the host</button>")
	if page := s.browser(modelstest.User(t, s.db, false)).get("/servers"); strings.Contains(page.Text, "Check the host") || !strings.Contains(page.Text, "An administrator of this host has to do that.") {
		t.Error("a user who is no administrator is led to what they may not do")
	}
	problem := models.Doctor{Checks: []models.HostCheck{{Level: models.CheckProblem, Title: "steamcmd", Text: "is missing"}}}
	if err := models.SetDoctor(ctx, s.db, models.LocalHost, problem); err != nil {
		t.Fatal(err)
	}
	now("There is 1 problem to solve")
	if err := models.SetDoctor(ctx, s.db, models.LocalHost, models.Doctor{Checks: []models.HostCheck{{Level: models.CheckOK, Title: "steamcmd", Text: "is there"}}}); err != nil {
		t.Fatal(err)
	}
	now("Install the game</button>")
	s.game(models.Game{Installed: true, Build: "1"})
	now("New blueprint</a>")
	srv := modelstest.Server(t, s.db, s.key, admin)
	now("Start " + srv.Name + "</button>")
	b.get("/servers").want(t, 200, "One thing is missing")
	b.post("/servers/"+srv.Instance+"/start", nil).want(t, 303)
	if page := b.get("/servers"); strings.Contains(page.Text, `class="setup"`) {
		t.Error("after the first start the way to it is still shown")
	}
}
