package hostops

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"left4me/hostops/ctl"
)

// Delete stops an instance and removes everything of it: what it wrote, its log,
// its layers and its spec. A missing one is success, a half-made one goes too.
func (h *Host) Delete(ctx context.Context, name string) error {
	if err := ctl.CheckName(name); err != nil {
		return err
	}
	if h.nothingOf(name) {
		h.say("There is no server %s: nothing to delete.", name)
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
	h.phase("remove", "Removing its files")
	if err := h.Supervisor.Purge(ctx, name); err != nil {
		return fmt.Errorf("remove what %s wrote: %w", name, err)
	}
	if err := h.removeInstance(name); err != nil {
		return h.diskError(fmt.Errorf("remove %s: %w", name, err))
	}
	h.say("Server %s is deleted.", name)
	return nil
}

func (h *Host) nothingOf(name string) bool {
	for _, dir := range []string{dirInstances, "runtime"} {
		if _, err := os.Lstat(h.path(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

// removeInstance takes the spec first: what is left after a crash is no server
// any more. Links are removed, never followed.
func (h *Host) removeInstance(name string) error {
	root, err := os.OpenRoot(h.path(dirInstances))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close() // read only; nothing can be lost
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		if err := root.Remove(path.Join(name, specFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return root.RemoveAll(name)
}
