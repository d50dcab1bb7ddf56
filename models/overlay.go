package models

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// OverlayKind says how an overlay's content comes about.
type OverlayKind string

// The kinds of overlays.
const (
	OverlayWorkshop OverlayKind = "workshop"
	OverlayScript   OverlayKind = "script"
	OverlayFiles    OverlayKind = "files"
	OverlayManaged  OverlayKind = "managed"
)

// Overlay is a directory of content that blueprints stack. Version is the one in
// use; 0 means that nothing has been built yet.
type Overlay struct {
	bun.BaseModel `bun:"table:overlays"`

	ID        int64       `bun:"id,pk"`
	UserID    string      `bun:"user_id,nullzero"` // empty: shared with everybody
	Name      string      `bun:"name"`
	Kind      OverlayKind `bun:"kind"`
	Version   int64       `bun:"version"`
	CreatedAt time.Time   `bun:"created_at"`
}

// Ref is the overlay's current version as a spec names it, such as 12/v3.
func (o Overlay) Ref() string { return fmt.Sprintf("%d/v%d", o.ID, o.Version) }

// blueprintOverlay is one row of a blueprint's ordered list.
type blueprintOverlay struct {
	bun.BaseModel `bun:"table:blueprint_overlays"`

	BlueprintID string `bun:"blueprint_id,pk"`
	Position    int    `bun:"position,pk"`
	OverlayID   int64  `bun:"overlay_id"`
}

// CreateOverlay checks and inserts an overlay; its id is a number that is never
// used again, because directories are named by it.
func CreateOverlay(ctx context.Context, db bun.IDB, o *Overlay) error {
	if err := checkTitle("name", o.Name); err != nil {
		return err
	}
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		id, err := nextNumber(ctx, tx, "overlay")
		if err != nil {
			return err
		}
		o.ID, o.CreatedAt = id, Now()
		if _, err := tx.NewInsert().Model(o).Exec(ctx); err != nil {
			return fmt.Errorf("create overlay: %w", violation(err))
		}
		return nil
	})
}

// Overlays lists what the user may stack: their own and the shared ones.
func Overlays(ctx context.Context, db bun.IDB, userID string) ([]Overlay, error) {
	var list []Overlay
	err := db.NewSelect().Model(&list).Where("user_id = ? OR user_id IS NULL", userID).OrderExpr("lower(name)").Limit(500).Scan(ctx)
	return list, err
}

// BlueprintOverlays returns a blueprint's overlays, uppermost first.
func BlueprintOverlays(ctx context.Context, db bun.IDB, blueprintID string) ([]Overlay, error) {
	var list []Overlay
	err := db.NewSelect().Model(&list).
		Join("JOIN blueprint_overlays AS bo ON bo.overlay_id = overlay.id").
		Where("bo.blueprint_id = ?", blueprintID).OrderExpr("bo.position").Scan(ctx)
	return list, err
}

// SetBlueprintOverlays replaces a blueprint's list; ids are uppermost first and
// must be overlays the user may stack.
func SetBlueprintOverlays(ctx context.Context, tx bun.IDB, userID, blueprintID string, ids []int64) error {
	if _, err := tx.NewDelete().Model((*blueprintOverlay)(nil)).Where("blueprint_id = ?", blueprintID).Exec(ctx); err != nil {
		return fmt.Errorf("clear overlays: %w", err)
	}
	if len(ids) == 0 {
		return nil
	}
	n, err := tx.NewSelect().Model((*Overlay)(nil)).Where("id IN (?)", bun.List(ids)).
		Where("user_id = ? OR user_id IS NULL", userID).Count(ctx)
	if err != nil {
		return fmt.Errorf("check overlays: %w", err)
	}
	if int(n) != len(ids) {
		return Invalid("overlays", "One of the overlays does not exist or is listed twice. Reload the page and choose again.")
	}
	rows := make([]blueprintOverlay, len(ids))
	for i, id := range ids {
		rows[i] = blueprintOverlay{BlueprintID: blueprintID, Position: i, OverlayID: id}
	}
	if _, err := tx.NewInsert().Model(&rows).Exec(ctx); err != nil {
		return fmt.Errorf("set overlays: %w", violation(err))
	}
	return nil
}
