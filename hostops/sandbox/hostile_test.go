package sandbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/fetch"
)

// hostile is what the test binary is inside a sandbox: a program that asks the
// kernel for everything that a script must not have.
func hostile() int {
	runtime.LockOSThread()
	breach := func(what string, err error) {
		if err == nil {
			fmt.Println("BREACH:", what)
		}
	}
	call := func(what string, nr uintptr, args ...uintptr) {
		var a [6]uintptr
		copy(a[:], args)
		r, _, errno := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno == 0 {
			fmt.Println("BREACH:", what, r)
		}
	}
	slash, err := syscall.BytePtrFromString("/")
	if err != nil {
		return 1
	}
	root := uintptr(unsafe.Pointer(slash))
	call("open_tree", unix.SYS_OPEN_TREE, root, root, unix.OPEN_TREE_CLONE)
	call("fsopen", unix.SYS_FSOPEN, root, 0)
	call("chroot", unix.SYS_CHROOT, root)
	call("pivot_root", unix.SYS_PIVOT_ROOT, root, root)
	call("bpf", unix.SYS_BPF, 0, 0, 0)
	call("keyctl", unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0)
	call("userfaultfd", unix.SYS_USERFAULTFD, 1)
	call("io_uring", unix.SYS_IO_URING_SETUP, 1, root)
	call("perf_event_open", unix.SYS_PERF_EVENT_OPEN, root, 0, 0, 0, 0)
	call("memfd_create", unix.SYS_MEMFD_CREATE, root, 0)
	call("shmget", unix.SYS_SHMGET, 0, 4096, 0o1600)
	call("ptrace of process 1", unix.SYS_PTRACE, unix.PTRACE_SEIZE, 1, 0, 0)
	call("unshare", unix.SYS_UNSHARE, unix.CLONE_NEWUSER)
	call("setns", unix.SYS_SETNS, 0, 0)
	call("personality", unix.SYS_PERSONALITY, 0x0040000)
	call("clone3", unix.SYS_CLONE3, 0, 0)
	call("open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, 0, 0, 0)
	for what, flag := range map[string]uintptr{"mount": unix.CLONE_NEWNS, "user": unix.CLONE_NEWUSER, "PID": unix.CLONE_NEWPID, "network": unix.CLONE_NEWNET, "cgroup": unix.CLONE_NEWCGROUP} {
		pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, flag|uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		if errno == 0 && pid == 0 {
			syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
		}
		if errno == 0 {
			fmt.Println("BREACH: a new namespace:", what)
		}
	}
	for what, kind := range map[string][3]int{
		"IP":      {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP},
		"packet":  {unix.AF_PACKET, unix.SOCK_DGRAM, 0},
		"netlink": {unix.AF_NETLINK, unix.SOCK_RAW, 0},
		"vsock":   {unix.AF_VSOCK, unix.SOCK_STREAM, 0},
		"alg":     {unix.AF_ALG, unix.SOCK_SEQPACKET, 0},
	} {
		_, err := unix.Socket(kind[0], kind[1], kind[2])
		breach("socket "+what, err)
	}
	for _, p := range []string{"/", "/usr", "/left4me", "/previous", "/etc/ssl/certs"} {
		var st unix.Statfs_t
		if err := unix.Statfs(p, &st); err == nil && st.Flags&unix.ST_RDONLY == 0 {
			fmt.Println("BREACH: may write to", p)
		}
	}
	breach("mknod", unix.Mknod("/build/disk", unix.S_IFBLK|0o600, int(unix.Mkdev(254, 0))))
	breach("raised its limit", unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: 4096, Max: 4096}))
	breach("became root", syscall.Setuid(0))
	if fd, err := unix.PidfdOpen(1, 0); err == nil {
		for n := range 32 {
			_, err := unix.PidfdGetfd(fd, n, 0)
			breach(fmt.Sprintf("took descriptor %d of process 1", n), err)
		}
	}
	// Sockets for what is meant to be there work.
	for _, domain := range []int{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6} {
		if _, err := unix.Socket(domain, unix.SOCK_STREAM, 0); err != nil && domain != unix.AF_INET6 {
			fmt.Println("BREACH of the promise: socket", domain, err)
		}
	}
	fmt.Println("attack over")
	return 0
}

// coveredProc is an l4d2ctl in a container: a part of its /proc is covered, and so
// the kernel allows no fresh one.
func coveredProc(root string) int {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		fmt.Println(err)
		return 1
	}
	if err := unix.Mount("none", "/proc/fs", "tmpfs", unix.MS_RDONLY, ""); err != nil {
		fmt.Println(err)
		return 1
	}
	r := &Rootless{Root: root, Self: []string{"/proc/self/exe", "build-exec"}, Dialer: &fetch.Dialer{}}
	b := Build{ID: "7", Script: "[ -e /proc/self ] && echo has proc; echo made >made; echo the end"}
	b.Line = func(_ ctl.Stream, text string) { fmt.Println(text) }
	b.Take = func(out *os.Root) error {
		text, err := out.ReadFile("made")
		fmt.Printf("took %s", text)
		return err
	}
	o, err := r.Run(context.Background(), b)
	fmt.Println(o.ExitCode, o.Limit, err)
	return 0
}

// runAndWait is an l4d2ctl that will be killed while its script runs.
func runAndWait(root string) int {
	r := &Rootless{Root: root, Self: []string{"/proc/self/exe", "build-exec"}, Dialer: &fetch.Dialer{}}
	b := Build{ID: "7", Script: "mkdir -p a/b/c; echo x >a/b/c/x; chmod 000 a/b/c a/b a; echo begun; sleep 1000"}
	b.Line = func(_ ctl.Stream, text string) { fmt.Println(text) }
	if _, err := r.Run(context.Background(), b); err != nil {
		fmt.Println(filepath.Base(root), err)
	}
	return 1
}
