package webui

import (
	"context"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/jobs"
	"left4me/models"
)

type gamePage struct {
	Layout  layout
	Card    gameCard
	Account *accountForm // nil for those who may not see it
	WebKey  *webKeyForm  // likewise
}

// accountForm is the Steam account for installs that do not work anonymously.
// The password is never shown again.
type accountForm struct {
	Name    string
	Known   bool // one is stored
	Problem map[string]string
}

func (gamePage) template() string { return "game.html" }

// gameCard is the installation: what is there and what is being done to it.
type gameCard struct {
	Host    models.Host
	Job     *jobView    // the install that is under way, nil for none
	Last    *jobView    // the last one, when it did not succeed
	Check   *jobView    // Steam is being asked, nil when it is not
	Unasked *jobView    // the last time it was asked, when it did not answer
	Update  *updateView // the last update, for administrators
	Admin   bool
	See     bool // this user may open the job
}

func (gameCard) template() string  { return "game_card.html" }
func (gameCard) elementID() string { return "game-card" }

// State is the installation in a word.
func (v gameCard) State() stateView {
	switch {
	case v.Job != nil && v.Job.Job.State == models.JobRunning && v.Host.Game.Build != "":
		return stateView{"Updating", "busy"}
	case v.Job != nil && v.Job.Job.State == models.JobRunning:
		return stateView{"Installing", "busy"}
	case v.Job != nil:
		return v.Job.State()
	case v.Host.Game.Changing:
		return stateView{"Being installed", "busy"}
	case v.HalfDone():
		return stateView{"Not complete", "bad"}
	case v.Host.Game.Outdated():
		return stateView{"Update available", "warn"}
	case v.Host.Game.Installed && v.Host.Game.Latest != "":
		return stateView{"Up to date", "ok"}
	case v.Host.Game.Installed:
		return stateView{"Installed", "ok"}
	case v.Last != nil && v.Last.Job.State == models.JobFailed:
		return stateView{"Installation failed", "bad"}
	}
	return stateView{"Not installed", "off"}
}

// HalfDone says that there are files and that they cannot be used: an install or
// update did not get to its end.
func (v gameCard) HalfDone() bool {
	return v.Job == nil && !v.Host.Game.Installed && !v.Host.Game.Changing && v.Host.Game.Message != ""
}

// Half says what is wrong with such files. What to do about it on the host's command
// line is left out: this page has a button for it.
func (v gameCard) Half() string {
	text, _, _ := strings.Cut(v.Host.Game.Message, ": run l4d2ctl")
	return text
}

// Fresh says how the installed build compares with the newest that Steam named.
func (v gameCard) Fresh() string {
	g := v.Host.Game
	switch {
	case v.HalfDone():
		return "Servers cannot be started until an install has come to its end."
	case g.Changing:
		return "It is being installed or updated at this moment."
	case !g.Installed:
		return "It is not on this host yet."
	case g.Latest == "":
		return "Steam was not asked yet which build is the newest."
	case g.Outdated():
		return "Steam has build " + g.Latest + ", and build " + g.Build + " is installed."
	}
	return "Build " + g.Build + " is the newest."
}

// installWays are the methods of l4d2ctl in words.
var installWays = map[string]string{
	"seed":  "Anonymous, the Linux files at once",
	"flip":  "Anonymous, the Windows files first",
	"login": "With the Steam account",
}

// Way is how the game got here, "" when that is not known.
func (v gameCard) Way() string { return installWays[v.Host.Game.Method] }

// CanUpdate: nothing is done to the game at the moment.
func (v gameCard) CanUpdate() bool {
	return v.Admin && v.Job == nil && !v.Host.Game.Changing && (v.Update == nil || !v.Update.Live())
}

// gameCard reads all that the page of the game shows.
func (s *Server) gameCard(ctx context.Context, u *models.User) (gameCard, error) {
	v, err := s.readGame(ctx, u, true)
	if err != nil {
		return v, err
	}
	check, last, err := s.jobsOfKind(ctx, jobs.CheckGame{}.Kind())
	if err != nil {
		return v, err
	}
	v.Check = check
	if last != nil && last.Job.State == models.JobFailed && last.Job.FinishedAt.After(v.Host.Game.CheckedAt) {
		v.Unasked = last
	}
	if u.Admin {
		v.Update, err = s.updateView(ctx)
	}
	return v, err
}

