package overlay

import (
	"fmt"
	"io/fs"
	"strings"
	"unicode"
	"unicode/utf8"

	"left4me/hostops/ctl"
)

// The bounds of a version. The game opens none with a longer path or deeper
// folders, and every entry costs memory in whoever shows a list.
const (
	MaxFiles = 200_000  // files, links and folders
	MaxPaths = 32 << 20 // bytes of all paths and targets of links together
	MaxDepth = 32       // folders above a file
	MaxPath  = 1024     // bytes
	MaxName  = 255      // bytes; the kernel's own bound
)

// CheckPath refuses what can be no path of a file in a version: names that are no
// text, too long or too deep ones, and whatever leaves the folder.
func CheckPath(path string) error {
	switch {
	case !fs.ValidPath(path) || path == ".":
		return fail(ctl.ErrBadSpec, "%q is no path of a file: write names with slashes between them, such as left4dead2/cfg/server.cfg", clip(path))
	case len(path) > MaxPath:
		return fail(ctl.ErrBadSpec, "%s… is longer than %d bytes", shown(path[:60]), MaxPath)
	case strings.Count(path, "/") > MaxDepth:
		return fail(ctl.ErrBadSpec, "%s lies deeper than %d folders", shown(path), MaxDepth)
	}
	for name := range strings.SplitSeq(path, "/") {
		if text := nameFault(name); text != "" {
			return fail(ctl.ErrBadSpec, "%s %s", shown(path), text)
		}
	}
	return nil
}

// linkFault says what is wrong with a link that lies below depth folders. Only
// leading ".." are allowed, and no more than there are folders above: so it stays
// inside whatever links of this or another layer its target leads through.
func linkFault(target string, depth int) string {
	if strings.HasPrefix(target, "/") {
		return "is a link to an absolute path: make it relative"
	}
	if len(target) > MaxPath || target == "" {
		return "is a link that is empty or too long"
	}
	ups, names := 0, false
	for part := range strings.SplitSeq(target, "/") {
		switch {
		case part == "..":
			if names {
				return "is a link with .. behind a name: write .. only at its beginning"
			}
			ups++
		case part == "" || part == ".":
		case nameFault(part) != "":
			return "is a link to a name that " + nameFault(part)
		default:
			names = true
		}
	}
	if ups > depth {
		return "is a link that leaves the overlay"
	}
	return ""
}

// nameFault says what is wrong with one name; "" for nothing.
func nameFault(name string) string {
	switch {
	case len(name) > MaxName:
		return fmt.Sprintf("has a name of more than %d bytes", MaxName)
	case !utf8.ValidString(name):
		return "has a name that is not valid UTF-8"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "has a control character, such as a line break, in its name"
	}
	return ""
}

// shown is a path in a sentence: quoted where it has odd characters.
func shown(path string) string {
	if path == "" {
		return "the folder itself"
	}
	if !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl) {
		return fmt.Sprintf("%q", path[:min(len(path), 120)])
	}
	return clip(path)
}
