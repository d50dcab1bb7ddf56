package webui

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"left4me/jobs"
	"left4me/models"
	"left4me/models/modelstest"
)

func TestSecurityHeaders(t *testing.T) {
	s := newSite(t, func(c *Config) {
		c.Monitor = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })
	})
	admin := s.browser(modelstest.User(t, s.db, true))
	for _, path := range []string{"/signin", "/servers", "/nowhere", "/healthz"} {
		h := admin.get(path).Header
		for name, want := range map[string]string{
			"Content-Security-Policy": strictPolicy, "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "same-origin", "Cache-Control": "no-store", "X-Frame-Options": "DENY",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
	for _, bad := range []string{"unsafe-inline", "unsafe-eval", "http:", "https:", "*"} {
		if strings.Contains(strictPolicy, bad) {
			t.Errorf("the strict policy contains %q", bad)
		}
	}
	if got := admin.get("/admin/queues/x").Header.Get("Content-Security-Policy"); got != monitorPolicy {
		t.Errorf("the queue monitor's policy is %q", got)
	}
	if got := admin.get("/admin/queuesx").Header.Get("Content-Security-Policy"); got != strictPolicy {
		t.Errorf("a path that only looks like the monitor's has the policy %q", got)
	}
}

// TestNothingInline reads every page for what the policy would block.
func TestNothingInline(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, true)
	srv := modelstest.Server(t, s.db, s.key, u)
	inline := regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|javascript:|<script(?:>|\s+[^>]*>[^<])|hx-on`)
	outside := regexp.MustCompile(`(?i)(?:src|action)="(?:https?:)?//|<link[^>]*\shref="(?:https?:)?//`) // a link leads there and loads nothing
	b := s.browser(u)
	for _, path := range []string{"/signin", "/servers", "/servers/new", "/servers/" + srv.Instance, "/blueprints", "/blueprints/new", "/blueprints/" + srv.BlueprintID, "/jobs", "/game", "/account", "/nowhere"} {
		text := b.get(path).Text
		if path == "/signin" {
			text = s.browser(nil).get(path).Text
		}
		if m := inline.FindString(text); m != "" {
			t.Errorf("%s contains %q, which the policy blocks", path, m)
		}
		if m := outside.FindString(text); m != "" {
			t.Errorf("%s loads from outside: %q", path, m)
		}
		if n := strings.Count(text, "<h1"); n != 1 {
			t.Errorf("%s has %d first headings, want 1", path, n)
		}
		ids := map[string]bool{}
		for _, m := range regexp.MustCompile(`\sid="([^"]*)"`).FindAllStringSubmatch(text, -1) {
			if ids[m[1]] {
				t.Errorf("%s has the id %q twice", path, m[1])
			}
			ids[m[1]] = true
		}
		for _, m := range regexp.MustCompile(`<label for="([^"]*)"`).FindAllStringSubmatch(text, -1) {
			if !ids[m[1]] {
				t.Errorf("%s has a label for %q, which does not exist", path, m[1])
			}
		}
	}
}

// TestFirstLoad adds up what a browser fetches for its first page.
func TestFirstLoad(t *testing.T) {
	s := newSite(t)
	b := s.browser(modelstest.User(t, s.db, true))
	page := b.get("/servers", "Accept-Encoding", "gzip")
	if page.Header.Get("Content-Encoding") != "gzip" {
		t.Error("the page is not compressed")
	}
	total := len(page.Text)
	zr, err := gzip.NewReader(strings.NewReader(page.Text))
	if err != nil {
		t.Fatal(err)
	}
	var html bytes.Buffer
	if _, err := html.ReadFrom(zr); err != nil {
		t.Fatal(err)
	}
	files := regexp.MustCompile(`/static/[a-z0-9.]+`).FindAllString(html.String(), -1)
	if len(files) < 4 {
		t.Fatalf("the page names only these files: %q", files)
	}
	seen := map[string]bool{}
	for _, f := range files {
		if seen[f] {
			continue
		}
		seen[f] = true
		got := b.get(f, "Accept-Encoding", "gzip")
		got.want(t, 200)
		if cc := got.Header.Get("Cache-Control"); cc != "public, max-age=31536000, immutable" {
			t.Errorf("%s: Cache-Control %q", f, cc)
		}
		total += len(got.Text)
	}
	t.Logf("the first page takes %d bytes", total)
	if total > 60<<10 {
		t.Errorf("the first page takes %d bytes, more than 60 KB", total)
	}
	b.get("/static/app.css").want(t, 404)
}

