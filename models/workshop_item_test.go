package models_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

func TestOverlayItemsKeepTheirOrder(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		o := modelstest.Overlay(t, db, nil, models.OverlayWorkshop)
		add := func(want int, ids ...string) {
			t.Helper()
			if n, err := models.AddOverlayItems(ctx, db, o.ID, ids); err != nil || n != want {
				t.Fatalf("adding %v: %d are new, %v; want %d", ids, n, err, want)
			}
		}
		add(3, "30", "10", "20", "10")
		add(1, "10", "40")
		add(0)
		if err := models.RemoveOverlayItem(ctx, db, o.ID, "30"); err != nil {
			t.Fatal(err)
		}
		if err := models.RemoveOverlayItem(ctx, db, o.ID, "30"); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("removing it again: %v", err)
		}
		add(1, "30")
		if ids, err := models.OverlayItemIDs(ctx, db, o.ID); err != nil || !slices.Equal(ids, []string{"10", "20", "40", "30"}) {
			t.Errorf("items %v, %v", ids, err)
		}
		many := make([]string, models.MaxOverlayItems)
		for i := range many {
			many[i] = fmt.Sprint(1000 + i)
		}
		if _, err := models.AddOverlayItems(ctx, db, o.ID, many); field(err) != "items" {
			t.Errorf("too many items: %v, want a refusal", err)
		}
	})
}

func TestWorkshopItemsAreKnownOnce(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		for i, state := range []string{"wanted", "stored"} {
			w := &models.WorkshopItem{ID: "7", State: state, Title: "Ma\"p <b>", Stamp: fmt.Sprint(i), Report: json.RawMessage(fmt.Sprintf(`{"id":"7","size":%d}`, i))}
			if err := models.SaveWorkshopItem(ctx, db, w); err != nil {
				t.Fatal(err)
			}
		}
		ids := []string{"7", "8"}
		for i := range 1200 { // more than one statement's worth
			ids = append(ids, fmt.Sprint(100+i))
		}
		byID, err := models.WorkshopItems(ctx, db, ids)
		if err != nil || len(byID) != 1 || byID["7"].State != "stored" || byID["7"].Stamp != "1" {
			t.Errorf("known: %+v, %v", byID, err)
		}
		if err := models.SaveWorkshopItem(ctx, db, &models.WorkshopItem{ID: "9", State: "strange", Report: json.RawMessage(`{}`)}); err == nil {
			t.Error("a state that does not exist was stored")
		}
	})
}

func TestAdmittedFiles(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		o := modelstest.Overlay(t, db, nil, models.OverlayWorkshop)
		for _, path := range []string{"addons/b.vpk", "addons/renamed.vpk"} { // the content decides, not the name
			if err := models.AdmitFile(ctx, db, &models.AdmittedFile{OverlayID: o.ID, SHA256: "ab", Path: path, UserName: "mira"}); err != nil {
				t.Fatal(err)
			}
		}
		if list, err := models.AdmittedFiles(ctx, db, o.ID); err != nil || len(list) != 1 || list[0].Path != "addons/b.vpk" || list[0].At.IsZero() {
			t.Errorf("admitted: %+v, %v", list, err)
		}
	})
}
