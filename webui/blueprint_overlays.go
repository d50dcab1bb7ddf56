package webui

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/models"
)

// blueprintOverlays is a blueprint's ordered list of overlays, uppermost first,
// and what can be added to it.
type blueprintOverlays struct {
	Path    string
	Rows    []stackedOverlay
	Addable []models.Overlay
	Clashes []string // campaigns that more than one overlay brings
	Size    int64
	Problem string
}

func (blueprintOverlays) template() string  { return "blueprint_overlays.html" }
func (blueprintOverlays) elementID() string { return "blueprint-overlays" }

// stackedOverlay is one entry of the list with what its current version says of
// itself.
type stackedOverlay struct {
	Overlay           models.Overlay
	Report            ctl.Version
	Refused, Warnings int
	First, Last       bool
}

// reportOf reads what the host said of a version; a nil one says nothing.
func reportOf(v *models.OverlayVersion) ctl.Version {
	var r ctl.Version
	if v != nil {
		_ = json.Unmarshal(v.Report, &r) // a report that cannot be read says nothing
	}
	return r
}

// reportsOf returns what each overlay's current version says, in their order.
func (s *Server) reportsOf(ctx context.Context, overlays []models.Overlay) ([]ctl.Version, error) {
	ids := make([]int64, len(overlays))
	for i, o := range overlays {
		ids[i] = o.ID
	}
	current, err := models.CurrentVersions(ctx, s.DB, ids)
	if err != nil {
		return nil, err
	}
	reports := make([]ctl.Version, len(overlays))
	for i, o := range overlays {
		reports[i] = reportOf(current[o.ID])
	}
	return reports, nil
}

func (s *Server) blueprintOverlays(ctx context.Context, b *models.Blueprint) (blueprintOverlays, error) {
	v := blueprintOverlays{Path: "/blueprints/" + b.ID}
	reports, err := s.reportsOf(ctx, b.Overlays)
	if err != nil {
		return v, err
	}
	stacked := map[int64]bool{}
	for i, o := range b.Overlays {
		stacked[o.ID] = true
		row := stackedOverlay{Overlay: o, Report: reports[i], First: i == 0, Last: i == len(b.Overlays)-1}
		row.Refused, row.Warnings = verdicts(reports[i].Findings)
		v.Rows, v.Size = append(v.Rows, row), v.Size+reports[i].Size
	}
	v.Clashes = clashes(b.Overlays, reports)
	all, err := models.Overlays(ctx, s.DB, b.UserID)
	for _, o := range all {
		if !stacked[o.ID] {
			v.Addable = append(v.Addable, o)
		}
	}
	return v, err
}

// clashes names the campaigns that more than one overlay brings: the engine then
// shows them twice or mixes their maps.
func clashes(overlays []models.Overlay, reports []ctl.Version) []string {
	from := map[string]string{}
	var list []string
	for i, o := range overlays {
		for _, c := range reports[i].Campaigns {
			first, there := from[c.Name]
			if !there {
				from[c.Name] = o.Name
			} else if first != o.Name && len(list) < 20 {
				list = append(list, fmt.Sprintf("“%s” is in “%s” and in “%s”. Keep one of them: the game would mix their maps.", c.Title, first, o.Name))
			}
		}
	}
	return list
}

