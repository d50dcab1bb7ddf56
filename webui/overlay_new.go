package webui

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
)

// newOverlayPage asks what an overlay is to be made of.
type newOverlayPage struct {
	Layout  layout
	Kinds   []kindView
	Recipes []recipeChoice // for administrators
	Kind    string
	Name    string
	Recipe  string
	Shared  bool
	Admin   bool
	Problem map[string]string
}

func (newOverlayPage) template() string { return "overlay_new.html" }

// recipeChoice is a shipped recipe that an overlay can be made of.
type recipeChoice struct {
	ctl.Recipe
	Options []optionView
}

func (s *Server) newOverlay(c *gin.Context) error {
	kind := c.Query("kind")
	if kindOf(models.OverlayKind(kind)).Text == "" {
		kind = string(models.OverlayWorkshop)
	}
	return s.renderNewOverlay(c, http.StatusOK, newOverlayPage{Kind: kind})
}

// renderNewOverlay shows the form with what its sender chose.
func (s *Server) renderNewOverlay(c *gin.Context, status int, p newOverlayPage) error {
	p.Admin = user(c).Admin
	for _, k := range kinds {
		if k.Kind != models.OverlayManaged || p.Admin {
			p.Kinds = append(p.Kinds, k)
		}
	}
	if p.Admin && s.Content != nil {
		for _, r := range s.Content.Recipes() {
			chosen, _ := readOptions(c, r) // a choice that is refused is not shown again
			p.Recipes = append(p.Recipes, recipeChoice{r, optionViews(r, chosen)})
		}
	}
	var err error
	if p.Layout, err = s.layout(c, "New overlay", "overlays"); err != nil {
		return err
	}
	return s.show(c, status, p)
}

// createOverlay makes an overlay; that of a recipe is built at once, the others
// have nothing to build yet.
func (s *Server) createOverlay(c *gin.Context) error {
	p := newOverlayPage{Kind: c.PostForm("kind"), Name: c.PostForm("name"), Recipe: c.PostForm("recipe"), Shared: c.PostForm("shared") == "yes"}
	o := &models.Overlay{UserID: user(c).ID, Name: p.Name, Kind: models.OverlayKind(p.Kind)}
	err := s.readNewOverlay(c, p, o)
	if err == nil {
		_, err = s.Jobs.EnqueueWith(c.Request.Context(), actor(c), func(ctx context.Context, tx bun.Tx) ([]jobs.Args, error) {
			if err := models.CreateOverlay(ctx, tx, o); err != nil {
				return nil, err
			}
			var args []jobs.Args
			if o.Kind == models.OverlayManaged {
				args = append(args, jobs.BuildOverlay{OverlayID: o.ID, Why: "It was made."})
			}
			return args, models.Audit(ctx, tx, actor(c), "overlay.create", o.Subject(), o.Name)
		})
	}
	if bad, ok := models.AsInvalid(err); ok {
		p.Problem = map[string]string{bad.Field: bad.Message}
		return s.renderNewOverlay(c, http.StatusUnprocessableEntity, p)
	} else if err != nil {
		return err
	}
	s.Jobs.OverlayChanged(c.Request.Context(), o.ID)
	return goTo(c, overlayPath(o.ID))
}

// readNewOverlay takes the choices of the form into o; what cannot be is an
// InvalidError.
func (s *Server) readNewOverlay(c *gin.Context, p newOverlayPage, o *models.Overlay) error {
	if kindOf(o.Kind).Text == "" {
		return models.Invalid("kind", "Choose what it is made of.")
	}
	if p.Shared || o.Kind == models.OverlayManaged {
		if mayAdminister(user(c)) != nil {
			return models.Invalid("shared", "Only an administrator may make an overlay for everybody.")
		}
		o.UserID = ""
	}
	if o.Kind != models.OverlayManaged {
		return nil
	}
	recipe := s.recipe(p.Recipe)
	if recipe == nil {
		return models.Invalid("recipe", "Choose a recipe.")
	}
	var err error
	o.Definition.Recipe = recipe.Name
	o.Definition.Options, err = readOptions(c, *recipe)
	return err
}
