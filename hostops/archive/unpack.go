package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Unpacked is what Unpack did.
type Unpacked struct {
	Files   int
	Size    int64    // bytes
	LeftOut []string // members that have no place, such as the read-me beside add-ons
}

// Unpack writes the members below root where place puts them: folders with mode
// 0755, files with 0644, whatever the archive says. A file that is there already is
// replaced, never written into. progress is told of the bytes so far; it may be
// nil. Errors: ErrRefused, ErrNoRoom, what the file system says, and the context's.
func (a *Archive) Unpack(ctx context.Context, root *os.Root, place Place, progress func(done int64)) (Unpacked, error) {
	a.source.ctx = ctx
	if progress == nil {
		progress = func(int64) {}
	}
	u := &unpacking{a: a, ctx: ctx, root: root, place: place, progress: progress, folders: map[string]bool{".": true}, written: map[string]bool{}}
	if err := u.room(a.Size); err != nil {
		return Unpacked{}, err
	}
	i := 0
	err := a.walk(ctx, func(m raw, open opener) error {
		if i == len(a.Members) {
			return errChanged
		}
		was := a.Members[i]
		i++
		return u.member(m, was, open)
	})
	return u.done, a.source.explain(err)
}

var errChanged = errors.New("it changed while it was read")

// unpacking is one run of Unpack.
type unpacking struct {
	a        *Archive
	ctx      context.Context // of the run
	root     *os.Root
	place    Place
	progress func(int64)
	folders  map[string]bool // that are there
	written  map[string]bool // files of this run
	checked  int64           // bytes at the last look at the disk
	done     Unpacked
}

func (u *unpacking) member(m raw, was Member, open opener) error {
	if u.ctx.Err() != nil {
		return context.Cause(u.ctx)
	}
	// The list was judged; what is unpacked must be that.
	name, _ := decodeName(m)
	clean, dir, err := cleanName(name)
	if err != nil || clean != was.Path && was.Path != "" || (dir || m.dir) != was.Dir || plain(name, m, was.Dir) != nil {
		return errChanged
	}
	if was.Path == "" {
		return nil
	}
	target := u.place.target(was)
	switch {
	case target == "" && !was.Dir:
		u.done.LeftOut = append(u.done.LeftOut, was.Path)
		return nil
	case target == "" || target == ".":
		return nil
	case was.Dir:
		return u.mkdir(target)
	}
	return u.file(target, was, open)
}

// mkdir makes a folder and those above it.
func (u *unpacking) mkdir(dir string) error {
	if u.folders[dir] {
		return nil
	}
	if err := u.mkdir(path.Dir(dir)); err != nil {
		return err
	}
	err := u.root.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		info, statErr := u.root.Stat(dir)
		if statErr != nil {
			return statErr
		}
		if !info.IsDir() {
			return refuse("%s is a folder in the archive and a file where it is unpacked: move one of them away", quote(dir))
		}
		err = nil
	}
	if err == nil {
		u.folders[dir] = true
	}
	return err
}

func (u *unpacking) file(target string, m Member, open opener) (err error) {
	if u.written[target] {
		return refuse("two files of the archive are called %s, and both would go to %s: rename one", quote(path.Base(target)), quote(path.Dir(target)))
	}
	u.written[target] = true
	if err := u.mkdir(path.Dir(target)); err != nil {
		return err
	}
	in, err := open()
	if err != nil {
		return err
	}
	defer in.Close() // read only; nothing can be lost
	// Another name of the old file, such as in a published version, keeps it as it is.
	if err := u.clear(target); err != nil {
		return err
	}
	out, err := u.root.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := out.Close(); err == nil {
			err = closeErr
		}
	}()
	n, err := io.CopyBuffer(struct{ io.Writer }{out}, &content{u: u, r: in, left: m.Size, known: m.Size >= 0}, make([]byte, 256<<10))
	if err == nil && m.Size >= 0 && n != m.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return u.inMember(m, err)
	}
	u.done.Files++
	return nil
}

// clear takes away what has the name of a new file.
func (u *unpacking) clear(target string) error {
	info, err := u.root.Lstat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return refuse("%s is a file in the archive and a folder where it is unpacked: move one of them away", quote(target))
	}
	return u.root.Remove(target)
}

// inMember says in which file an archive is damaged.
func (u *unpacking) inMember(m Member, err error) error {
	var said *refusal
	var onDisk *os.PathError
	if u.ctx.Err() != nil || u.a.source.err != nil || errors.As(err, &said) || errors.As(err, &onDisk) {
		return err
	}
	return refuse("%s in the archive is damaged or cut off (%s): upload the archive again", quote(m.Path), clip(err.Error()))
}

// room refuses to go on when so many more bytes would not leave the disk its
// reserve.
func (u *unpacking) room(more int64) error {
	dir, err := u.root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close() // read only; nothing can be lost
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &st); err != nil {
		return fmt.Errorf("look how much room the disk has: %w", err)
	}
	free := int64(st.Bavail) * st.Bsize
	if free-more < u.a.limits.Reserve {
		return &refusal{fmt.Sprintf("the disk has %s free, and unpacking needs %s more while %s must stay free: make room and try again",
			human(max(free, 0)), human(more), human(u.a.limits.Reserve)), ErrNoRoom}
	}
	return nil
}

// content is a member's bytes on their way to the disk: counted, bounded, and ended
// with the context.
type content struct {
	u     *unpacking
	r     io.Reader
	left  int64
	known bool
}

// roomEvery is how many bytes are written between two looks at the disk.
const roomEvery = 64 << 20

func (c *content) Read(p []byte) (int, error) {
	u := c.u
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	n, err := c.r.Read(p)
	u.done.Size += int64(n)
	c.left -= int64(n)
	switch {
	case c.known && c.left < 0:
		return 0, errors.New("it is longer than the archive says")
	case u.done.Size-u.checked >= roomEvery:
		if err := u.room(max(u.a.Size-u.done.Size, 0)); err != nil {
			return 0, err
		}
		u.checked = u.done.Size
	}
	if err := u.a.bounded(u.done.Size); err != nil {
		return 0, err
	}
	u.progress(u.done.Size)
	return n, err
}

// LeftOutText lists what was left out, for people; "" when nothing was.
func (u Unpacked) LeftOutText() string {
	const most = 5
	if len(u.LeftOut) == 0 {
		return ""
	}
	var words []string
	for _, name := range u.LeftOut[:min(most, len(u.LeftOut))] {
		words = append(words, clip(name))
	}
	text := strings.Join(words, ", ")
	if more := len(u.LeftOut) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
