package webui

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"left4me/jobs"
	"left4me/models"
)

// updateShown is how long the game's page tells of an update that has ended.
const updateShown = 24 * time.Hour

// updateView is the last update of the game: the job that leads it and its steps.
type updateView struct {
	Lead  jobView
	Steps []jobView // stops, the install, starts
}

// updateView reads the update that is under way or ended lately, nil for none.
func (s *Server) updateView(ctx context.Context) (*updateView, error) {
	list, err := jobs.LastUpdate(ctx, s.DB, models.LocalHost, models.Now().Add(-updateShown))
	if err != nil || len(list) == 0 {
		return nil, err
	}
	views := jobViews(list)
	return &updateView{Lead: views[0], Steps: views[1:]}, nil
}

// Live says that it has not come to its end.
func (v updateView) Live() bool {
	for _, j := range v.Steps {
		if !j.Job.Finished() {
			return true
		}
	}
	return !v.Lead.Job.Finished()
}

// State is the update in a word: where it is, or how it ended.
func (v updateView) State() stateView {
	switch {
	case !v.Lead.Job.Finished():
		return stateView{"Preparing", "busy"}
	case v.Live():
		return stateView{"Under way", "busy"}
	case v.Lead.Job.State == models.JobCancelled:
		return stateView{"Cancelled", "off"}
	case v.Lead.Job.State == models.JobFailed:
		return stateView{"Failed", "bad"}
	}
	for _, j := range v.Steps {
		if j.Job.State != models.JobSucceeded {
			return stateView{"Ended with a failure", "bad"}
		}
	}
	return stateView{"Done", "ok"}
}

// Outcome says in a sentence what the update came to, "" while it is under way.
func (v updateView) Outcome() string {
	if v.Live() {
		return ""
	}
	if v.Lead.Job.State != models.JobSucceeded {
		return "Nothing was stopped and nothing was changed."
	}
	installed, starts, failed := false, 0, 0
	for _, j := range v.Steps {
		switch ok := j.Job.State == models.JobSucceeded; j.Job.Kind {
		case jobs.InstallGame{}.Kind():
			installed = ok
		case jobs.StartServer{}.Kind():
			starts++
			if !ok {
				failed++
			}
		}
	}
	text := "The game is up to date."
	if !installed {
		text = "The game was not updated."
	}
	switch {
	case starts == 0:
		return text
	case failed == 0:
		return text + " Every server that ran was started again."
	}
	return text + " Of " + count(starts, "server") + " that ran, " + strconv.Itoa(failed) + " could not be started again: each one's job says why."
}

type updatePage struct {
	Layout  layout
	Game    gameCard
	Servers []serverView
	Problem map[string]string
}

func (updatePage) template() string { return "game_update.html" }

// Players is how many people play on the servers.
func (p updatePage) Players() int {
	n := 0
	for _, v := range p.Servers {
		if live := v.Live(); live != nil {
			n += live.Players
		}
	}
	return n
}

// showUpdate says what an update will do before it is asked for.
func (s *Server) showUpdate(c *gin.Context) error { return s.renderUpdate(c, http.StatusOK, nil) }

func (s *Server) renderUpdate(c *gin.Context, status int, problem map[string]string) error {
	ctx := c.Request.Context()
	game, err := s.gameCard(ctx, user(c))
	if err != nil {
		return err
	}
	up, err := models.ServersUp(ctx, s.DB, models.LocalHost)
	if err != nil {
		return err
	}
	l, err := s.layout(c, "Update the game", "game")
	if err != nil {
		return err
	}
	page := updatePage{Layout: l, Game: game, Problem: problem}
	for i := range up {
		page.Servers = append(page.Servers, serverView{Server: &up[i]})
	}
	return s.show(c, status, page)
}

func (s *Server) updateGame(c *gin.Context) error {
	args := jobs.UpdateGame{Warn: formNumber(c, "warn"), Hours: formNumber(c, "hours")}
	if c.PostForm("when") != "empty" {
		args.Hours = 0
	}
	_, err := s.Jobs.Enqueue(c.Request.Context(), actor(c), args)
	if bad, ok := models.AsInvalid(err); ok {
		return s.renderUpdate(c, http.StatusUnprocessableEntity, map[string]string{bad.Field: bad.Message})
	} else if err != nil {
		return err
	}
	return goTo(c, "/game")
}

// formNumber is a number of a form, -1 for what is none.
func formNumber(c *gin.Context, name string) int {
	text := c.PostForm(name)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return n
}
