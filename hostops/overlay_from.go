package hostops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/overlay"
)

// copyFrom copies an operator's own folder into the stage. Links are not taken
// over: the file that one leads to is copied, if it lies in the folder.
func (h *Host) copyFrom(ctx context.Context, b *build) error {
	if err := h.checkFrom(b.spec.From); err != nil {
		return err
	}
	from, err := os.OpenRoot(b.spec.From)
	if err != nil {
		return fail(ctl.ErrBadSpec, "the folder %q cannot be opened: %v", short(b.spec.From), err)
	}
	defer from.Close() // read only; nothing can be lost
	c := &folderCopy{h: h, ctx: ctx, from: from, to: b.stage.Root()}
	if err := c.folder(".", 0); err != nil {
		return fmt.Errorf("copy %s: %w", b.spec.From, err)
	}
	return nil
}

// checkFrom refuses folders of ours: instances hold passwords, and what is below
// overlays changes while it is copied.
func (h *Host) checkFrom(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fail(ctl.ErrBadSpec, "the folder %q cannot be opened: %v", short(dir), err)
	}
	root, err := filepath.EvalSymlinks(h.Root)
	if err != nil {
		return err
	}
	if within(real, root) || within(root, real) {
		return fail(ctl.ErrBadSpec, "the folder %q holds left4me's own files or lies among them: copy what you need to a folder of your own first", short(dir))
	}
	return nil
}

// within reports whether a clean path is dir or below it.
func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

// folderCopy copies a tree of a stranger's.
type folderCopy struct {
	h     *Host
	ctx   context.Context // it lives for one copy
	from  *os.Root
	to    *os.Root
	count int
}

func (c *folderCopy) folder(dir string, depth int) error {
	if depth > overlay.MaxDepth {
		return fail(ctl.ErrContent, "%q lies deeper than %d folders: copy from further down", short(dir), overlay.MaxDepth)
	}
	d, err := c.from.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() // read only; nothing can be lost
	for {
		entries, err := d.ReadDir(500)
		for _, e := range entries {
			if err := c.entry(path.Join(dir, e.Name()), depth); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (c *folderCopy) entry(name string, depth int) error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	if c.count++; c.count > overlay.MaxFiles {
		return fail(ctl.ErrContent, "the folder holds more than %d files and folders: at most that are allowed", overlay.MaxFiles)
	}
	info, err := c.from.Lstat(name)
	if err != nil {
		return err
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		if err := c.to.Mkdir(name, 0o755); err != nil {
			return err
		}
		return c.folder(name, depth+1)
	case fs.ModeSymlink, 0:
		return c.file(name, info)
	}
	return fail(ctl.ErrContent, "%q is neither a file nor a folder: take it out of the folder", short(name))
}

func (c *folderCopy) file(name string, seen fs.FileInfo) error {
	// A link is followed as long as it stays in the folder; not to wait for a FIFO.
	f, err := c.from.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil && seen.Mode().Type() == fs.ModeSymlink {
		return fail(ctl.ErrContent, "%q is a link that leads out of the folder or nowhere: put the file itself there", short(name))
	}
	if err != nil {
		return err
	}
	defer f.Close() // read only; nothing can be lost
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fail(ctl.ErrContent, "%q is a link to something that is no file: put the folder itself there", short(name))
	}
	mode := fs.FileMode(0o644)
	if info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	return c.h.copyFile(c.ctx, c.to, name, f, info.Size(), mode)
}
