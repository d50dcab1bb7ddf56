// Package confine holds the pieces that a process is made of which shuts a
// program in: mounts by descriptor, rights that are given up, the next stage that
// is executed without them, and the collecting of orphans.
//
// It knows nothing of games or scripts: hostops/supervisor shuts in games by it,
// hostops/sandbox scripts. Each function is about the calling thread or process;
// what they add up to is the caller's business.
package confine

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// DropEverything leaves this thread, and whatever it executes, without any
// capability and without a way to one.
func DropEverything() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	for c := uintptr(0); c < 64; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); errors.Is(err, unix.EINVAL) {
			break // beyond the last capability of this kernel
		} else if err != nil {
			return fmt.Errorf("drop capability %d from the bounding set: %w", c, err)
		}
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&hdr, &none[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return nil
}

// LeaveKeyring takes this process off the keys of whoever started it. A kernel
// without keys, or a filter that forbids them, is told on standard error only.
func LeaveKeyring() {
	if _, err := unix.KeyctlJoinSessionKeyring(""); err != nil && !errors.Is(err, unix.ENOSYS) {
		fmt.Fprintln(os.Stderr, "could not leave the session keyring:", err)
	}
}

// ForbidNamespaces takes away the way to capabilities, even harmless ones, that
// is left inside a user namespace: another one. The other kinds need a capability
// that only such a one would give; a limit on mount namespaces would hit the
// caller's own clones.
func ForbidNamespaces() {
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		// Not fatal: what would be gained ends at the namespaces that are there.
		fmt.Fprintln(os.Stderr, "what is run may make namespaces of its own:", err)
	}
}

// SetName names the process for ps: executed by descriptor, it would be a number.
func SetName(name string) {
	if b, err := syscall.BytePtrFromString(name); err == nil {
		_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(b)), 0, 0, 0) // cosmetic
	}
}

// Hide closes this process to others of the same user: its memory, descriptors
// and environment, which may lead out of what they are meant to see.
func Hide() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("close this process to others: %w", err)
	}
	return nil
}

// Limit bounds what as in setrlimit(2), to at most max.
func Limit(what int, max uint64) error {
	var have syscall.Rlimit
	if err := syscall.Getrlimit(what, &have); err != nil {
		return fmt.Errorf("read limit %d: %w", what, err)
	}
	n := min(max, have.Max)
	if err := syscall.Setrlimit(what, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		return fmt.Errorf("set limit %d: %w", what, err)
	}
	return nil
}

// ExecSelf becomes the program that self is open on, by O_PATH, and passes keep
// on. A process that was started without capabilities has none in any of its
// threads, which Go could not promise otherwise. It returns only when it failed.
func ExecSelf(self int, ownProc bool, argv, env []string, keep ...int) error {
	for _, fd := range keep {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("pass descriptor %d on: %w", fd, err)
		}
	}
	if ownProc {
		return fmt.Errorf("execute the second stage: %w", syscall.Exec("/proc/self/fd/"+strconv.Itoa(self), argv, env))
	}
	return fmt.Errorf("execute the second stage: %w", execDescriptor(self, argv, env))
}

// execDescriptor is syscall.Exec without a path, for where there is no /proc.
func execDescriptor(fd int, argv, env []string) error {
	a, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return err
	}
	e, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return err
	}
	empty, err := syscall.BytePtrFromString("")
	if err != nil {
		return err
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(empty)),
		uintptr(unsafe.Pointer(&a[0])), uintptr(unsafe.Pointer(&e[0])), unix.AT_EMPTY_PATH, 0)
	return errno
}
