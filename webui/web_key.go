package webui

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/models"
)

// webKeyForm is the key for Steam's Web API, by which players get their names and
// pictures. It is never shown again.
type webKeyForm struct {
	Known     bool
	Refused   string // what Steam thinks of it, "" for nothing bad
	RefusedAt time.Time
	Problem   string
}

func (s *Server) webKeyForm(ctx context.Context) (*webKeyForm, error) {
	k, err := models.SteamWebKeyOf(ctx, s.DB, s.Key)
	if err != nil || k == nil {
		return &webKeyForm{}, err
	}
	return &webKeyForm{Known: true, Refused: k.Problem, RefusedAt: k.ProblemAt}, nil
}

func (s *Server) setWebKey(c *gin.Context) error {
	err := s.DB.RunInTx(c.Request.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		if err := models.SetSteamWebKey(ctx, tx, s.Key, strings.TrimSpace(c.PostForm("key"))); err != nil {
			return err
		}
		return models.Audit(ctx, tx, actor(c), "game.web_key", "steam", "set")
	})
	if bad, ok := models.AsInvalid(err); ok {
		form, err := s.accountForm(c)
		if err != nil {
			return err
		}
		return s.renderGame(c, http.StatusUnprocessableEntity, form, bad.Message)
	} else if err != nil {
		return err
	}
	s.flash(c, "key")
	return goTo(c, "/game")
}

func (s *Server) forgetWebKey(c *gin.Context) error {
	err := s.DB.RunInTx(c.Request.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		if err := models.ForgetSteamWebKey(ctx, tx); err != nil {
			return err
		}
		return models.Audit(ctx, tx, actor(c), "game.web_key", "steam", "forgotten")
	})
	if err != nil {
		return err
	}
	return goTo(c, "/game")
}
