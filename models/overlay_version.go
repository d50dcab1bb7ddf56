package models

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// OverlayVersion is one published version of an overlay. It never changes, but
// its files may be collected.
type OverlayVersion struct {
	bun.BaseModel `bun:"table:overlay_versions"`

	OverlayID   int64           `bun:"overlay_id,pk"`
	Number      int64           `bun:"number,pk"`
	CreatedAt   time.Time       `bun:"created_at"`
	UserID      string          `bun:"user_id,nullzero"`
	UserName    string          `bun:"user_name"`
	JobID       int64           `bun:"job_id,nullzero"`
	Why         string          `bun:"why"`
	Size        int64           `bun:"size"`
	Files       int64           `bun:"files"`
	Report      json.RawMessage `bun:"report,type:jsonb"` // ctl.Version
	CollectedAt time.Time       `bun:"collected_at,nullzero"`
}

// PublishVersion records a version that the host has, and makes it the overlay's
// current one. Recording it again changes nothing but that.
func PublishVersion(ctx context.Context, tx bun.IDB, v *OverlayVersion) error {
	_, err := tx.NewInsert().Model(v).On("CONFLICT (overlay_id, number) DO NOTHING").Exec(ctx)
	if err != nil {
		return fmt.Errorf("record version %d of overlay %d: %w", v.Number, v.OverlayID, violation(err))
	}
	return setOverlayVersion(ctx, tx, v.OverlayID, v.Number)
}

// UseVersion makes a version current again. ErrNotFound when there is none of
// that number, ErrConflict when its files were collected.
func UseVersion(ctx context.Context, tx bun.IDB, overlayID, number int64) error {
	v, err := OverlayVersionByNumber(ctx, tx, overlayID, number)
	if err != nil {
		return err
	}
	if !v.CollectedAt.IsZero() {
		return fmt.Errorf("version %d of overlay %d was collected: %w", number, overlayID, ErrConflict)
	}
	return setOverlayVersion(ctx, tx, overlayID, number)
}

// setOverlayVersion also counts up the revision of the blueprints that stack it,
// so that their servers show a pending change.
func setOverlayVersion(ctx context.Context, tx bun.IDB, overlayID, number int64) error {
	res, err := tx.NewUpdate().Model((*Overlay)(nil)).Set("version = ?", number).
		Where("id = ? AND version <> ?", overlayID, number).Exec(ctx)
	if err != nil {
		return fmt.Errorf("use version %d of overlay %d: %w", number, overlayID, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	_, err = tx.NewUpdate().Model((*Blueprint)(nil)).Set("revision = revision + 1").
		Where("id IN (SELECT blueprint_id FROM blueprint_overlays WHERE overlay_id = ?)", overlayID).Exec(ctx)
	return err
}

// OverlayVersions lists an overlay's versions, newest first, at most limit, older
// than before unless that is 0.
func OverlayVersions(ctx context.Context, db bun.IDB, overlayID, before int64, limit int) ([]OverlayVersion, error) {
	var list []OverlayVersion
	q := db.NewSelect().Model(&list).Where("overlay_id = ?", overlayID).OrderExpr("number DESC").Limit(int64(limit))
	if before > 0 {
		q = q.Where("number < ?", before)
	}
	return list, q.Scan(ctx)
}

// OverlayVersionByNumber finds one version.
func OverlayVersionByNumber(ctx context.Context, db bun.IDB, overlayID, number int64) (*OverlayVersion, error) {
	v := new(OverlayVersion)
	if err := found(db.NewSelect().Model(v).Where("overlay_id = ? AND number = ?", overlayID, number).Scan(ctx)); err != nil {
		return nil, err
	}
	return v, nil
}

// CurrentVersions returns the current version of each overlay that has one.
func CurrentVersions(ctx context.Context, db bun.IDB, overlayIDs []int64) (map[int64]*OverlayVersion, error) {
	var list []*OverlayVersion
	if len(overlayIDs) == 0 {
		return nil, nil
	}
	err := db.NewSelect().Model(&list).
		Join("JOIN overlays AS o ON o.id = overlay_version.overlay_id AND o.version = overlay_version.number").
		Where("o.id IN (?)", bun.List(overlayIDs)).Scan(ctx)
	if err != nil {
		return nil, err
	}
	byID := make(map[int64]*OverlayVersion, len(list))
	for _, v := range list {
		byID[v.OverlayID] = v
	}
	return byID, nil
}

// VersionCollected notes that the host removed a version's files. If somebody made
// it current while it was being removed, the newest one that has its files is
// current instead.
func VersionCollected(ctx context.Context, tx bun.IDB, overlayID, number int64) error {
	_, err := tx.NewUpdate().Model((*OverlayVersion)(nil)).Set("collected_at = ?", Now()).
		Where("overlay_id = ? AND number = ? AND collected_at IS NULL", overlayID, number).Exec(ctx)
	if err != nil {
		return fmt.Errorf("note that version %d of overlay %d was collected: %w", number, overlayID, err)
	}
	o, err := OverlayByID(ctx, tx, overlayID)
	if errors.Is(err, ErrNotFound) {
		return nil // deleted; its files were left over
	}
	if err != nil || o.Version != number {
		return err
	}
	var newest int64
	err = tx.NewSelect().Model((*OverlayVersion)(nil)).ColumnExpr("COALESCE(MAX(number), 0)").
		Where("overlay_id = ? AND collected_at IS NULL", overlayID).Scan(ctx, &newest)
	if err != nil {
		return err
	}
	return setOverlayVersion(ctx, tx, overlayID, newest)
}

// PinnedVersions lists every ref that a blueprint uses or may use at its next
// action, such as 12/v3: collecting leaves them alone.
func PinnedVersions(ctx context.Context, db bun.IDB) ([]string, error) {
	var list []Overlay
	if err := db.NewSelect().Model(&list).Column("id", "version").Where("version > 0").OrderExpr("id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("list the versions in use: %w", err)
	}
	refs := make([]string, len(list))
	for i, o := range list {
		refs[i] = o.Ref()
	}
	return refs, nil
}
