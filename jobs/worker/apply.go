package worker

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"left4me/jobs"
	"left4me/models"
)

// applyWhenEmpty asks, as the system, for the restarts that people want as soon as
// nobody plays. Asking settles the wish: a restart that fails is not tried for ever,
// and one that finds somebody there makes the wish anew.
func (w *Worker) applyWhenEmpty(ctx context.Context) error {
	list, err := models.ServersToApply(ctx, w.DB, w.Host)
	if err != nil {
		return err
	}
	for i := range list {
		if notEmpty(&list[i], models.Now()) != "" {
			continue
		}
		_, err := w.queue.EnqueueWith(ctx, models.Actor{}, func(ctx context.Context, tx bun.Tx) ([]jobs.Args, error) {
			won, err := models.TakeApplyWhenEmpty(ctx, tx, list[i].ID)
			if err != nil || !won {
				return nil, err
			}
			return []jobs.Args{jobs.RestartServer{ServerID: list[i].ID, IfEmpty: true, OrLater: true}}, nil
		})
		if err != nil {
			return fmt.Errorf("ask for the restart of an empty server: %w", err)
		}
	}
	return nil
}
