package webui

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/models"
)

type blueprintsPage struct {
	Layout layout
	List   blueprintList
}

func (blueprintsPage) template() string { return "blueprints.html" }

type blueprintRow struct {
	Blueprint models.Blueprint
	Servers   int
}

type blueprintList struct{ Rows []blueprintRow }

func (blueprintList) template() string  { return "blueprint_list.html" }
func (blueprintList) elementID() string { return "blueprint-list" }

func (s *Server) blueprintList(ctx context.Context, u *models.User) (blueprintList, error) {
	list, err := models.Blueprints(ctx, s.DB, u.ID)
	if err != nil {
		return blueprintList{}, err
	}
	counts, err := models.BlueprintServerCounts(ctx, s.DB, u.ID)
	if err != nil {
		return blueprintList{}, err
	}
	out := blueprintList{Rows: make([]blueprintRow, len(list))}
	for i, b := range list {
		out.Rows[i] = blueprintRow{b, counts[b.ID]}
	}
	return out, nil
}

func (s *Server) listBlueprints(c *gin.Context) error {
	list, err := s.blueprintList(c.Request.Context(), user(c))
	if err != nil {
		return err
	}
	l, err := s.layout(c, "Blueprints", "blueprints", "blueprints")
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, blueprintsPage{Layout: l, List: list})
}

// blueprintForm is a new blueprint or one that is edited. Arguments are text as a
// person types it; Argv is what becomes of it.
type blueprintForm struct {
	New       bool
	ID        string
	Path      string
	Name      string
	Arguments string
	Config    string
	Edits     int64
	Argv      argvView
	Preview   cfgPreview
	Saved     bool
	Linked    int
	Problem   map[string]string
}

func (blueprintForm) template() string { return "blueprint_form.html" }

// ArgumentsField is the part of the form that choosing a map replaces.
func (f blueprintForm) ArgumentsField() argumentsField {
	return argumentsField{f.ID, f.Arguments, f.Argv, f.Problem["arguments"]}
}

type blueprintPage struct {
	Layout   layout
	Form     blueprintForm
	Overlays blueprintOverlays
	Linked   blueprintLinked
	Problem  string // of the whole blueprint
}

func (blueprintPage) template() string { return "blueprint.html" }

func (s *Server) newBlueprint(c *gin.Context) error {
	return s.showNewBlueprint(c, http.StatusOK, blueprintForm{})
}

func (s *Server) showNewBlueprint(c *gin.Context, status int, f blueprintForm) error {
	f.New, f.Argv = true, s.argvView(nil, f.Arguments)
	l, err := s.layout(c, "New blueprint", "blueprints")
	if err != nil {
		return err
	}
	l.Scripts = []string{"blueprint.js", "arguments.js", "editor.js"}
	return s.show(c, status, blueprintPage{Layout: l, Form: f})
}

// readBlueprintForm takes the form's fields into b; what cannot be read as
// arguments is an InvalidError.
func readBlueprintForm(c *gin.Context, b *models.Blueprint) (blueprintForm, error) {
	f := blueprintForm{Name: c.PostForm("name"), Arguments: c.PostForm("arguments"), Config: c.PostForm("config")}
	f.Edits, _ = strconv.ParseInt(c.PostForm("edits"), 10, 64) // 0 is never stored: it conflicts
	argv, err := models.SplitArguments(f.Arguments)
	b.Name, b.Arguments, b.Config, b.Edits = f.Name, argv, f.Config, f.Edits
	return f, err
}

func (s *Server) createBlueprint(c *gin.Context) error {
	b := &models.Blueprint{UserID: user(c).ID}
	form, err := readBlueprintForm(c, b)
	if err == nil {
		err = s.DB.RunInTx(c.Request.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
			if err := models.CreateBlueprint(ctx, tx, b); err != nil {
				return err
			}
			return models.Audit(ctx, tx, actor(c), "blueprint.create", "blueprint:"+b.ID, b.Name)
		})
	}
	if bad, ok := models.AsInvalid(err); ok {
		form.Problem = map[string]string{bad.Field: bad.Message}
		return s.showNewBlueprint(c, http.StatusUnprocessableEntity, form)
	} else if err != nil {
		return err
	}
	s.flash(c, "created")
	return goTo(c, "/blueprints/"+b.ID)
}

func (s *Server) showBlueprint(c *gin.Context) error {
	b, err := models.BlueprintByID(c.Request.Context(), s.DB, user(c).ID, c.Param("id"))
	if err != nil {
		return err
	}
	return s.renderBlueprint(c, http.StatusOK, b, formOf(b), "")
}

