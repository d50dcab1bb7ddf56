package supervisor

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

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

// hostKnobs are the switches that decide about user namespaces, as far as this
// kernel has them.
type hostKnobs struct {
	maxUser    string // user.max_user_namespaces
	unprivUser string // kernel.unprivileged_userns_clone (Debian, Ubuntu)
	appArmor   string // kernel.apparmor_restrict_unprivileged_userns (Ubuntu)
}

func readKnobs() hostKnobs {
	read := func(path string) string {
		b, err := os.ReadFile("/proc/sys/" + path)
		if err != nil {
			return "" // not there: this kernel has no such switch
		}
		return strings.TrimSpace(string(b))
	}
	return hostKnobs{
		maxUser:    read("user/max_user_namespaces"),
		unprivUser: read("kernel/unprivileged_userns_clone"),
		appArmor:   read("kernel/apparmor_restrict_unprivileged_userns"),
	}
}

const needNamespaces = "servers cannot run without root here: "

// namespaceFailure explains why a process in new namespaces could not be made.
// The errno values are those measured on 6.1 to 6.18: ENOSPC for a limit of
// zero, EPERM for the switch of Debian and for a chroot.
func namespaceFailure(err error, k hostKnobs) error {
	const kind = "user namespaces are switched off"
	switch {
	case errors.Is(err, unix.ENOSPC) && k.maxUser == "0":
		return fail(ctl.ErrNoNamespaces, needNamespaces+kind+" (user.max_user_namespaces is 0); as root run: sysctl -w user.max_user_namespaces=10000")
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		return fail(ctl.ErrNoNamespaces, needNamespaces+"the limit of user, mount or PID namespaces is reached (sysctl user.max_user_namespaces is %s); raise it as root or stop a server", k.maxUser)
	case errors.Is(err, unix.EPERM) && k.unprivUser == "0":
		return fail(ctl.ErrNoNamespaces, needNamespaces+kind+" for ordinary users (kernel.unprivileged_userns_clone is 0); as root run: sysctl -w kernel.unprivileged_userns_clone=1")
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fail(ctl.ErrNoNamespaces, needNamespaces+"the kernel refused a user namespace (%w); a container's seccomp profile or a chroot does that: run left4me on the host itself, or allow user namespaces in the container", err)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return fail(ctl.ErrNoNamespaces, needNamespaces+"this kernel has no user namespaces (%w); use a kernel built with CONFIG_USER_NS", err)
	}
	return fmt.Errorf("start the keeper: %w", err)
}

// mountFailure explains a refused mount. Where the namespace could be made and
// the first mount in it is refused, a security module is the reason.
func mountFailure(what string, err error, k hostKnobs) error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return fail(ctl.ErrDiskFull, "%s: the disk that holds the state folder is full; free some space and start again", what)
	case (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)) && k.appArmor == "1":
		return fail(ctl.ErrNoNamespaces, needNamespaces+"AppArmor takes the rights away inside user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1); as root run: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give l4d2ctl a profile that allows userns")
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fail(ctl.ErrNoNamespaces, needNamespaces+"%s was refused inside a user namespace (%w); a security module or a container's profile forbids mounts there: allow them, or run left4me on the host itself", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// overlayFailure explains why the overlay itself could not be mounted. upperFS is
// the name of the file system that holds the state folder.
func overlayFailure(err error, upperFS string, k hostKnobs) error {
	switch {
	case errors.Is(err, unix.ENODEV):
		return fail(ctl.ErrNoOverlayFS, "this kernel has no overlayfs; load it as root with: modprobe overlay")
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EREMOTE):
		return fail(ctl.ErrNoOverlayFS, "overlayfs cannot write to the file system of the state folder (%s: %w); move the state folder to ext4, xfs, btrfs or tmpfs", upperFS, err)
	case errors.Is(err, unix.EPERM) && k.appArmor != "1":
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
