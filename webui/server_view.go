package webui

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"left4me/jobs"
	"left4me/models"
)

// serverView is a server with what holds it: the card, the head of its page and
// the other fragments look at the same thing.
type serverView struct {
	Server *models.Server
	Jobs   []jobView // unfinished ones, oldest first
	Host   string    // what players connect to, without the port
	// Diff is what would change at the next start; nil where nobody looked.
	Diff *specDiff
	// Failed is the server's newest job where that failed and left it down; nil for none.
	Failed *models.Job
}

// Holder is the job that has the server, or will have it next.
func (v serverView) Holder() *jobView {
	if len(v.Jobs) == 0 {
		return nil
	}
	return &v.Jobs[0]
}

// last is the newest job that may still happen.
func (v serverView) last() string {
	for i := len(v.Jobs) - 1; i >= 0; i-- {
		if j := v.Jobs[i].Job; j.CancelRequestedAt.IsZero() && j.Kind != (jobs.ApplyBlueprint{}).Kind() {
			return j.Kind
		}
	}
	return ""
}

// State is the observed state, or what a job is making of it.
func (v serverView) State() stateView {
	if h := v.Holder(); h != nil && h.Job.State == models.JobRunning {
		switch h.Job.Kind {
		case jobs.StartServer{}.Kind():
			return stateView{"Starting", "busy"}
		case jobs.StopServer{}.Kind():
			return stateView{"Stopping", "busy"}
		case jobs.StopForUpdate{}.Kind():
			return stateView{"Stopping for an update", "busy"}
		case jobs.RestartServer{}.Kind():
			return stateView{"Restarting", "busy"}
		case jobs.ResetServer{}.Kind():
			return stateView{"Being reset", "busy"}
		case jobs.DeleteServer{}.Kind():
			return stateView{"Being deleted", "busy"}
		}
	}
	return v.observed()
}

// Up says that the game's process is there.
func (v serverView) Up() bool { return v.Server.Up() }

// Deleting says that a job will remove the server.
func (v serverView) Deleting() bool { return v.last() == (jobs.DeleteServer{}).Kind() }

// CanStop: it is up and nobody stops it yet, or it is about to come up.
func (v serverView) CanStop() bool {
	switch v.last() {
	case jobs.DeleteServer{}.Kind(), jobs.StopServer{}.Kind(), jobs.ResetServer{}.Kind():
		return false
	case jobs.StartServer{}.Kind(), jobs.RestartServer{}.Kind():
		return true
	}
	return v.Up()
}

// CanRestart: it is up, and nothing is about to change that.
func (v serverView) CanRestart() bool { return v.Up() && v.last() == "" }

// CanStart is true whenever Stop is not the thing to do.
func (v serverView) CanStart() bool { return !v.CanStop() && !v.Deleting() }

// Changed says that the server's next start would bring another revision of its
// blueprint, or other settings, than it has now.
func (v serverView) Changed() bool { return v.Server.Blueprint != nil && v.Server.Outdated() }

// Differs is Changed where it was looked at what changes: a change that was taken
// back makes no difference.
func (v serverView) Differs() bool { return v.Changed() && (v.Diff == nil || !v.Diff.Empty()) }

// Playing is who would be thrown out by a restart, in one sentence.
func (v serverView) Playing() string {
	live := v.Live()
	switch {
	case live == nil:
		return "It is not known whether somebody plays on it."
	case live.Players == 0:
		return "Nobody plays on it."
	}
	names := make([]string, 0, 8)
	for _, p := range live.Names {
		if len(names) < cap(names) {
			names = append(names, clip(cleanText(p.Name), 40))
		}
	}
	text := count(live.Players, "player") + " will be thrown out"
	if len(names) > 0 {
		text += ": " + strings.Join(names, ", ")
	}
	if more := live.Players - len(names); more > 0 && len(names) > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text + "."
}

// Hint is a sentence about a state that is fine but not obvious. That a game which
// crashed comes again is told with the crash.
func (v serverView) Hint() string {
	if v.Up() && !v.Server.Status.Hung && (v.Crash() == nil || v.Server.Observed != models.ServerStarting) {
		return v.Server.Status.Message
	}
	return ""
}

// Live is what the game itself says, nil when it is not up.
func (v serverView) Live() *models.Live {
	if !v.Up() {
		return nil
	}
	return v.Server.Status.Live
}

// Map is the title of the map that is played.
func (v serverView) Map() string {
	title, _ := mapTitle(v.Live().Map)
	return cleanText(title)
}

// Hue is the class that gives the map its colour.
func (v serverView) Hue() string {
	_, hue := mapTitle(v.Live().Map)
	return "h" + strconv.Itoa(hue)
}

