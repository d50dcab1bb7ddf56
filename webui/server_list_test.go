package webui

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"left4me/jobs"
	"left4me/models"
	"left4me/models/modelstest"
)

// installed makes the host one on which the first steps are done.
func (s *site) installed() {
	s.t.Helper()
	if err := models.SeeHost(context.Background(), s.db, models.LocalHost, &models.Game{Installed: true, Build: "1"}); err != nil {
		s.t.Fatal(err)
	}
}

// observe says what the host sees of a server.
func (s *site) observe(srv *models.Server, state models.ServerState, live *models.Live) {
	s.t.Helper()
	o := models.Observation{Host: models.LocalHost, Instance: srv.Instance, State: state, Since: models.Now(), Status: models.ServerStatus{Live: live}}
	if _, _, err := models.Observe(context.Background(), s.db, o); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) servers(u *models.User, n int) (list []*models.Server) {
	s.t.Helper()
	for range n {
		list = append(list, modelstest.Server(s.t, s.db, s.key, u))
	}
	return list
}

// shownCards are the ids of the cards that a page does not hide.
func shownCards(page string) (ids []string) {
	for _, m := range regexp.MustCompile(`<article class="card" id="server-card-([^"]+)"([^>]*)>`).FindAllStringSubmatch(page, -1) {
		if !strings.HasSuffix(m[2], " hidden") {
			ids = append(ids, m[1])
		}
	}
	return ids
}

func TestServersFilter(t *testing.T) {
	s := newSite(t)
	s.installed()
	u := modelstest.User(t, s.db, false)
	list := s.servers(u, 3)
	list[1].Name = "Zombie night"
	if err := models.UpdateServer(context.Background(), s.db, list[1]); err != nil {
		t.Fatal(err)
	}
	s.observe(list[0], models.ServerRunning, &models.Live{Map: "c2m1_highway", Mode: "coop", Players: 3, Max: 8})
	s.observe(list[1], models.ServerFailed, nil)
	b := s.browser(u)
	tests := map[string]struct {
		query string
		want  []int
	}{
		"none":                {"", []int{0, 1, 2}},
		"a name":              {"q=night+zombie", []int{1}},
		"any case":            {"q=ZOMBIE", []int{1}},
		"the campaign":        {"q=dark+carnival", []int{0}},
		"the map's file":      {"q=highway", []int{0}},
		"the mode":            {"q=campaign", []int{0}},
		"the mode's code":     {"q=coop", []int{0}},
		"a port":              {fmt.Sprintf("q=%d", list[2].Port), []int{2}},
		"every word":          {"q=highway+nonsense", nil},
		"running":             {"state=ok", []int{0}},
		"in trouble":          {"state=bad", []int{1}},
		"not running":         {"state=off", []int{2}},
		"both":                {"state=off&q=highway", nil},
		"no such state":       {"state=%3Cscript%3E", []int{0, 1, 2}},
		"a text of 1000":      {"q=" + strings.Repeat("a", 1000), nil},
		"letters of a regexp": {"q=.%2A%28", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			page := b.get("/servers?" + tt.query)
			page.want(t, 200)
			got := shownCards(page.Text)
			slices.Sort(got) // as they were made: ids sort by time
			if len(got) != len(tt.want) {
				t.Fatalf("shows %v, want %v of %v", got, tt.want, list)
			}
			for i, w := range tt.want {
				if got[i] != list[w].ID {
					t.Errorf("card %d is %s, want %s", i, got[i], list[w].ID)
				}
			}
			if nothing := strings.Contains(page.Text, `id="none-shown">`); nothing != (len(tt.want) == 0) {
				t.Errorf("says that nothing is like that: %v", nothing)
			}
		})
	}
}

