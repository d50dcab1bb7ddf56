package models_test

import (
	"context"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

func TestSteamAccount(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, key := context.Background(), modelstest.Key(t)
		if a, err := models.SteamAccountOf(ctx, db, key); err != nil || a != nil {
			t.Fatalf("before one was set: %+v, %v", a, err)
		}
		for _, want := range []models.SteamAccount{{Name: "gabe", Password: "hunter2 ö'$"}, {Name: "other", Password: "x"}} {
			if err := models.SetSteamAccount(ctx, db, key, want); err != nil {
				t.Fatal(err)
			}
			if a, err := models.SteamAccountOf(ctx, db, key); err != nil || *a != want {
				t.Errorf("stored %+v, %v; want %+v", a, err, want)
			}
		}
		var raw string
		if err := db.NewRaw("SELECT value FROM settings").Scan(ctx, &raw); err != nil || strings.Contains(raw, `"x"`) {
			t.Errorf("the database shows the password: %s, %v", raw, err)
		}
		if err := models.SteamAccountForgotten(ctx, db); err != nil {
			t.Fatal(err)
		}
		if a, err := models.SteamAccountOf(ctx, db, key); err != nil || a == nil || a.Name != "other" {
			t.Errorf("an account that is in use was removed: %+v, %v", a, err)
		}
		if err := models.ForgetSteamAccount(ctx, db); err != nil {
			t.Fatal(err)
		}
		if a, err := models.SteamAccountOf(ctx, db, key); err != nil || a == nil || *a != (models.SteamAccount{}) {
			t.Errorf("forgotten: %+v, %v; want word of it", a, err)
		}
		if err := models.SteamAccountForgotten(ctx, db); err != nil {
			t.Fatal(err)
		}
		if a, err := models.SteamAccountOf(ctx, db, key); err != nil || a != nil {
			t.Errorf("at the end: %+v, %v", a, err)
		}
	})
}

func TestSteamAccountRefusals(t *testing.T) {
	key := modelstest.Key(t)
	tests := map[string]struct {
		a    models.SteamAccount
		want string
	}{
		"no name":                 {models.SteamAccount{Password: "x"}, "name"},
		"a name with a space":     {models.SteamAccount{Name: "a b", Password: "x"}, "name"},
		"a name with a newline":   {models.SteamAccount{Name: "a\n+quit", Password: "x"}, "name"},
		"anonymous":               {models.SteamAccount{Name: "Anonymous", Password: "x"}, "name"},
		"no password":             {models.SteamAccount{Name: "a"}, "password"},
		"a quotation mark in it":  {models.SteamAccount{Name: "a", Password: `x" +quit`}, "password"},
		"a newline in it":         {models.SteamAccount{Name: "a", Password: "x\n"}, "password"},
		"a password that is long": {models.SteamAccount{Name: "a", Password: strings.Repeat("x", 129)}, "password"},
	}
	for name, test := range tests {
		if err := models.SetSteamAccount(context.Background(), nil, key, test.a); field(err) != test.want {
			t.Errorf("%s: complains about %s, want %s", name, field(err), test.want)
		}
	}
}
