package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/confine"
	"left4me/hostops/ctl"
)

// setup.go is the keeper's first stage. It is process 1 of new user, mount, PID
// and IPC namespaces with a handful of capabilities that mean something only
// there. It mounts, builds the game's view, gives every right away and then
// executes itself again: a process that was started without capabilities has
// none in any of its threads, which Go could not promise otherwise.

// Descriptors that a keeper is started with.
const (
	fdOrders = 3 + iota
	fdReady
	fdLock
)

// RunKeeper is the hidden `keeper` command: args is what follows it. Whoever
// uses Rootless makes it reachable under Rootless.Self and ends with its code.
func RunKeeper(args []string) int {
	byHand := os.Getpid() != 1
	if len(args) > 0 {
		if err := ctl.CheckName(args[0]); err != nil {
			byHand = true
		}
	}
	switch {
	case byHand:
	case len(args) == 1:
		return setUp(args[0])
	case len(args) == 4 && args[1] == "run":
		return keep(args[2], args[3])
	}
	fmt.Fprintln(os.Stderr, "keeper is started by `l4d2ctl start NAME`, never by hand")
	return ctl.ExitCode(ctl.ErrUsage)
}

// setUp is the whole first stage. It returns only when it failed, or was a trial.
func setUp(name string) int {
	runtime.LockOSThread() // the capabilities of this thread are those the second stage begins with
	ready := os.NewFile(fdReady, "ready")
	if ready == nil {
		return ctl.ExitCode(ctl.ErrUsage)
	}
	err := prepareAndExec()
	sendReport(ready, err)
	if err == nil { // it was a trial
		return 0
	}
	fmt.Fprintf(os.Stderr, "keeper of %s: %v\n", name, err)
	return ctl.ExitCode(err)
}

func prepareAndExec() error {
	// Whatever we inherited beside our own three must not reach the game.
	if err := unix.CloseRange(fdOrders, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close what was inherited: %w", err)
	}
	o, err := readOrders(fdOrders)
	if err != nil {
		return err
	}
	unix.Umask(0o022)
	self, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("find the program itself: %w", err)
	}
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return mountFailure("making the mounts private", err, confine.ReadKnobs())
	}
	root, err := reopenRoot(o)
	if err != nil {
		return err
	}
	defer root.Close()
	run, err := openRun(root, o.Name)
	if err != nil {
		return err
	}
	defer run.close()
	listener, err := listen(run)
	if err != nil {
		return err
	}
	// What the second stage writes to: a copy of its own, since the whole tree
	// is about to become read-only.
	own, err := confine.CloneMount(fdOf(run.dir))
	if err != nil {
		return mountFailure("cloning the server's folder", err, confine.ReadKnobs())
	}
	overlay, err := buildOverlay(root, run, o)
	if err != nil {
		return err
	}
	confine.ForbidNamespaces()
	v, err := collectView(root, overlay, o)
	if err != nil {
		return err
	}
	ownProc, err := v.build()
	if err != nil {
		return err
	}
	if o.Trial {
		return writeThrough(overlay)
	}
	confine.LeaveKeyring()
	if err := confine.DropEverything(); err != nil {
		return err
	}
	argv := append(append([]string{}, os.Args...), "run", strconv.Itoa(own), strconv.Itoa(listener))
	return confine.ExecSelf(self, ownProc, argv, os.Environ(), fdOrders, fdReady, fdLock, own, listener)
}

// reopenRoot opens the state root in the new mount namespace and makes sure that
// it is the folder that the caller meant.
func reopenRoot(o orders) (*os.File, error) {
	fd, err := unix.Openat2(unix.AT_FDCWD, o.Root, &unix.OpenHow{Flags: pathOnly, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return nil, fmt.Errorf("open the state root %s: %w", o.Root, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Dev != o.Dev || st.Ino != o.Ino {
		return nil, fmt.Errorf("the state root %s was exchanged while the server was starting: %w", o.Root, ctl.ErrInternal)
	}
	return os.NewFile(uintptr(fd), o.Root), nil
}

// listen binds the control socket by a relative name: an absolute one may be
// longer than the 108 bytes of a socket address.
func listen(run *runDir) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("make the control socket: %w", err)
	}
	if err := unix.Fchdir(fdOf(run.dir)); err != nil {
		return -1, fmt.Errorf("enter the server's folder: %w", err)
	}
	old := unix.Umask(0o177)
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: fileSocket})
	unix.Umask(old)
	if err == nil {
		err = unix.Listen(fd, 64)
	}
	if cerr := unix.Chdir("/"); err == nil {
		err = cerr
	}
	if errors.Is(err, unix.ENOSPC) {
		return -1, mountFailure("making the control socket", err, confine.ReadKnobs())
	}
	if err != nil {
		return -1, fmt.Errorf("listen on the control socket: %w", err)
	}
	return fd, nil
}

// wireStatus is the keeper's answer to "status", one JSON object per line.
type wireStatus struct {
	record
	Memory int64         `json:"memory,omitempty"`
	CPU    time.Duration `json:"cpu_ns,omitempty"`
	Grace  int64         `json:"grace_ms,omitempty"` // answer to "stop": how long it may take
}

// wireRequest is what the keeper is asked: one JSON object per line.
type wireRequest struct {
	Do string `json:"do"` // "status" or "stop"
}

func encodeLine(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		b = []byte("{}") // our own types cannot fail; a reader sees an empty answer
	}
	return append(b, '\n')
}
