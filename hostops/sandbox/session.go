package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/fetch"
)

const (
	memoryEvery = 200 * time.Millisecond
	stopGrace   = 10 * time.Second // for a script that was asked to end
	killWait    = 30 * time.Second // for the kernel, or systemd, to end what was killed
)

// process is the sandbox as the runner that made it sees it.
type process struct {
	pid  int           // its first process, in our namespace; 0 when unknown
	kill func()        // ends everything in it; may be called again
	done chan struct{} // closed when nothing of it is left
	why  func() string // after done: the limit that ended it from outside, if one did
	conn net.Conn      // to its first process
}

// session is the outside of one run.
type session struct {
	b      Build
	folder *folder
	proxy  *proxy
	limits Limits

	mu   sync.Mutex // of b.Line
	over bool
}

func newSession(b Build, f *folder, dialer *fetch.Dialer) *session {
	s := &session{b: b, folder: f, limits: b.Limits.filled()}
	s.proxy = newProxy(dialer, logLine(s.line))
	return s
}

// line passes one line on to the caller, who need not expect two at once, and none
// after Run.
func (s *session) line(stream ctl.Stream, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over && s.b.Line != nil {
		s.b.Line(stream, text)
	}
}

func (s *session) finish() {
	s.proxy.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

// end is how the conversation went.
type end struct {
	limit  string
	ended  *report // the script's end
	failed *report // it was never started
	stop   error   // cancelled
}

// run talks to the sandbox until nothing of it is left, and hands the output over.
func (s *session) run(ctx context.Context, p *process) (Outcome, error) {
	defer s.finish()
	e, err := s.talk(ctx, p)
	o := Outcome{Fetched: s.proxy.fetched.Load()}
	switch {
	case err != nil:
		return o, err
	case e.stop != nil:
		return o, e.stop
	case e.limit != "":
		o.ExitCode, o.Limit = 137, s.limits.sentence(e.limit)
		return o, nil
	case e.failed != nil:
		kind := ctl.FromExitCode(e.failed.Code)
		if kind == nil {
			kind = ctl.ErrInternal
		}
		return o, fail(kind, "%s", e.failed.Text)
	case e.ended == nil:
		if which := p.why(); which != "" {
			o.ExitCode, o.Limit = 137, s.limits.sentence(which)
			return o, nil
		}
		return o, fail(ctl.ErrBuild, "the script's sandbox was killed from outside, as when the host is out of memory; build again")
	}
	o.ExitCode = e.ended.Code
	if o.ExitCode != 0 || s.b.Take == nil {
		return o, nil
	}
	out, err := os.OpenRoot(s.folder.path + "/out")
	if err != nil {
		return o, fmt.Errorf("open the build's output: %w", err)
	}
	defer out.Close() // read only
	return o, s.b.Take(out)
}

// talk gives the orders and watches until the sandbox is gone.
func (s *session) talk(ctx context.Context, p *process) (e end, err error) {
	w := newWire(p.conn)
	defer p.conn.Close() // the other end is gone
	reports := make(chan report)
	go func() { // ends with the connection
		defer close(reports)
		for {
			var r report
			if w.receive(&r) != nil {
				return
			}
			reports <- r
		}
	}()
	// Whatever happens: nothing of it stays, and the reader above ends.
	defer func() {
		p.kill()
		if !waitFor(p.done, killWait) {
			err = errors.Join(err, fail(ctl.ErrInternal, "the script's processes could not be ended within %s; restart the host if they stay", killWait))
		}
		_ = p.conn.Close() // see above
		for range reports {
		}
	}()
	if err := w.send(order{Do: doRun, Env: environment(s.b.Env), Limits: s.limits, Tasks: maxTasks}); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		s.line(ctl.StreamCtl, "The sandbox did not take its orders.") // why is in its report, or it was killed
	}
	deadline := time.NewTimer(s.limits.Time)
	defer deadline.Stop()
	memory := time.NewTicker(memoryEvery)
	defer memory.Stop()
	var grace <-chan time.Time
	var tmp int64
	cancel, over := ctx.Done(), p.done
	for {
		select {
		case r, open := <-reports:
			if !open {
				return e, nil
			}
			switch r.Is {
			case isLine:
				s.line(r.Stream, r.Text)
			case isUse:
				tmp = r.Tmp
			case isLimit:
				e.limit = r.Limit
				return e, nil
			case isFailed:
				e.failed = &r
			case isEnded:
				e.ended = &r
			}
		case <-memory.C:
			if p.pid > 0 && memoryBelow(p.pid)+tmp > s.limits.Memory {
				e.limit = limitMemory
				return e, nil
			}
		case <-deadline.C:
			e.limit = limitTime
			return e, nil
		case <-cancel:
			cancel, e.stop = nil, cancelled(ctx)
			grace = time.After(stopGrace)
			_ = w.send(order{Do: doStop}) // who does not hear is killed
		case <-grace:
			return e, nil
		case <-over: // the connection ends with it; then there may be reports left
			over = nil
			_ = p.conn.SetReadDeadline(time.Now().Add(stopGrace))
		}
	}
}

func waitFor(done <-chan struct{}, limit time.Duration) bool {
	select {
	case <-done:
		return true
	case <-time.After(limit):
		return false
	}
}
