package webui

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"left4me/models"
)

func (s *Server) cookieName() string {
	if s.SecureCookies {
		return "__Host-left4me" // browsers refuse it from any other host or path
	}
	return "left4me"
}

func (s *Server) setSession(c *gin.Context, token string, maxAge int) {
	http.SetCookie(c.Writer, &http.Cookie{
		Name: s.cookieName(), Value: token, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: s.SecureCookies, SameSite: http.SameSiteLaxMode,
	})
}

// token is the session token that the browser sent, "" for none.
func (s *Server) token(r *http.Request) string {
	ck, err := r.Cookie(s.cookieName())
	if err != nil || len(ck.Value) > 100 {
		return ""
	}
	return ck.Value
}

// admit finds out who asks and whether they may. A stranger who opens a page is
// sent to the sign-in, and from there back.
func (s *Server) admit(c *gin.Context, need right) error {
	if token := s.token(c.Request); token != "" && !isAsset(c) {
		sess, err := models.FindSession(c.Request.Context(), s.DB, token)
		if err != nil && !errors.Is(err, models.ErrNotFound) {
			return err
		}
		visitOf(c.Request.Context()).session = sess
	}
	if !readable(c.Request.URL) {
		return fmt.Errorf("an address with NUL or broken UTF-8: %w", models.ErrNotFound)
	}
	if need == metrics {
		visitOf(c.Request.Context()).scraper = s.isScraper(c.Request)
	}
	err := s.decide(c.Request.Context(), user(c), need, c.Param)
	if errors.Is(err, errStranger) {
		return s.askToSignIn(c)
	}
	return err
}

// readable is false for an address that no link of ours has: databases take neither
// NUL nor broken UTF-8.
func readable(u *url.URL) bool {
	plain := func(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }
	if !plain(u.Path) {
		return false
	}
	for key, values := range u.Query() {
		if !plain(key) || !plain(strings.Join(values, "")) {
			return false
		}
	}
	return true
}

// isAsset is true for what needs no session, so that it costs no query.
func isAsset(c *gin.Context) bool {
	return c.FullPath() == "/static/:file" || c.FullPath() == "/healthz" || c.FullPath() == "/readyz"
}

func (s *Server) askToSignIn(c *gin.Context) error {
	c.Abort()
	to := "/signin"
	if c.Request.Method == http.MethodGet && c.FullPath() != "/events" && c.Request.URL.Path != "/" {
		to += "?next=" + url.QueryEscape(c.Request.URL.RequestURI())
	}
	switch {
	case c.FullPath() == "/events":
		return errStranger
	case isHX(c):
		c.Header("HX-Redirect", "/signin")
		return errStranger
	}
	c.Redirect(http.StatusSeeOther, to)
	return nil
}

// localPath lets only addresses of this site through: a link to the sign-in must
// not be a way to lead somebody elsewhere afterwards.
func localPath(next string) string {
	const home = "/servers"
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || len(next) > 500 ||
		strings.ContainsFunc(next, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
		return home
	}
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || strings.HasPrefix(u.Path, "//") || u.Path == "/signin" || u.Path == "/events" {
		return home
	}
	return next
}
