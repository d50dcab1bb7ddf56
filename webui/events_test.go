package webui

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"left4me/jobs"
	"left4me/models"
	"left4me/models/modelstest"
)

// event is one server-sent event as a browser gets it.
type event struct{ name, id, data string }

// listener is a browser's EventSource.
type listener struct {
	t      testing.TB
	res    *http.Response
	stop   context.CancelFunc
	events chan event // closed at the end
}

func (b *browser) listen(query string, headers ...string) *listener {
	b.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base+"/events?"+query, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	req.AddCookie(&http.Cookie{Name: b.name, Value: b.token})
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	l := &listener{t: b.t, res: res, stop: stop, events: make(chan event, 64)}
	b.t.Cleanup(l.close)
	go l.read(ctx)
	return l
}

func (l *listener) read(ctx context.Context) {
	defer close(l.events)
	defer func() { _ = l.res.Body.Close() }()
	in := bufio.NewReaderSize(l.res.Body, 1<<20)
	var e event
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch line = strings.TrimSuffix(line, "\n"); {
		case line == "":
			if e.name != "" {
				select {
				case l.events <- e:
				case <-ctx.Done():
					return
				}
			}
			e = event{}
		case strings.HasPrefix(line, "event: "):
			e.name = line[7:]
		case strings.HasPrefix(line, "id: "):
			e.id = line[4:]
		case strings.HasPrefix(line, "data: "):
			e.data = line[6:]
		}
	}
}

func (l *listener) close() { l.stop() }

// next waits for the next event of this name; ok is false when the stream ends.
func (l *listener) next(name string) (e event, ok bool) {
	l.t.Helper()
	deadline := time.After(15 * time.Second)
	for {
		select {
		case e, ok := <-l.events:
			if !ok || e.name == name || name == "" {
				return e, ok
			}
		case <-deadline:
			l.t.Fatalf("waited 15 s for the event %q", name)
		}
	}
}

// html waits until the element is sent with all the parts in it.
func (l *listener) html(id string, parts ...string) {
	l.t.Helper()
	for {
		e, ok := l.next("html")
		if !ok {
			l.t.Fatalf("the stream ended before #%s came with %q", id, parts)
		}
		var d struct{ ID, HTML string }
		if err := json.Unmarshal([]byte(e.data), &d); err != nil {
			l.t.Fatalf("%v in %s", err, e.data)
		}
		all := d.ID == id
		for _, p := range parts {
			all = all && strings.Contains(d.HTML, p)
		}
		if all {
			return
		}
	}
}

type logEvent struct {
	Topic string
	Lines [][4]any
}

func (e event) lines(t testing.TB) logEvent {
	t.Helper()
	var d logEvent
	if err := json.Unmarshal([]byte(e.data), &d); err != nil {
		t.Fatalf("%v in %s", err, e.data)
	}
	return d
}

// runningJob makes a job that an attempt owns, whose lines a test may write.
func (s *site) runningJob(u *models.User) *models.Job {
	s.t.Helper()
	ctx := context.Background()
	j := &models.Job{Kind: "server.start", Host: models.LocalHost, Pool: models.PoolInteractive, Title: "Start it", UserID: u.ID, OwnerID: u.ID, Args: []byte("{}"), MaxAttempts: 1}
	if err := models.InsertJob(ctx, s.db, j, nil); err != nil {
		s.t.Fatal(err)
	}
	j, err := models.ClaimJob(ctx, s.db, j.ID, "test")
	if err != nil {
		s.t.Fatal(err)
	}
	return j
}