func TestCrossSitePost(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	b := s.browser(u)
	refused := map[string][]string{
		"cross-site":     {"Sec-Fetch-Site", "cross-site"},
		"same-site":      {"Sec-Fetch-Site", "same-site"},
		"foreign origin": {"Origin", "https://evil.example"},
		"null origin":    {"Origin", "null"},
	}
	for name, headers := range refused {
		for _, r := range s.routes() {
			if r.method != http.MethodPost {
				continue
			}
			path := strings.NewReplacer(":instance", srv.Instance, ":id", srv.BlueprintID, ":number", "1").Replace(r.path)
			b.post(path, url.Values{"sure": {"yes"}}, headers...).want(t, 403, "another site")
		}
		if got := b.get("/servers"); got.StatusCode != 200 {
			t.Fatalf("after a %s post the session is gone", name)
		}
	}
	b.get("/events?topics=strip", "Sec-Fetch-Site", "cross-site").want(t, 403)
	b.post("/servers/"+srv.Instance+"/start", nil, "Sec-Fetch-Site", "same-origin", "Origin", s.http.URL).want(t, 303)
}

// TestGetChangesNothing: what changes something does not answer to GET.
func TestGetChangesNothing(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, true)
	srv := modelstest.Server(t, s.db, s.key, u)
	b := s.browser(u)
	for _, path := range []string{
		"/signout", "/servers/" + srv.Instance + "/start", "/servers/" + srv.Instance + "/stop", "/servers/" + srv.Instance + "/delete",
		"/servers/" + srv.Instance + "/rcon", "/blueprints/" + srv.BlueprintID + "/delete", "/game/install", "/jobs/1/cancel",
	} {
		b.get(path).want(t, 405)
	}
}

func TestProbes(t *testing.T) {
	s := newSite(t)
	b := s.browser(nil)
	b.get("/healthz").want(t, 200, "ok")
	b.get("/readyz").want(t, 200, "ok")
	s.redis.Close()
	s.forgetReady()
	b.get("/readyz").want(t, 503, "the queue does not answer")
	b.get("/healthz").want(t, 200, "ok")
}

func TestTooLargeBody(t *testing.T) {
	s := newSite(t)
	b := s.browser(modelstest.User(t, s.db, false))
	b.post("/blueprints", url.Values{"name": {"Big"}, "config": {strings.Repeat("x", maxBody)}}).want(t, 413, "larger than 1 MB")
	n, err := s.db.NewSelect().Model((*models.Blueprint)(nil)).Count(context.Background())
	if err != nil || n != 0 {
		t.Errorf("%d blueprints were stored, %v", n, err)
	}
}

func TestFirstSteps(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	admin, plain := modelstest.User(t, s.db, true), modelstest.User(t, s.db, false)
	a, p := s.browser(admin), s.browser(plain)
	a.get("/servers").want(t, 200, "No worker has reported yet.", "Install the game</button>")
	if got := p.get("/servers").Text; strings.Contains(got, "Install the game</button>") || !strings.Contains(got, "An administrator of this host has to do that.") {
		t.Errorf("a user is offered what only an administrator may do:\n%s", got)
	}
	a.post("/game/install", nil, hx("game-card")...).want(t, 200, `id="game-card"`, "Waiting")
	a.get("/servers").want(t, 200, ">Watch</a>")
	if err := models.SeeHost(ctx, s.db, models.LocalHost, &models.Game{Installed: true, Build: "18412299"}); err != nil {
		t.Fatal(err)
	}
	a.get("/servers").want(t, 200, `btn primary" href="/blueprints/new"`)
	b := modelstest.Blueprint(t, s.db, admin)
	a.get("/servers").want(t, 200, `btn primary" href="/servers/new"`)
	a.get("/servers/new?blueprint="+b.ID).want(t, 200, `placeholder="27015"`, "selected")
	made := a.post("/servers", url.Values{"name": {"Friday versus"}, "blueprint": {b.ID}})
	made.want(t, 303)
	if got := made.Header.Get("Location"); !regexp.MustCompile(`^/servers/friday-versus-[a-z0-9]{4}$`).MatchString(got) {
		t.Errorf("sent to %q", got)
	}
	a.get("/servers").want(t, 200, "Friday versus", "left4.example:27015")
}

