package hostops

import (
	"context"

	"left4me/hostops/ctl"
)

// build is one version in the making.
type build struct {
	id     int64
	spec   ctl.OverlaySpec
	dir    string      // absolute; empty when the builder begins, on the file system of overlays/
	report ctl.Version // builders add Items, Findings and Release
}

// builder fills b.dir. It has no say in what becomes of it: what it left there is
// checked, normalised and published, or thrown away, by BuildOverlay.
type builder func(h *Host, ctx context.Context, b *build) error
