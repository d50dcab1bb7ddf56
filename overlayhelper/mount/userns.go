package mount

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"left4me/overlayhelper"
)

// newUserns returns a user namespace in which from's ids mean to's: a mount that
// is idmapped with it shows from's files as to's.
//
// A user namespace is made by a child, and a Go program cannot fork without
// executing something. So the child executes this same program under ptrace,
// which stops it before its first instruction, and is killed there. Should we
// die first, so does the child; were it to run after all, it would have no
// arguments and refuse.
func newUserns(from, to overlayhelper.User) (int, error) {
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"left4me-overlay"}, &syscall.ProcAttr{
		Env: []string{},
		Sys: &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: int(from.UID), HostID: int(to.UID), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: int(from.GID), HostID: int(to.GID), Size: 1}},
			Ptrace:      true,
			Pdeathsig:   syscall.SIGKILL,
		},
	})
	if errors.Is(err, unix.ENOSPC) {
		return -1, fmt.Errorf("%w (user.max_user_namespaces is 0 or reached; raise it with: sysctl -w user.max_user_namespaces=1000)", err)
	}
	if err != nil {
		return -1, fmt.Errorf("%w (kernel.yama.ptrace_scope=3 would forbid it)", err)
	}
	step("child")
	ns, err := unix.Open(fmt.Sprintf("/proc/%d/ns/user", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if kerr := unix.Kill(pid, unix.SIGKILL); err == nil {
		err = kerr
	}
	for {
		// Its stop under ptrace is reported first, its end after that.
		var ws unix.WaitStatus
		_, werr := unix.Wait4(pid, &ws, 0, nil)
		if errors.Is(werr, unix.EINTR) {
			continue
		}
		if werr != nil || ws.Signaled() || ws.Exited() {
			return ns, err
		}
	}
}
