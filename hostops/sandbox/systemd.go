package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/user"
	"strconv"
	"sync"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/fetch"
	"left4me/hostops/units"
)

// Systemd runs each script as left4me-build@ID.service, which systemd is asked for
// over D-Bus. The unit's user is not ours, which is why the output is a copy and
// why only the unit can clear away what a hostile script closed to everybody else.
// What the unit gives and takes is deploy/'s business; what it is told comes over
// the socket in builds/ID/in.
type Systemd struct {
	// Root is the state root. The units know only /var/lib/left4me.
	Root string
	// Dialer reaches the net for scripts; what it trusts, they may reach.
	Dialer *fetch.Dialer
}

var _ Runner = (*Systemd)(nil)

// buildUser is the unit's.
const buildUser = "l4d2-build"

const (
	unitBegin = time.Minute // for a unit to start and to say so
	unitEnd   = 20 * time.Second
	unitPoll  = 200 * time.Millisecond
)

func buildUnit(id string) string { return "left4me-build@" + id + ".service" }

// Run implements Runner.
func (s *Systemd) Run(ctx context.Context, b Build) (o Outcome, err error) {
	if err := b.check(); err != nil {
		return o, err
	}
	if ctx.Err() != nil {
		return o, cancelled(ctx)
	}
	uid, err := buildUID()
	if err != nil {
		return o, err
	}
	f, err := openFolder(s.Root, b.ID)
	if err != nil {
		return o, err
	}
	defer f.close()
	// Stopping and clearing outlive a cancellation.
	bus, err := units.Open(context.WithoutCancel(ctx))
	if err != nil {
		return o, err
	}
	defer bus.Close()
	u := &unit{bus: bus, name: buildUnit(b.ID), folder: f}
	defer func() {
		if rerr := u.remove(context.WithoutCancel(ctx)); err == nil && rerr != nil {
			err = rerr
		}
	}()
	if err := f.fill(b, uid); err != nil {
		return o, err
	}
	session := newSession(b, f, s.Dialer)
	l, err := f.listen(fileProxy)
	if err != nil {
		return o, err
	}
	go session.proxy.serve(l) // ends with the session, which closes it
	p, err := u.start(ctx)
	if err != nil {
		session.proxy.close()
		_ = l.Close() // nobody came
		return o, err
	}
	return session.run(ctx, p)
}

func buildUID() (int, error) {
	u, err := user.Lookup(buildUser)
	if err != nil {
		return 0, fail(ctl.ErrNotInstalled, "there is no user %s, whom scripts are run as: as root run systemd-sysusers", buildUser)
	}
	return strconv.Atoi(u.Uid)
}

// Sweep implements Runner.
func (s *Systemd) Sweep(ctx context.Context) error {
	list, err := ids(s.Root)
	if err != nil || len(list) == 0 {
		return err
	}
	bus, err := units.Open(ctx)
	if err != nil {
		return err
	}
	defer bus.Close()
	for _, id := range list {
		f, err := openFolder(s.Root, id)
		if errors.Is(err, ctl.ErrBusy) {
			continue
		}
		if err != nil {
			return err
		}
		err = (&unit{bus: bus, name: buildUnit(id), folder: f}).remove(ctx)
		f.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// unit is one left4me-build@ID.service.
type unit struct {
	bus    *units.Bus
	name   string
	folder *folder
}

// start starts the unit and waits for its first process to call.
func (u *unit) start(ctx context.Context) (*process, error) {
	l, err := u.folder.listen(fileControl)
	if err != nil {
		return nil, err
	}
	// One call, from the unit's first process: nothing else runs in it yet.
	defer l.Close()
	begin, cancel := context.WithTimeout(ctx, unitBegin)
	defer cancel()
	// Of an l4d2ctl that was killed a moment ago it may still be ending.
	if err := u.stop(begin); err != nil {
		return nil, err
	}
	if err := u.bus.ResetFailed(begin, u.name); err != nil {
		return nil, err
	}
	result, err := u.bus.Job(begin, "StartUnit", u.name)
	if err == nil && result != "done" {
		err = fail(ctl.ErrNotInstalled, "systemd could not start %s (%s); journalctl -u %s shows why", u.name, result, u.name)
	}
	var conn net.Conn
	if err == nil {
		u.bus.Keep(begin, u.name) // systemd forgets a unit that ended, and with it why
		deadline, _ := begin.Deadline()
		if err = l.SetDeadline(deadline); err == nil {
			conn, err = u.accept(begin, l)
		}
	}
	if err != nil {
		_ = u.stop(context.WithoutCancel(ctx)) // the first error is the one to tell
		if ctx.Err() != nil {
			return nil, cancelled(ctx)
		}
		return nil, err
	}
	return u.watch(conn), nil
}

func (u *unit) accept(ctx context.Context, l *net.UnixListener) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // ends the wait
	defer stop()
	conn, err := l.Accept()
	if err != nil {
		return nil, fail(ctl.ErrInternal, "%s began and did not call back (%v); journalctl -u %s shows why", u.name, err, u.name)
	}
	return conn, nil
}

// stop ends the unit, whatever it does. One that does not run is a success.
func (u *unit) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, unitEnd)
	defer cancel()
	for {
		state, _, err := u.state(ctx)
		if err != nil || state == "inactive" || state == "failed" {
			return err
		}
		if _, err := u.bus.Job(ctx, "StopUnit", u.name); err != nil {
			return err
		}
	}
}

