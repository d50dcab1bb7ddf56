package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// The names in runtime/NAME. The folder belongs to this package alone.
const (
	dirUpper   = "upper"       // what the game wrote
	dirWork    = "work"        // overlayfs's own
	dirMerged  = "merged"      // empty on the host, the game's tree in its namespace
	dirAnchor  = "anchor"      // always empty: the constant lower layer of the in-use probe
	dirLog     = "log"         // console, see log.go
	fileLock   = "keeper.lock" // locked by the keeper as long as it lives
	fileSocket = "keeper.sock" // the keeper listens here
	fileErrors = "keeper.log"  // what the keeper itself had to say, normally nothing
	fileRecord = "state.json"  // record
)

// openFlags of a path that is only resolved, never read.
const pathOnly = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// openBeneath opens path below dir and follows no link of any kind on the way.
func openBeneath(dir int, path string, flags int, mode uint32) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags) | unix.O_CLOEXEC,
		Mode:    uint64(mode),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(dir, path, &how)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), path), nil
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR): // a rename raced with the walk
			continue
		case errors.Is(err, unix.ELOOP):
			return nil, fail(ctl.ErrInternal, "%s is a symbolic link, or below one, where a plain folder or file must be; remove the link", path)
		}
		if errors.Is(err, unix.ENOTDIR) && flags&unix.O_DIRECTORY != 0 {
			return nil, fail(ctl.ErrInternal, "%s is a symbolic link or a file where a folder must be; remove it", path)
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
}

func fdOf(f *os.File) int { return int(f.Fd()) }

// runDir is runtime/NAME of one instance, held open.
type runDir struct {
	dir *os.File // O_PATH in the host's tree; in the keeper a detached mount
}

func (d *runDir) close() { _ = d.dir.Close() } // O_PATH; nothing can be lost

// openStateRoot opens the state root by its real path and returns both.
func openStateRoot(root string) (*os.File, string, error) {
	if root == "" {
		return nil, "", fmt.Errorf("the state root is not set: %w", ctl.ErrInternal)
	}
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, "", fmt.Errorf("find the state root %s: %w", root, err)
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return nil, "", fmt.Errorf("open the state root: %w", err)
	}
	if real == "/" {
		return nil, "", fmt.Errorf("the state root must be a folder of its own, not /: %w", ctl.ErrInternal)
	}
	fd, err := unix.Open(real, pathOnly, 0)
	if err != nil {
		return nil, "", fmt.Errorf("open the state root %s: %w", real, err)
	}
	return os.NewFile(uintptr(fd), real), real, nil
}

// openRun opens runtime/NAME; fs.ErrNotExist when the instance never ran.
func openRun(root *os.File, name string) (*runDir, error) {
	d, err := openBeneath(fdOf(root), "runtime/"+name, pathOnly, 0)
	if err != nil {
		return nil, err
	}
	return &runDir{d}, nil
}

// makeRun opens runtime/NAME and makes it and its folders where they are missing.
func makeRun(root *os.File, name string) (*runDir, error) {
	if err := mkdirAt(fdOf(root), "runtime", 0o755); err != nil {
		return nil, err
	}
	rt, err := openBeneath(fdOf(root), "runtime", pathOnly, 0)
	if err != nil {
		return nil, err
	}
	defer rt.Close()
	if err := mkdirAt(fdOf(rt), name, 0o700); err != nil {
		return nil, err
	}
	d, err := openRun(root, name)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{dirUpper, dirWork, dirMerged, dirAnchor, dirLog} {
		if err := mkdirAt(fdOf(d.dir), sub, 0o755); err != nil {
			d.close()
			return nil, err
		}
		f, err := openBeneath(fdOf(d.dir), sub, pathOnly, 0) // refuses a link that was planted
		if err != nil {
			d.close()
			return nil, err
		}
		_ = f.Close() // O_PATH; nothing can be lost
	}
	return d, nil
}

