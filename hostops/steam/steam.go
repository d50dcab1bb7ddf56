// Package steam drives steamcmd: it installs and updates the game's files,
// understands what steamcmd prints, and says every failure as a sentence.
//
// It knows directories and steamcmd's habits. It knows nothing of instances,
// overlays or jobs, and it never asks whether the steamcmd it runs is Valve's.
// Start at Install, or at Items for the workshop; Parser turns output into events, rules.go is the table of
// failures. Facts stand in the domain notes on Steam: what is called "seen" was.
package steam

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// AppID is the Left 4 Dead 2 Dedicated Server.
const AppID = 222860

// The sizes of the two platform passes of a first install, in bytes. They are
// only for sentences about disk space: steamcmd's own figures rule.
const (
	windowsPassBytes = 9_710_287_462
	linuxPassBytes   = 202_762_857
)

// FreeBytes is how much an unprivileged user may still write to the file system
// of path.
func FreeBytes(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", path, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// Bytes writes n for people, in decimal units with one digit: 9.7 GB.
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d bytes", max(n, 0))
	}
	value := float64(n)
	for _, unit := range []string{"kB", "MB", "GB"} {
		value /= 1000
		if value < 999.95 {
			return fmt.Sprintf("%.1f %s", value, unit)
		}
	}
	return fmt.Sprintf("%.1f TB", value/1000)
}
