package main

type mapCmd struct {
	Name string `arg:"" help:"Name of the server."`
	Map  string `arg:"" help:"The map, such as c2m1_highway."`
	Mode string `placeholder:"MODE" help:"The mode, such as versus; another one than is played sends the players away."`
}

// Run makes a running game play another map.
func (c *mapCmd) Run(env *environment) error {
	return env.host.ChangeMap(env.ctx, c.Name, c.Map, c.Mode)
}
