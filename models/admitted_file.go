package models

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// AdmittedFile is a refused file that an administrator lets into an overlay.
type AdmittedFile struct {
	bun.BaseModel `bun:"table:admitted_files"`

	OverlayID int64     `bun:"overlay_id,pk"`
	SHA256    string    `bun:"sha256,pk"` // of its content, in hex
	Path      string    `bun:"path"`
	UserName  string    `bun:"user_name"`
	At        time.Time `bun:"at"`
}

// AdmitFile lets a refused file in from the next version on.
func AdmitFile(ctx context.Context, tx bun.IDB, f *AdmittedFile) error {
	f.At = Now()
	if _, err := tx.NewInsert().Model(f).On("CONFLICT (overlay_id, sha256) DO NOTHING").Exec(ctx); err != nil {
		return fmt.Errorf("admit a file: %w", violation(err))
	}
	return nil
}

// AdmittedFiles lists what was let into an overlay.
func AdmittedFiles(ctx context.Context, db bun.IDB, overlayID int64) ([]AdmittedFile, error) {
	var list []AdmittedFile
	err := db.NewSelect().Model(&list).Where("overlay_id = ?", overlayID).OrderExpr("path").Limit(500).Scan(ctx)
	return list, err
}
