package worker_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"left4me/hostops/ctl"
	"left4me/internal/testenv"
	"left4me/models"
)

const webKey = "0123456789ABCDEF0123456789ABCDEF"

// profileWorld has a key, and one player who was seen.
func profileWorld(t *testing.T, s testenv.Stores) (*world, string) {
	t.Helper()
	w, ctx := newWorld(t, s), context.Background()
	if err := models.SetSteamWebKey(ctx, w.s.DB, w.key, webKey); err != nil {
		t.Fatal(err)
	}
	const id = "76561197984957085"
	if err := models.SeePlayers(ctx, w.s.DB, w.server().ID, models.Now(), []models.SeenPlayer{{SteamID: id, Name: "in game"}}); err != nil {
		t.Fatal(err)
	}
	return w, id
}

func TestProfilesOfPlayers(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w, id := profileWorld(t, s)
		picture := strings.Repeat("ab", 32)
		w.plan("steam-profiles", act{Events: []ctl.Event{
			{Type: ctl.EventProfile, Profile: &ctl.Profile{SteamID: id, Name: "mira", Avatar: picture}},
		}})
		heard := w.heard("players")
		w.work()
		testenv.Eventually(t, soon, "Steam was asked", func() bool {
			known, err := models.SteamProfiles(context.Background(), w.s.DB, []string{id})
			return err == nil && known[id].Name == "mira" && known[id].Avatar == picture
		})
		testenv.Eventually(t, soon, "pages are told", func() bool { return len(heard()) > 0 })
		text, err := os.ReadFile(filepath.Join(w.dir, "stdin-steam-profiles"))
		if err != nil || string(text) != webKey+"\n"+id+"\n" {
			t.Errorf("l4d2ctl was told %q, %v", text, err)
		}
	})
}

// A refused key was tried again and again, which gets the host banned.
func TestRefusedWebKeyRests(t *testing.T) {
	t.Parallel()
	w, _ := profileWorld(t, testenv.EmbeddedPair(t))
	w.plan("steam-profiles", act{Codes: []int{ctl.ExitCode(ctl.ErrSteam)}, Message: "Steam refuses the Web API key."})
	stop := w.work()
	key := func() *models.SteamWebKey {
		k, err := models.SteamWebKeyOf(context.Background(), w.s.DB, w.key)
		if err != nil || k == nil {
			t.Fatalf("the key: %v, %v", k, err)
		}
		return k
	}
	testenv.Eventually(t, soon, "the refusal is noted", func() bool { return key().Problem == "Steam refuses the Web API key." })
	stop()
	stop = w.work() // a new worker looks at once
	testenv.Eventually(t, soon, "it observes", func() bool {
		host, err := models.HostByName(context.Background(), w.s.DB, models.LocalHost)
		return err == nil && host.Game.Installed
	})
	stop()
	if n := w.runs("steam", "profiles"); n != 1 {
		t.Errorf("Steam was asked %d times with a key that it refuses", n)
	}
}
