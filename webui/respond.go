package webui

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"

	"left4me/models"
)

// failure is an answer that is not what was asked for, in words for people.
type failure struct {
	status      int
	title, text string
	retryAfter  int // seconds; 0 for none
	cause       error
}

func (f *failure) Error() string { return f.title + ": " + f.text }
func (f *failure) Unwrap() error { return f.cause }

func internalFailure(request string) *failure {
	return &failure{
		status: http.StatusInternalServerError, title: "Something broke",
		text: "That is our fault, not yours, and nothing was changed as far as we know. Try again; if it stays so, tell whoever runs this host: request " + request + ".",
	}
}

// publicFailure is the only place that knows which error is which status.
func publicFailure(err error, request string) *failure {
	var f *failure
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &tooLarge):
		return &failure{status: http.StatusRequestEntityTooLarge, title: "Too much at once", text: "What was sent is larger than 1 MB. Shorten it and send it again.", cause: err}
	case errors.Is(err, models.ErrNotFound):
		return &failure{status: http.StatusNotFound, title: "There is nothing here", text: "It was deleted, or it belongs to somebody else, or the address has a mistake in it.", cause: err}
	case errors.Is(err, models.ErrConflict):
		return &failure{status: http.StatusConflict, title: "It changed in between", text: "Somebody or something else was faster. Reload the page and look at how it stands now.", cause: err}
	}
	if bad, ok := models.AsInvalid(err); ok {
		return &failure{status: http.StatusUnprocessableEntity, title: "That does not work", text: bad.Message, cause: err}
	}
	f = internalFailure(request)
	f.cause = err
	return f
}

// page adapts a handler: who is it, may they, then the handler, and one answer
// whatever comes of it.
func (s *Server) page(need right, h func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		err := s.admit(c, need)
		if err == nil && !c.IsAborted() {
			err = readForm(c)
		}
		if u := user(c); u != nil && c.Request.Method != http.MethodGet && c.Request.Method != http.MethodHead {
			defer s.pages.write(u.ID)()
		}
		if err == nil && !c.IsAborted() {
			err = h(c)
		}
		if err == nil || errors.Is(err, context.Canceled) { // a visitor who left is not an error
			return
		}
		v := visitOf(c.Request.Context())
		f := publicFailure(err, v.id)
		if f.status >= http.StatusInternalServerError {
			s.Log.ErrorContext(c.Request.Context(), "a request failed", "request", v.id, "path", c.FullPath(), "status", f.status, "err", err)
		}
		switch {
		case c.Writer.Written():
		case scripted[c.Request.Method+" "+c.FullPath()]:
			c.JSON(f.status, uploadState{Error: f.text})
		default:
			s.writeFailure(c.Writer, c.Request, f)
		}
	}
}

// readForm reads a form before its handler does: gin would take one that is too
// large, or broken, for an empty one.
func readForm(c *gin.Context) error {
	if c.Request.Method != http.MethodPost || c.ContentType() != "application/x-www-form-urlencoded" {
		return nil
	}
	err := c.Request.ParseForm()
	var tooLarge *http.MaxBytesError
	if err == nil || errors.As(err, &tooLarge) {
		return err
	}
	return &failure{status: http.StatusBadRequest, title: "That could not be read", text: "The form arrived broken. Send it again.", cause: err}
}

// writeFailure answers with a page, or with a note that appears in the corner
// when a script asked.
func (s *Server) writeFailure(w http.ResponseWriter, r *http.Request, f *failure) {
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.retryAfter))
	}
	if r.Header.Get("HX-Request") == "true" {
		w.Header().Set("HX-Retarget", "#toasts")
		w.Header().Set("HX-Reswap", "beforeend")
		s.write(w, r, f.status, toastView{Tone: "bad", Text: f.text})
		return
	}
	s.write(w, r, f.status, messagePage{
		Status: f.status, Heading: f.title, Text: f.text,
		SignedIn: visitOf(r.Context()).session != nil, Layout: layout{Title: f.title},
	})
}

