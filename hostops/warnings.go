package hostops

import (
	"left4me/hostops/advice"
	"left4me/hostops/ctl"
)

// Warnings says what of a valid spec the game will not take as it is written. It
// looks into the overlays and the installation as far as they are there.
func (h *Host) Warnings(spec ctl.Spec) []string {
	var all []string
	for _, n := range advice.Of(spec, advice.Layers{Root: h.Root, Refs: spec.Overlays}) {
		all = append(all, n.Text)
	}
	return append(all, h.campaignWarnings(spec.Overlays)...)
}
