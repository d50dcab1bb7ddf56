package confine

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Knobs are the switches that decide about user namespaces, as far as this kernel
// has them.
type Knobs struct {
	MaxUser    string // user.max_user_namespaces
	UnprivUser string // kernel.unprivileged_userns_clone (Debian, Ubuntu)
	AppArmor   string // kernel.apparmor_restrict_unprivileged_userns (Ubuntu)
}

// ReadKnobs reads them.
func ReadKnobs() Knobs {
	read := func(path string) string {
		b, err := os.ReadFile("/proc/sys/" + path)
		if err != nil {
			return "" // not there: this kernel has no such switch
		}
		return strings.TrimSpace(string(b))
	}
	return Knobs{
		MaxUser:    read("user/max_user_namespaces"),
		UnprivUser: read("kernel/unprivileged_userns_clone"),
		AppArmor:   read("kernel/apparmor_restrict_unprivileged_userns"),
	}
}

// NoNamespaces says why a process in new namespaces could not be made, and what
// to do; "" when err says nothing about that. The errno values are those measured
// on 6.1 to 6.18: ENOSPC for a limit of zero, EPERM for the switch of Debian and
// for a chroot.
func NoNamespaces(err error, k Knobs) string {
	const kind = "user namespaces are switched off"
	switch {
	case errors.Is(err, unix.ENOSPC) && k.MaxUser == "0":
		return kind + " (user.max_user_namespaces is 0); as root run: sysctl -w user.max_user_namespaces=10000"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		return fmt.Sprintf("the limit of user, mount or PID namespaces is reached (sysctl user.max_user_namespaces is %s); raise it as root or stop a server", k.MaxUser)
	case errors.Is(err, unix.EPERM) && k.UnprivUser == "0":
		return kind + " for ordinary users (kernel.unprivileged_userns_clone is 0); as root run: sysctl -w kernel.unprivileged_userns_clone=1"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Sprintf("the kernel refused a user namespace (%v); a container's seccomp profile or a chroot does that: run left4me on the host itself, or allow user namespaces in the container", err)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return fmt.Sprintf("this kernel has no user namespaces (%v); use a kernel built with CONFIG_USER_NS", err)
	}
	return ""
}

// NoMounts says why what, a first mount inside a new user namespace, was refused:
// where the namespace could be made, a security module is the reason. It is ""
// when err says nothing about that.
func NoMounts(what string, err error, k Knobs) string {
	switch {
	case (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)) && k.AppArmor == "1":
		return "AppArmor takes the rights away inside user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1); as root run: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give l4d2ctl a profile that allows userns"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Sprintf("%s was refused inside a user namespace (%v); a security module or a container's profile forbids mounts there: allow them, or run left4me on the host itself", what, err)
	}
	return ""
}
