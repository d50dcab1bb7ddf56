package webui

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
)

// managedPanel is a shipped recipe with its choices.
type managedPanel struct {
	Path     string
	Recipe   *ctl.Recipe // nil when this version of left4me does not know it
	Options  []optionView
	Change   bool
	Revision int64
	Problem  string
}

type optionView struct {
	ctl.RecipeOption
	Value string
}

func (s *Server) managedPanel(u *models.User, o *models.Overlay) *managedPanel {
	p := &managedPanel{Path: overlayPath(o.ID), Recipe: s.recipe(o.Definition.Recipe), Change: o.ChangeableBy(u), Revision: o.Revision}
	if p.Recipe != nil {
		for _, opt := range p.Recipe.Options {
			value, set := o.Definition.Options[opt.Name]
			if !set {
				value = opt.Default
			}
			p.Options = append(p.Options, optionView{opt, value})
		}
	}
	return p
}

// maxOption bounds a choice that is a text, in characters.
const maxOption = 200

// buildManaged stores the choices and fetches the newest.
func (s *Server) buildManaged(c *gin.Context) error {
	o, err := s.ownOverlay(c, models.OverlayManaged)
	if err != nil {
		return err
	}
	recipe := s.recipe(o.Definition.Recipe)
	if recipe == nil {
		return &failure{status: http.StatusConflict, title: "Unknown recipe", text: "This version of left4me does not know the recipe. Update it, or delete the overlay."}
	}
	stored := *o
	o.Revision, _ = strconv.ParseInt(c.PostForm("revision"), 10, 64) // 0 is no revision: it conflicts
	o.Definition.Options = map[string]string{}
	for _, opt := range recipe.Options {
		value := strings.TrimSpace(c.PostForm("option_" + opt.Name))
		if len(opt.Choices) > 0 && !slices.Contains(opt.Choices, value) || len([]rune(value)) > maxOption {
			return s.renderOverlay(c, http.StatusUnprocessableEntity, &stored, func(p *overlayPage) {
				p.Managed.Problem = fmt.Sprintf("“%s” cannot be %q. Choose again.", opt.Title, clip(value, 60))
			})
		}
		o.Definition.Options[opt.Name] = value
	}
	_, err = s.Jobs.EnqueueWith(c.Request.Context(), actor(c), func(ctx context.Context, tx bun.Tx) ([]jobs.Args, error) {
		if err := models.UpdateOverlay(ctx, tx, o); err != nil {
			return nil, err
		}
		args := []jobs.Args{jobs.BuildOverlay{OverlayID: o.ID, Why: "The newest was asked for."}}
		return args, models.Audit(ctx, tx, actor(c), "overlay.edit", o.Subject(), o.Name)
	})
	if err != nil {
		return err
	}
	return goTo(c, overlayPath(o.ID))
}
