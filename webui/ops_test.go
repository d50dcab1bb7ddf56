package webui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"left4me/jobs"
	"left4me/models"
	"left4me/models/modelstest"
)

const metricsToken = "a token of the metrics"

// logBuffer takes lines from several goroutines.
type logBuffer struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.String()
}

// forgetReady lets /readyz look anew: it gives an answer again for a second.
func (s *site) forgetReady() {
	s.ready.mu.Lock()
	defer s.ready.mu.Unlock()
	s.ready.at = time.Time{}
}

func (s *site) readyJSON(status int) readiness {
	s.t.Helper()
	s.forgetReady()
	got := s.browser(nil).get("/readyz", "Accept", "application/json")
	got.want(s.t, status)
	var r readiness
	if err := json.Unmarshal([]byte(got.Text), &r); err != nil {
		s.t.Fatalf("%v in %s", err, got.Text)
	}
	return r
}

func (r readiness) of(name string) check {
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	return check{}
}

// TestReadiness: every dependency by name; only what matters answers 503, and no
// error's own words reach the public.
func TestReadiness(t *testing.T) {
	secret := errors.New("dial tcp: password=hunter2")
	broken := false
	s := newSite(t, func(c *Config) {
		c.Ready = func(context.Context) error {
			if broken {
				return secret
			}
			return nil
		}
	})
	r := s.readyJSON(200)
	if len(r.Checks) != 5 || !r.Ready || !r.of("database").OK || !r.of("migrations").OK || !r.of("redis").OK || r.of("worker").OK || r.of("observer").OK {
		t.Errorf("without a worker: %+v", r)
	}
	if err := models.SeeHost(context.Background(), s.db, models.LocalHost, nil); err != nil {
		t.Fatal(err)
	}
	if r = s.readyJSON(200); !r.of("observer").OK || r.of("observer").Age <= 0 {
		t.Errorf("with a host that reported: %+v", r.of("observer"))
	}
	if _, err := s.db.NewRaw("UPDATE hosts SET seen_at = ?", models.Now().Add(-time.Hour)).Exec(context.Background()); err != nil {
		t.Fatal(err)
	}
	if r = s.readyJSON(200); r.of("observer").OK || r.of("observer").Age < 3599 {
		t.Errorf("with a host that fell silent: %+v", r.of("observer"))
	}
	broken = true
	if r = s.readyJSON(503); r.Ready || r.of("redis").OK || r.of("redis").Says != "the queue does not answer" {
		t.Errorf("without Redis: %+v", r)
	}
	if text := s.browser(nil).get("/readyz"); strings.Contains(text.Text, "hunter2") || !strings.HasPrefix(text.Text, "not ready\n") || !strings.Contains(text.Text, "redis       out  the queue does not answer") {
		t.Errorf("as text: %s", text.Text)
	}
	broken = false
	if _, err := s.db.NewRaw("DELETE FROM bun_migrations WHERE name = (SELECT max(name) FROM bun_migrations)").Exec(context.Background()); err != nil {
		t.Fatal(err)
	}
	if r = s.readyJSON(503); r.of("migrations").OK || !strings.Contains(r.of("migrations").Says, "left4me migrate") {
		t.Errorf("with a database that is behind: %+v", r)
	}
}

// TestReadinessIsBounded: what never answers costs two seconds, and the same answer
// is given to whoever asks meanwhile.
func TestReadinessIsBounded(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	var asked sync.Map
	s := newSite(t, func(c *Config) {
		c.Ready = func(context.Context) error {
			asked.Store(time.Now(), true)
			<-hang
			return nil
		}
	})
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() { s.browser(nil).get("/readyz").want(t, 503, "the queue does not answer") })
	}
	all.Wait()
	n := 0
	asked.Range(func(any, any) bool { n++; return true })
	if n > 2 {
		t.Errorf("five questions at once asked Redis %d times", n)
	}
}

