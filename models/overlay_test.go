package models_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

func TestOverlayRefusals(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, me := context.Background(), modelstest.User(t, db, false)
		taken := modelstest.Overlay(t, db, me, models.OverlayFiles)
		tests := map[string]struct {
			o    models.Overlay
			want string
		}{
			"no name":                     {models.Overlay{UserID: me.ID, Kind: models.OverlayFiles}, "name"},
			"a taken name":                {models.Overlay{UserID: me.ID, Name: strings.ToUpper(taken.Name), Kind: models.OverlayFiles}, "name"},
			"a script that is large":      {models.Overlay{UserID: me.ID, Name: "a", Kind: models.OverlayScript, Definition: models.OverlayDefinition{Script: strings.Repeat("x", models.MaxScriptBytes+1)}}, "script"},
			"NUL in a script":             {models.Overlay{UserID: me.ID, Name: "a", Kind: models.OverlayScript, Definition: models.OverlayDefinition{Script: "a\x00"}}, "script"},
			"a recipe without its name":   {models.Overlay{Name: "a", Kind: models.OverlayManaged}, "recipe"},
			"a recipe of one user's own":  {models.Overlay{UserID: me.ID, Name: "a", Kind: models.OverlayManaged, Definition: models.OverlayDefinition{Recipe: "sourcemod"}}, "recipe"},
			"the same name, but somebody": {models.Overlay{UserID: modelstest.User(t, db, false).ID, Name: taken.Name, Kind: models.OverlayFiles}, "nothing"},
			"the same name, but shared":   {models.Overlay{Name: taken.Name, Kind: models.OverlayFiles}, "nothing"},
		}
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				if err := models.CreateOverlay(ctx, db, &test.o); field(err) != test.want {
					t.Errorf("CreateOverlay complains about %q (%v), want %q", field(err), err, test.want)
				}
			})
		}
	})
}

func TestSecondSaveOfAnOldOverlayIsRefused(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, me := context.Background(), modelstest.User(t, db, false)
		one := modelstest.Overlay(t, db, me, models.OverlayScript)
		two := *one
		one.Definition.Script = "echo first\r\n"
		if err := models.UpdateOverlay(ctx, db, one); err != nil {
			t.Fatal(err)
		}
		two.Definition.Script = "echo second"
		if err := models.UpdateOverlay(ctx, db, &two); !errors.Is(err, models.ErrConflict) {
			t.Errorf("second save: %v, want a conflict", err)
		}
		got, err := models.OverlayByID(ctx, db, one.ID)
		if err != nil || got.Definition.Script != "echo first\n" || got.Revision != 2 {
			t.Errorf("stored %+v, %v", got, err)
		}
	})
}

// Everybody may stack shared overlays; a private one does not exist for others.
func TestOverlaysAreTheirOwnersOrShared(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, me, other, admin := context.Background(), modelstest.User(t, db, false), modelstest.User(t, db, false), modelstest.User(t, db, true)
		mine, shared := modelstest.Overlay(t, db, me, models.OverlayScript), modelstest.Overlay(t, db, nil, models.OverlayFiles)
		if _, err := models.OverlayFor(ctx, db, other.ID, mine.ID); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("somebody else's overlay: %v", err)
		}
		if list, err := models.Overlays(ctx, db, other.ID); err != nil || len(list) != 1 || list[0].ID != shared.ID {
			t.Errorf("others list %+v, %v", list, err)
		}
		if !mine.ChangeableBy(me) || mine.ChangeableBy(admin) || shared.ChangeableBy(me) || !shared.ChangeableBy(admin) {
			t.Error("an own overlay is its owner's to change and a shared one an admin's, nobody else's")
		}
		if got, err := models.SharedOverlayByName(ctx, db, strings.ToUpper(shared.Name)); err != nil || got.ID != shared.ID {
			t.Errorf("shared by name: %+v, %v", got, err)
		}
		if _, err := models.SharedOverlayByName(ctx, db, mine.Name); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("a private overlay was found as a shared one: %v", err)
		}
	})
}

