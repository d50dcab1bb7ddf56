package supervisor

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"left4me/hostops/confine"
	"left4me/hostops/ctl"
)

// failure is a sentence for people with the ctl error that gives it its exit
// code. It crosses from the keeper to whoever started it as its two parts.
type failure struct {
	kind  error // one of ctl's
	text  string
	cause error // for errors.Is only; its words are in text already
}

func (f *failure) Error() string   { return f.text }
func (f *failure) Unwrap() []error { return []error{f.kind, f.cause} }

// fail makes a failure. A cause given for %w is kept for errors.Is.
func fail(kind error, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &failure{kind: kind, text: err.Error(), cause: err}
}

const needNamespaces = "servers cannot run without root here: "

// namespaceFailure explains why a process in new namespaces could not be made.
func namespaceFailure(err error, k confine.Knobs) error {
	if why := confine.NoNamespaces(err, k); why != "" {
		return &failure{kind: ctl.ErrNoNamespaces, text: needNamespaces + why, cause: err}
	}
	return fmt.Errorf("start the keeper: %w", err)
}

// mountFailure explains a refused mount.
func mountFailure(what string, err error, k confine.Knobs) error {
	if errors.Is(err, unix.ENOSPC) {
		return fail(ctl.ErrDiskFull, "%s: the disk that holds the state folder is full; free some space and start again", what)
	}
	if why := confine.NoMounts(what, err, k); why != "" {
		return &failure{kind: ctl.ErrNoNamespaces, text: needNamespaces + why, cause: err}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// overlayFailure explains why the overlay itself could not be mounted. upperFS is
// the name of the file system that holds the state folder.
func overlayFailure(err error, upperFS string, k confine.Knobs) error {
	switch {
	case errors.Is(err, unix.ENODEV):
		return fail(ctl.ErrNoOverlayFS, "this kernel has no overlayfs; load it as root with: modprobe overlay")
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EREMOTE):
		return fail(ctl.ErrNoOverlayFS, "overlayfs cannot write to the file system of the state folder (%s: %w); move the state folder to ext4, xfs, btrfs or tmpfs", upperFS, err)
	case errors.Is(err, unix.EPERM) && k.AppArmor != "1":
		return fail(ctl.ErrNoOverlayFS, "overlayfs cannot be mounted in a user namespace here (%w); it takes Linux 5.11 or newer and a state folder on ext4, xfs, btrfs or tmpfs (this one is on %s)", err, upperFS)
	}
	return mountFailure("mounting the overlay", err, k)
}

// fsNames are file systems by the magic number of statfs(2), for sentences.
var fsNames = map[int64]string{
	0xEF53: "ext4", 0x58465342: "xfs", 0x9123683E: "btrfs", 0x01021994: "tmpfs",
	0x794C7630: "overlayfs", 0x65735546: "FUSE", 0x6969: "NFS", 0x2FC12FC1: "ZFS",
	0x858458F6: "ramfs", 0x4D44: "FAT", 0x5346544E: "NTFS", 0xFF534D42: "CIFS",
}

// fsName names the file system that fd is on.
func fsName(fd int) string {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return "unknown file system"
	}
	if n := fsNames[int64(st.Type)]; n != "" {
		return n
	}
	return fmt.Sprintf("file system %#x", st.Type)
}
