// Package overlayhelper decides what the privileged helper left4me-overlay may
// do: names in, decisions out. It parses the command line, the list of layers,
// the password file and the mount table, and says what of them is acceptable.
//
// It makes no system call and takes nothing from the environment, so that every
// refusal can be tested without root. What carries the decisions out is package
// overlayhelper/mount. Start at Parse; exit codes are in exit.go, the formats of
// `instances/NAME/mount` and `runtime/NAME/applied` in layers.go.
package overlayhelper

import "strings"

// Verb is what the helper is asked to do.
type Verb string

// The verbs. There is no other, and none takes an option.
const (
	Mount  Verb = "mount"
	Umount Verb = "umount"
	Purge  Verb = "purge"
)

// StateRoot is where everything is. It is compiled in: nothing that a caller
// controls can move it. It must be the real path, without a symbolic link.
const StateRoot = "/var/lib/left4me"

// The characters that names are made of. Patterns are matched by hand: to
// compile regular expressions takes longer than most of what the helper does.
const (
	digits    = "0123456789"
	hexDigits = digits + "abcdef"
	nameStart = digits + "abcdefghijklmnopqrstuvwxyz"
	nameRest  = nameStart + "_-"
)

const maxName = 48

// madeOf reports whether s has least to most bytes, all of them in set.
func madeOf(s, set string, least, most int) bool {
	return len(s) >= least && len(s) <= most && strings.Trim(s, set) == ""
}

// Request is one valid command line.
type Request struct {
	Verb Verb
	Name string
}

// Parse accepts exactly a verb and an instance name and refuses everything else
// with ErrUsage: options, paths, further arguments. A name holds 1 to 48 of a-z,
// 0-9, '_' and '-' and begins with a letter or digit, so it can be neither an
// option nor a path.
func Parse(args []string) (Request, error) {
	if len(args) != 2 {
		return Request{}, ErrUsage
	}
	r := Request{Verb: Verb(args[0]), Name: args[1]}
	switch r.Verb {
	case Mount, Umount, Purge:
	default:
		return Request{}, ErrUsage
	}
	if !madeOf(r.Name, nameRest, 1, maxName) || !strings.Contains(nameStart, r.Name[:1]) {
		return Request{}, Fail(ErrUsage, "%.60q is not a server name: use 1 to 48 lower-case letters, digits, '-' or '_', beginning with a letter or digit", r.Name)
	}
	return r, nil
}