// TestFormsKeepWhatWasTyped: a refused form comes back with its values and the
// sentence beside the field, and nothing is stored.
func TestFormsKeepWhatWasTyped(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	b := s.browser(u)
	tests := map[string]struct {
		path string
		form url.Values
		want []string
	}{
		"port out of range":      {"/servers", url.Values{"name": {"Mine & yours"}, "port": {"80"}, "blueprint": {srv.BlueprintID}}, []string{"Choose a port from 1024 to 65535", `value="Mine &amp; yours"`, `value="80"`}},
		"port is no number":      {"/servers", url.Values{"name": {"Mine"}, "port": {"many"}, "blueprint": {srv.BlueprintID}}, []string{"Choose a port from 1024 to 65535", `value="many"`}},
		"port taken":             {"/servers", url.Values{"name": {"Mine"}, "port": {"27015"}, "blueprint": {srv.BlueprintID}}, []string{"is used by your server"}},
		"name taken":             {"/servers", url.Values{"name": {srv.Name}, "blueprint": {srv.BlueprintID}}, []string{"You already have a server called"}},
		"no name":                {"/servers", url.Values{"name": {"  "}, "blueprint": {srv.BlueprintID}}, []string{"Give it a name."}},
		"no blueprint":           {"/servers", url.Values{"name": {"Mine"}}, []string{"Choose one of your blueprints."}},
		"settings":               {"/servers/" + srv.Instance, url.Values{"name": {"x"}, "port": {"27020"}, "blueprint": {srv.BlueprintID}}, []string{"SourceTV", `value="27020"`, "<h1>" + srv.Name}},
		"quote not closed":       {"/blueprints", url.Values{"name": {"B"}, "arguments": {`+map "c1m1`}}, []string{"The quotation mark at character 6 is never closed.", `&#43;map &#34;c1m1`}},
		"NUL in the config":      {"/blueprints", url.Values{"name": {"B"}, "config": {"a\nb\x00c"}}, []string{"Line 2 of the config contains a NUL character"}},
		"control in an argument": {"/blueprints", url.Values{"name": {"B"}, "arguments": {"+map c1\x07m1"}}, []string{"contains a control character"}},
		"blueprint name":         {"/blueprints", url.Values{"name": {""}}, []string{"Give it a name."}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { b.post(tt.path, tt.form).want(t, 422, tt.want...) })
	}
	servers, err := models.Servers(context.Background(), s.db, u.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(servers) != 1 || servers[0].Name != srv.Name || servers[0].Port != srv.Port {
		t.Errorf("a refused form changed something: %+v", servers)
	}
}

func TestFragments(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	b, path := s.browser(u), "/servers/"+srv.Instance
	card := "server-card-" + srv.ID
	b.post(path+"/start", nil, hx(card)...).want(t, 200, `id="`+card+`"`, "/stop", "waits for its turn")
	b.post(path+"/start", nil, hx("server-head")...).want(t, 200, `id="server-head"`)
	list, err := models.UnfinishedJobs(context.Background(), s.db, srv.ID)
	if err != nil || len(list) != 1 {
		t.Errorf("two clicks made %d jobs (%v), want 1", len(list), err)
	}
	b.post(path+"/stop", nil, hx("server-head")...).want(t, 200, `id="server-head"`)
	form := url.Values{"name": {srv.Name}, "port": {"x"}, "blueprint": {srv.BlueprintID}}
	got := b.post(path, form, hx("server-form")...)
	got.want(t, 200, `id="server-form"`, "Choose a port")
	if strings.Contains(got.Text, "<html") {
		t.Error("a script that asked for a fragment got a page")
	}
	form.Set("port", "27050")
	b.post(path, form, hx("server-form")...).want(t, 200, "Saved", `value="27050"`)
	gone := b.post("/servers/nothing-here/start", nil, hx(card)...)
	gone.want(t, 404, `class="note toast bad"`)
	if gone.Header.Get("HX-Retarget") != "#toasts" || gone.Header.Get("HX-Reswap") != "beforeend" {
		t.Errorf("a failure would replace %q", gone.Header.Get("HX-Retarget"))
	}
	b.post("/arguments", url.Values{"arguments": {`+map "c2m1_highway versus"`}}, hx("argv")...).want(t, 200, `<code class="opt">&#43;map</code>`, `<code class="val">&#34;c2m1_highway versus&#34;</code>`)
}

// TestRCONPassword: only a POST of its owner shows it, and that is written down.
func TestRCONPassword(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	u := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	password, err := s.key.Open(srv.RCONOwner(), srv.RCONPassword)
	if err != nil {
		t.Fatal(err)
	}
	b, path := s.browser(u), "/servers/"+srv.Instance
	for _, p := range []string{path, "/servers", "/jobs", "/blueprints/" + srv.BlueprintID} {
		if got := b.get(p).Text; strings.Contains(got, password) || strings.Contains(got, srv.RCONPassword) {
			t.Errorf("%s shows the RCON password", p)
		}
	}
	b.post(path+"/rcon", nil).want(t, 200, password, "<h1>")
	b.post(path+"/rcon", nil, hx("server-rcon")...).want(t, 200, password)
	entries, err := models.AuditEntries(ctx, s.db, 10)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, e := range entries {
		if e.Action == "server.reveal_rcon" && e.UserID == u.ID && e.Subject == "server:"+srv.Instance {
			seen++
		}
		if strings.Contains(e.Detail+e.Subject, password) {
			t.Errorf("the audit log holds the password: %+v", e)
		}
	}
	if seen != 2 {
		t.Errorf("two looks at the password left %d entries", seen)
	}
}

func TestDeleteAsksFirst(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	u := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	b, path, bp := s.browser(u), "/servers/"+srv.Instance, "/blueprints/"+srv.BlueprintID
	b.post(path+"/delete", nil).want(t, 200, "Delete the server “"+srv.Name+"”?", `name="sure" value="yes"`)
	if list, err := models.UnfinishedJobs(ctx, s.db, srv.ID); err != nil || len(list) != 0 {
		t.Fatalf("asking made %d jobs, %v", len(list), err)
	}
	b.post(bp+"/delete", url.Values{"sure": {"yes"}}).want(t, 422, "This blueprint is used by the server "+srv.Name)
	b.post(path+"/delete", url.Values{"sure": {"yes"}}).want(t, 303)
	list, err := models.UnfinishedJobs(ctx, s.db, srv.ID)
	if err != nil || len(list) != 1 || list[0].Kind != (jobs.DeleteServer{}).Kind() {
		t.Fatalf("deleting made %+v, %v", list, err)
	}
	if err := models.DeleteServer(ctx, s.db, srv.ID); err != nil {
		t.Fatal(err)
	}
	b.get(path).want(t, 404)
	b.post(bp+"/delete", url.Values{"sure": {"yes"}}).want(t, 303)
	b.get(bp).want(t, 404)
}

func TestBlueprintPage(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	u := modelstest.User(t, s.db, false)
	b := s.browser(u)
	made := b.post("/blueprints", url.Values{"name": {"Competitive"}, "arguments": {`-tickrate 60 +sv_setmax 31 +map "c2m1_highway versus"`}, "config": {"sv_alltalk 1\r\n"}})
	made.want(t, 303)
	path := made.Header.Get("Location")
	b.get(path).want(t, 200, `<code class="opt">-tickrate</code>`, "sv_alltalk 1\n", `&#43;map &#34;c2m1_highway versus&#34;`, "No server is linked to it.", "Servers run the game as Steam delivers it")
	srv := &models.Server{UserID: u.ID, BlueprintID: strings.TrimPrefix(path, "/blueprints/"), Name: "One"}
	if err := models.CreateServer(ctx, s.db, s.key, srv); err != nil {
		t.Fatal(err)
	}
	if err := models.SetApplied(ctx, s.db, srv.ID, 1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := models.Observe(ctx, s.db, models.Observation{Host: srv.Host, Instance: srv.Instance, State: models.ServerRunning}); err != nil {
		t.Fatal(err)
	}
	b.get(path).want(t, 200, "Has it as it is now.")
	form := url.Values{"name": {"Competitive"}, "config": {"sv_alltalk 0"}, "edits": {"1"}}
	b.post(path, form).want(t, 303)
	b.get(path).want(t, 200, "Changes pending", "takes the changes at its next start", "/apply")
	b.get("/servers/"+srv.Instance).want(t, 200, "Its blueprint or its settings have changed.")
	b.post(path, form).want(t, 422, "Somebody saved this blueprint while you were writing.", "sv_alltalk 0")
}

func TestJobPages(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	u := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	by := models.Actor{ID: u.ID, Name: u.Name}
	start, err := s.Jobs.Enqueue(ctx, by, jobs.StartServer{ServerID: srv.ID})
	if err != nil {
		t.Fatal(err)
	}
	apply, err := s.Jobs.Enqueue(ctx, by, jobs.ApplyBlueprint{ServerID: srv.ID})
	if err != nil {
		t.Fatal(err)
	}
	b := s.browser(u)
	b.get(jobView{Job: apply}.Path()).want(t, 200, "Waits for", "Start "+srv.Name)
	if _, err := models.ClaimJob(ctx, s.db, start.ID, "test"); err != nil {
		t.Fatal(err)
	}
	b.get("/servers/"+srv.Instance).want(t, 200, "holds this server since", "asked for by "+u.Name, "Starting")
	if err := models.AppendLog(ctx, s.db, start.ID, 1, []models.LogLine{{At: models.Now(), Stream: "err", Text: "it broke"}}); err != nil {
		t.Fatal(err)
	}
	code := 91
	if err := models.FinishJob(ctx, s.db, start.ID, 1, models.Ending{State: models.JobFailed, ExitCode: &code, Message: "The game did not start.", Notices: []string{"its own rcon_password lost"}}); err != nil {
		t.Fatal(err)
	}
	page := jobView{Job: start}.Path()
	b.get(page).want(t, 200, "The game did not start.", "exit code 91", "Its own rcon_password lost.", "it broke", `class="err"`, "Try again")
	b.get(page+"/log.txt").want(t, 200, "     1  ", "it broke\n")
	b.post(page+"/cancel", nil).want(t, 409, "It changed in between")
	again := b.post(page+"/retry", nil)
	again.want(t, 303)
	if to := again.Header.Get("Location"); to == page || !strings.HasPrefix(to, "/jobs/") {
		t.Errorf("trying again leads to %q", to)
	}
	b.post(again.Header.Get("Location")+"/cancel", nil).want(t, 303)
	b.get(again.Header.Get("Location")).want(t, 200, "Cancelled by "+u.Name)
	for _, bad := range []string{"0", "-1", "x", "99999999999999999999", "9999"} {
		b.get("/jobs/"+bad).want(t, 404)
	}
	b.get("/jobs?before=9223372036854775807&state=nonsense").want(t, 200)
}

func TestJobListPages(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	u := modelstest.User(t, s.db, false)
	for range jobsPerPage + 5 {
		j := &models.Job{Kind: "server.start", Host: models.LocalHost, Pool: models.PoolInteractive, Title: "Start it", UserID: u.ID, Args: []byte("{}"), MaxAttempts: 1}
		if err := models.InsertJob(ctx, s.db, j, nil); err != nil {
			t.Fatal(err)
		}
	}
	b := s.browser(u)
	first := b.get("/jobs?state=unfinished")
	first.want(t, 200, "/jobs?before=6&amp;state=unfinished", `href="/jobs/55"`, `href="/jobs/6"`)
	if strings.Contains(first.Text, `href="/jobs/5"`) {
		t.Error("the first page shows a job of the second")
	}
	b.get("/jobs?before=6").want(t, 200, `href="/jobs/5"`, `href="/jobs/1"`, ">Newest<")
}
