package models_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

func newUpload(t *testing.T, db *bun.DB, u *models.User, o *models.Overlay) *models.Upload {
	t.Helper()
	up := &models.Upload{UserID: u.ID, OverlayID: o.ID, Name: "a.vpk", Size: 100}
	if err := models.CreateUpload(context.Background(), db, up); err != nil {
		t.Fatal(err)
	}
	return up
}

func uploadIDs(t *testing.T, db *bun.DB) []string {
	t.Helper()
	ids, err := models.UploadIDs(context.Background(), db)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// What came while a draft was published stays, also when the draft was emptied in
// between: its numbers never come again.
func TestPublishingDropsOnlyWhatItRead(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, me := context.Background(), modelstest.User(t, db, false)
		o := modelstest.Overlay(t, db, me, models.OverlayFiles)
		once, twice := newUpload(t, db, me, o), newUpload(t, db, me, o)
		add := func(changes ...models.DraftChange) {
			t.Helper()
			if err := models.AddDraftChanges(ctx, db, o.ID, changes); err != nil {
				t.Fatal(err)
			}
		}
		add(models.DraftChange{Op: "put", Path: "a", UploadID: once.ID}, models.DraftChange{Op: "put", Path: "b", UploadID: twice.ID})
		read, err := models.DraftChanges(ctx, db, o.ID)
		if err != nil || len(read) != 2 {
			t.Fatalf("the draft: %+v, %v", read, err)
		}
		seq := read[1].Seq
		if _, err := db.NewDelete().Model((*models.DraftChange)(nil)).Where("overlay_id = ?", o.ID).Exec(ctx); err != nil {
			t.Fatal(err)
		}
		add(models.DraftChange{Op: "put", Path: "c", UploadID: twice.ID}, models.DraftChange{Op: "mkdir", Path: "d"})
		if err := models.DropDraft(ctx, db, o.ID, seq); err != nil {
			t.Fatal(err)
		}
		left, err := models.DraftChanges(ctx, db, o.ID)
		if err != nil || len(left) != 2 || left[0].Path != "c" || left[0].Seq != seq+1 {
			t.Fatalf("left of the draft: %+v, %v; want c and d", left, err)
		}
		add(models.DraftChange{Op: "put", Path: "e", UploadID: once.ID}, models.DraftChange{Op: "put", Path: "f", UploadID: twice.ID})
		if err := models.DropDraft(ctx, db, o.ID, seq+3); err != nil {
			t.Fatal(err)
		}
		if ids := uploadIDs(t, db); !slices.Equal(ids, []string{twice.ID}) {
			t.Errorf("uploads %v are known; want only %s, which f still holds", ids, twice.ID)
		}
	})
}

func TestDraftsOfManyWindowsGetTheirOwnNumbers(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		o := modelstest.Overlay(t, db, nil, models.OverlayFiles)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
					return models.AddDraftChanges(ctx, tx, o.ID, []models.DraftChange{{Op: "mkdir", Path: fmt.Sprint(i)}, {Op: "mkdir", Path: fmt.Sprint(i) + "/x"}})
				})
				if err != nil {
					t.Errorf("window %d: %v", i, err)
				}
			})
		}
		all.Wait()
		list, err := models.DraftChanges(ctx, db, o.ID)
		if err != nil || len(list) != 16 {
			t.Fatalf("%d changes, %v", len(list), err)
		}
		for i, c := range list {
			if c.Seq != int64(i+1) || i%2 == 1 && c.Path != list[i-1].Path+"/x" {
				t.Errorf("change %d is %+v", i, c)
			}
		}
		if err := models.AddDraftChanges(ctx, db, o.ID, make([]models.DraftChange, models.MaxDraftChanges)); field(err) != "draft" {
			t.Errorf("a draft that is too long: %v, want a refusal", err)
		}
	})
}

func TestUploadsMoveOnFromWhereTheyWere(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, me, other := context.Background(), modelstest.User(t, db, false), modelstest.User(t, db, true)
		o := modelstest.Overlay(t, db, me, models.OverlayFiles)
		up := newUpload(t, db, me, o)
		stale := *up
		if err := models.UploadReceived(ctx, db, up, 60); err != nil || up.Done() {
			t.Fatalf("60 of 100: done %v, %v", up.Done(), err)
		}
		if err := models.UploadReceived(ctx, db, &stale, 50); !errors.Is(err, models.ErrConflict) {
			t.Errorf("a second window's chunk: %v, want a conflict", err)
		}
		if err := models.UploadReceived(ctx, db, up, 101); err == nil {
			t.Error("more was received than there is")
		}
		if _, err := models.UploadOf(ctx, db, other.ID, o.ID, up.ID); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("somebody else's upload: %v", err)
		}
		if got, err := models.UploadOf(ctx, db, me.ID, o.ID, up.ID); err != nil || got.Received != 60 {
			t.Errorf("the upload: %+v, %v", got, err)
		}
	})
}

