// Command steamsim is the simulated Steam of the tests and the demo. Called by
// the name of a simulated program (steamcmd, srcds_linux) it is that program;
// under its own name it sets the simulation up. Start in package steamsim.
package main

import (
	"fmt"
	"os"

	"github.com/alecthomas/kong"

	"left4me/steamsim"
)

type commands struct {
	Link      linkCmd      `cmd:"" help:"Make DIR look like an unpacked steamcmd, or refresh it."`
	Serve     serveCmd     `cmd:"" help:"Serve Steam's Web API, its file host and a mirror of what recipes fetch."`
	Catalogue catalogueCmd `cmd:"" help:"List the items and collections of the simulated workshop."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

type linkCmd struct {
	Dir   string `arg:"" help:"Directory that gets steamcmd.sh, linux32/ and the control file steamsim.json."`
	Speed string `default:"demo" help:"Of a new control file: demo, fast, instant, or a factor (2 is twice as fast)."`
}

func (c linkCmd) Run() error {
	speed, err := steamsim.ParseSpeed(c.Speed)
	if err != nil {
		return err
	}
	return steamsim.Link(c.Dir, steamsim.Here().Exe, speed)
}

type versionCmd struct{}

func (versionCmd) Run() error {
	_, err := fmt.Println(steamsim.Version)
	return err
}

func main() {
	if status, played := steamsim.Act(steamsim.Here()); played {
		os.Exit(status)
	}
	cli := kong.Parse(&commands{}, kong.Name("steamsim"),
		kong.Description("A simulated Steam for tests and the demo: steamcmd, the L4D2 server, the workshop and a few sites, without the download."))
	cli.FatalIfErrorf(cli.Run())
}
