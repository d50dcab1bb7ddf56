package webui

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"left4me/jobs"
	"left4me/models"
	"left4me/models/modelstest"
)

// printed stores lines of a server's console, as the worker does.
func (s *site) printed(srv *models.Server, texts ...string) {
	s.t.Helper()
	ctx := context.Background()
	w, _, err := jobs.OpenConsole(ctx, s.rdb, srv.Instance)
	if err != nil {
		s.t.Fatal(err)
	}
	var lines []jobs.ConsoleLine
	for _, text := range texts {
		lines = append(lines, jobs.ConsoleLine{Line: jobs.Line{At: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC), Stream: "game", Text: text}})
	}
	if err := w.Append(ctx, lines); err != nil {
		s.t.Fatal(err)
	}
}

func numbered(n int, text string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s %d", text, i+1)
	}
	return list
}

func TestServerLogIsReadAndSearched(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	me := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, me)
	b, page := s.browser(me), "/servers/"+srv.Instance
	b.get(page+"/log").want(t, 200, "Nothing is stored.")
	b.get(page+"/log?q=x").want(t, 200, "No line contains “x”.")
	b.get(page+"/log.txt").want(t, 200)

	s.printed(srv, append(numbered(1_500, "line"), "Player \x1b[31mBob\x1b[0m <b>joined</b>", "a player left")...)
	b.get(page).want(t, 200, "1102 earlier lines are in the <a href=\""+page+"/log\">whole log</a>", `id="L1502"`, page+"/log.txt", "/static/log.")
	got := b.get(page + "/log")
	got.want(t, 200, "1502 lines", "Lines 503 to 1502", `id="L503"`, page+"/log?from=1", ">Earlier<", `href="#L1502"`, "Player Bob &lt;b&gt;joined")
	if strings.Contains(got.Text, ">Later<") || strings.Contains(got.Text, `id="L502"`) {
		t.Error("the last page has more than the last lines")
	}
	b.get(page+"/log?from=1").want(t, 200, `id="L1"`, `id="L1000"`, page+"/log?from=1001")
	b.get(page+"/log?line=700").want(t, 200, "Lines 200 to 1199", `id="L700"`)
	b.get(page+"/log?line=9000").want(t, 200, "Line 9000 is not stored any more, or not yet.", `id="L1502"`)

	got = b.get(page + "/log?q=PLAYER")
	got.want(t, 200, "2 lines found.", "<mark>Player</mark> Bob &lt;b&gt;", "a <mark>player</mark> left", page+"/log?line=1501#L1501", `value="PLAYER"`)
	if strings.Contains(got.Text, "line 7") || strings.Contains(got.Text, "\x1b") {
		t.Error("the search shows lines that do not match, or escapes")
	}
	b.get(page+"/log?q=line").want(t, 200, "1500 lines found; the newest 500 are shown.", `id="L1500"`, `id="L1001"`)
	b.get(page+"/log?q=.*").want(t, 200, "No line contains “.*”.")

	text := b.get(page + "/log.txt")
	text.want(t, 200, "     1  2026-05-01 10:00:00  line 1\n", "  1501  2026-05-01 10:00:00  Player Bob <b>joined</b>\n")
	if n := strings.Count(text.Text, "\n"); n != 1502 || text.Header.Get("Content-Type") != "text/plain; charset=utf-8" || !strings.HasPrefix(text.Header.Get("Content-Disposition"), "attachment; filename="+srv.Instance) {
		t.Errorf("%d lines with %v", n, text.Header)
	}
}

