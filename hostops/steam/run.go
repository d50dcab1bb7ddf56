package steam

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// child is one run of a program whose output matters while it runs.
type child struct {
	path    string
	args    []string
	env     []string
	dir     string
	held    []*os.File    // open in the child as well, from descriptor 3 on
	out     io.Writer     // what it prints on its terminal
	err     io.Writer     // its standard error, unchanged
	grace   time.Duration // between SIGTERM and SIGKILL
	silence time.Duration // without any output for so long it is given up
}

var errSilent = errors.New("the program printed nothing for too long")

// ending is how a child ended.
type ending struct {
	code   int    // exit code, 128+n for signal n
	signal string // its name, empty for an exit
}

// run starts the child with a terminal as its standard output, since steamcmd
// holds its lines back in lumps of 4 KB otherwise. Standard error stays apart.
// The child leads a session of its own: whatever it spawned is asked to end when
// ctx ends, killed after the grace, and killed in any case when it is gone.
func (c child) run(ctx context.Context) (ending, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	master, slave, err := terminal()
	if err != nil {
		return ending{}, fmt.Errorf("open a terminal for %s: %w", c.path, err)
	}
	defer master.Close() // nothing is written to it

	alive := newWatchdog(c.silence, func() { cancel(errSilent) })
	defer alive.stop()

	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Env, cmd.Dir, cmd.ExtraFiles = c.env, c.dir, c.held
	cmd.Stdout, cmd.Stderr = slave, alive.on(c.err)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 1}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = c.grace
	err = cmd.Start()
	_ = slave.Close() // the child has its own
	if err != nil {
		return ending{}, fmt.Errorf("start %s: %w", c.path, err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		// A terminal whose last writer is gone reads as EIO: that is its end.
		_, _ = io.Copy(alive.on(c.out), master)
	}()
	waitErr := cmd.Wait()
	// WaitDelay kills only the leader. Whoever ignored SIGTERM goes now; the group
	// id stays ours as long as one of them lives, and ESRCH is the usual answer.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	drain(read, master)
	if cause := context.Cause(ctx); cause != nil {
		return endingOf(cmd.ProcessState), cause
	}
	var exit *exec.ExitError
	if waitErr != nil && !errors.As(waitErr, &exit) && !errors.Is(waitErr, exec.ErrWaitDelay) {
		return ending{}, fmt.Errorf("wait for %s: %w", c.path, waitErr)
	}
	return endingOf(cmd.ProcessState), nil
}

// terminal opens a pair whose master can be closed while it is read: a descriptor
// that was looked at by Fd, as the library does, would stay blocked.
func terminal() (master, slave *os.File, err error) {
	first, slave, err := pty.Open()
	if err != nil {
		return nil, nil, err
	}
	defer first.Close() // the duplicate stays
	// Wide enough that no line is ever wrapped. A terminal without it still works.
	_ = pty.Setsize(first, &pty.Winsize{Rows: 50, Cols: 1000})
	fd, err := unix.FcntlInt(first.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		_ = slave.Close() // the first error matters more
		return nil, nil, err
	}
	return os.NewFile(uintptr(fd), first.Name()), slave, nil
}

// drain waits for the rest of the output. Someone who left the session may still
// hold the terminal open; after a moment nobody waits for them any more.
func drain(read <-chan struct{}, master *os.File) {
	select {
	case <-read:
	case <-time.After(2 * time.Second):
		_ = master.Close() // ends the reader
		<-read
	}
}

func endingOf(state *os.ProcessState) ending {
	if state == nil {
		return ending{}
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return ending{code: 128 + int(ws.Signal()), signal: ws.Signal().String()}
	}
	return ending{code: state.ExitCode()}
}

// watchdog calls bark when nothing was written through it for a while.
type watchdog struct {
	mu      sync.Mutex
	timer   *time.Timer
	patient time.Duration
	stopped bool
}

func newWatchdog(patient time.Duration, bark func()) *watchdog {
	return &watchdog{timer: time.AfterFunc(patient, bark), patient: patient}
}

func (w *watchdog) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.timer.Stop()
}

func (w *watchdog) on(out io.Writer) io.Writer {
	return writerFunc(func(b []byte) (int, error) {
		w.mu.Lock()
		if !w.stopped {
			w.timer.Reset(w.patient)
		}
		w.mu.Unlock()
		return out.Write(b)
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
