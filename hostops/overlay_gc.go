package hostops

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/overlay"
	"left4me/hostops/steam"
)

// CollectOptions say what may be removed.
type CollectOptions struct {
	Keep int           // so many of an overlay's newest versions stay; at least one
	Age  time.Duration // and whatever is younger than this
	Pins Pins
}

// Pins name what somebody outside of this host's definitions still needs.
type Pins struct {
	Versions map[overlay.Ref]bool
	// Uploads are the ids of uploads that are still needed. nil says nothing about
	// uploads, and then none is removed.
	Uploads map[string]bool
}

// The ages of what else is removed. Nobody may still be writing to an upload, and
// whoever lets a refused file in had time to look at it.
const (
	uploadAge  = time.Hour
	refusedAge = 30 * 24 * time.Hour
)

// maxPins bounds a list of pins in lines.
const maxPins = 1_000_000

// ReadPins adds a list of pins, one a line: "pin 12/v3" for a version, "upload
// UUID" for an upload, and "uploads" to say that all that are needed are listed,
// so that the others may go. Empty lines and those that begin with # are nothing.
func (p *Pins) ReadPins(name string, r io.Reader) error {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		verb, value, _ := strings.Cut(line, " ")
		var err error
		switch {
		case n > maxPins:
			err = fmt.Errorf("there are more than %d lines", maxPins)
		case verb == "uploads" && value == "":
			p.needUploads()
		case verb == "upload" && uploadID.MatchString(value):
			p.needUploads()
			p.Uploads[value] = true
		case verb == "pin":
			err = p.Pin(value)
		default:
			err = fmt.Errorf("%q is none of \"pin ID/vN\", \"upload UUID\" and \"uploads\"", short(line))
		}
		if err != nil {
			return fail(ctl.ErrUsage, "%s:%d: %v", name, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fail(ctl.ErrUsage, "%s: the list of what is needed cannot be read: %v", name, err)
	}
	return nil
}

// Pin adds one version.
func (p *Pins) Pin(ref string) error {
	r, err := overlay.ParseRef(ref)
	if err != nil {
		return err
	}
	if p.Versions == nil {
		p.Versions = map[overlay.Ref]bool{}
	}
	p.Versions[r] = true
	return nil
}

func (p *Pins) needUploads() {
	if p.Uploads == nil {
		p.Uploads = map[string]bool{}
	}
}

// CollectOverlays removes versions that nobody uses: never the newest of an
// overlay, one that is pinned, or one that a server's definition or running game
// names. With them go workshop items that no version links any more, refused files
// nobody wanted for a month, and uploads that are not needed. Emits each version
// that is gone, whose number is never used again.
func (h *Host) CollectOverlays(ctx context.Context, o CollectOptions) (notices []string, err error) {
	ids, err := h.store().IDs()
	if err != nil {
		return nil, err
	}
	h.phase("collect", "Looking for versions that nothing uses")
	gone := 0
	for _, id := range ids {
		n, err := h.collect(ctx, id, o)
		gone += n
		if errors.Is(err, ctl.ErrBusy) {
			notices = append(notices, fmt.Sprintf("overlay %d is being built and was left alone", id))
			continue
		}
		if err != nil {
			return notices, h.buildError(ctx, id, err)
		}
	}
	if err := h.store().Deleted(); err != nil {
		return notices, h.diskError(err)
	}
	items, freed, err := h.collectWorkshop(ctx, o.Age)
	if err != nil {
		return notices, h.diskError(err)
	}
	uploads, err := h.collectUploads(o.Pins)
	if err != nil {
		return notices, h.diskError(err)
	}
	if h.Sandbox != nil { // what a build left that was killed together with its l4d2ctl
		if err := h.Sandbox.Sweep(ctx); err != nil {
			return notices, h.diskError(err)
		}
	}
	for _, n := range notices {
		h.say("Note: %s.", n)
	}
	h.say("%s", collected(gone, items, freed, uploads))
	return notices, nil
}

// collected is what was removed in a sentence.
func collected(versions, items int, freed int64, uploads int) string {
	var parts []string
	if versions > 0 {
		parts = append(parts, count(versions, "version", "versions")+" of overlays")
	}
	if items > 0 {
		parts = append(parts, fmt.Sprintf("%s of workshop items (%s)", count(items, "old file", "old files"), steam.Bytes(freed)))
	}
	if uploads > 0 {
		parts = append(parts, count(uploads, "upload", "uploads"))
	}
	if len(parts) == 0 {
		return "Everything is in use or too new: nothing was removed."
	}
	return "Removed: " + strings.Join(parts, ", ") + "."
}

// collect does one overlay. lockPorts keeps definitions from changing, and so is
// held no longer than it takes to find out and to rename.
func (h *Host) collect(ctx context.Context, id int64, o CollectOptions) (n int, err error) {
	release, err := h.lockOverlay(ctx, id)
	if err != nil {
		return 0, err
	}
	defer release()
	if err := h.store().Recover(id); err != nil {
		return 0, err
	}
	gone, err := h.retire(ctx, id, o)
	for _, v := range gone {
		h.say("Version %d/v%d is collected.", v.Overlay, v.Number)
		h.emitVersion(v)
	}
	if err != nil {
		return len(gone), err
	}
	if _, err := h.store().DropRefused(id, now().Add(-refusedAge)); err != nil {
		return len(gone), err
	}
	return len(gone), h.store().Recover(id)
}

// retire takes the names of what may go. Servers are asked only where anything may.
func (h *Host) retire(ctx context.Context, id int64, o CollectOptions) ([]ctl.Version, error) {
	if n, err := h.store().Present(id); err != nil || n <= max(o.Keep, 1) {
		return nil, err
	}
	release, err := h.lock(ctx, lockPorts, "the list of servers", exclusive)
	if err != nil {
		return nil, err
	}
	defer release()
	users, err := h.users(ctx)
	if err != nil {
		return nil, err
	}
	return h.store().Collect(id, overlay.CollectOptions{
		Count: o.Keep, Age: o.Age, Now: now(),
		Keep: func(r overlay.Ref) bool { return o.Pins.Versions[r] || len(users.of(r)) > 0 },
	})
}

// collectUploads removes what nobody needs and nobody writes to.
func (h *Host) collectUploads(p Pins) (n int, err error) {
	if p.Uploads == nil {
		return 0, nil
	}
	all, err := h.store().Uploads()
	if err != nil {
		return 0, err
	}
	for id, info := range all {
		if p.Uploads[id] || time.Since(info.ModTime()) < uploadAge {
			continue
		}
		if err := h.store().RemoveUpload(id); err != nil {
			return n, fmt.Errorf("remove the upload %s: %w", id, err)
		}
		n++
	}
	return n, nil
}

// DeleteOverlay removes everything the host keeps of an overlay. None is success.
// It is refused while a server's definition or running game names one of its
// versions.
func (h *Host) DeleteOverlay(ctx context.Context, id int64) error {
	if err := overlay.CheckID(id); err != nil {
		return err
	}
	if _, err := os.Lstat(h.path(dirOverlays, fmt.Sprint(id))); errors.Is(err, fs.ErrNotExist) {
		h.say("There is no overlay %d: nothing to delete.", id)
		return nil
	}
	release, err := h.lockOverlay(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	releasePorts, err := h.lock(ctx, lockPorts, "the list of servers", exclusive)
	if err != nil {
		return err
	}
	defer releasePorts()
	users, err := h.users(ctx)
	if err != nil {
		return err
	}
	for ref, names := range users {
		if strings.HasPrefix(ref, fmt.Sprintf("%d/", id)) {
			return fail(ctl.ErrInUse, "overlay %d is in use: server %s has version %s. Give the server other overlays, or delete it, first", id, strings.Join(names, ", "), ref)
		}
	}
	h.phase("remove", "Removing its files")
	if err := h.store().Delete(id); err != nil {
		return h.diskError(err)
	}
	h.say("Overlay %d is deleted.", id)
	return nil
}
