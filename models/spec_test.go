package models_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

func TestSpecIsRememberedByItsSum(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, me, key := context.Background(), modelstest.User(t, db, false), modelstest.Key(t)
		srv, other := modelstest.Server(t, db, key, me), modelstest.Server(t, db, key, me)
		lower, upper := modelstest.Overlay(t, db, nil, models.OverlayWorkshop), modelstest.Overlay(t, db, me, models.OverlayFiles)
		modelstest.Publish(t, db, lower, 3)
		b, err := models.BlueprintByID(ctx, db, me.ID, srv.BlueprintID)
		if err != nil {
			t.Fatal(err)
		}
		b.Arguments, b.Config = []string{"+map", "c2m1_highway versus"}, "sv_alltalk 1\n// é \\u0000\n"
		if err := models.UpdateBlueprint(ctx, db, b); err != nil {
			t.Fatal(err)
		}
		err = models.SetBlueprintOverlays(ctx, db, me.ID, b.ID, []models.Stacked{{ID: upper.ID}, {ID: lower.ID, Exec: true}})
		if err != nil {
			t.Fatal(err)
		}
		if srv, err = models.ServerByID(ctx, db, srv.ID); err != nil {
			t.Fatal(err)
		}
		spec, err := models.SpecOf(ctx, db, srv)
		if err != nil {
			t.Fatal(err)
		}
		want := models.Spec{
			Port: srv.Port, Hostname: srv.Name, Arguments: b.Arguments, Config: b.Config,
			Overlays: []models.SpecOverlay{{ID: upper.ID, Name: upper.Name}, {ID: lower.ID, Version: 3, Name: lower.Name, Exec: true}},
		}
		if !reflect.DeepEqual(spec, want) {
			t.Fatalf("the spec is %+v, want %+v", spec, want)
		}
		for range 2 { // giving it again is no conflict
			if err := models.RememberSpec(ctx, db, srv.ID, "aaaa", spec); err != nil {
				t.Fatal(err)
			}
		}
		if err := models.RememberSpec(ctx, db, other.ID, "bbbb", models.Spec{Port: 1}); err != nil {
			t.Fatal(err)
		}
		srv.Status.Spec, other.Status.Spec = "aaaa", "aaaa" // which was never the other's
		got, err := models.RememberedSpecs(ctx, db, []models.Server{*srv, *other, {ID: "new"}})
		if err != nil || len(got) != 1 || !reflect.DeepEqual(got[srv.ID], want) {
			t.Errorf("remembered %+v (%v), want only %s's %+v", got, err, srv.ID, want)
		}
		if got, err := models.RememberedSpecs(ctx, db, []models.Server{{ID: "new"}}); err != nil || len(got) != 0 {
			t.Errorf("of a server that never ran %v is remembered (%v)", got, err)
		}
	})
}
