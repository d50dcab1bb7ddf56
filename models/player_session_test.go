package models_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

const (
	steamNick  = "76561197985202251"
	steamEllis = "76561197960265729"
)

// evening is a time that a test counts from.
var evening = time.Date(2026, 11, 20, 20, 0, 0, 0, time.UTC)

func see(t *testing.T, db *bun.DB, server string, at time.Time, list ...models.SeenPlayer) {
	t.Helper()
	err := db.RunInTx(context.Background(), nil, func(ctx context.Context, tx bun.Tx) error {
		return models.SeePlayers(ctx, tx, server, at, list)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// stays tells a server's stays in one line each, oldest first, by minutes after evening.
func stays(t *testing.T, db *bun.DB, server string) []string {
	t.Helper()
	list, err := models.PlayerSessions(context.Background(), db, models.PlayerFilter{ServerID: server}, 500, "")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range list {
		left := "here"
		if !s.Here() {
			left = fmt.Sprint(s.LeftAt.Sub(evening).Minutes())
		}
		out = append([]string{fmt.Sprintf("%s %v-%s ping %d-%d", s.Name, s.JoinedAt.Sub(evening).Minutes(), left, s.PingMin, s.PingMax)}, out...)
	}
	return out
}

func TestPlayerStays(t *testing.T) {
	minute := func(n int) time.Time { return evening.Add(time.Duration(n) * time.Minute) }
	nick := func(connected, ping int) models.SeenPlayer {
		return models.SeenPlayer{SteamID: steamNick, Name: "Nick", Connected: time.Duration(connected) * time.Minute, Ping: ping}
	}
	type look struct {
		at   int
		list []models.SeenPlayer
	}
	tests := map[string]struct {
		looks []look
		want  []string
	}{
		"comes, stays and goes": {
			[]look{{10, []models.SeenPlayer{nick(3, 40)}}, {11, []models.SeenPlayer{nick(4, 90)}}, {12, []models.SeenPlayer{nick(5, 20)}}, {13, nil}},
			[]string{"Nick 7-13 ping 20-90"},
		},
		"another name is the same person": {
			[]look{{1, []models.SeenPlayer{nick(0, 5)}}, {2, []models.SeenPlayer{{SteamID: steamNick, Name: "Gambler", Ping: 6}}}},
			[]string{"Gambler 1-here ping 5-6"},
		},
		"without a Steam id the name counts": {
			[]look{{1, []models.SeenPlayer{{Name: "lan", Ping: 1}, {Name: "party", Ping: 1}}}, {2, []models.SeenPlayer{{Name: "lan", Ping: 1}}}},
			[]string{"lan 1-here ping 1-1", "party 1-2 ping 1-1"},
		},
		"a worker that was away for an hour finds them on it still": {
			[]look{{1, []models.SeenPlayer{nick(1, 5)}}, {61, []models.SeenPlayer{nick(61, 5)}}},
			[]string{"Nick 0-here ping 5-5"},
		},
		"who came back while it was away has two stays": {
			[]look{{1, []models.SeenPlayer{nick(1, 5)}}, {61, []models.SeenPlayer{nick(20, 5)}}},
			[]string{"Nick 0-1 ping 5-5", "Nick 41-here ping 5-5"},
		},
		"who went while it was away went when last seen": {
			[]look{{1, []models.SeenPlayer{nick(1, 5)}}, {61, nil}},
			[]string{"Nick 0-1 ping 5-5"},
		},
		"twice on one list is one person": {
			[]look{{1, []models.SeenPlayer{nick(0, 5), nick(0, 7)}}},
			[]string{"Nick 1-here ping 7-7"},
		},
		"no Steam id at all": {
			[]look{{1, []models.SeenPlayer{{SteamID: "STEAM_ID_PENDING", Name: "x\x00\xff", Ping: 1}}}},
			[]string{"x\uFFFD\uFFFD 1-here ping 1-1"},
		},
	}
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		u, key := modelstest.User(t, db, false), modelstest.Key(t)
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				s := modelstest.Server(t, db, key, u)
				for _, l := range test.looks {
					see(t, db, s.ID, minute(l.at), l.list...)
				}
				if got := stays(t, db, s.ID); strings.Join(got, "\n") != strings.Join(test.want, "\n") {
					t.Errorf("stays are %q, want %q", got, test.want)
				}
			})
		}
	})
}

