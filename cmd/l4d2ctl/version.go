package main

import (
	"fmt"
	"runtime/debug"
)

type versionCmd struct{}

// Run prints what this program was built from.
func (c *versionCmd) Run(env *environment) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return fmt.Errorf("this program was built without version information")
	}
	version, revision := info.Main.Version, ""
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = " " + s.Value
		}
	}
	_, err := fmt.Fprintf(env.out.stdout, "l4d2ctl %s%s %s\n", version, revision, info.GoVersion)
	return err
}
