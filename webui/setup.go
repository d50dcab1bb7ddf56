package webui

import (
	"context"

	"left4me/jobs"
	"left4me/models"
)

// setup is the way from an empty host to a running server: what is done, what comes
// now, and what follows.
type setup struct {
	Steps []setupStep
	Last  bool // only the last step is left
}

func (setup) template() string { return "setup.html" }

// setupStep is one step. At most one of Link and Action is set.
type setupStep struct {
	State  string // done, now or todo
	Title  string
	Text   string
	Word   string // of the link or button
	Link   string
	Action string   // what its button posts to
	Job    *jobView // does it at this moment
}

// Primary says that this is what to do next.
func (v setupStep) Primary() bool { return v.State == "now" }

// readSetup finds out what is still to be done, nil for nothing. servers are all that
// the user has.
func (s *Server) readSetup(ctx context.Context, u *models.User, game gameCard, servers []serverView) (*setup, error) {
	installed := game.Host.Game.Installed
	started, err := s.startedOnce(ctx, u, servers)
	if err != nil || installed && started {
		return nil, err
	}
	prints, err := models.Blueprints(ctx, s.DB, u.ID)
	if err != nil {
		return nil, err
	}
	v := &setup{Last: installed && len(servers) > 0}
	if u.Admin {
		check, err := s.checkStep(ctx, game.Host)
		if err != nil {
			return nil, err
		}
		if check.State == "done" || !installed { // who installed by hand knows the host
			v.add(check, check.State == "done")
		}
	}
	v.add(installStep(game), installed)
	blueprint := setupStep{Title: "Make a blueprint", Text: "What a server is made from: launch arguments and server.cfg.", Word: "New blueprint", Link: "/blueprints/new"}
	if n := len(prints); n > 0 {
		blueprint.Text = "You have " + count(n, "blueprint") + "."
	}
	v.add(blueprint, len(prints) > 0)
	server := setupStep{Title: "Make a server from it", Text: "A name and a port. It stays linked to its blueprint."}
	if len(prints) > 0 {
		server.Word, server.Link = "New server", "/servers/new"
	}
	if n := len(servers); n > 0 {
		server.Text = "You have " + count(n, "server") + "."
	}
	v.add(server, len(servers) > 0)
	start := setupStep{Title: "Start it, and tell your friends where it is", Text: "Its card then has the address that they connect to."}
	if installed && len(servers) > 0 {
		start.Word, start.Action = "Start "+servers[0].Server.Name, servers[0].Path()+"/start"
	}
	v.add(start, started)
	return v, nil
}

// add appends a step: it is the one to do now when all before it are done.
func (v *setup) add(step setupStep, done bool) {
	step.State = "now"
	for _, before := range v.Steps {
		if before.State != "done" {
			step.State = "todo"
		}
	}
	if done {
		step.State, step.Word, step.Link, step.Action = "done", "", "", ""
	}
	v.Steps = append(v.Steps, step)
}

// startedOnce says whether a server was ever asked to start. Who has several knows
// how.
func (s *Server) startedOnce(ctx context.Context, u *models.User, servers []serverView) (bool, error) {
	if len(servers) != 1 {
		return len(servers) > 1, nil
	}
	if servers[0].Up() || servers[0].Server.Desired == models.ServerRunning {
		return true, nil
	}
	list, err := models.Jobs(ctx, s.DB, models.JobFilter{User: u, ServerID: servers[0].Server.ID, Limit: 20})
	if err != nil {
		return false, err
	}
	for _, j := range list {
		if j.Kind == (jobs.StartServer{}).Kind() || j.Kind == (jobs.RestartServer{}).Kind() {
			return true, nil
		}
	}
	return len(list) == 20, nil
}

func (s *Server) checkStep(ctx context.Context, host models.Host) (setupStep, error) {
	step := setupStep{Title: "Check the host", Text: "Whether everything is there that servers need. It takes a few seconds and changes nothing.", Word: "Check the host", Action: "/admin/host/check"}
	job, _, err := s.jobsOfKind(ctx, jobs.CheckHost{}.Kind())
	problems, warnings := host.Doctor.Count(models.CheckProblem), host.Doctor.Count(models.CheckWarning)
	switch {
	case job != nil:
		step.Job, step.Text, step.Word, step.Action, step.Link = job, "It is being looked at.", "Watch", "", "/admin/host"
	case host.DoctorAt.IsZero():
	case problems > 0:
		step.Text, step.Word, step.Action, step.Link = "There is "+count(problems, "problem")+" to solve before servers can run here.", "See what to do", "", "/admin/host"
	default:
		step.State, step.Text = "done", "Servers can run here."
		if warnings > 0 {
			step.Text = "Servers can run here; there is " + count(warnings, "warning") + "."
		}
	}
	return step, err
}

func installStep(game gameCard) setupStep {
	step := setupStep{Title: "Install the game"}
	switch {
	case game.Host.Game.Installed:
		step.Text = "It is on this host."
	case game.Job != nil:
		step.Job, step.Text, step.Word, step.Link = game.Job, "It is about to begin.", "Watch", "/game"
	case !game.Admin:
		step.Text = "An administrator of this host has to do that."
	case game.Last != nil:
		step.Text, step.Word, step.Link = "The last try failed.", "See why", "/game"
	default:
		step.Text, step.Word, step.Action = "About 9 GB from Steam, once for all servers of this host.", "Install the game", "/game/install"
	}
	return step
}