func TestActOnServers(t *testing.T) {
	s := newSite(t)
	s.installed()
	u, other := modelstest.User(t, s.db, false), modelstest.User(t, s.db, false)
	list, foreign := s.servers(u, 4), modelstest.Server(t, s.db, s.key, other)
	s.observe(list[0], models.ServerRunning, &models.Live{Map: "c2m1_highway", Players: 3, Max: 8})
	s.observe(list[1], models.ServerRunning, &models.Live{Map: "c1m1_hotel", Players: 2, Max: 8})
	b := s.browser(u)
	asked := func() (kinds []string, waits []time.Duration) {
		t.Helper()
		found, err := models.Jobs(context.Background(), s.db, models.JobFilter{User: u, Limit: 50})
		if err != nil {
			t.Fatal(err)
		}
		for i := len(found) - 1; i >= 0; i-- {
			kinds = append(kinds, found[i].Kind)
			waits = append(waits, found[i].RunAfter.Sub(found[i].CreatedAt).Round(time.Second))
		}
		return kinds, waits
	}
	form := func(act string, who ...*models.Server) url.Values {
		f := url.Values{"act": {act}}
		for _, srv := range who {
			f.Add("server", srv.Instance)
		}
		return f
	}
	refused := map[string]struct {
		form url.Values
		say  string
	}{
		"nothing chosen":         {form("start"), "Choose at least one server"},
		"no such act":            {form("delete", list[0]), "Choose what to do"},
		"somebody else's":        {form("start", list[2], foreign), "not there any more"},
		"somebody else's, alone": {form("stop", foreign), "not there any more"},
		"unknown":                {url.Values{"act": {"start"}, "server": {list[2].Instance, "nobody-x1y2"}}, "not there any more"},
		"a path":                 {url.Values{"act": {"start"}, "server": {"../" + list[2].Instance}}, "not there any more"},
		"nothing to stop":        {form("stop", list[2], list[3]), "None of the chosen servers"},
	}
	for name, tt := range refused {
		t.Run(name, func(t *testing.T) {
			b.post("/servers/act", tt.form).want(t, 422, tt.say)
			if kinds, _ := asked(); len(kinds) > 0 {
				t.Errorf("made the jobs %v", kinds)
			}
		})
	}
	got := b.post("/servers/act", form("stop", list...))
	got.want(t, 200, "Stop 2 servers?", "5 players will be thrown out.", list[0].Name, list[1].Name, `name="sure" value="yes"`, ">Leave as it is<")
	if strings.Contains(got.Text, list[2].Name) {
		t.Error("the question names a server that does not run")
	}
	if kinds, _ := asked(); len(kinds) > 0 {
		t.Fatalf("made the jobs %v before it was sure", kinds)
	}
	if got := b.post("/servers/act", form("start", list[3], list[2], list[2])); got.StatusCode != 303 || got.Header.Get("Location") != "/servers" {
		t.Fatalf("start: status %d to %q", got.StatusCode, got.Header.Get("Location"))
	}
	kinds, waits := asked()
	if fmt.Sprint(kinds) != "[server.start server.start]" || fmt.Sprint(waits) != "[0s 3s]" {
		t.Errorf("start made %v after %v, want two starts, staggered", kinds, waits)
	}
	sure := form("stop", list...)
	sure.Set("sure", "yes")
	b.post("/servers/act", sure).want(t, 303)
	if kinds, _ := asked(); len(kinds) != 6 || strings.Count(fmt.Sprint(kinds), "server.stop") != 4 { // the starts that wait are stopped, too
		t.Errorf("all jobs are %v, want four stops besides the starts", kinds)
	}
}

// TestServersListShowsOnesOwnWrite: what somebody did is on the next page that they
// open, however often the list was asked for at the same time.
func TestServersListShowsOnesOwnWrite(t *testing.T) {
	s := newSite(t)
	s.installed()
	u := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	b := s.browser(u)
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					b.get("/servers").want(t, 200, srv.Instance)
				}
			}
		})
	}
	for i := range 30 {
		name := fmt.Sprintf("Renamed %d", i)
		b.post("/servers/"+srv.Instance, url.Values{"name": {name}, "port": {fmt.Sprint(srv.Port)}, "blueprint": {srv.BlueprintID}}).want(t, 303)
		if page := b.get("/servers").Text; !strings.Contains(page, ">"+name+"</a>") {
			t.Errorf("after the change to %q the list has an older name", name)
			break
		}
	}
	close(stop)
	load.Wait()
}

