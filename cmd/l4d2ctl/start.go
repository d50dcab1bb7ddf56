package main

import "time"

type startCmd struct {
	Name    string        `arg:"" help:"Name of the server."`
	Timeout time.Duration `default:"90s" help:"How long to wait until the game answers; it goes on starting after that."`
}

// Run starts a server.
func (c *startCmd) Run(env *environment) (err error) {
	env.notices, err = env.host.Start(env.ctx, c.Name, c.Timeout)
	return err
}
