// Package archive unpacks what strangers packed: ZIP, 7z, RAR and tar, recognised
// by their first bytes. Only regular files and folders come out, with plain modes,
// below the folder that the caller gives; whatever is anything else, leaves that
// folder, or grows beyond the limits is refused with a sentence that names it.
//
// It knows nothing of overlays or uploads, and it does not look into the files: an
// archive inside of one stays one. What was unpacked before an error stays where it
// is; the caller throws that folder away. Start at Open.
package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// The kinds of failures. Every error that is neither is the file system's, or the
// context's.
var (
	ErrRefused = errors.New("the archive was refused")
	ErrNoRoom  = errors.New("there is no room on the disk")
)

// Limits bound what is unpacked. A zero takes the default.
type Limits struct {
	Members int   // files and folders, also those that are only named in paths
	Size    int64 // bytes of all files
	Reserve int64 // bytes that stay free on the disk
}

const (
	defaultMembers = 50_000
	defaultSize    = 20 << 30
	defaultReserve = 1 << 30

	// What grows more than maxRatio times is refused, once it has come to
	// ratioFrom bytes: maps and textures come nowhere near, bombs reach 1000.
	maxRatio  = 200
	ratioFrom = 100 << 20

	// maxMemory bounds the dictionaries of one compressed stream, in bytes.
	maxMemory = 256 << 20
)

func (l Limits) filled() Limits {
	return Limits{cmp.Or(l.Members, defaultMembers), cmp.Or(l.Size, defaultSize), cmp.Or(l.Reserve, defaultReserve)}
}

// Archive is an archive whose list of members has been read and found harmless.
type Archive struct {
	Format  Format
	Members []Member // in the archive's order
	Size    int64    // bytes of all files, as far as the archive says
	Notices []string // what was decided about it and its author may not expect

	limits Limits
	source *source
	walk   walker
}

// Member is a file or folder of an archive.
type Member struct {
	Path string // clean, relative, with forward slashes; "" for what is left out
	Dir  bool
	Size int64 // bytes as the archive says; -1 when it does not
}

// raw is a member as its archive has it.
type raw struct {
	name      []byte
	fallback  func([]byte) string // how a name of no known encoding is read; nil for latin-1
	dir       bool
	odd       string // what it is when it is neither file nor folder, such as "a symbolic link"
	encrypted bool
	size      int64 // -1: not known
}

// walker goes through the members in order, the same each time. open gives a file's
// content, and may be called only while visit runs.
type walker func(ctx context.Context, visit func(m raw, open opener) error) error

type opener func() (io.ReadCloser, error)

// Open recognises the archive in the first size bytes of r and reads its list.
// Nothing is unpacked. Errors: ErrRefused.
func Open(ctx context.Context, r io.ReaderAt, size int64, limits Limits) (*Archive, error) {
	src := &source{ctx: ctx, r: r, size: size}
	a := &Archive{Format: Recognise(src, size), limits: limits.filled(), source: src}
	var err error
	switch a.Format {
	case Zip:
		a.walk, err = openZip(src, a.limits)
	case SevenZip:
		a.walk, err = openSevenZip(src, a.limits)
	case RAR:
		a.walk = rarWalker(src)
	case Tar, TarGzip:
		a.walk = tarWalker(src, a.Format, a.limits)
	default:
		err = unreadable(a.Format)
	}
	if err == nil {
		err = a.list(ctx)
	}
	if err != nil {
		return nil, src.explain(err)
	}
	if len(a.Members) == 0 {
		return nil, refuse("the archive is empty: pack it again")
	}
	return a, nil
}

