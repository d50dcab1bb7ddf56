package webui

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"left4me/jobs"
	"left4me/models"
)

// jobView is a job as pages show it.
type jobView struct{ Job *models.Job }

func jobViews(list []models.Job) []jobView {
	views := make([]jobView, len(list))
	for i := range list {
		views[i] = jobView{Job: &list[i]}
	}
	return views
}

// State is the job's state in a word.
func (v jobView) State() stateView {
	switch j := v.Job; {
	case j.State == models.JobRunning && !j.CancelRequestedAt.IsZero():
		return stateView{"Being cancelled", "busy"}
	case j.State == models.JobRunning:
		return stateView{"Running", "busy"}
	case j.State == models.JobQueued && j.Attempt > 0:
		return stateView{"Waiting to try again", "warn"}
	case j.State == models.JobQueued:
		return stateView{"Waiting", "off"}
	case j.State == models.JobSucceeded:
		return stateView{"Done", "ok"}
	case j.State == models.JobFailed:
		return stateView{"Failed", "bad"}
	}
	return stateView{"Cancelled", "off"}
}

// Path is the job's page.
func (v jobView) Path() string { return "/jobs/" + strconv.FormatInt(v.Job.ID, 10) }

// By is who asked for it.
func (v jobView) By() string {
	if v.Job.User != nil {
		return v.Job.User.Name
	}
	return "the system"
}

// Began is since when it runs, or waits when it does not.
func (v jobView) Began() time.Time {
	if v.Job.State == models.JobRunning && !v.Job.StartedAt.IsZero() {
		return v.Job.StartedAt
	}
	return v.Job.CreatedAt
}

// Took is how long a finished job ran.
func (v jobView) Took() time.Duration {
	if v.Job.StartedAt.IsZero() || v.Job.FinishedAt.IsZero() {
		return 0
	}
	return v.Job.FinishedAt.Sub(v.Job.StartedAt)
}

// Now is the phase a running job is in, nil when it is not known.
func (v jobView) Now() *models.JobStep {
	if v.Job.State != models.JobRunning {
		return nil
	}
	return v.Job.Progress.Now
}

// Exit is the exit code as text, "" when there was none.
func (v jobView) Exit() string {
	if v.Job.ExitCode == nil {
		return ""
	}
	return strconv.Itoa(*v.Job.ExitCode)
}

// Tone colours the message of an ended job.
func (v jobView) Tone() string {
	switch v.Job.State {
	case models.JobFailed:
		return "bad"
	case models.JobQueued, models.JobRunning:
		return "busy"
	}
	return "info"
}

// CanCancel: it has not ended and nobody asked yet. A stop for an update of the game
// takes a moment only, and without it the update fails.
func (v jobView) CanCancel() bool {
	return !v.Job.Finished() && v.Job.CancelRequestedAt.IsZero() && v.Job.Kind != (jobs.StopForUpdate{}).Kind()
}

// RetryWaits says that a failed attempt is followed by another one later.
func (v jobView) RetryWaits() bool {
	return v.Job.State == models.JobQueued && v.Job.Attempt > 0 && v.Job.RunAfter.After(models.Now())
}

// stepView is a line of the list of steps.
type stepView struct {
	models.JobStep
	Class string // done, now, failed
}

// Amount is how much of a step was done, in bytes, "" when it is not known.
func (v stepView) Amount() string {
	switch {
	case v.Total > 0 && v.Class == "done":
		return formatBytes(v.Total)
	case v.Total > 0:
		return formatBytes(v.Done) + " of " + formatBytes(v.Total)
	case v.Done > 0:
		return formatBytes(v.Done)
	}
	return ""
}

// Took is how long a finished step took.
func (v stepView) Took() string {
	if v.Ended.IsZero() || v.Began.IsZero() {
		return ""
	}
	if d := v.Ended.Sub(v.Began); d < time.Second {
		return fmt.Sprintf("%d ms", max(d.Milliseconds(), 1))
	}
	return formatSpan(v.Ended.Sub(v.Began))
}

// Steps are the steps behind the job and the one it is in.
func (v jobView) Steps() []stepView {
	list := make([]stepView, 0, len(v.Job.Progress.Steps)+1)
	for _, st := range v.Job.Progress.Steps {
		list = append(list, stepView{st, "done"})
	}
	if now := v.Job.Progress.Now; now != nil {
		class := "now"
		switch {
		case v.Job.State == models.JobSucceeded:
			class = "done"
		case v.Job.Finished():
			class = "failed"
		}
		list = append(list, stepView{*now, class})
	} else if last := len(list) - 1; last >= 0 && (v.Job.State == models.JobFailed || v.Job.State == models.JobCancelled) {
		list[last].Class = "failed" // it is where the job ended
	}
	return list
}

// ToCome says how many steps lie ahead, as far as the job knows; "" when none.
func (v jobView) ToCome() string {
	now := v.Now()
	if now == nil || now.Steps <= now.Step {
		return ""
	}
	return count(now.Steps-now.Step, "more step")
}

