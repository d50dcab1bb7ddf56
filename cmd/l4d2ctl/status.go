package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/steam"
)

type statusCmd struct {
	Name string `arg:"" optional:"" help:"Name of the server; all without it."`
	JSON bool   `name:"json" help:"Print JSON: an object for one server, a list for all."`
	// Names is what shell completion asks for: quick, and without a look at any server.
	Names bool `help:"Print only the names of all servers, one a line."`
}

// Run prints the state of one server or all.
func (c *statusCmd) Run(env *environment) error {
	if c.Names {
		return c.printNames(env)
	}
	all, err := c.collect(env)
	if err != nil {
		return err
	}
	if env.out.json {
		for i := range all {
			env.out.emit(ctl.Event{Type: ctl.EventState, At: time.Now().UTC(), Status: &all[i]})
		}
		return nil
	}
	if !c.JSON {
		return table(env, all)
	}
	var value any = all
	if c.Name != "" {
		value = all[0]
	}
	encoder := json.NewEncoder(env.out.stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

func (c *statusCmd) printNames(env *environment) error {
	if c.Name != "" || c.JSON {
		return fmt.Errorf("--names stands alone: %w", ctl.ErrUsage)
	}
	names, err := env.host.Names()
	for _, name := range names {
		if _, err := fmt.Fprintln(env.out.stdout, name); err != nil {
			return err
		}
	}
	return err
}

func (c *statusCmd) collect(env *environment) ([]ctl.Status, error) {
	if c.Name == "" {
		return env.host.StatusAll(env.ctx)
	}
	st, err := env.host.Status(env.ctx, c.Name)
	return []ctl.Status{st}, err
}

func table(env *environment, all []ctl.Status) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(env.out.stdout, "There are no servers. Make one with l4d2ctl initialize NAME -f SPEC.")
		return err
	}
	w := tabwriter.NewWriter(env.out.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSTATE\tPORT\tMAP\tPLAYERS\tMEMORY\tSINCE\t")
	for _, st := range all {
		fmt.Fprintln(w, strings.Join(row(st), "\t")+"\t")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, st := range all {
		if st.Message == "" {
			continue
		}
		if _, err := fmt.Fprintf(env.out.stdout, "%s: %s\n", st.Name, printable(st.Message)); err != nil {
			return err
		}
	}
	return nil
}

func row(st ctl.Status) []string {
	port, mapName, players, memory := "-", "-", "-", "-"
	if st.Port != 0 {
		port = fmt.Sprint(st.Port)
	}
	if st.Live != nil {
		mapName = printable(st.Live.Map)
		players = fmt.Sprintf("%d/%d", st.Live.Players, st.Live.Max)
	}
	if st.Memory > 0 {
		memory = steam.Bytes(st.Memory)
	}
	return []string{st.Name, string(st.State), port, mapName, players, memory, st.Since.Local().Format("2006-01-02 15:04:05")}
}

// stateText is one status as a line for people.
func stateText(st *ctl.Status) string {
	text := fmt.Sprintf("%s is %s", st.Name, st.State)
	if st.Live != nil {
		text += fmt.Sprintf(" on %s with %d of %d players", st.Live.Map, st.Live.Players, st.Live.Max)
	}
	if st.Message != "" {
		text += ": " + st.Message
	}
	return text
}
