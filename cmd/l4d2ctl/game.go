package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/steam"
)

type gameCmd struct {
	JSON  bool `name:"json" help:"Print JSON."`
	Check bool `default:"true" negatable:"" help:"Ask Steam for the newest build; --no-check prints what is known without it."`
}

// gameReport is what --json prints.
type gameReport struct {
	ctl.Game
	Outdated bool `json:"outdated"` // Steam has another build than the installed one
}

// Run prints what is installed and whether Steam has something newer. When Steam
// does not answer it prints what is known, and fails.
func (c *gameCmd) Run(env *environment) error {
	g, failed := env.host.Game(), error(nil)
	if c.Check {
		if !env.out.json { // only the outcome may stand there
			env.host.Emit = func(ctl.Event) {}
		}
		g, failed = env.host.CheckGame(env.ctx, env.stderr)
	}
	var err error
	switch {
	case env.out.json:
		if failed != nil || !c.Check { // otherwise it was told
			env.out.emit(ctl.Event{Type: ctl.EventGame, At: time.Now().UTC(), Game: &g})
		}
	case c.JSON:
		encoder := json.NewEncoder(env.out.stdout)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(gameReport{g, g.Outdated()})
	default:
		err = printGame(env, g)
	}
	if failed != nil {
		return failed
	}
	return err
}

func printGame(env *environment, g ctl.Game) error {
	w := tabwriter.NewWriter(env.out.stdout, 0, 0, 2, ' ', 0)
	if g.Installed {
		fmt.Fprintf(w, "installed\tbuild %s\n", printable(g.Build))
		if g.Version != "" {
			fmt.Fprintf(w, "version\t%s\n", printable(g.Version))
		}
		if g.Size > 0 {
			fmt.Fprintf(w, "size\t%s\n", steam.Bytes(g.Size))
		}
		if !g.Updated.IsZero() {
			fmt.Fprintf(w, "updated\t%s\n", g.Updated.Local().Format("2006-01-02 15:04:05"))
		}
	} else {
		why := g.Message
		if why == "" {
			why = "run l4d2ctl install"
		}
		fmt.Fprintf(w, "installed\tno: %s\n", printable(why))
	}
	switch {
	case g.Latest == "":
		fmt.Fprintf(w, "newest\tunknown\n")
	case g.Outdated():
		fmt.Fprintf(w, "newest\tbuild %s: stop the servers and run l4d2ctl install\n", printable(g.Latest))
	default:
		fmt.Fprintf(w, "newest\tbuild %s\n", printable(g.Latest))
	}
	return w.Flush()
}
