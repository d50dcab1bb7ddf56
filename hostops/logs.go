package hostops

import (
	"context"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
)

// Logs emits an instance's console lines as log events, without those that our
// own status queries leave there. Following ends without
// an error when ctx does.
func (h *Host) Logs(ctx context.Context, name string, o supervisor.LogOptions) error {
	if err := ctl.CheckName(name); err != nil {
		return err
	}
	if h.nothingOf(name) {
		return fail(ctl.ErrNotFound, "there is no server %s", name)
	}
	secrets := h.maskerOf(name)
	var own ownStatus
	err := h.Supervisor.Logs(ctx, name, o, func(l supervisor.LogLine) error {
		if own.hides(l.Text) {
			return ctx.Err()
		}
		h.Emit(ctl.Event{Type: ctl.EventLog, At: l.At, Stream: ctl.StreamGame, Text: secrets.mask(l.Text), Cursor: l.Cursor})
		return ctx.Err()
	})
	if o.Follow && ctx.Err() != nil {
		return nil
	}
	return err
}