func TestStackedOverlayIsNotDeleted(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, me := context.Background(), modelstest.User(t, db, false)
		o, b := modelstest.Overlay(t, db, me, models.OverlayFiles), modelstest.Blueprint(t, db, me)
		modelstest.Publish(t, db, o, 1)
		if err := stack(ctx, db, b, models.Stacked{ID: o.ID}); err != nil {
			t.Fatal(err)
		}
		if err := models.DeleteOverlay(ctx, db, o.ID); err == nil || !strings.Contains(err.Error(), b.Name) {
			t.Fatalf("deletion of a stacked overlay: %v; want a sentence that names %s", err, b.Name)
		}
		if err := stack(ctx, db, b); err != nil {
			t.Fatal(err)
		}
		up := &models.Upload{UserID: me.ID, OverlayID: o.ID, Name: "a.vpk", Size: 1}
		if err := models.CreateUpload(ctx, db, up); err != nil {
			t.Fatal(err)
		}
		if err := models.AddDraftChanges(ctx, db, o.ID, []models.DraftChange{{Op: "put", Path: "a", UploadID: up.ID}}); err != nil {
			t.Fatal(err)
		}
		if err := models.DeleteOverlay(ctx, db, o.ID); err != nil {
			t.Fatal(err)
		}
		for name, model := range map[string]any{"versions": (*models.OverlayVersion)(nil), "drafts": (*models.DraftChange)(nil), "uploads": (*models.Upload)(nil)} {
			if n, err := db.NewSelect().Model(model).Count(ctx); err != nil || n != 0 {
				t.Errorf("%d %s of a deleted overlay are left, %v", n, name, err)
			}
		}
	})
}

// Nobody stacks what is on its way out.
func TestOverlayThatIsBeingDeletedIsNotStacked(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, me := context.Background(), modelstest.User(t, db, false)
		o, b := modelstest.Overlay(t, db, me, models.OverlayFiles), modelstest.Blueprint(t, db, me)
		j := &models.Job{Kind: models.KindDeleteOverlay, Host: "local", Pool: models.PoolBulk, OverlayID: o.ID, Args: json.RawMessage(`{}`)}
		if err := models.InsertJob(ctx, db, j, nil); err != nil {
			t.Fatal(err)
		}
		if err := models.SetBlueprintOverlays(ctx, db, me.ID, b.ID, []models.Stacked{{ID: o.ID}}); field(err) != "overlays" {
			t.Errorf("stacking it: %v, want a refusal", err)
		}
	})
}

// Neither a change of the list nor an overlay's new version stands in the way of
// somebody who writes at the text.
func TestBlueprintGuardsTextAndNotOverlays(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, me := context.Background(), modelstest.User(t, db, false)
		o, b := modelstest.Overlay(t, db, me, models.OverlayFiles), modelstest.Blueprint(t, db, me)
		if err := stack(ctx, db, b, models.Stacked{ID: o.ID}); err != nil {
			t.Fatal(err)
		}
		modelstest.Publish(t, db, o, 1)
		stale := *b
		b.Config = "sv_alltalk 1"
		if err := models.UpdateBlueprint(ctx, db, b); err != nil || b.Edits != 2 || b.Revision != 4 {
			t.Fatalf("a save after a new list and a new version: edits %d, revision %d, %v; want 2 and 4", b.Edits, b.Revision, err)
		}
		if err := models.UpdateBlueprint(ctx, db, &stale); !errors.Is(err, models.ErrConflict) {
			t.Errorf("a save over somebody's save: %v, want a conflict", err)
		}
		got, err := models.BlueprintByID(ctx, db, me.ID, b.ID)
		if err != nil || len(got.Overlays) != 1 || got.Config != "sv_alltalk 1" || got.Revision != b.Revision {
			t.Errorf("stored %+v, %v", got, err)
		}
	})
}

