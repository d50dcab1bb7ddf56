package hostops

import (
	"context"
	"strings"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
)

// newestRun is how many lines are looked through for the reason of an end.
const newestRun = 400

// bannerLine is the first that the game prints.
const bannerLine = "#Using breakpad minidump system"

// crash is what is known of how a game last ended by itself. The log is looked
// through once for each end.
type crash struct {
	exit     *ctl.Exit // supervisors may forget it when the game runs again
	failedAt time.Time // the failure that why explains
	restarts int       // the restart that cause explains
	cause    string
	why      string
}

// explain completes a status by the reason of a failure, or of the end after which
// the game was started again.
func (c *crash) explain(ctx context.Context, h *Host, st *ctl.Status, inst supervisor.Instance) {
	if inst.Exit != nil {
		c.exit = inst.Exit
	}
	switch {
	case st.State == ctl.ServerFailed:
		if !c.failedAt.Equal(inst.Since) {
			h.sayWhy(ctx, st, inst)
			c.failedAt, c.why = inst.Since, st.Message
		}
		st.Message = c.why
	case inst.Restarts == 0:
		c.restarts, c.cause = 0, ""
	case st.State == ctl.ServerStarting, st.State == ctl.ServerRunning:
		if c.restarts != inst.Restarts {
			c.restarts, c.cause = inst.Restarts, h.causeOfEnd(ctx, st.Name, inst)
		}
		if c.exit != nil {
			exit := *c.exit
			exit.Cause = c.cause
			st.Exit = &exit
		}
	}
}

// sayWhy completes the message of a failed game by the cause that its log or its
// files show.
func (h *Host) sayWhy(ctx context.Context, st *ctl.Status, inst supervisor.Instance) {
	newest, _, err := h.runs(ctx, st.Name)
	if err != nil {
		return // the supervisor's own message stands
	}
	if c := h.diagnose(st.Name, inst, newest); c != nil {
		st.Message = strings.TrimSpace(st.Message + " " + sentenceOf(c.sentence))
	}
}

// causeOfEnd says why the run before the present one ended, "" when nothing tells.
func (h *Host) causeOfEnd(ctx context.Context, name string, inst supervisor.Instance) string {
	dead, before, err := h.runs(ctx, name)
	if err != nil {
		return ""
	}
	if inst.PID != 0 { // the newest run is alive, once it has printed its first line
		dead = before
	}
	inst.State = ctl.ServerFailed
	if c := h.diagnose(name, inst, dead); c != nil {
		return sentenceOf(c.sentence)
	}
	return ""
}

// runs reads what the log says of the newest run and of the one before it.
func (h *Host) runs(ctx context.Context, name string) (newest, before markers, err error) {
	err = h.Supervisor.Logs(ctx, name, supervisor.LogOptions{Lines: newestRun}, func(l supervisor.LogLine) error {
		if strings.HasPrefix(l.Text, bannerLine) {
			newest, before = markers{}, newest
		}
		newest.take(l.Text)
		return nil
	})
	return newest, before, err
}

// sentenceOf makes a sentence of a clause.
func sentenceOf(clause string) string {
	return strings.ToUpper(clause[:1]) + clause[1:] + "."
}
