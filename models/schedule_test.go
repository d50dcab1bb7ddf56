package models_test

import (
	"context"
	"errors"
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

func TestTicksAreLocalTimes(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 0, 0, berlin)
	}
	utc := func(month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 0, 0, time.UTC)
	}
	for name, test := range map[string]struct {
		hour, minute    int
		zone            string
		now, tick, next time.Time
	}{
		"before the hour":         {4, 0, "", at(11, 22, 3, 59), at(11, 21, 4, 0), at(11, 22, 4, 0)},
		"on the hour":             {4, 0, "", at(11, 22, 4, 0), at(11, 22, 4, 0), at(11, 23, 4, 0)},
		"before the minute":       {4, 30, "", at(11, 22, 4, 29), at(11, 21, 4, 30), at(11, 22, 4, 30)},
		"midnight":                {0, 0, "", at(11, 1, 0, 0), at(11, 1, 0, 0), at(11, 2, 0, 0)},
		"first of a month":        {23, 0, "", at(3, 1, 12, 0), at(2, 28, 23, 0), at(3, 1, 23, 0)},
		"clocks go back":          {4, 0, "", at(10, 25, 12, 0), at(10, 25, 4, 0), at(10, 26, 4, 0)},
		"clocks go forth":         {4, 0, "", at(3, 29, 12, 0), at(3, 29, 4, 0), at(3, 30, 4, 0)},
		"a zone of its own":       {4, 0, "America/New_York", at(11, 22, 9, 59), utc(11, 21, 9, 0), utc(11, 22, 9, 0)},
		"and behind it":           {4, 0, "America/New_York", at(11, 22, 10, 0), utc(11, 22, 9, 0), utc(11, 23, 9, 0)},
		"a zone nobody knows":     {4, 0, "Nowhere/Else", at(11, 22, 5, 0), at(11, 22, 4, 0), at(11, 23, 4, 0)},
		"a half hour that is not": {2, 30, "Europe/Berlin", utc(3, 29, 12, 0), utc(3, 29, 1, 0), utc(3, 30, 0, 30)},
		"and shortly before":      {2, 30, "Europe/Berlin", utc(3, 29, 0, 59), utc(3, 28, 1, 30), utc(3, 29, 1, 0)},
		"and on its moment":       {2, 30, "Europe/Berlin", utc(3, 29, 1, 0), utc(3, 29, 1, 0), utc(3, 30, 0, 30)},
		"a half hour, twice":      {2, 30, "Europe/Berlin", utc(10, 25, 0, 30), utc(10, 25, 0, 30), utc(10, 26, 1, 30)},
		"and the second time":     {2, 30, "Europe/Berlin", utc(10, 25, 1, 30), utc(10, 25, 0, 30), utc(10, 26, 1, 30)},
		"and between":             {2, 30, "Europe/Berlin", utc(10, 25, 0, 59), utc(10, 25, 0, 30), utc(10, 26, 1, 30)},
		"and before":              {2, 30, "Europe/Berlin", utc(10, 25, 0, 29), utc(10, 24, 0, 30), utc(10, 25, 0, 30)},
		"across the date line":    {2, 30, "Pacific/Auckland", utc(4, 4, 15, 0), utc(4, 4, 13, 30), utc(4, 5, 14, 30)},
		"west, forth":             {2, 30, "America/New_York", utc(3, 8, 12, 0), utc(3, 8, 7, 0), utc(3, 9, 6, 30)},
		"west, back":              {1, 30, "America/New_York", utc(11, 1, 12, 0), utc(11, 1, 5, 30), utc(11, 2, 6, 30)},
		"a midnight that is not":  {0, 0, "Africa/Cairo", utc(4, 24, 12, 0), utc(4, 23, 22, 0), utc(4, 24, 21, 0)},
	} {
		s := models.Schedule{Hour: test.hour, Minute: test.minute, Zone: test.zone, Enabled: true}
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

// Whatever the zone and the day: a schedule comes once a day, and what Next promises
// is the tick of that moment.
func TestEveryDayHasOneTick(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu", "America/Havana"} {
		for _, hour := range []int{0, 1, 2, 3, 23} {
			s := models.Schedule{Hour: hour, Minute: 30, Zone: zone, Enabled: true}
			now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
			for range 365 {
				next := s.Next(now)
				if gap := next.Sub(s.Tick(now)); gap < 22*time.Hour || gap > 26*time.Hour {
					t.Fatalf("%s at %02d:30: %s lie between a tick and the next, %s", zone, hour, gap, next)
				}
				if got := s.Tick(next); !got.Equal(next) {
					t.Fatalf("%s at %02d:30: on %s the tick is %s", zone, hour, next, got)
				}
				if got := s.Tick(next.Add(-time.Second)); !got.Before(next) {
					t.Fatalf("%s at %02d:30: the tick %s comes before its time", zone, hour, got)
				}
				now = next
			}
		}
	}
}

func TestSchedulesAreEdited(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, now := context.Background(), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		s, err := models.ScheduleByName(ctx, db, models.LocalHost, "server.restart_empty")
		if err != nil || s.Enabled || s.CatchUp || s.Hour != 5 {
			t.Fatalf("the schedule is %+v, %v", s, err)
		}
		s.Enabled, s.Hour, s.Minute, s.Zone = true, 10, 15, "Europe/Berlin"
		if err := models.EditSchedule(ctx, db, s, now); err != nil {
			t.Fatal(err)
		}
		if s, err = models.ScheduleByName(ctx, db, models.LocalHost, s.Name); err != nil || !s.Enabled || s.Minute != 15 || s.Zone != "Europe/Berlin" {
			t.Fatalf("after the change it is %+v, %v", s, err)
		}
		if tick := s.Tick(now); s.LastAt.Before(tick) {
			t.Errorf("the tick %s that lay behind the new time would be served; the last one is %s", tick, s.LastAt)
		}
		if err := models.SeeSchedules(ctx, db, models.LocalHost, now); err != nil {
			t.Fatal(err)
		}
		if s, err = models.ScheduleByName(ctx, db, models.LocalHost, s.Name); err != nil || !s.SeenAt.Equal(now) {
			t.Errorf("it was seen at %s, %v", s.SeenAt, err)
		}
		for name, test := range map[string]struct {
			change func(*models.Schedule)
			field  string
		}{
			"an hour too many":    {func(s *models.Schedule) { s.Hour = 24 }, "at"},
			"a minute too few":    {func(s *models.Schedule) { s.Minute = -1 }, "at"},
			"no zone":             {func(s *models.Schedule) { s.Zone = "Berlin" }, "zone"},
			"a zone of a machine": {func(s *models.Schedule) { s.Zone = "Local" }, "zone"},
			"a path":              {func(s *models.Schedule) { s.Zone = "../../etc/passwd" }, "zone"},
		} {
			wrong := *s
			test.change(&wrong)
			if bad, ok := models.AsInvalid(models.EditSchedule(ctx, db, &wrong, now)); !ok || bad.Field != test.field {
				t.Errorf("%s: %+v, want a complaint about %s", name, bad, test.field)
			}
		}
		if _, err := models.ScheduleByName(ctx, db, "elsewhere", s.Name); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("another host has it: %v", err)
		}
	})
}
