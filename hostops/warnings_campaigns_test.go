package hostops

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"left4me/hostops/ctl"
)

func TestWarningsAboutCampaignsOfTwoOverlays(t *testing.T) {
	h, _, _ := newHost(t)
	publish := func(id, number int64, file string, campaigns ...string) string {
		v := ctl.Version{Overlay: id, Number: number, Kind: ctl.OverlayFiles}
		for _, c := range campaigns {
			v.Campaigns = append(v.Campaigns, ctl.Campaign{Name: c, Title: "The " + c, File: file})
		}
		data, err := json.Marshal(ctl.Manifest{Version: v})
		if err != nil {
			t.Fatal(err)
		}
		ref := fmt.Sprintf("%d/v%d", id, number)
		writeFile(t, h.path("overlays", ref+".json"), string(data))
		if err := os.MkdirAll(h.path("overlays", ref), 0o755); err != nil {
			t.Fatal(err)
		}
		return ref
	}
	a := publish(11, 1, "left4dead2/addons/a.vpk", "flight", "night")
	b := publish(12, 3, "left4dead2/addons/b.vpk", "Flight", "day")
	c := publish(13, 1, "left4dead2/addons/a.vpk", "flight")
	tests := map[string]struct {
		overlays []string
		want     []string
	}{
		"one":            {[]string{a}, nil},
		"two files":      {[]string{a, b}, []string{`the overlays 11/v1 and 12/v3 both bring the campaign "The flight": the game uses one of the two files, which need not be the upper one, so take one out`}},
		"one is hidden":  {[]string{a, c}, nil},
		"no manifest":    {[]string{a, "99/v1"}, nil},
		"not an overlay": {[]string{a, "../../etc"}, nil},
	}
	for name, tt := range tests {
		if got := h.Warnings(ctl.Spec{Overlays: tt.overlays}); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, tt.want)
		}
	}
	var many []string
	for i := range 7 {
		many = append(many, publish(int64(20+i), 1, fmt.Sprintf("left4dead2/addons/%d.vpk", i), "one"))
	}
	if got := h.Warnings(ctl.Spec{Overlays: many}); len(got) != maxCampaignWarnings+1 || got[maxCampaignWarnings] != "6 pairs of overlays in all bring the same campaigns" {
		t.Errorf("seven overlays with one campaign: %q", got)
	}
}
