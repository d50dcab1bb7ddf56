package webui

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"left4me/models"
	"left4me/models/modelstest"
)

func TestHistoryTab(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	u := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	b, path := s.browser(u), "/servers/"+srv.Instance+"/history"
	b.get(path).want(t, 200, "Nothing to show yet")
	if strings.Contains(b.get("/servers/"+srv.Instance).Text, "The last six hours") {
		t.Error("a server without history has a chart")
	}
	now := models.Now()
	at := func(min int) time.Time { return now.Add(time.Duration(min) * time.Minute) }
	err := models.SaveSamples(ctx, s.db, []models.ServerSample{
		{ServerID: srv.ID, At: at(-50), Until: at(-40), Players: 2, Map: "c2m1_highway", CPU: 300, Memory: 500 << 20},
		{ServerID: srv.ID, At: at(-40), Until: at(-30), Players: 6, Map: "<b>custom</b>", CPU: 900, Memory: 700 << 20},
		{ServerID: srv.ID, At: at(-10), Until: at(-1), Map: "<b>custom</b>", CPU: 50, Memory: 700 << 20}, // it was down before
	})
	if err != nil {
		t.Fatal(err)
	}
	page := b.get(path + "?span=hour")
	page.want(t, 200, "at most 6 players", "at most 90 % of a core", "at most 734 MB", "Dark Carnival · 1", "&lt;b&gt;custom&lt;/b&gt;", `aria-current="true">Hour`)
	if strings.Contains(page.Text, "<b>custom") {
		t.Error("a map's name became part of the page")
	}
	if n := strings.Count(page.Text, `class="line" d="M`); n != 3 {
		t.Errorf("%d charts, want 3", n)
	}
	for _, line := range strings.Split(page.Text, "\n") {
		if i := strings.Index(line, `class="line" d="`); i >= 0 {
			if d := line[i+len(`class="line" d="`):]; strings.Count(d[:strings.IndexByte(d, '"')], "M") != 2 {
				t.Errorf("a time without a server is not a gap: %s", d[:80])
			}
		}
	}
	b.get(path+"?span=<script>").want(t, 200, `aria-current="true">Day`)
	b.get("/servers/"+srv.Instance).want(t, 200, "The last six hours", "at most 6 players")
	s.browser(modelstest.User(t, s.db, false)).get(path).want(t, 404)
}

// TestHistoryIsBounded: a month of changes makes a page of a bounded size.
func TestHistoryIsBounded(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	begin := models.Now().Add(-29 * 24 * time.Hour)
	var list []models.ServerSample
	for i := range 4000 {
		at := begin.Add(time.Duration(i) * 10 * time.Minute)
		list = append(list, models.ServerSample{
			ServerID: srv.ID, At: at, Until: at.Add(10 * time.Minute), Players: i % 7, Map: fmt.Sprintf("map_%d", i%40), CPU: i % 20 * 50, Memory: int64(i%9) << 24,
		})
		if len(list) == 500 {
			if err := models.SaveSamples(context.Background(), s.db, list); err != nil {
				t.Fatal(err)
			}
			list = list[:0]
		}
	}
	if n := len(s.browser(u).get("/servers/" + srv.Instance + "/history?span=month").Text); n > 150<<10 {
		t.Errorf("the page has %d bytes", n)
	}
}
