// Package webui is what people see in a browser: pages, forms and the live
// stream behind them. It reads rows through models and asks for work through
// jobs; it starts no process, touches no file of the game and knows neither SQL
// nor Redis. Start at Server.routes.
//
// House rules: a handler returns an error or has answered, never both; what a
// person reads is a sentence; every page and fragment is a typed view; a
// fragment that the stream sends is the template the page includes.
package webui

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/jobs"
	"left4me/models"
)

// Config is what a Server needs. Every field without "may be" must be given.
type Config struct {
	DB   *bun.DB
	Jobs *jobs.Client
	Hub  *jobs.Hub // the caller runs it
	Key  *models.SecretKey
	Log  *slog.Logger

	// Content is the overlays on the host. It may be nil: then their pages say that
	// files cannot be shown here.
	Content Content

	// Ready may be nil. It says whether what the pages need beside the database
	// answers; /readyz asks it.
	Ready func(context.Context) error
	// Limiter counts tries to sign in across processes. It may be nil: then they
	// are counted in this process. One that fails is replaced by that too.
	Limiter Limiter

	SecureCookies  bool     // the site is reached by https only
	TrustedProxies []string // addresses or networks whose X-Forwarded-For is believed; none when empty
	PublicHost     string   // what players connect to; empty: the name in the browser's address bar

	// MetricsToken opens /metrics to whoever sends it as a bearer token. It may be
	// empty: then only administrators see that page. It has 16 characters or more.
	MetricsToken string

	Monitor         http.Handler // the queue monitor, may be nil; serves paths below MonitorPath
	MonitorReadOnly bool
	Version         string
}

// MonitorPath is where Config.Monitor is mounted; it must know it too.
const MonitorPath = "/admin/queues"

// Server answers every request of the site.
type Server struct {
	Config
	templates *templates
	static    *static
	signins   *signinLimits
	passwords *passwords
	pages     *sharedPages
	streams   *streams
	meters    *meters
	ready     readyChecks
	uploading *atOnce // requests that send files
	writing   *atOnce // parts of one upload, by its id
	zipping   *atOnce // folders that are downloaded
	heavy     *atOnce // what costs much, see heavyAtOnce
	importing *atOnce // blueprints that are imported
	decoding  chan struct{}
	handler   http.Handler
}

// New makes a Server. It fails when a template is broken, missing or unused: such
// a build must not start. It does no other I/O.
func New(cfg Config) (*Server, error) {
	if cfg.DB == nil || cfg.Jobs == nil || cfg.Hub == nil || cfg.Key == nil || cfg.Log == nil {
		return nil, errors.New("webui: the configuration is not complete")
	}
	if cfg.MetricsToken != "" && len(cfg.MetricsToken) < minMetricsToken {
		return nil, fmt.Errorf("the token of the metrics is too short: use at least %d characters", minMetricsToken)
	}
	st, err := loadStatic()
	if err != nil {
		return nil, err
	}
	tpl, err := loadTemplates(st.url)
	if err != nil {
		return nil, err
	}
	s := &Server{Config: cfg, static: st, templates: tpl, streams: newStreams(), pages: newSharedPages(), passwords: newPasswords(), uploading: newAtOnce(uploadsAtOnce), writing: newAtOnce(1), zipping: newAtOnce(zipsAtOnce), heavy: newAtOnce(heavyAtOnce), importing: newAtOnce(1), decoding: make(chan struct{}, 1)}
	s.signins = newSigninLimits(cfg.Limiter, cfg.Log)
	s.meters = newMeters(cfg, s.streams)
	engine, err := s.engine()
	if err != nil {
		return nil, err
	}
	s.handler = s.guard(engine)
	return s, nil
}

// Handler serves the whole site.
func (s *Server) Handler() http.Handler { return s.handler }

// Close ends every live stream, so that a server's shutdown need not wait for
// them. Browsers come back by themselves.
func (s *Server) Close() { s.streams.endAll() }

func (s *Server) engine() (*gin.Engine, error) {
	gin.SetMode(gin.ReleaseMode) // its debug mode prints to standard output
	e := gin.New()
	e.RedirectTrailingSlash, e.RedirectFixedPath = false, false
	e.HandleMethodNotAllowed = true
	if err := e.SetTrustedProxies(s.TrustedProxies); err != nil {
		return nil, fmt.Errorf("trusted proxies: %w", err)
	}
	e.Use(s.frame)
	for _, r := range s.routes() {
		e.Handle(r.method, r.path, s.page(r.right, r.handle))
	}
	e.NoRoute(s.page(anyone, func(*gin.Context) error { return models.ErrNotFound }))
	e.NoMethod(s.page(anyone, func(*gin.Context) error {
		return &failure{
			status: http.StatusMethodNotAllowed, title: "Not possible this way",
			text: "This address does not take that kind of request. Go back and use the buttons of the page.",
		}
	}))
	return e, nil
}

// guard stands around everything: a browser that sends a form from another site
// is refused before any handler runs.
func (s *Server) guard(next http.Handler) http.Handler {
	cop := http.NewCrossOriginProtection()
	cop.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setSecurityHeaders(w.Header(), r.URL.Path, s.SecureCookies)
		s.Log.WarnContext(r.Context(), "refused a request from another site", "path", r.URL.Path, "origin", clip(r.Header.Get("Origin"), 200))
		s.writeFailure(w, r, &failure{
			status: http.StatusForbidden, title: "Refused",
			text: "This request came from another site, so nothing was done. Open left4me itself and try there.",
		})
	}))
	return cop.Handler(next)
}
