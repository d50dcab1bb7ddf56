package webui

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/jobs"
	"left4me/models"
)

// scriptPanel is the script of an overlay with its last build.
type scriptPanel struct {
	Path     string
	Change   bool
	Script   string
	Revision int64
	Problem  string
	Conflict bool // somebody else saved meanwhile; Script is what this form had
	Build    scriptBuild
	Log      *logView // of the newest build that this user may see; nil for none
}

// scriptBuild is how the newest build stands.
type scriptBuild struct {
	Job *jobView // nil when there was none, or it is not this user's to see
}

func (scriptBuild) template() string  { return "overlay_build.html" }
func (scriptBuild) elementID() string { return "script-build" }

func (s *Server) scriptBuild(ctx context.Context, u *models.User, o *models.Overlay) (scriptBuild, error) {
	j, err := models.LastOverlayJob(ctx, s.DB, o.ID)
	if err != nil || j == nil || !j.VisibleTo(u) {
		return scriptBuild{}, err
	}
	return scriptBuild{&jobView{Job: j}}, nil
}

func (s *Server) scriptPanel(ctx context.Context, u *models.User, o *models.Overlay) (*scriptPanel, error) {
	p := &scriptPanel{Path: overlayPath(o.ID), Change: o.ChangeableBy(u), Script: o.Definition.Script, Revision: o.Revision}
	var err error
	if p.Build, err = s.scriptBuild(ctx, u, o); err != nil || p.Build.Job == nil {
		return p, err
	}
	log, err := s.jobTail(ctx, p.Build.Job.Job)
	if err != nil {
		return nil, err
	}
	log.Label = "Log of the build"
	p.Log = &log
	return p, nil
}

// saveScript stores the script and, if that is asked for, builds it in the same
// transaction.
func (s *Server) saveScript(c *gin.Context) error {
	o, err := s.ownOverlay(c, models.OverlayScript)
	if err != nil {
		return err
	}
	stored, script := *o, c.PostForm("script")
	o.Definition.Script = script
	o.Revision, _ = strconv.ParseInt(c.PostForm("revision"), 10, 64) // 0 is no revision: it conflicts
	_, err = s.Jobs.EnqueueWith(c.Request.Context(), actor(c), func(ctx context.Context, tx bun.Tx) ([]jobs.Args, error) {
		if err := models.UpdateOverlay(ctx, tx, o); err != nil {
			return nil, err
		}
		var args []jobs.Args
		if c.PostForm("do") == "build" {
			args = append(args, jobs.BuildOverlay{OverlayID: o.ID, Why: "The script was run."})
		}
		return args, models.Audit(ctx, tx, actor(c), "overlay.script", o.Subject(), o.Name)
	})
	if errors.Is(err, models.ErrConflict) {
		return s.renderOverlay(c, http.StatusConflict, &stored, func(p *overlayPage) { p.Script.Script, p.Script.Conflict = script, true })
	}
	if bad, ok := models.AsInvalid(err); ok {
		return s.renderOverlay(c, http.StatusUnprocessableEntity, &stored, func(p *overlayPage) { p.Script.Script, p.Script.Problem = script, bad.Message })
	} else if err != nil {
		return err
	}
	s.Jobs.OverlayChanged(c.Request.Context(), o.ID)
	s.flash(c, "saved")
	return goTo(c, overlayPath(o.ID))
}
