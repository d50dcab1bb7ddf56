package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hibiken/asynq"

	"left4me/jobs"
	"left4me/models"
)

// archiveMax is how many failed tasks each queue keeps for the monitor. asynq itself
// would keep 10,000, and for 90 days.
const archiveMax = 500

// trimArchive deletes the oldest failed tasks beyond archiveMax. It works through at
// most a few thousand at a time; any number of workers may do it at once.
func (w *Worker) trimArchive(ctx context.Context) error {
	known, err := w.in.Queues()
	if err != nil {
		return fmt.Errorf("list the queues: %w", err)
	}
	for _, pool := range []models.Pool{models.PoolInteractive, models.PoolBulk} {
		queue := jobs.QueueName(w.Host, pool)
		if !slices.Contains(known, queue) {
			continue // nothing was ever asked for
		}
		for range 50 {
			info, err := w.in.GetQueueInfo(queue)
			if err != nil {
				return fmt.Errorf("look at the failed tasks of %s: %w", queue, err)
			}
			excess := info.Archived - archiveMax
			if excess <= 0 || ctx.Err() != nil {
				break
			}
			if err := w.deleteOldest(queue, min(excess, 100)); err != nil {
				return err
			}
		}
	}
	return nil
}

// deleteOldest deletes n failed tasks: asynq lists the oldest first.
func (w *Worker) deleteOldest(queue string, n int) error {
	list, err := w.in.ListArchivedTasks(queue, asynq.PageSize(n), asynq.Page(1))
	if err != nil {
		return fmt.Errorf("list the failed tasks of %s: %w", queue, err)
	}
	for _, t := range list {
		if err := w.in.DeleteTask(queue, t.ID); err != nil && !errors.Is(err, asynq.ErrTaskNotFound) {
			return fmt.Errorf("delete the failed task %s: %w", t.ID, err)
		}
	}
	return nil
}