// changeBlueprintOverlays does one thing to the list: add, remove, up, down, exec
// or order, which is a whole new order of the same overlays.
func (s *Server) changeBlueprintOverlays(c *gin.Context) error {
	u := user(c)
	b, err := models.BlueprintByID(c.Request.Context(), s.DB, u.ID, c.Param("id"))
	if err != nil {
		return err
	}
	said := ""
	err = s.DB.RunInTx(c.Request.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		err := models.ChangeBlueprintOverlays(ctx, tx, b, func(now []models.Overlay) (list []models.Stacked, err error) {
			list, said, err = s.restack(ctx, tx, u, now, c)
			return list, err
		})
		if err != nil {
			return err
		}
		return models.Audit(ctx, tx, actor(c), "blueprint.edit", "blueprint:"+b.ID, b.Name)
	})
	bad, invalid := models.AsInvalid(err)
	if err != nil && !invalid {
		return err
	}
	if !invalid {
		s.Jobs.BlueprintChanged(c.Request.Context(), u.ID, b.ID)
	}
	if !isHX(c) {
		if invalid {
			return &failure{status: http.StatusUnprocessableEntity, title: "That does not work", text: bad.Message}
		}
		return goTo(c, "/blueprints/"+b.ID+"#blueprint-overlays")
	}
	if b, err = models.BlueprintByID(c.Request.Context(), s.DB, u.ID, b.ID); err != nil {
		return err
	}
	v, err := s.blueprintOverlays(c.Request.Context(), b)
	if err != nil {
		return err
	}
	if raw, err := json.Marshal(map[string]string{"said": cleanText(said)}); err == nil && said != "" && !invalid {
		c.Header("HX-Trigger", asciiJSON(raw)) // for those who cannot see what happened
	}
	if invalid {
		v.Problem = bad.Message
	}
	return s.show(c, http.StatusOK, v)
}

const listChanged = "The list changed in between. Look at it again, then repeat what you wanted."

// asciiJSON writes JSON so that a header can carry it.
func asciiJSON(raw []byte) string {
	var b strings.Builder
	for _, r := range string(raw) {
		if r < 0x7f {
			b.WriteRune(r)
			continue
		}
		for _, u := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, u)
		}
	}
	return b.String()
}

// restack computes the new list from the stored one and the form.
func (s *Server) restack(ctx context.Context, tx bun.Tx, u *models.User, now []models.Overlay, c *gin.Context) ([]models.Stacked, string, error) {
	list := make([]models.Stacked, len(now))
	for i, o := range now {
		list[i] = models.Stacked{ID: o.ID, Exec: o.Exec}
	}
	do := c.PostForm("do")
	if do == "order" {
		list, err := reordered(list, c.PostFormArray("order"))
		return list, "The new order is saved.", err
	}
	id, _ := strconv.ParseInt(c.PostForm("overlay"), 10, 64) // 0 is no overlay
	o, err := models.OverlayFor(ctx, tx, u.ID, id)
	if err != nil {
		return nil, "", models.Invalid("overlays", "This overlay does not exist any more. Reload the page and choose again.")
	}
	at := slices.IndexFunc(list, func(e models.Stacked) bool { return e.ID == id })
	if do == "add" {
		if at < 0 {
			list = append([]models.Stacked{{ID: id}}, list...)
		}
		return list, o.Name + " is now the uppermost.", nil
	}
	if at < 0 {
		return nil, "", models.Invalid("overlays", listChanged)
	}
	switch do {
	case "remove":
		return slices.Delete(list, at, at+1), o.Name + " is taken out.", nil
	case "exec":
		list[at].Exec = c.PostForm("exec") == "yes"
		return list, "", nil
	case "up", "down":
		to := at - 1
		if do == "down" {
			to = at + 1
		}
		if to < 0 || to >= len(list) {
			return list, o.Name + " is there already.", nil
		}
		list[at], list[to] = list[to], list[at]
		return list, fmt.Sprintf("%s is now number %d of %d.", o.Name, to+1, len(list)), nil
	}
	return nil, "", models.Invalid("overlays", "This page is old. Reload it and try again.")
}

// reordered puts the same entries into another order. An order of other entries
// is one that somebody made before the list changed.
func reordered(list []models.Stacked, order []string) ([]models.Stacked, error) {
	if len(order) != len(list) {
		return nil, models.Invalid("overlays", listChanged)
	}
	left := map[string]models.Stacked{}
	for _, e := range list {
		left[strconv.FormatInt(e.ID, 10)] = e
	}
	fresh := make([]models.Stacked, 0, len(list))
	for _, id := range order {
		e, ok := left[id]
		if !ok {
			return nil, models.Invalid("overlays", listChanged)
		}
		delete(left, id)
		fresh = append(fresh, e)
	}
	return fresh, nil
}
