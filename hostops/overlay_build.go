package hostops

import (
	"context"

	"left4me/hostops/ctl"
	"left4me/hostops/overlay"
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
var builders = map[ctl.OverlayKind]builder{}
