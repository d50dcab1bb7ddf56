package webui

import (
	"context"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/jobs"
	"left4me/models"
)

func (s *Server) startServer(c *gin.Context) error {
	return s.serverJob(c, func(id string) jobs.Args { return jobs.StartServer{ServerID: id} })
}

func (s *Server) stopServer(c *gin.Context) error {
	return s.serverJob(c, func(id string) jobs.Args { return jobs.StopServer{ServerID: id} })
}

func (s *Server) restartServer(c *gin.Context) error {
	return s.serverJob(c, func(id string) jobs.Args { return jobs.RestartServer{ServerID: id} })
}

// serverJob asks for a job on one of the user's servers and answers with the
// fragment that shows it, or with the page it was asked from.
func (s *Server) serverJob(c *gin.Context, args func(id string) jobs.Args) error {
	srv, err := models.ServerByInstance(c.Request.Context(), s.DB, user(c).ID, c.Param("instance"))
	if err != nil {
		return err
	}
	if _, err := s.Jobs.Enqueue(c.Request.Context(), actor(c), args(srv.ID)); err != nil {
		return err
	}
	return s.answerServer(c, srv)
}

func (s *Server) answerServer(c *gin.Context, srv *models.Server) error {
	if !isHX(c) {
		return goTo(c, localBack(c, "/servers/"+srv.Instance))
	}
	v, err := s.serverView(c.Request.Context(), user(c), srv.Instance, s.publicHost(c.Request))
	if err != nil {
		return err
	}
	switch target := c.GetHeader("HX-Target"); {
	case strings.HasPrefix(target, "server-card-"):
		return s.show(c, http.StatusOK, cardOf(v))
	case strings.HasPrefix(target, "changes-"):
		return s.show(c, http.StatusOK, changesNote{v})
	case target == "blueprint-linked":
		linked, err := s.blueprintLinked(c.Request.Context(), user(c), srv.BlueprintID, s.publicHost(c.Request))
		if err != nil {
			return err
		}
		return s.show(c, http.StatusOK, linked)
	}
	return s.show(c, http.StatusOK, serverHead{v})
}

// localBack is where a form wants to return to, if that is a page of ours.
func localBack(c *gin.Context, otherwise string) string {
	if back := c.PostForm("back"); back != "" && localPath(back) == back {
		return back
	}
	return otherwise
}

func (s *Server) deleteServer(c *gin.Context) error {
	srv, err := models.ServerByInstance(c.Request.Context(), s.DB, user(c).ID, c.Param("instance"))
	if err != nil {
		return err
	}
	ok, err := s.sure(c, "servers", confirmPage{
		Heading: "Delete the server “" + srv.Name + "”?", Button: "Delete the server",
		Text: deleteServerText, Back: "/servers/" + srv.Instance,
	})
	if !ok || err != nil {
		return err
	}
	if _, err := s.Jobs.Enqueue(c.Request.Context(), actor(c), jobs.DeleteServer{ServerID: srv.ID}); err != nil {
		return err
	}
	s.flash(c, "deleting")
	return goTo(c, "/servers") // its own page is about to be nowhere
}

// resetServer stops a server and removes what its game wrote.
func (s *Server) resetServer(c *gin.Context) error {
	srv, err := models.ServerByInstance(c.Request.Context(), s.DB, user(c).ID, c.Param("instance"))
	if err != nil {
		return err
	}
	ok, err := s.sure(c, "servers", confirmPage{
		Heading: "Reset the server “" + srv.Name + "”?", Button: "Reset the server",
		Text: resetServerText, Back: "/servers/" + srv.Instance + "/settings",
	})
	if !ok || err != nil {
		return err
	}
	if _, err := s.Jobs.Enqueue(c.Request.Context(), actor(c), jobs.ResetServer{ServerID: srv.ID}); err != nil {
		return err
	}
	s.flash(c, "resetting")
	return goTo(c, "/servers/"+srv.Instance)
}

const resetServerText = "It is stopped first. What its game wrote goes: logs, bans, databases of plug-ins, changed files. Its settings, its blueprint and its overlays stay."

const deleteServerText = "It is stopped first. Everything the game wrote for it on the host goes too. Its blueprint stays."

// revealRCON shows a server's RCON password to its owner, and writes down that
// it did. It is a POST: a password must not lie in a history or a cache.
func (s *Server) revealRCON(c *gin.Context) error {
	v, err := s.serverView(c.Request.Context(), user(c), c.Param("instance"), s.publicHost(c.Request))
	if err != nil {
		return err
	}
	password, err := s.Key.Open(v.Server.RCONOwner(), v.Server.RCONPassword)
	if err != nil {
		return err
	}
	if err := models.Audit(c.Request.Context(), s.DB, actor(c), "server.reveal_rcon", "server:"+v.Server.Instance, ""); err != nil {
		return err
	}
	rcon := rconView{Path: v.Path(), Password: password, Former: v.Up() && v.Server.Status.Pending}
	if isHX(c) {
		return s.show(c, http.StatusOK, rcon)
	}
	return s.renderSettings(c, http.StatusOK, v, settingsOf(v), rcon)
}

const renewRCONText = "A running game keeps its present password until it is started anew. Programs that use the present one have to be given the new one then."

// renewRCON gives a server another RCON password. Nobody is shown it by that.
func (s *Server) renewRCON(c *gin.Context) error {
	srv, err := models.ServerByInstance(c.Request.Context(), s.DB, user(c).ID, c.Param("instance"))
	if err != nil {
		return err
	}
	settings := "/servers/" + srv.Instance + "/settings"
	ok, err := s.sure(c, "servers", confirmPage{
		Heading: "Make a new RCON password for “" + srv.Name + "”?", Button: "Make a new one", Text: renewRCONText, Back: settings,
	})
	if !ok || err != nil {
		return err
	}
	by := actor(c)
	_, err = s.Jobs.EnqueueWith(c.Request.Context(), by, func(ctx context.Context, tx bun.Tx) ([]jobs.Args, error) {
		fresh := *srv // the transaction may run twice
		if err := models.RenewRCON(ctx, tx, s.Key, &fresh); err != nil {
			return nil, err
		}
		if err := models.Audit(ctx, tx, by, "server.renew_rcon", "server:"+srv.Instance, ""); err != nil {
			return nil, err
		}
		return []jobs.Args{jobs.ApplyBlueprint{ServerID: srv.ID}}, nil
	})
	if err != nil {
		return err
	}
	s.flash(c, "rcon")
	return goTo(c, settings)
}
