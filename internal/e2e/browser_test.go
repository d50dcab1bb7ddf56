package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"left4me/hostops/ctl"
	"left4me/hostops/rcon"
)

const (
	arguments = `-tickrate 60 +sv_setmax 31 +map "c2m1_highway versus"`

	// Slow enough to see progress, quick enough to wait for. Seed 5 sends a
	// player first whose name is a script.
	seen = `{"speed": 6, "steamcmd": {"scenario": "stub_refused"}, "srcds": {"players": true, "seed": 5}}`

	scriptName = "<script>alert(1)</script>"
	imageLine  = `<img src=x onerror="alert(2)">`
)

// What a new user does, in a real browser, with mouse and keyboard: nothing is
// reloaded unless it says so, and the browser may not complain even once.
func TestBrowser(t *testing.T) {
	path := chromium(t)
	s := newSite(t, true)
	s.script(seen)
	s.up()
	s.signIn()
	b := newBrowser(t, path, s.base)

	b.open("/")
	b.sees("h1", "Sign in")
	b.look("signin")
	b.signInAs("admin", adminPassword)
	b.sees("main", "From here to your first game")
	b.look("servers-empty")

	seeInstall(t, b)
	seeBlueprint(b)
	name := seeNewServer(b, freePort(t))
	seeStart(t, s, b, name)
	seeStrangers(t, s, b, name)
	seePassword(t, s, b, name)
	seeStop(t, s, b, name)
	seeDelete(t, s, b, name)

	withKeys(t, s, b.stranger(t))
	withoutScripts(t, s, b.stranger(t))
}

// seeInstall presses Install and watches both passes of steamcmd.
func seeInstall(t *testing.T, b *tab) {
	t.Helper()
	b.follow("Game")
	b.sees("#game-card", "The game is not on this host yet")
	r := b.record("#game-card")
	b.press("Install the game")
	b.sees("#game-card", "Windows files: downloading")
	b.sees("#game-card", "/s")
	b.look("install")
	b.sees("#game-card", "Check for an update")
	all := r.texts()
	for _, platform := range []string{"Windows", "Linux"} {
		live := regexp.MustCompile(`(\d+) %\s+` + platform + ` files: downloading · ([\d.]+ \w+) of ([\d.]+ \w+) · [\d.]+ \w+/s`)
		percents := map[string]bool{}
		for _, text := range all {
			if m := live.FindStringSubmatch(text); m != nil {
				percents[m[1]] = true
			}
		}
		if len(percents) < 2 {
			t.Errorf("the %s pass was not seen moving with percent, bytes and rate; %d of %d texts match %s; they were:\n%s", platform, len(percents), len(all), live, strings.Join(all, "\n---\n"))
		}
	}
	b.look("game")
	b.follow("Jobs")
	b.follow("Install the game")
	b.sees("#job-head", "Done")
	b.sees("#job-progress", "Linux files: downloading")
	b.look("job-install")
}

// seeBlueprint makes a blueprint of what people paste.
func seeBlueprint(b *tab) {
	b.t.Helper()
	b.follow("Blueprints")
	b.sees("main", "No blueprints yet")
	b.follow("New blueprint")
	b.fill("Name", "Competitive")
	b.press("As text")
	b.fill("Launch arguments as text", arguments)
	b.sees("#argv li", "c2m1_highway versus")
	b.paste("server.cfg", pasted)
	b.look("blueprint-new")
	b.press("Make the blueprint")
	b.sees("h1", "Competitive")
	if got := get[string](b, `document.getElementById('b-config').value`); got != pasted {
		b.t.Errorf("the config came back as %q; want %q", got, pasted)
	}
	b.look("blueprint")
}

// seeNewServer makes a server from the blueprint and returns its instance.
func seeNewServer(b *tab, port string) string {
	b.t.Helper()
	b.follow("Servers")
	b.sees("main", "Make a server from it")
	b.follow("New server")
	b.fill("Name", "Friday versus")
	b.fill("Port", port)
	b.fill("Host name in the game · optional", hostname)
	b.look("server-new")
	b.press("Make the server")
	b.sees("#server-head h1", "Friday versus")
	instance := strings.TrimPrefix(get[string](b, `location.pathname`), "/servers/")
	b.open("/servers/" + instance + "/jobs")
	b.sees("#server-jobs", "Done")
	b.look("server-jobs")
	b.open("/servers/" + instance)
	return instance
}

