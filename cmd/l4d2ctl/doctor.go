package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"left4me/hostops"
	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
)

type doctorCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// rootVariable carries what root saw over the exec that gives root up. It is only
// shown, never acted on.
const rootVariable = "LEFT4ME_DOCTOR_ROOT"

// lookAsRoot does what only root can before it is given up.
func lookAsRoot(root, steamcmd string) error {
	data, err := json.Marshal(hostops.LookAsRoot(root, steamcmd))
	if err == nil {
		err = os.Setenv(rootVariable, string(data))
	}
	if err != nil {
		return fmt.Errorf("hand on what root saw: %w", err)
	}
	return nil
}

// Run looks at the host and says what is missing. It fails when servers cannot
// run.
func (c *doctorCmd) Run(env *environment) error {
	look := hostops.Examination{Trial: hostops.RootlessTrial}
	_, look.Systemd = env.host.Supervisor.(*supervisor.Systemd)
	if said := os.Getenv(rootVariable); said != "" {
		var view hostops.RootView
		if json.Unmarshal([]byte(said), &view) == nil { // else somebody played with the environment
			look.Root = &view
		}
	}
	report, err := env.host.Doctor(env.ctx, look)
	if err != nil {
		return err
	}
	switch {
	case env.out.json:
		for _, check := range report.Checks {
			env.out.emit(ctl.Event{Type: ctl.EventLog, At: time.Now().UTC(), Stream: ctl.StreamCtl, Text: checkText(check)})
			env.out.emit(ctl.Event{Type: ctl.EventCheck, At: time.Now().UTC(), Check: &check})
		}
	case c.JSON:
		encoder := json.NewEncoder(env.out.stdout)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(report); err != nil {
			return err
		}
	default:
		for _, check := range report.Checks {
			env.out.line(checkText(check))
			if check.Fix != "" {
				env.out.line(strings.Repeat(" ", 9) + "mend it with: " + check.Fix)
			}
		}
	}
	return problems(report)
}

func checkText(c ctl.Check) string {
	return fmt.Sprintf("%-7s  %-16s  %s", c.Level, c.Title, c.Text)
}

// problems is nil when servers can run here.
func problems(d ctl.Doctor) error {
	var names []string
	for _, c := range d.Checks {
		if c.Level == ctl.LevelProblem {
			names = append(names, c.Title)
		}
	}
	switch len(names) {
	case 0:
		return nil
	case 1:
		return sentence{fmt.Sprintf("servers cannot run here yet: there is a problem with %s", names[0]), ctl.ErrUnfit}
	}
	return sentence{fmt.Sprintf("servers cannot run here yet: there are %d problems (%s)", len(names), strings.Join(names, ", ")), ctl.ErrUnfit}
}
