package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// mostShift is how much of the window may move by itself in all while live data comes,
// as browsers count it: the part of the window that moved, times how far.
const mostShift = 0.02

// watchShifts counts from now on what moves on the page that is open.
func (b *tab) watchShifts() {
	b.t.Helper()
	get[bool](b, `(() => {
  window.e2eShifts = [];
  const name = (n) => n ? (n.nodeType === 1 ? n : n.parentElement)?.outerHTML.slice(0, 90) : '?';
  new PerformanceObserver((list) => {
    for (const e of list.getEntries()) if (!e.hadRecentInput) e2eShifts.push({ Value: e.value, What: e.sources.slice(0, 3).map((s) => name(s.node) + ' ' + s.previousRect.y + '→' + s.currentRect.y).join('\n    ') });
  }).observe({ type: 'layout-shift' });
  return true;
})()`)
}

// still fails the test when too much moved since watchShifts.
func (b *tab) still(what string) {
	b.t.Helper()
	var shifts []struct {
		Value float64
		What  string
	}
	raw := get[string](b, `JSON.stringify(window.e2eShifts ?? null)`)
	if err := json.Unmarshal([]byte(raw), &shifts); err != nil || shifts == nil {
		b.fatalf("%s: the page was loaded anew (%v)", what, err)
	}
	sum, list := 0.0, ""
	for _, s := range shifts {
		sum += s.Value
		list += fmt.Sprintf("\n  %.4f\n    %s", s.Value, s.What)
	}
	b.t.Logf("%s: %.4f in %d shifts", what, sum, len(shifts))
	if sum > mostShift {
		b.t.Errorf("%s: %.4f of the page moved by itself; want at most %.2f:%s", what, sum, mostShift, list)
	}
}

// Live data changes what pages say and does not move what people read or aim at.
func TestBrowserNothingJumps(t *testing.T) {
	path := chromium(t)
	s := newSite(t, true)
	s.up()
	s.signIn()
	s.install()
	s.games(playersOf(636))
	blueprint := s.makeBlueprint("Competitive", pasted, arguments)
	friday := s.addServer("Friday versus", blueprint, "", freePort(t))
	s.addServer("Training", blueprint, "", freePort(t))
	list := newBrowser(t, path, s.base)
	list.signInAs("admin", adminPassword)
	page, job := list.second(), list.second()
	page.open("/servers/" + friday)
	list.open("/servers")
	for _, b := range []*tab{list, page} {
		b.wait("the live stream", `window.left4me`)
		b.watchShifts()
	}

	s.post("/servers/"+friday+"/start", nil)
	job.open("/jobs/" + s.newestJob())
	job.watchShifts()
	list.sees(".card .state", "Running")
	page.sees("#server-head .state", "Running")
	job.sees("#job-head", "Done")
	list.wait("players on the list", `[...document.querySelectorAll('.card')].some((e) => /[1-9] of \d+ players/.test(e.innerText))`)
	page.sees(".players", "ms")
	s.post("/servers/"+friday+"/stop", nil)
	list.wait("the stop on the list", `[...document.querySelectorAll('.card .state')].every((e) => e.innerText === 'Stopped')`)
	page.sees("#server-head .state", "Stopped")

	list.still("the servers' list")
	page.still("the server's page")
	job.still("the job's page")

	s.script(strings.Replace(seen, `"speed": 6`, `"speed": 10`, 1))
	s.post("/game/install", nil)
	job.open("/jobs/" + s.newestJob())
	job.watchShifts()
	job.sees("#job-head", "Done")
	job.still("the page of a long job")
}
