package hostops

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

	"left4me/hostops/archive"
	"left4me/hostops/ctl"
	"left4me/hostops/steam"
)

// buildFiles makes a version of uploads: what a version before, or a folder of the
// operator's, holds, and then the changes in their order. The first change that
// cannot be made ends it, and its error says which one that is.
func buildFiles(h *Host, ctx context.Context, b *build) error {
	switch {
	case b.spec.Base > 0:
		h.phase("base", fmt.Sprintf("Taking over version v%d", b.spec.Base))
		if err := b.stage.Base(b.spec.Base); err != nil {
			return err
		}
	case b.spec.From != "":
		h.phase("base", "Copying the folder")
		if err := h.copyFrom(ctx, b); err != nil {
			return err
		}
	}
	if len(b.spec.Changes) > 0 {
		h.phase("changes", "Making the changes")
	}
	for i, change := range b.spec.Changes {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c := &changer{h: h, ctx: ctx, b: b, root: b.stage.Root(), change: change}
		if err := c.make(); err != nil {
			return c.explain(i+1, err)
		}
	}
	return nil
}

// changer makes one change to a tree.
type changer struct {
	h      *Host
	ctx    context.Context // it lives for one change
	b      *build
	root   *os.Root
	change ctl.FileChange
}

func (c *changer) make() error {
	switch c.change.Op {
	case ctl.FilePut:
		return c.put()
	case ctl.FileUnpack:
		return c.unpack()
	case ctl.FileMkdir:
		return c.mkdir(c.change.Path)
	case ctl.FileMove:
		return c.move()
	case ctl.FileDelete:
		return c.remove()
	}
	return fail(ctl.ErrBadSpec, "%q is no change", short(string(c.change.Op)))
}

// explain says which change an error belongs to. The archive's own kinds of errors
// become ctl's.
func (c *changer) explain(number int, err error) error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	kind := err
	switch {
	case errors.Is(err, archive.ErrRefused):
		kind = ctl.ErrContent
	case errors.Is(err, archive.ErrNoRoom):
		kind = ctl.ErrDiskFull
	}
	return fail(kind, "change %d, %s: %v", number, c, err)
}

func (c *changer) String() string {
	switch c.change.Op {
	case ctl.FilePut:
		return fmt.Sprintf("put %q", short(c.change.Path))
	case ctl.FileUnpack:
		return fmt.Sprintf("unpack %q", short(c.name()))
	case ctl.FileMove:
		return fmt.Sprintf("move %q to %q", short(c.change.Path), short(c.change.Target))
	}
	return fmt.Sprintf("%s %q", c.change.Op, short(c.change.Path))
}

// name is what the upload was called.
func (c *changer) name() string {
	if c.change.Name != "" {
		return c.change.Name
	}
	return c.change.Upload
}

// put copies the upload into the tree. It is never linked: a browser may still
// write to it, and the next build may need it again.
func (c *changer) put() error {
	if c.change.Path == "" {
		if !strings.EqualFold(path.Ext(c.change.Name), ".vpk") {
			return fail(ctl.ErrBadSpec, "only an add-on (.vpk) finds its place by its name: say where %q goes", short(c.name()))
		}
		c.change.Path = path.Join(addonsPath, c.change.Name)
	}
	upload, size, err := c.h.openUpload(c.change.Upload)
	if err != nil {
		return err
	}
	defer upload.Close() // read only; nothing can be lost
	if err := c.mkdir(path.Dir(c.change.Path)); err != nil {
		return err
	}
	if err := c.clear(c.change.Path); err != nil {
		return err
	}
	return c.h.copyFile(c.ctx, c.root, c.change.Path, upload, size, 0o644)
}

// clear takes away what a file replaces. Its content may have another name in a
// published version, and stays there as it is.
func (c *changer) clear(name string) error {
	info, err := c.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fail(ctl.ErrBadSpec, "there is a folder called %q: delete or rename it first", short(name))
	}
	return c.root.Remove(name)
}

// mkdir makes a folder and those above it. One that is there is right.
func (c *changer) mkdir(dir string) error {
	err := c.root.MkdirAll(dir, 0o755)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, fs.ErrExist) {
		return fail(ctl.ErrBadSpec, "there is a file in the way of the folder %q: delete or rename it first", short(dir))
	}
	return err
}

