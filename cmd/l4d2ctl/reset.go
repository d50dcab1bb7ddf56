package main

type resetCmd struct {
	Name string `arg:"" help:"Name of the server."`
}

// Run stops a server and removes what its game wrote.
func (c *resetCmd) Run(env *environment) error {
	return env.host.Reset(env.ctx, c.Name)
}