// write stores lines and tells the pages, as a worker does.
func (s *site) write(j *models.Job, texts ...string) {
	ctx := context.Background()
	lines := make([]models.LogLine, len(texts))
	for i, text := range texts {
		lines[i] = models.LogLine{At: models.Now(), Stream: "out", Text: text}
	}
	if err := models.AppendLog(ctx, s.db, j.ID, j.Attempt, lines); err != nil {
		s.t.Error(err)
		return
	}
	m := jobs.Message{Topics: []string{jobs.TopicJob(j.ID)}, First: lines[0].Seq, Last: lines[len(lines)-1].Seq}
	for _, l := range lines {
		m.Lines = append(m.Lines, jobs.Line{N: l.Seq, At: l.At, Stream: l.Stream, Text: l.Text})
	}
	_ = jobs.Publish(ctx, s.rdb, m) // a message that is lost is what these tests are about
}

func (s *site) finish(j *models.Job, state models.JobState) {
	s.t.Helper()
	ctx := context.Background()
	if err := models.FinishJob(ctx, s.db, j.ID, j.Attempt, models.Ending{State: state}); err != nil {
		s.t.Fatal(err)
	}
	_ = jobs.Publish(ctx, s.rdb, jobs.Message{Topics: jobs.JobTopics(j), Change: true})
}

// TestReconnecting cuts the stream at random points while thousands of lines are
// written, some of them with their message lost, and Redis away for a while. The
// browser goes on where it was, and must have every line once.
func TestReconnecting(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, false)
	j := s.runningJob(u)
	const total = 6000
	written := make(chan struct{})
	go func() {
		defer close(written)
		rnd := rand.New(rand.NewPCG(1, 2))
		for n := 0; n < total; {
			batch := min(1+rnd.IntN(40), total-n)
			texts := make([]string, batch)
			for i := range texts {
				texts[i] = fmt.Sprintf("line %d", n+i+1)
			}
			n += batch
			switch {
			case n > 2000 && n < 2600:
				s.redis.SetError("LOADING away")
			case n >= 2600:
				s.redis.SetError("")
			}
			s.write(j, texts...)
		}
		s.finish(j, models.JobSucceeded)
	}()
	b, rnd := s.browser(u), rand.New(rand.NewPCG(3, 4))
	last, id, cuts := 0.0, "", 0
	for over := false; !over; cuts++ {
		query, headers := fmt.Sprintf("topics=job:%d", j.ID), []string{}
		if id != "" && cuts%2 == 0 {
			headers = []string{"Last-Event-ID", id}
		} else if id != "" {
			query += "&after=" + url.QueryEscape(id)
		}
		l := b.listen(query, headers...)
		patience := 20 + rnd.IntN(400)
		for got := 0; got < patience; {
			e, ok := l.next("")
			if !ok {
				t.Fatal("the stream ended by itself")
			}
			if e.name == "finished" {
				over = true
				break
			}
			if e.name == "missed" {
				t.Fatalf("lines were passed over: %s", e.data)
			}
			if e.name != "log" {
				continue
			}
			id = e.id
			for _, line := range e.lines(t).Lines {
				if n := line[0].(float64); n != last+1 || line[3] != fmt.Sprintf("line %.0f", n) {
					t.Fatalf("after line %.0f came line %v %q", last, line[0], line[3])
				}
				last++
				got++
			}
		}
		l.close()
	}
	<-written
	if last != total {
		t.Errorf("%.0f of %d lines came, over %d connections", last, total, cuts)
	}
	t.Logf("%d lines over %d connections", total, cuts)
	if cuts < 5 {
		t.Errorf("only %d connections: nothing was cut", cuts)
	}
}

// TestLateViewer: what lies more than 5,000 lines back is passed over, and its
// number told.
func TestLateViewer(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, false)
	j := s.runningJob(u)
	texts := make([]string, 500)
	for i := range texts {
		texts[i] = "x"
	}
	for range 12 {
		s.write(j, texts...)
	}
	s.finish(j, models.JobFailed)
	l := s.browser(u).listen(fmt.Sprintf("topics=job:%d&after=job:%d=10", j.ID, j.ID))
	e, ok := l.next("missed")
	if want := fmt.Sprintf(`{"count":990,"topic":"job:%d"}`, j.ID); !ok || e.data != want {
		t.Fatalf("missed: %q, want %q", e.data, want)
	}
	if e, ok = l.next("log"); !ok || e.lines(t).Lines[0][0] != 1001.0 {
		t.Errorf("the first line is %v, want 1001", e.data[:80])
	}
	if _, ok := l.next("finished"); !ok {
		t.Error("the stream ended without finished")
	}
}

