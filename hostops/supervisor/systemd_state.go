package supervisor

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/units"
)

// unitState is what systemd's properties say, as far as it is used here.
type unitState struct {
	load, active, sub, result string
	status                    string // what the unit's init said of itself
	since, exitAt             time.Time
	pid, restarts             int
	code, exitStatus          int // of the last main process: CLD_EXITED and so on, and its status
	memory                    int64
	cpu                       time.Duration
	burst                     int
	interval, delay           time.Duration
	helper                    *ctl.Exit // how the ExecStartPre line ended, nil when it succeeded
	policy                    string    // Restart=
}

// The part of a unit's states that is used; see systemd's UnitActiveState.
const (
	unitActive       = "active"
	unitActivating   = "activating"
	unitDeactivating = "deactivating"
	unitReloading    = "reloading"
	unitFailed       = "failed"
	unitInactive     = "inactive"
)

// propertiesOf asks for a unit's state.
func propertiesOf(ctx context.Context, b *units.Bus, unit string) (unitState, error) {
	p, err := b.Properties(ctx, unit)
	if err != nil {
		return unitState{}, err
	}
	return newUnitState(p), nil
}

func newUnitState(p map[string]dbus.Variant) unitState {
	number := func(key string) uint64 {
		switch v := p[key].Value().(type) {
		case uint64:
			return v
		case uint32:
			return uint64(v)
		case int32:
			return uint64(max(v, 0))
		}
		return 0
	}
	text := func(key string) string { s, _ := p[key].Value().(string); return s } // "" when it is not there
	at := func(key string) time.Time {
		if n := number(key); n > 0 && n < math.MaxInt64 {
			return time.UnixMicro(int64(n)).UTC()
		}
		return time.Time{}
	}
	span := func(key string) time.Duration {
		return time.Duration(min(number(key), math.MaxInt64/1000)) * time.Microsecond
	}
	u := unitState{
		load: text("LoadState"), active: text("ActiveState"), sub: text("SubState"), result: text("Result"),
		status: text("StatusText"), policy: text("Restart"),
		since: at("StateChangeTimestamp"), exitAt: at("ExecMainExitTimestamp"),
		pid: int(number("MainPID")), restarts: int(number("NRestarts")),
		code: int(number("ExecMainCode")), exitStatus: int(number("ExecMainStatus")),
		burst: int(number("StartLimitBurst")), interval: span("StartLimitIntervalUSec"), delay: span("RestartUSec"),
	}
	if n := number("MemoryCurrent"); n < math.MaxInt64 { // all ones: not counted here
		u.memory = int64(n)
	}
	if n := number("CPUUsageNSec"); n < math.MaxInt64 { // the same
		u.cpu = time.Duration(n)
	}
	u.helper = failedCommand(p["ExecStartPre"].Value())
	return u
}

// failedCommand is the end of the first command that failed in a property of type
// a(sasbttttuii): path, argv, ignore failure, four timestamps, pid, code, status.
func failedCommand(v any) *ctl.Exit {
	commands, ok := v.([][]any)
	if !ok {
		return nil
	}
	for _, c := range commands {
		if len(c) != 10 {
			continue
		}
		code, _ := c[8].(int32)   // 0, not run, where it is none
		status, _ := c[9].(int32) // the same
		if code != 0 && status != 0 {
			return exitFrom(int(code), int(status))
		}
	}
	return nil
}

// exitFrom reads a pair of waitid(2)'s si_code and si_status.
func exitFrom(code, status int) *ctl.Exit {
	if code != 1 { // not CLD_EXITED: killed or dumped
		return &ctl.Exit{Code: 128 + status, Signal: unix.SignalName(syscall.Signal(status))}
	}
	return &ctl.Exit{Code: status}
}

// between says that the game has ended and is about to be started again.
func (u unitState) between() bool {
	return u.active == unitActivating && strings.HasPrefix(u.sub, "auto-restart")
}

// up says that the unit runs or is about to.
func (u unitState) up() bool {
	return u.active == unitActive || u.active == unitActivating || u.active == unitReloading
}

// exit is how the main process last ended, nil when it did not. The init passes
// a signal that ended the game on as 128+n.
func (u unitState) exit() *ctl.Exit {
	if u.exitAt.IsZero() {
		return nil
	}
	e := exitFrom(u.code, u.exitStatus)
	e.At = u.exitAt
	if e.Code > 128 && e.Code <= 128+64 {
		e.Signal = unix.SignalName(syscall.Signal(e.Code - 128))
	}
	return e
}

// gameOf is the game's process: the first child of the unit's init. Where /proc
// does not show it, it is the init.
func gameOf(main int) int {
	if main <= 0 {
		return 0
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", main, main))
	if err == nil {
		if first, _, _ := strings.Cut(string(bytes.TrimSpace(b)), " "); first != "" {
			if pid, err := strconv.Atoi(first); err == nil {
				return pid
			}
		}
	}
	return main
}

// gaveUp is why a unit is failed, as a sentence.
func (u unitState) gaveUp() string {
	how := "with an unknown result"
	if e := u.exit(); e != nil {
		how = "with " + describe(*e)
	}
	switch u.result {
	case "timeout":
		return "The server did not start or stop in time and was killed."
	case "oom-kill":
		how = "because it used more memory than it may"
	case "resources", "protocol":
		return "systemd could not run the server's unit (" + u.result + "); journalctl -u left4me-server@NAME shows why."
	}
	runs := min(max(u.restarts, 1), max(u.burst, 1))
	if runs == 1 || u.policy == "no" {
		return "The game ended " + how + " and is not started again."
	}
	return fmt.Sprintf("The game was started %d times within %s and ended each time, lastly %s; it is not started again. Its log shows why.", runs, inWords(u.interval), how)
}
