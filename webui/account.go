package webui

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"left4me/models"
)

type accountPage struct {
	Layout  layout
	Problem map[string]string // by field
}

func (accountPage) template() string { return "account.html" }

func (s *Server) showAccount(c *gin.Context) error {
	l, err := s.layout(c, "Account", "account")
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, accountPage{Layout: l})
}

// changePassword asks for the present one: a browser left open is not enough.
func (s *Server) changePassword(c *gin.Context) error {
	u := user(c)
	err := s.signins.try(c.Request.Context(), visitOf(c.Request.Context()).address, u.Name)
	if err != nil {
		return err
	}
	_, err = s.authenticate(c.Request.Context(), u.Name, c.PostForm("current"))
	if errors.Is(err, errWrongPassword) {
		err = models.Invalid("current", "This is not your present password. Type it again.")
	}
	if err == nil {
		s.signins.succeeded(c.Request.Context(), u.Name)
		err = s.storePassword(c, u, c.PostForm("password"))
	}
	if bad, ok := models.AsInvalid(err); ok {
		l, err := s.layout(c, "Account", "account")
		if err != nil {
			return err
		}
		return s.show(c, http.StatusUnprocessableEntity, accountPage{Layout: l, Problem: map[string]string{bad.Field: bad.Message}})
	} else if err != nil {
		return err
	}
	s.flash(c, "password")
	return goTo(c, "/account")
}

func (s *Server) storePassword(c *gin.Context, u *models.User, password string) error {
	if err := CheckPassword(password); err != nil {
		return err
	}
	hash, err := s.passwords.hash(c.Request.Context(), password)
	if err != nil {
		return err
	}
	keep := visitOf(c.Request.Context()).session.ID
	if err := models.SetPassword(c.Request.Context(), s.DB, u.ID, hash, keep); err != nil {
		return err
	}
	s.streams.end(func(key streamKey) bool { return key.user == u.ID && key.session != keep })
	return models.Audit(c.Request.Context(), s.DB, actor(c), "user.password", "user:"+u.Name, "")
}
