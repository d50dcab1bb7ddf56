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
	Enabled bool      `bun:"enabled"`
	LastAt  time.Time `bun:"last_at,nullzero"`
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
