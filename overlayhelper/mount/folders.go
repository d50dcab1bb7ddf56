package mount

import (
	"errors"
	"path"

	"golang.org/x/sys/unix"

	"left4me/overlayhelper"
)

// The folders below the state root that the helper uses.
const (
	dirRuntime      = "runtime"
	dirInstances    = "instances"
	dirOverlays     = "overlays"
	dirInstallation = "installation"

	// Below runtime/NAME, all root's but upper, which is the game's.
	dirUpper    = "upper"
	dirWork     = "work"
	dirMerged   = "merged"
	dirAnchor   = "anchor"
	dirIdmap    = "idmap" // where an older helper left its mounts
	fileApplied = "applied"

	fileList = "mount" // below instances/NAME
)

const (
	pathDir = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW
	readDir = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW
)

// openat2 opens with close-on-exec. EAGAIN means that something was renamed on
// the way, which an attacker can keep up for a while but not win.
func openat2(dir int, name string, flags int, resolve uint64) (int, error) {
	how := &unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: resolve}
	for tries := 0; ; tries++ {
		fd, err := unix.Openat2(dir, name, how)
		if (errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)) && tries < 1000 {
			continue
		}
		return fd, err
	}
}

// openBeneath opens name below dir and follows no link of any kind.
// RESOLVE_NO_XDEV as extra also refuses to cross a mount, with EXDEV.
func openBeneath(dir int, name string, flags int, extra uint64) (int, error) {
	return openat2(dir, name, flags, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_MAGICLINKS|extra)
}

func metaOf(fd int) (overlayhelper.Meta, unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return overlayhelper.Meta{UID: st.Uid, GID: st.Gid, Mode: st.Mode & 0o7777}, st, err
}

// dirSpec says how a folder must be. Its owner is root unless said otherwise.
type dirSpec struct {
	owner overlayhelper.User
	mode  uint32
}

// ensureDir makes the folder name below dir if it is missing, and brings owner,
// group and mode of a folder that is its owner's or root's to what they must be:
// a helper that was killed after mkdir left root's. A folder of anyone else is
// refused.
func ensureDir(dir int, name string, want dirSpec) (int, error) {
	if err := unix.Mkdirat(dir, name, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, failed("make the folder "+name, err)
	}
	fd, err := openBeneath(dir, name, readDir, unix.RESOLVE_NO_XDEV)
	if err != nil {
		return -1, failed("open the folder "+name, err)
	}
	m, _, err := metaOf(fd)
	if err != nil {
		return -1, failed("look at the folder "+name, err)
	}
	if m.UID != want.owner.UID && m.UID != 0 {
		return -1, overlayhelper.Fail(overlayhelper.ErrRefused, "the folder %s belongs to user %d and not to user %d; if nothing runs, remove it", name, m.UID, want.owner.UID)
	}
	if m.UID != want.owner.UID || m.GID != want.owner.GID {
		if err := unix.Fchown(fd, int(want.owner.UID), int(want.owner.GID)); err != nil {
			return -1, failed("give the folder "+name+" to its owner", err)
		}
		m.Mode = ^want.mode // the kernel clears bits on a change of owner
	}
	if m.Mode != want.mode {
		if err := unix.Fchmod(fd, want.mode); err != nil {
			return -1, failed("set the mode of the folder "+name, err)
		}
	}
	return fd, nil
}

// openRuntime opens runtime, which only root may change: whoever could rename
// in it could lead a mount astray.
func (h *host) openRuntime() (int, error) {
	fd, err := openBeneath(h.state, dirRuntime, readDir, 0)
	if err != nil {
		return -1, err
	}
	m, _, err := metaOf(fd)
	if err != nil {
		return -1, err
	}
	return fd, overlayhelper.CheckPrivate("the folder "+dirRuntime, m)
}