// stack gives a blueprint another list.
func stack(ctx context.Context, db *bun.DB, b *models.Blueprint, list ...models.Stacked) error {
	return models.ChangeBlueprintOverlays(ctx, db, b, func([]models.Overlay) ([]models.Stacked, error) { return list, nil })
}

func TestOverlayReach(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, key, me := context.Background(), modelstest.Key(t), modelstest.User(t, db, false)
		o, s := modelstest.Overlay(t, db, me, models.OverlayFiles), modelstest.Server(t, db, key, me)
		modelstest.Server(t, db, key, me) // of another blueprint
		if err := models.SetBlueprintOverlays(ctx, db, me.ID, s.BlueprintID, []models.Stacked{{ID: o.ID}}); err != nil {
			t.Fatal(err)
		}
		blueprints, servers, err := models.OverlayReach(ctx, db, o.ID)
		if err != nil || len(blueprints) != 1 || blueprints[0] != s.BlueprintID || len(servers) != 1 || servers[0] != s.ID {
			t.Errorf("it reaches the blueprints %v and the servers %v, %v", blueprints, servers, err)
		}
		bare, empty := modelstest.Overlay(t, db, me, models.OverlayFiles), modelstest.Blueprint(t, db, me)
		if err := models.SetBlueprintOverlays(ctx, db, me.ID, empty.ID, []models.Stacked{{ID: o.ID}}); err != nil {
			t.Fatal(err)
		}
		counts, err := models.OverlayCounts(ctx, db, []int64{o.ID, bare.ID})
		if want := (models.OverlayCount{Blueprints: 2, Servers: 1}); err != nil || len(counts) != 1 || counts[o.ID] != want {
			t.Errorf("counted %v, %v; want %v for overlay %d alone", counts, err, want, o.ID)
		}
	})
}

// Jobs of an overlay are its owner's; those of a shared one are for admins and for
// whoever asked. What a job names comes without its script.
func TestJobsOfOverlays(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, me, other, admin := context.Background(), modelstest.User(t, db, false), modelstest.User(t, db, false), modelstest.User(t, db, true)
		own, shared := modelstest.Overlay(t, db, me, models.OverlayScript), modelstest.Overlay(t, db, nil, models.OverlayScript)
		own.Definition.Script = "echo hello"
		if err := models.UpdateOverlay(ctx, db, own); err != nil {
			t.Fatal(err)
		}
		add := func(o *models.Overlay, by *models.User) *models.Job {
			j := &models.Job{Kind: "overlay.build", Host: "local", Pool: models.PoolBulk, OverlayID: o.ID, OwnerID: o.UserID, UserID: by.ID, Args: json.RawMessage(`{}`)}
			if err := models.InsertJob(ctx, db, j, nil); err != nil {
				t.Fatal(err)
			}
			return j
		}
		mine, asked, theirs := add(own, me), add(shared, me), add(shared, admin)
		for _, test := range []struct {
			user *models.User
			want int
		}{{me, 2}, {other, 0}, {admin, 3}} {
			list, err := models.Jobs(ctx, db, models.JobFilter{User: test.user, Limit: 10})
			if err != nil || len(list) != test.want {
				t.Errorf("%s sees %d jobs, %v; want %d", test.user.Name, len(list), err, test.want)
			}
		}
		if !mine.VisibleTo(me) || !asked.VisibleTo(me) || theirs.VisibleTo(me) || mine.VisibleTo(other) || !theirs.VisibleTo(admin) {
			t.Error("VisibleTo and the list do not agree")
		}
		list, err := models.Jobs(ctx, db, models.JobFilter{User: admin, OverlayID: own.ID, Limit: 10})
		if err != nil || len(list) != 1 || list[0].Overlay == nil || list[0].Overlay.Name != own.Name || list[0].Overlay.Definition.Script != "" {
			t.Errorf("jobs of the overlay: %+v, %v", list, err)
		}
		one, err := models.JobByID(ctx, db, mine.ID)
		if err != nil || one.Overlay == nil || one.Overlay.ID != own.ID {
			t.Errorf("the job %+v, %v", one, err)
		}
	})
}
