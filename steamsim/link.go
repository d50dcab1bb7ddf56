package steamsim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// wrapper plays steamcmd.sh. Like the real one it works from its own directory,
// whatever directory it is called from, and starts the client again when that
// exits with 42. It says so on stderr.
const wrapper = `#!/bin/sh
# Part of a simulated Steam; made by "steamsim link".
here=$(cd "$(dirname "$0")" && pwd) || exit 1
cd "$here" || exit 1
while :; do
	linux32/steamcmd "$@"
	status=$?
	[ "$status" -eq 42 ] || exit "$status"
	echo "steamcmd.sh[$$]: Restarting steamcmd by request..." >&2
done
`

// Link makes dir a place that looks like an unpacked steamcmd tarball: the
// wrapper steamcmd.sh, the client linux32/steamcmd (a copy of exe), a
// steamclient.so, and a control file at the given speed if there is none yet.
// Calling it again refreshes what changed and keeps the control file.
func Link(dir, exe string, speed Speed) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	bin := filepath.Join(dir, "linux32", "steamcmd")
	if !sameContent(bin, exe) {
		if err := copyFile(bin, exe, 0o755); err != nil {
			return fmt.Errorf("link: %w", err)
		}
	}
	if err := writeFile(filepath.Join(dir, "linux32", "steamclient.so"), fakeELF("steamclient.so"), 0o755); err != nil {
		return fmt.Errorf("link: %w", err)
	}
	if err := writeFile(filepath.Join(dir, "steamcmd.sh"), []byte(wrapper), 0o755); err != nil {
		return fmt.Errorf("link: %w", err)
	}
	control := filepath.Join(dir, ControlName)
	if _, err := os.Stat(control); errors.Is(err, os.ErrNotExist) {
		c := Control{Speed: speed, Steamcmd: SteamcmdControl{Scenario: "ok"}, Srcds: SrcdsControl{Players: speed != SpeedInstant}}
		if speed == SpeedDemo {
			// Both platform passes are worth seeing; hosts report both behaviours.
			c.Steamcmd.Scenario = "stub_refused"
		}
		if err := c.Write(control); err != nil {
			return fmt.Errorf("link: %w", err)
		}
	} else if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	return nil
}

// fakeELF is a file that starts like a 32-bit x86 shared object. Nothing can
// load it; it is enough for whoever looks at the first bytes.
func fakeELF(name string) []byte {
	head := make([]byte, 52)
	copy(head, "\x7fELF\x01\x01\x01")
	head[16] = 3 // ET_DYN
	head[18] = 3 // EM_386
	head[20] = 1 // EV_CURRENT
	head[40] = 52
	return append(head, "simulated "+name+"\n"...)
}
