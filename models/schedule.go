package models

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// Schedule is work that comes once a day at an hour of the worker's local time.
// Its name is the kind of job. LastAt is the tick that was served last.
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

// Tick is the schedule's newest time that is not after now, in now's location.
func (s Schedule) Tick(now time.Time) time.Time {
	today := time.Date(now.Year(), now.Month(), now.Day(), s.Hour, 0, 0, 0, now.Location())
	if today.After(now) {
		return time.Date(now.Year(), now.Month(), now.Day()-1, s.Hour, 0, 0, 0, now.Location())
	}
	return today
}

// Next is when the schedule comes after now, in now's location. A disabled one
// never comes.
func (s Schedule) Next(now time.Time) time.Time {
	if !s.Enabled {
		return time.Time{}
	}
	next := time.Date(now.Year(), now.Month(), now.Day(), s.Hour, 0, 0, 0, now.Location())
	if !next.After(now) {
		next = time.Date(now.Year(), now.Month(), now.Day()+1, s.Hour, 0, 0, 0, now.Location())
	}
	return next
}

// Schedules lists a host's.
func Schedules(ctx context.Context, db bun.IDB, host string) ([]Schedule, error) {
	var list []Schedule
	err := db.NewSelect().Model(&list).Where("host = ?", host).OrderExpr("name").Scan(ctx)
	return list, err
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
