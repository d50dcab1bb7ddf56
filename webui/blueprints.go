package webui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/jobs"
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
	return argumentsField{f.Arguments, f.Argv, f.Problem["arguments"]}
}

// argumentsField is the arguments as a person types them, and what becomes of them.
type argumentsField struct {
	Arguments string
	Argv      argvView
	Problem   string
}

func (argumentsField) template() string { return "arguments_field.html" }

// argvView shows arguments one a line, as the game gets them.
type argvView struct {
	Argv    []string
	Problem string
}

func (argvView) template() string { return "argv.html" }

func argvOf(text string) argvView {
	argv, err := models.SplitArguments(text)
	if err != nil {
		return argvView{Problem: err.Error()}
	}
	return argvView{Argv: argv}
}

// previewArguments changes nothing; it is a POST because arguments may be long.
// With a map it answers with the arguments that play it.
func (s *Server) previewArguments(c *gin.Context) error {
	text := c.PostForm("arguments")
	first, chosen := c.GetPostForm("map")
	if !chosen {
		return s.show(c, http.StatusOK, argvOf(text))
	}
	argv, err := models.SplitArguments(text)
	if err != nil {
		return s.show(c, http.StatusOK, argumentsField{text, argvOf(text), err.Error()})
	}
	text = models.JoinArguments(withMap(argv, first))
	return s.show(c, http.StatusOK, argumentsField{text, argvOf(text), ""})
}

// blueprintLinked are the servers that a blueprint is for, and what each of them
// has of it.
type blueprintLinked struct {
	Path    string
	Servers []serverView
	stacked []models.Overlay
}

// Moves says what a running server would have of other overlays at its next start,
// such as "SourceMod v4 → v5".
func (v blueprintLinked) Moves(srv serverView) []string {
	if !srv.Up() {
		return nil
	}
	runs := map[string]string{} // the overlay's number → its version
	for _, ref := range srv.Server.Status.Overlays {
		id, version, _ := strings.Cut(ref, "/")
		runs[id] = version
	}
	var list []string
	for _, o := range v.stacked {
		id, now, _ := strings.Cut(o.Ref(), "/")
		before, there := runs[id]
		delete(runs, id)
		switch {
		case !there:
			list = append(list, fmt.Sprintf("%s %s comes", o.Name, now))
		case before != now:
			list = append(list, fmt.Sprintf("%s %s → %s", o.Name, before, now))
		}
	}
	if len(runs) > 0 {
		list = append(list, count(len(runs), "overlay")+" less")
	}
	return list
}

func (blueprintLinked) template() string  { return "blueprint_linked.html" }
func (blueprintLinked) elementID() string { return "blueprint-linked" }

// Pending counts the servers that do not have the blueprint as it is now.
func (v blueprintLinked) Pending() int {
	n := 0
	for _, srv := range v.Servers {
		if srv.Changed() {
			n++
		}
	}
	return n
}

func (s *Server) blueprintLinked(ctx context.Context, u *models.User, id, host string) (blueprintLinked, error) {
	all, err := s.serverViews(ctx, u, host)
	if err != nil {
		return blueprintLinked{}, err
	}
	v := blueprintLinked{Path: "/blueprints/" + id}
	if v.stacked, err = models.BlueprintOverlays(ctx, s.DB, id); err != nil {
		return blueprintLinked{}, err
	}
	for _, srv := range all {
		if srv.Server.BlueprintID == id {
			v.Servers = append(v.Servers, srv)
		}
	}
	return v, nil
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
	return s.showNewBlueprint(c, http.StatusOK, blueprintForm{Argv: argvView{}})
}

func (s *Server) showNewBlueprint(c *gin.Context, status int, f blueprintForm) error {
	f.New = true
	l, err := s.layout(c, "New blueprint", "blueprints")
	if err != nil {
		return err
	}
	l.Scripts = []string{"blueprint.js", "editor.js"}
	return s.show(c, status, blueprintPage{Layout: l, Form: f})
}

// readBlueprintForm takes the form's fields into b; what cannot be read as
// arguments is an InvalidError.
func readBlueprintForm(c *gin.Context, b *models.Blueprint) (blueprintForm, error) {
	f := blueprintForm{Name: c.PostForm("name"), Arguments: c.PostForm("arguments"), Config: c.PostForm("config")}
	f.Edits, _ = strconv.ParseInt(c.PostForm("edits"), 10, 64) // 0 is never stored: it conflicts
	f.Argv = argvOf(f.Arguments)
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
	return blueprintForm{
		Path: "/blueprints/" + b.ID, Name: b.Name, Arguments: models.JoinArguments(b.Arguments), Config: b.Config,
		Edits: b.Edits, Argv: argvView{Argv: b.Arguments},
	}
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
	f.Preview = s.cfgPreview(b, f.Config)
	l, err := s.layout(c, b.Name, "blueprints", "blueprint:"+b.ID)
	if err != nil {
		return err
	}
	l.Scripts = []string{"blueprint.js", "editor.js"}
	return s.show(c, status, blueprintPage{Layout: l, Form: f, Overlays: overlays, Linked: linked, Problem: problem})
}

func (s *Server) editBlueprint(c *gin.Context) error {
	b, err := models.BlueprintByID(c.Request.Context(), s.DB, user(c).ID, c.Param("id"))
	if err != nil {
		return err
	}
	stored := *b
	form, err := readBlueprintForm(c, b)
	form.Path = "/blueprints/" + b.ID
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
		form.Preview = s.cfgPreview(b, form.Config)
		return s.show(c, http.StatusOK, form)
	}
	if invalid {
		return s.renderBlueprint(c, http.StatusUnprocessableEntity, &stored, form, "")
	}
	s.flash(c, "saved")
	return goTo(c, form.Path)
}

func (s *Server) saveBlueprint(c *gin.Context, b *models.Blueprint) error {
	seen := b.Edits
	return s.DB.RunInTx(c.Request.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		b.Edits = seen
		if err := models.UpdateBlueprint(ctx, tx, b); err != nil {
			return err
		}
		return models.Audit(ctx, tx, actor(c), "blueprint.edit", "blueprint:"+b.ID, b.Name)
	})
}

// applyBlueprint gives every linked server the blueprint as it is now.
func (s *Server) applyBlueprint(c *gin.Context) error {
	u, id := user(c), c.Param("id")
	if _, err := models.BlueprintByID(c.Request.Context(), s.DB, u.ID, id); err != nil {
		return err
	}
	_, err := s.Jobs.EnqueueWith(c.Request.Context(), actor(c), func(ctx context.Context, tx bun.Tx) ([]jobs.Args, error) {
		return jobs.ApplyToAll(ctx, tx, u.ID, id)
	})
	if err != nil {
		return err
	}
	if isHX(c) {
		linked, err := s.blueprintLinked(c.Request.Context(), u, id, s.publicHost(c.Request))
		if err != nil {
			return err
		}
		return s.show(c, http.StatusOK, linked)
	}
	s.flash(c, "applying")
	return goTo(c, "/blueprints/"+id)
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