func TestStaleStaysEndWhenLastSeen(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		s := modelstest.Server(t, db, modelstest.Key(t), modelstest.User(t, db, false))
		see(t, db, s.ID, evening, models.SeenPlayer{SteamID: steamNick, Name: "Nick"})
		for _, before := range []time.Duration{0, time.Second} {
			if err := models.EndStaleSessions(context.Background(), db, evening.Add(before)); err != nil {
				t.Fatal(err)
			}
			want := "Nick 0-here ping 0-0"
			if before > 0 {
				want = "Nick 0-0 ping 0-0"
			}
			if got := stays(t, db, s.ID); got[0] != want {
				t.Errorf("not seen since %s: %q, want %q", before, got[0], want)
			}
		}
	})
}

func TestWhoPlayedYesterday(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		s := modelstest.Server(t, db, modelstest.Key(t), modelstest.User(t, db, false))
		other := modelstest.Server(t, db, modelstest.Key(t), modelstest.User(t, db, false))
		day := time.Date(2026, 10, 25, 12, 0, 0, 0, berlin) // it has 25 hours
		at := func(hour, minute int) time.Time { return time.Date(2026, 10, 25, hour, minute, 0, 0, berlin) }
		nick, ellis := models.SeenPlayer{SteamID: steamNick, Name: "Nick", Ping: 30}, models.SeenPlayer{SteamID: steamEllis, Name: "Ellis", Ping: 60}
		see(t, db, other.ID, at(13, 0), nick)
		see(t, db, s.ID, at(0, 0).Add(-10*time.Minute), nick) // began the day before
		see(t, db, s.ID, at(0, 0).Add(-5*time.Minute), nick)
		see(t, db, s.ID, at(0, 0), nick)
		see(t, db, s.ID, at(0, 4), nick)
		see(t, db, s.ID, at(0, 5))
		see(t, db, s.ID, at(23, 58), ellis, nick)
		see(t, db, s.ID, at(24, 2), ellis) // the next day
		list, err := models.PlayersOnDay(context.Background(), db, s.ID, day, 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range list {
			got = append(got, fmt.Sprintf("%s %s %d %v", v.Name, v.Played, v.Visits, v.Here))
		}
		if want := "Nick 7m0s 2 false, Ellis 2m0s 1 true"; strings.Join(got, ", ") != want {
			t.Errorf("that day played %q, want %q", got, want)
		}
		if list, err = models.PlayersOnDay(context.Background(), db, s.ID, day.AddDate(0, 0, -2), 10); err != nil || len(list) != 0 {
			t.Errorf("two days before: %v, %v", list, err)
		}
	})
}

func TestStaysArePaged(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		s := modelstest.Server(t, db, modelstest.Key(t), modelstest.User(t, db, false))
		for i := range 7 {
			see(t, db, s.ID, evening.Add(time.Duration(i)*time.Hour), models.SeenPlayer{SteamID: steamNick, Name: fmt.Sprint(i)})
		}
		var names []string
		for before := ""; ; {
			page, err := models.PlayerSessions(ctx, db, models.PlayerFilter{ServerID: s.ID, SteamID: steamNick}, 3, before)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, p := range page {
				names = append(names, p.Name)
			}
			before = page[len(page)-1].ID
		}
		if got := strings.Join(names, ""); got != "6543210" {
			t.Errorf("the pages hold %s", got)
		}
		if list, err := models.PlayerSessions(ctx, db, models.PlayerFilter{ServerID: s.ID, Here: true}, 10, ""); err != nil || len(list) != 1 || list[0].Name != "6" {
			t.Errorf("on it are %+v, %v", list, err)
		}
	})
}
