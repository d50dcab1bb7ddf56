package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"

	"left4me/hostops/ctl"
)

// maxEventLine bounds one line of l4d2ctl's output in memory. l4d2ctl keeps
// itself far below it.
const maxEventLine = 2 << 20

// lineWriter hands over complete lines. It is given to exec.Cmd instead of a
// pipe of ours, so that Wait waits for the last line and nothing races it.
type lineWriter struct {
	buf  []byte
	each func([]byte)
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		w.each(append(w.buf, p[:i]...))
		w.buf, p = w.buf[:0], p[i+1:]
	}
	if w.buf = append(w.buf, p...); len(w.buf) > maxEventLine {
		w.each(w.buf)
		w.buf = w.buf[:0]
	}
	return n, nil
}

func (w *lineWriter) close() {
	if len(w.buf) > 0 {
		w.each(w.buf)
		w.buf = nil
	}
}

// tailBuffer keeps the last bytes of a stream.
type tailBuffer struct{ buf []byte }

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if n := len(t.buf); n > 4<<10 {
		t.buf = append(t.buf[:0], t.buf[n-4<<10:]...)
	}
	return len(p), nil
}

// ctl runs l4d2ctl with args, its stdin from input, and turns its events into
// log lines, steps and observations. A failure is a *failure with l4d2ctl's exit
// code and its sentence.
func (a *attempt) ctl(ctx context.Context, input []byte, args ...string) error {
	a.log(a.w.now(), ctl.StreamCtl, "l4d2ctl "+strings.Join(args, " "))
	var (
		result  *ctl.Result
		unheard error
	)
	out := &lineWriter{each: func(line []byte) {
		switch e := ctl.Parse(line); e.Type {
		case ctl.EventLog:
			a.log(e.At, e.Stream, e.Text)
		case ctl.EventPhase, ctl.EventProgress:
			a.step(e)
		case ctl.EventState:
			if e.Status != nil {
				a.w.observed(ctx, *e.Status)
			}
		case ctl.EventGame:
			if e.Game != nil {
				a.w.observedGame(ctx, *e.Game)
			}
		case ctl.EventFinding:
			if e.Finding != nil {
				a.log(e.At, ctl.StreamCtl, findingLine(*e.Finding))
			}
		case ctl.EventResult:
			result = e.Result
		default:
			if a.hear != nil {
				unheard = errors.Join(unheard, a.hear(e))
			}
		}
	}}
	tail := &tailBuffer{}
	cmd := a.w.command(ctx, append([]string{"--events=json"}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), out, tail
	err := cmd.Run()
	out.close()
	reap(cmd)
	if result != nil {
		a.addNotices(result.Notices)
	}
	if err := a.outcome(ctx, err, result, tail.buf); err != nil {
		return err
	}
	return unheard
}

// outcome says in one error how l4d2ctl ended.
func (a *attempt) outcome(ctx context.Context, err error, result *ctl.Result, tail []byte) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("l4d2ctl: %w", cause)
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &exit):
		return fmt.Errorf("run l4d2ctl: %w", err)
	}
	f := &failure{code: exit.ExitCode()}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		f.code = 128 + int(status.Signal())
		f.message = fmt.Sprintf("l4d2ctl was killed (%s). The host may be out of memory; try again.", status.Signal())
		f.retry = true
		return f
	}
	if result != nil {
		f.message, f.retry = result.Message, result.Retry
	} else {
		for line := range strings.Lines(string(tail)) { // it never got as far as a result
			a.log(a.w.now(), ctl.StreamErr, strings.TrimRight(line, "\r\n"))
		}
	}
	known := ctl.FromExitCode(f.code)
	f.busy = errors.Is(known, ctl.ErrBusy)
	f.retry = f.retry || f.busy || errors.Is(known, ctl.ErrSteamRetry)
	if f.message == "" {
		f.message = fmt.Sprintf("l4d2ctl ended with exit code %d. The log says more.", f.code)
		if known != nil {
			f.message = fmt.Sprintf("It did not work: %s (exit code %d).", known, f.code)
		}
	}
	return f
}

// command makes an l4d2ctl child in a process group of its own. When ctx ends
// the group is asked to end; WaitDelay bounds how long that may take.
func (w *Worker) command(ctx context.Context, args ...string) *exec.Cmd {
	full := append(append([]string{}, w.Ctl[1:]...), args...)
	cmd := exec.CommandContext(ctx, w.Ctl[0], full...)
	cmd.Env, cmd.Dir = w.CtlEnv, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	return cmd
}

// reap kills whoever of the child's group is left: WaitDelay kills the leader
// only. The group's number cannot have been reused while a member lives, and
// with no member the signal reaches nobody.
func reap(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // usually: no such group
	}
}

func (a *attempt) addNotices(list []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range list {
		if len(a.notices) < 20 {
			a.notices = append(a.notices, n)
		}
	}
}
