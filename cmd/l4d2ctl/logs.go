package main

import (
	"fmt"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
)

// maxLines is more than any log keeps.
const maxLines = 1_000_000

type logsCmd struct {
	Name   string `arg:"" help:"Name of the server."`
	Lines  int    `default:"200" short:"n" help:"How many of the newest lines to begin with."`
	Follow bool   `default:"true" negatable:"" help:"Stay and print new lines."`
	After  string `placeholder:"CURSOR" help:"Begin behind the line with this cursor instead."`
}

// Run prints a server's console.
func (c *logsCmd) Run(env *environment) error {
	if c.Lines < 0 || c.Lines > maxLines {
		return fmt.Errorf("--lines must be from 0 to %d, not %d: %w", maxLines, c.Lines, ctl.ErrUsage)
	}
	return env.host.Logs(env.untilUnread(), c.Name, supervisor.LogOptions{Lines: c.Lines, After: c.After, Follow: c.Follow})
}
