package suitetest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Attack is what a hostile game tries; Start's test writes it as JSON into a
// layer. Everything it achieves is printed as a line beginning with "BREACH".
type Attack struct {
	Read   []string // files outside that must not be readable
	Write  []string // files outside that must not be writable
	List   []string // folders outside that must not list these names
	Secret string   // bytes that must be found nowhere
	Kill   []int    // processes of the host, by the host's numbers
	Abuse  []string // sockets of the host
	Open   []string // devices that must not open, such as others' terminals
}

func attack(out *bufio.Writer, file string) {
	var a Attack
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	if err != nil {
		fmt.Fprintln(out, "error:", err)
		return
	}
	breach := func(format string, args ...any) { fmt.Fprintf(out, "BREACH "+format+"\n", args...) }
	for _, p := range a.Read {
		for _, q := range []string{p, "/proc/1/root" + p, "/proc/1/cwd/" + p} {
			if b, err := os.ReadFile(q); err == nil {
				breach("read %s: %q", q, b)
			}
		}
	}
	for _, p := range a.Write {
		if err := os.WriteFile(p, []byte("hostile"), 0o644); err == nil {
			breach("wrote %s", p)
		}
	}
	for _, p := range a.List {
		if entries, err := os.ReadDir(p); err == nil && len(entries) > 0 {
			breach("listed %s: %v", p, entries)
		}
	}
	for _, p := range a.Abuse {
		if c, err := net.Dial("unix", p); err == nil {
			_ = c.Close() // the connection was the point
			breach("connected to %s", p)
		}
	}
	for _, p := range a.Open {
		if f, err := os.OpenFile(p, os.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY, 0); err == nil {
			_ = f.Close() // the opening was the point
			breach("opened %s", p)
		}
	}
	for _, pid := range a.Kill {
		attackProcess(breach, pid, a.Secret)
	}
	attackProcess(breach, 1, "")
	attackProc(breach, a.Secret)
	attackKernel(breach)
	fmt.Fprintln(out, "attack over")
}

// attackProcess goes for one process by number. In this namespace the numbers of
// the host mean nothing, unless something is wrong.
func attackProcess(breach func(string, ...any), pid int, secret string) {
	if pid != 1 && pid != os.Getpid() && syscall.Kill(pid, 0) == nil {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); err == nil && secret != "" && strings.Contains(string(b), secret) {
			breach("reached process %d of the host", pid)
		}
	}
	if pid != 1 {
		return
	}
	if err := unix.PtraceSeize(pid); err == nil {
		breach("traces process %d", pid)
	}
	for _, what := range []string{"mem", "environ", "maps", "fd", "cwd", "root", "exe", "map_files"} {
		p := fmt.Sprintf("/proc/%d/%s", pid, what)
		if f, err := os.OpenFile(p, os.O_RDONLY, 0); err == nil {
			_ = f.Close() // the opening was the point
			breach("opened %s", p)
		}
	}
	for fd := range 64 {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd)); err == nil {
			breach("sees descriptor %d of process %d: %s", fd, pid, to)
		}
	}
	if fd, err := unix.PidfdOpen(pid, 0); err == nil {
		for n := range 64 {
			if _, err := unix.PidfdGetfd(fd, n, 0); err == nil {
				breach("took descriptor %d of process %d", n, pid)
			}
		}
		_ = unix.Close(fd) // a process descriptor; nothing can be lost
	}
}

// attackProc looks for processes that are not ours and for what we inherited.
func attackProc(breach func(string, ...any), secret string) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err == nil && secret != "" && strings.Contains(string(b), secret) {
			breach("the environment of process %d", pid)
		}
		if cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && pid != 1 && pid != os.Getpid() && len(cmdline) > 0 {
			breach("sees process %d: %q", pid, cmdline)
		}
	}
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return
	}
	for _, fd := range fds {
		to, err := os.Readlink(fd)
		if err != nil || strings.HasPrefix(to, "/dev/") || strings.HasPrefix(to, "anon_inode:") || strings.HasPrefix(to, "/proc/") ||
			strings.HasPrefix(to, "/sys/fs/cgroup/") { // Go's own runtime opens its processor limit
			continue
		}
		breach("inherited %s", to)
	}
}

// attackKernel asks for what only a privileged process gets.
func attackKernel(breach func(string, ...any)) {
	try := func(what string, err error) {
		if err == nil {
			breach("%s", what)
		}
	}
	for _, p := range []string{"/", "/usr", "/etc", "/var", "/sys", "/home", "/root", "/dev"} {
		var st unix.Statfs_t
		if err := unix.Statfs(p, &st); err == nil && st.Flags&unix.ST_RDONLY == 0 {
			breach("%s is not mounted read-only", p)
		}
	}
	try("mounted a tmpfs", unix.Mount("none", "/tmp", "tmpfs", 0, ""))
	try("bound /", unix.Mount("/", "/tmp", "", unix.MS_BIND, ""))
	try("remounted / writable", unix.Mount("none", "/", "", unix.MS_REMOUNT|unix.MS_BIND, ""))
	try("unmounted what hides /home", unix.Unmount("/home", unix.MNT_DETACH))
	try("unmounted what hides /tmp", unix.Unmount("/tmp", unix.MNT_DETACH))
	try("unmounted its own tree", unix.Unmount(".", unix.MNT_DETACH))
	_, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE|unix.AT_RECURSIVE)
	try("cloned the tree", err)
	try("chroot", unix.Chroot("/tmp"))
	for what, kind := range map[string][2]int{"IP": {unix.AF_INET, unix.IPPROTO_ICMP}, "IPv6": {unix.AF_INET6, unix.IPPROTO_ICMPV6}, "packet": {unix.AF_PACKET, 0}} {
		fd, err := unix.Socket(kind[0], unix.SOCK_RAW, kind[1])
		if err == nil {
			_ = unix.Close(fd) // the opening was the point
		}
		try("opened a raw "+what+" socket", err)
	}
	try("sethostname", unix.Sethostname([]byte("pwned")))
	try("setuid 0", syscall.Setuid(0))
	try("setgid 0", syscall.Setgid(0))
	for name, flag := range map[string]int{"mount": unix.CLONE_NEWNS, "user": unix.CLONE_NEWUSER, "PID": unix.CLONE_NEWPID, "network": unix.CLONE_NEWNET, "user+mount": unix.CLONE_NEWUSER | unix.CLONE_NEWNS} {
		pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(flag)|uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		if errno == 0 && pid == 0 {
			syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
		}
		if errno == 0 {
			breach("made a %s namespace", name)
		}
	}
	if b, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(b)) {
			k, v, _ := strings.Cut(strings.TrimSpace(line), ":\t")
			if strings.HasPrefix(k, "Cap") && strings.Trim(v, "0") != "" || k == "NoNewPrivs" && v != "1" {
				breach("%s is %s", k, v)
			}
		}
	}
}
