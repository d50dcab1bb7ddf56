package mount

import (
	"errors"
	"path"
	"strconv"

	"golang.org/x/sys/unix"

	"left4me/overlayhelper"
)

// purge removes runtime/NAME with all that the game wrote. It refuses while
// anything is mounted there; what is missing is success.
func (h *host) purge(name string) error {
	// Root's alone, or what is removed in there with root's rights might be what
	// somebody else put under this name.
	runtime, err := h.openRuntime()
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return failed("open the folder "+dirRuntime, err)
	}
	table, err := mountTable()
	if err != nil {
		return err
	}
	for _, e := range table {
		if e.OfInstance(name) || e.Below(path.Join(overlayhelper.StateRoot, dirRuntime, name)) {
			return overlayhelper.Fail(overlayhelper.ErrBusy, "%s is still mounted on %.200q; stop the server first", name, e.Point)
		}
	}
	// The table may have missed one; what is mounted on merged shows on itself.
	if run, err := openBeneath(runtime, name, pathDir, unix.RESOLVE_NO_XDEV); err == nil {
		m, err := mountedOn(run)
		_ = unix.Close(run) // opened by path only
		if m != nil {
			return overlayhelper.Fail(overlayhelper.ErrBusy, "%s is still mounted on %.200q; stop the server first", name, m.Point)
		}
		if err != nil && !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.ELOOP) {
			return err
		}
	}
	step("purging")
	if err := removeTree(runtime, name); err != nil {
		return failed("remove "+path.Join(dirRuntime, name), err)
	}
	return nil
}

// removeTree removes dir's entry name whole, following no link and crossing no
// mount. It works in one folder at a time: a folder in it that is not empty is
// moved up beside its parent's other entries, so neither depth nor length of
// paths has a limit that whoever made the tree could reach.
func removeTree(dir int, name string) error {
	for {
		err := removeEntry(dir, name)
		if !errors.Is(err, unix.ENOTEMPTY) {
			return err
		}
		top, err := openBeneath(dir, name, readDir, unix.RESOLVE_NO_XDEV)
		if err != nil {
			return err
		}
		err = emptyTop(top)
		if cerr := unix.Close(top); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
}

// emptyTop removes what is in top.
func emptyTop(top int) error {
	moved := 0
	for {
		names, err := list(top)
		if err != nil || len(names) == 0 {
			return err
		}
		for _, n := range names {
			err := removeEntry(top, n)
			if errors.Is(err, unix.ENOTEMPTY) {
				err = flatten(top, n, &moved)
			}
			if err != nil {
				return err
			}
		}
	}
}

// flatten removes what is in top's folder name and moves folders that are not
// empty up into top, under names that are not taken.
func flatten(top int, name string, moved *int) error {
	fd, err := openBeneath(top, name, readDir, unix.RESOLVE_NO_XDEV)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	names, err := list(fd)
	if err != nil {
		return err
	}
	for _, n := range names {
		err := removeEntry(fd, n)
		for errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
			*moved++
			err = unix.Renameat2(fd, n, top, ".purge-"+strconv.Itoa(*moved), unix.RENAME_NOREPLACE)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// removeEntry removes a file or an empty folder; ENOTEMPTY for another one.
// What is gone is success.
func removeEntry(dir int, name string) error {
	err := unix.Unlinkat(dir, name, 0)
	if errors.Is(err, unix.EISDIR) {
		err = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
	}
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// list returns up to some thousands of the entries of the folder: those that one
// buffer holds.
func list(dir int) ([]string, error) {
	if _, err := unix.Seek(dir, 0, unix.SEEK_SET); err != nil {
		return nil, err
	}
	buf := make([]byte, 256<<10)
	for {
		n, err := unix.ReadDirent(dir, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return nil, err
		}
		if _, _, names := unix.ParseDirent(buf[:n], -1, nil); len(names) > 0 {
			return names, nil
		}
	}
}
