package supervisor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/confine"
	"left4me/hostops/ctl"
)

// Rootless runs servers without root and without systemd. Each has a keeper: a
// process with its own user, mount, PID and IPC namespaces, in which the overlay
// is mounted and the game runs. When the keeper ends, however it ends, the
// kernel takes the game's processes and the mounts with it. No file says what
// runs: the keeper's lock and socket do.
type Rootless struct {
	// Root is the state root. Below it lie the layers and runtime/NAME, which
	// belongs to this package.
	Root string
	// Self is a program and its first arguments that end in RunKeeper; the
	// instance's name is appended. Empty means this program's `keeper` command.
	Self []string
	// LogBytes and LogSegments bound an instance's console log; 0 means 4 MiB
	// for each of 8 segments.
	LogBytes    int64
	LogSegments int

	inUse time.Duration // 0: defaultInUse
}

var _ Supervisor = (*Rootless)(nil)

// keeperCaps are what the keeper's first stage needs inside its own namespaces,
// measured: overlayfs makes a folder of mode 000 and changes owners. SETPCAP
// empties the bounding set, SYS_RESOURCE forbids the game namespaces of its own.
var keeperCaps = []uintptr{
	unix.CAP_SYS_ADMIN, unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH, unix.CAP_FOWNER,
	unix.CAP_CHOWN, unix.CAP_FSETID, unix.CAP_SETPCAP, unix.CAP_SYS_RESOURCE,
}

// busyLimit is how long a server may be neither up nor down before that is a
// failure. A keeper with a game that ignores SIGINT needs the game's grace.
const busyLimit = time.Minute

// pollEvery is the pace of waiting for what the kernel does not announce.
const pollEvery = 5 * time.Millisecond

// Start implements Supervisor. Beside ctl.ErrBadSpec and ctl.ErrRoot its errors
// are ctl.ErrNoNamespaces, ErrNoOverlayFS, ErrDiskFull, ErrInUse, ErrNotFound (a
// layer is missing), ErrNotInstalled (the program is missing), ErrGameFailed and
// ErrCancelled.
func (r *Rootless) Start(ctx context.Context, l Launch) error {
	if err := checkLaunch(l); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		return fail(ctl.ErrRoot, "a game server is never run as root; start it as an ordinary user, such as: runuser -u left4me -- l4d2ctl start %s", l.Name)
	}
	root, path, err := openStateRoot(r.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	run, err := makeRun(root, l.Name)
	if err != nil {
		return fmt.Errorf("prepare the folder of %s: %w", l.Name, err)
	}
	defer run.close()
	lock, err := claim(ctx, run)
	if err != nil || lock == nil { // no lock and no error: it runs already
		return err
	}
	defer lock.Close()
	o, err := newOrders(l, root, path)
	if err != nil {
		return err
	}
	o.LogBytes, o.LogSegments, o.InUse = r.LogBytes, r.LogSegments, r.inUse
	if o.InUse == 0 {
		o.InUse = defaultInUse
	}
	applied := l.Applied
	starting := record{State: ctl.ServerStarting, Since: time.Now().UTC(), Applied: &applied}
	if err := run.writeRecord(starting); err != nil {
		return err
	}
	_ = unix.Unlinkat(fdOf(run.dir), fileSocket, 0) // of a keeper that was killed, if there
	if err := r.spawn(ctx, run, lock, o); err != nil {
		end := record{State: ctl.ServerFailed, Since: time.Now().UTC(), Message: "It could not be started: " + err.Error()}
		if errors.Is(err, ctl.ErrCancelled) {
			end.State, end.Message = ctl.ServerStopped, "Its start was cancelled."
		}
		_ = run.writeRecord(end) // the start's own error is the one to tell
		return err
	}
	return nil
}