func TestJobLogIsReadAndSearched(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx := context.Background()
	me := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, me)
	j, err := s.Jobs.Enqueue(ctx, models.Actor{ID: me.ID, Name: me.Name}, jobs.StartServer{ServerID: srv.ID})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := models.ClaimJob(ctx, s.db, j.ID, "test"); err != nil {
		t.Fatal(err)
	}
	var lines []models.LogLine
	for _, text := range numbered(1_200, "step") {
		lines = append(lines, models.LogLine{At: models.Now(), Stream: "out", Text: text})
	}
	if err := models.AppendLog(ctx, s.db, j.ID, 1, lines); err != nil {
		t.Fatal(err)
	}
	b, page := s.browser(me), jobView{Job: j}.Path()
	b.get(page).want(t, 200, "800 earlier lines are in the <a href=\""+page+"/log\">whole log</a>", page+"/log.txt")
	b.get(page+"/log").want(t, 200, "Lines 201 to 1200", "Log of Start "+srv.Name, "Back to the job")
	b.get(page+"/log?from=1").want(t, 200, "Lines 1 to 1000")
	b.get(page+"/log?q=STEP+117").want(t, 200, "11 lines found.", "<mark>step 117</mark>9")
	if n := strings.Count(b.get(page+"/log.txt").Text, "\n"); n != 1_200 {
		t.Errorf("the download has %d lines", n)
	}
}

// Numbers beyond every bound, and texts that are none.
func TestAttack28LogAddresses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	me := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, me)
	s.printed(srv, numbered(30, "line")...)
	b, page := s.browser(me), "/servers/"+srv.Instance+"/log"
	for _, query := range []string{
		"?from=9223372036854775807", "?from=-9223372036854775808", "?from=99999999999999999999", "?from=x", "?line=9223372036854775807", "?line=-1", "?line=0",
		"?from=30&line=30", "?q=(((((((((((((((a*)*)*)*)*)*)*)*)*)*", "?q=" + strings.Repeat("a", 200), "?q=%0a",
	} {
		b.get(page+query).want(t, 200)
	}
	b.get(page+"?q="+strings.Repeat("a", 201)).want(t, 200, "Look for less")
}

// A game that prints lines of 8 KB made a page that shows the last of them read all 40
// MB, and so did every search.
func TestAttack26LongConsole(t *testing.T) {
	c := newConsole(t)
	c.print(5_000, 250, 8_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	v := c.consoleTail(context.Background(), c.instance)
	runtime.ReadMemStats(&after)
	if len(v.Lines) != tailLines || v.Lines[tailLines-1].N != 5_000 {
		t.Fatalf("the page has %d lines", len(v.Lines))
	}
	if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 20 { // they are 3 MB
		t.Errorf("the last %d lines of 5000 took %d MB", tailLines, took)
	}
}

// A player's chat is a line of the log.
func TestAttack10LinesInTheWholeLog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	me := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, me)
	hostile := []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, "\x1b]0;title\x07\x1b[2Jclear", "\u202egnp.exe", "\xff\xfe bytes", strings.Repeat("long ", 2_000), "a\x00b\rc",
	}
	s.printed(srv, hostile...)
	b, page := s.browser(me), "/servers/"+srv.Instance
	for _, path := range []string{page, page + "/log", page + "/log?q=alert", page + "/log?q=<img", page + "/log.txt"} {
		got := b.get(path)
		got.want(t, 200)
		for _, no := range []string{"\x1b", "\u202e", "\x00", "\x07"} {
			if strings.Contains(got.Text, no) {
				t.Errorf("%s contains %q", path, no)
			}
		}
		if !strings.HasSuffix(path, ".txt") && (strings.Contains(got.Text, "<script>alert") || strings.Contains(got.Text, "<img src=x")) {
			t.Errorf("%s has markup of a stranger", path)
		}
	}
	b.get(page+"/log?q="+"%3Cimg").want(t, 200, "<mark>&lt;img</mark> src=x")
}

func TestFindIn(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"one two one": "[one] two [one]", "ONE": "[ONE]", "none": "n[one]", "two": "", "": "", "oneone": "[one][one]",
		"İone": "[İone]", // its small letter is longer
	} {
		parts, ok := findIn(text, "oNe")
		got := ""
		for _, p := range parts {
			if p.Hit {
				got += "[" + p.Text + "]"
			} else {
				got += p.Text
			}
		}
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
