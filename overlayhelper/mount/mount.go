// Package mount carries out what overlayhelper decides: it mounts, unmounts and
// purges the overlay of one server in the mount namespace of process 1. It is
// the only code of left4me that runs as root on a host.
//
// It takes a verb and a name, nothing else: the state root is compiled in, the
// users come from /etc/passwd, and every folder is opened from a descriptor of
// the one above it, without following any link. What was checked on a
// descriptor is used by that descriptor. It knows nothing of units, games or
// blueprints. Start at Run.
//
// There is one way to mount, for Linux 6.1 and later: the layers are cloned as
// detached mounts, an overlay of them is made on a private stage (stage.go), and
// one move_mount makes it visible, complete. Killed anywhere, the helper leaves
// either nothing or a whole mount, and the next call goes on from there.
package mount

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"path"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"left4me/overlayhelper"
)

// How long the helper waits before it gives up.
const (
	lockLimit  = 10 * time.Second        // for another helper with the same name
	busyLimit  = 3 * time.Second         // for the last user of a mount to let go
	inUseLimit = 1500 * time.Millisecond // for the kernel to be done with a former overlay
	pollEvery  = 10 * time.Millisecond
)

const lockDir = "left4me-overlay" // below /run

// Run carries out the request. The process belongs to it: it changes the
// calling thread's namespace, working directory and table of descriptors for
// good, so the caller must be main and end afterwards. Errors are those of overlayhelper.
func Run(r overlayhelper.Request) error {
	runtime.LockOSThread() // never unlocked: this thread moves to another namespace
	if unix.Geteuid() != 0 {
		return overlayhelper.Fail(overlayhelper.ErrUsage, "only root may %s a server's overlay; start or stop the unit left4me-server@%s instead", r.Verb, r.Name)
	}
	if err := isolate(); err != nil {
		return err
	}
	ns, err := enterHost()
	if err != nil {
		return err
	}
	step("entered")
	// Only now: the caller's /run may be one of its own, and then two callers
	// would lock two files.
	if err := lock(r.Name); err != nil {
		return err
	}
	step("locked")
	h, err := openHost(ns)
	if err != nil {
		return err
	}
	switch r.Verb {
	case overlayhelper.Mount:
		return h.mount(r.Name)
	case overlayhelper.Umount:
		return h.umount(r.Name)
	case overlayhelper.Purge:
		return h.purge(r.Name)
	}
	return overlayhelper.ErrUsage
}

// isolate makes the process independent of what it was started with.
func isolate() error {
	// A closed terminal, a full file size limit: an error to report, not an end.
	signal.Ignore(unix.SIGHUP, unix.SIGPIPE, unix.SIGXFSZ)
	unix.Umask(0o022)
	if err := unix.Chdir("/"); err != nil {
		return failed("enter /", err)
	}
	// The runtime's poller is made now, while all threads have the same
	// descriptors: this thread leaves them in enterHost.
	r, w, err := os.Pipe()
	if err != nil {
		return failed("make a pipe", err)
	}
	if err := errors.Join(r.Close(), w.Close()); err != nil {
		return failed("close a pipe", err)
	}
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return failed("set inherited descriptors aside", err)
	}
	return nil
}

// host is the state root in process 1's mount namespace.
type host struct {
	ns    int // that namespace
	state int
	users overlayhelper.Users
}

func openHost(ns int) (*host, error) {
	users, err := readUsers()
	if err != nil {
		return nil, err
	}
	fd, err := openat2(unix.AT_FDCWD, overlayhelper.StateRoot, pathDir, unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_MAGICLINKS)
	if err != nil {
		return nil, failed("open "+overlayhelper.StateRoot, err)
	}
	return &host{ns: ns, state: fd, users: users}, nil
}

