package archive

import (
	"path"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"left4me/hostops/charset"
)

// The bounds of a member's path.
const (
	maxPath  = 1024 // bytes
	maxName  = 255  // bytes of one component, which is the file system's bound
	maxDepth = 32
)

// Clean says what a path from outside means below a folder, as members of archives
// are treated: '\' is a separator, and nothing may lead out of the folder, be
// invisible, or be a name that a player's Windows could not have. "" is the folder
// itself. Errors: ErrRefused.
func Clean(name string) (string, error) {
	p, _, err := cleanName(name)
	return p, err
}

func cleanName(name string) (clean string, dir bool, err error) {
	if len(name) > maxPath {
		return "", false, refuse("%s is a path of %d bytes: at most %d are allowed", quote(name), len(name), maxPath)
	}
	if !utf8.ValidString(name) {
		return "", false, refuse("%s is not valid UTF-8: rename it", quote(name))
	}
	if strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
		return "", false, refuse("%s contains a control character such as a line break: rename it", quote(name))
	}
	slashed := strings.ReplaceAll(name, `\`, "/")
	// path.Clean below only takes dots and slashes away, as those before a drive.
	if strings.HasPrefix(slashed, "/") || driveLetter(path.Clean(slashed)) {
		return "", false, refuse("%s is an absolute path: pack the files by their folder", quote(name))
	}
	for part := range strings.SplitSeq(slashed, "/") {
		switch {
		case part == "..":
			return "", false, refuse("%s leads out of its folder: pack the files by their folder", quote(name))
		case len(part) > maxName:
			return "", false, refuse("%s has a name of %d bytes: at most %d are allowed", quote(name), len(part), maxName)
		case part != "." && (strings.HasSuffix(part, ".") || strings.TrimRightFunc(part, unicode.IsSpace) != part):
			return "", false, refuse("%s has a name that ends with a dot or a blank, which Windows drops: rename it", quote(name))
		}
	}
	clean = path.Clean(slashed)
	if clean == "." {
		return "", true, nil
	}
	if strings.Count(clean, "/") >= maxDepth {
		return "", false, refuse("%s lies in more than %d folders: at most that are allowed", quote(name), maxDepth)
	}
	if !filepath.IsLocal(clean) {
		return "", false, refuse("%s leads out of its folder: pack the files by their folder", quote(name))
	}
	return clean, strings.HasSuffix(slashed, "/"), nil
}

func driveLetter(name string) bool {
	return len(name) >= 2 && name[1] == ':' && (name[0]|0x20) >= 'a' && (name[0]|0x20) <= 'z'
}

// decodeName makes a name text; encoding is what it was taken for, or "" when it
// needed no guess.
func decodeName(m raw) (name, encoding string) {
	name, guess := charset.Decode(m.name)
	switch {
	case guess == charset.UTF8:
		return name, ""
	case guess == charset.Latin1 && m.fallback != nil:
		return m.fallback(m.name), "CP437"
	}
	return name, string(guess)
}

// junk is what operating systems put into archives for themselves.
func junk(p string) bool {
	if p == "__MACOSX" || strings.HasPrefix(p, "__MACOSX/") {
		return true
	}
	switch base := path.Base(p); base {
	case ".DS_Store", "Thumbs.db", "desktop.ini":
		return true
	default:
		return strings.HasPrefix(base, "._")
	}
}

// names is what an archive unpacks to. Folders count, also those that only paths
// name, because they take as much of the disk's tables as files.
type names struct {
	kind  map[string]kind
	seen  int
	limit int
}

type kind byte

const (
	file   kind = iota + 1
	folder      // named by a path below it
	listed      // a folder with an entry of its own
)

func newNames(limit int) *names { return &names{kind: map[string]kind{}, limit: limit} }

// add takes a clean path.
func (n *names) add(p string, dir bool) error {
	switch had := n.kind[p]; {
	case dir && had == folder:
		n.kind[p] = listed
		return nil
	case dir && had == listed, !dir && had == file:
		return refuse("%s is in the archive twice: pack it again", quote(p))
	case had != 0:
		return conflict(p)
	case dir:
		n.kind[p] = listed
	default:
		n.kind[p] = file
	}
	for parent := path.Dir(p); parent != "."; parent = path.Dir(parent) {
		switch n.kind[parent] {
		case file:
			return conflict(parent)
		case folder, listed:
			return n.count()
		}
		n.kind[parent] = folder
		if err := n.count(); err != nil {
			return err
		}
	}
	return n.count()
}

func conflict(p string) error {
	return refuse("%s is in the archive as a file and as a folder: pack it again", quote(p))
}

func (n *names) count() error {
	if n.seen++; n.seen > n.limit {
		return refuse("the archive has more than %d files and folders: at most that are allowed, so pack fewer at once", n.limit)
	}
	return nil
}
