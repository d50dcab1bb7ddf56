//go:build system

package systemtest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor/suitetest"
)

const (
	site     = "http://127.0.0.1:8080"
	password = "correct horse battery"
	webEnv   = "/etc/left4me/web.env"
)

// stores sets PostgreSQL and Redis up as deploy/README.md says, once.
func stores(t testing.TB) {
	t.Helper()
	if _, err := os.Stat("/etc/redis/left4me.conf"); err == nil {
		return
	}
	sh(t, "runuser", "-u", "postgres", "--", "createuser", "left4me")
	sh(t, "runuser", "-u", "postgres", "--", "createdb", "-O", "left4me", "left4me")
	suitetest.Write(t, "/etc/redis/left4me.conf", "port 0\nunixsocket /run/redis/redis-server.sock\nunixsocketperm 770\n")
	sh(t, "sh", "-c", "echo include /etc/redis/left4me.conf >> /etc/redis/redis.conf")
	sh(t, "usermod", "-aG", "redis", "left4me")
	sh(t, "systemctl", "restart", "redis-server.service")
	key := sh(t, "sh", "-c", "head -c 32 /dev/urandom | base64")
	for _, file := range []string{webEnv, "/etc/left4me/worker.env"} {
		sh(t, "sed", "-i", "s|^LEFT4ME_SECRET_KEY=.*|LEFT4ME_SECRET_KEY="+key+"|", file)
	}
}

// The whole click: the web app and the worker are their units, the
// stores are PostgreSQL and Redis, the server is its unit.
func TestClickToServer(t *testing.T) {
	stores(t)
	simulateSteam(t)
	before := atRest(t)
	sh(t, "systemctl", "start", "left4me-web.service", "left4me-worker.service")
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := try("journalctl", "--no-pager", "-n", "80", "-u", "left4me-web", "-u", "left4me-worker") // the test has failed already
			t.Log(out)
		}
		sh(t, "systemctl", "stop", "left4me-web.service", "left4me-worker.service")
	})
	// As the operator does it: with the web app's environment, as its user.
	out, err := try(append([]string{"sh", "-c", `set -a; . ` + webEnv + `; exec "$@"`, "sh"},
		asLeft4me("LEFT4ME_ADMIN_PASSWORD="+password, "left4me", "user", "add", "admin", "--admin")...)...)
	if err != nil && !strings.Contains(out, "there is a user admin already") { // by an earlier run
		t.Fatalf("add the first admin: %v\n%s", err, out)
	}
	b := newBrowser(t)
	b.post("/signin", url.Values{"name": {"admin"}, "password": {password}})
	b.post("/game/install", nil)
	b.finished("the installation")
	b.post("/blueprints", url.Values{"name": {"Versus"}, "config": {"sv_alltalk 1\r\nlog on\r\n"}, "arguments": {`+map "c2m1_highway versus"`}})
	blueprint := b.find("/servers/new", `<option value="([^"]+)"[^>]*>Versus`)
	b.post("/servers", url.Values{"name": {"Friday"}, "port": {"27031"}, "blueprint": {blueprint}, "hostname": {"Friday night"}})
	name := b.find("/servers", `/servers/(friday-[a-z0-9]{4})`)
	b.finished("applying the blueprint")
	b.post("/servers/"+name+"/start", nil)
	b.finished("the start")
	st := status(t, name)
	if st.State != ctl.ServerRunning || st.Live == nil || st.Live.Map != "c2m1_highway" || st.Live.Hostname != "Friday night" {
		t.Errorf("the host says %+v", st)
	}
	checkRights(t, st.PID)
	if got := sh(t, "systemctl", "is-active", "left4me-server@"+name+".service"); got != "active" {
		t.Errorf("its unit is %s", got)
	}
	suitetest.Eventually(t, "the server's page shows it running with its map", func() bool {
		page := b.get("/servers/" + name)
		return strings.Contains(page, "Running") && strings.Contains(page, "c2m1_highway")
	})
	// The web app reads what the game wrote through the group, in its own unit's view,
	// which began before the server was mounted.
	logs := "/servers/" + name + "/files?path=left4dead2%2Flogs"
	file := b.find(logs, `/files/download\?path=(left4dead2%2Flogs%2FL[^"]+\.log)`)
	if text := b.get("/servers/" + name + "/files/download?path=" + file); !strings.Contains(text, "Log file started") {
		t.Errorf("the log that the game wrote is %q", text)
	}
	if page := b.get(logs); strings.Contains(page, "lets nobody else") {
		t.Errorf("the page of what the game wrote says:\n%s", page)
	}
	if all := b.get("/servers/" + name + "/files?path=left4dead2%2Fcfg&view=all"); !strings.Contains(all, "Made by left4me") {
		t.Errorf("all files do not name the generated layer:\n%s", all)
	}
	sh(t, "systemctl", "restart", "left4me-web.service") // its view is made anew while the game is mounted
	siteAnswers(t, b.client)
	b.post("/servers/"+name+"/stop", nil)
	b.finished("the stop")
	b.post("/servers/"+name+"/start", nil) // refused if the web app still held the former mount
	b.finished("another start")
	b.post("/servers/"+name+"/stop", nil)
	b.finished("another stop")
	if st := status(t, name); st.State != ctl.ServerStopped {
		t.Errorf("after the stop the host says %s", st.State)
	}
	b.post("/servers/"+name+"/delete", url.Values{"sure": {"yes"}})
	b.finished("the delete")
	if st := status(t, name); st.State != ctl.ServerAbsent {
		t.Errorf("after the delete the host says %s", st.State)
	}
	checkLeft(t, before)
}

