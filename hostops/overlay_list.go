package hostops

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"left4me/hostops/ctl"
	"left4me/hostops/overlay"
)

// ListOverlays lists every version of one overlay, or with id 0 of all: by number,
// the newest version first, with the servers that use it.
func (h *Host) ListOverlays(ctx context.Context, id int64) ([]ctl.Version, error) {
	ids := []int64{id}
	if id == 0 {
		var err error
		if ids, err = h.store().IDs(); err != nil {
			return nil, err
		}
	}
	users := h.usersIfKnown(ctx)
	var all []ctl.Version
	for _, id := range ids {
		versions, err := h.store().Versions(id)
		if err != nil {
			return nil, err
		}
		for _, v := range versions {
			v.Used = users.of(overlay.Ref{Overlay: v.Overlay, Version: v.Number})
			all = append(all, v)
		}
	}
	if id != 0 && len(all) == 0 {
		return nil, fail(ctl.ErrNoOverlay, "there is no overlay %d on this host: l4d2ctl overlay list shows what there is", id)
	}
	return all, nil
}

// ShowOverlay is one version with its files; number 0 is the newest that is there.
// Errors: ctl.ErrNoOverlay when there is no such version.
func (h *Host) ShowOverlay(ctx context.Context, id, number int64) (*ctl.Manifest, error) {
	if number == 0 {
		var err error
		if number, err = h.store().Newest(id); err != nil {
			return nil, err
		}
		if number == 0 {
			return nil, fail(ctl.ErrNoOverlay, "there is no overlay %d on this host: l4d2ctl overlay list shows what there is", id)
		}
	}
	ref := overlay.Ref{Overlay: id, Version: number}
	m, err := h.store().Manifest(id, number)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, h.store().Missing(ref)
	}
	if err != nil {
		return nil, err
	}
	m.Used = h.usersIfKnown(ctx).of(ref)
	return m, nil
}

// DiffOverlay says what a version has otherwise than another of the same overlay.
func (h *Host) DiffOverlay(id, from, to int64) (overlay.Diff, error) {
	var trees [2][]ctl.ManifestFile
	for i, number := range []int64{from, to} {
		m, err := h.store().Manifest(id, number)
		if errors.Is(err, fs.ErrNotExist) {
			return overlay.Diff{}, h.store().Missing(overlay.Ref{Overlay: id, Version: number})
		}
		if err != nil {
			return overlay.Diff{}, err
		}
		trees[i] = m.Tree
	}
	return overlay.Compare(trees[0], trees[1]), nil
}

// VerifyOverlays reads every version of one overlay, or with id 0 of all, and
// compares it with its manifest. Each comes back with its Fault; emitted is each
// as an event as well.
func (h *Host) VerifyOverlays(ctx context.Context, id int64) ([]ctl.Version, error) {
	all, err := h.ListOverlays(ctx, id)
	if err != nil {
		return nil, err
	}
	for i := range all {
		v := &all[i]
		if v.Collected {
			continue
		}
		ref := overlay.Ref{Overlay: v.Overlay, Version: v.Number}
		title := "Reading version " + ref.String()
		h.phase("verify", title)
		faults, err := h.store().Verify(ctx, ref, h.readProgress("verify", title))
		if err != nil {
			return nil, h.buildError(ctx, v.Overlay, err)
		}
		for _, f := range faults {
			h.say("%s: %s.", ref, f)
		}
		if v.Fault = ""; len(faults) > 0 {
			v.Fault = faults[0]
			if len(faults) > 1 {
				v.Fault = fmt.Sprintf("%s (and %d more)", faults[0], len(faults)-1)
			}
		}
	}
	return all, nil
}

// usedBy says which servers name a version, by its ref.
type usedBy map[string][]string

func (u usedBy) of(r overlay.Ref) []string { return u[r.String()] }

// users finds every version that a server's definition names or its game has
// mounted. Whoever removes anything by it holds lockPorts, so that no definition
// changes meanwhile. What cannot be known is an error: guessing would take the
// files of a running game away.
func (h *Host) users(ctx context.Context) (usedBy, error) {
	names, err := h.known()
	if err != nil {
		return nil, err
	}
	mounted, err := h.mounted()
	if err != nil {
		return nil, err
	}
	u := usedBy{}
	for _, name := range names {
		refs, err := h.refsOf(ctx, name, slices.Contains(mounted, name))
		if err != nil {
			return nil, err
		}
		for _, ref := range refs {
			ref = path.Clean(ref)
			if !slices.Contains(u[ref], name) {
				u[ref] = append(u[ref], name)
			}
		}
	}
	return u, nil
}

// usersIfKnown is users for those who only look.
func (h *Host) usersIfKnown(ctx context.Context) usedBy {
	u, err := h.users(ctx)
	if err != nil {
		h.say("Note: which servers use the versions is not known: %v.", err)
	}
	return u
}

// refsOf lists what one server names. Its definition is read first: a start by an
// older one is over, and seen by its supervisor, once a newer one is there.
func (h *Host) refsOf(ctx context.Context, name string, mounted bool) ([]string, error) {
	spec, err := h.readSpec(name)
	if err != nil && !errors.Is(err, ctl.ErrNotFound) {
		return nil, fail(ctl.ErrInUse, "the definition of server %s cannot be read, so nobody knows which overlays it uses: initialise it again, or delete it (%v)", name, err)
	}
	refs := slices.Clone(spec.Overlays)
	inst, err := h.Supervisor.Status(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("ask what %s runs with: %w", name, err)
	}
	switch {
	case inst.Applied != nil: // also of one that failed: its mount may still be there
		refs = append(refs, inst.Applied.Overlays...)
	case up(inst), mounted:
		return nil, fail(ctl.ErrInUse, "server %s has its files mounted, but nobody knows from which overlays: stop it first", name)
	}
	return refs, nil
}
