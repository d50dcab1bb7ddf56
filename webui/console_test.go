package webui

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"left4me/jobs"
	"left4me/models"
	"left4me/models/modelstest"
)

// answered plays the worker: it takes the oldest command of a server and ends it.
func (s *site) answered(srv *models.Server, reply, failed string) *models.ConsoleCommand {
	s.t.Helper()
	ctx := context.Background()
	rows, err := models.ConsoleCommands(ctx, s.db, srv.ID, "", 200)
	if err != nil {
		s.t.Fatal(err)
	}
	id := ""
	for _, row := range rows { // newest first
		if row.State == models.CommandQueued {
			id = row.ID
		}
	}
	c, _, err := models.ClaimCommand(ctx, s.db, id)
	if err != nil {
		s.t.Fatal(err)
	}
	state := models.CommandDone
	if failed != "" {
		state = models.CommandFailed
	}
	if err := models.FinishCommand(ctx, s.db, c, state, reply, failed); err != nil {
		s.t.Fatal(err)
	}
	if err := jobs.Publish(ctx, s.rdb, jobs.Message{Topics: []string{jobs.TopicCommands(srv.ID)}, Change: true}); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// plays makes a server one that runs with so many people on it.
func (s *site) plays(srv *models.Server, people int) {
	s.t.Helper()
	_, _, err := models.Observe(context.Background(), s.db, models.Observation{
		Host: models.LocalHost, Instance: srv.Instance, State: models.ServerRunning, Since: models.Now(),
		Status: models.ServerStatus{Live: &models.Live{Map: "c1m1_hotel", Players: people, Max: 8}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func command(line string) url.Values { return url.Values{"command": {line}} }

func TestConsoleAnswersLiveAndWithoutScripts(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	b, page := s.browser(u), "/servers/"+srv.Instance+"/console"
	b.get(page).want(t, 200, "Start it, then type a command", `aria-current="page">Console`)
	live := b.listen("topics=server-console:" + srv.Instance)
	live.html("exchanges")

	answer := b.post(page, command("  status "))
	answer.want(t, 303)
	if to := answer.Header.Get("Location"); to != page+"#end" {
		t.Errorf("the form leads to %s", to)
	}
	live.html("exchanges", "<code>status</code>", "Waiting")
	b.get(page).want(t, 200, "<code>status</code>", "Waiting")
	s.answered(srv, "hostname: x\nplayers : 0 humans", "")
	live.html("exchanges", "<pre>hostname: x\nplayers : 0 humans</pre>")
	b.get(page).want(t, 200, "<pre>hostname: x\nplayers : 0 humans</pre>")

	b.post(page, command("quit"), hx("console-form")...).want(t, 204)
	s.answered(srv, "", "server friday is not running: start it first")
	live.html("exchanges", "Failed", "Server friday is not running: start it first.")
	b.post(page, command("sv_alltalk 1"), hx("console-form")...).want(t, 204)
	s.answered(srv, "", "")
	live.html("exchanges", "The game printed nothing.")
}

func TestConsoleRefusesAtTheField(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, false)
	b, page := s.browser(u), "/servers/"+modelstest.Server(t, s.db, s.key, u).Instance+"/console"
	b.post(page, command(" ")).want(t, 422, "Type a command, such as status.", `aria-invalid="true"`, "server-head")
	b.post(page, command("say <b>\nquit"), hx("console-form")...).want(t, 422, "another control character", "&lt;b&gt;", `id="console-form"`)
	b.post(page, command(strings.Repeat("x", 501))).want(t, 422, "at most 500 bytes")
	for range 20 {
		b.post(page, command("status")).want(t, 303)
	}
	b.post(page, command("status")).want(t, 422, "Wait for their answers")
}

func TestConsolePages(t *testing.T) {
	s := newSite(t)
	ctx, u := context.Background(), modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	rows := make([]models.ConsoleCommand, 60)
	for i := range rows {
		rows[i] = models.ConsoleCommand{ID: models.NewID(), ServerID: srv.ID, UserName: u.Name, Verb: models.CommandRCON, Line: "line " + string(rune('A'+i)), State: models.CommandDone, Reply: strings.Repeat("y", 9000), CreatedAt: models.Now(), FinishedAt: models.Now()}
	}
	if _, err := s.db.NewInsert().Model(&rows).Exec(ctx); err != nil {
		t.Fatal(err)
	}
	b, page := s.browser(u), "/servers/"+srv.Instance+"/console"
	got := b.get(page)
	got.want(t, 200, "Earlier commands", "before="+rows[10].ID, page+"/"+rows[58].ID)
	if n := strings.Count(got.Text, `class="exchange"`); n != 50 || strings.Contains(got.Text, "line A<") || strings.Count(got.Text, "y") > 50*4200+9200 {
		t.Errorf("the page has %d exchanges in %d bytes", n, len(got.Text))
	}
	got = b.get(page + "?before=" + rows[10].ID)
	got.want(t, 200, "line A<", "The newest commands")
	if n := strings.Count(got.Text, `class="exchange"`); n != 10 || strings.Contains(got.Text, "console-form") || strings.Contains(got.Text, "server-console:") {
		t.Errorf("the page before has %d exchanges, and says:\n%s", n, clip(got.Text, 2000))
	}
	whole := b.get(page + "/" + rows[0].ID)
	whole.want(t, 200)
	if len(whole.Text) != 9001 || whole.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("the whole answer has %d bytes of %s", len(whole.Text), whole.Header.Get("Content-Type"))
	}
}

// A command of another server is not there, nor is a place that nobody could have.
func TestAttack14And28ConsolePlaces(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, false)
	srv, other := modelstest.Server(t, s.db, s.key, u), modelstest.Server(t, s.db, s.key, u)
	b, page := s.browser(u), "/servers/"+srv.Instance+"/console"
	b.post(page, command("status")).want(t, 303)
	c := s.answered(srv, "hostname: x", "")
	b.get(page+"/"+c.ID).want(t, 200, "hostname: x")
	b.get("/servers/"+other.Instance+"/console/"+c.ID).want(t, 404)
	for _, odd := range []string{strings.Repeat("9", 4000), "9223372036854775808", "-1", "%00'%3b--", "..%2f", "%ff"} {
		b.get(page+"?before="+odd).want(t, 404)
		b.get(page+"/"+odd).want(t, 404)
	}
	if got := b.get("/servers/" + other.Instance + "/console?before=" + models.NewID()); strings.Contains(got.Text, "status</code></p>") || strings.Contains(got.Text, c.ID) {
		t.Errorf("another server's page shows the command:\n%s", clip(got.Text, 2000))
	}
}

// What the game prints is text, whatever it holds.
func TestAttack10ConsoleReplies(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	b, page := s.browser(u), "/servers/"+srv.Instance+"/console"
	live := b.listen("topics=server-console:" + srv.Instance)
	hostile := "<script>alert(1)</script>\n\x1b[2J\x1b]0;title\x07red\u202e evil\n\"><img src=x onerror=alert(2)>\xff\n=cmd|' /C calc'!A0 @everyone\n" + strings.Repeat("w", 20000)
	b.post(page, command(`say "><script>alert(3)</script> </pre>`)).want(t, 303)
	s.answered(srv, hostile, "")
	live.html("exchanges", "&lt;script&gt;alert(1)", "red\uFFFD evil", "&lt;img src=x")
	for _, got := range []answer{b.get(page), b.get(page + "?x=1")} {
		got.want(t, 200, "&lt;script&gt;alert(1)", "&lt;script&gt;alert(3)")
		for _, bad := range []string{"<script>alert", "<img src=x", "\x1b", "\u202e", "\xff", "\x07", "title"} {
			if strings.Contains(strings.ReplaceAll(got.Text, "<title>", ""), bad) && bad != "title" {
				t.Errorf("the page contains %q", bad)
			}
		}
	}
	rows, err := models.ConsoleCommands(context.Background(), s.db, srv.ID, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	whole := b.get(page + "/" + rows[0].ID)
	if strings.ContainsAny(whole.Text, "\x1b\x07\u202e") || whole.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(whole.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("the whole answer is %v %q", whole.Header, clip(whole.Text, 200))
	}
}

// Passwords that were typed are on no page and in no audit entry.
func TestAttack24ConsolePage(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, true)
	srv := modelstest.Server(t, s.db, s.key, u)
	b, page := s.browser(u), "/servers/"+srv.Instance+"/console"
	b.post(page, command(`sv_password "hunter2"`)).want(t, 303)
	got := b.get(page)
	got.want(t, 200, "sv_password ********")
	entries, err := models.AuditEntries(context.Background(), s.db, 5)
	if err != nil || entries[0].Action != "server.rcon" || entries[0].Detail != "sv_password" {
		t.Errorf("the audit log says %+v, %v", entries[0], err)
	}
	for _, text := range []string{got.Text, entries[0].Detail + entries[0].Subject} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("the password is shown:\n%s", clip(text, 2000))
		}
	}
}

