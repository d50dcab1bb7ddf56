package mount

import (
	"errors"
	"path"

	"golang.org/x/sys/unix"

	"left4me/overlayhelper"
)

// mostMounts is how many mounts of one server are taken down before it is
// thought that somebody makes new ones all the time.
const mostMounts = 64

// umount takes down whatever is mounted for the server, plainly: a lazily
// detached overlay would go on writing to upper. What is not there is success.
func (h *host) umount(name string) error {
	run, err := h.openRun(name)
	if err == nil && run >= 0 {
		err = unmountMerged(run, name)
	}
	if err != nil && !errors.Is(err, overlayhelper.ErrFailed) {
		return err
	}
	// Also when merged could not be opened: our mount may have been led astray.
	if serr := sweep(name); err == nil {
		err = serr
	}
	if err != nil {
		return err
	}
	step("swept")
	if run >= 0 {
		if err := unix.Unlinkat(run, fileApplied, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return failed("remove the record of the layers", err)
		}
	}
	return nil
}

// openRun opens runtime/NAME to take something away; -1 when it is missing. It
// may be the service user's, as older helpers had it: who can rename there can
// at worst keep his own mount.
func (h *host) openRun(name string) (int, error) {
	runtime, err := openBeneath(h.state, dirRuntime, pathDir, 0)
	if errors.Is(err, unix.ENOENT) {
		return -1, nil
	}
	if err != nil {
		return -1, failed("open the folder "+dirRuntime, err)
	}
	run, err := openBeneath(runtime, name, pathDir, unix.RESOLVE_NO_XDEV)
	if errors.Is(err, unix.ENOENT) {
		return -1, nil
	}
	if err != nil {
		return -1, failed("open the folder "+path.Join(dirRuntime, name), err)
	}
	m, _, err := metaOf(run)
	if err != nil {
		return -1, failed("look at the folder "+path.Join(dirRuntime, name), err)
	}
	if m.UID != 0 && m.UID != h.users.Service.UID {
		return -1, overlayhelper.CheckPrivate("the folder "+path.Join(dirRuntime, name), m)
	}
	return run, nil
}

// unmountMerged clears all that is stacked on merged.
func unmountMerged(run int, name string) error {
	for range mostMounts {
		m, err := mountedOn(run)
		if err != nil || m == nil {
			return err
		}
		if !m.OfInstance(name) {
			return overlayhelper.Fail(overlayhelper.ErrRefused, "what is mounted on %s (%s %.80q) is not ours; unmount it by hand", mergedPath(name), m.Type, m.Source)
		}
		step("unmounting")
		if err := unmount(run, dirMerged, *m); err != nil {
			return err
		}
		step("unmounted")
	}
	return overlayhelper.Fail(overlayhelper.ErrBusy, "more than %d mounts were taken off %s, and there are still some; find out who makes them", mostMounts, mergedPath(name))
}

// unmount takes the mount off dir's entry name. There is no umount by
// descriptor: so the name is one component, seen from a verified folder.
//
// A game in its unit sees a copy of the mount that does not keep the host's one
// busy. To unmount that would succeed, and leave an overlay that nobody finds; so
// processes are looked for first.
func unmount(dir int, name string, m mounted) error {
	if err := unix.Fchdir(dir); err != nil {
		return failed("enter the folder of "+m.Point, err)
	}
	defer func() { _ = unix.Chdir("/") }() // / is always there
	gone, err := poll(busyLimit, func() (bool, error) {
		if len(processesOn(m, 1, workIn)) > 0 {
			return false, nil
		}
		err := unix.Unmount(name, unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EBUSY) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return failed("unmount "+m.Point, err)
	}
	if !gone {
		return overlayhelper.Fail(overlayhelper.ErrBusy, "%s is still in use%s; end what uses it and stop the server again", m.Point, holders(m))
	}
	return nil
}

// sweep takes away what is mounted for the server elsewhere: overlays of ours
// that were led astray, and the binds that an older helper made below
// runtime/NAME/idmap. Newest first, which is deepest first.
func sweep(name string) error {
	idmap := path.Join(overlayhelper.StateRoot, dirRuntime, name, dirIdmap)
	for range mostMounts {
		table, err := mountTable()
		if err != nil {
			return err
		}
		found := -1
		for i, e := range table {
			if (e.OfInstance(name) || e.Below(idmap)) && (found < 0 || e.ID > table[found].ID) {
				found = i
			}
		}
		if found < 0 {
			return nil
		}
		if err := unmountEntry(table[found]); err != nil {
			return err
		}
	}
	return overlayhelper.Fail(overlayhelper.ErrBusy, "more than %d mounts of %s were taken away, and there are still some; find out who makes them", mostMounts, name)
}

// unmountEntry unmounts exactly that entry of the mount table.
func unmountEntry(e overlayhelper.MountEntry) error {
	dir, err := openat2(unix.AT_FDCWD, path.Dir(e.Point), pathDir, unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_MAGICLINKS)
	if err != nil {
		return failed("open the folder of "+e.Point, err)
	}
	defer unix.Close(dir)
	fd, err := openBeneath(dir, path.Base(e.Point), unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return failed("open "+e.Point, err)
	}
	st, err := statMount(fd)
	_ = unix.Close(fd) // or it would keep the mount busy itself
	if err != nil {
		return failed("look at "+e.Point, err)
	}
	if !st.root || st.id != e.ID {
		return overlayhelper.Fail(overlayhelper.ErrBusy, "something else is mounted over %s, which is a left-over of ours; unmount that by hand first", e.Point)
	}
	return unmount(dir, path.Base(e.Point), mounted{e, st.dev})
}
