package webui

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
)

// workshopPanel is what a workshop overlay asks for, and where more is added.
type workshopPanel struct {
	Add   workshopAdd
	Items workshopItems
}

// workshopAdd is the form that takes pasted numbers and links.
type workshopAdd struct {
	Path    string
	Change  bool
	Text    string // what could not be taken: it stays in the field
	Added   string // what was
	Problem string
}

func (workshopAdd) template() string { return "workshop_add.html" }

// workshopItems is the items of an overlay with what the host knows of them.
type workshopItems struct {
	Path   string
	Change bool
	Rows   []itemView
	Size   int64 // bytes of those that are ready
	Ready  int   // items in the store that the game gets
	Open   int   // items that it does not get
}

func (workshopItems) template() string  { return "workshop_items.html" }
func (workshopItems) elementID() string { return "workshop-items" }

// itemView is one item or collection. Items of a collection are below it.
type itemView struct {
	Item    ctl.Item
	Checked time.Time
	Own     bool // the overlay asks for it itself, not a collection
	Level   int
	Below   int // how many items a collection lists
}

// Steam is the item's page at Steam.
func (v itemView) Steam() string {
	return "https://steamcommunity.com/sharedfiles/filedetails/?id=" + v.Item.ID
}

// Name is its title, or its number as long as that is all that is known.
func (v itemView) Name() string {
	if v.Item.Title != "" {
		return v.Item.Title
	}
	return "Item " + v.Item.ID
}

// refused says that the gate keeps its file aside.
func (v itemView) refused() bool {
	refused, _ := verdicts(v.Item.Findings)
	return refused > 0
}

// State is where the item stands, in a word.
func (v itemView) State() stateView {
	_, warnings := verdicts(v.Item.Findings)
	switch {
	case v.Item.State == ctl.ItemCollection:
		return stateView{"Collection", "off"}
	case v.refused():
		return stateView{"Refused", "bad"}
	case v.Item.State == ctl.ItemStored && warnings > 0:
		return stateView{"Ready, with warnings", "warn"}
	case v.Item.State == ctl.ItemStored:
		return stateView{"Ready", "ok"}
	case v.Item.State == ctl.ItemOutdated:
		return stateView{"New version to fetch", "busy"}
	case v.Item.State == ctl.ItemGone && v.Item.Stamp != "":
		return stateView{"Gone from Steam, kept here", "warn"}
	case v.Item.State == ctl.ItemGone:
		return stateView{"Gone from Steam", "bad"}
	case v.Item.State == ctl.ItemFailed && v.Item.Stamp != "":
		return stateView{"Not looked at, kept here", "warn"}
	case v.Item.State == ctl.ItemFailed:
		return stateView{"Not fetched", "bad"}
	}
	return stateView{"Waiting", "off"}
}

// Facts are what it is besides its name: how large, or how many it lists.
func (v itemView) Facts() string {
	var list []string
	if v.Item.State == ctl.ItemCollection {
		list = append(list, count(v.Below, "item"))
	} else if v.Item.Size > 0 {
		list = append(list, formatBytes(v.Item.Size))
	}
	if n := len(v.Item.Campaigns); n > 0 {
		list = append(list, count(n, "campaign"))
	}
	return strings.Join(list, " · ")
}

// Sentences are what is to be said of it.
func (v itemView) Sentences() []string {
	var list []string
	if v.Item.Message != "" {
		list = append(list, v.Item.Message)
	}
	for _, f := range v.Item.Findings {
		if f.Verdict != ctl.VerdictOK && len(list) < 4 && !strings.Contains(v.Item.Message, f.Sentence) {
			list = append(list, f.Sentence)
		}
	}
	return list
}

func (s *Server) workshopPanel(ctx context.Context, u *models.User, o *models.Overlay) (*workshopPanel, error) {
	items, err := s.workshopItems(ctx, u, o)
	return &workshopPanel{Add: workshopAdd{Path: items.Path, Change: items.Change}, Items: items}, err
}

const maxItemLevels = 8

func (s *Server) workshopItems(ctx context.Context, u *models.User, o *models.Overlay) (workshopItems, error) {
	v := workshopItems{Path: overlayPath(o.ID), Change: o.ChangeableBy(u)}
	roots, err := models.OverlayItemIDs(ctx, s.DB, o.ID)
	if err != nil {
		return v, err
	}
	known, queued := map[string]itemView{}, map[string]bool{} // collections of strangers may all list each other
	for level, ids := 0, roots; len(ids) > 0 && level < maxItemLevels && len(known) < ctl.MaxWorkshopItems; level++ {
		rows, err := models.WorkshopItems(ctx, s.DB, ids)
		if err != nil {
			return v, err
		}
		var next []string
		for _, id := range ids {
			one := itemView{Item: ctl.Item{ID: id, State: ctl.ItemWanted}}
			if row := rows[id]; row != nil {
				_ = json.Unmarshal(row.Report, &one.Item) // a report that cannot be read says nothing
				one.Item.ID, one.Checked = id, row.CheckedAt
			}
			known[id] = one
			for _, child := range one.Item.Children {
				if _, seen := known[child]; !seen && !queued[child] {
					queued[child] = true
					next = append(next, child)
				}
			}
		}
		ids = next
	}
	shown := map[string]bool{}
	var put func(id string, level int, own bool)
	put = func(id string, level int, own bool) {
		one, there := known[id]
		if !there || shown[id] || len(v.Rows) >= ctl.MaxWorkshopItems {
			return // a collection may contain itself
		}
		shown[id] = true
		one.Level, one.Own, one.Below = level, own, len(one.Item.Children)
		v.Rows = append(v.Rows, one)
		switch {
		case one.Item.State == ctl.ItemCollection:
		case one.Item.Stamp != "" && !one.refused():
			v.Ready, v.Size = v.Ready+1, v.Size+one.Item.Size
		default:
			v.Open++
		}
		for _, child := range one.Item.Children {
			put(child, min(level+1, maxItemLevels), false)
		}
	}
	for _, id := range roots {
		put(id, 0, true)
	}
	return v, nil
}

