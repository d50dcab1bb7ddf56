// Package ctl is the contract between l4d2ctl and whoever runs it: the spec
// that `initialize` takes, the event lines it prints, the status it reports and
// the exit codes it ends with.
//
// It knows nothing of how any of that is carried out. The worker and the host
// side both import it, and nothing else of each other. Start at Event for what
// comes out, at Spec for what goes in, at exit.go for how it ended.
package ctl

import (
	"fmt"
	"regexp"
)

// NameLimit is the longest instance name in bytes. It keeps every path and unit
// name that is made from it well below the limits of the kernel and systemd.
const NameLimit = 48

var namePattern = regexp.MustCompile(`\A[a-z0-9][a-z0-9_-]{0,47}\z`)

// CheckName refuses what is not an instance name: 1 to 48 of a-z, 0-9, '_' and
// '-', beginning with a letter or digit. The name becomes a path component and
// an argument, so nothing else may ever pass.
func CheckName(name string) error {
	if namePattern.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%q is not a server name: use 1 to %d lower-case letters, digits, '-' or '_', beginning with a letter or digit: %w",
		clip(name, 60), NameLimit, ErrBadName)
}

// clip shortens s for a message to at most n bytes, on a rune boundary.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}
