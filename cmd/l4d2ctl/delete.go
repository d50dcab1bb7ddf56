package main

type deleteCmd struct {
	Name string `arg:"" help:"Name of the server."`
}

// Run stops a server and removes everything of it.
func (c *deleteCmd) Run(env *environment) error {
	return env.host.Delete(env.ctx, c.Name)
}
