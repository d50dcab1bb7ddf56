package webui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/models"
)

// copyBlueprint makes another blueprint like it and shows that.
func (s *Server) copyBlueprint(c *gin.Context) error {
	var copied *models.Blueprint
	err := s.DB.RunInTx(c.Request.Context(), nil, func(ctx context.Context, tx bun.Tx) (err error) {
		if copied, err = models.CopyBlueprint(ctx, tx, user(c).ID, c.Param("id")); err != nil {
			return err
		}
		return models.Audit(ctx, tx, actor(c), "blueprint.copy", "blueprint:"+copied.ID, copied.Name)
	})
	if err != nil {
		return err
	}
	s.flash(c, "copied")
	return goTo(c, "/blueprints/"+copied.ID)
}

// exportBlueprint is a download of the saved blueprint as a file.
func (s *Server) exportBlueprint(c *gin.Context) error {
	b, err := models.BlueprintByID(c.Request.Context(), s.DB, user(c).ID, c.Param("id"))
	if err != nil {
		return err
	}
	data, err := encodeBlueprint(b)
	if err != nil {
		return err
	}
	c.Header("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": fileName(b.Name) + ".yaml"}))
	c.Data(http.StatusOK, "application/yaml; charset=utf-8", data)
	return nil
}

// fileName makes a plain name for a file of what somebody called a thing.
func fileName(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	if name := strings.Trim(b.String(), "-"); name != "" {
		return name
	}
	return "blueprint"
}

// importPage takes a file that export wrote, pasted or chosen.
type importPage struct {
	Layout  layout
	Text    string
	Name    string
	Problem map[string]string
}

func (importPage) template() string { return "blueprint_import.html" }

func (s *Server) showImport(c *gin.Context) error {
	return s.renderImport(c, http.StatusOK, importPage{})
}

func (s *Server) renderImport(c *gin.Context, status int, p importPage) (err error) {
	if p.Layout, err = s.layout(c, "Import a blueprint", "blueprints"); err != nil {
		return err
	}
	return s.show(c, status, p)
}

// importBlueprint makes a blueprint of a file, or nothing at all. Reading one that is
// full of little entries takes 200 MB for a moment: each user has one read at a time,
// and one is read at a time in all.
func (s *Server) importBlueprint(c *gin.Context) error {
	leave, ok := s.importing.enter(user(c).ID)
	if !ok {
		return &failure{status: http.StatusTooManyRequests, title: "Too much at once", retryAfter: 3, text: "You are importing a blueprint already. Wait for that, then send this one again."}
	}
	defer leave()
	p, err := readImport(c)
	if err != nil {
		return err
	}
	b, err := s.createImported(c, p)
	if bad, ok := models.AsInvalid(err); ok {
		field := bad.Field
		if field != "name" {
			field = "text"
		}
		p.Problem = map[string]string{field: bad.Message}
		return s.renderImport(c, http.StatusUnprocessableEntity, p)
	} else if err != nil {
		return err
	}
	s.flash(c, "imported")
	return goTo(c, "/blueprints/"+b.ID)
}

// readImport takes the text, or else the file. Neither ever lies on our disk.
func readImport(c *gin.Context) (importPage, error) {
	var p importPage
	if err := c.Request.ParseMultipartForm(importBody); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return p, err
		}
		return p, &failure{status: http.StatusBadRequest, title: "That could not be read", text: "The form arrived broken. Send it again.", cause: err}
	}
	p.Text, p.Name = c.PostForm("text"), strings.TrimSpace(c.PostForm("name"))
	if strings.TrimSpace(p.Text) != "" || c.Request.MultipartForm == nil {
		return p, nil
	}
	header, err := c.FormFile("file")
	if errors.Is(err, http.ErrMissingFile) {
		return p, nil
	} else if err != nil {
		return p, fmt.Errorf("read the file: %w", err)
	}
	f, err := header.Open()
	if err != nil {
		return p, fmt.Errorf("read the file: %w", err)
	}
	defer f.Close() // read only; nothing can be lost
	data, err := io.ReadAll(io.LimitReader(f, maxBlueprintFile+1))
	if err != nil {
		return p, fmt.Errorf("read the file: %w", err)
	}
	p.Text = string(data)
	return p, nil
}

// importBody bounds the form: the text and the file, and what is around them.
const importBody = 3*maxBlueprintFile + 64<<10

func (s *Server) createImported(c *gin.Context, p importPage) (*models.Blueprint, error) {
	ctx := c.Request.Context()
	f, err := s.decodeInTurn(ctx, p.Text)
	if err != nil {
		return nil, err
	}
	b := &models.Blueprint{UserID: user(c).ID, Name: f.Name, Arguments: f.Arguments, Config: f.Config}
	if p.Name != "" {
		b.Name = p.Name
	}
	return b, s.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		list, err := resolveOverlays(ctx, tx, b.UserID, f.Overlays)
		if err != nil {
			return err
		}
		if err := models.CreateBlueprint(ctx, tx, b); err != nil {
			return err
		}
		if err := models.SetBlueprintOverlays(ctx, tx, b.UserID, b.ID, list); err != nil {
			return err
		}
		return models.Audit(ctx, tx, actor(c), "blueprint.import", "blueprint:"+b.ID, b.Name)
	})
}

// decodeInTurn is decodeBlueprint, one at a time.
func (s *Server) decodeInTurn(ctx context.Context, text string) (blueprintFile, error) {
	select {
	case s.decoding <- struct{}{}:
	case <-ctx.Done():
		return blueprintFile{}, ctx.Err()
	}
	defer func() { <-s.decoding }()
	return decodeBlueprint([]byte(text))
}

// resolveOverlays finds the overlays that a file names among the user's own and the
// shared ones. Those that are not there are an InvalidError that names all of them.
func resolveOverlays(ctx context.Context, db bun.IDB, userID string, names []overlayName) ([]models.Stacked, error) {
	all, err := models.Overlays(ctx, db, userID)
	if err != nil {
		return nil, err
	}
	var list []models.Stacked
	var missing []string
	twice := ""
	for _, n := range names {
		at := -1
		for i, o := range all {
			if o.Kind != n.Kind || !strings.EqualFold(o.Name, n.Name) {
				continue
			}
			if at < 0 || (o.UserID == "") == n.Shared { // an own and a shared one may be called the same
				at = i
			}
		}
		if at < 0 {
			missing = append(missing, fmt.Sprintf("the %s overlay “%s”", n.Kind, clip(cleanText(n.Name), 80)))
			continue
		}
		if slices.ContainsFunc(list, func(o models.Stacked) bool { return o.ID == all[at].ID }) {
			twice = fmt.Sprintf("The %s overlay “%s” is listed twice. Keep one of them.", n.Kind, clip(cleanText(n.Name), 80))
		}
		list = append(list, models.Stacked{ID: all[at].ID, Exec: n.Exec})
	}
	switch {
	case len(missing) > 0:
		return nil, models.Invalid("text", missingOverlays(missing))
	case twice != "":
		return nil, models.Invalid("text", twice)
	}
	return list, nil
}

func missingOverlays(missing []string) string {
	are, them := "are", "them"
	if len(missing) == 1 {
		are, them = "is", "it"
	}
	if more := len(missing) - 10; more > 0 {
		missing = append(missing[:10:10], fmt.Sprintf("%d more", more))
	}
	list := missing[0]
	if last := len(missing) - 1; last > 0 {
		list = strings.Join(missing[:last], ", ") + " and " + missing[last]
	}
	return fmt.Sprintf("Nothing was imported: %s %s not here. Make %s first, or take %s out of the text.", list, are, them, them)
}