// state is the unit's ActiveState and Result.
func (u *unit) state(ctx context.Context) (state, result string, err error) {
	p, err := u.bus.Properties(ctx, u.name)
	if err != nil {
		return "", "", err
	}
	if load, _ := p["LoadState"].Value().(string); load != "loaded" {
		return "", "", fail(ctl.ErrNotInstalled, "systemd knows no unit %s (%s): install left4me's units (make install), then run systemctl daemon-reload", u.name, load)
	}
	state, _ = p["ActiveState"].Value().(string)
	result, _ = p["Result"].Value().(string)
	return state, result, nil
}

// watch makes a process of the running unit.
func (u *unit) watch(conn net.Conn) *process {
	ctx := context.Background() // the unit is watched until it is gone
	p := &process{conn: conn, done: make(chan struct{})}
	if props, err := u.bus.Properties(ctx, u.name); err == nil {
		pid, _ := props["MainPID"].Value().(uint32)
		p.pid = int(pid)
	}
	result := ""
	p.why = func() string {
		switch result {
		case "oom-kill":
			return limitMemory
		case "timeout":
			return limitTime
		}
		return ""
	}
	stopped := make(chan struct{})
	var once sync.Once
	p.kill = func() {
		once.Do(func() {
			go func() { // ends within unitEnd
				defer close(stopped)
				_ = u.stop(ctx) // what does not end is found out below
			}()
		})
	}
	go func() { // ends with the unit
		defer close(p.done)
		tick := time.NewTicker(unitPoll)
		defer tick.Stop()
		for again := stopped; ; {
			select {
			case <-tick.C:
			case <-again:
				again = nil
			}
			state, why, err := u.state(ctx)
			if err != nil { // the bus is gone, and systemd, or we, with it
				return
			}
			if state == "inactive" || state == "failed" {
				result = why
				return
			}
		}
	}()
	return p
}

// remove ends the unit and removes the build's folder, with the unit's help where
// a script closed its output to everybody but itself.
func (u *unit) remove(ctx context.Context) error {
	if err := u.stop(ctx); err != nil {
		return err
	}
	err := u.folder.remove()
	if errors.Is(err, errClosed) {
		if err = u.clean(ctx); err == nil {
			err = u.folder.remove()
		}
	}
	_ = u.bus.ResetFailed(ctx, u.name) // the failure was told; systemd need not keep it
	return err
}

// clean lets the unit's own user empty the output.
func (u *unit) clean(ctx context.Context) error {
	uid, err := buildUID()
	if err != nil {
		return err
	}
	if err := u.folder.fill(Build{Script: "exit 1\n"}, uid); err != nil {
		return err
	}
	p, err := u.start(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = p.conn.Close() }() // all was said
	w := newWire(p.conn)
	if err := w.send(order{Do: doClean}); err != nil {
		return fmt.Errorf("clear the build's output: %w", err)
	}
	var r report
	_ = p.conn.SetReadDeadline(time.Now().Add(unitBegin))
	err = w.receive(&r)
	p.kill()
	if !waitFor(p.done, killWait) {
		return fail(ctl.ErrInternal, "%s could not be ended within %s", u.name, killWait)
	}
	if err != nil || r.Is != isEnded {
		return fail(ctl.ErrInternal, "what the script made could not be removed: %s (%v)", r.Text, err)
	}
	return nil
}
