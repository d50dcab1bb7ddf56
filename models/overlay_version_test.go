package models_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

func current(t *testing.T, db *bun.DB, id int64) int64 {
	t.Helper()
	o, err := models.OverlayByID(context.Background(), db, id)
	if err != nil {
		t.Fatal(err)
	}
	return o.Version
}

func TestPublishedVersionBecomesCurrentOnce(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, me := context.Background(), modelstest.User(t, db, false)
		o, b := modelstest.Overlay(t, db, me, models.OverlayFiles), modelstest.Blueprint(t, db, me)
		if err := models.SetBlueprintOverlays(ctx, db, me.ID, b.ID, []models.Stacked{{ID: o.ID}}); err != nil {
			t.Fatal(err)
		}
		modelstest.Publish(t, db, o, 1)
		first, err := models.OverlayVersionByNumber(ctx, db, o.ID, 1)
		if err != nil {
			t.Fatal(err)
		}
		// A job that is carried out again records it again.
		again := &models.OverlayVersion{OverlayID: o.ID, Number: 1, CreatedAt: models.Now(), Why: "again", Report: json.RawMessage(`{}`)}
		if err := models.PublishVersion(ctx, db, again); err != nil {
			t.Fatal(err)
		}
		if got, err := models.OverlayVersionByNumber(ctx, db, o.ID, 1); err != nil || got.Why != first.Why {
			t.Errorf("recording it again changed it: %+v, %v", got, err)
		}
		got, err := models.BlueprintByID(ctx, db, me.ID, b.ID)
		if err != nil || got.Revision != 2 || got.Edits != 1 || got.Overlays[0].Version != 1 {
			t.Errorf("blueprint: revision %d, edits %d, %v; want 2 and 1", got.Revision, got.Edits, err)
		}
	})
}

func TestOlderVersionCanBeUsedUntilItIsCollected(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		o := modelstest.Overlay(t, db, nil, models.OverlayFiles)
		for n := range int64(3) {
			modelstest.Publish(t, db, o, n+1)
		}
		if err := models.UseVersion(ctx, db, o.ID, 2); err != nil || current(t, db, o.ID) != 2 {
			t.Fatalf("current is %d, %v; want 2", current(t, db, o.ID), err)
		}
		if refs, err := models.PinnedVersions(ctx, db); err != nil || !slices.Equal(refs, []string{models.Overlay{ID: o.ID, Version: 2}.Ref()}) {
			t.Errorf("pinned %v, %v", refs, err)
		}
		if err := models.UseVersion(ctx, db, o.ID, 9); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("a version that never was: %v", err)
		}
		if err := models.VersionCollected(ctx, db, o.ID, 1); err != nil {
			t.Fatal(err)
		}
		if err := models.UseVersion(ctx, db, o.ID, 1); !errors.Is(err, models.ErrConflict) {
			t.Errorf("a collected version: %v, want a conflict", err)
		}
		list, err := models.OverlayVersions(ctx, db, o.ID, 3, 10)
		if err != nil || len(list) != 2 || list[0].Number != 2 || !list[0].CollectedAt.IsZero() || list[1].CollectedAt.IsZero() {
			t.Errorf("versions before 3: %+v, %v", list, err)
		}
		byID, err := models.CurrentVersions(ctx, db, []int64{o.ID, 99})
		if err != nil || len(byID) != 1 || byID[o.ID].Number != 2 {
			t.Errorf("current versions %+v, %v", byID, err)
		}
	})
}

// Somebody chose a version while the host removed its files: no server may be left
// with a version that is not there.
func TestCollectedCurrentVersionGivesWay(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		o := modelstest.Overlay(t, db, nil, models.OverlayFiles)
		for n := range int64(3) {
			modelstest.Publish(t, db, o, n+1)
		}
		if err := models.UseVersion(ctx, db, o.ID, 1); err != nil {
			t.Fatal(err)
		}
		if err := models.VersionCollected(ctx, db, o.ID, 1); err != nil || current(t, db, o.ID) != 3 {
			t.Errorf("current is %d, %v; want 3", current(t, db, o.ID), err)
		}
		if err := models.VersionCollected(ctx, db, 999, 1); err != nil {
			t.Errorf("a version of an overlay that no row knows: %v", err)
		}
	})
}