func TestUploadsThatADraftHoldsAreNeverStale(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, me := context.Background(), modelstest.User(t, db, false)
		o := modelstest.Overlay(t, db, me, models.OverlayFiles)
		held, idle := newUpload(t, db, me, o), newUpload(t, db, me, o)
		if err := models.AddDraftChanges(ctx, db, o.ID, []models.DraftChange{{Op: "put", Path: "a", UploadID: held.ID}}); err != nil {
			t.Fatal(err)
		}
		if err := models.DeleteUpload(ctx, db, held.ID); !errors.Is(err, models.ErrConflict) {
			t.Errorf("deleting an upload that a draft holds: %v, want a conflict", err)
		}
		if n, err := models.DeleteStaleUploads(ctx, db, models.Now().Add(-time.Hour)); err != nil || n != 0 {
			t.Errorf("%d fresh uploads were forgotten, %v", n, err)
		}
		if n, err := models.DeleteStaleUploads(ctx, db, models.Now().Add(time.Hour)); err != nil || n != 1 {
			t.Errorf("%d uploads were forgotten, %v; want 1", n, err)
		}
		if ids := uploadIDs(t, db); !slices.Equal(ids, []string{held.ID}) {
			t.Errorf("uploads %v are known, want %s and not %s", ids, held.ID, idle.ID)
		}
	})
}

// One change is taken out with its upload, unless another change holds that, too.
func TestOneChangeIsTakenOut(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, me := context.Background(), modelstest.User(t, db, false)
		o, another := modelstest.Overlay(t, db, me, models.OverlayFiles), modelstest.Overlay(t, db, me, models.OverlayFiles)
		once, twice := newUpload(t, db, me, o), newUpload(t, db, me, o)
		list := []models.DraftChange{{Op: "put", Path: "a", UploadID: once.ID}, {Op: "put", Path: "b", UploadID: twice.ID}, {Op: "put", Path: "c", UploadID: twice.ID}, {Op: "mkdir", Path: "d"}}
		if err := models.AddDraftChanges(ctx, db, o.ID, list); err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{once.ID, "", twice.ID, ""} {
			if _, err := models.DropDraftChange(ctx, db, another.ID, list[i].Seq); !errors.Is(err, models.ErrNotFound) {
				t.Errorf("change %d of another overlay: %v", i, err)
			}
			if got, err := models.DropDraftChange(ctx, db, o.ID, list[i].Seq); err != nil || got != want {
				t.Errorf("change %d frees %q, %v; want %q", i, got, err, want)
			}
			if _, err := models.DropDraftChange(ctx, db, o.ID, list[i].Seq); !errors.Is(err, models.ErrNotFound) {
				t.Errorf("change %d once more: %v", i, err)
			}
		}
		if ids := uploadIDs(t, db); len(ids) != 0 {
			t.Errorf("uploads are left: %q", ids)
		}
	})
}

func TestUploadsOfAUserAreBounded(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, me, other := context.Background(), modelstest.User(t, db, false), modelstest.User(t, db, false)
		o := modelstest.Overlay(t, db, me, models.OverlayFiles)
		begin := func(u *models.User, size int64) (*models.Upload, error) {
			up := &models.Upload{UserID: u.ID, OverlayID: o.ID, Name: "a", Size: size, Op: "unpack", Path: "d"}
			return up, models.BeginUpload(ctx, db, up)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		begun := 0
		for range models.MaxUnfinishedUploads + 20 {
			wg.Go(func() {
				_, err := begin(me, 10)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					begun++
				} else if _, refused := models.AsInvalid(err); !refused {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if begun != models.MaxUnfinishedUploads {
			t.Errorf("%d uploads were begun, want %d", begun, models.MaxUnfinishedUploads)
		}
		if n, err := models.UploadsToCome(ctx, db); err != nil || n != int64(begun)*10 {
			t.Errorf("%d bytes are to come, %v", n, err)
		}
		up, err := begin(other, models.MaxUploadedBytes-5)
		if err != nil {
			t.Fatalf("one user's uploads hinder another: %v", err)
		}
		if _, err := begin(other, 6); err == nil {
			t.Error("more bytes than may be")
		}
		if _, err := begin(other, 5); err != nil {
			t.Error(err)
		}
		// What is announced may turn out smaller; the rest can be used again.
		if err := models.FinishUpload(ctx, db, up, 7); err != nil || !up.Done() {
			t.Errorf("%+v, %v", up, err)
		}
		if err := models.FinishUpload(ctx, db, &models.Upload{ID: up.ID}, 9); !errors.Is(err, models.ErrConflict) {
			t.Errorf("finished twice: %v", err)
		}
		if _, err := begin(other, 1000); err != nil {
			t.Error(err)
		}
		list, err := models.UploadsUnderWay(ctx, db, other.ID, o.ID)
		if err != nil || len(list) != 2 || list[0].Op != "unpack" || list[0].Path != "d" {
			t.Errorf("under way: %+v, %v", list, err)
		}
	})
}
