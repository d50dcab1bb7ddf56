package hostops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"left4me/hostops/ctl"
	"left4me/hostops/gate"
	"left4me/hostops/overlay"
	"left4me/hostops/steam"
)

// build is one version in the making.
type build struct {
	id   int64
	spec ctl.OverlaySpec
	dir  string // absolute; empty when the builder begins, on the file system of overlays/
	// stage is the same folder. Files that are never changed, such as those of the
	// store or of a version, come in by stage.Link and stage.Base; nothing else
	// may have a name elsewhere.
	stage    *overlay.Stage
	previous int64       // the newest version that is still there; 0 for none
	report   ctl.Version // builders add Items, Findings and Release
}

// builder fills b.dir. It has no say in what becomes of it: what it left there is
// checked, normalised and published, or thrown away, by BuildOverlay.
type builder func(h *Host, ctx context.Context, b *build) error

// builders make versions, by the kind of the overlay.
var builders = map[ctl.OverlayKind]builder{
	ctl.OverlayFiles:    buildFiles,
	ctl.OverlayScript:   buildScript,
	ctl.OverlayManaged:  buildManaged,
	ctl.OverlayWorkshop: buildWorkshop,
}

func (h *Host) store() *overlay.Store { return &overlay.Store{Root: h.Root} }

// lockOverlay takes the lock of one overlay: builds, collecting and deleting hold
// it, reading and servers do not.
func (h *Host) lockOverlay(ctx context.Context, id int64) (func(), error) {
	return h.lock(ctx, fmt.Sprintf(".overlay-%d", id), fmt.Sprintf("overlay %d", id), exclusive)
}

// BuildOverlay makes the next version of an overlay. Files that the gate refuses
// are kept aside and left out, unless spec.Admit names them. A build that comes to
// what the newest version holds publishes nothing. Whatever fails leaves the
// overlay as it was. Running servers keep what they have either way.
func (h *Host) BuildOverlay(ctx context.Context, id int64, spec ctl.OverlaySpec) (notices []string, err error) {
	if err := overlay.CheckID(id); err != nil {
		return nil, err
	}
	fill, known := builders[spec.Kind]
	if !known {
		return nil, fail(ctl.ErrBadSpec, "this l4d2ctl cannot build %s overlays", spec.Kind)
	}
	return h.build(ctx, id, spec, fill)
}

func (h *Host) build(ctx context.Context, id int64, spec ctl.OverlaySpec, fill builder) (notices []string, err error) {
	release, err := h.lockOverlay(ctx, id)
	if err != nil {
		return nil, err
	}
	defer release()
	stage, err := h.store().Begin(id)
	if err != nil {
		return nil, h.diskError(err)
	}
	defer func() { _ = stage.Discard() }() // what stays is removed by the next build
	b := &build{id: id, spec: spec, dir: stage.Dir, stage: stage}
	b.report.Kind, b.report.By, b.report.Why = spec.Kind, spec.By, spec.Why
	if b.previous, err = h.store().Newest(id); err != nil {
		return nil, h.diskError(err)
	}
	if err := fill(h, ctx, b); err != nil {
		return nil, h.buildError(ctx, id, err)
	}
	version, err := h.publish(ctx, b)
	if err != nil {
		return nil, h.buildError(ctx, id, err)
	}
	return h.tell(version), nil
}

// buildError keeps a cancelled build from looking like a failed one.
func (h *Host) buildError(ctx context.Context, id int64, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return fail(ctl.ErrCancelled, "the build of overlay %d was cancelled: it is as it was", id)
	}
	return h.diskError(err)
}

// publish looks at what a builder left and makes it the next version.
func (h *Host) publish(ctx context.Context, b *build) (ctl.Version, error) {
	if b.spec.Kind == ctl.OverlayFiles { // others bring their files again by themselves
		back, err := b.stage.Readmit(b.spec.Admit)
		if err != nil {
			return b.report, err
		}
		for _, path := range back {
			h.say("%s is back: an administrator let it in.", path)
		}
	}
	h.phase("check", "Checking the files")
	tree, err := b.stage.Check(ctx, overlay.CheckOptions{Read: h.readProgress("check", "Checking the files")})
	if err != nil {
		return b.report, err
	}
	if tree, err = h.guard(ctx, b, tree); err != nil {
		return b.report, err
	}
	h.phase("publish", "Publishing the version")
	return b.stage.Publish(tree, b.report)
}

