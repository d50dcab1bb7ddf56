package worker_test

import (
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"left4me/internal/testenv"
	"left4me/jobs"
	"left4me/models"
)

// A failed job stays in the queue monitor with its sentence, is never run again by
// the queue, and does not keep later jobs from running; what succeeds, is cancelled
// or is tried again leaves nothing there.
func TestFailedJobsStayInTheMonitor(t *testing.T) {
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		w.plan("install", act{Lines: 1, Codes: []int{8, 0}, Message: "Steam could not write the files."})
		w.plan("stop", act{Codes: []int{75, 0}, Message: "busy", Retry: true})
		w.work()
		failed := w.until(w.ask(jobs.InstallGame{}).ID, 20*time.Second, models.JobFailed)
		w.until(w.ask(jobs.InstallGame{}).ID, 20*time.Second, models.JobSucceeded)
		w.until(w.ask(jobs.StopServer{ServerID: w.server().ID}).ID, 20*time.Second, models.JobSucceeded)
		in := asynq.NewInspectorFromRedisClient(s.Redis)
		var list []*asynq.TaskInfo
		testenv.Eventually(t, 10*time.Second, "the failed task is archived", func() bool {
			var err error
			list, err = in.ListArchivedTasks(jobs.QueueName(models.LocalHost, models.PoolBulk))
			return err == nil && len(list) == 1
		})
		if got := list[0]; got.LastErr != "Steam could not write the files: skip retry for the task" || got.Type != "game.install" {
			t.Errorf("the monitor shows %s: %q", got.Type, got.LastErr)
		}
		if id, err := jobs.TaskJob(asynq.NewTask(list[0].Type, list[0].Payload)); err != nil || id != failed.ID {
			t.Errorf("the task is of job %d (%v), want %d", id, err, failed.ID)
		}
		if list, err := in.ListArchivedTasks(jobs.QueueName(models.LocalHost, models.PoolInteractive)); err != nil || len(list) != 0 {
			t.Errorf("a job that was tried again left %d tasks (%v)", len(list), err)
		}
		if n := w.runs("install", ""); n != 2 {
			t.Errorf("install ran %d times, want twice", n)
		}
	})
}
