package main

type initializeCmd struct {
	Name string `arg:"" help:"Name of the server."`
	File string `short:"f" required:"" placeholder:"SPEC" help:"The spec, in YAML; - reads standard input."`
}

// Run makes a spec a server's.
func (c *initializeCmd) Run(env *environment) (err error) {
	spec, source, err := openSpec(c.File, env.stdin)
	if err != nil {
		return err
	}
	defer spec.Close() // read only; nothing can be lost
	env.notices, err = env.host.Initialize(env.ctx, c.Name, source, spec)
	return err
}
