package steamsim

import (
	"os"
	"path/filepath"
)

// Version is what `steamsim version` prints. It only has to tell two builds of
// the simulation apart in a bug report; the programs imitated have their own.
const Version = "steamsim 1 (imitates steamcmd 1785799152 and L4D2 2.2.4.3)"

// Process is what the system gives a program. Act takes one instead of looking
// around itself, so that the parts say what they depend on.
type Process struct {
	Args   []string            // Args[0] is the name that was called
	Exe    string              // absolute path of the running binary
	Getenv func(string) string // environment
	Stdin  *os.File
	Stdout *os.File
	Stderr *os.File
}

// Here returns the process this code runs in.
func Here() Process {
	exe, err := os.Executable()
	if err != nil {
		exe = os.Args[0]
	}
	return Process{
		Args: os.Args, Exe: exe, Getenv: os.Getenv,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
}

// Act plays the part that the name of the process asks for and returns its exit
// status. played is false when the name is none of the simulated programs, in
// which case nothing was done.
func Act(p Process) (status int, played bool) {
	if len(p.Args) == 0 {
		return 0, false
	}
	switch filepath.Base(p.Args[0]) {
	case "steamcmd":
		return runSteamcmd(p), true
	case "srcds_linux":
		return runSrcds(p), true
	case forkName:
		return runFork(p), true
	case orphanName:
		return runOrphan(), true
	}
	return 0, false
}

// home returns the home directory as the real programs find it: HOME first,
// the password database otherwise.
func (p Process) home() (string, error) {
	if h := p.Getenv("HOME"); h != "" {
		return h, nil
	}
	return passwdHome()
}
