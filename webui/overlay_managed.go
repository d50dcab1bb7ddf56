package webui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"

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

// optionView is a choice of a recipe and what was chosen. Field is its name in a
// form, which may hold the choices of several recipes.
type optionView struct {
	ctl.RecipeOption
	Field, Value string
}

func optionViews(r ctl.Recipe, chosen map[string]string) []optionView {
	var list []optionView
	for _, opt := range r.Options {
		value, set := chosen[opt.Name]
		if !set {
			value = opt.Default
		}
		list = append(list, optionView{opt, optionField(r, opt), value})
	}
	return list
}

func optionField(r ctl.Recipe, opt ctl.RecipeOption) string { return r.Name + "." + opt.Name }

// maxOption bounds a choice that is a text, in characters, as the host does.
const maxOption = 200

// readOptions takes a recipe's choices out of a form; one that is not in it has its
// default. One that cannot be is an InvalidError of the field "recipe"; the others
// are returned all the same.
func readOptions(c *gin.Context, r ctl.Recipe) (map[string]string, error) {
	chosen := map[string]string{}
	var bad error
	for _, opt := range r.Options {
		value, given := c.GetPostForm(optionField(r, opt))
		if value = strings.TrimSpace(value); !given {
			value = opt.Default
		}
		switch {
		case len(opt.Choices) > 0 && !slices.Contains(opt.Choices, value):
			bad = models.Invalid("recipe", fmt.Sprintf("“%s” cannot be %q. Choose again.", opt.Title, clip(value, 60)))
		case len([]rune(value)) > maxOption:
			bad = models.Invalid("recipe", fmt.Sprintf("“%s” is too long; use at most %d characters.", opt.Title, maxOption))
		case strings.ContainsFunc(value, unicode.IsControl):
			bad = models.Invalid("recipe", fmt.Sprintf("“%s” contains a character that cannot be shown. Type it again.", opt.Title))
		default:
			chosen[opt.Name] = value
		}
	}
	return chosen, bad
}

// recipe finds a shipped recipe, nil when there is none of that name.
func (s *Server) recipe(name string) *ctl.Recipe {
	if s.Content == nil {
		return nil
	}
	for _, r := range s.Content.Recipes() {
		if r.Name == name {
			return &r
		}
	}
	return nil
}

func (s *Server) managedPanel(u *models.User, o *models.Overlay) *managedPanel {
	p := &managedPanel{Path: overlayPath(o.ID), Recipe: s.recipe(o.Definition.Recipe), Change: o.ChangeableBy(u), Revision: o.Revision}
	if p.Recipe != nil {
		p.Options = optionViews(*p.Recipe, o.Definition.Options)
	}
	return p
}

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
	o.Definition.Options, err = readOptions(c, *recipe)
	if err == nil {
		_, err = s.Jobs.EnqueueWith(c.Request.Context(), actor(c), func(ctx context.Context, tx bun.Tx) ([]jobs.Args, error) {
			if err := models.UpdateOverlay(ctx, tx, o); err != nil {
				return nil, err
			}
			args := []jobs.Args{jobs.BuildOverlay{OverlayID: o.ID, Why: "The newest was asked for."}}
			return args, models.Audit(ctx, tx, actor(c), "overlay.edit", o.Subject(), o.Name)
		})
	}
	if errors.Is(err, models.ErrConflict) {
		err = models.Invalid("recipe", "Somebody changed this overlay in between. Look at the choices as they are now, then try again.")
	}
	if bad, ok := models.AsInvalid(err); ok {
		return s.renderOverlay(c, http.StatusUnprocessableEntity, &stored, func(p *overlayPage) { p.Managed.Problem = bad.Message })
	} else if err != nil {
		return err
	}
	s.Jobs.OverlayChanged(c.Request.Context(), o.ID)
	return goTo(c, overlayPath(o.ID))
}