// claim takes the keeper's lock. It returns nil and no error when the server
// runs already, and waits for a keeper that is just ending.
func claim(ctx context.Context, run *runDir) (*os.File, error) {
	for begin := time.Now(); ; {
		lock, err := run.lock()
		if !errors.Is(err, errHeld) {
			return lock, err
		}
		s, err := run.ask(ctx, "status")
		if err == nil {
			_ = s.close() // only its state was wanted
			if s.State != ctl.ServerStopping {
				return nil, nil
			}
		}
		if time.Since(begin) > busyLimit {
			return nil, fail(ctl.ErrBusy, "the server is neither up nor down for %s: another start or stop of it hangs; stop it, then start it again", busyLimit)
		}
		if err := wait(ctx, pollEvery); err != nil {
			return nil, fmt.Errorf("wait for the former end of the server: %w", err)
		}
	}
}

// wait sleeps for d or fails with the context's cause, as ctl.ErrCancelled.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return cancelled(ctx)
	}
}

func cancelled(ctx context.Context) error {
	return &failure{kind: ctl.ErrCancelled, text: "cancelled: " + context.Cause(ctx).Error(), cause: context.Cause(ctx)}
}

// spawn starts the keeper and waits until the game is up or cannot be.
func (r *Rootless) spawn(ctx context.Context, run *runDir, lock *os.File, o orders) error {
	orders, err := o.file()
	if err != nil {
		return err
	}
	defer orders.Close()
	errlog, err := openBeneath(fdOf(run.dir), fileErrors, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	defer errlog.Close()
	ready, tell, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe to the keeper: %w", err)
	}
	defer ready.Close()
	cmd := r.keeperCommand(o.Name)
	cmd.Stdout, cmd.Stderr = errlog, errlog
	cmd.ExtraFiles = []*os.File{orders, tell, lock} // fdOrders, fdReady, fdLock
	err = cmd.Start()
	_ = tell.Close() // the keeper has its own
	if err != nil {
		return namespaceFailure(err, confine.ReadKnobs())
	}
	reaped := make(chan error, 1)
	go func() { reaped <- cmd.Wait() }() // ends with the keeper; our parent adopts it if we end first
	err = awaitReport(ctx, ready)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ctl.ErrCancelled):
		_ = cmd.Process.Kill() // gone already is what we want
	}
	werr := <-reaped
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return keeperDied(run, werr)
	}
	return err
}

func (r *Rootless) keeperCommand(name string) *exec.Cmd {
	self := r.Self
	if len(self) == 0 {
		self = []string{"/proc/self/exe", "keeper"}
	}
	cmd := exec.Command(self[0], append(append([]string{}, self[1:]...), name)...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	uid, gid := os.Getuid(), os.Getgid()
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:      true, // it outlives whoever started it, and its terminal
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}},
		AmbientCaps: keeperCaps,
	}
	return cmd
}

// awaitReport reads the keeper's report. io.ErrUnexpectedEOF: it ended without.
func awaitReport(ctx context.Context, ready *os.File) error {
	stop := context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Unix(1, 0)) }) // a pipe takes deadlines
	defer stop()
	line, err := bufio.NewReader(ready).ReadBytes('\n')
	if ctx.Err() != nil {
		return cancelled(ctx)
	}
	if err != nil {
		return io.ErrUnexpectedEOF
	}
	var rep report
	if err := json.Unmarshal(line, &rep); err != nil {
		return fmt.Errorf("read the keeper's report: %w", err)
	}
	if rep.Error != nil {
		return rep.Error.err()
	}
	return nil
}

// keeperDied explains a keeper that ended without a report.
func keeperDied(run *runDir, werr error) error {
	var exit *exec.ExitError
	if errors.As(werr, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL {
			return fail(ctl.ErrCancelled, "the server was stopped while it was starting")
		}
	}
	text, err := run.read(fileErrors)
	said := strings.TrimSpace(string(text))
	if err != nil || said == "" {
		said = "it said nothing"
	}
	if i := strings.IndexByte(said, '\n'); i > 0 && i < len(said)-1 {
		said = said[:i]
	}
	return fail(ctl.ErrInternal, "the keeper ended before the game was up (%v): %s; the whole of it is in %s", werr, said, filepath.Join("runtime", "NAME", fileErrors))
}
