package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// devices is all of /dev that a game may open. A unit's private /dev still has the
// host's terminals, and those of other games belong to the same user: one could
// stop another's console or write into its log.
var devices = []string{"null", "zero", "full", "random", "urandom", "shm"}

var errNoLandlock = errors.New("this kernel or container has no Landlock")

// hideTerminals takes every file below /dev but devices from the calling thread
// and all it starts, by Landlock; errNoLandlock means that there is none here, or
// that a container forbids it, and that nothing was done. Opened files stay usable.
// The thread must be locked.
func hideTerminals() error {
	const rights = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	attr := unix.LandlockRulesetAttr{Handled_access_fs: rights}
	rules, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr.Handled_access_fs), 0)
	runtime.KeepAlive(&attr)
	switch {
	case errors.Is(errno, unix.ENOSYS), errors.Is(errno, unix.EOPNOTSUPP), errors.Is(errno, unix.EPERM):
		return errNoLandlock
	case errno != 0:
		return fmt.Errorf("make the game's file rules: %w", errno)
	}
	defer unix.Close(int(rules)) // a rule set; nothing can be lost
	entries, err := os.ReadDir("/")
	if err != nil {
		return fmt.Errorf("make the game's file rules: %w", err)
	}
	var allowed []string
	for _, e := range entries {
		if e.Name() != "dev" && e.Type()&os.ModeSymlink == 0 {
			allowed = append(allowed, "/"+e.Name())
		}
	}
	for _, d := range devices {
		allowed = append(allowed, filepath.Join("/dev", d))
	}
	for _, path := range allowed {
		if err := allowBeneath(int(rules), path, rights); err != nil {
			return fmt.Errorf("allow the game %s: %w", path, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid the game new privileges: %w", err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, rules, 0, 0); errno != 0 {
		return fmt.Errorf("apply the game's file rules: %w", errno)
	}
	return nil
}

// allowBeneath adds one rule; what is not there or closed anyway needs none.
func allowBeneath(rules int, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd) // a path; nothing can be lost
	// struct landlock_path_beneath_attr is packed: 8 bytes of rights, 4 of fd.
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(rules), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	runtime.KeepAlive(&rule)
	if errno != 0 {
		return errno
	}
	return nil
}
