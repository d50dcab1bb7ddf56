package sandbox

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// seccomp.go takes system calls away that a script has no use for and that have
// been the way out of sandboxes, or memory that nobody counts. It is the same for
// both runners, under whatever the unit forbids beside.

// forbidden calls fail with EPERM.
var forbidden = []uintptr{
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT,
	unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR,
	unix.SYS_UNSHARE, unix.SYS_SETNS,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_FANOTIFY_INIT,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD, unix.SYS_KCMP,
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE,
	unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_SYSLOG,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_VHANGUP,
	unix.SYS_OPEN_BY_HANDLE_AT,
	// Memory that belongs to no process.
	unix.SYS_MEMFD_CREATE, unix.SYS_MEMFD_SECRET, unix.SYS_SHMGET, unix.SYS_MSGGET, unix.SYS_SEMGET, unix.SYS_MQ_OPEN,
}

// newNamespaces are the flags of clone(2) that make any.
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// Offsets in struct seccomp_data, on machines with the low half first.
const (
	offsetNr   = 0
	offsetArch = 4
	offsetArg0 = 16
	offsetArg1 = 24
)

const (
	loadWord = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	ifEqual  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	ifAtMost = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K // jumps over when greater
	ifBits   = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	and      = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	answer   = unix.BPF_RET | unix.BPF_K

	x32Bit = 0x40000000
)

// architectures are those whose numbers of system calls the filter is made of.
var architectures = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// filter is the program. One that is made for another architecture is killed: its
// numbers would mean other calls.
func filter() ([]unix.SockFilter, error) {
	arch, known := architectures[runtime.GOARCH]
	if !known {
		return nil, fmt.Errorf("scripts cannot be confined on %s", runtime.GOARCH)
	}
	stmt := func(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }
	// jump goes on with the next instruction when it holds, and leaves out `over` of
	// them when it does not.
	jump := func(code uint16, k uint32, over uint8) unix.SockFilter {
		return unix.SockFilter{Code: code, K: k, Jf: over}
	}
	no := func(e unix.Errno) unix.SockFilter {
		return stmt(answer, unix.SECCOMP_RET_ERRNO|uint32(e))
	}
	yes := stmt(answer, unix.SECCOMP_RET_ALLOW)
	p := []unix.SockFilter{
		stmt(loadWord, offsetArch),
		{Code: ifEqual, K: arch, Jt: 1},
		stmt(answer, unix.SECCOMP_RET_KILL_PROCESS),
		stmt(loadWord, offsetNr),
		{Code: ifAtMost, K: x32Bit - 1, Jf: 1},
		no(unix.ENOSYS),
	}
	for _, nr := range forbidden {
		p = append(p, jump(ifEqual, uint32(nr), 1), no(unix.EPERM))
	}
	p = append(p,
		// Its flags lie in memory, where a filter cannot look; without it the C
		// library takes clone.
		jump(ifEqual, unix.SYS_CLONE3, 1), no(unix.ENOSYS),
		jump(ifEqual, unix.SYS_CLONE, 4), stmt(loadWord, offsetArg0),
		jump(ifBits, newNamespaces, 1), no(unix.EPERM), yes,
		// To ask for the personality is harmless.
		jump(ifEqual, unix.SYS_PERSONALITY, 4), stmt(loadWord, offsetArg0),
		jump(ifEqual, 0xffffffff, 1), yes, no(unix.EPERM),
	)
	// Sockets: local ones, TCP and UDP. The kernel's own, packets and raw ones not.
	p = append(p,
		jump(ifEqual, unix.SYS_SOCKET, 9), stmt(loadWord, offsetArg0),
		unix.SockFilter{Code: ifEqual, K: unix.AF_UNIX, Jt: 3},
		unix.SockFilter{Code: ifEqual, K: unix.AF_INET, Jt: 2},
		unix.SockFilter{Code: ifEqual, K: unix.AF_INET6, Jt: 1},
		no(unix.EAFNOSUPPORT),
		stmt(loadWord, offsetArg1), stmt(and, 0xf),
		jump(ifEqual, unix.SOCK_RAW, 1), no(unix.EPERM),
		yes,
	)
	return p, nil
}

// forbidCalls puts the filter over every thread of this process and all that it
// starts.
func forbidCalls() error {
	p, err := filter()
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(p)
	if errno != 0 {
		return fmt.Errorf("forbid system calls: %w", errno)
	}
	return nil
}
