package webui

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"left4me/jobs"
	"left4me/models"
	"left4me/models/modelstest"
)

// window is a real browser, signed in: what app.js does can be seen nowhere else.
type window struct {
	t   testing.TB
	ctx context.Context
	s   *site
}

func (s *site) window(u *models.User) *window {
	s.t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" && os.Getenv("CI") != "" {
		s.t.Fatal("Chromium is needed and missing; `make deps` installs it")
	} else if path == "" {
		s.t.Skip("skipped: Chromium is missing; `make deps` installs it")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.DisableGPU, chromedp.WindowSize(1280, 900))
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox) // it refuses to run as root otherwise
	}
	all, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	s.t.Cleanup(stop)
	ctx, stop := chromedp.NewContext(all, chromedp.WithListener(func(ev any) {
		if e, ok := ev.(*runtime.EventExceptionThrown); ok {
			s.t.Errorf("the page's script failed: %s", e.ExceptionDetails.Text)
		}
	}))
	s.t.Cleanup(stop)
	w := &window{t: s.t, ctx: ctx, s: s}
	s.token.Store(s.browser(u).token)
	return w
}

// open loads a page and waits until its stream is there.
func (w *window) open(path string) {
	w.t.Helper()
	if err := chromedp.Do(w.ctx, chromedp.Navigate(w.s.http.URL+path)); err != nil {
		w.t.Fatal(err)
	}
	w.until(`window.left4me && window.left4me.es && window.left4me.es.readyState === 1`)
}

// js evaluates an expression in the page and returns its value as text.
func (w *window) js(expr string) string {
	w.t.Helper()
	ctx, stop := context.WithTimeout(w.ctx, 30*time.Second)
	defer stop()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[string](`String(`+expr+`)`))
	if err != nil {
		w.t.Fatalf("evaluate %s: %v", expr, err)
	}
	return got
}

// until waits for an expression to become true.
func (w *window) until(expr string) {
	w.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for w.js(`Boolean(`+expr+`)`) != "true" {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited 20 s for %s; the page shows:\n%v", expr, clip(w.js(`document.querySelector('main').innerText`), 3000))
		}
		<-time.After(20 * time.Millisecond)
	}
}

// TestLogInBrowser: a log goes on over dropped connections and error pages
// without losing or doubling a line, stays where its reader is, waits while
// paused, and is bounded.
func TestLogInBrowser(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, false)
	j := s.runningJob(u)
	w := s.window(u)
	some := func(n int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = `<img src=x onerror="window.broken=1">`
		}
		return list
	}
	s.write(j, some(30)...)
	w.open(jobView{Job: j}.Path())
	rows := `document.querySelectorAll('.log > div').length`
	w.until(rows + ` === 30`)
	w.js(`window.sameLoad = 1`)
	s.write(j, some(30)...)
	w.until(rows + ` === 60`)
	s.noStreams.Store(true)
	s.http.CloseClientConnections()
	w.until(`window.left4me.tries >= 2 && !document.getElementById('offline').hidden`)
	s.write(j, some(30)...)
	s.noStreams.Store(false)
	w.until(rows + ` === 90 && document.getElementById('offline').hidden`)
	numbers := w.js(`[...document.querySelectorAll('.log > div .n')].every((e, i) => e.textContent === String(i + 1))`)
	if numbers != "true" {
		t.Errorf("lines are lost, doubled or out of order: %v", w.js(`[...document.querySelectorAll('.log > div .n')].map((e) => e.textContent).join()`))
	}
	atEnd := `(() => { const l = document.querySelector('.log'); return l.scrollHeight - l.scrollTop - l.clientHeight < 40 })()`
	w.until(atEnd)
	w.js(`document.querySelector('.log').scrollTop = 10`)
	s.write(j, some(5)...)
	w.until(rows + ` === 95`)
	if top := w.js(`document.querySelector('.log').scrollTop`); top != "10" {
		t.Errorf("new lines moved the reader to %v (the page was not loaded again: %s)", top, w.js(`window.sameLoad`))
	}
	w.js(`document.querySelector('[data-pause]').click()`)
	s.write(j, some(7)...)
	w.until(`document.querySelector('[data-live]').textContent === 'paused, 7 waiting'`)
	if n := w.js(rows); n != "95" {
		t.Errorf("while paused there are %v rows, want 95", n)
	}
	w.js(`document.querySelector('[data-pause]').click()`)
	w.until(rows + ` === 102 && ` + atEnd)
	for range 11 {
		s.write(j, some(500)...)
	}
	w.until(`window.left4me.cursors.get('job:1') === '5602'`)
	if n := w.js(rows); n != "5000" {
		t.Errorf("%v rows are in the page, want 5000", n)
	}
	s.finish(j, models.JobSucceeded)
	w.until(`document.querySelector('[data-live]').textContent === 'ended'`)
	w.until(`document.querySelector('#job-head .state').textContent === 'Done'`)
	if w.js(`window.broken`) == "1" {
		t.Error("a line of the log ran as a script")
	}
}

