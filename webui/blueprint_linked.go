package webui

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/jobs"
	"left4me/models"
)

// blueprintLinked are the servers that a blueprint is for, and what each of them
// would have of it that it does not have now.
type blueprintLinked struct {
	Path    string
	Servers []serverView
}

func (blueprintLinked) template() string  { return "blueprint_linked.html" }
func (blueprintLinked) elementID() string { return "blueprint-linked" }

// Apply are the buttons of one of the servers.
func (v blueprintLinked) Apply(srv serverView) applyButtons {
	return applyButtons{srv, v.elementID(), v.Path}
}

// Pending counts the servers that do not have the blueprint as it is now.
func (v blueprintLinked) Pending() int {
	n := 0
	for _, srv := range v.Servers {
		if srv.Differs() {
			n++
		}
	}
	return n
}

// Restarts counts those of them that run.
func (v blueprintLinked) Restarts() int {
	n := 0
	for _, srv := range v.Servers {
		if srv.Differs() && srv.Up() {
			n++
		}
	}
	return n
}

// Ask says what applying it to all of them does.
func (v blueprintLinked) Ask() string {
	var running []string
	for _, srv := range v.Servers {
		if srv.Differs() && srv.Up() && len(running) < 10 {
			running = append(running, fmt.Sprintf("“%s”: %s", srv.Server.Name, srv.Playing()))
		}
	}
	more := ""
	if n := v.Restarts() - len(running); n > 0 {
		more = fmt.Sprintf(" And %d more.", n)
	}
	return "Those that run are restarted one after another. " + strings.Join(running, " ") + more
}

func (s *Server) blueprintLinked(ctx context.Context, u *models.User, id, host string) (blueprintLinked, error) {
	all, err := s.serverViews(ctx, u, host)
	if err != nil {
		return blueprintLinked{}, err
	}
	v := blueprintLinked{Path: "/blueprints/" + id}
	for _, srv := range all {
		if srv.Server.BlueprintID == id {
			v.Servers = append(v.Servers, srv)
		}
	}
	return v, s.addDiffs(ctx, u, v.Servers)
}

// applyBlueprint gives every linked server the blueprint as it is now. Those that run
// are restarted for it, now or as soon as nobody plays on them.
func (s *Server) applyBlueprint(c *gin.Context) error {
	u, id := user(c), c.Param("id")
	linked, err := s.blueprintLinked(c.Request.Context(), u, id, s.publicHost(c.Request))
	if err != nil {
		return err
	}
	whenEmpty := c.PostForm("when") == "empty"
	if linked.Restarts() > 0 && !whenEmpty {
		ok, err := s.sureToApply(c, "blueprints", confirmPage{
			Heading: fmt.Sprintf("Restart %s?", count(linked.Restarts(), "server")), Text: linked.Ask(), Button: "Restart them", Back: linked.Path,
		})
		if !ok || err != nil {
			return err
		}
	}
	_, err = s.Jobs.EnqueueWith(c.Request.Context(), actor(c), func(ctx context.Context, tx bun.Tx) ([]jobs.Args, error) {
		if whenEmpty {
			return jobs.ApplyToAllWhenEmpty(ctx, tx, u.ID, id)
		}
		return jobs.ApplyToAll(ctx, tx, u.ID, id)
	})
	if err != nil {
		return err
	}
	if !isHX(c) {
		s.flash(c, "applying")
		return goTo(c, linked.Path)
	}
	if linked, err = s.blueprintLinked(c.Request.Context(), u, id, s.publicHost(c.Request)); err != nil {
		return err
	}
	return s.show(c, http.StatusOK, linked)
}

// sureToApply is sure for what a fragment's form asks, which has no room for a page:
// its own dialog had asked, unless the server began to run since the page was made.
func (s *Server) sureToApply(c *gin.Context, section string, page confirmPage) (bool, error) {
	if isHX(c) && c.PostForm("sure") != "yes" {
		return false, models.Invalid("", "It runs by now, so applying it means a restart. Click again if you want that.")
	}
	return s.sure(c, section, page)
}
