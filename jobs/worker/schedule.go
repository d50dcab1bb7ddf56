package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"left4me/jobs"
	"left4me/models"
)

// serveSchedules asks, as the system, for what is due at now; a schedule without a
// zone goes by the worker's. What was missed, because no worker ran, is caught up
// with once, however many days it lasted, or passed over, as the schedule says; a
// new installation has nothing to catch up with. Taking the tick and asking are one
// transaction, so that of two workers one asks.
func (w *Worker) serveSchedules(ctx context.Context, now time.Time) error {
	list, err := models.Schedules(ctx, w.DB, w.Host)
	if err != nil {
		return fmt.Errorf("look at the schedules: %w", err)
	}
	for _, s := range list {
		args, known := jobs.Scheduled(s.Name)
		tick := s.Tick(now)
		if !known || !s.Enabled || !s.LastAt.Before(tick) {
			continue
		}
		_, err := w.queue.EnqueueWith(ctx, models.Actor{}, func(ctx context.Context, tx bun.Tx) ([]jobs.Args, error) {
			won, err := models.ServeTick(ctx, tx, s.Name, tick)
			if err != nil || !won || s.LastAt.IsZero() || s.Missed(tick, now) && !s.CatchUp {
				return nil, err
			}
			return []jobs.Args{args}, nil
		})
		if err != nil {
			return fmt.Errorf("ask for %s: %w", s.Name, err)
		}
	}
	if err := models.SeeSchedules(ctx, w.DB, w.Host, now); err != nil {
		return fmt.Errorf("note the look at the schedules: %w", err)
	}
	return nil
}