// show renders a page or a fragment as the answer.
func (s *Server) show(c *gin.Context, status int, v view) error {
	s.write(c.Writer, c.Request, status, v)
	return nil
}

// write renders to memory first: a template that fails is a 500, not half a page.
func (s *Server) write(w http.ResponseWriter, r *http.Request, status int, v view) {
	body, err := s.templates.render(v)
	if err != nil {
		id := visitOf(r.Context()).id
		s.Log.ErrorContext(r.Context(), "a page could not be rendered", "request", id, "template", v.template(), "err", err)
		http.Error(w, internalFailure(id).text, http.StatusInternalServerError)
		return
	}
	s.send(w, r, status, body, func() []byte { return gzipped(body) })
}

// send writes a page, packed where it is worth it and the browser takes it.
func (s *Server) send(w http.ResponseWriter, r *http.Request, status int, body []byte, packed func() []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Add("Vary", "Accept-Encoding")
	if len(body) > 1000 && acceptsGzip(r) {
		body = packed()
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a visitor who left is not an error
}

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" && strings.ReplaceAll(q, " ", "") != "q=0" {
			return true
		}
	}
	return false
}

var gzipPool = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is a valid one
	return w
}}

func gzipped(body []byte) []byte {
	var out bytes.Buffer
	zw := gzipPool.Get().(*gzip.Writer)
	defer gzipPool.Put(zw)
	zw.Reset(&out)
	_, _ = zw.Write(body) // writing to memory does not fail
	_ = zw.Close()
	return out.Bytes()
}

// isHX says whether a script asked and wants a fragment.
func isHX(c *gin.Context) bool { return c.GetHeader("HX-Request") == "true" }

// goTo answers a form: a redirect that a browser follows with GET.
func goTo(c *gin.Context, path string) error {
	if isHX(c) {
		c.Header("HX-Redirect", path)
		c.Status(http.StatusNoContent)
		c.Writer.WriteHeaderNow()
		return nil
	}
	c.Redirect(http.StatusSeeOther, path)
	return nil
}

// The sentences that the page after a redirect may show. The cookie carries a
// key, never text.
var flashes = map[string]string{
	"ended":       "That browser is signed out.",
	"alone":       "Every other browser is signed out.",
	"reset":       "The password is set. They were signed out everywhere.",
	"activated":   "They can sign in again.",
	"deactivated": "They are signed out everywhere and cannot sign in.",

	"saved":      "Saved.",
	"created":    "Created.",
	"copied":     "Copied. This is the copy.",
	"imported":   "Imported.",
	"deleted":    "Deleted.",
	"resetting":  "The server is being reset. Its job says when that is done.",
	"rcon":       "There is a new RCON password. A running game takes it at its next start.",
	"deleting":   "The server is being deleted.",
	"password":   "Your password is changed. Every other browser was signed out.",
	"signedout":  "You are signed out.",
	"account":    "The Steam account is kept. An install uses it when nothing else works.",
	"forgotten":  "The Steam account is forgotten. The host forgets it with the next install.",
	"items":      "Added. Steam is asked about them now.",
	"version":    "This version is the current one now. Servers take it at their next start.",
	"starting":   "The servers are started, one after another.",
	"stopping":   "The servers are being stopped.",
	"restarting": "The servers are restarted, one after another.",
	"applying":   "The blueprint is being applied.",
}

const flashCookie = "left4me_flash"

func (s *Server) flash(c *gin.Context, key string) {
	http.SetCookie(c.Writer, &http.Cookie{
		Name: flashCookie, Value: key, Path: "/", MaxAge: 30,
		HttpOnly: true, Secure: s.SecureCookies, SameSite: http.SameSiteLaxMode,
	})
}

func (s *Server) takeFlash(c *gin.Context) string {
	ck, err := c.Request.Cookie(flashCookie)
	if err != nil {
		return ""
	}
	http.SetCookie(c.Writer, &http.Cookie{Name: flashCookie, Path: "/", MaxAge: -1, HttpOnly: true, Secure: s.SecureCookies, SameSite: http.SameSiteLaxMode})
	return flashes[ck.Value]
}
