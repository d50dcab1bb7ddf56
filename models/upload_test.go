package models_test

import (
	"context"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

// Somebody announced all that one user may, sent nothing, and for a week nobody else
// had room for an upload.
func TestAttack27UploadsThatNeverCome(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, u := context.Background(), modelstest.User(t, db, false)
		o := modelstest.Overlay(t, db, u, models.OverlayFiles)
		up := &models.Upload{UserID: u.ID, OverlayID: o.ID, Name: "a", Size: models.MaxUploadedBytes, Op: "put"}
		if err := models.BeginUpload(ctx, db, up); err != nil {
			t.Fatal(err)
		}
		coming := func(want int64) {
			t.Helper()
			if n, err := models.UploadsToCome(ctx, db); err != nil || n != want {
				t.Errorf("%d bytes are to come, %v; want %d", n, err, want)
			}
		}
		coming(up.Size)
		if _, err := db.NewUpdate().Model(up).Set("updated_at = ?", models.Now().Add(-61*time.Minute)).WherePK().Exec(ctx); err != nil {
			t.Fatal(err)
		}
		coming(0)
		if err := models.UploadReceived(ctx, db, up, 1); err != nil {
			t.Fatal(err)
		}
		coming(up.Size - 1)
	})
}
