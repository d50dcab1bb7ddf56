package webui

import (
	"testing"

	"left4me/models"
)

// A step in which a job failed was shown as done.
func TestTheLastStepOfAFailedJobIsNotDone(t *testing.T) {
	for state, want := range map[models.JobState]string{
		models.JobSucceeded: "done", models.JobRunning: "done", models.JobFailed: "failed", models.JobCancelled: "failed",
	} {
		j := &models.Job{State: state, Progress: models.JobProgress{Steps: []models.JobStep{{Title: "Checking"}, {Title: "Starting"}}}}
		steps := jobView{Job: j}.Steps()
		if steps[0].Class != "done" || steps[1].Class != want {
			t.Errorf("%s: the steps are %s and %s; want done and %s", state, steps[0].Class, steps[1].Class, want)
		}
	}
}
