package webui

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"left4me/models"
)

// ownLines is how many lines of the audit log the account page shows.
const ownLines = 20

// accountPage is one's own: password, browsers, and what one did lately.
type accountPage struct {
	Layout   layout
	Problem  map[string]string // by field
	Browsers []browserRow
	Did      []auditRow
	Older    string // the next lines begin below this one; "" when there are none
	First    bool
}

func (accountPage) template() string { return "account.html" }

// browserRow is one signed-in browser.
type browserRow struct {
	Session models.Session
	Words   string // such as "Firefox on Windows"
	This    bool
}

// Others says whether there is a browser beside this one.
func (p accountPage) Others() bool { return len(p.Browsers) > 1 }

func (s *Server) showAccount(c *gin.Context) error { return s.renderAccount(c, http.StatusOK, nil) }

func (s *Server) renderAccount(c *gin.Context, status int, problem map[string]string) error {
	ctx, sess := c.Request.Context(), visitOf(c.Request.Context()).session
	p := accountPage{Problem: problem}
	list, err := models.Sessions(ctx, s.DB, sess.UserID)
	if err != nil {
		return err
	}
	for _, one := range list {
		p.Browsers = append(p.Browsers, browserRow{Session: one, Words: browserWords(one.Agent), This: one.ID == sess.ID})
	}
	before := auditCursor(c)
	p.First = before == ""
	if p.Did, p.Older, err = s.auditRows(ctx, models.AuditFilter{UserID: sess.UserID, Before: before}, ownLines); err != nil {
		return err
	}
	if p.Layout, err = s.layout(c, "Account", "account"); err != nil {
		return err
	}
	return s.show(c, status, p)
}

// changePassword asks for the present one: a browser left open is not enough.
func (s *Server) changePassword(c *gin.Context) error {
	u := user(c)
	err := s.signins.try(c.Request.Context(), visitOf(c.Request.Context()).address, u.Name)
	if err != nil {
		return err
	}
	u, err = s.authenticate(c.Request.Context(), u.Name, c.PostForm("current"))
	if errors.Is(err, errWrongPassword) {
		err = models.Invalid("current", "This is not your present password. Type it again.")
	}
	if err == nil {
		s.signins.succeeded(c.Request.Context(), u.Name)
		err = s.storePassword(c, u, c.PostForm("password"))
	}
	if bad, ok := models.AsInvalid(err); ok {
		return s.renderAccount(c, http.StatusUnprocessableEntity, map[string]string{bad.Field: bad.Message})
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
	by, keep := actor(c), visitOf(c.Request.Context()).session.ID
	if err := s.Jobs.ChangePassword(c.Request.Context(), by, u, hash, keep); err != nil {
		return err
	}
	s.streams.end(func(key streamKey) bool { return key.user == by.ID && key.session != keep })
	return nil
}

// endSession signs one of the user's browsers out.
func (s *Server) endSession(c *gin.Context) error {
	id := c.Param("session")
	if err := s.Jobs.EndSession(c.Request.Context(), actor(c), id); err != nil {
		return err
	}
	s.streams.end(func(key streamKey) bool { return key.session == id })
	if id == visitOf(c.Request.Context()).session.ID {
		return goTo(c, "/signin")
	}
	s.flash(c, "ended")
	return goTo(c, "/account")
}

// endOtherSessions signs every browser out but this one.
func (s *Server) endOtherSessions(c *gin.Context) error {
	by, keep := actor(c), visitOf(c.Request.Context()).session.ID
	if err := s.Jobs.EndOtherSessions(c.Request.Context(), by, keep); err != nil {
		return err
	}
	s.streams.end(func(key streamKey) bool { return key.user == by.ID && key.session != keep })
	s.flash(c, "alone")
	return goTo(c, "/account")
}
