package worker

import (
	"context"
	"time"

	"left4me/models"
)

const (
	pruneEvery = time.Hour
	prunePause = 200 * time.Millisecond // between batches, for everybody else
	pruneMost  = 2000                   // batches a run; the rest waits for the next
	staleEvery = time.Minute
)

// prune removes what was kept long enough, a little after the worker began and then
// every hour, and ends the stays of people whom nobody sees any more.
func (w *Worker) prune(ctx context.Context) {
	next := time.Now().Add(time.Minute)
	tick := time.NewTicker(staleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		one, stop := context.WithTimeout(ctx, 10*time.Second)
		err := models.EndStaleSessions(one, w.DB, w.now().Add(-models.StaleSession))
		stop()
		if err == nil && time.Now().After(next) {
			next = time.Now().Add(pruneEvery)
			err = w.pruneAll(ctx)
		}
		if err != nil && ctx.Err() == nil {
			w.Log.WarnContext(ctx, "could not remove what is old; trying again later", "err", err)
		}
	}
}

func (w *Worker) pruneAll(ctx context.Context) error {
	for range pruneMost {
		one, stop := context.WithTimeout(ctx, 30*time.Second)
		more, err := models.Prune(one, w.DB, w.now())
		stop()
		if err != nil || !more {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(prunePause):
		}
	}
	return nil
}