type (
	jobHead struct {
		jobView
		Blockers []jobView
		Overlay  *models.Overlay // what it works on, when this user may see that
		Retry    bool            // this user may ask for the same again
	}
	jobProgress struct{ jobView }
	jobTable    struct {
		Jobs   []jobView
		Before int64 // the next page begins below this number; 0 when this is the last
		Filter string
		Admin  bool
		ID     string
		Empty  string
	}
)

func (jobHead) template() string      { return "job_head.html" }
func (jobHead) elementID() string     { return "job-head" }
func (jobProgress) template() string  { return "job_progress.html" }
func (jobProgress) elementID() string { return "job-progress" }
func (jobTable) template() string     { return "job_table.html" }
func (v jobTable) elementID() string  { return v.ID }

// jobFor reads a job that the user may see; any other is ErrNotFound.
func (s *Server) jobFor(ctx context.Context, u *models.User, id int64) (*models.Job, error) {
	j, err := models.JobByID(ctx, s.DB, id)
	if err != nil {
		return nil, err
	}
	if !j.VisibleTo(u) {
		return nil, fmt.Errorf("job %d of somebody else: %w", id, models.ErrNotFound)
	}
	return j, nil
}

// jobHere is the job that the address names.
func (s *Server) jobHere(c *gin.Context) (*models.Job, error) {
	id, err := jobNumber(c)
	if err != nil {
		return nil, err
	}
	return s.jobFor(c.Request.Context(), user(c), id)
}

func (s *Server) jobHead(ctx context.Context, u *models.User, id int64) (jobHead, error) {
	j, err := s.jobFor(ctx, u, id)
	if err != nil {
		return jobHead{}, err
	}
	head := jobHead{jobView: jobView{Job: j}}
	if o := j.Overlay; o != nil && o.ID != 0 && (o.UserID == "" || o.UserID == u.ID) {
		head.Overlay = o
	}
	if j.State == models.JobQueued {
		waits, err := models.JobBlockers(ctx, s.DB, id)
		if err != nil {
			return jobHead{}, err
		}
		head.Blockers = jobViews(waits)
		for i := range head.Blockers {
			if !head.Blockers[i].Job.VisibleTo(u) {
				head.Blockers[i].Job = &models.Job{Title: "somebody else's job", ID: head.Blockers[i].Job.ID}
			}
		}
	}
	_, err = again(j, u)
	head.Retry = err == nil
	return head, nil
}

// hostJob makes the arguments of a job that is about the whole host.
func hostJob(j *models.Job) (jobs.Args, bool) {
	switch j.Kind {
	case jobs.CheckGame{}.Kind():
		return jobs.CheckGame{}, true
	case jobs.CheckHost{}.Kind():
		return jobs.CheckHost{}, true
	case jobs.RestartEmpty{}.Kind():
		return jobs.RestartEmpty{}, true
	case jobs.UpdateGame{}.Kind():
		var args jobs.UpdateGame
		return args, json.Unmarshal(j.Args, &args) == nil
	}
	return nil, false
}

// again makes the arguments of the same job once more, or says why this user
// cannot have it.
func again(j *models.Job, u *models.User) (jobs.Args, error) {
	if j.State != models.JobFailed && j.State != models.JobCancelled {
		return nil, &failure{status: 409, title: "Not possible now", text: "Only a job that failed or was cancelled can be tried again."}
	}
	if j.Kind == (jobs.InstallGame{}).Kind() {
		if err := mayAdminister(u); err != nil {
			return nil, err
		}
		return jobs.InstallGame{}, nil
	}
	if args, known := hostJob(j); known {
		if !u.Admin {
			return nil, errNotAdmin
		}
		return args, nil
	}
	if j.OverlayID != 0 || strings.HasPrefix(j.Kind, "overlay.") || j.Kind == (jobs.DownloadWorkshop{}).Kind() {
		return againOverlay(j, u)
	}
	if j.Server == nil || (j.Server.UserID != u.ID && !u.Admin) {
		return nil, &failure{status: 409, title: "Not possible now", text: "What this job worked on does not exist any more."}
	}
	var args struct {
		ServerID string `json:"server_id"`
	}
	if err := json.Unmarshal(j.Args, &args); err != nil || args.ServerID != j.ServerID {
		return nil, models.ErrNotFound
	}
	switch j.Kind {
	case jobs.StartServer{}.Kind():
		return jobs.StartServer{ServerID: args.ServerID}, nil
	case jobs.StopServer{}.Kind():
		return jobs.StopServer{ServerID: args.ServerID}, nil
	case jobs.RestartServer{}.Kind():
		return jobs.RestartServer{ServerID: args.ServerID}, nil
	case jobs.ResetServer{}.Kind():
		return jobs.ResetServer{ServerID: args.ServerID}, nil
	case jobs.ApplyBlueprint{}.Kind():
		return jobs.ApplyBlueprint{ServerID: args.ServerID}, nil
	case jobs.DeleteServer{}.Kind():
		return jobs.DeleteServer{ServerID: args.ServerID}, nil
	}
	return nil, models.ErrNotFound
}
