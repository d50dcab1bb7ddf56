package supervisor

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// answerLimit is how long a healthy keeper may take for an answer. It does
// nothing else, so longer than this means that it hangs.
const answerLimit = 2 * time.Second

// answer is what a keeper said, and hold of its process.
type answer struct {
	wireStatus
	gamePID int      // in our PID namespace; 0 when the game is not up
	keeper  *os.File // pidfd; nil when the keeper is in a PID namespace we cannot see
}

func (a *answer) close() error {
	if a.keeper == nil {
		return nil
	}
	return a.keeper.Close()
}

// errMute says that a keeper took the connection and did not answer.
var errMute = errors.New("the keeper does not answer")

// ask sends one request to the keeper. On errMute the answer holds the process
// all the same, so that it can be killed.
func (d *runDir) ask(ctx context.Context, what string) (*answer, error) {
	// By descriptor: the path itself may be longer than a socket address holds.
	at := fmt.Sprintf("/proc/self/fd/%d/%s", fdOf(d.dir), fileSocket)
	c, err := (&net.Dialer{Timeout: answerLimit}).DialContext(ctx, "unix", at)
	if err != nil {
		return nil, fmt.Errorf("reach the keeper: %w", err)
	}
	defer c.Close()
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("reach the keeper: %T is no unix connection", c)
	}
	a := &answer{}
	if a.keeper, err = d.peer(u); err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(answerLimit)) // cannot fail on a connected socket
	if _, err := c.Write(encodeLine(wireRequest{Do: what})); err != nil {
		return a, errMute
	}
	if err := a.receive(u); err != nil {
		return a, errMute
	}
	return a, nil
}

// peer takes hold of the process that listens on the other side.
func (d *runDir) peer(u *net.UnixConn) (*os.File, error) {
	raw, err := u.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("look at the keeper: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || credErr != nil {
		return nil, fmt.Errorf("look at the keeper: %w", errors.Join(err, credErr))
	}
	if int(cred.Uid) != os.Geteuid() && os.Geteuid() != 0 {
		return nil, fmt.Errorf("another user listens on %s: %w", fileSocket, ctl.ErrInternal)
	}
	if cred.Pid <= 0 {
		return nil, nil // in another branch of PID namespaces; its lock still tells of its end
	}
	fd, err := unix.PidfdOpen(int(cred.Pid), 0)
	if err != nil {
		return nil, fmt.Errorf("take hold of the keeper: %w", err)
	}
	f := os.NewFile(uintptr(fd), "keeper")
	// The number could have been given to another process, but not while the
	// keeper lives, and its lock says that it still does.
	if held, err := d.held(); err != nil || !held {
		_ = f.Close() // not what we wanted
		return nil, fmt.Errorf("take hold of the keeper: %w", errors.Join(err, unix.ESRCH))
	}
	return f, nil
}

// receive reads the status line and the game's process descriptor.
func (a *answer) receive(u *net.UnixConn) error {
	var line []byte
	buf, oob := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4))
	for !bytes.HasSuffix(line, []byte{'\n'}) {
		n, oobn, _, _, err := u.ReadMsgUnix(buf, oob)
		if err != nil {
			return err
		}
		if n == 0 {
			return bufio.ErrAdvanceTooFar
		}
		line = append(line, buf[:n]...)
		if oobn > 0 {
			a.gamePID = pidOf(oob[:oobn])
		}
	}
	return json.Unmarshal(line, &a.wireStatus)
}

// pidOf reads our number for the process whose descriptor came with a message.
func pidOf(oob []byte) int {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(msgs) == 0 {
		return 0
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) == 0 {
		return 0
	}
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd) // a process descriptor; nothing can be lost
		}
	}()
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(fds[0]))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(info)) {
		if v, ok := strings.CutPrefix(line, "Pid:"); ok {
			if pid, err := strconv.Atoi(strings.TrimSpace(v)); err == nil && pid > 0 {
				return pid
			}
		}
	}
	return 0
}

// Stop implements Supervisor. It returns when the keeper is gone, and with it
// every process and mount of the instance. Its own errors are ctl.ErrBadName,
// ctl.ErrBusy and ctl.ErrCancelled; a cancelled Stop still ends the server.
func (r *Rootless) Stop(ctx context.Context, name string) error {
	run, err := r.open(name)
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer run.close()
	for begin := time.Now(); ; {
		held, err := run.held()
		if err != nil {
			return err
		}
		if !held {
			return run.markStopped()
		}
		a, err := run.ask(ctx, "stop")
		if a != nil {
			err = a.awaitEnd(ctx, run, err)
			_ = a.close() // a process descriptor; nothing can be lost
			if err != nil {
				return fmt.Errorf("stop %s: %w", name, err)
			}
			continue
		}
		// It has not come as far as its socket, or is just going.
		if time.Since(begin) > busyLimit {
			return fail(ctl.ErrBusy, "something holds %s for %s without being its keeper: another l4d2ctl start hangs; end that process (%w)", name, busyLimit, err)
		}
		if werr := wait(ctx, pollEvery); werr != nil {
			return fmt.Errorf("stop %s: %w (%v)", name, werr, err)
		}
	}
}

// awaitEnd waits for the keeper's end and kills it when it takes longer than it
// may. asked is the failure of asking, if any.
func (a *answer) awaitEnd(ctx context.Context, run *runDir, asked error) error {
	patience := time.Duration(a.Grace)*time.Millisecond + 10*time.Second
	if asked != nil {
		patience = 0
	}
	deadline := time.Now().Add(patience)
	for {
		gone, err := a.gone(run)
		if err != nil || gone {
			return err
		}
		if a.keeper != nil && time.Now().After(deadline) {
			err := unix.PidfdSendSignal(fdOf(a.keeper), unix.SIGKILL, nil, 0)
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("kill the keeper: %w", err)
			}
		}
		if ctx.Err() != nil {
			return cancelled(ctx)
		}
	}
}

