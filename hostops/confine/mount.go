package confine

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// The new mount calls, by file descriptor only: what was checked is what is used.

// PlainAttrs are the mount attributes of everything that a confined program can reach.
const PlainAttrs = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV

// NewMount makes a detached mount of a fresh file system.
func NewMount(fstype string, attrs int, options ...string) (int, error) {
	ctx, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open file system %s: %w", fstype, err)
	}
	defer unix.Close(ctx)
	for i := 0; i+1 < len(options); i += 2 {
		if err := unix.FsconfigSetString(ctx, options[i], options[i+1]); err != nil {
			return -1, fmt.Errorf("set %s of %s: %w", options[i], fstype, err)
		}
	}
	if err := unix.FsconfigCreate(ctx); err != nil {
		return -1, fmt.Errorf("make %s: %w", fstype, err)
	}
	m, err := unix.Fsmount(ctx, unix.FSMOUNT_CLOEXEC, attrs)
	if err != nil {
		return -1, fmt.Errorf("mount %s: %w", fstype, err)
	}
	return m, nil
}

// NewTmpfs makes a detached tmpfs with a bound on what it may hold.
func NewTmpfs(size, mode string) (int, error) {
	return NewMount("tmpfs", PlainAttrs, "size", size, "nr_inodes", "16384", "mode", mode)
}

// CloneMount makes a detached copy of the mount at fd, beginning at that folder
// or file. What is mounted below it is part of the copy.
func CloneMount(fd int) (int, error) {
	m, err := unix.OpenTree(fd, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
	if err != nil {
		return -1, fmt.Errorf("clone mount: %w", err)
	}
	return m, nil
}

// Attach puts the detached mount m over what at is open on, or over at's entry
// name when one is given.
func Attach(m, at int, name string) error {
	flags := unix.MOVE_MOUNT_F_EMPTY_PATH
	if name == "" {
		flags |= unix.MOVE_MOUNT_T_EMPTY_PATH
	}
	if err := unix.MoveMount(m, "", at, name, flags); err != nil {
		return fmt.Errorf("attach mount: %w", err)
	}
	return nil
}

// Restrict adds attributes to the mount at fd and everything below it.
func Restrict(fd int, attrs uint64) error {
	err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: attrs})
	if err != nil {
		return fmt.Errorf("restrict mount: %w", err)
	}
	return nil
}