// mkdirAt makes one folder; one that is there is success.
func mkdirAt(dir int, name string, mode uint32) error {
	err := unix.Mkdirat(dir, name, mode)
	switch {
	case err == nil, errors.Is(err, unix.EEXIST):
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fail(ctl.ErrDiskFull, "the disk that holds the state folder is full: %s could not be made (%w); free some space and start again", name, err)
	}
	return &fs.PathError{Op: "mkdir", Path: name, Err: err}
}

// read returns a whole small file.
func (d *runDir) read(name string) ([]byte, error) {
	f, err := openBeneath(fdOf(d.dir), name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

// replace writes a file so that a reader, or a machine that lost its power, sees
// the old or the new content and nothing between.
func (d *runDir) replace(name string, content []byte) error {
	tmp := "." + name + ".new"
	_ = unix.Unlinkat(fdOf(d.dir), tmp, 0) // left by a crash, if there
	f, err := openBeneath(fdOf(d.dir), tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err == nil {
		if _, err = f.Write(content); err == nil {
			err = f.Sync()
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}
	if err == nil {
		err = unix.Renameat(fdOf(d.dir), tmp, fdOf(d.dir), name)
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		_ = unix.Unlinkat(fdOf(d.dir), tmp, 0) // half of a file is of no use
		return fail(ctl.ErrDiskFull, "the disk that holds the state folder is full: %s could not be written (%w); free some space and try again", name, err)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// record is what stays of an instance when its keeper is gone: state.json.
type record struct {
	State    ctl.ServerState `json:"state"`
	Since    time.Time       `json:"since"`
	Message  string          `json:"message,omitempty"`
	Restarts int             `json:"restarts,omitempty"`
	Exit     *ctl.Exit       `json:"exit,omitempty"`
	Applied  *ctl.Applied    `json:"applied,omitempty"` // of the running or failed game
	BootID   string          `json:"boot_id,omitempty"` // a record of another boot cannot have a living keeper
}

// live says that a keeper should be there for this record.
func (r record) live() bool {
	return r.State == ctl.ServerStarting || r.State == ctl.ServerRunning || r.State == ctl.ServerStopping
}

// readRecord returns a stopped record for an instance that never ran.
func (d *runDir) readRecord() (record, error) {
	b, err := d.read(fileRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return record{State: ctl.ServerStopped}, nil
	}
	if err != nil {
		return record{}, err
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return record{State: ctl.ServerUnknown, Message: "The record of this server is damaged; stop it once to set it right."}, nil
	}
	return r, nil
}

func (d *runDir) writeRecord(r record) error {
	r.BootID = bootID()
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the server's record: %w", err)
	}
	return d.replace(fileRecord, b)
}

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "" // unknown equals unknown: nothing is concluded from it
	}
	return strings.TrimSpace(string(b))
}

// errHeld says that a keeper, or a start that is about to make one, is alive.
var errHeld = errors.New("a keeper holds the lock")

// lock takes the keeper's lock. It is an open-file-description lock: the keeper
// inherits it and the kernel drops it when the last of its processes is gone.
func (d *runDir) lock() (*os.File, error) {
	f, err := openBeneath(fdOf(d.dir), fileLock, unix.O_RDWR|unix.O_CREAT|unix.O_NONBLOCK, 0o600)
	if err != nil {
		if errors.Is(err, unix.ENOSPC) {
			err = fail(ctl.ErrDiskFull, "the disk that holds the state folder is full (%w); free some space and try again", err)
		}
		return nil, err
	}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	if err == nil {
		return f, nil
	}
	_ = f.Close() // nothing was written
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return nil, errHeld
	}
	return nil, fmt.Errorf("lock %s: %w", fileLock, err)
}

// held says whether somebody holds the lock, without ever taking it.
func (d *runDir) held() (bool, error) {
	f, err := openBeneath(fdOf(d.dir), fileLock, unix.O_RDWR|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	lk := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lk); err != nil {
		return false, fmt.Errorf("ask for the lock of the keeper: %w", err)
	}
	return lk.Type != unix.F_UNLCK, nil
}
