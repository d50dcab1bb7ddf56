package hostops

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/sandbox"
)

// buildPrograms are what scripts and the recipes that come with left4me are made
// of: any name of each will do.
var buildPrograms = [][]string{{"bash"}, {"curl"}, {"tar"}, {"gzip"}, {"unzip"}, {"md5sum"}, {"7z", "7zz", "7za", "7zr"}}

const installBuildPrograms = "apt-get update && apt-get install bash curl tar gzip unzip coreutils p7zip-full"

// trialBuild is the overlay that doctor's script belongs to: none has that number.
const trialBuild = "999999999999999999"

// trialLimit is how long the trial may take.
const trialLimit = time.Minute

// builds looks at what overlays of scripts and recipes need. Servers run without.
func (x *examiner) builds() []ctl.Check {
	const key, title = "builds", "Scripts"
	var missing []string
	for _, names := range buildPrograms {
		if !slices.ContainsFunc(names, func(name string) bool { _, err := exec.LookPath(name); return err == nil }) {
			missing = append(missing, names[0])
		}
	}
	if len(missing) > 0 {
		return one(key, title, ctl.LevelWarning, installBuildPrograms, "of overlays need %s, which this host does not have", strings.Join(missing, ", "))
	}
	if x.h.Sandbox == nil || unix.Access(x.h.Root, unix.W_OK) != nil {
		return one(key, title, ctl.LevelOK, "", "have the programs that they need; a sandbox was not tried, as the state root is not this user's yet")
	}
	ctx, cancel := context.WithTimeout(x.ctx, trialLimit)
	defer cancel()
	if builds := x.h.path(dirBuilds); !existsAt(builds) {
		defer func() { _ = os.Remove(builds) }() // the trial made it, and nobody needs it yet
	}
	outcome, err := x.h.Sandbox.Run(ctx, sandbox.Build{ID: trialBuild, Script: "exit 42\n"})
	switch {
	case err != nil:
		said, fix, _ := strings.Cut(err.Error(), "; as root run: ")
		return one(key, title, ctl.LevelWarning, fix, "of overlays cannot be run here: %s", said)
	case outcome.ExitCode != 42:
		return one(key, title, ctl.LevelWarning, "", "of overlays cannot be run here: a trial ended with exit code %d %s", outcome.ExitCode, outcome.Limit)
	}
	return one(key, title, ctl.LevelOK, "", "of overlays can be run: one worked in its sandbox, as user %s", userName(unix.Geteuid()))
}
