package models_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

func TestSteamProfiles(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		key := modelstest.Key(t)
		owner, other := modelstest.User(t, db, false), modelstest.User(t, db, false)
		srv := modelstest.Server(t, db, key, owner)
		const alice, bob, carol = "76561197984957084", "76561197984957085", "76561197984957086"
		see := func(ids ...string) {
			var list []models.SeenPlayer
			for _, id := range ids {
				list = append(list, models.SeenPlayer{SteamID: id, Name: "in game"})
			}
			if err := models.SeePlayers(ctx, db, srv.ID, models.Now(), list); err != nil {
				t.Fatal(err)
			}
		}
		due := func() []string {
			list, err := models.ProfilesDue(ctx, db, 100)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(list)
			return list
		}
		if got := due(); len(got) != 0 {
			t.Errorf("with nobody seen, %v are due", got)
		}
		see(alice, bob, "")
		if got := due(); !slices.Equal(got, []string{alice, bob}) {
			t.Errorf("due: %v", got)
		}
		picture := strings.Repeat("0a", 32)
		err := models.StoreProfiles(ctx, db, []string{alice, bob, alice}, []models.SteamProfile{
			{SteamID: alice, Name: "Al\x00ice", Avatar: picture}, {SteamID: carol, Name: "not asked for"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := due(); len(got) != 0 {
			t.Errorf("all were asked for, and %v are due", got)
		}
		known, err := models.SteamProfiles(ctx, db, []string{alice, bob, carol})
		if err != nil || len(known) != 1 || known[alice].Name != "Al\uFFFDice" || known[alice].Avatar != picture {
			t.Errorf("known: %+v, %v", known, err)
		}
		// A later answer without her leaves what was known, and so does one without a picture.
		for _, told := range [][]models.SteamProfile{nil, {{SteamID: alice, Name: "Alicia", Avatar: "../../etc/passwd"}}} {
			if err := models.StoreProfiles(ctx, db, []string{alice}, told); err != nil {
				t.Fatal(err)
			}
		}
		if known, err = models.SteamProfiles(ctx, db, []string{alice}); err != nil || known[alice].Name != "Alicia" || known[alice].Avatar != picture {
			t.Errorf("after another answer: %+v, %v", known, err)
		}
		if sum, err := models.AvatarFor(ctx, db, owner.ID, alice); err != nil || sum != picture {
			t.Errorf("her picture for the owner: %q, %v", sum, err)
		}
		for name, try := range map[string][2]string{"another user": {other.ID, alice}, "no picture": {owner.ID, bob}, "never seen": {owner.ID, carol}} {
			if sum, err := models.AvatarFor(ctx, db, try[0], try[1]); !errors.Is(err, models.ErrNotFound) {
				t.Errorf("%s: %q, %v", name, sum, err)
			}
		}
		if _, err := db.NewUpdate().Table("steam_profiles").Set("asked_at = ?", models.Now().Add(-models.ProfileLife-time.Minute)).Where("steam_id = ?", alice).Exec(ctx); err != nil {
			t.Fatal(err)
		}
		if got := due(); !slices.Equal(got, []string{alice}) {
			t.Errorf("a day later, due: %v", got)
		}
	})
}

func TestSteamWebKey(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, key := context.Background(), modelstest.Key(t)
		const good, better = "0123456789ABCDEF0123456789ABCDEF", "FEDCBA9876543210FEDCBA9876543210"
		get := func() *models.SteamWebKey {
			k, err := models.SteamWebKeyOf(ctx, db, key)
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		if k := get(); k != nil {
			t.Errorf("with none set: %+v", k)
		}
		if _, ok := models.AsInvalid(models.SetSteamWebKey(ctx, db, key, "hunter2")); !ok {
			t.Error("hunter2 was taken for a key")
		}
		if err := models.SetSteamWebKey(ctx, db, key, good); err != nil {
			t.Fatal(err)
		}
		var stored string
		if err := db.NewSelect().Table("settings").Column("value").Where("name = 'steam.web_api_key'").Scan(ctx, &stored); err != nil || strings.Contains(stored, good) {
			t.Errorf("stored: %s, %v", stored, err)
		}
		note := func(used, problem string) {
			if err := models.NoteSteamWebKey(ctx, db, key, used, problem); err != nil {
				t.Fatal(err)
			}
		}
		note(better, "of another key")
		if k := get(); k.Key != good || k.Problem != "" {
			t.Errorf("after a note on another key: %+v", k)
		}
		note(good, "Steam refuses it")
		if k := get(); k.Key != good || k.Problem != "Steam refuses it" || k.ProblemAt.IsZero() {
			t.Errorf("after a refusal: %+v", k)
		}
		note(good, "")
		if k := get(); k.Problem != "" || !k.ProblemAt.IsZero() {
			t.Errorf("after it worked: %+v", k)
		}
		if err := models.ForgetSteamWebKey(ctx, db); err != nil || get() != nil {
			t.Errorf("after it was forgotten: %+v, %v", get(), err)
		}
	})
}
