package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/units"
	"left4me/overlayhelper"
)

// Systemd runs servers as units of the system's service manager, which is asked
// over D-Bus: no root, no sudo, no shell. left4me-server@NAME.service mounts the
// layers, runs the game by RunGame and unmounts again; what it looks like is
// deploy/'s business. How often a game is restarted stands in the unit too:
// Launch.Restart is not looked at.
//
// What is written below instances/NAME, and by whom:
//
//	mount        the layers, for the root helper       Start
//	launch.json  what the unit's init runs             Start
//	unit.json    what systemd does not remember        Start, Stop
type Systemd struct {
	// Root is the state root. The units know only /var/lib/left4me.
	Root string
	// Journalctl is the program that reads the journal; empty means the one on PATH.
	Journalctl string
}

var _ Supervisor = (*Systemd)(nil)

// busTimeout bounds what systemd answers at once.
const busTimeout = 10 * time.Second

// startTimeout and stopTimeout are longer than the unit's own limits: systemd
// decides, this only ends a wait for one that hangs.
const (
	startTimeout = 90 * time.Second
	stopTimeout  = 3 * time.Minute
	purgeTimeout = 11 * time.Minute
)

func serverUnit(name string) string { return "left4me-server@" + name + ".service" }
func purgeUnit(name string) string  { return "left4me-purge@" + name + ".service" }

