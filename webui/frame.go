package webui

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"left4me/models"
)

// maxBody bounds what a request may send, where bodies does not say otherwise: a config of 256 KB, three bytes for
// each when it is form-encoded, and the other fields.
const maxBody = 1 << 20

const (
	strictPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	// The queue monitor is an old bundle with inline scripts and styles. Nothing
	// else is served with this policy.
	monitorPolicy = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
		"img-src 'self' data:; font-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

func setSecurityHeaders(h http.Header, path string, secure bool) {
	policy := strictPolicy
	if path == MonitorPath || strings.HasPrefix(path, MonitorPath+"/") {
		policy = monitorPolicy
	}
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	if secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// frame is around every request: headers, a request id, a bound on the body, the
// session, and a recovery that answers with a page.
func (s *Server) frame(c *gin.Context) {
	setSecurityHeaders(c.Writer.Header(), c.Request.URL.Path, s.SecureCookies)
	began := time.Now()
	v := &visit{id: requestID(), address: c.ClientIP()}
	c.Header("X-Request-Id", v.id)
	c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), visitKey{}, v))
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, bodyBound(c.Request.Method, c.FullPath()))
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // the documented way to compare this panic value
				panic(p)
			}
			s.Log.ErrorContext(c.Request.Context(), "a handler panicked", "request", v.id, "path", c.FullPath(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			if !c.Writer.Written() {
				s.writeFailure(c.Writer, c.Request, internalFailure(v.id))
			}
		}
		s.answered(c, v, time.Since(began))
	}()
	c.Next()
}

// answered counts a request and writes its line: the route and never the address,
// which may hold a search or an id; and of the user's id its last twelve digits,
// which no other user has.
func (s *Server) answered(c *gin.Context, v *visit, took time.Duration) {
	route := c.Request.Method + " " + c.FullPath()
	if c.FullPath() == "" {
		route = "none"
	}
	s.meters.answered(route, c.Writer.Status(), took)
	who := ""
	if v.session != nil {
		who = v.session.UserID[max(0, len(v.session.UserID)-12):]
	}
	s.Log.LogAttrs(c.Request.Context(), slog.LevelInfo, "http", slog.String("request", v.id), slog.String("user", who), slog.String("route", route),
		slog.Int("status", c.Writer.Status()), slog.Int64("ms", took.Milliseconds()), slog.Int("bytes", max(c.Writer.Size(), 0)))
}

func requestID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// visit is what is known about a request; it travels in its context.
type visit struct {
	id      string
	address string
	session *models.Session // nil for a stranger
	scraper bool            // it came with the token of the metrics
}

type visitKey struct{}

func visitOf(ctx context.Context) *visit {
	if v, ok := ctx.Value(visitKey{}).(*visit); ok {
		return v
	}
	return &visit{}
}

// user is who is signed in, nil for a stranger.
func user(c *gin.Context) *models.User {
	if v := visitOf(c.Request.Context()); v.session != nil {
		return v.session.User
	}
	return nil
}

// actor names the signed-in user for the audit log.
func actor(c *gin.Context) models.Actor { return actorIn(c.Request.Context()) }

func actorIn(ctx context.Context) models.Actor {
	v := visitOf(ctx)
	a := models.Actor{Address: v.address}
	if v.session != nil {
		a.ID, a.Name = v.session.UserID, v.session.User.Name
	}
	return a
}
