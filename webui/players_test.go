package webui

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/models"
	"left4me/models/modelstest"
)

const (
	aliceID, alice2 = "76561197984957085", "STEAM_1:1:12345678"
	bannedID        = "76561197984957084" // STEAM_1:0:12345678
)

// playersContent is a host with one picture and one list of bans.
type playersContent struct{ Content }

func (playersContent) Avatar(sum string) (File, string, error) {
	if sum != strings.Repeat("ab", 32) {
		return nil, "", fs.ErrNotExist
	}
	return memoryFile{bytes.NewReader([]byte("picture"))}, "image/jpeg", nil
}

func (playersContent) OpenSeen(_ string, _ ctl.Spec, path string) (File, error) {
	if path != "left4dead2/cfg/banned_user.cfg" {
		return nil, fs.ErrNotExist
	}
	return textFile{strings.NewReader("banid 0 STEAM_1:0:12345678\nbanid 5 STEAM_1:0:9\nbanid 0 <script>\nexec evil\n")}, nil
}

// playing makes a server of u on which people are.
func (s *site) playing(u *models.User, names ...models.Player) *models.Server {
	s.t.Helper()
	srv := modelstest.Server(s.t, s.db, s.key, u)
	_, _, err := models.Observe(context.Background(), s.db, models.Observation{
		Host: srv.Host, Instance: srv.Instance, State: models.ServerRunning, Since: models.Now().Add(-time.Hour),
		Status: models.ServerStatus{Grade: "steam", Live: &models.Live{At: models.Now(), Map: "c2m1_highway", Players: len(names), Max: 8, Names: names}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return srv
}

func TestPlayersTab(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Content = playersContent{} })
	ctx := context.Background()
	u, other := modelstest.User(t, s.db, false), modelstest.User(t, s.db, false)
	srv := s.playing(u, models.Player{Name: "<script>al", SteamID: alice2, Connected: 300, Ping: 42}, models.Player{Name: "  ", SteamID: "STEAM_ID_LAN"})
	err := models.SeePlayers(ctx, s.db, srv.ID, models.Now(), []models.SeenPlayer{{SteamID: aliceID, Name: "<script>al", Connected: 300 * time.Second, Ping: 42}})
	if err == nil {
		err = models.StoreProfiles(ctx, s.db, []string{aliceID}, []models.SteamProfile{{SteamID: aliceID, Name: "Alice & Co", Avatar: strings.Repeat("ab", 32)}})
	}
	if err != nil {
		t.Fatal(err)
	}
	b, path := s.browser(u), "/servers/"+srv.Instance+"/players"
	page := b.get(path)
	page.want(t, 200, "Alice &amp; Co", "in the game: <bdi>&lt;script&gt;al</bdi>", aliceID, "42 ms", "5 min", "/players/"+aliceID+"/avatar",
		"Kick “Alice &amp; Co”?", "somebody without a name", "cannot be kicked by Steam id", "Banned", bannedID, "for ever", "on it now")
	if strings.Contains(page.Text, "<script>al") || strings.Contains(page.Text, "exec evil") || strings.Contains(page.Text, "STEAM_1:0:9") {
		t.Error("the page repeats what strangers wrote as it is")
	}

	// Without a script it asks first, and names the player.
	form := url.Values{"steam_id": {aliceID}, "name": {"<i>Alice\u202e"}, "reason": {"spawn camping; quit"}}
	b.post(path+"/kick", form).want(t, 200, "Kick “&lt;i&gt;Alice\uFFFD”?", `name="sure" value="yes"`)
	form.Set("sure", "yes")
	b.post(path+"/kick", form).want(t, 303)
	list, err := models.ConsoleCommands(ctx, s.db, srv.ID, "", 10)
	if err != nil || len(list) != 1 {
		t.Fatalf("after a kick: %d commands, %v", len(list), err)
	}
	if c := list[0]; c.Verb != models.CommandKick || c.Arguments != (models.CommandArguments{SteamID: aliceID, Reason: "spawn camping; quit"}) || c.UserID != u.ID {
		t.Errorf("the kick is %+v", c)
	}
	b.get(path).want(t, 200, "Asked for lately", "kick "+aliceID, "Under way")

	// What no game takes is refused in words.
	for _, bad := range []url.Values{
		{"steam_id": {"BOT"}, "sure": {"yes"}},
		{"steam_id": {"1;quit"}, "sure": {"yes"}},
		{"steam_id": {aliceID}, "reason": {"a\nquit"}, "sure": {"yes"}},
		{"steam_id": {aliceID}, "minutes": {"never"}, "sure": {"yes"}},
		{"steam_id": {aliceID}, "minutes": {"99999999999999999999"}, "sure": {"yes"}},
	} {
		b.post(path+"/ban", bad).want(t, 422, "That does not work")
	}

	// TestAttack14: a server of somebody else is not there, whatever is asked of it.
	for _, to := range []string{"/kick", "/ban", "/unban"} {
		s.browser(other).post(path+to, form).want(t, 404)
	}
	s.browser(other).get(path).want(t, 404)
	b.get("/players/"+aliceID+"/avatar").want(t, 200, "picture")
	s.browser(other).get("/players/"+aliceID+"/avatar").want(t, 404)
	b.get("/players/..%2f..%2fetc/avatar").want(t, 404)
}

// TestBansOfAGame: a ban for a time lives in the game's memory, and ends with it.
func TestBansOfAGame(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Content = playersContent{} })
	ctx := context.Background()
	u := modelstest.User(t, s.db, false)
	srv := s.playing(u)
	by := models.Actor{ID: u.ID, Name: u.Name}
	tell := func(verb models.CommandVerb, minutes int, state models.CommandState) {
		t.Helper()
		c, err := models.InsertCommand(ctx, s.db, by, srv, verb, models.CommandArguments{SteamID: alice2, Minutes: minutes})
		if err != nil {
			t.Fatal(err)
		}
		claimed, _, err := models.ClaimCommand(ctx, s.db, c.ID)
		if err == nil {
			err = models.FinishCommand(ctx, s.db, claimed, state, "", "")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	banned := func() []string {
		t.Helper()
		v, err := s.serverView(ctx, u, srv.Instance, "h")
		if err != nil {
			t.Fatal(err)
		}
		now, err := s.playersNow(ctx, v)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, b := range now.Bans {
			ids = append(ids, fmt.Sprint(b.SteamID, b.Until.IsZero()))
		}
		return ids
	}
	for _, step := range []struct {
		verb    models.CommandVerb
		minutes int
		state   models.CommandState
		want    []string
	}{
		{models.CommandBan, 30, models.CommandFailed, []string{bannedID + "true"}},
		{models.CommandBan, 30, models.CommandDone, []string{bannedID + "true", aliceID + "false"}},
		{models.CommandUnban, 0, models.CommandDone, []string{bannedID + "true"}},
		{models.CommandBan, 60, models.CommandDone, []string{bannedID + "true", aliceID + "false"}},
	} {
		tell(step.verb, step.minutes, step.state)
		if got := banned(); !slices.Equal(got, step.want) {
			t.Errorf("after %s %d %s: %v, want %v", step.verb, step.minutes, step.state, got, step.want)
		}
	}
	if _, _, err := models.Observe(ctx, s.db, models.Observation{Host: srv.Host, Instance: srv.Instance, State: models.ServerRunning, Since: models.Now().Add(time.Second)}); err != nil {
		t.Fatal(err)
	}
	if got := banned(); !slices.Equal(got, []string{bannedID + "true"}) {
		t.Errorf("after the game began anew: %v", got)
	}
}
