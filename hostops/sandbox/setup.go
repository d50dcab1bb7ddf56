package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"left4me/hostops/confine"
	"left4me/hostops/ctl"
)

// setup.go is the first stage of Rootless: process 1 of new namespaces with a
// handful of capabilities that mean something only there. It puts a tree together
// of what a script may see, makes it the root, gives every right away and executes
// itself again. Under systemd the unit does all of that.

// Descriptors that the first stage is started with.
const (
	fdControl = 3
	fdLock    = 4
)

// RunInside is the hidden `build-exec` command: args is what follows it. Whoever
// uses a runner makes it reachable and ends with its code.
//
//	ID               the first process of left4me-build@ID.service
//	ID setup         the first process of Rootless, with its socket
//	ID inherited     what that becomes
func RunInside(args []string) int {
	if len(args) > 0 && idPattern.MatchString(args[0]) && os.Geteuid() != 0 {
		switch {
		case len(args) == 1:
			return runUnit()
		case len(args) == 2 && args[1] == argSetUp && os.Getpid() == 1:
			return setUp()
		case len(args) == 2 && args[1] == argInherited && os.Getpid() == 1:
			return runInherited()
		}
	}
	fmt.Fprintln(os.Stderr, "build-exec is started by `l4d2ctl overlay build ID`, never by hand")
	return ctl.ExitCode(ctl.ErrUsage)
}

const (
	argSetUp     = "setup"
	argInherited = "inherited"
)

// setUp returns only when it failed.
func setUp() int {
	runtime.LockOSThread() // the capabilities of this thread are those the next stage begins with
	control := os.NewFile(fdControl, "control")
	err := prepareAndExec(control)
	w := newWire(control)
	_ = w.send(report{Is: isFailed, Code: ctl.ExitCode(err), Text: err.Error()}) // whoever wants to know is there
	return ctl.ExitCode(err)
}

func prepareAndExec(control *os.File) error {
	if err := unix.CloseRange(fdControl, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close what was inherited: %w", err)
	}
	var o order
	if err := receiveOne(control, &o); err != nil || o.Do != doView {
		return fail(ctl.ErrInternal, "the sandbox was given no orders (%v)", err)
	}
	unix.Umask(0o022)
	self, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("find the program itself: %w", err)
	}
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return mountFailure("making the mounts private", err)
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte("build")); err != nil {
		return fmt.Errorf("name the sandbox: %w", err)
	}
	confine.ForbidNamespaces() // through the host's /proc, while that is in sight
	ownProc, err := buildView(o)
	if err != nil {
		return err
	}
	confine.LeaveKeyring()
	if err := confine.DropEverything(); err != nil {
		return err
	}
	argv := append(append([]string{}, os.Args[:len(os.Args)-1]...), argInherited)
	return confine.ExecSelf(self, ownProc, argv, os.Environ(), fdControl, fdLock)
}

func mountFailure(what string, err error) error {
	if why := confine.NoMounts(what, err, confine.ReadKnobs()); why != "" {
		return fail(ctl.ErrNoNamespaces, "scripts cannot be run without root here: %s", why)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// loopbackUp makes 127.0.0.1 of the new network namespace usable.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("prepare the sandbox's loopback: %w", err)
	}
	defer unix.Close(fd) // only asked through
	ifr, err := unix.NewIfreq("lo")
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, ifr)
	}
	if err == nil {
		ifr.SetUint16(ifr.Uint16() | unix.IFF_UP)
		err = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
	}
	if err != nil {
		return fmt.Errorf("prepare the sandbox's loopback: %w", err)
	}
	return nil
}

// systemFolders are shown read-only, where the host has them.
var systemFolders = []string{"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"}

// systemFiles are all of /etc that is shown: certificates, Debian's links from
// /usr/bin, and the loader's list.
var systemFiles = []string{"etc/ssl/certs", "etc/ssl/openssl.cnf", "etc/ca-certificates", "etc/alternatives", "etc/ld.so.cache"}

// deviceNodes are all of /dev.
var deviceNodes = []string{"null", "zero", "full", "random", "urandom"}