// TestHandsInBrowser: dialogs name what they destroy, a swap leaves the focus
// where it was, and a failure is told where it happened.
func TestHandsInBrowser(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	u := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	w := s.window(u)
	path := "/servers/" + srv.Instance
	w.open(path + "/settings")

	w.js(`document.querySelector('form[action$="/delete"] button').click()`)
	w.until(`document.getElementById('confirm').open`)
	if got := w.js(`document.getElementById('confirm-title').textContent`); got != "Delete the server “"+srv.Name+"”?" {
		t.Errorf("the dialog asks %q", got)
	}
	if got := w.js(`document.activeElement.textContent`); got != "Never mind" {
		t.Errorf("the focus is on %q, want the harmless answer", got)
	}
	w.js(`document.activeElement.click()`)
	w.until(`!document.getElementById('confirm').open`)
	if list, err := models.UnfinishedJobs(ctx, s.db, srv.ID); err != nil || len(list) != 0 {
		t.Fatalf("keeping it made %d jobs (%v)", len(list), err)
	}

	w.js(`document.querySelector('#server-head .crumb a').focus()`)
	w.js(`document.querySelector('form[action$="/start"] button').click()`)
	w.until(`document.querySelector('form[action$="/stop"]')`)
	w.js(`document.querySelector('#server-head form[action$="/stop"] button').focus()`)
	if _, _, err := models.Observe(ctx, s.db, models.Observation{Host: srv.Host, Instance: srv.Instance, State: models.ServerStarting}); err != nil {
		t.Fatal(err)
	}
	if err := jobs.Publish(ctx, s.rdb, jobs.Message{Topics: []string{jobs.TopicServer(srv.ID)}, Change: true}); err != nil {
		t.Fatal(err)
	}
	w.until(`document.querySelector('#server-head .state').textContent === 'Starting'`)
	if got := w.js(`document.activeElement.closest('form')?.getAttribute('action') || document.activeElement.tagName`); got != path+"/stop" {
		t.Errorf("after the swap the focus is on %v", got)
	}

	w.js(`document.querySelector('#server-rcon button').click()`)
	w.until(`document.querySelector('#server-rcon code')`)
	w.js(`document.querySelector('#f-port').value = '80'`)
	w.js(`document.querySelector('#server-form button[type=submit]').click()`)
	w.until(`document.querySelector('#server-form .wrong')?.textContent.includes('1024 to 65535') && document.querySelector('#f-port').value === '80'`)

	if err := models.DeleteServer(ctx, s.db, srv.ID); err != nil {
		t.Fatal(err)
	}
	w.js(`document.querySelector('#server-head form[action$="/stop"] button').click()`)
	w.until(`document.querySelector('.toast')?.textContent.includes('It was deleted')`)
	if err := jobs.Publish(ctx, s.rdb, jobs.Message{Topics: []string{jobs.TopicServer(srv.ID)}, Change: true}); err != nil {
		t.Fatal(err)
	}
	w.until(`location.pathname === '/servers'`)
	if n := w.js(`document.querySelectorAll('.card').length`); n != "0" {
		t.Errorf("the list shows %s servers, want none", n)
	}
}