func TestLiveFragments(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	u := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	l := s.browser(u).listen("topics=strip,servers,server:" + srv.Instance + ",server-now:" + srv.Instance)
	l.html("server-head", srv.Name, "Never started")
	if _, _, err := models.Observe(ctx, s.db, models.Observation{
		Host: srv.Host, Instance: srv.Instance, State: models.ServerRunning,
		Status: models.ServerStatus{Grade: "map", Live: &models.Live{Map: "c2m1_highway", Players: 1, Max: 8, Names: []models.Player{{Name: "<script>alert(1)</script>"}}}},
	}); err != nil {
		t.Fatal(err)
	}
	if err := jobs.Publish(ctx, s.rdb, jobs.Message{Topics: []string{jobs.TopicServer(srv.ID)}, Change: true}); err != nil {
		t.Fatal(err)
	}
	l.html("server-now", "Dark Carnival", "&lt;script&gt;alert(1)&lt;/script&gt;")
	if _, err := s.Jobs.Enqueue(ctx, models.Actor{ID: u.ID, Name: u.Name}, jobs.StopServer{ServerID: srv.ID}); err != nil {
		t.Fatal(err)
	}
	l.html("strip", "Stop "+srv.Name)
	second := modelstest.Server(t, s.db, s.key, u)
	if _, err := s.Jobs.Enqueue(ctx, models.Actor{ID: u.ID, Name: u.Name}, jobs.StartServer{ServerID: second.ID}); err != nil {
		t.Fatal(err)
	}
	l.html("server-grid", second.Name)
	if err := models.DeleteServer(ctx, s.db, srv.ID); err != nil {
		t.Fatal(err)
	}
	if err := jobs.Publish(ctx, s.rdb, jobs.Message{Topics: []string{jobs.TopicServer(srv.ID)}, Change: true}); err != nil {
		t.Fatal(err)
	}
	if e, ok := l.next("gone"); !ok || e.data != `{"to":"/servers"}` {
		t.Errorf("after the server was deleted: %+v %v", e, ok)
	}
}

// TestFragmentIsWhatThePageIncludes compares what the stream sends with what the
// page shows: they must never drift apart.
func TestFragmentIsWhatThePageIncludes(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, true)
	srv := modelstest.Server(t, s.db, s.key, u)
	if err := models.SeeHost(context.Background(), s.db, models.LocalHost, &models.Game{Installed: true}); err != nil {
		t.Fatal(err)
	}
	job, err := s.Jobs.Enqueue(context.Background(), models.Actor{ID: u.ID, Name: u.Name}, jobs.StartServer{ServerID: srv.ID})
	if err != nil {
		t.Fatal(err)
	}
	maps := modelstest.Overlay(t, s.db, u, models.OverlayWorkshop)
	modelstest.Publish(t, s.db, maps, 1)
	if _, err := models.AddOverlayItems(context.Background(), s.db, maps.ID, []string{"121086524"}); err != nil {
		t.Fatal(err)
	}
	b := s.browser(u)
	for path, feeds := range map[string]string{
		"/overlays":                          "strip,overlays",
		overlayPath(maps.ID):                 "strip,overlay:" + fmt.Sprint(maps.ID),
		"/servers":                           "strip,servers",
		"/servers/" + srv.Instance:           "strip,server:" + srv.Instance + ",server-now:" + srv.Instance,
		"/servers/" + srv.Instance + "/jobs": "strip,server:" + srv.Instance + ",server-jobs:" + srv.Instance,
		"/blueprints":                        "strip,blueprints",
		"/blueprints/" + srv.BlueprintID:     "strip,blueprint:" + srv.BlueprintID,
		"/game":                              "strip,game",
		"/jobs":                              "strip,jobs:",
		jobView{Job: job}.Path():             "strip,job:" + fmt.Sprint(job.ID),
	} {
		page := b.get(path).Text
		want, err := s.openFeeds(context.Background(), u, "left4.example", feeds, cursors{})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(page, `data-feeds="`+feeds) {
			t.Errorf("%s does not ask for %s", path, feeds)
		}
		for _, f := range want {
			frags, _, err := f.render(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			for _, frag := range frags {
				html, err := s.templates.render(frag)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(page, strings.TrimSpace(string(html))) {
					t.Errorf("%s does not contain what the stream sends for #%s:\n%s", path, frag.elementID(), html)
				}
				if !strings.Contains(string(html), `id="`+frag.elementID()+`"`) {
					t.Errorf("%T does not have the id %s", frag, frag.elementID())
				}
			}
		}
	}
}

