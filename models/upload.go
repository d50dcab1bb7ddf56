package models

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// Upload is a file on its way from a browser, or one that a draft holds. Its
// bytes are the host's file uploads/ID.
type Upload struct {
	bun.BaseModel `bun:"table:uploads"`

	ID        string    `bun:"id,pk"`
	UserID    string    `bun:"user_id"`
	OverlayID int64     `bun:"overlay_id"`
	Name      string    `bun:"name"` // as the browser called it; never a path
	Size      int64     `bun:"size"`
	Received  int64     `bun:"received"`
	CreatedAt time.Time `bun:"created_at"`
	UpdatedAt time.Time `bun:"updated_at"`
}

// Done says whether every byte has arrived.
func (u *Upload) Done() bool { return u.Received == u.Size }

// CreateUpload gives an upload its id.
func CreateUpload(ctx context.Context, db bun.IDB, u *Upload) error {
	u.ID, u.CreatedAt, u.UpdatedAt = NewID(), Now(), Now()
	if _, err := db.NewInsert().Model(u).Exec(ctx); err != nil {
		return fmt.Errorf("create upload: %w", violation(err))
	}
	return nil
}

// UploadOf finds the user's upload to an overlay.
func UploadOf(ctx context.Context, db bun.IDB, userID string, overlayID int64, id string) (*Upload, error) {
	u := new(Upload)
	err := found(db.NewSelect().Model(u).Where("id = ? AND user_id = ? AND overlay_id = ?", id, userID, overlayID).Scan(ctx))
	if err != nil {
		return nil, err
	}
	return u, nil
}

// UploadReceived notes how far an upload has come. ErrConflict when somebody else
// moved it on from where the caller saw it.
func UploadReceived(ctx context.Context, db bun.IDB, u *Upload, received int64) error {
	res, err := db.NewUpdate().Model((*Upload)(nil)).Set("received = ?, updated_at = ?", received, Now()).
		Where("id = ? AND received = ?", u.ID, u.Received).Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return ErrConflict
	}
	u.Received = received
	return nil
}

// DeleteUpload forgets an upload that no draft holds.
func DeleteUpload(ctx context.Context, db bun.IDB, id string) error {
	_, err := db.NewDelete().Model((*Upload)(nil)).Where("id = ?", id).Exec(ctx)
	return violation(err)
}

// DeleteStaleUploads forgets uploads that no draft holds and that nothing arrived
// for since before. It returns how many.
func DeleteStaleUploads(ctx context.Context, db bun.IDB, before time.Time) (int64, error) {
	res, err := db.NewDelete().Model((*Upload)(nil)).Where("updated_at < ?", before.UTC()).
		Where("NOT EXISTS (SELECT 1 FROM draft_changes AS d WHERE d.upload_id = upload.id)").Exec(ctx)
	if err != nil {
		return 0, fmt.Errorf("forget stale uploads: %w", violation(err))
	}
	return res.RowsAffected()
}

// UploadIDs lists every upload that is known: what else lies in uploads/ is
// nobody's.
func UploadIDs(ctx context.Context, db bun.IDB) ([]string, error) {
	var ids []string
	err := db.NewSelect().Model((*Upload)(nil)).Column("id").OrderExpr("id").Scan(ctx, &ids)
	return ids, err
}

// UnfinishedUploads are the ids of an overlay's uploads that are not complete.
func UnfinishedUploads(ctx context.Context, db bun.IDB, overlayID int64) (map[string]bool, error) {
	var ids []string
	err := db.NewSelect().Model((*Upload)(nil)).Column("id").Where("overlay_id = ? AND received < size", overlayID).Scan(ctx, &ids)
	set := make(map[string]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set, err
}
