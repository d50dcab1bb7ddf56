package models

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/migrate"

	"left4me/models/migrations"
)

// JobCount is how many unfinished jobs of a kind are in a state.
type JobCount struct {
	Kind  string
	Pool  Pool
	State JobState
	N     int
}

// CountUnfinished counts the jobs that wait or run.
func CountUnfinished(ctx context.Context, db bun.IDB) ([]JobCount, error) {
	var list []JobCount
	err := db.NewSelect().Model((*Job)(nil)).Column("kind", "pool", "state").ColumnExpr("count(*) AS n").
		Where("finished_at IS NULL").Group("kind", "pool", "state").Scan(ctx, &list)
	if err != nil {
		return nil, fmt.Errorf("count unfinished jobs: %w", err)
	}
	return list, nil
}

// EndedJob is what the metrics know of a job that ended.
type EndedJob struct {
	Kind       string
	Pool       Pool
	State      JobState
	CreatedAt  time.Time
	StartedAt  *time.Time
	FinishedAt time.Time
}

// EndedJobs lists the jobs that ended after one moment and not after the other, at
// most limit, oldest first.
func EndedJobs(ctx context.Context, db bun.IDB, after, until time.Time, limit int) ([]EndedJob, error) {
	var list []EndedJob
	err := db.NewSelect().Model((*Job)(nil)).Column("kind", "pool", "state", "created_at", "started_at", "finished_at").
		Where("finished_at > ? AND finished_at <= ?", after.UTC(), until.UTC()).OrderExpr("finished_at").Limit(int64(limit)).Scan(ctx, &list)
	if err != nil {
		return nil, fmt.Errorf("list ended jobs: %w", err)
	}
	return list, nil
}

// ServerCounts is how many servers are in each observed state, and who plays.
type ServerCounts struct {
	ByState       map[ServerState]int
	Players, Bots int
}

// CountServers counts the servers of all users.
func CountServers(ctx context.Context, db bun.IDB) (ServerCounts, error) {
	var list []Server
	c := ServerCounts{ByState: map[ServerState]int{}}
	if err := db.NewSelect().Model(&list).Column("observed", "status").Scan(ctx); err != nil {
		return c, fmt.Errorf("count servers: %w", err)
	}
	for _, s := range list {
		c.ByState[s.Observed]++
		if s.Observed == ServerRunning && s.Status.Live != nil {
			c.Players += s.Status.Live.Players
			c.Bots += s.Status.Live.Bots
		}
	}
	return c, nil
}

// PendingMigrations counts the migrations that this program has and the database
// has not seen.
func PendingMigrations(ctx context.Context, db *bun.DB) (int, error) {
	set := migrate.NewMigrations()
	if err := set.Discover(migrations.Files); err != nil {
		return 0, fmt.Errorf("read migrations: %w", err)
	}
	list, err := migrate.NewMigrator(db, set).MigrationsWithStatus(ctx)
	if err != nil {
		return 0, fmt.Errorf("read which migrations were made: %w", err)
	}
	return len(list.Unapplied()), nil
}