// Sky is what stands in the place of a map when there is none.
func (v serverView) Sky() string {
	switch {
	case v.Up():
		return "Loading the game"
	case v.State().Word == "Starting":
		return "Getting ready"
	case v.Server.Observed == models.ServerAbsent:
		return "Not set up on the host yet"
	}
	return "Not running"
}

// Port is where the game can be joined now: another one counts from the next start on.
func (v serverView) Port() int {
	argv := v.Server.Status.Argv
	if i := slices.Index(argv, "-port"); v.Up() && i >= 0 && i+1 < len(argv) {
		if port, err := strconv.Atoi(argv[i+1]); err == nil && port > 0 {
			return port
		}
	}
	return v.Server.Port
}

// Address is what players type to connect.
func (v serverView) Address() string { return v.Host + ":" + strconv.Itoa(v.Port()) }

// Path is the server's page.
func (v serverView) Path() string { return "/servers/" + v.Server.Instance }

// rung is one grade of readiness.
type rung struct{ Name, Class string }

// Ladder shows how far a started server has come: each grade includes those
// before it.
func (v serverView) Ladder() []rung {
	rungs := []rung{{Name: "Process"}, {Name: "Port"}, {Name: "Map"}, {Name: "RCON"}, {Name: "Steam"}}
	reached := map[string]int{"process": 1, "port": 2, "map": 3, "rcon": 4, "steam": 5}[v.Server.Status.Grade]
	for i := range rungs {
		switch {
		case i < reached:
			rungs[i].Class = "yes"
		case i == reached && v.Server.Observed == models.ServerStarting:
			rungs[i].Class = "next"
		}
	}
	return rungs
}

// serverViews reads the user's servers with the jobs that hold them.
func (s *Server) serverViews(ctx context.Context, u *models.User, host string) ([]serverView, error) {
	list, err := models.Servers(ctx, s.DB, u.ID)
	if err != nil {
		return nil, err
	}
	return s.viewsOf(ctx, u, list, host)
}

// viewsOf adds the jobs that hold the servers.
func (s *Server) viewsOf(ctx context.Context, u *models.User, list []models.Server, host string) ([]serverView, error) {
	unfinished, err := models.Jobs(ctx, s.DB, models.JobFilter{User: u, Unfinished: true, Limit: 500})
	if err != nil {
		return nil, err
	}
	byServer := map[string][]jobView{}
	for i := len(unfinished) - 1; i >= 0; i-- { // newest first in the list, oldest first here
		id := unfinished[i].ServerID
		byServer[id] = append(byServer[id], jobView{Job: &unfinished[i]})
	}
	views := make([]serverView, len(list))
	for i := range list {
		views[i] = serverView{Server: &list[i], Jobs: byServer[list[i].ID], Host: host}
	}
	return views, s.addFailed(ctx, views)
}

// serverView reads one of the user's servers, or returns ErrNotFound.
func (s *Server) serverView(ctx context.Context, u *models.User, instance, host string) (serverView, error) {
	srv, err := models.ServerByInstance(ctx, s.DB, u.ID, instance)
	if err != nil {
		return serverView{}, err
	}
	held, err := models.UnfinishedJobs(ctx, s.DB, srv.ID)
	if err != nil {
		return serverView{}, err
	}
	v := []serverView{{Server: srv, Jobs: jobViews(held), Host: host}}
	if err := s.addFailed(ctx, v); err != nil {
		return serverView{}, err
	}
	err = s.addDiffs(ctx, u, v)
	return v[0], err
}

// The fragments of a server. All but the forms are replaced by the live stream.
type (
	serverHead  struct{ serverView }
	serverNow   struct{ serverView }
	changesNote struct{ serverView }
)

func (serverHead) template() string     { return "server_head.html" }
func (serverHead) elementID() string    { return "server-head" }
func (serverNow) template() string      { return "server_now.html" }
func (serverNow) elementID() string     { return "server-now" }
func (changesNote) template() string    { return "changes_note.html" }
func (v changesNote) elementID() string { return "changes-" + v.Server.ID }

// applyButtons are how a server takes its blueprint now.
type applyButtons struct {
	serverView
	Target string // the element that shows what comes of it
	Back   string // the page they are on
}

// Apply are the buttons of the note.
func (v changesNote) Apply() applyButtons { return applyButtons{v.serverView, v.elementID(), v.Path()} }

// ElementID is elementID for the templates, which see only exported methods.
func (v serverHead) ElementID() string  { return v.elementID() }
func (v changesNote) ElementID() string { return v.elementID() }