// buildView makes the sandbox's tree the root of this process and reports whether
// /proc is the namespace's own.
func buildView(o order) (ownProc bool, err error) {
	v := &view{}
	if v.root, err = confine.NewTmpfs("1m", "0755"); err != nil {
		return false, mountFailure("making the sandbox's root", err)
	}
	for _, name := range systemFolders {
		if err := v.showSystem(name); err != nil {
			return false, err
		}
	}
	for _, path := range systemFiles {
		if err := v.show("/"+path, path, true); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	for _, name := range deviceNodes {
		if err := v.show("/dev/"+name, "dev/"+name, false); err != nil {
			return false, err
		}
	}
	if err := v.showFolder(o); err != nil {
		return false, err
	}
	links := map[string]string{
		"dev/fd": "/proc/self/fd", "dev/stdin": "/proc/self/fd/0", "dev/stdout": "/proc/self/fd/1", "dev/stderr": "/proc/self/fd/2",
		"etc/passwd": insideIn + "/etc/passwd", "etc/group": insideIn + "/etc/group",
		"etc/hosts": insideIn + "/etc/hosts", "etc/nsswitch.conf": insideIn + "/etc/nsswitch.conf",
	}
	for at, to := range links {
		if err := unix.Symlinkat(to, v.root, at); err != nil {
			return false, fmt.Errorf("make %s: %w", at, err)
		}
	}
	tmp, err := confine.NewTmpfs(fmt.Sprint(int64(tmpBytes)), "1777")
	if err == nil {
		err = v.attach(tmp, "tmp", true)
	}
	if err != nil {
		return false, fmt.Errorf("make /tmp: %w", err)
	}
	if ownProc, err = v.proc(); err != nil {
		return false, err
	}
	return ownProc, v.enter()
}

// view is the tree in the making: a detached tmpfs.
type view struct{ root int }

// at makes the folder path below the tree, or an empty file there, to mount on.
func (v *view) at(path string, dir bool) error {
	done := ""
	parts := strings.Split(path, "/")
	for i, part := range parts {
		done = filepath.Join(done, part)
		if i == len(parts)-1 && !dir {
			fd, err := unix.Openat(v.root, done, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
			if err != nil {
				return err
			}
			return unix.Close(fd)
		}
		if err := unix.Mkdirat(v.root, done, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	return nil
}

func (v *view) attach(m int, path string, dir bool) error {
	defer unix.Close(m) // attached, it needs no descriptor
	if err := v.at(path, dir); err != nil {
		return err
	}
	return confine.Attach(m, v.root, path)
}

// showSystem shows a folder of the root, which may be a link into another.
func (v *view) showSystem(name string) error {
	if to, err := os.Readlink("/" + name); err == nil {
		return unix.Symlinkat(to, v.root, name)
	}
	err := v.show("/"+name, name, true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// show puts what lies at the host's path into the tree, read-only unless it is a
// device.
func (v *view) show(host, path string, readOnly bool) error {
	fd, err := unix.Open(host, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "show", Path: host, Err: err}
	}
	defer unix.Close(fd) // a path
	return v.showFD(fd, path, readOnly)
}

func (v *view) showFD(fd int, path string, readOnly bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("show /%s: %w", path, err)
	}
	m, err := confine.CloneMount(fd)
	if err != nil {
		return mountFailure("showing /"+path+" to the script", err)
	}
	attrs := uint64(unix.MOUNT_ATTR_NOSUID)
	if readOnly {
		attrs |= unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NODEV
	}
	if err := confine.Restrict(m, attrs); err != nil {
		return mountFailure("showing /"+path+" to the script", err)
	}
	if err := v.attach(m, path, st.Mode&unix.S_IFMT == unix.S_IFDIR); err != nil {
		return fmt.Errorf("show /%s: %w", path, err)
	}
	return nil
}

// showFolder shows builds/ID, which must be the folder that l4d2ctl meant.
func (v *view) showFolder(o order) error {
	const plain = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	dir, err := unix.Open(o.Folder, plain, 0)
	if err != nil {
		return fmt.Errorf("open the build's folder: %w", err)
	}
	defer unix.Close(dir) // a path
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil || st.Dev != o.Dev || st.Ino != o.Ino {
		return fail(ctl.ErrInternal, "the build's folder %s was exchanged while the script was starting", o.Folder)
	}
	for name, path := range map[string]string{"in": insideIn, "out": insideOut} {
		fd, err := unix.Openat(dir, name, plain, 0)
		if err != nil {
			return fmt.Errorf("open the build's folder: %w", err)
		}
		err = v.showFD(fd, path[1:], name == "in")
		_ = unix.Close(fd) // a path
		if err != nil {
			return err
		}
	}
	if o.Previous == "" {
		return nil
	}
	return v.show(o.Previous, insidePrevious[1:], true)
}

// proc mounts the namespace's own /proc. Inside some containers the kernel refuses
// it; then there is none.
func (v *view) proc() (bool, error) {
	if err := v.at("proc", true); err != nil {
		return false, fmt.Errorf("make /proc: %w", err)
	}
	m, err := confine.NewMount("proc", confine.PlainAttrs|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return false, nil
	}
	if err := v.attach(m, "proc", true); err != nil {
		return false, fmt.Errorf("make /proc: %w", err)
	}
	return true, nil
}

// enter makes the tree the root and lets go of the host's.
func (v *view) enter() error {
	slash, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /: %w", err)
	}
	defer unix.Close(slash) // a path
	steps := []struct {
		what string
		do   func() error
	}{
		{"close the sandbox's root", func() error {
			return unix.MountSetattr(v.root, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
		}},
		{"attach the sandbox's root", func() error { return confine.Attach(v.root, slash, "") }},
		{"enter the sandbox", func() error { return unix.Fchdir(v.root) }},
		{"change the root", func() error { return unix.PivotRoot(".", ".") }},
		{"let go of the host's root", func() error { return unix.Unmount(".", unix.MNT_DETACH) }},
		{"enter the sandbox", func() error { return unix.Chdir("/") }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return nil
}
