package models

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// DraftChange is one change of a files overlay that is not published yet. Op,
// Path and Target are ctl.FileChange's.
type DraftChange struct {
	bun.BaseModel `bun:"table:draft_changes"`

	OverlayID int64     `bun:"overlay_id,pk"`
	Seq       int64     `bun:"seq,pk"`
	Op        string    `bun:"op"`
	Path      string    `bun:"path"`
	Target    string    `bun:"target"`
	UploadID  string    `bun:"upload_id,nullzero"`
	Name      string    `bun:"name"` // what an upload was called
	Size      int64     `bun:"size"`
	At        time.Time `bun:"at"`
}

// MaxDraftChanges bounds a draft; publishing empties it.
const MaxDraftChanges = 5000

// AddDraftChanges appends changes in order and numbers them.
func AddDraftChanges(ctx context.Context, tx bun.IDB, overlayID int64, changes []DraftChange) error {
	if len(changes) == 0 {
		return nil
	}
	// Taking the numbers locks the overlay's row, so drafts grow one after another.
	var last int64
	err := tx.NewUpdate().Model((*Overlay)(nil)).Set("draft_seq = draft_seq + ?", len(changes)).
		Where("id = ?", overlayID).Returning("draft_seq").Scan(ctx, &last)
	if err != nil {
		return fmt.Errorf("add to the draft of overlay %d: %w", overlayID, found(err))
	}
	n, err := tx.NewSelect().Model((*DraftChange)(nil)).Where("overlay_id = ?", overlayID).Count(ctx)
	if err != nil {
		return err
	}
	if int(n)+len(changes) > MaxDraftChanges {
		return Invalid("draft", fmt.Sprintf("A draft holds at most %d changes. Publish it, then go on.", MaxDraftChanges))
	}
	last -= int64(len(changes))
	for i := range changes {
		changes[i].OverlayID, changes[i].Seq, changes[i].At = overlayID, last+int64(i)+1, Now()
	}
	if _, err := tx.NewInsert().Model(&changes).Exec(ctx); err != nil {
		return fmt.Errorf("add to the draft: %w", violation(err))
	}
	return nil
}

// DraftChanges lists an overlay's draft in order.
func DraftChanges(ctx context.Context, db bun.IDB, overlayID int64) ([]DraftChange, error) {
	var list []DraftChange
	err := db.NewSelect().Model(&list).Where("overlay_id = ?", overlayID).OrderExpr("seq").Limit(MaxDraftChanges).Scan(ctx)
	return list, err
}

// DropDraft removes the changes up to and including seq, and the rows of uploads
// that nothing holds any more; their bytes are collected later. Changes that came
// while those were published stay.
func DropDraft(ctx context.Context, tx bun.IDB, overlayID, seq int64) error {
	var ids []string
	err := tx.NewSelect().Model((*DraftChange)(nil)).ColumnExpr("DISTINCT upload_id").
		Where("overlay_id = ? AND seq <= ? AND upload_id IS NOT NULL", overlayID, seq).Scan(ctx, &ids)
	if err != nil {
		return fmt.Errorf("look for the uploads of a draft: %w", err)
	}
	if _, err := tx.NewDelete().Model((*DraftChange)(nil)).Where("overlay_id = ? AND seq <= ?", overlayID, seq).Exec(ctx); err != nil {
		return fmt.Errorf("drop the draft of overlay %d: %w", overlayID, err)
	}
	if len(ids) == 0 {
		return nil
	}
	_, err = tx.NewDelete().Model((*Upload)(nil)).Where("id IN (?)", bun.List(ids)).
		Where("NOT EXISTS (SELECT 1 FROM draft_changes AS d WHERE d.upload_id = upload.id)").Exec(ctx)
	return err
}

// DropDraftChange takes one change out of a draft. What came after it stays, whether
// or not it still makes sense. It returns the id of an upload that nothing holds any
// more, "" for none. ErrNotFound when the draft has no such change.
func DropDraftChange(ctx context.Context, tx bun.IDB, overlayID, seq int64) (upload string, err error) {
	c := new(DraftChange)
	if err := found(tx.NewSelect().Model(c).Where("overlay_id = ? AND seq = ?", overlayID, seq).Scan(ctx)); err != nil {
		return "", err
	}
	if err := oneRow(tx.NewDelete().Model((*DraftChange)(nil)).Where("overlay_id = ? AND seq = ?", overlayID, seq).Exec(ctx)); err != nil {
		return "", fmt.Errorf("take a change out of the draft of overlay %d: %w", overlayID, err)
	}
	if c.UploadID == "" {
		return "", nil
	}
	res, err := tx.NewDelete().Model((*Upload)(nil)).Where("id = ?", c.UploadID).
		Where("NOT EXISTS (SELECT 1 FROM draft_changes AS d WHERE d.upload_id = upload.id)").Exec(ctx)
	if err != nil {
		return "", fmt.Errorf("forget the upload of a change: %w", violation(err))
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return "", err
	}
	return c.UploadID, nil
}
