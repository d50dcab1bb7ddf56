package webui

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/jobs"
	"left4me/models"
)

// publicHost is what players connect to: as configured, or as the browser got
// here. It is only ever shown back to the same browser.
func (s *Server) publicHost(r *http.Request) string {
	if s.PublicHost != "" {
		return s.PublicHost
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'<>;`, r) }) {
		return "localhost"
	}
	return host
}

// serverForm is a new server, or the settings of one.
type serverForm struct {
	New        bool
	Path       string // of an existing server
	Name       string
	Hostname   string
	Port       string
	Blueprint  string
	Blueprints []models.Blueprint
	NextPort   int
	Up         bool // it runs: changes wait for its next start
	Saved      bool
	Problem    map[string]string
}

func (serverForm) template() string { return "server_form.html" }

type newServerPage struct {
	Layout layout
	Form   serverForm
}

func (newServerPage) template() string { return "server_new.html" }

// readServerForm takes only the fields of the form: owner, instance and states
// cannot be set from outside.
func readServerForm(c *gin.Context, into *models.Server) serverForm {
	f := serverForm{Name: c.PostForm("name"), Hostname: c.PostForm("hostname"), Port: strings.TrimSpace(c.PostForm("port")), Blueprint: c.PostForm("blueprint")}
	into.Name, into.Hostname, into.BlueprintID = f.Name, f.Hostname, f.Blueprint
	into.Port = 0 // the next free one
	if port, err := strconv.Atoi(f.Port); err == nil && port != 0 {
		into.Port = port
	} else if f.Port != "" {
		into.Port = -1 // refused with the sentence about ports
	}
	return f
}

// complete adds what the form offers.
func (s *Server) complete(ctx context.Context, u *models.User, f *serverForm) error {
	var err error
	if f.Blueprints, err = models.Blueprints(ctx, s.DB, u.ID); err != nil {
		return err
	}
	f.NextPort, err = models.NextFreePort(ctx, s.DB, models.LocalHost)
	if _, full := models.AsInvalid(err); full {
		f.NextPort, err = 0, nil // the form's port field says it when it is sent
	}
	return err
}

func (s *Server) newServer(c *gin.Context) error {
	return s.showNewServer(c, http.StatusOK, serverForm{Blueprint: c.Query("blueprint")})
}

func (s *Server) showNewServer(c *gin.Context, status int, f serverForm) error {
	f.New = true
	if err := s.complete(c.Request.Context(), user(c), &f); err != nil {
		return err
	}
	l, err := s.layout(c, "New server", "servers")
	if err != nil {
		return err
	}
	return s.show(c, status, newServerPage{Layout: l, Form: f})
}

func (s *Server) createServer(c *gin.Context) error {
	srv := &models.Server{UserID: user(c).ID}
	form := readServerForm(c, srv)
	by := actor(c)
	_, err := s.Jobs.EnqueueWith(c.Request.Context(), by, func(ctx context.Context, tx bun.Tx) ([]jobs.Args, error) {
		fresh := *srv // the transaction may run twice
		if err := models.CreateServer(ctx, tx, s.Key, &fresh); err != nil {
			return nil, err
		}
		*srv = fresh
		if err := models.Audit(ctx, tx, by, "server.create", "server:"+srv.Instance, srv.Name); err != nil {
			return nil, err
		}
		return []jobs.Args{jobs.ApplyBlueprint{ServerID: srv.ID}}, nil
	})
	if bad, ok := models.AsInvalid(err); ok {
		form.Problem = map[string]string{bad.Field: bad.Message}
		return s.showNewServer(c, http.StatusUnprocessableEntity, form)
	} else if err != nil {
		return err
	}
	s.flash(c, "created")
	return goTo(c, "/servers/"+srv.Instance)
}

type serverPage struct {
	serverFrame
	Now     serverNow
	Log     logView
	Tonight *tonightView // nil when nothing is known of the last hours
}

func (serverPage) template() string { return "server.html" }

// rconView shows the RCON password once it was asked for.
type rconView struct {
	Path     string
	Password string
	Former   bool // the running game still has another one
}

func (rconView) template() string { return "server_rcon.html" }

// showServer is the first tab: what the server is doing now, and its log.
func (s *Server) showServer(c *gin.Context) error {
	v, err := s.tabView(c)
	if err != nil {
		return err
	}
	frame, err := s.serverFrame(c, v, "", "server-now:"+v.Server.Instance, "console:"+v.Server.Instance)
	if err != nil {
		return err
	}
	tonight, err := s.tonight(c.Request.Context(), v)
	if err != nil {
		return err
	}
	frame.Layout.Scripts = []string{"log.js"}
	return s.show(c, http.StatusOK, serverPage{frame, serverNow{v}, s.consoleTail(c.Request.Context(), v.Server.Instance), tonight})
}

func settingsOf(v serverView) serverForm {
	srv := v.Server
	return serverForm{Path: v.Path(), Name: srv.Name, Hostname: srv.Hostname, Port: strconv.Itoa(srv.Port), Blueprint: srv.BlueprintID, Up: v.Up()}
}

func (s *Server) editServer(c *gin.Context) error {
	v, err := s.serverView(c.Request.Context(), user(c), c.Param("instance"), s.publicHost(c.Request))
	if err != nil {
		return err
	}
	before := *v.Server
	form := readServerForm(c, v.Server)
	form.Path, form.Up = v.Path(), v.Up()
	by := actor(c)
	_, err = s.Jobs.EnqueueWith(c.Request.Context(), by, func(ctx context.Context, tx bun.Tx) ([]jobs.Args, error) {
		changed := *v.Server
		if err := models.UpdateServer(ctx, tx, &changed); err != nil {
			return nil, err
		}
		if err := models.Audit(ctx, tx, by, "server.edit", "server:"+changed.Instance, ""); err != nil {
			return nil, err
		}
		form.Port = strconv.Itoa(changed.Port)
		return []jobs.Args{jobs.ApplyBlueprint{ServerID: changed.ID}}, nil
	})
	bad, invalid := models.AsInvalid(err)
	switch {
	case invalid:
		form.Problem = map[string]string{bad.Field: bad.Message}
	case err != nil:
		return err
	}
	if isHX(c) {
		form.Saved = !invalid
		if err := s.complete(c.Request.Context(), user(c), &form); err != nil {
			return err
		}
		return s.show(c, http.StatusOK, form)
	}
	if invalid {
		*v.Server = before // what the page says of the server is still true
		return s.renderSettings(c, http.StatusUnprocessableEntity, v, form, rconView{})
	}
	s.flash(c, "saved")
	return goTo(c, v.Path()+"/settings")
}
