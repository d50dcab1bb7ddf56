// Package units asks systemd about units over D-Bus (org.freedesktop.systemd1(5)):
// the little of it that servers and builds need. Calls need no privilege of the
// caller's: systemd asks polkit. It knows left4me's templates by name only. Start
// at Open.
package units

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/godbus/dbus/v5"

	"left4me/hostops/ctl"
)

const (
	busName      = "org.freedesktop.systemd1"
	busPath      = dbus.ObjectPath("/org/freedesktop/systemd1")
	busManager   = busName + ".Manager"
	busUnit      = busName + ".Unit"
	busService   = busName + ".Service"
	errNoUnit    = busName + ".NoSuchUnit"
	errNotLoaded = busName + ".UnitNotLoaded"
)

// Bus is one connection to systemd. Close it.
type Bus struct {
	conn    *dbus.Conn
	signals chan *dbus.Signal

	mu   sync.Mutex
	jobs map[dbus.ObjectPath]chan<- string // who waits for a job's result
	past map[dbus.ObjectPath]string        // results that nobody waited for yet
}

// Open connects to the system bus; ctl.ErrNotInstalled means there is none.
func Open(ctx context.Context) (*Bus, error) {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return nil, fail(ctl.ErrNotInstalled, "systemd's message bus cannot be reached (%w): check that dbus.service runs, or use --supervisor rootless", err)
	}
	b := &Bus{conn: conn, signals: make(chan *dbus.Signal, 64), jobs: map[dbus.ObjectPath]chan<- string{}, past: map[dbus.ObjectPath]string{}}
	err = conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(busName), dbus.WithMatchInterface(busManager), dbus.WithMatchMember("JobRemoved"))
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("listen to systemd: %w", err)
	}
	conn.Signal(b.signals)
	go b.dispatch() // ends with the connection, which closes the channel
	return b, nil
}

// Close ends the connection.
func (b *Bus) Close() { _ = b.conn.Close() } // nothing was buffered

// dispatch gives each job's result to whoever waits for it. systemd sends the
// signal to all its clients, so most are somebody else's.
func (b *Bus) dispatch() {
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
func (b *Bus) call(ctx context.Context, method string, args ...any) *dbus.Call {
	return b.conn.Object(busName, busPath).CallWithContext(ctx, busManager+"."+method, 0, args...)
}

// Job calls StartUnit or StopUnit and returns the result of its job: done,
// canceled, timeout, failed, dependency or skipped.
func (b *Bus) Job(ctx context.Context, method, unit string) (string, error) {
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

// ResetFailed forgets a failure and how often the unit was started. One that is
// not loaded has nothing to forget.
func (b *Bus) ResetFailed(ctx context.Context, unit string) error {
	err := b.call(ctx, "ResetFailedUnit", unit).Err
	if isBusError(err, errNoUnit, errNotLoaded) {
		return nil
	}
	return busFailure(ctx, unit, err)
}

// Keep holds the unit in memory as long as the connection lives, so that how it
// ended can be read. It is an extra: without it that is not known.
func (b *Bus) Keep(ctx context.Context, unit string) {
	_ = b.call(ctx, "RefUnit", unit).Err // see above
}

// Properties reads everything about the unit, which is loaded for it if need be.
func (b *Bus) Properties(ctx context.Context, unit string) (map[string]dbus.Variant, error) {
	var path dbus.ObjectPath
	if err := b.call(ctx, "LoadUnit", unit).Store(&path); err != nil {
		return nil, busFailure(ctx, unit, err)
	}
	props := map[string]dbus.Variant{}
	for _, of := range []string{busUnit, busService} {
		var some map[string]dbus.Variant
		err := b.conn.Object(busName, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.GetAll", 0, of).Store(&some)
		if err != nil {
			return nil, busFailure(ctx, unit, err)
		}
		for k, v := range some {
			props[k] = v
		}
	}
	return props, nil
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
		return fail(ctl.ErrNotInstalled, "the unit %s is masked: run systemctl unmask %s", unit, unit)
	}
	return fmt.Errorf("ask systemd about %s: %w", unit, err)
}

// failure is a sentence for people with the ctl error that gives it its exit code.
type failure struct {
	kind error
	text string
	of   error
}

func (f *failure) Error() string   { return f.text }
func (f *failure) Unwrap() []error { return []error{f.kind, f.of} }

func fail(kind error, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &failure{kind: kind, text: err.Error(), of: err}
}

func cancelled(ctx context.Context) error {
	return fail(ctl.ErrCancelled, "cancelled: %w", context.Cause(ctx))
}
