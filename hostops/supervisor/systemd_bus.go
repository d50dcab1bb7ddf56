package supervisor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/godbus/dbus/v5"

	"left4me/hostops/ctl"
)

// systemd_bus.go is the little of systemd's D-Bus interface that is needed
// (org.freedesktop.systemd1(5)). Calls need no privilege: systemd asks polkit.

const (
	busName      = "org.freedesktop.systemd1"
	busPath      = dbus.ObjectPath("/org/freedesktop/systemd1")
	busManager   = busName + ".Manager"
	busUnit      = busName + ".Unit"
	busService   = busName + ".Service"
	errNoUnit    = busName + ".NoSuchUnit"
	errNotLoaded = busName + ".UnitNotLoaded"
)

// bus is one connection to systemd. Close it.
type bus struct {
	conn    *dbus.Conn
	signals chan *dbus.Signal

	mu   sync.Mutex
	jobs map[dbus.ObjectPath]chan<- string // who waits for a job's result
	past map[dbus.ObjectPath]string        // results that nobody waited for yet
}

// openBus connects to the system bus; ctl.ErrNotInstalled means there is none.
func openBus(ctx context.Context) (*bus, error) {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return nil, fail(ctl.ErrNotInstalled, "systemd's message bus cannot be reached (%w): check that dbus.service runs, or use --supervisor rootless", err)
	}
	b := &bus{conn: conn, signals: make(chan *dbus.Signal, 64), jobs: map[dbus.ObjectPath]chan<- string{}, past: map[dbus.ObjectPath]string{}}
	err = conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(busName), dbus.WithMatchInterface(busManager), dbus.WithMatchMember("JobRemoved"))
	if err != nil {
		b.close()
		return nil, fmt.Errorf("listen to systemd: %w", err)
	}
	conn.Signal(b.signals)
	go b.dispatch() // ends with the connection, which closes the channel
	return b, nil
}

func (b *bus) close() { _ = b.conn.Close() } // nothing was buffered

// dispatch gives each job's result to whoever waits for it. systemd sends the
// signal to all its clients, so most are somebody else's.
func (b *bus) dispatch() {
	for s := range b.signals {
		var id uint32
		var job dbus.ObjectPath
		var unit, result string
		if s.Name != busManager+".JobRemoved" || dbus.Store(s.Body, &id, &job, &unit, &result) != nil || !strings.HasPrefix(unit, "left4me-") {
			continue
		}
		b.mu.Lock()
		if c := b.jobs[job]; c != nil {
			c <- result
			delete(b.jobs, job)
		} else {
			b.past[job] = result // the answer with the job's path is still under way
		}
		b.mu.Unlock()
	}
}

// call calls a method of the manager.
func (b *bus) call(ctx context.Context, method string, args ...any) *dbus.Call {
	return b.conn.Object(busName, busPath).CallWithContext(ctx, busManager+"."+method, 0, args...)
}

// job calls StartUnit or StopUnit and returns the result of its job: done,
// canceled, timeout, failed, dependency or skipped.
func (b *bus) job(ctx context.Context, method, unit string) (string, error) {
	var job dbus.ObjectPath
	if err := b.call(ctx, method, unit, "replace").Store(&job); err != nil {
		return "", busFailure(ctx, unit, err)
	}
	c := make(chan string, 1)
	b.mu.Lock()
	if result, ok := b.past[job]; ok {
		c <- result
		delete(b.past, job)
	} else {
		b.jobs[job] = c
	}
	b.mu.Unlock()
	select {
	case result := <-c:
		return result, nil
	case <-b.conn.Context().Done():
		return "", fmt.Errorf("the connection to systemd broke while %s was under way", unit)
	case <-ctx.Done():
		return "", cancelled(ctx)
	}
}

// resetFailed forgets a failure and how often the unit was started. One that is
// not loaded has nothing to forget.
func (b *bus) resetFailed(ctx context.Context, unit string) error {
	err := b.call(ctx, "ResetFailedUnit", unit).Err
	if isBusError(err, errNoUnit, errNotLoaded) {
		return nil
	}
	return busFailure(ctx, unit, err)
}

// keep holds the unit in memory as long as the connection lives, so that how it
// ended can be read. It is an extra: without it that is not known.
func (b *bus) keep(ctx context.Context, unit string) {
	_ = b.call(ctx, "RefUnit", unit).Err // see above
}

// properties reads everything about the unit, which is loaded for it if need be.
func (b *bus) properties(ctx context.Context, unit string) (unitState, error) {
	var path dbus.ObjectPath
	if err := b.call(ctx, "LoadUnit", unit).Store(&path); err != nil {
		return unitState{}, busFailure(ctx, unit, err)
	}
	props := map[string]dbus.Variant{}
	for _, of := range []string{busUnit, busService} {
		var some map[string]dbus.Variant
		err := b.conn.Object(busName, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.GetAll", 0, of).Store(&some)
		if err != nil {
			return unitState{}, busFailure(ctx, unit, err)
		}
		for k, v := range some {
			props[k] = v
		}
	}
	return newUnitState(props), nil
}

func isBusError(err error, names ...string) bool {
	var e dbus.Error
	if !errors.As(err, &e) {
		return false
	}
	for _, n := range names {
		if e.Name == n {
			return true
		}
	}
	return false
}

// busFailure explains a refused call. A cancelled one is told as such.
func busFailure(ctx context.Context, unit string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return cancelled(ctx)
	case isBusError(err, "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "org.freedesktop.DBus.Error.AccessDenied"):
		return fail(ctl.ErrNotPermitted, "systemd does not let this user start or stop %s: run l4d2ctl as the user left4me, and check that polkit is installed and /etc/polkit-1/rules.d/50-left4me.rules is there", unit)
	case isBusError(err, errNoUnit, busName+".LoadFailed"):
		return fail(ctl.ErrNotInstalled, "systemd knows no unit %s: install left4me's units (make install), then run systemctl daemon-reload", unit)
	case isBusError(err, busName+".UnitMasked"):
		return fail(ctl.ErrNotInstalled, "the unit %s is masked: run systemctl unmask left4me-server@.service", unit)
	}
	return fmt.Errorf("ask systemd about %s: %w", unit, err)
}