// gone waits a moment for the keeper's end.
func (a *answer) gone(run *runDir) (bool, error) {
	if a.keeper == nil {
		time.Sleep(pollEvery)
		held, err := run.held()
		return !held, err
	}
	fds := []unix.PollFd{{Fd: int32(fdOf(a.keeper)), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 50)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return false, fmt.Errorf("wait for the keeper: %w", err)
	}
	return n > 0, nil
}

// markStopped makes the record of an instance without a keeper say stopped. It
// keeps how the game ended.
func (d *runDir) markStopped() error {
	rec, err := d.readRecord()
	if err != nil {
		return err
	}
	if rec.State == ctl.ServerStopped {
		return nil
	}
	lock, err := d.lock() // or a start that is just beginning would be overwritten
	if errors.Is(err, errHeld) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	_ = unix.Unlinkat(fdOf(d.dir), fileSocket, 0) // of a keeper that was killed, if there
	return d.writeRecord(record{State: ctl.ServerStopped, Since: time.Now().UTC(), Exit: rec.Exit})
}

// open opens runtime/NAME; fs.ErrNotExist when the instance never ran.
func (r *Rootless) open(name string) (*runDir, error) {
	if err := ctl.CheckName(name); err != nil {
		return nil, err
	}
	root, _, err := openStateRoot(r.Root)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return openRun(root, name)
}

// Stamp implements Supervisor. The keeper records each state that lasts.
func (r *Rootless) Stamp(name string) string {
	return stampOf(filepath.Join(r.Root, "runtime", name, fileRecord))
}

// Status implements Supervisor. An instance that never ran is stopped.
func (r *Rootless) Status(ctx context.Context, name string) (Instance, error) {
	run, err := r.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return Instance{State: ctl.ServerStopped}, nil
	}
	if err != nil {
		return Instance{}, err
	}
	defer run.close()
	for {
		held, err := run.held()
		if err != nil {
			return Instance{}, err
		}
		if !held {
			return run.statusOfDead()
		}
		a, err := run.ask(ctx, "status")
		if err == nil {
			_ = a.close() // a process descriptor; nothing can be lost
			i := Instance{
				State: a.State, Since: a.Since, PID: a.gamePID, Restarts: a.Restarts,
				Exit: a.Exit, Applied: a.Applied, Message: a.Message, Memory: a.Memory, CPU: a.CPU,
			}
			if i.Memory == 0 && i.PID != 0 { // it has no /proc of its own
				i.Memory, i.CPU = processUse(i.PID)
			}
			return i, nil
		}
		if a != nil { // it listens but does not answer
			_ = a.close()
		} else if still, herr := run.held(); herr == nil && !still {
			continue // it ended while we asked: the record says how
		}
		if ctx.Err() != nil {
			return Instance{}, cancelled(ctx)
		}
		return run.statusOfMute(a != nil)
	}
}

// statusOfMute is for a keeper that lives and does not answer: it is still
// mounting, or it hangs.
func (d *runDir) statusOfMute(listens bool) (Instance, error) {
	rec, err := d.readRecord()
	if err != nil {
		return Instance{}, err
	}
	i := Instance{State: rec.State, Since: rec.Since, Restarts: rec.Restarts, Exit: rec.Exit, Applied: rec.Applied, Message: rec.Message}
	if rec.State != ctl.ServerStarting && listens {
		i.State, i.Message = ctl.ServerUnknown, "The keeper of this server does not answer; stopping the server ends it."
	}
	return i, nil
}

// statusOfDead reads what the last keeper left.
func (d *runDir) statusOfDead() (Instance, error) {
	rec, err := d.readRecord()
	if err != nil {
		return Instance{}, err
	}
	i := Instance{State: rec.State, Since: rec.Since, Restarts: rec.Restarts, Exit: rec.Exit, Message: rec.Message}
	switch {
	case rec.State == ctl.ServerStopping:
		i.State, i.Message = ctl.ServerStopped, "The keeper was killed while the server was stopping."
	case rec.live() && rec.BootID != bootID():
		i.State, i.Applied, i.Lost = ctl.ServerFailed, rec.Applied, true
		i.Message = "The machine was restarted while this server ran; start it again."
	case rec.live():
		i.State, i.Applied, i.Since, i.Lost = ctl.ServerFailed, rec.Applied, d.lastSign(rec.Since), true
		i.Message = "The keeper was killed; the game and its mounts went with it. Start the server again."
	case rec.State == ctl.ServerFailed:
		i.Applied, i.Lost = rec.Applied, rec.BootID != bootID()
	}
	return i, nil
}

// lastSign is the last time at which a keeper that was killed is known to have
// lived: nobody was there to note the moment of its death.
func (d *runDir) lastSign(since time.Time) time.Time {
	dir, err := openBeneath(fdOf(d.dir), dirLog, pathOnly, 0)
	if err != nil {
		return since
	}
	defer dir.Close()
	firsts, err := segments(dir)
	if err != nil || len(firsts) == 0 {
		return since
	}
	var st unix.Stat_t
	if err := unix.Fstatat(fdOf(dir), segmentName(firsts[len(firsts)-1]), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return since
	}
	if t := time.Unix(st.Mtim.Unix()).UTC(); t.After(since) {
		return t
	}
	return since
}