func (c *changer) move() error {
	from, to := c.change.Path, c.change.Target
	if _, err := c.root.Lstat(from); err != nil {
		return c.missing(from, err)
	}
	switch {
	case from == to:
		return nil
	case strings.HasPrefix(to, from+"/"):
		return fail(ctl.ErrBadSpec, "a folder cannot be moved into itself")
	}
	switch _, err := c.root.Lstat(to); {
	case err == nil:
		return fail(ctl.ErrBadSpec, "%q is there already: delete or rename it first", short(to))
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR):
		return err
	}
	if err := c.mkdir(path.Dir(to)); err != nil {
		return err
	}
	return c.root.Rename(from, to)
}

func (c *changer) remove() error {
	if _, err := c.root.Lstat(c.change.Path); err != nil {
		return c.missing(c.change.Path, err)
	}
	return c.root.RemoveAll(c.change.Path)
}

func (c *changer) missing(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return fail(ctl.ErrBadSpec, "there is no %q: look at the files as they are now", short(name))
	}
	return err
}

// unpack unpacks the upload into a folder, or where its content belongs when none
// is given; "." is the top.
func (c *changer) unpack() error {
	upload, size, err := c.h.openUpload(c.change.Upload)
	if err != nil {
		return err
	}
	defer upload.Close() // read only; nothing can be lost
	a, err := archive.Open(c.ctx, upload, size, archive.Limits{})
	if err != nil {
		return err
	}
	place := archive.Place{Folder: path.Join(c.change.Path)}
	if c.change.Path == "" {
		var recognised bool
		if place, recognised = a.Place(); !recognised {
			c.note("archive.place", "Nothing in %q says where it belongs, so it was unpacked at the top: move it to where the game looks, such as left4dead2/addons.", short(c.name()))
		}
	}
	told := int64(0)
	title := "Unpacking " + short(c.name())
	done, err := a.Unpack(c.ctx, c.root, place, func(n int64) {
		if n-told >= readStep {
			told = n
			c.h.Emit(ctl.Event{Type: ctl.EventProgress, At: now(), Phase: &ctl.Phase{Key: "changes", Title: title, Done: n, Total: a.Size}})
		}
	})
	if err != nil {
		return err
	}
	for _, notice := range a.Notices {
		c.note("archive.names", "Of %q, %s.", short(c.name()), notice)
	}
	if left := done.LeftOutText(); left != "" {
		c.note("archive.left_out", "Of %q, only the add-ons (.vpk) were unpacked, and these were left out: %s.", short(c.name()), left)
	}
	return nil
}

// note adds a warning to the version.
func (c *changer) note(code, format string, args ...any) {
	c.b.report.Findings = append(c.b.report.Findings, ctl.Finding{
		Path: c.change.Path, Verdict: ctl.VerdictWarning, Code: code, Sentence: fmt.Sprintf(format, args...),
	})
}

// openUpload opens an upload and keeps browsers from going on with it as long as it
// is open.
func (h *Host) openUpload(id string) (f *os.File, size int64, err error) {
	gone := fail(ctl.ErrBadSpec, "the upload %q is not on this host any more: upload the file again", short(id))
	if !uploadID.MatchString(id) {
		return nil, 0, gone
	}
	f, err = os.OpenFile(h.path(dirUploads, id), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ELOOP) {
		return nil, 0, gone
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open the upload: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close() // read only; nothing can be lost
		}
	}()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		return nil, 0, fail(ctl.ErrBusy, "its upload is still arriving: wait until it is there")
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("look at the upload: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, gone
	}
	return f, info.Size(), nil
}

// copyReserve is what copies leave free on the disk, in bytes: games and their logs
// need some.
const copyReserve = 1 << 30

// roomFor refuses a copy of size bytes that the disk could not bear.
func (h *Host) roomFor(size int64) error {
	if free, err := steam.FreeBytes(h.Root); err == nil && free-size < copyReserve {
		return fail(ctl.ErrDiskFull, "the disk that holds %s has %s free, and %s more are needed while %s must stay free: make room and try again",
			h.Root, steam.Bytes(free), steam.Bytes(size), steam.Bytes(copyReserve))
	}
	return nil
}

// copyFile makes a new file of size bytes of from. Where the file system can, they
// share their blocks.
func (h *Host) copyFile(ctx context.Context, root *os.Root, name string, from io.Reader, size int64, mode fs.FileMode) (err error) {
	if err := h.roomFor(size); err != nil {
		return err
	}
	to, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, mode)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := to.Close(); err == nil {
			err = closeErr
		}
	}()
	for {
		n, err := io.CopyN(to, from, readStep)
		size -= n
		switch {
		case size < 0:
			return fail(ctl.ErrContent, "%q grew while it was copied: try again when nobody writes to it", short(name))
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
	}
}