// Start implements Supervisor. Beside ctl.ErrBadSpec its errors are ErrNotFound (a
// layer is missing), ErrNotInstalled (the program or a unit is), ErrNotPermitted,
// ErrGameFailed, ErrInUse, ErrBusy, ErrDiskFull and ErrCancelled.
func (s *Systemd) Start(ctx context.Context, l Launch) error {
	if err := checkLaunch(l); err != nil {
		return err
	}
	list, err := mountList(l)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	b, err := units.Open(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	u, err := propertiesOf(ctx, b, serverUnit(l.Name))
	if err != nil {
		return err
	}
	if u.up() { // also between two runs of a game that crashed
		return nil
	}
	dir := s.dir(l.Name)
	r := dir.begin(l)
	err = s.start(ctx, b, l, list, dir, r)
	if err != nil {
		r.State, r.Since, r.Message = ctl.ServerFailed, time.Now().UTC(), "It could not be started: "+err.Error()
		if errors.Is(err, ctl.ErrCancelled) {
			r.State, r.Message = ctl.ServerStopped, "Its start was cancelled."
		}
		_ = dir.write(r) // the start's own error is the one to tell
	}
	return err
}

func (s *Systemd) start(ctx context.Context, b *units.Bus, l Launch, list string, dir unitDir, r unitRecord) error {
	for _, layer := range l.Layers {
		if fi, err := os.Stat(filepath.Join(s.Root, layer)); err != nil || !fi.IsDir() {
			return fail(ctl.ErrNotFound, "the folder %s, which the server is made of, is missing (%v)", layer, err)
		}
	}
	if err := dir.write(r); err != nil {
		return err
	}
	if err := dir.writeLaunch(l, list); err != nil {
		return err
	}
	unit := serverUnit(l.Name)
	// Starts by hand do not count as crashes, and a former failure is over.
	if err := b.ResetFailed(ctx, unit); err != nil {
		return err
	}
	result, err := b.Job(ctx, "StartUnit", unit)
	if err == nil && result == "done" {
		r.State, r.Since = ctl.ServerRunning, time.Now().UTC()
		return dir.write(r)
	}
	// A unit that failed to start would be tried again by itself.
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err == nil && result != "canceled" {
		err = s.whyNotStarted(undo, b, l.Name, r.Since)
	} else if err == nil {
		err = fail(ctl.ErrCancelled, "the server was stopped while it was starting")
	}
	if _, serr := b.Job(undo, "StopUnit", unit); serr != nil {
		err = errors.Join(err, serr)
	}
	return err
}

// whyNotStarted turns the state of a unit whose start failed into an error.
func (s *Systemd) whyNotStarted(ctx context.Context, b *units.Bus, name string, since time.Time) error {
	u, err := propertiesOf(ctx, b, serverUnit(name))
	if err != nil {
		return err
	}
	if u.helper != nil {
		return s.whyNotMounted(ctx, name, *u.helper, since)
	}
	if u.code == 1 && u.status != "" { // the init said why
		if kind := ctl.FromExitCode(u.exitStatus); kind != nil {
			return &failure{kind: kind, text: u.status, cause: errors.New(u.status)}
		}
	}
	if e := u.exit(); e != nil && u.result != "timeout" {
		return fail(ctl.ErrGameFailed, "the game ended with %s before it was up (%s); journalctl -u %s shows more", describe(*e), u.result, serverUnit(name))
	}
	return fail(ctl.ErrGameFailed, "systemd could not start the server (%s); journalctl -u %s shows why", u.result, serverUnit(name))
}

// whyNotMounted explains how left4me-overlay failed.
func (s *Systemd) whyNotMounted(ctx context.Context, name string, e ctl.Exit, since time.Time) error {
	switch {
	case e.Signal != "":
		return fail(ctl.ErrInternal, "left4me-overlay was ended by %s before the server's files were mounted: start it again", e.Signal)
	case e.Code >= 200: // systemd's own: see systemd.exec(5), "Process Exit Codes"
		return fail(ctl.ErrNotInstalled, "systemd could not run /opt/left4me/bin/left4me-overlay (status %d): install left4me again; journalctl -u %s shows more", e.Code, serverUnit(name))
	}
	class := overlayhelper.CodeError(e.Code)
	kind := ctl.ErrInternal
	switch {
	case errors.Is(class, overlayhelper.ErrInUse), errors.Is(class, overlayhelper.ErrOtherMount):
		kind = ctl.ErrInUse
	case errors.Is(class, overlayhelper.ErrLocked), errors.Is(class, overlayhelper.ErrBusy):
		kind = ctl.ErrBusy
	}
	said := s.lastWords(ctx, serverUnit(name), since)
	if said == "" {
		said = class.Error()
	}
	return fail(kind, "the server's files could not be mounted: %s (left4me-overlay ended with exit code %d)", said, e.Code)
}

// Stop implements Supervisor. It waits until the unit's processes have ended and
// its files are unmounted.
func (s *Systemd) Stop(ctx context.Context, name string) error {
	if err := ctl.CheckName(name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	b, err := units.Open(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	unit := serverUnit(name)
	b.Keep(ctx, unit) // systemd forgets a stopped unit, and with it how the game ended
	u, err := propertiesOf(ctx, b, unit)
	if err != nil {
		return err
	}
	for u.active != unitInactive && u.active != unitFailed {
		result, err := b.Job(ctx, "StopUnit", unit)
		if err != nil {
			return err
		}
		if u, err = propertiesOf(ctx, b, unit); err != nil {
			return err
		}
		if result == "failed" || result == "timeout" {
			return fail(ctl.ErrInternal, "systemd could not stop the server (%s); journalctl -u %s shows why", result, unit)
		}
	}
	dir := s.dir(name)
	r, err := dir.read()
	if errors.Is(err, fs.ErrNotExist) { // never started
		return nil
	}
	if err != nil || r.State != ctl.ServerStopped {
		r.State, r.Since, r.Message, r.Applied = ctl.ServerStopped, time.Now().UTC(), "", nil
		if e := u.exit(); e != nil {
			r.Exit = e
		}
		if err := dir.write(r); err != nil {
			return err
		}
	}
	return b.ResetFailed(ctx, unit)
}

// Purge implements Supervisor. The root helper removes what the game wrote; the
// journal keeps the console, but from now on it is not shown any more.
func (s *Systemd) Purge(ctx context.Context, name string) error {
	if err := ctl.CheckName(name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, purgeTimeout)
	defer cancel()
	b, err := units.Open(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	u, err := propertiesOf(ctx, b, serverUnit(name))
	if err != nil {
		return err
	}
	if u.active != unitInactive && u.active != unitFailed {
		return fail(ctl.ErrInUse, "server %s is running: stop it first", name)
	}
	if _, err := os.Lstat(filepath.Join(s.Root, "runtime", name)); err == nil {
		if err := s.purge(ctx, b, name); err != nil {
			return err
		}
	}
	return s.dir(name).remove()
}

func (s *Systemd) purge(ctx context.Context, b *units.Bus, name string) error {
	unit, begin := purgeUnit(name), time.Now()
	if err := b.ResetFailed(ctx, unit); err != nil {
		return err
	}
	result, err := b.Job(ctx, "StartUnit", unit)
	if err != nil || result == "done" {
		return err
	}
	said := s.lastWords(ctx, unit, begin)
	_ = b.ResetFailed(ctx, unit) // the failure is told here; systemd need not keep it
	if said == "" {
		said = "journalctl -u " + unit + " shows why"
	}
	return fail(ctl.ErrInternal, "what the server wrote could not be removed (%s): %s", result, said)
}

// Stamp implements Supervisor. What systemctl does by itself is not in the record.
func (s *Systemd) Stamp(name string) string {
	return stampOf(filepath.Join(string(s.dir(name)), fileUnit))
}

// Status implements Supervisor.
func (s *Systemd) Status(ctx context.Context, name string) (Instance, error) {
	if err := ctl.CheckName(name); err != nil {
		return Instance{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	r, err := s.dir(name).read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r = unitRecord{record: record{State: ctl.ServerUnknown, Message: "The record of this server is damaged; stop it once to set it right."}}
	}
	b, err := units.Open(ctx)
	if err != nil {
		return Instance{}, err
	}
	defer b.Close()
	u, err := propertiesOf(ctx, b, serverUnit(name))
	if err != nil {
		return Instance{}, err
	}
	if u.load != "loaded" {
		return Instance{}, fail(ctl.ErrNotInstalled, "systemd knows no unit %s (%s): install left4me's units (make install), then run systemctl daemon-reload", serverUnit(name), u.load)
	}
	if i, ok := u.instance(r); ok {
		return i, nil
	}
	return s.atRest(ctx, name, r), nil
}

// instance is what a unit that is not at rest says. Otherwise only the record and
// the journal know more.
func (u unitState) instance(r unitRecord) (Instance, bool) {
	i := Instance{Since: u.since, Restarts: u.restarts, Applied: r.Applied}
	switch {
	case u.between():
		i.State, i.Exit = ctl.ServerStarting, u.exit()
		i.Restarts++
		i.Message = "The game ended"
		if i.Exit != nil {
			i.Message += " with " + describe(*i.Exit)
		}
		i.Message += fmt.Sprintf("; it is started again in %s.", u.delay)
	case u.active == unitActivating:
		i.State = ctl.ServerStarting
	case u.active == unitActive, u.active == unitReloading:
		i.State, i.PID = ctl.ServerRunning, gameOf(u.pid)
		i.Memory, i.CPU = u.memory, u.cpu
		if memory, cpu := int64(0), time.Duration(0); i.Memory == 0 || i.CPU == 0 { // not counted here
			memory, cpu = processUse(i.PID)
			i.Memory, i.CPU = max(i.Memory, memory), max(i.CPU, cpu)
		}
	case u.active == unitDeactivating:
		i.State, i.PID = ctl.ServerStopping, gameOf(u.pid)
	case u.active == unitFailed && r.State != ctl.ServerStopped && r.State != ctl.ServerFailed:
		i.State, i.Exit, i.Message = ctl.ServerFailed, u.exit(), u.gaveUp()
		i.Restarts = max(min(u.restarts, u.burst)-1, 0)
	default:
		return Instance{}, false
	}
	return i, true
}

// atRest is an instance whose unit is neither running nor failed by itself.
func (s *Systemd) atRest(ctx context.Context, name string, r unitRecord) Instance {
	i := Instance{State: r.State, Since: r.Since, Message: r.Message, Restarts: r.Restarts, Exit: r.Exit, Applied: r.Applied}
	switch {
	case r.State == "": // never started
		return Instance{State: ctl.ServerStopped}
	case !r.live():
		i.Lost = r.State == ctl.ServerFailed && r.BootID != bootID()
		return i
	case r.BootID != bootID():
		i.State, i.Message, i.Lost = ctl.ServerFailed, "The machine was restarted while the server was up.", true
		return i
	case r.State == ctl.ServerStarting && time.Since(r.Since) < startTimeout:
		return i
	}
	// The unit ended without a failure and nobody asked us for it; systemd has
	// forgotten the rest by now.
	i.State, i.Applied = ctl.ServerStopped, nil
	i.Message = "The game ended by itself, without an error, or systemctl stopped it."
	i.Exit = &ctl.Exit{At: r.Since}
	if end, restarts, err := s.ending(ctx, name, r.Started); err == nil {
		i.Exit.At, i.Since, i.Restarts = end, end, restarts
	}
	return i
}