func TestForeignTopics(t *testing.T) {
	s := newSite(t)
	owner, other := modelstest.User(t, s.db, false), modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, owner)
	j, maps := s.runningJob(owner), modelstest.Overlay(t, s.db, owner, models.OverlayWorkshop)
	b := s.browser(other)
	for _, topics := range []string{
		"server:" + srv.Instance, "console:" + srv.Instance, "blueprint:" + srv.BlueprintID, fmt.Sprintf("job:%d", j.ID),
		"strip,job:1", "job:x", fmt.Sprintf("overlay:%d", maps.ID), "overlay:x", "overlay:0", "overlays:" + owner.ID, "job:-1", "jobs:" + owner.ID, "nonsense", "", "strip,", "a,b,c,d,e,f,g,h,i,j",
	} {
		b.get("/events?topics="+url.QueryEscape(topics)).want(t, 404)
	}
	s.browser(nil).get("/events?topics=strip").want(t, 401)
}

// TestStreamEndsWithItsSession: a right that is withdrawn while a stream is open
// ends it.
func TestStreamEndsWithItsSession(t *testing.T) {
	ctx := context.Background()
	tests := map[string]func(*site, *models.User, *browser){
		"signed out": func(_ *site, _ *models.User, b *browser) { b.post("/signout", nil).want(b.t, 303) },
		"password changed elsewhere": func(s *site, u *models.User, _ *browser) {
			s.browser(u).post("/account/password", url.Values{"current": {rightPassword}, "password": {"another long one"}}).want(s.t, 303)
		},
		"deactivated": func(s *site, u *models.User, _ *browser) {
			if _, err := s.db.NewUpdate().Model((*models.User)(nil)).Set("active = ?", false).Where("id = ?", u.ID).Exec(ctx); err != nil {
				s.t.Fatal(err)
			}
		},
		"demoted": func(s *site, u *models.User, _ *browser) {
			if _, err := s.db.NewUpdate().Model((*models.User)(nil)).Set("admin = ?", false).Where("id = ?", u.ID).Exec(ctx); err != nil {
				s.t.Fatal(err)
			}
		},
	}
	for name, withdraw := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each may take until the next look at the session
			s := newSite(t)
			u := s.account("mira", true)
			b := s.browser(u)
			l := b.listen("topics=strip,game")
			l.html("game-card")
			withdraw(s, u, b)
			eventually(t, "the stream to end", func() bool {
				// Something changes meanwhile: what is sent next must be the end.
				_ = jobs.Publish(ctx, s.rdb, jobs.Message{Topics: []string{jobs.TopicGame()}, Change: true})
				select {
				case e := <-l.events:
					return e.name == "bye"
				default:
					return false
				}
			})
			if _, open := l.next("bye"); open {
				t.Error("something came after bye")
			}
		})
	}
}

