package webui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
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
	Path    string
	Change  bool
	Text    string // what somebody typed and that could not be taken
	Problem string
	Items   workshopItems
}

// workshopItems is the items of an overlay with what the host knows of them.
type workshopItems struct {
	Path   string
	Change bool
	Rows   []itemView
	Size   int64 // bytes of what is in the store
	Ready  int   // items in the store
	Open   int   // items that are not
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

// State is where the item stands, in a word.
func (v itemView) State() stateView {
	refused, warnings := verdicts(ctl.Version{Findings: v.Item.Findings})
	switch {
	case v.Item.State == ctl.ItemCollection:
		return stateView{"Collection", "off"}
	case refused > 0:
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
	case v.Item.State == ctl.ItemFailed:
		return stateView{"Not fetched", "bad"}
	}
	return stateView{"Waiting", "off"}
}

// Sentences are what is to be said of it.
func (v itemView) Sentences() []string {
	var list []string
	if v.Item.Message != "" {
		list = append(list, v.Item.Message)
	}
	for _, f := range v.Item.Findings {
		if f.Verdict != ctl.VerdictOK && len(list) < 4 && f.Sentence != v.Item.Message {
			list = append(list, f.Sentence)
		}
	}
	return list
}

func (s *Server) workshopPanel(ctx context.Context, u *models.User, o *models.Overlay) (*workshopPanel, error) {
	items, err := s.workshopItems(ctx, u, o)
	return &workshopPanel{Path: overlayPath(o.ID), Change: o.ChangeableBy(u), Items: items}, err
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
		case one.Item.Stamp != "":
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

// addItems takes numbers and links out of whatever was pasted.
func (s *Server) addItems(c *gin.Context) error {
	o, err := s.ownOverlay(c, models.OverlayWorkshop)
	if err != nil {
		return err
	}
	text := c.PostForm("items")
	ids, bad := ctl.ParseWorkshopIDs(text)
	problem := ""
	if len(ids) == 0 {
		problem = "There is no workshop number or link in it. A link looks like https://steamcommunity.com/sharedfiles/filedetails/?id=121086524, a number like 121086524."
	} else {
		_, err = s.Jobs.EnqueueWith(c.Request.Context(), actor(c), func(ctx context.Context, tx bun.Tx) ([]jobs.Args, error) {
			n, err := models.AddOverlayItems(ctx, tx, o.ID, ids)
			if err != nil {
				return nil, err
			}
			args := []jobs.Args{jobs.DownloadWorkshop{OverlayID: o.ID}}
			return args, models.Audit(ctx, tx, actor(c), "overlay.items", o.Subject(), fmt.Sprintf("%s: %s added", o.Name, count(n, "item")))
		})
		if invalid, ok := models.AsInvalid(err); ok {
			problem = invalid.Message
		} else if err != nil {
			return err
		} else if len(bad) > 0 {
			text = strings.Join(bad, "\n")
			problem = fmt.Sprintf("%s added. What stands here was not understood: it is neither a number nor a link to a workshop item.", count(len(ids), "item"))
		}
	}
	if problem == "" {
		return goTo(c, overlayPath(o.ID))
	}
	return s.renderOverlay(c, http.StatusUnprocessableEntity, o, func(p *overlayPage) { p.Workshop.Text, p.Workshop.Problem = text, problem })
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
	return goTo(c, overlayPath(o.ID))
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
	return goTo(c, overlayPath(o.ID))
}

// itemImage is the picture of a workshop item, from the host's store.
func (s *Server) itemImage(c *gin.Context) error {
	if s.Content == nil || !ctl.IsWorkshopID(c.Param("item")) {
		return models.ErrNotFound
	}
	f, kind, err := s.Content.Image(c.Param("item"))
	if errors.Is(err, fs.ErrNotExist) {
		return models.ErrNotFound
	} else if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // read only; nothing can be lost
	c.Header("Content-Type", kind)
	c.Header("Cache-Control", "private, max-age=86400")
	http.ServeContent(c.Writer, c.Request, "", time.Time{}, f)
	return nil
}