// TestServersListFollowsTheHost: a change that nobody here made is on the list soon.
func TestServersListFollowsTheHost(t *testing.T) {
	s := newSite(t)
	s.installed()
	u := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	b := s.browser(u)
	b.get("/servers").want(t, 200, "Never started")
	s.observe(srv, models.ServerRunning, &models.Live{Map: "c5m1_waterfront", Players: 1, Max: 4})
	eventually(t, "the list shows the map", func() bool {
		return strings.Contains(b.get("/servers").Text, "The Parish")
	})
	s.installed()
	for name, page := range map[string]string{"servers": b.get("/servers").Text, "jobs": b.get("/jobs").Text} {
		if strings.Contains(page, "has been silent") || strings.Contains(page, "No worker has reported") {
			t.Errorf("%s says that the worker is silent", name)
		}
	}
}

// TestAttack16SharedPages: pages that are shared between requests are shared with
// nobody else, not even under the same name of the host.
func TestAttack16SharedPages(t *testing.T) {
	s := newSite(t)
	s.installed()
	var browsers []*browser
	var names []string
	for i := range 6 {
		u := modelstest.User(t, s.db, i == 0)
		names = append(names, modelstest.Server(t, s.db, s.key, u).Instance)
		browsers = append(browsers, s.browser(u))
	}
	var all sync.WaitGroup
	for i, b := range browsers {
		for range 3 {
			all.Go(func() {
				for range 15 {
					page := b.get("/servers")
					if page.StatusCode != 200 {
						t.Errorf("status %d", page.StatusCode)
						return
					}
					for j, name := range names {
						if strings.Contains(page.Text, name) != (i == j) {
							t.Errorf("the list of user %d: has the server of user %d: %v", i, j, i != j)
							return
						}
					}
				}
			})
		}
	}
	all.Wait()
	b := browsers[1]
	if err := models.DeleteSession(context.Background(), s.db, models.SessionID(b.token)); err != nil {
		t.Fatal(err)
	}
	b.get("/servers").want(t, 303) // its page may still be kept; it is nobody's any more
}

func TestSharedPages(t *testing.T) {
	p := newSharedPages()
	key := pageKey{session: "a", user: "u"}
	page, mine := p.take(key)
	if !mine {
		t.Fatal("the first who asks does not make it")
	}
	if again, mine := p.take(key); mine || again != page {
		t.Error("the second one does not wait for the first")
	}
	if other, mine := p.take(pageKey{session: "b", user: "u"}); !mine || other == page {
		t.Error("another session gets the page")
	}
	done := p.write("u")
	late, mine := p.take(key)
	if !mine || late == page {
		t.Error("a page that was begun before a write is given out during it")
	}
	if again, mine := p.take(key); !mine || again == late {
		t.Error("a page is shared during a write")
	}
	done()
	p.follow(key, late)
	fresh, mine := p.take(key)
	if !mine || fresh == late {
		t.Error("a page that was made during a write is given out after it")
	}
	fresh.began = fresh.began.Add(-freshFor)
	next, mine := p.take(key)
	if !mine {
		t.Error("an old page is not made anew")
	}
	if got, mine := p.take(key); mine || got != fresh {
		t.Error("the old page is not given out while the next is made")
	}
	p.follow(key, next)
	if got, mine := p.take(key); mine || got != next {
		t.Error("the new page is not given out")
	}
	for i := range 2 * maxShared {
		p.take(pageKey{session: fmt.Sprint(i)})
	}
	if len(p.made) > maxShared {
		t.Errorf("keeps %d pages", len(p.made))
	}
	eventually(t, "pages that nobody asks for are gone", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.made) == 0
	})
}

