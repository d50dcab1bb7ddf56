package mount

import (
	"bytes"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"left4me/overlayhelper"
)

// enterHost moves the calling thread into the mount namespace of process 1 and
// returns that namespace. A `+` line of a unit has one of its own, so a mount
// made there would reach neither the host nor the game.
func enterHost() (int, error) {
	if err := checkInit(); err != nil {
		return -1, err
	}
	// Go's threads share their working directory, and setns refuses that. They
	// also share their descriptors, and each time that such a table grows the
	// kernel waits for all processors: some 30 ms with 490 layers.
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_FILES); err != nil {
		return -1, failed("leave the shared working directory", err)
	}
	ns, err := unix.Open("/proc/1/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, initFailure("open the mount namespace of process 1", err)
	}
	if err := unix.Setns(ns, unix.CLONE_NEWNS); err != nil {
		return -1, initFailure("enter the mount namespace of process 1", err)
	}
	return ns, nil
}

func checkInit() error {
	var f overlayhelper.InitFacts
	for file, to := range map[string]*overlayhelper.NS{
		"/proc/thread-self/ns/pid":  &f.OwnPID,
		"/proc/thread-self/ns/user": &f.OwnUser,
		"/proc/1/ns/pid":            &f.InitPID,
		"/proc/1/ns/user":           &f.InitUser,
	} {
		var st unix.Stat_t
		if err := unix.Stat(file, &st); err != nil {
			return initFailure("look at "+file, err)
		}
		*to = overlayhelper.NS{Dev: st.Dev, Ino: st.Ino}
	}
	cgroup, err := os.ReadFile("/proc/1/cgroup")
	if err != nil && !errors.Is(err, unix.ENOENT) { // a kernel without control groups
		return initFailure("read the control group of process 1", err)
	}
	f.InitCgroup = string(cgroup)
	return overlayhelper.CheckInit(f)
}

func initFailure(doing string, err error) error {
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return overlayhelper.Fail(overlayhelper.ErrNotHost, "cannot %s: %w; run the helper as root with all capabilities, from a + line of a unit", doing, err)
	}
	return failed(doing, err)
}

// readUsers reads the host's password file, whose folder only root can change.
func readUsers() (overlayhelper.Users, error) {
	fd, err := openat2(unix.AT_FDCWD, "/etc/passwd", unix.O_RDONLY|unix.O_NONBLOCK, unix.RESOLVE_NO_MAGICLINKS)
	if err != nil {
		return overlayhelper.Users{}, failed("open /etc/passwd", err)
	}
	defer unix.Close(fd)
	b, err := readAll(fd, 16<<20)
	if err != nil {
		return overlayhelper.Users{}, failed("read /etc/passwd", err)
	}
	return overlayhelper.ParsePasswd(bytes.NewReader(b))
}

// readAll reads at most limit bytes.
func readAll(fd int, limit int64) ([]byte, error) {
	var b bytes.Buffer
	_, err := io.Copy(&b, io.LimitReader(fdReader(fd), limit))
	return b.Bytes(), err
}

type fdReader int

func (fd fdReader) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(fd), p)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}
