package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// folder is builds/ID of one run, held open and locked. What lies in out was made
// by a script, and maybe by another user.
type folder struct {
	path string // real path
	dir  *os.File
	in   *os.File
	gid  int // whose members run scripts; that of builds/
}

// openFolder makes builds/ID ready below the state root. ctl.ErrBusy means that a
// script of that ID runs.
func openFolder(root, id string) (*folder, error) {
	builds := filepath.Join(root, "builds")
	if err := os.Mkdir(builds, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, diskFailure(fmt.Errorf("make the folder for builds: %w", err))
	}
	real, err := filepath.EvalSymlinks(builds)
	if err != nil {
		return nil, fmt.Errorf("find the folder for builds: %w", err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return nil, fmt.Errorf("look at the folder for builds: %w", err)
	}
	f := &folder{path: filepath.Join(real, id), gid: -1}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		f.gid = int(st.Gid)
	}
	for {
		if err := f.mkdir("", 0o750); err != nil {
			return nil, err
		}
		if f.dir, err = openDir(unix.AT_FDCWD, f.path); err != nil {
			return nil, fmt.Errorf("open the build's folder: %w", err)
		}
		if err := unix.Flock(int(f.dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			_ = f.dir.Close() // read only
			return nil, fail(ctl.ErrBusy, "a build of overlay %s is under way; try again when it is done", id)
		}
		if f.still() {
			return f, nil
		}
		_ = f.dir.Close() // whoever had it before has removed it meanwhile
	}
}

// still reports whether what was locked is what the path leads to.
func (f *folder) still() bool {
	locked, err := f.dir.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(f.path)
	return err == nil && os.SameFile(locked, there)
}

// openDir opens a folder that is no link.
func openDir(at int, name string) (*os.File, error) {
	fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// mkdir makes a folder of ours that scripts may enter, or finds it.
func (f *folder) mkdir(name string, mode os.FileMode) error {
	path := filepath.Join(f.path, name)
	err := os.Mkdir(path, mode)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return diskFailure(fmt.Errorf("make the build's folder: %w", err))
	}
	if err != nil {
		return nil
	}
	return f.open(path, mode)
}

// open gives the group of those who run scripts its rights to a file of ours.
func (f *folder) open(path string, mode os.FileMode) error {
	if err := os.Lchown(path, -1, f.gid); err != nil {
		return fail(ctl.ErrNotPermitted, "the build's folder cannot be given to the group %d (%v): this user must be in it", f.gid, err)
	}
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("open the build's folder: %w", err)
	}
	return nil
}

// fill puts there what the sandbox is given. uid is the user that it runs as.
func (f *folder) fill(b Build, uid int) error {
	if err := os.RemoveAll(filepath.Join(f.path, "in")); err != nil {
		return fmt.Errorf("clear the build's folder: %w", err)
	}
	if err := os.Remove(filepath.Join(f.path, "previous")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clear the build's folder: %w", err)
	}
	for name, mode := range map[string]os.FileMode{"in": 0o750, "out": 0o770} {
		if err := f.mkdir(name, mode); err != nil {
			return err
		}
	}
	if err := f.mkdir("in/etc", 0o750); err != nil {
		return err
	}
	if b.Previous != "" {
		if err := os.Symlink(b.Previous, filepath.Join(f.path, "previous")); err != nil {
			return diskFailure(fmt.Errorf("show the version before: %w", err))
		}
	}
	u := strconv.Itoa(uid)
	for name, text := range map[string]string{
		fileScript:          b.Script,
		"etc/passwd":        "build:x:" + u + ":" + strconv.Itoa(f.gid) + "::/tmp:/bin/bash\n",
		"etc/group":         "build:x:" + strconv.Itoa(f.gid) + ":\n",
		"etc/hosts":         "127.0.0.1 localhost\n",
		"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
	} {
		path := filepath.Join(f.path, "in", name)
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			return diskFailure(fmt.Errorf("write the build's script: %w", err))
		}
		if err := f.open(path, 0o640); err != nil {
			return err
		}
	}
	in, err := openDir(int(f.dir.Fd()), "in")
	if err != nil {
		return err
	}
	f.in = in
	return nil
}

// listen opens a socket in the folder that is given to the sandbox. By way of a
// descriptor: the path may be longer than the 108 bytes of a socket's address.
func (f *folder) listen(name string) (*net.UnixListener, error) {
	short := "/proc/self/fd/" + strconv.Itoa(int(f.in.Fd())) + "/" + name
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, diskFailure(fmt.Errorf("make the build's socket: %w", err))
	}
	l.SetUnlinkOnClose(false) // the folder goes as a whole
	if err := f.open(filepath.Join(f.path, "in", name), 0o660); err != nil {
		_ = l.Close() // nobody connected
		return nil, err
	}
	return l, nil
}

// errClosed says that out holds folders which only the script's user can open.
var errClosed = errors.New("the output is closed to this user")

// remove removes everything. errClosed: the script's user has to empty out first.
func (f *folder) remove() error {
	out, err := openDir(int(f.dir.Fd()), "out")
	if err == nil {
		err = empty(out)
		_ = out.Close() // read only
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return errClosed
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("remove the build's output: %w", err)
	}
	if err := os.RemoveAll(f.path); err != nil {
		return fmt.Errorf("remove the build's folder: %w", err)
	}
	return nil
}

func (f *folder) close() {
	if f.in != nil {
		_ = f.in.Close() // read only
	}
	_ = f.dir.Close() // read only; this unlocks
}

// ids lists what lies in builds/.
func ids(root string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(root, "builds"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the builds: %w", err)
	}
	var list []string
	for _, e := range entries {
		if e.IsDir() && idPattern.MatchString(e.Name()) {
			list = append(list, e.Name())
		}
	}
	return list, nil
}

// diskFailure says a full disk in a sentence.
func diskFailure(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fail(ctl.ErrDiskFull, "the disk that holds the state folder is full (%v): make room and build again", err)
	}
	return err
}