// browser is a signed-in visitor without JavaScript.
type browser struct {
	t      testing.TB
	client *http.Client
	seen   int // the newest job that was waited for
}

func newBrowser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, client: &http.Client{Jar: jar, Timeout: time.Minute}}
	siteAnswers(t, b.client)
	return b
}

func siteAnswers(t testing.TB, client *http.Client) {
	t.Helper()
	suitetest.Eventually(t, "the site answers", func() bool {
		resp, err := client.Get(site + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close() // the status is all that counts
		return resp.StatusCode == http.StatusOK
	})
}

func (b *browser) post(path string, form url.Values) {
	b.t.Helper()
	resp, err := b.client.PostForm(site+path, form)
	if err != nil {
		b.t.Fatal(err)
	}
	if body := b.body(resp); resp.StatusCode != http.StatusOK {
		b.t.Fatalf("POST %s: status %d\n%s", path, resp.StatusCode, body)
	}
}

func (b *browser) get(path string) string {
	b.t.Helper()
	resp, err := b.client.Get(site + path)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.body(resp)
}

func (b *browser) body(resp *http.Response) string {
	b.t.Helper()
	defer func() { _ = resp.Body.Close() }() // read whole
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

func (b *browser) find(path, pattern string) string {
	b.t.Helper()
	page := b.get(path)
	m := regexp.MustCompile(pattern).FindStringSubmatch(page)
	if m == nil {
		b.t.Fatalf("%s has no %s:\n%s", path, pattern, page)
	}
	return m[1]
}

// finished waits until the newest job, which is none that was waited for before,
// has succeeded.
func (b *browser) finished(what string) {
	b.t.Helper()
	newest := 0
	for _, m := range regexp.MustCompile(`/jobs/(\d+)`).FindAllStringSubmatch(b.get("/jobs"), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			b.t.Fatal(err)
		}
		newest = max(newest, n)
	}
	if newest <= b.seen {
		b.t.Fatalf("%s: no new job", what)
	}
	b.seen = newest
	page, state := "", ""
	suitetest.Eventually(b.t, fmt.Sprintf("%s (job %d) has ended", what, newest), func() bool {
		page = b.get(fmt.Sprintf("/jobs/%d", newest))
		if m := regexp.MustCompile(`<span class="state[^"]*"><i></i>([^<]+)`).FindStringSubmatch(page); m != nil {
			state = m[1]
		}
		return state == "Done" || state == "Succeeded" || state == "Failed" || state == "Cancelled"
	})
	if state == "Failed" || state == "Cancelled" {
		b.t.Fatalf("%s: %s\n%s", what, state, page)
	}
}
