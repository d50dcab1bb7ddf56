package webui

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"left4me/models"
	"left4me/models/modelstest"
)

// TestEveryChangeIsAudited walks all routes that are no GET with a form that works,
// and wants a line of the audit log that names who sent it. A route that the table
// does not know fails it.
func TestEveryChangeIsAudited(t *testing.T) {
	h := newHostFiles(t)
	s := newSite(t, func(c *Config) { c.Content = h })
	type try struct {
		form  url.Values
		admin bool                      // an administrator sends it
		ready func(*things, url.Values) // makes what the form needs
	}
	f := func(pairs ...string) url.Values {
		v := url.Values{"sure": {"yes"}}
		for i := 0; i < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return v
	}
	password := func(th *things, _ url.Values) {
		hash, err := HashPassword(rightPassword)
		if err == nil {
			_, err = s.db.NewUpdate().Model((*models.User)(nil)).Set("password_hash = ?", hash).Where("id = ?", th.owner.ID).Exec(context.Background())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// idle ends every job and server: asking again for what is under way changes
	// nothing, and an install waits for servers that run.
	idle := func(*things, url.Values) {
		var list []models.Job
		err := s.db.NewSelect().Model(&list).Where("finished_at IS NULL").Scan(context.Background())
		for _, j := range list {
			if err == nil {
				err = s.Jobs.Cancel(context.Background(), models.Actor{}, j.ID)
			}
		}
		if err == nil {
			_, err = s.db.NewRaw("UPDATE servers SET observed = 'stopped', desired = 'stopped'").Exec(context.Background())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	fresh := func(th *things, _ url.Values) {
		th.overlay = modelstest.Overlay(t, s.db, th.owner, models.OverlayFiles)
	}
	revision := func(th *things, v url.Values) { v.Set("revision", "1") }
	table := map[string]try{
		"POST /signin":                        {form: f("password", rightPassword), ready: func(th *things, v url.Values) { password(th, v); v.Set("name", th.owner.Name) }},
		"POST /signout":                       {form: f()},
		"POST /account/password":              {form: f("current", rightPassword, "password", "another good one"), ready: password},
		"POST /account/sessions/end":          {form: f()},
		"POST /account/sessions/:session/end": {form: f()},
		"POST /admin/users":                   {form: f("name", "newcomer"), admin: true},
		"POST /admin/users/:user/password":    {form: f(), admin: true},
		"POST /admin/users/:user/admin":       {form: f("admin", "on"), admin: true},
		"POST /admin/users/:user/deactivate":  {form: f(), admin: true},
		"POST /admin/users/:user/activate":    {form: f(), admin: true},
		"POST /admin/users/:user/delete":      {form: f(), admin: true, ready: func(th *things, _ url.Values) { th.owner = modelstest.User(t, s.db, false) }},
		"POST /admin/host/check":              {form: f(), admin: true},
		"POST /admin/schedules/:schedule":     {form: f("at", "04:30", "zone", "UTC", "enabled", "yes"), admin: true},
		"POST /admin/schedules/:schedule/run": {form: f(), admin: true, ready: idle},

		"POST /servers":                      {form: f("name", "Audited"), ready: func(th *things, v url.Values) { v.Set("blueprint", th.srv.BlueprintID) }},
		"POST /servers/act":                  {form: f("act", "stop"), ready: func(th *things, v url.Values) { v.Set("server", th.srv.Instance) }},
		"POST /servers/:instance":            {form: f("name", "Renamed", "port", "27900"), ready: func(th *things, v url.Values) { v.Set("blueprint", th.srv.BlueprintID) }},
		"POST /servers/:instance/start":      {form: f(), ready: idle},
		"POST /servers/:instance/stop":       {form: f()},
		"POST /servers/:instance/restart":    {form: f()},
		"POST /servers/:instance/apply":      {form: f()},
		"POST /servers/:instance/reset":      {form: f()},
		"POST /servers/:instance/delete":     {form: f()},
		"POST /servers/:instance/rcon":       {form: f()},
		"POST /servers/:instance/rcon/renew": {form: f()},
		"POST /servers/:instance/console":    {form: f("command", "status")},
		"POST /servers/:instance/map": {form: f("map", "c2m1_highway versus"), ready: func(th *things, _ url.Values) {
			_, _, err := models.Observe(context.Background(), s.db, models.Observation{Host: th.srv.Host, Instance: th.srv.Instance, State: models.ServerRunning})
			if err != nil {
				t.Fatal(err)
			}
		}},
		"POST /servers/:instance/players/kick":  {form: f("steam_id", "76561197960265730", "name", "Coach")},
		"POST /servers/:instance/players/ban":   {form: f("steam_id", "76561197960265730", "name", "Coach", "minutes", "30")},
		"POST /servers/:instance/players/unban": {form: f("steam_id", "76561197960265730", "name", "Coach")},

		"POST /blueprints":              {form: f("name", "Audited")},
		"POST /blueprints/import":       {form: f("text", "name: Imported\n")},
		"POST /blueprints/:id":          {form: f("name", "Renamed", "edits", "1")},
		"POST /blueprints/:id/copy":     {form: f()},
		"POST /blueprints/:id/apply":    {form: f()},
		"POST /blueprints/:id/overlays": {form: f("do", "add"), ready: func(th *things, v url.Values) { v.Set("overlay", fmt.Sprint(th.overlay.ID)) }},
		"POST /blueprints/:id/map":      {form: f("map", "c2m1_highway versus")},
		"POST /blueprints/:id/delete":   {form: f(), ready: func(th *things, _ url.Values) { th.srv.BlueprintID = modelstest.Blueprint(t, s.db, th.owner).ID }},

		"POST /overlays":                 {form: f("kind", "files", "name", "Audited")},
		"POST /overlays/:overlay/name":   {form: f("name", "Renamed"), ready: revision},
		"POST /overlays/:overlay/delete": {form: f()},
		"POST /overlays/:overlay/items":  {form: f("items", "121086524")},
		"POST /overlays/:overlay/items/remove": {form: f("item", "121086524"), ready: func(th *things, _ url.Values) {
			if _, err := models.AddOverlayItems(context.Background(), s.db, th.overlay.ID, []string{"121086524"}); err != nil {
				t.Fatal(err)
			}
		}},
		"POST /overlays/:overlay/download": {form: f()},
		"POST /overlays/:overlay/versions/:number/use": {form: f(), ready: func(th *things, _ url.Values) {
			modelstest.Publish(t, s.db, th.overlay, int64(th.job.ID)+100_000)
		}},
		"POST /overlays/:overlay/script":       {form: f("script", "true"), ready: revision},
		"POST /overlays/:overlay/files/save":   {form: f("path", "left4dead2/cfg/a.cfg", "text", "sv_cheats 0"), ready: fresh},
		"POST /overlays/:overlay/files/folder": {form: f("dir", "", "name", "left4dead2"), ready: fresh},

		"POST /game/install":        {form: f(), admin: true, ready: idle},
		"POST /game/check":          {form: f(), admin: true, ready: idle},
		"POST /game/update":         {form: f("when", "now", "grace", "0"), admin: true},
		"POST /game/account":        {form: f("name", "steamuser", "password", "secret"), admin: true},
		"POST /game/account/forget": {form: f(), admin: true},
		"POST /game/key":            {form: f("key", "0123456789ABCDEF0123456789ABCDEF"), admin: true},
		"POST /game/key/forget":     {form: f(), admin: true},
		"POST /jobs/:number/cancel": {form: f()},
		"POST /jobs/:number/retry": {form: f(), ready: func(th *things, _ url.Values) {
			if err := s.Jobs.Cancel(context.Background(), models.Actor{}, th.job.ID); err != nil {
				t.Fatal(err)
			}
		}},
	}
	// These change nothing that stays, or are tried with their neighbours.
	elsewhere := map[string]string{
		"POST /arguments":                                "it shows what arguments come to",
		"POST /blueprints/:id/preview":                   "it shows what a config comes to",
		"POST /overlays/:overlay/recipe":                 "it is overlay.edit, as its own test says",
		"POST /overlays/:overlay/versions/:number/admit": "it needs a version with a refused file: the test of versions has one",
		"POST /overlays/:overlay/files":                  "TestDraftIsAudited",
		"POST /overlays/:overlay/files/move":             "TestDraftIsAudited",
		"POST /overlays/:overlay/files/delete":           "TestDraftIsAudited",
		"POST /overlays/:overlay/uploads":                "an upload is written down when it is complete: TestDraftIsAudited",
		"PUT /overlays/:overlay/uploads/:upload":         "TestDraftIsAudited",
		"POST /overlays/:overlay/uploads/:upload/cancel": "what was never complete is in no draft",
		"POST /overlays/:overlay/draft/publish":          "TestDraftIsAudited",
		"POST /overlays/:overlay/draft/drop":             "TestDraftIsAudited",
		"POST /overlays/:overlay/draft/remove":           "TestDraftIsAudited",
	}
	for _, r := range s.routes() {
		name := r.method + " " + r.path
		one, known := table[name]
		if r.method == http.MethodGet || elsewhere[name] != "" {
			continue
		}
		if !known {
			t.Errorf("the route %s is not known here: say which form it takes, so that its audit line is looked for", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			th := s.thingsFor(t, r.path, nil)
			if one.ready != nil {
				one.ready(th, one.form)
			}
			who := th.owner
			if one.admin {
				who = th.admin
			}
			b := s.browser(who)
			if r.path == "/signin" {
				b = s.browser(nil)
			}
			before, err := models.AuditLog(context.Background(), s.db, models.AuditFilter{}, 1)
			if err != nil {
				t.Fatal(err)
			}
			method, path := th.address(s, name)
			if got := b.send(method, path, one.form); got.StatusCode >= 400 {
				t.Fatalf("%s %s does not work: status %d, %s", method, path, got.StatusCode, clip(got.Text, 3000))
			}
			after, err := models.AuditLog(context.Background(), s.db, models.AuditFilter{}, 20)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range after {
				if len(before) > 0 && e.ID <= before[0].ID {
					break
				}
				if e.UserID == who.ID && e.UserName == who.Name && e.Address != "" && e.Action != "" {
					if actionWords[e.Action] == "" {
						t.Errorf("the audit log's page has no words for %q", e.Action)
					}
					return
				}
			}
			t.Errorf("%s worked, and no line of the audit log says who did it", name)
		})
	}
}

// TestDraftIsAudited: files that come, move and go, and what becomes of the draft.
func TestDraftIsAudited(t *testing.T) {
	u, _ := newUploader(t)
	up := u.begin("a.cfg", 3)
	u.state(u.put(up.ID, 0, strings.NewReader("abc")), 200)
	u.post(u.at+"/files/folder", url.Values{"dir": {""}, "name": {"kept"}}).want(t, 303)
	u.post(u.at+"/files/move", url.Values{"path": {"kept"}, "target": {"moved"}}).want(t, 303)
	u.post(u.at+"/files/delete", url.Values{"path": {"moved"}, "sure": {"yes"}}).want(t, 303)
	u.post(u.at+"/draft/remove", url.Values{"change": {"4"}}).want(t, 303)
	u.post(u.at+"/draft/publish", url.Values{"at": {"0-3-3"}}).want(t, 303)
	list, err := models.AuditLog(context.Background(), u.s.db, models.AuditFilter{UserID: u.o.UserID, Action: "overlay"}, 50)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := len(list) - 1; i >= 0; i-- {
		got = append(got, list[i].Action+" "+strings.TrimPrefix(list[i].Detail, u.o.Name+": "))
	}
	all := strings.Join(got, "; ")
	for _, want := range []string{"overlay.draft Put ", "a.cfg", "overlay.draft Make the folder kept", "overlay.draft Move kept to moved", "overlay.draft Delete moved", "overlay.draft a change taken out", "overlay.publish", "overlay.build"} {
		if !strings.Contains(all, want) {
			t.Errorf("the log lacks %q: %s", want, all)
		}
	}
}

// audited writes lines of several people and returns them, oldest first.
func (s *site) audited(t *testing.T, one, two *models.User) {
	t.Helper()
	for i, e := range []struct {
		u                       *models.User
		action, subject, detail string
	}{
		{one, "server.create", "server:friday-k3x9", "Friday"},
		{one, "server.delete", "server:friday-k3x9", "Friday"},
		{two, "overlay.create", "overlay:12", "100%_sure"},
		{two, "user.delete", "user:gone", `<script>alert(1)</script>`},
		{two, "servers.other", "job:7", "=cmd|' /C calc'!A0"},
	} {
		by := models.Actor{ID: e.u.ID, Name: e.u.Name, Address: fmt.Sprintf("192.0.2.%d", i+1)}
		if err := models.Audit(context.Background(), s.db, by, e.action, e.subject, e.detail); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAuditFilters(t *testing.T) {
	s := newSite(t)
	admin, one, two := modelstest.User(t, s.db, true), modelstest.User(t, s.db, false), modelstest.User(t, s.db, false)
	s.audited(t, one, two)
	boss := s.browser(admin)
	today := time.Now().UTC().Format(time.DateOnly)
	for query, want := range map[string][]string{
		"":                                    {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"},
		"person=" + one.Name:                  {"192.0.2.1", "192.0.2.2"},
		"person=" + strings.ToUpper(one.Name): {"192.0.2.1", "192.0.2.2"},
		"action=server":                       {"192.0.2.1", "192.0.2.2"},
		"action=server.delete":                {"192.0.2.2"},
		"subject=server%3Afriday":             {"192.0.2.1", "192.0.2.2"},
		"subject=overlay%3A12":                {"192.0.2.3"},
		"subject=%25":                         {},
		"subject=overlay_12":                  {},
		"day=" + today:                        {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"},
		"day=2001-01-01":                      {},
		"person=nobody":                       {},
		"action=server%27%3B--":               {},
		"person=" + two.Name + "&action=user": {"192.0.2.4"},
	} {
		got := boss.get("/admin/audit?" + query)
		got.want(t, 200)
		for i := range 5 {
			address := fmt.Sprintf("192.0.2.%d", i+1)
			wanted := strings.Contains(strings.Join(want, " ")+" ", address+" ")
			if strings.Contains(got.Text, address+"<") != wanted {
				t.Errorf("?%s: %s is shown: %v", query, address, !wanted)
			}
		}
	}
	boss.get("/admin/audit?day=yesterday").want(t, 422, "Write the day as 2026-11-22.")
	boss.get("/admin/audit").want(t, 200, "&lt;script&gt;", `href="/jobs/7"`, "Deleted a user")
	boss.get("/admin/audit?person=nobody").want(t, 200, "Nothing matches.")
}

// TestAuditPages goes through the log page by page and meets every line once, newest
// first.
func TestAuditPages(t *testing.T) {
	s := newSite(t)
	admin := modelstest.User(t, s.db, true)
	const total = auditPerPage*2 + 30
	for i := range total {
		if err := models.Audit(context.Background(), s.db, models.Actor{Name: "(host)"}, "test.line", fmt.Sprintf("line:%d;", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	boss, next, expect := s.browser(admin), "/admin/audit?action=test", total-1
	for pages := 0; next != ""; pages++ {
		if pages > 3 {
			t.Fatal("there is no end")
		}
		page := boss.get(next)
		page.want(t, 200)
		for _, part := range strings.Split(page.Text, ">line:")[1:] {
			number, _, _ := strings.Cut(part, ";")
			if number != fmt.Sprint(expect) {
				t.Fatalf("line %s comes where %d is due", number, expect)
			}
			expect--
		}
		_, rest, ok := strings.Cut(page.Text, `<a class="btn push" href="`)
		next, _, _ = strings.Cut(rest, `"`)
		if !ok {
			next = ""
		}
		next = strings.ReplaceAll(next, "&amp;", "&")
	}
	if expect != -1 {
		t.Errorf("the pages end before line %d", expect)
	}
}

// TestAttack10FormulaInTheExport: no cell of the file is one that a spreadsheet runs.
func TestAttack10FormulaInTheExport(t *testing.T) {
	s := newSite(t)
	admin, one, two := modelstest.User(t, s.db, true), modelstest.User(t, s.db, false), modelstest.User(t, s.db, false)
	s.audited(t, one, two)
	for _, detail := range []string{"+1+1", "-2", "@SUM(A1)", "\t=1", " =1", "\r=1", "\uff1d1", "a,\"b\"\nc", "plain"} {
		if err := models.Audit(context.Background(), s.db, models.Actor{Name: "=name"}, "test.formula", "-subject", detail); err != nil {
			t.Fatal(err)
		}
	}
	got := s.browser(admin).get("/admin/audit.csv")
	got.want(t, 200)
	if kind := got.Header.Get("Content-Disposition"); !strings.HasPrefix(kind, "attachment") {
		t.Errorf("it is shown, not saved: %q", kind)
	}
	rows, err := csv.NewReader(bytes.NewReader([]byte(got.Text))).ReadAll()
	if err != nil || len(rows) != 15 {
		t.Fatalf("%d rows (%v), want a head and 14", len(rows), err)
	}
	for _, row := range rows {
		for _, cell := range row {
			if strings.IndexAny(strings.TrimLeft(cell, " \t\r\n"), "=+-@\uff1d") == 0 {
				t.Errorf("the cell %q is a formula", cell)
			}
		}
	}
	if last := rows[len(rows)-1]; last[1] != one.Name || last[3] != "server.create" || last[5] != "Friday" {
		t.Errorf("the last row is %q", last)
	}
	if narrow := s.browser(admin).get("/admin/audit.csv?action=server"); strings.Count(narrow.Text, "\n") != 3 {
		t.Errorf("the narrowed file is\n%s", narrow.Text)
	}
}