func (a *Archive) list(ctx context.Context) error {
	names := newNames(a.limits.Members)
	encodings := map[string]int{}
	left := 0
	err := a.walk(ctx, func(m raw, _ opener) error {
		name, encoding := decodeName(m)
		if encoding != "" {
			encodings[encoding]++
		}
		path, dir, err := cleanName(name)
		if err != nil {
			return err
		}
		dir = dir || m.dir
		if err := plain(name, m, dir); err != nil {
			return err
		}
		if junk(path) {
			path = ""
			left++
		}
		if path == "" { // the archive's own top folder, or nothing that anybody wants
			a.Members = append(a.Members, Member{Dir: dir, Size: m.size})
			return names.count()
		}
		if err := names.add(path, dir); err != nil {
			return err
		}
		a.Members = append(a.Members, Member{Path: path, Dir: dir, Size: m.size})
		a.Size += max(m.size, 0)
		return a.bounded(a.Size)
	})
	if err != nil {
		return err
	}
	for _, encoding := range slices.Sorted(maps.Keys(encodings)) {
		a.Notices = append(a.Notices, fmt.Sprintf("%s of the archive did not say how they are written and were read as %s", count(encodings[encoding], "name"), encoding))
	}
	if left > 0 {
		a.Notices = append(a.Notices, count(left, "file")+" that macOS or Windows had put into the archive were left out")
	}
	return nil
}

// plain refuses everything but regular files and folders without a password.
func plain(name string, m raw, dir bool) error {
	switch {
	case m.odd != "":
		return refuse("%s in the archive is %s: only files and folders are unpacked, so pack it without", quote(name), m.odd)
	case m.encrypted:
		return refuse("%s in the archive is encrypted: pack it again without a password", quote(name))
	case dir && m.size > 0:
		return refuse("%s in the archive is a folder and has content: it is damaged, pack it again", quote(name))
	case m.size < -1:
		return refuse("%s in the archive has an impossible size: it is damaged, pack it again", quote(name))
	}
	return nil
}

// bounded refuses a total that is too large, or out of proportion to the archive.
func (a *Archive) bounded(total int64) error {
	switch {
	case total < 0 || total > a.limits.Size:
		return refuse("the archive holds more than %s: at most that may be unpacked", human(a.limits.Size))
	case total > ratioFrom && total/maxRatio > a.source.size:
		return refuse("the archive grows more than %d times when it is unpacked, as only archives do that are made to fill disks: pack it again", maxRatio)
	}
	return nil
}

// refusal is a sentence for people that is also one of the errors above.
type refusal struct {
	text string
	kind error
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.kind }

func refuse(format string, args ...any) error {
	return &refusal{fmt.Sprintf(format, args...), ErrRefused}
}

// source is the archive's bytes. It remembers what went wrong with them, so that a
// failing disk is not taken for a damaged archive, and it ends with its context
// although the libraries know none.
type source struct {
	ctx  context.Context // of the call under way: an io.ReaderAt is given none
	r    io.ReaderAt
	size int64
	err  error
}

func (s *source) ReadAt(p []byte, off int64) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	if off < 0 || off > s.size { // of a header that lies
		return 0, io.ErrUnexpectedEOF
	}
	n, err := s.r.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// reader reads it from the beginning.
func (s *source) reader() io.Reader { return io.NewSectionReader(s, 0, s.size) }

// explain says what an error of a library means.
func (s *source) explain(err error) error {
	var said *refusal
	var path *os.PathError
	switch {
	case err == nil:
		return nil
	case s.ctx.Err() != nil:
		return context.Cause(s.ctx)
	case s.err != nil:
		return fmt.Errorf("read the archive: %w", s.err)
	case errors.As(err, &said), errors.As(err, &path):
		return err
	}
	return refuse("the archive is damaged or cut off (%s): upload it again", clip(err.Error()))
}

// try turns a panic of a library about a damaged archive into an error.
func try[T any](f func() (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return f()
}

// tried is a library's reader with the same protection.
type tried struct{ io.Reader }

func (t tried) Read(p []byte) (int, error) {
	return try(func() (int, error) { return t.Reader.Read(p) })
}

func clip(s string) string {
	s = strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s), "?")
	if len(s) > 160 {
		return strings.ToValidUTF8(s[:160], "") + "…"
	}
	return s
}

// quote makes a name of a stranger's fit for a sentence.
func quote(name string) string { return fmt.Sprintf("%q", clip(name)) }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// human writes a number of bytes for people.
func human(n int64) string {
	unit, name := int64(1), "bytes"
	for _, u := range []string{"KiB", "MiB", "GiB"} {
		if n < unit<<10 {
			break
		}
		unit, name = unit<<10, u
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/float64(unit)), ".0") + " " + name
}
