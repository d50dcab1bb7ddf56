package main

import (
	"fmt"
	"os"

	"left4me/hostops/ctl"
	"left4me/hostops/steam"
)

type installCmd struct {
	Method string `default:"auto" enum:"auto,seed,flip,login" help:"How to get the files: seed (Linux files directly), flip (Windows files first), login (as the account of l4d2ctl steam login), or auto, which begins with what worked last."`
	Replay string `hidden:"" placeholder:"FILE" help:"Read a recorded output of steamcmd instead of running it."`
}

// Run installs the game or brings it up to date.
func (c *installCmd) Run(env *environment) (err error) {
	if c.Replay != "" {
		return c.replay(env)
	}
	env.notices, err = env.host.Install(env.ctx, steam.Method(c.Method), env.stderr)
	return err
}

// replay needs no host: only the recording is looked at.
func (c *installCmd) replay(env *environment) error {
	f, err := os.Open(c.Replay)
	if err != nil {
		return sentence{fmt.Sprintf("the recording cannot be read: %v", err), ctl.ErrUsage}
	}
	defer f.Close() // read only; nothing can be lost
	return steam.Replay(f, env.out.emit)
}
