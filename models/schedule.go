package models

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// Schedule is work that comes once a day at an hour and minute of a time zone. Its
// name is the kind of job. LastAt is the tick that was served, or passed over, last.
type Schedule struct {
	bun.BaseModel `bun:"table:schedules"`

	Name    string    `bun:"name,pk"`
	Host    string    `bun:"host"`
	Hour    int       `bun:"hour"`
	Minute  int       `bun:"minute"`
	Zone    string    `bun:"zone"` // an IANA name; "" is the worker's own
	Enabled bool      `bun:"enabled"`
	CatchUp bool      `bun:"catch_up"` // a tick that was missed is served late, once
	LastAt  time.Time `bun:"last_at,nullzero"`
	SeenAt  time.Time `bun:"seen_at,nullzero"` // a worker last looked at it
}

// punctual is how late a tick may be and not count as missed.
const punctual = 10 * time.Minute

// in is now in the schedule's zone. A zone that this machine does not know is the
// worker's own: the work comes at another hour rather than never.
func (s Schedule) in(now time.Time) time.Time {
	if s.Zone == "" {
		return now
	}
	zone, err := time.LoadLocation(s.Zone)
	if err != nil {
		return now
	}
	return now.In(zone)
}

// Tick is the schedule's newest time that is not after now. A schedule without a
// zone goes by now's location.
func (s Schedule) Tick(now time.Time) time.Time {
	now = s.in(now)
	if today := s.on(now, 0); !today.After(now) {
		return today
	}
	return s.on(now, -1)
}

// Next is when the schedule comes after now. A disabled one never comes.
func (s Schedule) Next(now time.Time) time.Time {
	if !s.Enabled {
		return time.Time{}
	}
	now = s.in(now)
	if today := s.on(now, 0); today.After(now) {
		return today
	}
	return s.on(now, 1)
}

// on is the schedule's time that many days after day. An hour that comes twice,
// because clocks go back, counts once, the first time; a time that does not come,
// because they go forth, is the moment at which they do.
func (s Schedule) on(day time.Time, days int) time.Time {
	t := time.Date(day.Year(), day.Month(), day.Day()+days, s.Hour, s.Minute, 0, 0, day.Location())
	begins, ends := t.ZoneBounds()
	want := time.Date(day.Year(), day.Month(), day.Day()+days, s.Hour, s.Minute, 0, 0, time.UTC)
	read := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC)
	switch {
	case read.After(want): // there is no such time, and t lies behind the gap
		return begins
	case read.Before(want):
		return ends
	case begins.IsZero():
		return t
	}
	_, now := t.Zone()
	_, before := begins.Add(-time.Second).Zone()
	if first := t.Add(-time.Duration(before-now) * time.Second); before > now && first.Before(begins) {
		return first
	}
	return t
}

// Missed says that a tick is so long ago that serving it now would be catching up.
func (s Schedule) Missed(tick, now time.Time) bool { return now.Sub(tick) > punctual }

// Check says what is wrong with a schedule that somebody changed.
func (s Schedule) Check() error {
	if s.Hour < 0 || s.Hour > 23 || s.Minute < 0 || s.Minute > 59 {
		return Invalid("at", "Give a time of day between 00:00 and 23:59.")
	}
	if s.Zone == "" {
		return nil
	}
	_, err := time.LoadLocation(s.Zone)
	if err != nil || len(s.Zone) > 64 || strings.EqualFold(s.Zone, "local") {
		return Invalid("zone", "This is no time zone. Give a name such as Europe/Berlin or America/New_York, or none for the host's own.")
	}
	return nil
}

// Schedules lists a host's.
func Schedules(ctx context.Context, db bun.IDB, host string) ([]Schedule, error) {
	var list []Schedule
	err := db.NewSelect().Model(&list).Where("host = ?", host).OrderExpr("name").Scan(ctx)
	return list, err
}

// ScheduleByName returns a host's schedule.
func ScheduleByName(ctx context.Context, db bun.IDB, host, name string) (*Schedule, error) {
	s := new(Schedule)
	if err := found(db.NewSelect().Model(s).Where("host = ? AND name = ?", host, name).Scan(ctx)); err != nil {
		return nil, fmt.Errorf("schedule %s: %w", name, err)
	}
	return s, nil
}

// EditSchedule stores what somebody chose. The change begins with the next tick: one
// that the new time has behind it today is not served late.
func EditSchedule(ctx context.Context, tx bun.IDB, s *Schedule, now time.Time) error {
	if err := s.Check(); err != nil {
		return err
	}
	s.LastAt = s.Tick(now).UTC()
	res, err := tx.NewUpdate().Model(s).Column("hour", "minute", "zone", "enabled", "catch_up", "last_at").WherePK().Exec(ctx)
	if err := oneRow(res, err); errors.Is(err, ErrConflict) {
		return ErrNotFound
	} else if err != nil {
		return fmt.Errorf("change schedule %s: %w", s.Name, err)
	}
	return nil
}

// SeeSchedules records that a worker looked at the host's schedules.
func SeeSchedules(ctx context.Context, db bun.IDB, host string, now time.Time) error {
	_, err := db.NewUpdate().Model((*Schedule)(nil)).Set("seen_at = ?", now.UTC()).Where("host = ?", host).Exec(ctx)
	return err
}

// ServeTick takes a schedule's tick. False when another worker took it.
func ServeTick(ctx context.Context, tx bun.IDB, name string, tick time.Time) (bool, error) {
	res, err := tx.NewUpdate().Model((*Schedule)(nil)).Set("last_at = ?", tick.UTC()).
		Where("name = ? AND enabled AND (last_at IS NULL OR last_at < ?)", name, tick.UTC()).Exec(ctx)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}
