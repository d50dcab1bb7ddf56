package models_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

// One user made overlays without end, each with a build and versions of its own, and
// lists showed the first five hundred.
func TestAttack19OverlaysOfOneUser(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		owner, other := modelstest.User(t, db, false), modelstest.User(t, db, false)
		for _, user := range []string{owner.ID, ""} {
			create := func(n int) error {
				return models.CreateOverlay(ctx, db, &models.Overlay{UserID: user, Name: fmt.Sprint("number ", n), Kind: models.OverlayFiles})
			}
			for n := range models.MaxOverlays - 10 {
				if err := create(n); err != nil {
					t.Fatal(err)
				}
			}
			var made atomic.Int64
			var all sync.WaitGroup
			for n := range 50 {
				all.Go(func() {
					switch err := create(models.MaxOverlays + n); {
					case err == nil:
						made.Add(1)
					case field(err) != "name":
						t.Errorf("one too many of %q: %v, want a refusal", user, err)
					}
				})
			}
			all.Wait()
			if made.Load() != 10 {
				t.Errorf("%d overlays were made at once where 10 were possible", made.Load())
			}
		}
		if err := models.CreateOverlay(ctx, db, &models.Overlay{UserID: other.ID, Name: "mine", Kind: models.OverlayFiles}); err != nil {
			t.Errorf("the overlay of somebody else: %v", err)
		}
	})
}
