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
	Host  models.Host
	Job   *jobView // the install that is under way, nil for none
	Last  *jobView // the last one that failed, when nothing was installed since
	Admin bool
	See   bool // this user may open the job
}

func (gameCard) template() string  { return "game_card.html" }
func (gameCard) elementID() string { return "game-card" }

// State is the installation in a word.
func (v gameCard) State() stateView {
	switch {
	case v.Job != nil && v.Job.Job.State == models.JobRunning:
		return stateView{"Installing", "busy"}
	case v.Job != nil:
		return v.Job.State()
	case v.Host.Game.Installed:
		return stateView{"Installed", "ok"}
	case v.Last != nil:
		return stateView{"Installation failed", "bad"}
	}
	return stateView{"Not installed", "off"}
}

// gameCard reads all that the page of the game shows.
func (s *Server) gameCard(ctx context.Context, u *models.User) (gameCard, error) {
	return s.readGame(ctx, u, true)
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
	if last != nil && last.State == models.JobFailed {
		v.Last = &jobView{Job: last}
		v.See = last.VisibleTo(u)
	}
	return v, nil
}

func (s *Server) showGame(c *gin.Context) error {
	var form *accountForm
	if user(c).Admin {
		account, err := models.SteamAccountOf(c.Request.Context(), s.DB, s.Key)
		if err != nil {
			return err
		}
		form = &accountForm{}
		if account != nil && account.Name != "" {
			form.Name, form.Known = account.Name, true
		}
	}
	return s.renderGame(c, http.StatusOK, form)
}

func (s *Server) renderGame(c *gin.Context, status int, form *accountForm) error {
	card, err := s.gameCard(c.Request.Context(), user(c))
	if err != nil {
		return err
	}
	l, err := s.layout(c, "Game", "game", "game")
	if err != nil {
		return err
	}
	return s.show(c, status, gamePage{Layout: l, Card: card, Account: form})
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
		return s.renderGame(c, http.StatusUnprocessableEntity, &accountForm{Name: a.Name, Problem: map[string]string{bad.Field: bad.Message}})
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

func (s *Server) installGame(c *gin.Context) error {
	if _, err := s.Jobs.Enqueue(c.Request.Context(), actor(c), jobs.InstallGame{}); err != nil {
		return err
	}
	if !isHX(c) {
		return goTo(c, localBack(c, "/game"))
	}
	card, err := s.gameCard(c.Request.Context(), user(c))
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, card)
}