func formOf(b *models.Blueprint) blueprintForm {
	return blueprintForm{Name: b.Name, Arguments: models.JoinArguments(b.Arguments), Config: b.Config, Edits: b.Edits}
}

// completeBlueprint adds to the form of b what the host says of it.
func (s *Server) completeBlueprint(b *models.Blueprint, f *blueprintForm) {
	f.ID, f.Path = b.ID, "/blueprints/"+b.ID
	f.Argv, f.Preview = s.argvView(b, f.Arguments), s.cfgPreview(b, f.Config)
}

func (s *Server) renderBlueprint(c *gin.Context, status int, b *models.Blueprint, f blueprintForm, problem string) error {
	linked, err := s.blueprintLinked(c.Request.Context(), user(c), b.ID, s.publicHost(c.Request))
	if err != nil {
		return err
	}
	f.Linked = len(linked.Servers)
	overlays, err := s.blueprintOverlays(c.Request.Context(), b)
	if err != nil {
		return err
	}
	s.completeBlueprint(b, &f)
	l, err := s.layout(c, b.Name, "blueprints", "blueprint:"+b.ID)
	if err != nil {
		return err
	}
	l.Scripts = []string{"blueprint.js", "arguments.js", "editor.js"}
	return s.show(c, status, blueprintPage{Layout: l, Form: f, Overlays: overlays, Linked: linked, Problem: problem})
}

func (s *Server) editBlueprint(c *gin.Context) error {
	b, err := models.BlueprintByID(c.Request.Context(), s.DB, user(c).ID, c.Param("id"))
	if err != nil {
		return err
	}
	stored := *b
	form, err := readBlueprintForm(c, b)
	if err == nil {
		err = s.saveBlueprint(c, b)
	}
	if errors.Is(err, models.ErrConflict) {
		err = models.Invalid("", "Somebody saved this blueprint while you were writing. Your text is still here: copy what you need, then reload the page.")
	}
	bad, invalid := models.AsInvalid(err)
	if err != nil && !invalid {
		return err
	}
	if invalid {
		form.Problem = map[string]string{bad.Field: bad.Message}
	} else {
		form = formOf(b)
		form.Saved = true
	}
	if isHX(c) {
		linked, err := models.BlueprintServers(c.Request.Context(), s.DB, b.UserID, b.ID)
		if err != nil {
			return err
		}
		form.Linked = len(linked)
		s.completeBlueprint(b, &form)
		return s.show(c, http.StatusOK, form)
	}
	if invalid {
		return s.renderBlueprint(c, http.StatusUnprocessableEntity, &stored, form, "")
	}
	s.flash(c, "saved")
	return goTo(c, "/blueprints/"+b.ID)
}

func (s *Server) saveBlueprint(c *gin.Context, b *models.Blueprint) error {
	seen := b.Edits
	err := s.DB.RunInTx(c.Request.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		b.Edits = seen
		if err := models.UpdateBlueprint(ctx, tx, b); err != nil {
			return err
		}
		return models.Audit(ctx, tx, actor(c), "blueprint.edit", "blueprint:"+b.ID, b.Name)
	})
	if err == nil {
		s.Jobs.BlueprintChanged(c.Request.Context(), b.UserID, b.ID)
	}
	return err
}

func (s *Server) deleteBlueprint(c *gin.Context) error {
	b, err := models.BlueprintByID(c.Request.Context(), s.DB, user(c).ID, c.Param("id"))
	if err != nil {
		return err
	}
	ok, err := s.sure(c, "blueprints", confirmPage{
		Heading: "Delete the blueprint “" + b.Name + "”?", Button: "Delete the blueprint",
		Text: "Its arguments and its config are gone then. This cannot be undone.", Back: "/blueprints/" + b.ID,
	})
	if !ok || err != nil {
		return err
	}
	err = s.DB.RunInTx(c.Request.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		if err := models.DeleteBlueprint(ctx, tx, b.UserID, b.ID); err != nil {
			return err
		}
		return models.Audit(ctx, tx, actor(c), "blueprint.delete", "blueprint:"+b.ID, b.Name)
	})
	if bad, invalid := models.AsInvalid(err); invalid && !isHX(c) {
		return s.renderBlueprint(c, http.StatusUnprocessableEntity, b, formOf(b), bad.Message)
	} else if err != nil {
		return err
	}
	s.flash(c, "deleted")
	return goTo(c, "/blueprints")
}