func TestTooManyStreams(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, false)
	b := s.browser(u)
	var open []*listener
	for range streamsPerSession {
		l := b.listen("topics=game")
		l.html("game-card")
		open = append(open, l)
	}
	refused := b.get("/events?topics=game")
	refused.want(t, 429, "Too many of your pages are live at once.")
	if refused.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	s.browser(u).listen("topics=game").html("game-card") // another browser of theirs
	open[0].close()
	eventually(t, "a place to become free", func() bool {
		s.streams.mu.Lock()
		defer s.streams.mu.Unlock()
		return len(s.streams.open) == streamsPerSession
	})
	b.listen("topics=game").html("game-card")
	s.Close()
	b.get("/events?topics=game").want(t, 503, "left4me is being restarted.")
	eventually(t, "all streams to end", func() bool {
		s.streams.mu.Lock()
		defer s.streams.mu.Unlock()
		return len(s.streams.open) == 0 && len(s.streams.counts) == 0
	})
}

// TestSilentReader opens a stream and reads nothing: it must not hold up others,
// nor the writer.
func TestSilentReader(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, false)
	j := s.runningJob(u)
	b := s.browser(u)
	topics := fmt.Sprintf("topics=job:%d", j.ID)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base+"/events?"+topics, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.AddCookie(&http.Cookie{Name: b.name, Value: b.token})
	silent, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Body.Close() }()
	l := b.listen(topics)
	long := strings.Repeat("x", 4000)
	go func() {
		for range 200 {
			s.write(j, long, long, long, long, long)
		}
		s.finish(j, models.JobSucceeded)
	}()
	seen := 0
	for {
		e, ok := l.next("")
		if !ok {
			t.Fatal("the stream ended by itself")
		}
		if e.name == "finished" {
			break
		}
		if e.name == "log" {
			seen += len(e.lines(t).Lines)
		}
	}
	if seen != 1000 {
		t.Errorf("the reader beside the silent one got %d of 1000 lines", seen)
	}
}

func TestConsoleStream(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	u := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	b := s.browser(u)
	put := func(texts ...string) {
		t.Helper()
		w, _, err := jobs.OpenConsole(ctx, s.rdb, srv.Instance)
		if err != nil {
			t.Fatal(err)
		}
		var lines []jobs.ConsoleLine
		for _, text := range texts {
			lines = append(lines, jobs.ConsoleLine{Line: jobs.Line{At: models.Now(), Stream: "game", Text: text}})
		}
		if err := w.Append(ctx, lines); err != nil {
			t.Fatal(err)
		}
	}
	put("one", `"Coach<2><STEAM_1:0:1><>" say "</script><script>alert(1)</script>"`)
	page := b.get("/servers/" + srv.Instance)
	page.want(t, 200, "&lt;/script&gt;&lt;script&gt;alert(1)", "Coach&lt;2&gt;&lt;STEAM_1:0:1&gt;")
	_, cursor, _ := strings.Cut(page.Text, `data-cursor="`)
	cursor, _, _ = strings.Cut(cursor, `"`)
	if !strings.HasSuffix(cursor, "-2") {
		t.Fatalf("the page goes on at %q", cursor)
	}
	feed := "console:" + srv.Instance
	l := b.listen("topics=" + feed + "&after=" + url.QueryEscape(feed+"="+cursor))
	eventually(t, "somebody to be asked for the console", func() bool {
		watched, err := jobs.ConsoleWatched(ctx, s.rdb, srv.Instance)
		return err == nil && watched
	})
	put("three\x1b[31m!")
	e, ok := l.next("log")
	if d := e.lines(t); !ok || d.Topic != feed || len(d.Lines) != 1 || d.Lines[0][0] != 3.0 || d.Lines[0][3] != "three!" {
		t.Errorf("after the page came %s", e.data)
	}
	s.redis.FlushAll()
	put("anew")
	if _, ok := l.next("reset"); !ok {
		t.Fatal("the page was not told that the numbering began anew")
	}
	if e, ok := l.next("log"); !ok || e.lines(t).Lines[0][0] != 1.0 || !strings.HasSuffix(e.id, "-1") {
		t.Errorf("after the reset came %+v", e)
	}
}