// readGame leaves out the last install of a game that is there, unless asked:
// among a million jobs that one is not found for nothing.
func (s *Server) readGame(ctx context.Context, u *models.User, withLast bool) (gameCard, error) {
	host, err := models.HostByName(ctx, s.DB, models.LocalHost)
	if err != nil {
		return gameCard{}, err
	}
	v := gameCard{Host: host, Admin: u.Admin}
	kind := jobs.InstallGame{}.Kind()
	waiting, err := models.UnfinishedByKind(ctx, s.DB, models.LocalHost, kind)
	if err != nil {
		return v, err
	}
	if len(waiting) > 0 {
		v.Job = &jobView{Job: &waiting[0]}
		v.See = v.Job.Job.VisibleTo(u)
		return v, nil
	}
	if host.Game.Installed && !withLast {
		return v, nil
	}
	last, err := models.LastJobByKind(ctx, s.DB, models.LocalHost, kind)
	if err != nil {
		return v, err
	}
	if last != nil && (last.State == models.JobFailed || last.State == models.JobCancelled && !host.Game.Installed) {
		v.Last = &jobView{Job: last}
		v.See = last.VisibleTo(u)
	}
	return v, nil
}

func (s *Server) showGame(c *gin.Context) error {
	form, err := s.accountForm(c)
	if err != nil {
		return err
	}
	return s.renderGame(c, http.StatusOK, form, "")
}

// accountForm is the form of the Steam account, nil for who is no administrator.
func (s *Server) accountForm(c *gin.Context) (*accountForm, error) {
	if !user(c).Admin {
		return nil, nil
	}
	account, err := models.SteamAccountOf(c.Request.Context(), s.DB, s.Key)
	if err != nil || account == nil {
		return &accountForm{}, err
	}
	return &accountForm{Name: account.Name, Known: account.Name != ""}, nil
}

// renderGame shows the page with the forms of administrators; keyProblem is what is wrong
// with a Web API key that was typed.
func (s *Server) renderGame(c *gin.Context, status int, form *accountForm, keyProblem string) error {
	card, err := s.gameCard(c.Request.Context(), user(c))
	if err != nil {
		return err
	}
	page := gamePage{Card: card, Account: form}
	if user(c).Admin {
		if page.WebKey, err = s.webKeyForm(c.Request.Context()); err != nil {
			return err
		}
		page.WebKey.Problem = keyProblem
	}
	if page.Layout, err = s.layout(c, "Game", "game", "game"); err != nil {
		return err
	}
	return s.show(c, status, page)
}

// setAccount stores the Steam account; the next install hands it to the host.
func (s *Server) setAccount(c *gin.Context) error {
	a := models.SteamAccount{Name: strings.TrimSpace(c.PostForm("name")), Password: c.PostForm("password")}
	err := s.DB.RunInTx(c.Request.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		if err := models.SetSteamAccount(ctx, tx, s.Key, a); err != nil {
			return err
		}
		return models.Audit(ctx, tx, actor(c), "game.account", "steam:"+a.Name, "set")
	})
	if bad, ok := models.AsInvalid(err); ok {
		return s.renderGame(c, http.StatusUnprocessableEntity, &accountForm{Name: a.Name, Problem: map[string]string{bad.Field: bad.Message}}, "")
	} else if err != nil {
		return err
	}
	s.flash(c, "account")
	return goTo(c, "/game")
}

// forgetAccount removes the account.
func (s *Server) forgetAccount(c *gin.Context) error {
	err := s.DB.RunInTx(c.Request.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		if err := models.ForgetSteamAccount(ctx, tx); err != nil {
			return err
		}
		return models.Audit(ctx, tx, actor(c), "game.account", "steam", "forgotten")
	})
	if err != nil {
		return err
	}
	s.flash(c, "forgotten")
	return goTo(c, "/game")
}

// installGame installs the game or checks its files. While servers run that is an
// update, whose page says what it does to them.
func (s *Server) installGame(c *gin.Context) error {
	up, err := models.ServersUp(c.Request.Context(), s.DB, models.LocalHost)
	if err != nil {
		return err
	}
	if len(up) > 0 {
		return goTo(c, "/game/update")
	}
	if _, err := s.Jobs.Enqueue(c.Request.Context(), actor(c), jobs.InstallGame{}); err != nil {
		return err
	}
	return s.answerGame(c, localBack(c, "/game"))
}

// checkGame asks Steam which build is the newest.
func (s *Server) checkGame(c *gin.Context) error {
	if _, err := s.Jobs.Enqueue(c.Request.Context(), actor(c), jobs.CheckGame{}); err != nil {
		return err
	}
	return s.answerGame(c, "/game")
}

// answerGame shows what was asked for: the card to a script, a page to others.
func (s *Server) answerGame(c *gin.Context, page string) error {
	if !isHX(c) {
		return goTo(c, page)
	}
	card, err := s.gameCard(c.Request.Context(), user(c))
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, card)
}
