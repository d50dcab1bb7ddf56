package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"left4me/hostops/ctl"
)

type kickCmd struct {
	Name    string `arg:"" help:"Name of the server."`
	SteamID string `arg:"" name:"steamid" help:"Who: STEAM_1:0:12345678, [U:1:24691356] or 76561197984957084."`
	Reason  string `placeholder:"TEXT" help:"What the player reads."`
}

// Run sends a player away.
func (c *kickCmd) Run(env *environment) error {
	return env.host.Kick(env.ctx, c.Name, c.SteamID, c.Reason)
}

type banCmd struct {
	Name    string `arg:"" help:"Name of the server."`
	SteamID string `arg:"" name:"steamid" help:"Who, as for kick."`
	Minutes int    `required:"" placeholder:"N" help:"For how long; 0 is for ever."`
	Reason  string `placeholder:"TEXT" help:"What the player reads."`
}

// Run keeps a player away.
func (c *banCmd) Run(env *environment) error {
	return env.host.Ban(env.ctx, c.Name, c.SteamID, c.Minutes, c.Reason)
}

type unbanCmd struct {
	Name    string `arg:"" help:"Name of the server."`
	SteamID string `arg:"" name:"steamid" help:"Who, as for kick."`
}

// Run lets a player come back.
func (c *unbanCmd) Run(env *environment) error {
	return env.host.Unban(env.ctx, c.Name, c.SteamID)
}

type bansCmd struct {
	Name string `arg:"" help:"Name of the server."`
	JSON bool   `name:"json" help:"Print JSON: a list."`
}

// Run lists who is kept away.
func (c *bansCmd) Run(env *environment) error {
	list, err := env.host.Bans(env.ctx, c.Name)
	if err != nil {
		return err
	}
	if env.out.json {
		for _, b := range list {
			env.out.say("%s", banText(b))
		}
		return nil
	}
	if c.JSON {
		if list == nil {
			list = []ctl.Ban{}
		}
		return json.NewEncoder(env.out.stdout).Encode(list)
	}
	if len(list) == 0 {
		env.out.say("Nobody is banned.")
		return nil
	}
	w := tabwriter.NewWriter(env.out.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STEAM ID\tNUMBER\tLEFT\t")
	for _, b := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t\n", b.SteamID, b.Number, banLeft(b))
	}
	return w.Flush()
}

func banText(b ctl.Ban) string { return b.SteamID + " " + banLeft(b) }

func banLeft(b ctl.Ban) string {
	if b.Minutes == 0 {
		return "for ever"
	}
	return fmt.Sprintf("%.0f min", b.Minutes)
}
