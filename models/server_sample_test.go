package models_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

func TestSamplesAreRounded(t *testing.T) {
	got := models.ServerSample{Players: -1, CPU: 1074, Memory: 600<<20 + 5, Map: "c1\x00"}.Rounded()
	if want := (models.ServerSample{CPU: 1050, Memory: 608 << 20, Map: "c1\uFFFD"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestSamplesBetween(t *testing.T) {
	at := func(minutes int) time.Time { return evening.Add(time.Duration(minutes) * time.Minute) }
	run := func(from, to, players, cpu int, mapName string) models.ServerSample {
		return models.ServerSample{At: at(from), Until: at(to), Players: players, CPU: cpu, Memory: int64(players) << 30, Map: mapName}
	}
	tests := map[string]struct {
		runs     []models.ServerSample
		from, to int
		points   int
		want     string
	}{
		"nothing":                      {nil, 0, 60, 60, ""},
		"one run is one point":         {[]models.ServerSample{run(10, 50, 2, 500, "a")}, 0, 60, 60, "10-50: 2 on a, cpu 500/500"},
		"a run is clipped to the span": {[]models.ServerSample{run(0, 100, 1, 50, "a")}, 20, 40, 5, "20-40: 1 on a, cpu 50/50"},
		"a gap stays a gap":            {[]models.ServerSample{run(0, 10, 1, 50, "a"), run(20, 30, 1, 50, "a")}, 0, 60, 60, "0-10: 1 on a, cpu 50/50; 20-30: 1 on a, cpu 50/50"},
		"what does not fit is added up": {
			[]models.ServerSample{run(0, 9, 1, 100, "a"), run(9, 10, 4, 1000, "b"), run(10, 20, 0, 0, "b")},
			0, 20, 2,
			"0-10: 4 on a, cpu 190/1000; 10-20: 0 on b, cpu 0/0",
		},
		"what is outside is not read": {[]models.ServerSample{run(0, 10, 1, 50, "a"), run(60, 70, 1, 50, "a")}, 10, 60, 5, ""},
	}
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, u, key := context.Background(), modelstest.User(t, db, false), modelstest.Key(t)
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				s := modelstest.Server(t, db, key, u)
				for i := range test.runs {
					test.runs[i].ServerID = s.ID
				}
				if err := models.SaveSamples(ctx, db, test.runs); err != nil {
					t.Fatal(err)
				}
				list, err := models.SamplesBetween(ctx, db, s.ID, at(test.from), at(test.to), test.points)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, p := range list {
					got = append(got, fmt.Sprintf("%v-%v: %d on %s, cpu %d/%d", p.From.Sub(evening).Minutes(), p.To.Sub(evening).Minutes(), p.Players, p.Map, p.CPU, p.CPUPeak))
				}
				if strings.Join(got, "; ") != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
			})
		}
	})
}

// A run that goes on is one row that grows.
func TestASampleGrows(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		s := modelstest.Server(t, db, modelstest.Key(t), modelstest.User(t, db, false))
		run := models.ServerSample{ServerID: s.ID, At: evening, Until: evening, Players: 1, Map: "a"}
		for i := range 5 {
			run.Until = evening.Add(time.Duration(i) * time.Minute)
			if err := models.SaveSamples(ctx, db, []models.ServerSample{run}); err != nil {
				t.Fatal(err)
			}
		}
		n, err := db.NewSelect().Model((*models.ServerSample)(nil)).Where("server_id = ?", s.ID).Count(ctx)
		if err != nil || n != 1 {
			t.Errorf("%d rows, %v; want 1", n, err)
		}
	})
}

// The figures of an address bar do not decide how much is read or returned.
func TestAttack28SpansAndPoints(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		s := modelstest.Server(t, db, modelstest.Key(t), modelstest.User(t, db, false))
		var runs []models.ServerSample
		for i := range 2000 {
			at := evening.Add(time.Duration(i) * time.Minute)
			runs = append(runs, models.ServerSample{ServerID: s.ID, At: at, Until: at.Add(time.Minute), Players: i % 9})
		}
		if err := models.SaveSamples(ctx, db, runs); err != nil {
			t.Fatal(err)
		}
		for _, points := range []int{-1, 0, 1 << 62} {
			list, err := models.SamplesBetween(ctx, db, s.ID, evening, evening.Add(2000*time.Minute), points)
			if err != nil || len(list) == 0 || len(list) > models.MaxSamplePoints {
				t.Errorf("%d points asked for: %d, %v", points, len(list), err)
			}
		}
		spans := map[string][2]time.Time{
			"backwards": {evening, evening.Add(-1)}, "empty": {evening, evening},
			"all of time": {time.Time{}, evening}, "94 days": {evening.AddDate(0, 0, -94), evening},
		}
		for name, span := range spans {
			if _, err := models.SamplesBetween(ctx, db, s.ID, span[0], span[1], 100); !errors.Is(err, models.ErrConflict) {
				t.Errorf("%s: %v, want a conflict", name, err)
			}
		}
	})
}
