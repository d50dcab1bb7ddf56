package hostops

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/steam"
)

// Start runs an initialised instance and waits, at most timeout, until the game
// answers RCON. A game that is only slow is success with a notice; one that ends
// is ctl.ErrGameFailed. Starting what runs is success. When ctx ends while it
// waits, the game is stopped again.
func (h *Host) Start(ctx context.Context, name string, timeout time.Duration) (notices []string, err error) {
	if err := ctl.CheckName(name); err != nil {
		return nil, err
	}
	l, err := h.launch(ctx, name)
	if errors.Is(err, ctl.ErrCancelled) && ctx.Err() != nil {
		return nil, fail(ctl.ErrCancelled, "the start of %s was cancelled before the game was up", name)
	}
	if err != nil {
		return nil, err
	}
	if l.settled {
		h.say("Server %s already runs.", name)
		return nil, nil
	}
	notices, err = h.awaitReady(ctx, l, timeout)
	if ctx.Err() != nil && !l.already {
		return notices, h.undoStart(ctx, name)
	}
	return notices, err
}

// launched is a game whose process is up.
type launched struct {
	name    string
	port    int
	since   time.Time // lines of the log before it belong to an earlier run
	cursor  string    // the last line before it, "" when there was none
	already bool      // it ran before
	settled bool      // and has done so for long
	applied *ctl.Applied
}

// settledAfter is how long a start-up takes at most; whatever has run longer is
// not waited for again.
const settledAfter = 3 * time.Minute

// launch brings the process up. The locks are held only until then, so that a
// stop need not wait for a map to load.
func (h *Host) launch(ctx context.Context, name string) (launched, error) {
	if _, err := h.readSpec(name); err != nil { // before a lock file is made for a name that is nothing
		return launched{}, err
	}
	release, err := h.lockInstance(ctx, name)
	if err != nil {
		return launched{}, err
	}
	defer release()
	spec, err := h.readSpec(name)
	if err != nil {
		return launched{}, err
	}
	inst, err := h.Supervisor.Status(ctx, name)
	if err != nil {
		return launched{}, fmt.Errorf("look at %s: %w", name, err)
	}
	if inst.State == ctl.ServerStopping { // by a signal to its keeper: whoever stops by us has the lock
		if err := h.Supervisor.Stop(ctx, name); err != nil {
			return launched{}, fmt.Errorf("wait for the end of %s: %w", name, err)
		}
	} else if up(inst) {
		port := spec.Port
		if inst.Applied != nil {
			port = portOf(inst.Applied.Argv, port)
		}
		return launched{name: name, port: port, since: inst.Since, already: true, settled: time.Since(inst.Since) > settledAfter, applied: inst.Applied}, nil
	}
	return h.launchStopped(ctx, name, spec)
}

func (h *Host) launchStopped(ctx context.Context, name string, spec ctl.Spec) (launched, error) {
	h.step("prepare", "Checking", 1)
	release, err := h.lock(ctx, lockGame, "the game", shared)
	if err != nil {
		return launched{}, err
	}
	defer release()
	if err := steam.Installed(h.path(dirInstallation)); err != nil {
		return launched{}, err
	}
	if err := h.checkOverlays(spec.Overlays); err != nil {
		return launched{}, err
	}
	if err := h.checkPortFree(ctx, name, spec.Port); err != nil {
		return launched{}, err
	}
	cfg, err := h.render(spec)
	if err != nil {
		return launched{}, err
	}
	// Usually there since initialize; another version of ours may write it otherwise.
	layer := layerOf(name, cfg)
	if err := h.writeLayer(layer, cfg); err != nil {
		return launched{}, h.diskError(fmt.Errorf("write the configuration of %s: %w", name, err))
	}
	cursor, err := h.lastCursor(ctx, name)
	if err != nil {
		return launched{}, err
	}
	began := now()
	h.step("process", "Mounting the files and starting the game", 2)
	p := plan(filepath.Clean(h.Root), name, spec, layer, began)
	if err := h.Supervisor.Start(ctx, p); err != nil {
		return launched{}, h.diskError(err)
	}
	return launched{name: name, port: spec.Port, since: began, cursor: cursor, applied: &p.Applied}, nil
}

// startSteps is how many phases a start has.
const startSteps = 6

func (h *Host) step(key, title string, n int) {
	h.Emit(ctl.Event{Type: ctl.EventPhase, At: now(), Phase: &ctl.Phase{Key: key, Title: title, Step: n, Steps: startSteps}})
}

// undoStart stops a game whose start was cancelled, although the context ended.
func (h *Host) undoStart(ctx context.Context, name string) error {
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace+10*time.Second)
	defer cancel()
	if err := h.Stop(stopCtx, name); err != nil {
		return fmt.Errorf("stop %s after its start was cancelled: %w", name, err)
	}
	return fail(ctl.ErrCancelled, "the start of %s was cancelled, and the game was stopped again", name)
}

// Stop ends an instance and takes its mounts down. Stopping what is stopped, or
// what never was, is success.
func (h *Host) Stop(ctx context.Context, name string) error {
	if err := ctl.CheckName(name); err != nil {
		return err
	}
	if h.nothingOf(name) {
		h.say("There is no server %s: nothing to stop.", name)
		return nil
	}
	release, err := h.lockInstance(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	if err := h.stopGame(ctx, name); err != nil {
		return err
	}
	h.say("Server %s is stopped.", name)
	return nil
}

// checkPortFree binds the port as the game will. Somebody may still take it
// between here and there; the game's own words then say so.
func (h *Host) checkPortFree(ctx context.Context, name string, port int) error {
	err := bindBoth(ctx, port)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.EADDRINUSE) {
		return fmt.Errorf("try port %d: %w", port, err)
	}
	if other := h.runningOn(ctx, name, port); other != "" {
		return fail(ctl.ErrPortTaken, "port %d is taken: server %s is running on it", port, other)
	}
	return fail(ctl.ErrPortTaken, "port %d is taken by %s: end that, or give the server another port", port, portHolder(port))
}

func bindBoth(ctx context.Context, port int) error {
	var lc net.ListenConfig
	address := net.JoinHostPort("0.0.0.0", strconv.Itoa(port))
	udp, err := lc.ListenPacket(ctx, "udp4", address)
	if err != nil {
		return err
	}
	defer udp.Close() // nothing was sent
	tcp, err := lc.Listen(ctx, "tcp4", address)
	if err != nil {
		return err
	}
	return tcp.Close()
}

// runningOn names the instance that runs on port, other than name.
func (h *Host) runningOn(ctx context.Context, name string, port int) string {
	names, err := h.known()
	if err != nil {
		return ""
	}
	for _, other := range names {
		if other == name {
			continue
		}
		inst, err := h.Supervisor.Status(ctx, other)
		if err == nil && up(inst) && inst.Applied != nil && portOf(inst.Applied.Argv, 0) == port {
			return other
		}
	}
	return ""
}

// portOf reads the port out of an argv that plan made.
func portOf(argv []string, otherwise int) int {
	for i := range len(argv) - 1 {
		if argv[i] == "-port" {
			if n, err := strconv.Atoi(argv[i+1]); err == nil {
				return n
			}
		}
	}
	return otherwise
}

// stopGame is what stop, reset and delete have in common; the caller holds the
// instance's lock.
func (h *Host) stopGame(ctx context.Context, name string) error {
	h.phase("stop", "Stopping the game")
	if err := h.Supervisor.Stop(ctx, name); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}
