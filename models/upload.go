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
	Op        string    `bun:"op"`   // "put" or "unpack": the draft's change when it is complete
	Path      string    `bun:"path"` // of that change
	CreatedAt time.Time `bun:"created_at"`
	UpdatedAt time.Time `bun:"updated_at"`
}

// Done says whether every byte has arrived.
func (u *Upload) Done() bool { return u.Received == u.Size }

// What one user may have under way. Uploads that a draft holds count for the bytes,
// too: publishing or throwing the draft away makes room.
const (
	MaxUnfinishedUploads = 100
	MaxUploadedBytes     = 64 << 30
)

// BeginUpload creates an upload within what its user may have under way; beyond that
// is an InvalidError.
func BeginUpload(ctx context.Context, db bun.IDB, u *Upload) error {
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		// Uploads of one user begin one after another, or many at once would all see
		// the same count.
		if _, err := tx.NewUpdate().Model((*User)(nil)).Set("name = name").Where("id = ?", u.UserID).Exec(ctx); err != nil {
			return fmt.Errorf("count the uploads of a user: %w", err)
		}
		var unfinished int
		var bytes int64
		err := tx.NewSelect().Model((*Upload)(nil)).ColumnExpr("COUNT(CASE WHEN received < size THEN 1 END)").
			ColumnExpr("CAST(COALESCE(SUM(size), 0) AS BIGINT)").Where("user_id = ?", u.UserID).Scan(ctx, &unfinished, &bytes)
		if err != nil {
			return fmt.Errorf("count the uploads of a user: %w", err)
		}
		switch {
		case unfinished >= MaxUnfinishedUploads:
			return Invalid("upload", fmt.Sprintf("You have %d uploads that are not complete; more cannot be begun. Finish some of them or cancel them.", unfinished))
		case u.Size > MaxUploadedBytes-bytes:
			return Invalid("upload", fmt.Sprintf("You have %d GB in drafts and uploads that are not published; at most %d GB are possible. Publish a draft or throw one away, then go on.", bytes>>30, int64(MaxUploadedBytes)>>30))
		}
		return CreateUpload(ctx, tx, u)
	})
}

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

// FinishUpload notes that everything has arrived: size bytes, whatever was announced.
func FinishUpload(ctx context.Context, tx bun.IDB, u *Upload, size int64) error {
	err := oneRow(tx.NewUpdate().Model((*Upload)(nil)).Set("size = ?, received = ?, updated_at = ?", size, size, Now()).
		Where("id = ? AND received = ?", u.ID, u.Received).Exec(ctx))
	if err != nil {
		return fmt.Errorf("finish upload %s: %w", u.ID, violation(err))
	}
	u.Size, u.Received = size, size
	return nil
}

// uploadPause is how long the room of an upload is kept that nothing arrives for.
const uploadPause = time.Hour

// UploadsToCome is how many bytes of all uploads have not arrived yet: their room is
// spoken for, as long as something arrives.
func UploadsToCome(ctx context.Context, db bun.IDB) (n int64, err error) {
	err = db.NewSelect().Model((*Upload)(nil)).ColumnExpr("CAST(COALESCE(SUM(size - received), 0) AS BIGINT)").
		Where("received < size AND updated_at > ?", Now().Add(-uploadPause)).Scan(ctx, &n)
	return n, err
}

// UploadsUnderWay lists a user's uploads to an overlay that are not complete, the
// newest first.
func UploadsUnderWay(ctx context.Context, db bun.IDB, userID string, overlayID int64) ([]Upload, error) {
	var list []Upload
	err := db.NewSelect().Model(&list).Where("user_id = ? AND overlay_id = ? AND received < size", userID, overlayID).
		OrderExpr("created_at DESC").Limit(MaxUnfinishedUploads).Scan(ctx)
	return list, err
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