// guard asks the gate about the files and sets aside what it refuses.
func (h *Host) guard(ctx context.Context, b *build, tree *overlay.Tree) (*overlay.Tree, error) {
	h.phase("gate", "Looking into the add-ons")
	seen, err := gate.Check(ctx, b.stage.Root(), func(sum string) bool { return slices.Contains(b.spec.Admit, sum) })
	if err != nil {
		return nil, err
	}
	b.report.Campaigns = seen.Campaigns
	b.report.Findings = append(b.report.Findings, seen.Findings...)
	slices.SortStableFunc(b.report.Findings, func(x, y ctl.Finding) int { return rankOf(x) - rankOf(y) })
	b.report.Findings = b.report.Findings[:min(len(b.report.Findings), ctl.MaxFindings)]
	if !seen.Refused() {
		return tree, nil
	}
	for _, f := range seen.Findings {
		if f.Verdict != ctl.VerdictRefused || f.Admitted {
			continue
		}
		if err := b.stage.SetAside(f); err != nil {
			return nil, err
		}
	}
	return b.stage.Check(ctx, overlay.CheckOptions{Before: tree})
}

// rankOf is the order of findings: the worst first.
func rankOf(f ctl.Finding) int {
	switch {
	case f.Verdict == ctl.VerdictRefused && !f.Admitted:
		return 0
	case f.Verdict == ctl.VerdictOK:
		return 2
	}
	return 1
}

// readStep is how many bytes are read between two reports.
const readStep = 64 << 20

// readProgress tells how much was read, now and then. How much there is nobody
// knows before the end.
func (h *Host) readProgress(key, title string) func(int64) {
	var told atomic.Int64
	return func(bytes int64) {
		if last := told.Load(); bytes-last >= readStep && told.CompareAndSwap(last, bytes) {
			h.Emit(ctl.Event{Type: ctl.EventProgress, At: now(), Phase: &ctl.Phase{Key: key, Title: title, Done: bytes}})
		}
	}
}

// tell reports a version in events and sentences.
func (h *Host) tell(v ctl.Version) (notices []string) {
	for i := range v.Findings {
		h.Emit(ctl.Event{Type: ctl.EventFinding, At: now(), Finding: &v.Findings[i]})
	}
	refused, warned := 0, 0
	for _, f := range v.Findings {
		switch {
		case f.Admitted:
		case f.Verdict == ctl.VerdictRefused:
			refused++
		case f.Verdict == ctl.VerdictWarning:
			warned++
		}
	}
	if refused > 0 {
		notices = append(notices, count(refused, "file was refused and is left out", "files were refused and are left out"))
	}
	if warned > 0 {
		notices = append(notices, count(warned, "warning about its files", "warnings about its files"))
	}
	for _, n := range notices {
		h.say("Note: %s.", n)
	}
	h.say("%s", versionSentence(v))
	h.emitVersion(v)
	return notices
}

// maxVersionEvent bounds the event of a version in bytes: readers have buffers.
const maxVersionEvent = 200 << 10

// emitVersion tells of a version. One that says too much of itself keeps its worst
// findings and first campaigns; everything is in its manifest.
func (h *Host) emitVersion(v ctl.Version) {
	for {
		rest := v
		rest.Items = nil // bounded by their number, and whoever asked needs each
		data, err := json.Marshal(rest)
		if err != nil || len(data) <= maxVersionEvent || len(v.Findings)+len(v.Campaigns) == 0 {
			break
		}
		v.Findings, v.Campaigns = v.Findings[:len(v.Findings)/2], v.Campaigns[:len(v.Campaigns)/2]
	}
	h.Emit(ctl.Event{Type: ctl.EventVersion, At: now(), Version: &v})
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func versionSentence(v ctl.Version) string {
	what := fmt.Sprintf("%s, %s", count(v.Files, "file", "files"), steam.Bytes(v.Size))
	switch {
	case v.Same:
		return fmt.Sprintf("Overlay %d stays at version v%d (%s): nothing changed.", v.Overlay, v.Number, what)
	case v.Previous == 0:
		return fmt.Sprintf("Overlay %d has its first version, v%d (%s).", v.Overlay, v.Number, what)
	}
	var changes []string
	for _, c := range []struct {
		n    int
		word string
	}{{v.Added, "added"}, {v.Changed, "changed"}, {v.Removed, "removed"}} {
		if c.n > 0 {
			changes = append(changes, fmt.Sprintf("%d %s", c.n, c.word))
		}
	}
	if len(changes) == 0 {
		changes = []string{"only folders changed"}
	}
	return fmt.Sprintf("Overlay %d has the new version v%d (%s; %s). Running servers keep what they started with.", v.Overlay, v.Number, what, strings.Join(changes, ", "))
}