// TestListIsNotSentTwice: a page that just came has the list already.
func TestListIsNotSentTwice(t *testing.T) {
	s := newSite(t)
	s.installed()
	u := modelstest.User(t, s.db, false)
	list := s.servers(u, 2)
	b := s.browser(u)
	page := b.get("/servers").Text
	seen := regexp.MustCompile(`data-seen="([^"]+)"`).FindStringSubmatch(page)
	if seen == nil {
		t.Fatalf("the page does not say what it shows:\n%s", clip(page, 1000))
	}
	l := b.listen("topics=servers,strip&after=" + url.QueryEscape(seen[1]))
	l.html("strip") // it comes after the servers
	s.observe(list[1], models.ServerRunning, &models.Live{Map: "c5m1_waterfront", Players: 1, Max: 4})
	message := jobs.Message{Topics: []string{jobs.TopicServer(list[1].ID)}, Change: true}
	if err := jobs.Publish(context.Background(), s.rdb, message); err != nil {
		t.Fatal(err)
	}
	for {
		e, ok := l.next("html")
		if !ok {
			t.Fatal("the stream ended")
		}
		if strings.Contains(e.data, list[0].ID) || strings.Contains(e.data, `"server-grid"`) {
			t.Errorf("what the page had was sent again: %s", clip(e.data, 300))
		}
		if strings.Contains(e.data, "server-card-"+list[1].ID) {
			break
		}
	}
	stale := b.listen("topics=servers&after=servers=1234")
	stale.html("server-grid", list[0].Instance)
}

func TestJoinLink(t *testing.T) {
	tests := map[string]string{
		"left4.example": "steam://connect/left4.example:27015", "192.0.2.7": "steam://connect/192.0.2.7:27015",
		"2001:db8::7": "steam://connect/[2001:db8::7]:27015", "[2001:db8::7]": "steam://connect/[2001:db8::7]:27015",
		"": "", "a/b": "", "a b": "", "a:b@c": "", "x\"y": "", "-a": "", "a.": "", "a%2fb": "", "javascript:1": "", strings.Repeat("a", 300): "",
	}
	for host, want := range tests {
		if got := joinLink(host, 27015); string(got) != want {
			t.Errorf("joinLink(%q) = %q, want %q", host, got, want)
		}
	}
	s := newSite(t, func(c *Config) { c.PublicHost = "" })
	s.installed()
	u := modelstest.User(t, s.db, false)
	s.observe(s.servers(u, 1)[0], models.ServerRunning, nil)
	req, err := http.NewRequest(http.MethodGet, s.http.URL+"/servers", nil)
	if err != nil {
		t.Fatal(err)
	}
	b := s.browser(u)
	for host, want := range map[string]string{"left4.example:8080": `href="steam://connect/left4.example:27015"`, "a-b.example": `href="steam://connect/a-b.example:27015"`} {
		req.Host = host
		req.Header.Set("Cookie", b.name+"="+b.token)
		res, err := b.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		page := make([]byte, 1<<20)
		n, _ := res.Body.Read(page)
		for more := 1; more > 0; n += more {
			more, _ = res.Body.Read(page[n:])
		}
		_ = res.Body.Close()
		if !strings.Contains(string(page[:n]), want) {
			t.Errorf("asked as %s the list has no %s", host, want)
		}
	}
}

func TestRememberedIsBounded(t *testing.T) {
	m := newMemory()
	for i := range 5 * maxRemembered {
		card := serverCard{ID: fmt.Sprint(i)}
		m.add(card, []byte(card.ID))
		if html, ok := m.get(serverCard{ID: "0"}); ok && string(html) != "0" {
			t.Fatalf("another card's %q", html)
		}
	}
	if n := len(m.young) + len(m.old); n > 2*maxRemembered {
		t.Errorf("keeps %d", n)
	}
	if _, ok := m.get(serverCard{ID: "0"}); !ok {
		t.Error("what is asked for all the time was forgotten")
	}
	if _, ok := m.get(serverCard{ID: "1"}); ok {
		t.Error("what nobody asked for is still there")
	}
}