// addItems takes numbers and links out of whatever was pasted. What is neither
// stays in the field.
func (s *Server) addItems(c *gin.Context) error {
	o, err := s.ownOverlay(c, models.OverlayWorkshop)
	if err != nil {
		return err
	}
	form := workshopAdd{Path: overlayPath(o.ID), Change: true, Text: c.PostForm("items")}
	ids, bad := ctl.ParseWorkshopIDs(form.Text)
	if len(ids) == 0 {
		form.Problem = "There is no workshop number or link in it. A link looks like https://steamcommunity.com/sharedfiles/filedetails/?id=121086524, a number like 121086524."
		return s.showAddItems(c, http.StatusUnprocessableEntity, o, form)
	}
	n, err := s.enqueueItems(c, o, ids)
	if invalid, ok := models.AsInvalid(err); ok {
		form.Problem = invalid.Message
		return s.showAddItems(c, http.StatusUnprocessableEntity, o, form)
	} else if err != nil {
		return err
	}
	s.Jobs.OverlayChanged(c.Request.Context(), o.ID)
	form.Text, form.Added = strings.Join(bad, " "), count(n, "item")+" added. Steam is asked about them now."
	if n == 0 {
		form.Added = "They were here already. Steam is asked about them again."
	}
	if len(bad) > 0 {
		form.Problem = "What still stands here was not understood: it is neither a number nor a link to a workshop item."
	}
	if form.Problem == "" && !isHX(c) {
		s.flash(c, "items")
		return goTo(c, form.Path)
	}
	return s.showAddItems(c, http.StatusOK, o, form)
}

// enqueueItems stores what the overlay asks for from now on, together with the job
// that fetches it. It returns how many are new.
func (s *Server) enqueueItems(c *gin.Context, o *models.Overlay, ids []string) (n int, _ error) {
	_, err := s.Jobs.EnqueueWith(c.Request.Context(), actor(c), func(ctx context.Context, tx bun.Tx) (args []jobs.Args, err error) {
		if n, err = models.AddOverlayItems(ctx, tx, o.ID, ids); err != nil {
			return nil, err
		}
		args = []jobs.Args{jobs.DownloadWorkshop{OverlayID: o.ID}}
		return args, models.Audit(ctx, tx, actor(c), "overlay.items", o.Subject(), fmt.Sprintf("%s: %s added", o.Name, count(n, "item")))
	})
	return n, err
}

// showAddItems answers with the form: alone for a script, else within its page.
func (s *Server) showAddItems(c *gin.Context, status int, o *models.Overlay, form workshopAdd) error {
	if isHX(c) {
		return s.show(c, http.StatusOK, form)
	}
	return s.renderOverlay(c, status, o, func(p *overlayPage) { p.Workshop.Add = form })
}

// removeItem takes an item or collection out; the next version is without it.
func (s *Server) removeItem(c *gin.Context) error {
	o, err := s.ownOverlay(c, models.OverlayWorkshop)
	if err != nil {
		return err
	}
	id := c.PostForm("item")
	_, err = s.Jobs.EnqueueWith(c.Request.Context(), actor(c), func(ctx context.Context, tx bun.Tx) ([]jobs.Args, error) {
		if err := models.RemoveOverlayItem(ctx, tx, o.ID, id); err != nil {
			return nil, err
		}
		// With nothing left there is nothing to ask Steam for.
		args := []jobs.Args{jobs.BuildOverlay{OverlayID: o.ID, Why: "Item " + id + " was taken out."}}
		return args, models.Audit(ctx, tx, actor(c), "overlay.items", o.Subject(), o.Name+": item "+id+" taken out")
	})
	if err != nil {
		return err
	}
	s.Jobs.OverlayChanged(c.Request.Context(), o.ID)
	if !isHX(c) {
		return goTo(c, overlayPath(o.ID))
	}
	items, err := s.workshopItems(c.Request.Context(), user(c), o)
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, items)
}

// downloadItems asks Steam about an overlay's items now.
func (s *Server) downloadItems(c *gin.Context) error {
	o, err := s.ownOverlay(c, models.OverlayWorkshop)
	if err != nil {
		return err
	}
	if _, err := s.Jobs.Enqueue(c.Request.Context(), actor(c), jobs.DownloadWorkshop{OverlayID: o.ID}); err != nil {
		return err
	}
	if !isHX(c) {
		return goTo(c, overlayPath(o.ID))
	}
	head, err := s.overlayHead(c.Request.Context(), user(c), o.ID)
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, head)
}

// itemImage is the picture of a workshop item, from the host's store.
func (s *Server) itemImage(c *gin.Context) error {
	if s.Content == nil || !ctl.IsWorkshopID(c.Param("item")) {
		return models.ErrNotFound
	}
	f, kind, err := s.Content.Image(c.Param("item"))
	return sendPicture(c, f, kind, err)
}
