package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// Purge implements Supervisor. It first renames the folder away, so that the
// name is free at once and a purge that was killed is finished by the next one.
// No link is followed; folders that the game or overlayfs closed are opened.
func (r *Rootless) Purge(ctx context.Context, name string) error {
	if err := ctl.CheckName(name); err != nil {
		return err
	}
	root, _, err := openStateRoot(r.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	rt, err := openBeneath(fdOf(root), "runtime", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer rt.Close()
	if err := retire(root, rt, name); err != nil {
		return fmt.Errorf("purge %s: %w", name, err)
	}
	names, err := rt.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("list runtime: %w", err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, purgePrefix(name)) {
			if err := removeTree(ctx, fdOf(rt), n); err != nil {
				return fmt.Errorf("purge %s: %w", name, err)
			}
		}
	}
	return nil
}

// purgePrefix begins with a dot and ends with one: no name of an instance does.
func purgePrefix(name string) string { return ".purge." + name + "." }

// retire renames runtime/NAME away while nothing runs there.
func retire(root, rt *os.File, name string) error {
	run, err := openRun(root, name)
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer run.close()
	lock, err := run.lock()
	if errors.Is(err, errHeld) {
		return fail(ctl.ErrInUse, "%s is running; stop it before it is deleted", name)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	for i := 0; ; i++ {
		err := unix.Renameat2(fdOf(rt), name, fdOf(rt), purgePrefix(name)+strconv.Itoa(i), unix.RENAME_NOREPLACE)
		if !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
}

// maxDepth is how deep removeTree goes down before it moves folders up instead:
// a game may nest folders deeper than there are descriptors.
const maxDepth = 64

// removeTree removes the entry name of dir and all below it.
func removeTree(ctx context.Context, dir int, name string) error {
	top, err := openForRemoval(dir, name)
	if err != nil || top == nil {
		return err
	}
	defer top.Close()
	t := &remover{ctx: ctx, top: fdOf(top)}
	if err := t.empty(top, 0); err != nil {
		return err
	}
	return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
}

type remover struct {
	ctx   context.Context // of this one call
	top   int
	count int // folders that were moved up to top, which lists itself until it is empty
}

// openForRemoval opens a folder, gives us all rights on it first, and removes
// the entry at once, returning nil, when it is no folder.
func openForRemoval(dir int, name string) (*os.File, error) {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, ignoreGone(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil, ignoreGone(unix.Unlinkat(dir, name, 0))
	}
	self := "/proc/self/fd/" + strconv.Itoa(fd) // this folder, whatever its name is now
	if st.Mode&0o700 != 0o700 {
		if err := unix.Chmod(self, 0o700); err != nil {
			return nil, fmt.Errorf("open up %s: %w", name, err)
		}
	}
	f, err := unix.Open(self, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return os.NewFile(uintptr(f), name), nil
}

func ignoreGone(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// empty removes everything in d.
func (t *remover) empty(d *os.File, depth int) error {
	for {
		names, err := d.Readdirnames(512)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list %s: %w", d.Name(), err)
		}
		if t.ctx.Err() != nil {
			return cancelled(t.ctx)
		}
		for _, name := range names {
			if err := t.remove(d, name, depth); err != nil {
				return err
			}
		}
		if _, err := d.Seek(0, io.SeekStart); err != nil { // what was removed changes the order
			return err
		}
	}
}

func (t *remover) remove(d *os.File, name string, depth int) error {
	sub, err := openForRemoval(fdOf(d), name)
	if err != nil || sub == nil {
		return err
	}
	defer sub.Close()
	if depth >= maxDepth {
		t.count++
		return unix.Renameat(fdOf(d), name, t.top, ".deep."+strconv.Itoa(t.count))
	}
	if err := t.empty(sub, depth+1); err != nil {
		return err
	}
	return unix.Unlinkat(fdOf(d), name, unix.AT_REMOVEDIR)
}
