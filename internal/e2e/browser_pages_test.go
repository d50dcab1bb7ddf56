package e2e

import (
	"compress/gzip"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// notPages are the addresses for GET that show no page of their own, and why.
var notPages = map[string]string{
	"/": "leads to the servers", "/healthz": "for machines", "/readyz": "for machines", "/metrics": "for machines",
	"/static/:file": "a file", "/favicon.ico": "a file", "/events": "a stream",
	"/players/:steamid/avatar": "a picture", "/workshop/:item/image": "a picture",
	"/servers/:instance/console/:command": "an answer as text", "/campaigns": "a part of the new blueprint's page", "/servers/:instance/log.txt": "a download", "/servers/:instance/files/download": "a download", "/jobs/:number/log.txt": "a download",
	"/overlays/:overlay/versions/:number/file": "a download", "/overlays/:overlay/files/download": "a download", "/admin/audit.csv": "a download", "/blueprints/:id/export": "a download",
	"/overlays/:overlay/uploads/:upload": "for the upload's script",
}

// editors are the pages that load the text editor.
var editors = []string{"/blueprints/new", "/blueprints/:id", "/overlays/:overlay script", "/overlays/:overlay/files/entry"}

const (
	firstLoad  = 60 << 10  // bytes that a page may take when nothing of it is cached
	editorLoad = 250 << 10 // the same with the editor
)

// getRoutes reads from the web app's source which addresses it answers.
func getRoutes(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile("../../webui/routes.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range regexp.MustCompile(`\{(?:get|http\.MethodGet), "([^"]+)"`).FindAllStringSubmatch(string(raw), -1) {
		all = append(all, m[1])
	}
	if len(all) < 40 {
		t.Fatalf("only %d addresses were found in routes.go: %q", len(all), all)
	}
	return all
}

// TestBrowserEveryPage opens every page of a site that is in use, by day and by night,
// on a desk and on a phone: axe-core finds nothing serious, it fits, it has one
// heading, the keyboard's place can be seen, and its first load is small.
func TestBrowserEveryPage(t *testing.T) {
	path := chromium(t)
	s := newSite(t, true)
	s.workshop()
	s.up()
	s.signIn()
	pages := inUse(s)

	left := maps.Clone(notPages)
	for _, r := range getRoutes(t) {
		if _, known := left[r]; !known && !slices.ContainsFunc(slices.Collect(maps.Keys(pages)), func(p string) bool { p, _, _ = strings.Cut(p, " "); return p == r }) {
			t.Errorf("GET %s is a page that this test does not open, and none of those that are no pages", r)
		}
		delete(left, r)
	}
	for r := range left {
		t.Errorf("GET %s is no route any more", r)
	}

	b := newBrowser(t, path, s.base)
	b.open("/signin")
	b.audit("signin")
	b.signInAs("admin", adminPassword)
	for _, page := range slices.Sorted(maps.Keys(pages)) {
		if page == "/signin" {
			continue
		}
		b.open(pages[page])
		b.audit(pictureName(page))
		b.quiet()
		size, limit := s.weigh(pages[page]), firstLoad
		if slices.Contains(editors, page) {
			limit = editorLoad
		}
		t.Logf("%6d bytes: %s", size, page)
		if size > limit {
			t.Errorf("%s takes %d bytes at first; want at most %d", page, size, limit)
		}
	}
}

// pictureName is a page's route as the name of a file.
func pictureName(route string) string {
	return "page-" + strings.Trim(regexp.MustCompile(`[^a-z]+`).ReplaceAllString(route, "-"), "-")
}

// inUse fills a site with one of everything and says where each page can be seen: by
// its route, behind which a word may tell several apart.
func inUse(s *site) map[string]string {
	s.t.Helper()
	s.install()
	install := s.newestJob()
	s.games(playersOf(636))
	blueprint := s.makeBlueprint("Competitive", pasted, arguments)
	friday := s.addServer("Friday versus", blueprint, "", nicePort(s.t, 27015))
	s.addServer("Training", blueprint, "", freePort(s.t))
	s.startNow(friday)
	s.post("/blueprints/"+blueprint, url.Values{"name": {"Competitive"}, "arguments": {arguments}, "config": {"sv_alltalk 1"}, "edits": {"1"}})
	s.post("/servers/"+friday+"/console", url.Values{"command": {"status"}})
	s.run("left4me", "user", "add", "mira", "--data", s.data)

	files := s.made("/overlays", url.Values{"kind": {"files"}, "name": {"Friday files"}})
	s.post(files+"/files/save", url.Values{"path": {"left4dead2/cfg/server.cfg"}, "text": {"sv_alltalk 1\n"}})
	s.post(files+"/draft/publish", url.Values{"why": {"The first files"}})
	s.succeed(s.newestJob(), "publishing")
	s.post(files+"/files/save", url.Values{"path": {"motd.txt"}, "text": {"hello\n"}})
	script := s.made("/overlays", url.Values{"kind": {"script"}, "name": {"Nightly"}})
	s.post(script+"/script", url.Values{"script": {"mkdir -p left4dead2/cfg\n"}, "revision": {"1"}, "do": {"save"}})
	workshop := s.made("/overlays", url.Values{"kind": {"workshop"}, "name": {"Maps"}})
	s.post(workshop+"/items", url.Values{"items": {"3100000003 3110000032"}})
	managed := s.made("/overlays", url.Values{"kind": {"managed"}, "name": {"SourceMod"}, "recipe": {"sourcemod"}})
	s.post("/blueprints/"+blueprint+"/overlays", url.Values{"do": {"add"}, "overlay": {strings.TrimPrefix(files, "/overlays/")}})

	server, print := "/servers/"+friday, "/blueprints/"+blueprint
	pages := map[string]string{
		"/signin": "/signin", "/account": "/account",
		"/servers": "/servers", "/servers/new": "/servers/new",
		"/servers/:instance": server, "/servers/:instance/log": server + "/log?q=map", "/servers/:instance/console": server + "/console", "/servers/:instance/map": server + "/map",
		"/servers/:instance/players": server + "/players", "/servers/:instance/history": server + "/history", "/servers/:instance/jobs": server + "/jobs", "/servers/:instance/settings": server + "/settings",
		"/servers/:instance/files": server + "/files", "/servers/:instance/files all": server + "/files?view=all",
		"/blueprints": "/blueprints", "/blueprints/new": "/blueprints/new", "/blueprints/import": "/blueprints/import", "/blueprints/:id": print, "/blueprints/:id/stack": print + "/stack", "/blueprints/:id/maps": print + "/maps",
		"/overlays": "/overlays", "/overlays/new": "/overlays/new",
		"/overlays/:overlay files": files, "/overlays/:overlay script": script, "/overlays/:overlay workshop": workshop, "/overlays/:overlay managed": managed,
		"/overlays/:overlay/versions": files + "/versions", "/overlays/:overlay/versions/:number": files + "/versions/1", "/overlays/:overlay/files/entry": files + "/files/entry?path=left4dead2/cfg/server.cfg",
		"/game": "/game", "/game/update": "/game/update", "/jobs": "/jobs", "/jobs/:number": "/jobs/" + install, "/jobs/:number/log": "/jobs/" + install + "/log?q=app",
		"/admin": "/admin", "/admin/host": "/admin/host", "/admin/schedules": "/admin/schedules", "/admin/users": "/admin/users", "/admin/audit": "/admin/audit",
	}
	pages["/servers/:instance/files/text"] = s.linked(server+"/files?view=all&path=left4dead2/cfg", server+"/files/text[^\"]+")
	pages["/admin/users/:user"] = s.linked("/admin/users", "/admin/users/[^\"/]+")
	return pages
}

// made posts a form and says where the page that shows what was made is.
func (s *site) made(path string, form url.Values) string {
	s.t.Helper()
	resp, err := s.client.PostForm(s.base+path, form)
	if err != nil {
		s.t.Fatal(err)
	}
	status, body := s.body(resp)
	if status != http.StatusOK || resp.Request.URL.Path == path {
		s.t.Fatalf("POST %s %v: status %d\n%s", path, form, status, body)
	}
	return resp.Request.URL.Path
}

// linked is the first address on a page that matches.
func (s *site) linked(page, pattern string) string {
	s.t.Helper()
	_, body := s.get(page)
	m := regexp.MustCompile(`"(` + pattern + `)"`).FindStringSubmatch(body)
	if m == nil {
		s.t.Fatalf("%s has no link to %s:\n%s", page, pattern, body)
	}
	return strings.ReplaceAll(m[1], "&amp;", "&")
}

// weigh adds up what a browser fetches for its first page: the page and every file of
// ours that it names, compressed.
func (s *site) weigh(page string) int {
	s.t.Helper()
	size, body := s.compressed(page)
	seen := map[string]bool{}
	for _, file := range regexp.MustCompile(`/static/[a-z0-9.]+`).FindAllString(body, -1) {
		if !seen[file] {
			seen[file] = true
			n, _ := s.compressed(file)
			size += n
		}
	}
	return size
}

func (s *site) compressed(path string) (size int, body string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.base+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	status, sent := s.body(resp)
	if status != http.StatusOK {
		s.t.Fatalf("GET %s: status %d\n%s", path, status, sent)
	}
	if resp.Header.Get("Content-Encoding") != "gzip" {
		return len(sent), sent
	}
	zr, err := gzip.NewReader(strings.NewReader(sent))
	if err != nil {
		s.t.Fatal(err)
	}
	plain, err := io.ReadAll(zr)
	if err != nil {
		s.t.Fatal(err)
	}
	return len(sent), string(plain)
}

// audit looks at the page that is open in both sizes and colours. What a size changes
// and what colours change is asked for once each: everything at a desk by day and on a
// phone by night, contrast alone in the other two.
func (b *tab) audit(name string) {
	b.t.Helper()
	if n := get[int](b, `document.querySelectorAll('h1').length`); n != 1 {
		b.t.Errorf("%s has %d first headings; want 1", name, n)
	}
	b.lookWith(name, func(s screen, mode string) {
		if (s.name == phone.name) == (mode == "dark") {
			b.axe(name + " " + s.name + " " + mode)
		} else {
			b.axe(name+" "+s.name+" "+mode, "color-contrast")
		}
	})
	b.typeText(kb.Tab) // from now on the browser shows where the keyboard is
	if bad := get[string](b, unseenFocus); bad != "" {
		b.t.Errorf("%s: nothing shows that these have the focus:\n%s", name, bad)
	}
}

// unseenFocus gives the focus to everything that can have it and lists what does not
// look different then: by an outline, or by that of what it lies in.
const unseenFocus = `(() => {
  const all = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')];
  const shown = (e) => { const s = getComputedStyle(e); return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0; };
  return all.filter((e) => {
    if (!e.checkVisibility({ visibilityProperty: true }) || e.disabled || e.type === 'hidden') return false;
    e.focus({ preventScroll: true });
    return document.activeElement === e && !shown(e) && !(e.parentElement && shown(e.parentElement));
  }).map((e) => e.outerHTML.slice(0, 160)).slice(0, 5).join('\n');
})()`