// seeStart presses Start, watches the job in a second window and the server in
// the first.
func seeStart(t *testing.T, s *site, b *tab, name string) {
	t.Helper()
	s.games(strings.Replace(seen, `"speed": 6`, `"speed": 2`, 1)) // time enough to open the job's page
	job := b.second()
	job.open("/jobs")
	all := b.record("main")
	b.press("Start")
	b.sees("#server-head", "holds this server since")
	job.open(get[string](b, `document.querySelector('#server-head .note a').getAttribute('href')`))
	lines := job.record(".log")
	job.sees(".log", "Host_NewGame on map c2m1_highway")
	job.sees("#job-head", "Done")
	if n := len(lines.texts()); n < 4 {
		t.Errorf("the job's lines came in %d pieces; want one by one:\n%s", n, strings.Join(lines.texts(), "\n---\n"))
	}
	job.sees("#job-head .note", "rcon_password")
	if text := job.text("#job-head"); strings.Contains(text, "WowYouKnow") {
		t.Errorf("the notice repeats the password:\n%s", text)
	}
	job.look("job-start")

	s.games(seen)
	b.sees(".log", "Connection to Steam servers successful")
	b.sees("#server-head .state", "Running")
	b.sees("#server-now", "c2m1_highway")
	b.sees("#server-now", hostname)
	b.sees("#server-now .players", scriptName)
	b.sees("#server-now .ladder .yes:last-child", "Steam")
	var states []string
	for _, text := range all.texts() { // also proves that nothing was reloaded
		for _, word := range []string{"Starting", "Running"} {
			if strings.Contains(strings.SplitN(text, "since", 2)[0], word) && !slices.Contains(states, word) {
				states = append(states, word)
			}
		}
	}
	if want := []string{"Starting", "Running"}; !slices.Equal(states, want) {
		t.Errorf("the page showed the states %v; want %v", states, want)
	}
	checkArgv(t, s.status(name))
	checkConfig(t, s, name)
	b.look("server")
}

