package hostops

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"left4me/hostops/ctl"
)

// Reset stops an instance and removes what its game wrote: the upper layer with
// logs, bans, databases of plug-ins and changed files. Its spec, and so its port,
// overlays and configuration, stay. Doing it again changes nothing. Errors:
// ctl.ErrNotFound when there is no such instance.
func (h *Host) Reset(ctx context.Context, name string) error {
	if err := ctl.CheckName(name); err != nil {
		return err
	}
	if _, err := h.readSpec(name); errors.Is(err, ctl.ErrNotFound) { // one that is damaged may be reset
		return err
	}
	release, err := h.lockInstance(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	if err := h.stopGame(ctx, name); err != nil {
		return err
	}
	h.phase("reset", "Removing what the game wrote")
	if err := h.Supervisor.Purge(ctx, name); err != nil {
		return h.diskError(fmt.Errorf("remove what %s wrote: %w", name, err))
	}
	if err := os.Remove(h.path(dirInstances, name, refusedFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return h.diskError(fmt.Errorf("forget the refused password of %s: %w", name, err))
	}
	h.say("Server %s is as it was when it was initialised.", name)
	return nil
}

// Names lists the servers in order, without looking at any of them.
func (h *Host) Names() ([]string, error) { return h.names() }
