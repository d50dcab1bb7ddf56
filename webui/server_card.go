package webui

import (
	"html/template"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"left4me/models"
)

// serverCard is one server of the list: all that its card shows and nothing else.
// Cards that are equal look the same, so a card is rendered once for as long as it
// stays as it is.
type serverCard struct {
	ID, Instance, Name, Blueprint string

	State   stateView
	Kind    string // of state, as the list's filter has it
	Running bool
	Since   time.Time // of the state; zero for a server that was never started
	Seen    time.Time // when its host last told of it; zero unless that is too long ago

	Sky     string // what stands in the place of the map when there is none
	Map     string // its title
	MapCode string
	Hue     string
	Mode    string // as the game's menu names it
	Live    bool   // the game itself answered
	Players int
	Max     int

	Changed bool
	Trouble string
	Job     cardJob

	Address string
	Join    template.URL // opens the game on a player's own machine; "" when nobody can join
	Stop    bool
	Start   bool

	Find   string // what the list's filter looks in
	Hidden bool   // by the filter
}

// cardJob is the job that has the server, or will have it next.
type cardJob struct {
	Title   string
	Running bool
	Began   time.Time
	Step    string
	Percent int
}

func (serverCard) template() string    { return "server_card.html" }
func (c serverCard) elementID() string { return "server-card-" + c.ID }

// remembered makes cards be rendered once.
func (serverCard) remembered() {}

// ElementID is elementID for the template.
func (c serverCard) ElementID() string { return c.elementID() }

// Path is the server's page.
func (c serverCard) Path() string { return "/servers/" + c.Instance }

func cardOf(v serverView) serverCard {
	srv := v.Server
	c := serverCard{
		ID: srv.ID, Instance: srv.Instance, Name: srv.Name, State: v.State(), Running: srv.Observed == models.ServerRunning,
		Sky: v.Sky(), Changed: v.Changed(), Trouble: cleanText(v.Trouble()), Address: v.Address(), Stop: v.CanStop(), Start: v.CanStart(),
	}
	c.Kind = stateKind(c.State)
	if srv.Blueprint != nil {
		c.Blueprint = srv.Blueprint.Name
	}
	if srv.Observed != models.ServerAbsent {
		c.Since = srv.ObservedSince.UTC()
	}
	if v.Late() {
		c.Seen = srv.ObservedAt.UTC()
	}
	if live := v.Live(); live != nil {
		c.Live, c.Players, c.Max, c.Mode = true, live.Players, live.Max, modeWord(live.Mode)
		if live.Map != "" {
			c.Map, c.MapCode, c.Hue = v.Map(), cleanText(live.Map), v.Hue()
		}
	}
	if v.Up() {
		c.Join = joinLink(v.Host, v.Port())
	}
	if h := v.Holder(); h != nil {
		c.Job = cardJob{Title: h.Job.Title, Running: h.Job.State == models.JobRunning, Began: h.Began().UTC()}
		if now := h.Now(); now != nil {
			c.Job.Step, c.Job.Percent = cleanText(now.Title), int(min(max(now.Percent, 0), 100))
		}
	}
	words := strings.Join([]string{c.Name, c.Blueprint, c.Map, c.MapCode, c.Mode, modeCode(v.Live()), c.Address}, " ")
	c.Find = strings.ToLower(strings.Join(strings.Fields(words), " "))
	return c
}

// modeCode is the mode as arguments and configs name it, such as coop.
func modeCode(live *models.Live) string {
	if live == nil {
		return ""
	}
	return cleanText(live.Mode)
}

// stateKind sorts states into those that the list's filter knows.
func stateKind(s stateView) string {
	if s.Tone == "warn" {
		return "bad"
	}
	return s.Tone
}

// joinLink is the address that makes Steam start the game and connect, "" for a host
// that is neither a name nor an address: what a browser sent must not become a link.
func joinLink(host string, port int) template.URL {
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err != nil && !isHostname(host) {
		return ""
	}
	return template.URL("steam://connect/" + net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port)))
}

func isHostname(s string) bool {
	return s != "" && len(s) <= 253 && strings.Trim(s, ".-") == s && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-'
	})
}