// TestMetrics: for administrators and for who has the token; the page is not there
// for anybody else. Its figures come from the process and from rows.
func TestMetrics(t *testing.T) {
	s := newSite(t, func(c *Config) { c.MetricsToken = metricsToken })
	ctx := context.Background()
	admin, u := modelstest.User(t, s.db, true), modelstest.User(t, s.db, false)
	stranger := s.browser(nil)
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Basic " + metricsToken, metricsToken, "Bearer " + metricsToken + "x"} {
		stranger.get("/metrics", "Authorization", header).want(t, 404)
	}
	s.browser(u).get("/metrics").want(t, 404)
	stranger.get("/metrics?token="+url.QueryEscape(metricsToken)).want(t, 404)
	stranger.get("/servers", "Authorization", "Bearer "+metricsToken).want(t, 303) // it opens nothing else
	s.browser(admin).get("/metrics").want(t, 200, "go_goroutines")

	srv := modelstest.Server(t, s.db, s.key, u)
	_, _, err := models.Observe(ctx, s.db, models.Observation{Host: srv.Host, Instance: srv.Instance, State: models.ServerRunning, Status: models.ServerStatus{Live: &models.Live{Players: 3, Bots: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := models.SeeHost(ctx, s.db, models.LocalHost, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Jobs.Enqueue(ctx, models.Actor{ID: u.ID, Name: u.Name}, jobs.StopServer{ServerID: srv.ID}); err != nil {
		t.Fatal(err)
	}
	ended := s.runningJob(u)
	if err := models.FinishJob(ctx, s.db, ended.ID, 1, models.Ending{State: models.JobFailed}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.NewRaw("UPDATE jobs SET finished_at = ? WHERE id = ?", models.Now().Add(-endedLag-time.Second), ended.ID).Exec(ctx); err != nil {
		t.Fatal(err)
	}
	s.meters.mu.Lock()
	s.meters.until = models.Now().Add(-time.Hour)
	s.meters.mu.Unlock()
	l := s.browser(u).listen("topics=strip")
	l.html("strip")
	for range 2 { // what ended is counted once
		got := stranger.get("/metrics", "Authorization", "Bearer "+metricsToken)
		got.want(t, 200,
			`left4me_http_requests_total{route="GET /metrics",status="404"} `, `left4me_http_request_seconds_count{route="GET /servers"} 1`,
			"left4me_streams_open 1", "left4me_stream_lines_missed_total 0", "left4me_stream_messages_dropped_total 0",
			`left4me_jobs_unfinished{kind="server.stop",state="queued"} 1`, `left4me_jobs_ended_total{kind="server.start",state="failed"} 1`,
			`left4me_job_seconds_count{kind="server.start"} 1`, `left4me_job_wait_seconds_count{pool="interactive"} 1`,
			`left4me_servers{state="running"} 1`, "left4me_players 3", "left4me_bots 1", `left4me_observer_age_seconds{host="local"} `, "left4me_workers 0", "left4me_rows_read 1",
			`go_sql_open_connections{db_name="left4me"} `, "go_memstats_", "process_")
		if strings.Contains(got.Text, srv.Name) || strings.Contains(got.Text, u.Name) {
			t.Error("the metrics name things of users")
		}
	}
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	stranger.get("/metrics", "Authorization", "Bearer "+metricsToken).want(t, 200, "left4me_rows_read 0", "left4me_streams_open")
	if _, err := New(Config{DB: s.db, Jobs: s.Jobs, Hub: s.Hub, Key: s.key, Log: s.Log, MetricsToken: "short"}); err == nil || !strings.Contains(err.Error(), "at least 16 characters") {
		t.Errorf("a short token: %v", err)
	}
}

// TestRequestLines: one line for each request, short, without the address.
func TestRequestLines(t *testing.T) {
	out := &logBuffer{}
	s := newSite(t, func(c *Config) { c.Log = slog.New(slog.NewJSONHandler(out, nil)) })
	u := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	b := s.browser(u)
	b.get("/servers/" + srv.Instance + "?secret=hunter2")
	b.post("/servers/"+srv.Instance+"/restart", nil)
	s.browser(nil).get("/no/such/page?secret=hunter2")
	var lines []string
	eventually(t, "three lines are written", func() bool {
		lines = nil
		for line := range strings.SplitSeq(strings.TrimSpace(out.String()), "\n") {
			if strings.Contains(line, `"msg":"http"`) {
				lines = append(lines, line)
			}
		}
		return len(lines) == 3
	})
	for i, want := range []string{`"route":"GET /servers/:instance","status":200`, `"route":"POST /servers/:instance/restart","status":303`, `"user":"","route":"none","status":404`} {
		line := lines[i]
		if !strings.Contains(line, want) || strings.Contains(line, "hunter2") || strings.Contains(line, srv.Instance) || len(line) > 200 {
			t.Errorf("%d bytes: %s\nwant %s", len(line), line, want)
		}
		var fields struct {
			Request, User string
			MS, Bytes     *int64
		}
		if err := json.Unmarshal([]byte(line), &fields); err != nil || len(fields.Request) != 16 || fields.MS == nil || fields.Bytes == nil {
			t.Errorf("%v: %s", err, line)
		}
		if i < 2 && (fields.User == "" || !strings.HasSuffix(u.ID, fields.User)) {
			t.Errorf("the user is %q, want the end of %s", fields.User, u.ID)
		}
	}
}

// TestAttack24SecretsStayOut follows every secret that passes through the pages and
// looks for it where it must not be: logs, job rows, Redis, the audit log, addresses
// and pages.
func TestAttack24SecretsStayOut(t *testing.T) {
	out := &logBuffer{}
	s := newSite(t, func(c *Config) {
		c.Log = slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.MetricsToken = metricsToken
	})
	ctx := context.Background()
	u := s.account("mira", true)
	srv := modelstest.Server(t, s.db, s.key, u)
	rcon, err := s.key.Open(srv.RCONOwner(), srv.RCONPassword)
	if err != nil {
		t.Fatal(err)
	}
	const steam, fresh = "steam-hunter2-secret", "a fresh password of mine"
	b := s.browser(nil)
	var places []answer
	keep := func(a answer) answer { places = append(places, a); return a }
	in := keep(b.post("/signin", url.Values{"name": {"mira"}, "password": {rightPassword}}))
	in.want(t, 303)
	b.token = cookieOf(in, "left4me").Value
	keep(b.post("/signin", url.Values{"name": {"mira"}, "password": {rightPassword + "typo"}}))
	keep(b.post("/game/account", url.Values{"name": {"steamuser"}, "password": {steam}})).want(t, 303)
	keep(b.post("/game/account", url.Values{"name": {""}, "password": {steam}})).want(t, 422)
	keep(b.post("/account/password", url.Values{"current": {rightPassword}, "password": {fresh}})).want(t, 303)
	keep(b.post("/account/password", url.Values{"current": {fresh}, "password": {"short"}})).want(t, 422)
	keep(b.post("/game/install", nil))
	for _, verb := range []string{"start", "stop", "restart", "apply"} {
		keep(b.post("/servers/"+srv.Instance+"/"+verb, nil))
	}
	b.post("/servers/"+srv.Instance+"/rcon", nil).want(t, 200, rcon) // its owner sees it, here and nowhere else
	for _, path := range []string{"/servers", "/servers/" + srv.Instance, "/servers/" + srv.Instance + "/settings", "/servers/" + srv.Instance + "/jobs", "/jobs", "/jobs/1", "/game", "/account", "/admin/audit", "/admin/audit.csv", "/admin/users", "/metrics", "/readyz", "/blueprints/" + srv.BlueprintID} {
		keep(b.get(path))
	}
	s.browser(nil).get("/metrics", "Authorization", "Bearer "+metricsToken).want(t, 200)

	where := map[string]string{"the log": out.String()}
	for _, a := range places {
		where["the page "+a.Request.Method+" "+a.Request.URL.String()] = a.Text + a.Header.Get("Location")
	}
	for _, table := range []string{"jobs", "job_log", "audit_log", "console_commands", "server_specs", "settings"} {
		var rows []map[string]any
		if err := s.db.NewRaw("SELECT * FROM "+table).Scan(ctx, &rows); err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(rows)
		if err != nil {
			t.Fatal(err)
		}
		where["the table "+table] = string(raw)
	}
	where["Redis"] = s.redis.Dump()
	for place, text := range where {
		for name, secret := range map[string]string{
			"the RCON password": rcon, "the Steam password": steam, "the password": rightPassword, "the new password": fresh,
			"the session's token": b.token, "the metrics' token": metricsToken, "the password's hash": u.PasswordHash,
		} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %s", place, name)
			}
		}
	}
}

// TestAttack23ForwardedHeaders: behind a TLS proxy the cookie is bound to this host
// and to TLS whatever the request says of itself, and what a stranger claims to have
// been forwarded changes neither their address nor where they are sent.
func TestAttack23ForwardedHeaders(t *testing.T) {
	s := newSite(t, func(c *Config) { c.SecureCookies = true })
	s.account("mira", false)
	forged := []string{"X-Forwarded-For", "203.0.113.9", "X-Real-Ip", "203.0.113.9", "Forwarded", "for=203.0.113.9", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http"}
	in := s.browser(nil).post("/signin", url.Values{"name": {"mira"}, "password": {rightPassword}}, forged...)
	in.want(t, 303)
	ck := cookieOf(in, "__Host-left4me")
	if ck == nil || !ck.Secure || !ck.HttpOnly || ck.SameSite != http.SameSiteLaxMode || ck.Domain != "" || ck.Path != "/" {
		t.Errorf("the cookie is %+v", ck)
	}
	if to := in.Header.Get("Location"); to != "/servers" {
		t.Errorf("sent to %q", to)
	}
	entries, err := models.AuditEntries(context.Background(), s.db, 1)
	if err != nil || len(entries) != 1 || entries[0].Address != "127.0.0.1" {
		t.Errorf("the address is %+v, %v", entries, err)
	}
	stranger := s.browser(nil).get("/servers", forged...)
	if to := stranger.Header.Get("Location"); to != "/signin?next=%2Fservers" {
		t.Errorf("a stranger is sent to %q", to)
	}
}
