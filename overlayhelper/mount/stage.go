package mount

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"left4me/overlayhelper"
)

// stage.go makes the overlay. Before Linux 6.15 overlayfs takes layers only from
// the caller's own mount namespace, so the thread makes one of its own, attaches
// the clones there, mounts, and takes a detached copy of the result back. The
// stage ends when the thread leaves it; the overlay has private clones of its
// layers.

// The options of every overlay. index, metacopy and xino off: a changed layer
// must not make upper unusable. nofollow: a layer cannot redirect into another.
const overlayOptions = "metacopy=off,xino=off,redirect_dir=nofollow"

// build is an overlay to be made. All descriptors lie below clones.
type build struct {
	name, source        string
	clones              []int
	lowers              []int // uppermost first
	upper, work, anchor int
}

// openUpper opens what is written to, below one clone: overlayfs insists that
// upper and work are on the same mount.
func (b *build) openUpper(c *clones, run int, u overlayhelper.Users) error {
	clone, err := c.writable(run)
	if err != nil {
		return err
	}
	for name, to := range map[string]*int{dirUpper: &b.upper, dirWork: &b.work, dirAnchor: &b.anchor} {
		fd, err := openBeneath(clone, name, pathDir, unix.RESOLVE_NO_XDEV)
		if err != nil {
			return failed("open the folder "+name, err)
		}
		m, _, err := metaOf(fd)
		if err != nil {
			return failed("look at the folder "+name, err)
		}
		owner := uint32(0)
		if name == dirUpper {
			owner = u.Game.UID
		}
		if m.UID != owner {
			return overlayhelper.Fail(overlayhelper.ErrRefused, "the folder %s was exchanged while it was being mounted", name)
		}
		*to = fd
	}
	return nil
}

// detached returns the overlay as a mount that nobody sees yet. The thread is
// back in the host's namespace then.
func (b *build) detached(host int) (int, error) {
	s, err := b.openStage()
	if err != nil {
		return -1, err
	}
	step("staged")
	if err := b.waitUnused(s); err != nil {
		return -1, err
	}
	step("probed")
	lowers := make([]string, len(b.lowers))
	for i, fd := range b.lowers {
		lowers[i] = strconv.Itoa(fd)
	}
	if err := s.overlay(b, "M", b.source, "index=off,lowerdir="+strings.Join(lowers, ":"), 0); err != nil {
		return -1, failed("mount the overlay of "+b.name, explain(err))
	}
	step("mounted")
	fd, err := unix.OpenTree(s.fd, "M", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, failed("detach the overlay", err)
	}
	// The stage's last user leaves: before setns returns it is gone, and its own
	// mount of the overlay with it.
	if err := unix.Setns(host, unix.CLONE_NEWNS); err != nil {
		return -1, failed("go back to the mount namespace of process 1", err)
	}
	return fd, nil
}

// stage is a tmpfs in a mount namespace of its own.
type stage struct{ fd int }

func (b *build) openStage() (stage, error) {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return stage{}, failed("make a mount namespace", err)
	}
	// From here descriptors are file names, 490 of them short enough for the one
	// page that mount(2) takes on every kernel.
	if err := unix.Chdir("/proc/thread-self/fd"); err != nil {
		return stage{}, failed("enter /proc/thread-self/fd", err)
	}
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return stage{}, failed("make the stage private", err)
	}
	fd, err := newTmpfs()
	if err != nil {
		return stage{}, err
	}
	// Over / because that is always there; paths that begin with / still begin
	// below it.
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return stage{}, failed("attach the stage", err)
	}
	for _, name := range []string{"M", "P"} {
		if err := unix.Mkdirat(fd, name, 0o700); err != nil {
			return stage{}, failed("furnish the stage", err)
		}
	}
	for i, clone := range b.clones {
		name := strconv.Itoa(i)
		if err := unix.Mkdirat(fd, name, 0o700); err != nil {
			return stage{}, failed("furnish the stage", err)
		}
		if err := unix.MoveMount(clone, "", fd, name, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return stage{}, failed("put a layer on the stage", err)
		}
	}
	return stage{fd}, nil
}

func newTmpfs() (int, error) {
	ctx, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, failed("make a tmpfs", err)
	}
	defer unix.Close(ctx)
	for _, o := range [][2]string{{"size", "1m"}, {"mode", "0700"}} {
		if err := unix.FsconfigSetString(ctx, o[0], o[1]); err != nil {
			return -1, failed("set "+o[0]+" of a tmpfs", err)
		}
	}
	if err := unix.FsconfigCreate(ctx); err != nil {
		return -1, failed("make a tmpfs", err)
	}
	fd, err := unix.Fsmount(ctx, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return -1, failed("mount a tmpfs", err)
	}
	return fd, nil
}

// path names something on the stage relative to the working directory.
func (s stage) path(name string) string { return strconv.Itoa(s.fd) + "/" + name }

// overlay mounts b's upper over what the options name. mount(2), because a
// string option of fsconfig ends at 255 bytes on Linux 6.1.
func (s stage) overlay(b *build, at, source, options string, flags uintptr) error {
	options = fmt.Sprintf("%s,upperdir=%d,workdir=%d,%s", overlayOptions, b.upper, b.work, options)
	return unix.Mount(source, s.path(at), "overlay", unix.MS_NOSUID|unix.MS_NODEV|flags, options)
}

// waitUnused makes sure that no other live overlay writes to the same upper,
// also one that no mount table shows any more. The kernel only complains in its
// log; with index=on it refuses, so that is tried first, over a folder that never
// changes. Read-only changes nothing about that, but spares the flush of the
// whole file system that the end of a writable overlay brings.
func (b *build) waitUnused(s stage) error {
	free, err := poll(inUseLimit, func() (bool, error) {
		err := s.overlay(b, "P", overlayhelper.SourcePrefix(b.name)+"probe", "index=on,lowerdir="+strconv.Itoa(b.anchor), unix.MS_RDONLY)
		switch {
		case errors.Is(err, unix.EBUSY):
			return false, nil
		case err != nil:
			// It cannot tell; the mount itself will, if it matters.
			_, _ = fmt.Fprintf(os.Stderr, "left4me-overlay: cannot tell whether the files of %s are in use elsewhere: %v\n", b.name, err) // nowhere else to report to
			return true, nil
		}
		return true, unix.Unmount(s.path("P"), 0)
	})
	if err != nil {
		return failed("take the in-use probe away", err)
	}
	if !free {
		return overlayhelper.Fail(overlayhelper.ErrInUse, "a former mount of %s is still alive in some process's own mount namespace, and two at once would damage its files; end that process, or restart the machine, and start again", b.name)
	}
	return nil
}

// explain adds what the kernel's short answers to an overlay mean.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w (this kernel has no overlayfs; try: modprobe overlay)", err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w (the kernel's log says why; %s must be on ext4, xfs or btrfs)", err, overlayhelper.StateRoot)
	case errors.Is(err, unix.ELOOP):
		return fmt.Errorf("%w (two layers are the same folder, or one is inside another)", err)
	}
	return err
}
