package main

import "context"

type watchCmd struct {
	JSON bool `name:"json" help:"Print events as JSON; the same as --events=json."`
}

// Run prints states until it is stopped.
func (c *watchCmd) Run(env *environment) error {
	env.out.json = env.out.json || c.JSON
	return env.host.Watch(env.untilUnread())
}

// untilUnread ends when nobody reads our output any more: right for commands
// that only print.
func (e *environment) untilUnread() context.Context {
	ctx, cancel := context.WithCancel(e.ctx)
	e.out.onBroken = cancel
	return ctx
}