// A running game is told to change its map, and its players before it.
func TestChangeMap(t *testing.T) {
	s := newSite(t)
	ctx, u := context.Background(), modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	b, page := s.browser(u), "/servers/"+srv.Instance
	choice := url.Values{"map": {"c2m1_highway versus"}}
	b.get(page).want(t, 200, "Change map", "Start the server first.")
	b.get(page+"/map").want(t, 200, "Start the server first.", "disabled")
	b.post(page+"/map", choice).want(t, 422, "Start the server first.")

	s.plays(srv, 2)
	b.get(page).want(t, 200, `href="`+page+`/map"`)
	got := b.get(page + "/map")
	got.want(t, 200, `value="c2m1_highway versus"`, `action="`+page+`/map"`)
	b.post(page+"/map", choice).want(t, 303)
	b.post(page+"/map", url.Values{"map": {"c2m1_highway;quit versus"}}).want(t, 422, "Choose a map")
	b.post(page+"/map", url.Values{"map": {"c2m1_highway versus;quit"}}).want(t, 422, "Choose one of the modes")
	rows, err := models.ConsoleCommands(ctx, s.db, srv.ID, "", 10)
	if err != nil || len(rows) != 2 || rows[0].Line != "map c2m1_highway versus" || rows[1].Line != "say The map changes to Dark Carnival · 1." {
		t.Errorf("the game is told %+v, %v", rows, err)
	}
	s.plays(srv, 0)
	b.post(page+"/map", choice).want(t, 303)
	if rows, err = models.ConsoleCommands(ctx, s.db, srv.ID, "", 10); err != nil || len(rows) != 3 {
		t.Errorf("with nobody there the game is told %d things, %v", len(rows), err)
	}
}
