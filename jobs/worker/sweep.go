package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"left4me/jobs"
	"left4me/models"
)

// sweep is what makes the row the truth: once a second it takes back jobs whose
// worker fell silent and wakes workers for every job that could run, and every few
// seconds it asks for what the clock says. Any number of workers may do it at once.
func (w *Worker) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var lastExpiry, lastWarning, lastClock time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		one, stop := context.WithTimeout(ctx, 5*time.Second)
		err := w.sweepOnce(one)
		if err == nil && time.Since(lastClock) > clockEvery {
			if err = w.serveSchedules(one, time.Now()); err == nil {
				lastClock = time.Now()
			}
		}
		if err != nil && ctx.Err() == nil && time.Since(lastWarning) > time.Minute {
			w.Log.WarnContext(ctx, "could not sweep; trying again every second", "err", err)
			lastWarning = time.Now()
		}
		if time.Since(lastExpiry) > time.Hour {
			if err := errors.Join(models.DeleteExpiredSessions(one, w.DB), w.trimArchive(one)); err == nil {
				lastExpiry = time.Now()
			}
		}
		stop()
	}
}

func (w *Worker) sweepOnce(ctx context.Context) error {
	back, err := models.TakeBackStale(ctx, w.DB, w.Host, models.Now().Add(-staleAfter))
	for i := range back {
		w.Log.WarnContext(ctx, "took back a job whose worker fell silent", "job", back[i].ID, "state", string(back[i].State))
		w.publish(jobs.Message{Topics: jobs.JobTopics(&back[i]), Change: true})
	}
	if err != nil {
		return err
	}
	if err := w.applyWhenEmpty(ctx); err != nil {
		return err
	}
	return w.wake(ctx)
}

// wake pushes a task for every job that may run.
func (w *Worker) wake(ctx context.Context) error {
	runnable, err := models.RunnableJobs(ctx, w.DB, w.Host, 100)
	if err != nil {
		return err
	}
	for _, r := range runnable {
		err := jobs.Push(ctx, w.tasks, r, "")
		if errors.Is(err, jobs.ErrPushed) {
			err = w.unstick(ctx, r)
		}
		if err != nil {
			return fmt.Errorf("push job %d: %w", r.ID, err)
		}
	}
	// After a FLUSHALL asynq's client does not list its queues again, and the
	// monitor would show nothing.
	for _, pool := range []models.Pool{models.PoolInteractive, models.PoolBulk} {
		if err := w.Redis.SAdd(ctx, "asynq:queues", jobs.QueueName(w.Host, pool)).Err(); err != nil {
			return fmt.Errorf("list the queues: %w", err)
		}
	}
	return nil
}

// unstick looks at a task that is in Redis although its job may run. Waiting for
// a free slot is fine. One that is over, or that is "active" although the claim
// did not happen, would keep its id and the job would never be woken.
func (w *Worker) unstick(ctx context.Context, r models.Wake) error {
	queue, id := jobs.QueueName(r.Host, r.Pool), jobs.TaskID(r)
	info, err := w.in.GetTaskInfo(queue, id)
	if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
		return nil // gone meanwhile: the next sweep pushes it
	} else if err != nil {
		return err
	}
	switch info.State {
	case asynq.TaskStatePending:
		return nil
	case asynq.TaskStateActive:
		// A claim that was lost a moment ago, or a task whose worker died: asynq
		// would give it back after one to two minutes. A second id does it now.
		suffix := fmt.Sprintf(".w%d", time.Now().Unix()/5)
		if err := jobs.Push(ctx, w.tasks, r, suffix); err != nil && !errors.Is(err, jobs.ErrPushed) {
			return err
		}
		return nil
	}
	if err := w.in.DeleteTask(queue, id); err != nil && !errors.Is(err, asynq.ErrTaskNotFound) {
		return err
	}
	if err := jobs.Push(ctx, w.tasks, r, ""); err != nil && !errors.Is(err, jobs.ErrPushed) {
		return err
	}
	return nil
}
