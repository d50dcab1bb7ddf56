// It lives for milliseconds: the runtime need not read control groups for them.
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command left4me-overlay mounts, unmounts and purges the overlay of one server,
// as root and in the mount namespace of process 1. It is run by systemd, from
// the + lines of the server's units:
//
//	left4me-overlay mount NAME
//	left4me-overlay umount NAME
//	left4me-overlay purge NAME
//
// It takes no option, no path and nothing from the environment. What it did not
// do it says in one sentence on stderr, and by its exit code:
//
//	0  done, or nothing was to be done
//	1  something is missing, or the system refused a step
//	2  the command line is none of ours, or the caller is not root
//	3  a list, a folder or a mount is not as it must be to be trusted
//	4  another left4me-overlay is at work on that name, for 10 s now
//	5  mounted with other layers, or something else is mounted there
//	6  mounted and in use
//	7  a former overlay of the server is still alive in some namespace
//	8  process 1 is not the system's, so its mounts are not the host's
package main

import (
	"fmt"
	"os"

	"left4me/overlayhelper"
	"left4me/overlayhelper/mount"
)

func main() {
	os.Clearenv()
	err := run(os.Args[1:])
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "left4me-overlay:", err) // nowhere else to report to
	}
	os.Exit(overlayhelper.ExitCode(err))
}

func run(args []string) error {
	r, err := overlayhelper.Parse(args)
	if err != nil {
		return err
	}
	return mount.Run(r)
}
