package hostops

import (
	"fmt"
	"strings"

	"left4me/hostops/gate"
	"left4me/hostops/overlay"
)

// maxCampaignWarnings bounds how many pairs of overlays are told: beyond that an
// author looks at the list anyway.
const maxCampaignWarnings = 5

// campaignWarnings tells overlays that bring the same campaign. The manifests know
// which they bring; an overlay without one says nothing.
func (h *Host) campaignWarnings(refs []string) []string {
	var layers []gate.LayerCampaigns
	for _, ref := range refs {
		if r, err := overlay.ParseRef(ref); err == nil {
			layers = append(layers, gate.LayerCampaigns{Ref: ref, Campaigns: h.store().Version(r).Campaigns})
		}
	}
	var all []string
	found := gate.Duplicates(layers)
	for i, f := range found {
		if i == maxCampaignWarnings {
			return append(all, fmt.Sprintf("%d pairs of overlays in all bring the same campaigns", len(found)))
		}
		all = append(all, clause(f.Sentence))
	}
	return all
}

// clause makes a sentence part of a list of warnings.
func clause(sentence string) string {
	return strings.ToLower(sentence[:1]) + strings.TrimSuffix(sentence[1:], ".")
}
