package hostops

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
)

// baseLook is what can be said of a server without asking its game. A whole look
// reads files and asks the supervisor; it is taken anew only when a cheap sign says
// that something happened, and every few seconds in case the signs are wrong.
type baseLook struct {
	st   ctl.Status
	inst supervisor.Instance

	at      time.Time
	sign    string   // of the files, before the look
	process *os.File // of the game; nil when there is none to watch
	settled bool     // nothing is under way that shows in no sign

	use   time.Duration // processor time of inst
	useAt time.Time
}

// due says whether a whole look is needed.
func (b *baseLook) due(h *Host, name string) bool {
	return !b.settled || time.Since(b.at) >= watchBeat-watchTick || b.ended() || b.sign != h.signOf(name)
}

// renew looks when that is due. A look that fails is not kept.
func (b *baseLook) renew(ctx context.Context, h *Host, name string) error {
	if !b.due(h, name) {
		return nil
	}
	sign := h.signOf(name) // before the look: what changes meanwhile is found by the next
	st, inst, err := h.seen(ctx, name)
	if err != nil {
		b.settled = false
		return err
	}
	st.CPU = b.cpu(inst)
	if b.process == nil || inst.PID != b.inst.PID || b.ended() {
		b.watchProcess(inst.PID)
	}
	b.st, b.inst, b.sign, b.at = st, inst, sign, time.Now()
	switch st.State {
	case ctl.ServerStopped, ctl.ServerFailed:
		b.settled = true
	default:
		b.settled = b.process != nil && st.State != ctl.ServerStopping
	}
	return nil
}

// signOf changes with the server's definition and with what its supervisor records.
func (h *Host) signOf(name string) string {
	spec := ""
	if fi, err := os.Lstat(h.path(dirInstances, name, specFile)); err == nil {
		spec = fi.ModTime().String()
	}
	return spec + " " + h.Supervisor.Stamp(name)
}

// cpu is how much of a core the server used since the last figure, in thousandths.
// Two looks in a row are too close for one.
func (b *baseLook) cpu(inst supervisor.Instance) int {
	now := time.Now()
	if inst.PID == 0 || inst.PID != b.inst.PID || inst.CPU < b.use || b.useAt.IsZero() {
		b.use, b.useAt = inst.CPU, now
		return 0
	}
	span := now.Sub(b.useAt)
	if span < watchQuery {
		return b.st.CPU
	}
	used := int((inst.CPU - b.use) * 1000 / span)
	b.use, b.useAt = inst.CPU, now
	return used
}

// watchProcess takes hold of the game's process, so that its end is noticed without
// asking anybody. Without a hold each tick looks anew.
func (b *baseLook) watchProcess(pid int) {
	b.close()
	if pid <= 0 {
		return
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // gone again, or in another PID namespace
	}
	b.process = os.NewFile(uintptr(fd), "game")
}

// ended says that the process that was there has ended.
func (b *baseLook) ended() bool {
	if b.process == nil {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(b.process.Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

func (b *baseLook) close() {
	if b.process != nil {
		_ = b.process.Close() // a process descriptor; nothing can be lost
		b.process = nil
	}
}
