package webui

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/models"
)

type signinPage struct {
	Layout  layout
	Name    string
	Next    string
	Problem string
	Note    string
}

func (signinPage) template() string { return "signin.html" }

func (s *Server) showSignin(c *gin.Context) error {
	next := localPath(c.Query("next"))
	if user(c) != nil {
		return goTo(c, next)
	}
	return s.show(c, http.StatusOK, signinPage{Layout: layout{Title: "Sign in"}, Next: next, Note: s.takeFlash(c)})
}

func (s *Server) signin(c *gin.Context) error {
	name, password := strings.TrimSpace(c.PostForm("name")), c.PostForm("password")
	page := signinPage{Layout: layout{Title: "Sign in"}, Name: clip(name, 64), Next: localPath(c.PostForm("next"))}
	if err := s.signins.try(c.Request.Context(), visitOf(c.Request.Context()).address, name); err != nil {
		f := publicFailure(err, "")
		page.Problem = f.text
		c.Header("Retry-After", strconv.Itoa(max(f.retryAfter, 1)))
		return s.show(c, f.status, page)
	}
	u, err := s.authenticate(c.Request.Context(), name, password)
	if err == nil {
		err = s.beginSession(c, u)
	}
	if errors.Is(err, errWrongPassword) {
		page.Problem = "This name and password do not belong together. Check both and try again."
		return s.show(c, http.StatusUnprocessableEntity, page)
	} else if err != nil {
		return err
	}
	s.signins.succeeded(c.Request.Context(), name)
	return goTo(c, page.Next)
}

// beginSession always makes a new token and ends the session that the browser
// came with: a token that somebody planted there is worth nothing afterwards. It is
// errWrongPassword when u was changed since the password was checked: that ended all
// sessions of theirs, and this would be one more.
func (s *Server) beginSession(c *gin.Context, u *models.User) error {
	if old := s.token(c.Request); old != "" {
		if err := models.DeleteSession(c.Request.Context(), s.DB, models.SessionID(old)); err != nil {
			return err
		}
	}
	if err := models.DeleteExpiredSessions(c.Request.Context(), s.DB); err != nil {
		return err
	}
	v := visitOf(c.Request.Context())
	var token string
	err := s.DB.RunInTx(c.Request.Context(), nil, func(ctx context.Context, tx bun.Tx) (err error) {
		if err := u.Unchanged(ctx, tx); err != nil {
			return err
		}
		if token, err = models.CreateSession(ctx, tx, u.ID, v.address, c.Request.UserAgent()); err != nil {
			return err
		}
		by := models.Actor{ID: u.ID, Name: u.Name, Address: v.address}
		return models.Audit(ctx, tx, by, "session.begin", "user:"+u.Name, "")
	})
	if errors.Is(err, models.ErrConflict) {
		return errWrongPassword
	} else if err != nil {
		return err
	}
	s.setSession(c, token, int(models.SessionLife.Seconds()))
	return nil
}

func (s *Server) signout(c *gin.Context) error {
	sess := visitOf(c.Request.Context()).session
	if err := s.Jobs.EndSession(c.Request.Context(), actor(c), sess.ID); err != nil && !errors.Is(err, models.ErrNotFound) {
		return err // one that has ended meanwhile is as good
	}
	s.streams.end(func(key streamKey) bool { return key.session == sess.ID })
	s.setSession(c, "", -1)
	s.flash(c, "signedout")
	return goTo(c, "/signin")
}
