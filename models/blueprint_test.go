package models_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

func TestBlueprintKeepsWhatWasPasted(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, me := context.Background(), modelstest.User(t, db, false)
		b := &models.Blueprint{
			UserID: me.ID, Name: "Competitive", Config: "a \"b\"\t// c\r\n\r\nrcon_password x\r\n  é\\n",
			Arguments: []string{"+map", "c2m1_highway versus", `"`, `\`, "<b>", "''"},
		}
		if err := models.CreateBlueprint(ctx, db, b); err != nil {
			t.Fatal(err)
		}
		got, err := models.BlueprintByID(ctx, db, me.ID, b.ID)
		if err != nil {
			t.Fatal(err)
		}
		if want := "a \"b\"\t// c\n\nrcon_password x\n  é\\n"; got.Config != want {
			t.Errorf("config %q, want %q", got.Config, want)
		}
		if strings.Join(got.Arguments, "|") != strings.Join(b.Arguments, "|") {
			t.Errorf("arguments %q, want %q", got.Arguments, b.Arguments)
		}
	})
}

func TestBlueprintRefusals(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, me := context.Background(), modelstest.User(t, db, false)
		taken := modelstest.Blueprint(t, db, me)
		tests := map[string]struct {
			b    models.Blueprint
			want string
		}{
			"no name":                  {models.Blueprint{}, "name"},
			"a taken name":             {models.Blueprint{Name: strings.ToUpper(taken.Name)}, "name"},
			"NUL in the config":        {models.Blueprint{Name: "a", Config: "x\n\x00"}, "config"},
			"a config that is large":   {models.Blueprint{Name: "a", Config: strings.Repeat("x", 256<<10+1)}, "config"},
			"a carriage return":        {models.Blueprint{Name: "a", Config: "x\r\ny\rz"}, "config"},
			"a config in Latin-1":      {models.Blueprint{Name: "a", Config: "gr\xfc\xdfe"}, "config"},
			"an argument in Latin-1":   {models.Blueprint{Name: "a", Arguments: []string{"gr\xfc\xdfe"}}, "arguments"},
			"a name in Latin-1":        {models.Blueprint{Name: "gr\xfc\xdfe"}, "name"},
			"NUL in an argument":       {models.Blueprint{Name: "a", Arguments: []string{"a\x00"}}, "arguments"},
			"a newline in one":         {models.Blueprint{Name: "a", Arguments: []string{"a\nb"}}, "arguments"},
			"an argument that is long": {models.Blueprint{Name: "a", Arguments: []string{strings.Repeat("a", 1025)}}, "arguments"},
			"too many arguments":       {models.Blueprint{Name: "a", Arguments: make([]string, 129)}, "arguments"},
		}
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				test.b.UserID = me.ID
				if err := models.CreateBlueprint(ctx, db, &test.b); field(err) != test.want {
					t.Errorf("CreateBlueprint complains about %s, want %s", field(err), test.want)
				}
			})
		}
	})
}

// Two windows of one person: the second save must not undo the first.
func TestSecondSaveOfAnOldRevisionIsRefused(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, me := context.Background(), modelstest.User(t, db, false)
		one := modelstest.Blueprint(t, db, me)
		two := *one
		one.Config = "first"
		if err := models.UpdateBlueprint(ctx, db, one); err != nil || one.Revision != 2 {
			t.Fatalf("first save: revision %d, %v", one.Revision, err)
		}
		two.Config = "second"
		if err := models.UpdateBlueprint(ctx, db, &two); !errors.Is(err, models.ErrConflict) || two.Revision != 1 {
			t.Errorf("second save: revision %d, %v; want a conflict", two.Revision, err)
		}
	})
}

func TestLinkedServersBlockDeletion(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, key, me := context.Background(), modelstest.Key(t), modelstest.User(t, db, false)
		s := modelstest.Server(t, db, key, me)
		err := models.DeleteBlueprint(ctx, db, me.ID, s.BlueprintID)
		if bad, ok := models.AsInvalid(err); !ok || !strings.Contains(bad.Message, s.Name) {
			t.Fatalf("deletion of a linked blueprint: %v; want a sentence that names %s", err, s.Name)
		}
		if err := models.DeleteBlueprint(ctx, db, modelstest.User(t, db, true).ID, s.BlueprintID); !errors.Is(err, models.ErrConflict) {
			t.Errorf("deletion by somebody else: %v", err)
		}
		// A server may switch at any time; then nothing holds the old one.
		old := s.BlueprintID
		s.BlueprintID = modelstest.Blueprint(t, db, me).ID
		if err := models.UpdateServer(ctx, db, s); err != nil {
			t.Fatal(err)
		}
		if err := models.DeleteBlueprint(ctx, db, me.ID, old); err != nil {
			t.Errorf("deletion of a free blueprint: %v", err)
		}
	})
}

func TestOverlaysKeepTheirOrder(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, me, other := context.Background(), modelstest.User(t, db, false), modelstest.User(t, db, false)
		var ids []int64
		for _, o := range []models.Overlay{
			{UserID: me.ID, Name: "mine", Kind: models.OverlayFiles},
			{Name: "shared", Kind: models.OverlayManaged, Definition: models.OverlayDefinition{Recipe: "sourcemod"}},
			{UserID: other.ID, Name: "theirs", Kind: models.OverlayScript},
		} {
			if err := models.CreateOverlay(ctx, db, &o); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, o.ID)
		}
		b := modelstest.Blueprint(t, db, me)
		if err := models.SetBlueprintOverlays(ctx, db, me.ID, b.ID, []models.Stacked{{ID: ids[1]}, {ID: ids[0], Exec: true}}); err != nil {
			t.Fatal(err)
		}
		got, err := models.BlueprintOverlays(ctx, db, b.ID)
		if err != nil || len(got) != 2 || got[0].ID != ids[1] || got[1].ID != ids[0] || got[0].Exec || !got[1].Exec {
			t.Errorf("order %+v, %v; want %d before %d", got, err, ids[1], ids[0])
		}
		for name, list := range map[string][]models.Stacked{"somebody else's": {{ID: ids[2]}}, "one that is not there": {{ID: 999}}, "one twice": {{ID: ids[0]}, {ID: ids[0]}}} {
			if err := models.SetBlueprintOverlays(ctx, db, me.ID, b.ID, list); field(err) != "overlays" {
				t.Errorf("%s: %v, want a refusal", name, err)
			}
		}
	})
}