// seeStrangers lets HTML come from a player and from the log: it stays text.
func seeStrangers(t *testing.T, s *site, b *tab, name string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	conn, err := rcon.Dial(ctx, fmt.Sprintf("127.0.0.1:%d", s.status(name).Port), s.password(name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // only said something
	if _, err := conn.Exec(ctx, "say "+imageLine); err != nil {
		t.Fatal(err)
	}
	b.sees(".log", imageLine)
	b.sees(".log", scriptName)
	foreign := `[...document.querySelectorAll('script:not([src]), img[src=x], .log b, .players script')].map((e) => e.outerHTML).join()`
	if got := get[string](b, foreign); got != "" {
		t.Errorf("what strangers wrote became part of the page: %s", got)
	}
	again := b.second() // as the server renders it
	again.open("/servers/" + name)
	again.sees(".log", imageLine)
	again.sees(".players", scriptName)
	if got := get[string](again, foreign); got != "" {
		t.Errorf("what strangers wrote became part of the page when it was loaded: %s", got)
	}
}

func seePassword(t *testing.T, s *site, b *tab, name string) {
	t.Helper()
	b.follow("Settings")
	b.sees("#settings", "Settings")
	if shown := b.text("#server-rcon"); !strings.Contains(shown, "••••") {
		t.Errorf("before it is asked for, the password's place shows %q", shown)
	}
	b.press("Show")
	b.sees("#server-rcon", "That you looked at it is written down.")
	spec, err := os.ReadFile(filepath.Join(s.data, "instances", name, "spec.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if password := b.text("#server-rcon code"); len(password) < 16 || !strings.Contains(string(spec), password) {
		t.Errorf("the page reveals %q, which is not the server's password", password)
	}
	b.open("/servers/" + name)
}

// seeStop stops a server with people on it: that asks first.
func seeStop(t *testing.T, s *site, b *tab, name string) {
	t.Helper()
	r := b.record("#server-head")
	b.press("Stop")
	b.sees("#confirm", "Stop “Friday versus”?")
	b.look("confirm-stop")
	b.press("Stop it")
	b.sees("#server-head .state", "Stopped")
	if heads := strings.Join(r.texts(), "\n---\n"); !strings.Contains(heads, "Stop Friday versus") {
		t.Errorf("the page never named the job that stopped it:\n%s", heads)
	}
	if st := s.status(name); st.State != ctl.ServerStopped {
		t.Errorf("the page says stopped, the host says %s", st.State)
	}
	b.look("server-stopped")
}

// seeDelete changes their mind once, then deletes.
func seeDelete(t *testing.T, s *site, b *tab, name string) {
	t.Helper()
	b.follow("Settings")
	b.look("server-settings")
	b.press("Delete Friday versus")
	b.sees("#confirm", "Delete the server “Friday versus”?")
	b.look("confirm-delete")
	b.press("Never mind")
	b.wait("the dialog to close", `!document.getElementById('confirm').open`)
	if st := s.status(name); st.State != ctl.ServerStopped {
		t.Fatalf("the answer was Never mind, and the host says %s", st.State)
	}
	b.press("Delete Friday versus")
	b.press("Delete the server")
	b.wait("the list of servers", `location.pathname === '/servers'`)
	b.wait("the card to leave the list", `!document.querySelector('.card')`)
	b.sees("main", "From here to your first game")
	if cards := get[int](b, `document.querySelectorAll('.card').length`); cards != 0 {
		t.Errorf("after the deletion the list shows %d servers", cards)
	}
	if st := s.status(name); st.State != ctl.ServerAbsent {
		t.Errorf("the list is empty, the host says %s", st.State)
	}
	b.open("/jobs")
	b.look("jobs")
}

// withKeys signs in and starts a server without touching the mouse.
func withKeys(t *testing.T, s *site, b *tab) {
	t.Helper()
	name := s.makeServer("Keys only", "", "+map c1m1_hotel", "")
	b.open("/")
	b.wait("the name to have the focus", `document.activeElement?.id === 'name'`)
	b.typeText("admin" + kb.Tab + adminPassword + kb.Enter)
	b.sees("h1", "Servers")
	focused := `document.activeElement?.textContent.trim() ?? ''`
	for i := 0; get[string](b, focused) != "Start"; i++ {
		if i == 40 {
			b.fatalf("after %d presses of Tab the focus is not on Start", i)
		}
		b.typeText(kb.Tab)
		if got := get[string](b, focused); got != "" && !get[bool](b, `document.activeElement.matches(':focus-visible') && getComputedStyle(document.activeElement).outlineStyle !== 'none'`) {
			t.Errorf("nothing shows that %q has the focus", got)
		}
	}
	b.typeText(kb.Enter)
	b.sees(".card .state", "Running")
	s.eventually("it runs on the host", func() bool { return s.status(name).State == ctl.ServerRunning })
}

// withoutScripts signs in, starts and deletes a server with plain forms.
func withoutScripts(t *testing.T, s *site, b *tab) {
	t.Helper()
	name := s.makeServer("Plain forms", "", "+map c1m1_hotel", "")
	b.scripts(false)
	b.signInAs("admin", adminPassword)
	b.open("/servers/" + name)
	b.press("Start")
	b.sees("#server-head", "Start Plain forms") // the form was sent
	b.open("/servers/" + name + "/jobs")
	b.sees("#server-jobs", "Start Plain forms")
	b.waitFor("Running with its log, on a page loaded anew", func() bool {
		b.open("/servers/" + name)
		return strings.Contains(b.text("#server-head .state"), "Running") && strings.Contains(b.text(".log"), "Host_NewGame on map c1m1_hotel")
	})
	b.look("server-without-scripts")
	b.follow("Settings")
	b.press("Delete Plain forms")
	b.sees("h1", "Delete the server “Plain forms”?")
	b.look("confirm-without-scripts")
	b.press("Delete the server")
	s.eventually("it is gone from the host", func() bool { return s.status(name).State == ctl.ServerAbsent })
	b.waitFor("a list without it, on a page loaded anew", func() bool {
		b.open("/servers")
		return !strings.Contains(b.text("main"), "Plain forms")
	})
}

// The browser test would be worth little if it did not hear what browsers say.
func TestBrowserComplaintsAreHeard(t *testing.T) {
	path := chromium(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad.js" {
			_, _ = fmt.Fprint(w, `console.error("told"); throw new Error("thrown")`) // the visitor may leave
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'")
		_, _ = fmt.Fprint(w, `<!doctype html><title>bad</title><script>alert(1)</script><script src="/bad.js"></script>`) // the visitor may leave
	}))
	defer srv.Close()
	b := newBrowser(t, path, srv.URL)
	b.open("/")
	for _, want := range []string{"console.error", "thrown", "content security policy: script-src-elem inline"} {
		b.waitFor("the complaint "+want, func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return slices.ContainsFunc(b.problems, func(p string) bool { return strings.Contains(p, want) })
		})
	}
	b.mu.Lock()
	b.problems = nil
	b.mu.Unlock()
}
