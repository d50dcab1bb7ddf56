package models_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	_ "time/tzdata" // the machine may have none

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
)

func TestOneWorkerServesATick(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx := context.Background()
		list, err := models.Schedules(ctx, db, models.LocalHost)
		if err != nil || len(list) != 4 || list[1].Name != "overlay.gc" || !list[1].LastAt.IsZero() {
			t.Fatalf("schedules: %+v, %v", list, err)
		}
		serve := func(tick time.Time) (won int32) {
			var n atomic.Int32
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					ok, err := models.ServeTick(ctx, db, "overlay.gc", tick)
					if err != nil {
						t.Errorf("serve: %v", err)
					}
					if ok {
						n.Add(1)
					}
				})
			}
			all.Wait()
			return n.Load()
		}
		tick := time.Date(2026, 11, 22, 5, 0, 0, 0, time.FixedZone("", 7200))
		for _, test := range []struct {
			name string
			tick time.Time
			want int32
		}{
			{"the first", tick, 1},
			{"the same again", tick, 0},
			{"the same in another zone", tick.UTC(), 0},
			{"an earlier one", tick.Add(-time.Hour), 0},
			{"the next day's", tick.AddDate(0, 0, 1), 1},
		} {
			if n := serve(test.tick); n != test.want {
				t.Errorf("%s: %d workers took it, want %d", test.name, n, test.want)
			}
		}
		if _, err := db.NewUpdate().Model((*models.Schedule)(nil)).Set("enabled = ?", false).Where("name = ?", "overlay.gc").Exec(ctx); err != nil {
			t.Fatal(err)
		}
		if n := serve(tick.AddDate(0, 0, 2)); n != 0 {
			t.Errorf("%d workers took the tick of a disabled schedule", n)
		}
	})
}

func TestTicksAreLocalHours(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 0, 0, berlin)
	}
	for name, test := range map[string]struct {
		hour            int
		now, tick, next time.Time
	}{
		"before the hour":  {4, at(11, 22, 3, 59), at(11, 21, 4, 0), at(11, 22, 4, 0)},
		"on the hour":      {4, at(11, 22, 4, 0), at(11, 22, 4, 0), at(11, 23, 4, 0)},
		"midnight":         {0, at(11, 1, 0, 0), at(11, 1, 0, 0), at(11, 2, 0, 0)},
		"first of a month": {23, at(3, 1, 12, 0), at(2, 28, 23, 0), at(3, 1, 23, 0)},
		"clocks go back":   {4, at(10, 25, 12, 0), at(10, 25, 4, 0), at(10, 26, 4, 0)},
		"clocks go forth":  {4, at(3, 29, 12, 0), at(3, 29, 4, 0), at(3, 30, 4, 0)},
	} {
		s := models.Schedule{Hour: test.hour, Enabled: true}
		if got := s.Tick(test.now); !got.Equal(test.tick) {
			t.Errorf("%s: the tick is %s, want %s", name, got, test.tick)
		}
		if got := s.Next(test.now); !got.Equal(test.next) {
			t.Errorf("%s: the next is %s, want %s", name, got, test.next)
		}
	}
	if !(models.Schedule{Hour: 4}).Next(at(1, 1, 0, 0)).IsZero() {
		t.Error("a disabled schedule has a next time")
	}
}
