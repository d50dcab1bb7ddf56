// Package overlay keeps the versions of overlays on disk: it makes one in a
// folder aside, looks at everything that is in it, publishes it under the next
// number, and tells afterwards what a version holds. A version that is published
// never changes again, because running games have it mounted.
//
// It is a pure file system: it knows nothing of what builders do, which servers
// use what, or databases. Whatever builds or collects holds the lock of that
// overlay; reading needs none. Start at Store.
//
// Below the state root:
//
//	overlays/ID/vN       a version: folders 0755, files 0644 or 0755, one owner
//	overlays/ID/vN.json  its manifest; it stays when the version is collected
//	overlays/ID/.vN.json the manifest of a version that is just being published
//	overlays/ID/.new-*   a version in the making
//	overlays/ID/.old-*   a collected one on its way out
//	overlays/ID/refused  files that the gate refused, by the SHA-256 of their content
//	uploads/UUID         the bytes of an upload
//	workshop/ITEM/image  the picture of a workshop item
package overlay

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"left4me/hostops/ctl"
)

// Directories below the state root.
const (
	dirOverlays     = "overlays"
	dirInstallation = "installation"
	dirUploads      = "uploads"
	dirWorkshop     = "workshop"
	dirAvatars      = "avatars"
	dirRefused      = "refused"
)

// Store is what one state root holds of overlays. Its fields are set once; the
// methods may then be called at the same time.
type Store struct {
	Root string // absolute path of the state root

	cache manifests
}

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.Root}, elem...)...)
}

// folder is where everything of an overlay lies.
func (s *Store) folder(id int64) string {
	return s.path(dirOverlays, strconv.FormatInt(id, 10))
}

// MaxNumber is the highest id and version number: nine digits, which is what a
// ref may have.
const MaxNumber = 999_999_999

// Ref names a version as specs do: 12/v3.
type Ref struct {
	Overlay int64
	Version int64
}

var refPattern = regexp.MustCompile(`\A([1-9][0-9]{0,8})/v([1-9][0-9]{0,8})\z`)

// ParseRef reads a ref. It refuses leading zeros, so that a version has one name.
func ParseRef(text string) (Ref, error) {
	m := refPattern.FindStringSubmatch(text)
	if m == nil {
		return Ref{}, fail(ctl.ErrUsage, "%q is no version of an overlay: write ID/vN, such as 12/v3", clip(text))
	}
	id, _ := strconv.ParseInt(m[1], 10, 64)     // digits by the pattern
	number, _ := strconv.ParseInt(m[2], 10, 64) // likewise
	return Ref{id, number}, nil
}

func (r Ref) String() string { return fmt.Sprintf("%d/v%d", r.Overlay, r.Version) }

// CheckID refuses what is no overlay's number.
func CheckID(id int64) error {
	if id < 1 || id > MaxNumber {
		return fail(ctl.ErrUsage, "%d is no overlay's number: use 1 to %d", id, MaxNumber)
	}
	return nil
}

// valid keeps numbers that cannot be in a ref from becoming a path.
func (r Ref) valid() error {
	if r.Overlay < 1 || r.Overlay > MaxNumber || r.Version < 1 || r.Version > MaxNumber {
		return fmt.Errorf("overlay version %s: %w", r, fs.ErrNotExist)
	}
	return nil
}

func (s *Store) tree(r Ref) string {
	return filepath.Join(s.folder(r.Overlay), fmt.Sprintf("v%d", r.Version))
}

// openTree opens a version's folder so that no path below it leaves it.
func (s *Store) openTree(r Ref) (*os.Root, error) {
	if err := r.valid(); err != nil {
		return nil, err
	}
	return os.OpenRoot(s.tree(r))
}

// failure is a sentence for people that is also one of ctl's errors, without the
// error's own words at its end.
type failure struct {
	text string
	kind error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.kind }

func fail(kind error, format string, args ...any) error {
	return &failure{text: fmt.Sprintf(format, args...), kind: kind}
}

// clip keeps a quoted value readable in a message.
func clip(s string) string {
	if len(s) <= 120 {
		return s
	}
	return strings.ToValidUTF8(s[:120], "") + "…"
}
