package webui

import (
	"context"
	"fmt"
	"hash/maphash"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"left4me/models"
)

// compactFrom is how many servers make of the cards a list of lines.
const compactFrom = 25

type serversPage struct {
	Layout layout
	Grid   serverGrid
	Filter serverFilter
}

func (serversPage) template() string { return "servers.html" }

// serverGrid is the list, or the first steps for somebody who has none yet.
type serverGrid struct {
	Cards []serverCard
	Setup *setup // nil once there is nothing left to set up
}

func (serverGrid) template() string  { return "server_grid.html" }
func (serverGrid) elementID() string { return "server-grid" }

// Compact says that there are too many for large cards.
func (g serverGrid) Compact() bool { return len(g.Cards) >= compactFrom }

// Many says that it is worth choosing among them.
func (g serverGrid) Many() bool { return len(g.Cards) > 1 }

// NoneShown says that the filter let no card through.
func (g serverGrid) NoneShown() bool {
	for _, c := range g.Cards {
		if !c.Hidden {
			return false
		}
	}
	return len(g.Cards) > 0
}

// Summary is the line above the list: what it comes to.
func (g serverGrid) Summary() serverSummary {
	if len(g.Cards) == 0 {
		return serverSummary{}
	}
	running, players := 0, 0
	for _, c := range g.Cards {
		if c.Running {
			running++
		}
		players += c.Players
	}
	return serverSummary{Text: fmt.Sprintf("%s · %d running · %s", count(len(g.Cards), "server"), running, count(players, "player"))}
}

// print is a short word for all that the list shows: a page that has the same one
// need not be sent the list again.
func (g serverGrid) print() string {
	if g.Setup != nil {
		return "" // the first steps are always sent
	}
	var h maphash.Hash
	h.SetSeed(seed)
	for _, c := range g.Cards {
		c.Hidden = false
		maphash.WriteComparable(&h, c)
	}
	return strconv.FormatUint(h.Sum64(), 16)
}

type serverSummary struct{ Text string }

func (serverSummary) template() string  { return "server_summary.html" }
func (serverSummary) elementID() string { return "server-summary" }

// serverGrid reads the list and what is still to be set up.
func (s *Server) serverGrid(ctx context.Context, u *models.User, host string) (serverGrid, error) {
	list, err := models.ServersBriefly(ctx, s.DB, u.ID)
	if err != nil {
		return serverGrid{}, err
	}
	views, err := s.viewsOf(ctx, u, list, host)
	if err != nil {
		return serverGrid{}, err
	}
	g := serverGrid{Cards: make([]serverCard, len(views))}
	for i, v := range views {
		g.Cards[i] = cardOf(v)
	}
	game, err := s.readGame(ctx, u, false)
	if err != nil {
		return g, err
	}
	g.Setup, err = s.readSetup(ctx, u, game, views)
	return g, err
}

// serverFilter is what of the list is shown: servers in which every word is found
// and whose state is of a kind. All of the list is on the page; what is filtered out
// is hidden, so that a script can change the filter without asking.
type serverFilter struct{ Text, State string }

// States are the kinds of state that can be asked for, by the tones they stand for.
func (serverFilter) States() []struct{ Value, Name string } {
	return []struct{ Value, Name string }{
		{"", "Any state"}, {"ok", "Running"}, {"busy", "Changing"}, {"off", "Not running"}, {"bad", "In trouble"},
	}
}

// readFilter takes a filter from the address. What it does not know shows all.
func readFilter(c *gin.Context) serverFilter {
	f := serverFilter{Text: clip(strings.TrimSpace(c.Query("q")), 100)}
	for _, known := range f.States() {
		if c.Query("state") == known.Value {
			f.State = known.Value
		}
	}
	return f
}

// shows says whether the card is what is looked for.
func (f serverFilter) shows(c serverCard) bool {
	if f.State != "" && f.State != c.Kind {
		return false
	}
	for _, word := range strings.Fields(strings.ToLower(f.Text)) {
		if !strings.Contains(c.Find, word) {
			return false
		}
	}
	return true
}

func (f serverFilter) apply(g serverGrid) {
	for i := range g.Cards {
		g.Cards[i].Hidden = !f.shows(g.Cards[i])
	}
}

// listServers answers many requests of one browser with the same page, for a moment.
func (s *Server) listServers(c *gin.Context) error {
	u, filter, host := user(c), readFilter(c), s.publicHost(c.Request)
	read := func() (view, bool, error) {
		grid, err := s.serverGrid(c.Request.Context(), u, host)
		if err != nil {
			return nil, false, err
		}
		seen := ""
		if print := grid.print(); print != "" {
			seen = "servers=" + print
		}
		filter.apply(grid)
		l, err := s.layout(c, "Servers", "servers", "servers")
		if err != nil {
			return nil, false, err
		}
		l.Seen, l.Scripts = seen, []string{"servers.js"}
		return serversPage{Layout: l, Grid: grid, Filter: filter}, grid.Setup == nil && l.Flash == "", nil
	}
	if _, err := c.Request.Cookie(flashCookie); err != nil && filter == (serverFilter{}) {
		key := pageKey{session: visitOf(c.Request.Context()).session.ID, user: u.ID, admin: u.Admin, host: host}
		return s.showShared(c, key, read)
	}
	page, _, err := read() // what a flash says, and what was looked for, is for this one request
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, page)
}
