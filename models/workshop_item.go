package models

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// WorkshopItem is what the host knows of an item or collection of the Steam
// workshop. Whose overlays use it is in overlay_items.
type WorkshopItem struct {
	bun.BaseModel `bun:"table:workshop_items"`

	ID        string          `bun:"id,pk"`
	State     string          `bun:"state"` // ctl.ItemState
	Title     string          `bun:"title"`
	Stamp     string          `bun:"stamp"`
	Report    json.RawMessage `bun:"report,type:jsonb"` // ctl.Item
	CheckedAt time.Time       `bun:"checked_at"`
}

// overlayItem is one row of what an overlay asks for.
type overlayItem struct {
	bun.BaseModel `bun:"table:overlay_items"`

	OverlayID int64     `bun:"overlay_id,pk"`
	ItemID    string    `bun:"item_id,pk"`
	Position  int       `bun:"position"`
	AddedAt   time.Time `bun:"added_at"`
}

// MaxOverlayItems bounds what one overlay may ask for.
const MaxOverlayItems = 1000

// SaveWorkshopItem stores what the host last said of an item.
func SaveWorkshopItem(ctx context.Context, db bun.IDB, w *WorkshopItem) error {
	w.CheckedAt, w.Title = Now(), strings.ReplaceAll(w.Title, "\x00", "\uFFFD") // no database takes an author's NUL
	_, err := db.NewInsert().Model(w).On("CONFLICT (id) DO UPDATE").
		Set("state = EXCLUDED.state, title = EXCLUDED.title, stamp = EXCLUDED.stamp, report = EXCLUDED.report, checked_at = EXCLUDED.checked_at").Exec(ctx)
	if err != nil {
		return fmt.Errorf("store workshop item %s: %w", w.ID, err)
	}
	return nil
}

// AddOverlayItems appends items and collections to what an overlay asks for;
// those it has already keep their place. It returns how many are new.
func AddOverlayItems(ctx context.Context, tx bun.IDB, overlayID int64, ids []string) (int, error) {
	var have []overlayItem
	if err := tx.NewSelect().Model(&have).Where("overlay_id = ?", overlayID).Scan(ctx); err != nil {
		return 0, err
	}
	known, next := make(map[string]bool, len(have)), 0
	for _, h := range have {
		known[h.ItemID], next = true, max(next, h.Position+1)
	}
	var rows []overlayItem
	for _, id := range ids {
		if known[id] {
			continue
		}
		known[id] = true
		rows = append(rows, overlayItem{OverlayID: overlayID, ItemID: id, Position: next + len(rows), AddedAt: Now()})
	}
	if len(have)+len(rows) > MaxOverlayItems {
		return 0, Invalid("items", fmt.Sprintf("One overlay holds at most %d items. Make another overlay for the rest.", MaxOverlayItems))
	}
	if len(rows) == 0 {
		return 0, nil
	}
	if _, err := tx.NewInsert().Model(&rows).Exec(ctx); err != nil {
		return 0, fmt.Errorf("add items: %w", violation(err))
	}
	return len(rows), nil
}

// RemoveOverlayItem takes an item or collection out; ErrNotFound when the overlay
// does not ask for it itself.
func RemoveOverlayItem(ctx context.Context, tx bun.IDB, overlayID int64, id string) error {
	res, err := tx.NewDelete().Model((*overlayItem)(nil)).Where("overlay_id = ? AND item_id = ?", overlayID, id).Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return ErrNotFound
	}
	return nil
}

// OverlayItemIDs lists what an overlay asks for, in order.
func OverlayItemIDs(ctx context.Context, db bun.IDB, overlayID int64) ([]string, error) {
	var ids []string
	err := db.NewSelect().Model((*overlayItem)(nil)).Column("item_id").Where("overlay_id = ?", overlayID).OrderExpr("position").Scan(ctx, &ids)
	return ids, err
}

// WorkshopItems returns what is known of the given ids; unknown ones are absent.
func WorkshopItems(ctx context.Context, db bun.IDB, ids []string) (map[string]*WorkshopItem, error) {
	byID := make(map[string]*WorkshopItem, len(ids))
	for len(ids) > 0 {
		part := ids[:min(len(ids), 500)] // below every database's limit of parameters
		ids = ids[len(part):]
		var list []*WorkshopItem
		if err := db.NewSelect().Model(&list).Where("id IN (?)", bun.List(part)).Scan(ctx); err != nil {
			return nil, err
		}
		for _, w := range list {
			byID[w.ID] = w
		}
	}
	return byID, nil
}
