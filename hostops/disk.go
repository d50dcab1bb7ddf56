package hostops

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/steam"
)

// diskError says a full disk, a read-only one or one that is not ours in a
// sentence, and leaves other errors alone.
func (h *Host) diskError(err error) error {
	switch {
	case err == nil:
		return nil
	case ctl.ExitCode(err) != ctl.ExitCode(ctl.ErrInternal):
		return err // it has its sentence; a limit of namespaces is ENOSPC too
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		free := "none"
		if n, statErr := steam.FreeBytes(h.Root); statErr == nil {
			free = steam.Bytes(n)
		}
		return fail(ctl.ErrDiskFull, "the disk that holds %s is full (%s free): make room and try again (%v)", h.Root, free, err)
	case errors.Is(err, unix.EROFS):
		return fail(ctl.ErrInternal, "the disk that holds %s is mounted read-only (%v)", h.Root, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fail(ctl.ErrInternal, "user %d may not write below %s: run as the folder's owner, or choose another with --root (%v)", os.Geteuid(), h.Root, err)
	}
	return err
}

// writeDurably replaces path with data so that after a crash either the old or
// the new content is there, never half of one.
func writeDurably(path string, data []byte, mode os.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error matters more
		}
	}()
	if _, err = f.Write(data); err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return err
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() // read only; nothing can be lost
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
