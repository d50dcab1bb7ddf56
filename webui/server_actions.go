package webui

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"left4me/jobs"
	"left4me/models"
)

func (s *Server) startServer(c *gin.Context) error {
	return s.serverJob(c, func(id string) jobs.Args { return jobs.StartServer{ServerID: id} })
}

func (s *Server) stopServer(c *gin.Context) error {
	return s.serverJob(c, func(id string) jobs.Args { return jobs.StopServer{ServerID: id} })
}

// restartServer is also how a running server takes its blueprint now.
func (s *Server) restartServer(c *gin.Context) error {
	return s.serverJob(c, func(id string) jobs.Args { return jobs.RestartServer{ServerID: id} })
}

func (s *Server) applyServer(c *gin.Context) error {
	return s.serverJob(c, func(id string) jobs.Args { return jobs.ApplyBlueprint{ServerID: id} })
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
	rcon := rconView{Path: v.Path(), Password: password}
	if isHX(c) {
		return s.show(c, http.StatusOK, rcon)
	}
	return s.renderSettings(c, http.StatusOK, v, settingsOf(v), rcon)
}