// ensureRun makes runtime/NAME and what belongs in it.
func (h *host) ensureRun(name string) (int, error) {
	if err := unix.Mkdirat(h.state, dirRuntime, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, failed("make the folder "+dirRuntime, err)
	}
	runtime, err := h.openRuntime()
	if err != nil {
		return -1, failed("open the folder "+dirRuntime, err)
	}
	run, err := ensureDir(runtime, name, dirSpec{mode: 0o755})
	if err != nil {
		return -1, err
	}
	// The group reads what the game wrote; setgid hands it down.
	game := overlayhelper.User{UID: h.users.Game.UID, GID: h.users.Service.GID}
	for _, d := range []struct {
		name string
		spec dirSpec
	}{
		{dirUpper, dirSpec{owner: game, mode: 0o2750}},
		{dirWork, dirSpec{mode: 0o700}},
		{dirAnchor, dirSpec{mode: 0o700}},
	} {
		fd, err := ensureDir(run, d.name, d.spec)
		if err != nil {
			return -1, err
		}
		_ = unix.Close(fd) // opened for reading only
		step("made " + d.name)
	}
	return run, ensureMerged(run)
}

// ensureMerged makes the mount point. It may be covered already.
func ensureMerged(run int) error {
	fd, err := ensureDir(run, dirMerged, dirSpec{mode: 0o755})
	if errors.Is(err, unix.EXDEV) {
		return nil
	}
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// readLayers reads the list of layers and returns it with the open folder of
// the instance.
func (h *host) readLayers(name string) ([]overlayhelper.Layer, int, error) {
	instances, err := openBeneath(h.state, dirInstances, pathDir, 0)
	if err != nil {
		return nil, -1, failed("open the folder "+dirInstances, err)
	}
	instance, err := openBeneath(instances, name, pathDir, unix.RESOLVE_NO_XDEV)
	if errors.Is(err, unix.ENOENT) {
		return nil, -1, overlayhelper.Fail(overlayhelper.ErrFailed, "there is no server %s on this host; initialise it first", name)
	}
	if err != nil {
		return nil, -1, layerFailure("the folder of the server "+name, err)
	}
	what := path.Join(dirInstances, name, fileList)
	fd, err := openBeneath(instance, fileList, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, unix.RESOLVE_NO_XDEV)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, -1, overlayhelper.Fail(overlayhelper.ErrFailed, "%s does not exist; start the server by l4d2ctl, which writes it", what)
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV), errors.Is(err, unix.ENXIO):
		return nil, -1, overlayhelper.Fail(overlayhelper.ErrRefused, "%s is not a plain file (%w)", what, err)
	case err != nil:
		return nil, -1, failed("open "+what, err)
	}
	defer unix.Close(fd)
	m, st, err := metaOf(fd)
	if err != nil {
		return nil, -1, failed("look at "+what, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, -1, overlayhelper.Fail(overlayhelper.ErrRefused, "%s is not a plain file", what)
	}
	if err := overlayhelper.CheckList(m, st.Size, h.users); err != nil {
		return nil, -1, err
	}
	list, err := readAll(fd, overlayhelper.MaxListBytes+1)
	if err != nil {
		return nil, -1, failed("read "+what, err)
	}
	layers, err := overlayhelper.ParseLayers(list)
	return layers, instance, err
}

// writeApplied records what is about to be mounted, whole or not at all.
func writeApplied(run int, record []byte) error {
	const temp = fileApplied + ".new"
	if err := unix.Unlinkat(run, temp, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return failed("remove an old "+temp, err)
	}
	fd, err := unix.Openat(run, temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return failed("write the record of the layers", err)
	}
	for rest := record; len(rest) > 0 && err == nil; {
		var n int
		n, err = unix.Write(fd, rest)
		rest = rest[max(n, 0):]
	}
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err == nil {
		err = unix.Renameat(run, temp, run, fileApplied)
	}
	if err != nil {
		_ = unix.Unlinkat(run, temp, 0) // the write is the error to tell
		return failed("write the record of the layers", err)
	}
	return nil
}
