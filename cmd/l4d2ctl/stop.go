package main

type stopCmd struct {
	Name string `arg:"" help:"Name of the server."`
}

// Run stops a server.
func (c *stopCmd) Run(env *environment) error {
	return env.host.Stop(env.ctx, c.Name)
}