// lock holds runtime's only lock: of two helpers with one name the second waits.
// The file stays: to remove it would let two processes hold two locks of one
// name. It is released by the end of the process.
func lock(name string) error {
	run, err := openat2(unix.AT_FDCWD, "/run", pathDir, unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_MAGICLINKS)
	if err != nil {
		return failed("open /run", err)
	}
	dir, err := ensureDir(run, lockDir, dirSpec{mode: 0o700})
	if err != nil {
		return err
	}
	fd, err := unix.Openat(dir, name+".lock", unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return failed("open the lock of "+name, err)
	}
	free, err := poll(lockLimit, func() (bool, error) {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return failed("lock "+name, err)
	}
	if !free {
		return overlayhelper.Fail(overlayhelper.ErrLocked, "another left4me-overlay has been at work on %s for more than %s; look for it with ps, and try again", name, lockLimit)
	}
	return nil
}

// poll asks until the answer is yes or an error, and returns whether it was yes
// before the limit.
func poll(limit time.Duration, ask func() (bool, error)) (bool, error) {
	for deadline := time.Now().Add(limit); ; time.Sleep(pollEvery) {
		if yes, err := ask(); yes || err != nil {
			return yes, err
		}
		if time.Now().After(deadline) {
			return false, nil
		}
	}
}

// mount is the algorithm in three parts: check, build aside, show.
func (h *host) mount(name string) error {
	layers, instance, err := h.readLayers(name)
	if err != nil {
		return err
	}
	c := newClones(h.users)
	lowers, err := h.openLayers(c, instance, layers)
	if err != nil {
		return err
	}
	step("resolved")
	run, err := h.ensureRun(name)
	if err != nil {
		return err
	}
	step("directories")
	source := overlayhelper.Source(name, layers)
	merged, err := openBeneath(run, dirMerged, pathDir, unix.RESOLVE_NO_XDEV)
	if errors.Is(err, unix.EXDEV) {
		return whatIsMounted(run, name, source)
	}
	if err != nil {
		return failed("open "+mergedPath(name), err)
	}
	b := &build{name: name, source: source, lowers: lowers}
	if err := b.openUpper(c, run, h.users); err != nil {
		return err
	}
	b.clones = c.all
	step("cloned")
	overlay, err := b.detached(h.ns)
	if err != nil {
		return err
	}
	step("built")
	if err := writeApplied(run, overlayhelper.EncodeApplied(name, layers)); err != nil {
		return err
	}
	step("applied")
	if err := attach(overlay, merged, run, name); err != nil {
		_ = unix.Unlinkat(run, fileApplied, 0) // a record of nothing; the next call rewrites it
		return err
	}
	return nil
}

// whatIsMounted answers mount where something is mounted already.
func whatIsMounted(run int, name, source string) error {
	m, err := mountedOn(run)
	if err != nil {
		return err
	}
	switch {
	case m == nil:
		return overlayhelper.Fail(overlayhelper.ErrBusy, "what was mounted on %s went away just now; try again", mergedPath(name))
	case m.Type == "overlay" && m.Source == source:
		return nil
	case m.OfInstance(name):
		return overlayhelper.Fail(overlayhelper.ErrOtherMount, "%s is mounted with other layers; stop the server first, then start it with the new ones", name)
	}
	return overlayhelper.Fail(overlayhelper.ErrOtherMount, "something else (%s %.80q) is mounted on %s; unmount it by hand", m.Type, m.Source, mergedPath(name))
}

// attach makes the overlay visible and makes sure that it went where it should.
func attach(overlay, merged, run int, name string) error {
	err := unix.MoveMount(overlay, "", merged, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return failed("attach the overlay of "+name, err)
	}
	step("attached")
	want, err := statMount(overlay)
	if err == nil {
		var got mountStat
		var fd int
		if fd, err = openBeneath(run, dirMerged, pathDir, 0); err == nil {
			got, err = statMount(fd)
			_ = unix.Close(fd) // opened by path only
		}
		if err == nil && got.root && got.id == want.id {
			step("verified")
			return nil
		}
	}
	// By its descriptor, so that nothing else can be hit.
	_ = unix.Unmount(fmt.Sprintf("/proc/thread-self/fd/%d", overlay), unix.MNT_DETACH) // best effort; the sweep of umount finds it by its source
	if err != nil {
		return failed("find the overlay of "+name+" again", err)
	}
	return overlayhelper.Fail(overlayhelper.ErrRefused, "%s was exchanged while it was being mounted; nothing is mounted now", mergedPath(name))
}

func mergedPath(name string) string {
	return path.Join(overlayhelper.StateRoot, dirRuntime, name, dirMerged)
}

// failed is an error of class ErrFailed: doing what, and the system's words.
func failed(doing string, err error) error {
	var known interface{ Unwrap() []error }
	if errors.As(err, &known) {
		return err // it has its sentence and class already
	}
	return overlayhelper.Fail(overlayhelper.ErrFailed, "cannot %s: %w", strings.TrimSpace(doing), err)
}
