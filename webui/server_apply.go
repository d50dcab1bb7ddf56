package webui

import (
	"context"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/jobs"
	"left4me/models"
)

// applyServer gives a server its blueprint as it is now. One that runs is restarted
// for it: at once, as soon as nobody plays, or never, which takes the second back.
func (s *Server) applyServer(c *gin.Context) error {
	v, err := s.tabView(c)
	if err != nil {
		return err
	}
	args := jobs.Apply(v.Server)
	switch when := c.PostForm("when"); {
	case when == "never":
		return s.doNotApply(c, v.Server)
	case when == "empty":
		args = jobs.ApplyWhenEmpty(v.Server)
	case when != "":
		return models.Invalid("", "This page is old. Reload it and try again.")
	case v.Up():
		ok, err := s.sureToApply(c, "servers", confirmPage{
			Heading: "Restart the server “" + v.Server.Name + "”?", Button: "Restart it", Text: v.Playing() + " It starts with its blueprint as it is now.", Back: v.Path(),
		})
		if !ok || err != nil {
			return err
		}
	}
	return s.serverJob(c, func(string) jobs.Args { return args })
}

// doNotApply takes back that the server is restarted as soon as nobody plays.
func (s *Server) doNotApply(c *gin.Context, srv *models.Server) error {
	err := s.DB.RunInTx(c.Request.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		if err := models.SetApplyWhenEmpty(ctx, tx, srv.ID, false); err != nil {
			return err
		}
		return models.Audit(ctx, tx, actor(c), "server.do_not_apply", "server:"+srv.Instance, "")
	})
	if err != nil {
		return err
	}
	return s.answerServer(c, srv)
}
