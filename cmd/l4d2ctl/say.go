package main

type sayCmd struct {
	Name string   `arg:"" help:"Name of the server."`
	Text []string `arg:"" optional:"" passthrough:"" help:"What the players read; a line of standard input without it."`
}

// Run writes into the game's chat.
func (c *sayCmd) Run(env *environment) error {
	words, err := lineOf(env, c.Text)
	if err != nil {
		return err
	}
	return env.host.Say(env.ctx, c.Name, words)
}
