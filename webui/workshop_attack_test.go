package webui

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/models"
	"left4me/models/modelstest"
)

// A thousand collections that all list each other: the page of an overlay with one of
// them read every pair of them, which took minutes and gigabytes.
func TestAttack4BombOfCollectionsOnAPage(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, false)
	o := modelstest.Overlay(t, s.db, u, models.OverlayWorkshop)
	var all []string
	for i := range ctl.MaxWorkshopItems / 2 {
		all = append(all, fmt.Sprint(1000+i))
	}
	err := s.db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		for _, id := range all {
			report, err := json.Marshal(ctl.Item{ID: id, State: ctl.ItemCollection, Children: all})
			if err == nil {
				err = models.SaveWorkshopItem(ctx, tx, &models.WorkshopItem{ID: id, State: string(ctl.ItemCollection), Report: report})
			}
			if err != nil {
				return err
			}
		}
		_, err := models.AddOverlayItems(ctx, tx, o.ID, all[:1])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	items, err := s.workshopItems(ctx, u, o)
	if err != nil || len(items.Rows) != len(all) {
		t.Errorf("%d of %d collections, each once: %v", len(items.Rows), len(all), err)
	}
}
