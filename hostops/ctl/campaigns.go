package ctl

import (
	"strconv"
	"strings"
)

// campaigns.go is the game's own campaigns as data. They are in the installation's
// own packages, and the same on every host since the game's last update of content
// in 2020.

// builtIn is one campaign. Every chapter is played in coop, realism and versus;
// the arenas of survival and scavenge are listed by the map's number.
type builtIn struct {
	title              string
	chapters           []Chapter
	survival, scavenge []int
}

var builtIns = []builtIn{
	{"Dead Center", []Chapter{
		{"c1m1_hotel", "The Hotel"},
		{"c1m2_streets", "The Streets"},
		{"c1m3_mall", "The Mall"},
		{"c1m4_atrium", "The Atrium"},
	}, []int{2, 4}, []int{4}},
	{"Dark Carnival", []Chapter{
		{"c2m1_highway", "The Highway"},
		{"c2m2_fairgrounds", "The Fairgrounds"},
		{"c2m3_coaster", "The Coaster"},
		{"c2m4_barns", "The Barns"},
		{"c2m5_concert", "The Concert"},
	}, []int{1, 4, 5}, []int{1}},
	{"Swamp Fever", []Chapter{
		{"c3m1_plankcountry", "Plank Country"},
		{"c3m2_swamp", "The Swamp"},
		{"c3m3_shantytown", "Shantytown"},
		{"c3m4_plantation", "The Plantation"},
	}, []int{1, 4}, []int{1}},
	{"Hard Rain", []Chapter{
		{"c4m1_milltown_a", "The Milltown"},
		{"c4m2_sugarmill_a", "The Sugar Mill"},
		{"c4m3_sugarmill_b", "Mill Escape"},
		{"c4m4_milltown_b", "Return to Town"},
		{"c4m5_milltown_escape", "Town Escape"},
	}, []int{1, 2}, []int{1, 2}},
	{"The Parish", []Chapter{
		{"c5m1_waterfront", "The Waterfront"},
		{"c5m2_park", "The Park"},
		{"c5m3_cemetery", "The Cemetery"},
		{"c5m4_quarter", "The Quarter"},
		{"c5m5_bridge", "The Bridge"},
	}, []int{2, 5}, []int{2}},
	{"The Passing", []Chapter{
		{"c6m1_riverbank", "The Riverbank"},
		{"c6m2_bedlam", "The Underground"},
		{"c6m3_port", "The Port"},
	}, []int{1, 2, 3}, []int{1, 2, 3}},
	{"The Sacrifice", []Chapter{
		{"c7m1_docks", "Docks"},
		{"c7m2_barge", "Barge"},
		{"c7m3_port", "Port"},
	}, []int{1, 3}, []int{1, 2}},
	{"No Mercy", []Chapter{
		{"c8m1_apartment", "The Apartments"},
		{"c8m2_subway", "The Subway"},
		{"c8m3_sewers", "The Sewer"},
		{"c8m4_interior", "The Hospital"},
		{"c8m5_rooftop", "Rooftop Finale"},
	}, []int{2, 3, 4, 5}, []int{1, 5}},
	{"Crash Course", []Chapter{
		{"c9m1_alleys", "The Alleys"},
		{"c9m2_lots", "The Truck Depot Finale"},
	}, []int{1, 2}, []int{1}},
	{"Death Toll", []Chapter{
		{"c10m1_caves", "The Turnpike"},
		{"c10m2_drainage", "The Drains"},
		{"c10m3_ranchhouse", "The Church"},
		{"c10m4_mainstreet", "The Town"},
		{"c10m5_houseboat", "Boathouse Finale"},
	}, []int{2, 3, 4, 5}, []int{3}},
	{"Dead Air", []Chapter{
		{"c11m1_greenhouse", "The Greenhouse"},
		{"c11m2_offices", "The Crane"},
		{"c11m3_garage", "The Construction Site"},
		{"c11m4_terminal", "The Terminal"},
		{"c11m5_runway", "Runway Finale"},
	}, []int{2, 3, 4, 5}, []int{4}},
	{"Blood Harvest", []Chapter{
		{"c12m1_hilltop", "The Woods"},
		{"c12m2_traintunnel", "The Tunnel"},
		{"c12m3_bridge", "The Bridge"},
		{"c12m4_barn", "The Train Station"},
		{"c12m5_cornfield", "Farmhouse Finale"},
	}, []int{2, 3, 5}, []int{5}},
	{"Cold Stream", []Chapter{
		{"c13m1_alpinecreek", "Alpine Creek"},
		{"c13m2_southpinestream", "South Pine Stream"},
		{"c13m3_memorialbridge", "Memorial Bridge"},
		{"c13m4_cutthroatcreek", "Cut-throat Creek"},
	}, []int{3, 4}, nil},
	{"The Last Stand", []Chapter{
		{"c14m1_junkyard", "The Junkyard"},
		{"c14m2_lighthouse", "The Lighthouse"},
	}, []int{1, 2}, []int{1, 2}},
}

// BuiltInCampaigns are the game's own, in its order. The caller may change them.
func BuiltInCampaigns() []Campaign {
	all := make([]Campaign, len(builtIns))
	for i, b := range builtIns {
		all[i] = Campaign{Name: builtInName(i), Title: b.title, Author: "Valve", Modes: b.modes()}
	}
	return all
}

func (b builtIn) modes() []Mode {
	var modes []Mode
	for _, name := range []string{"coop", "realism", "versus"} {
		modes = append(modes, Mode{name, append([]Chapter(nil), b.chapters...)})
	}
	for _, arenas := range []struct {
		mode string
		maps []int
	}{{"survival", b.survival}, {"scavenge", b.scavenge}} {
		if len(arenas.maps) == 0 {
			continue
		}
		m := Mode{Name: arenas.mode}
		for _, n := range arenas.maps {
			m.Chapters = append(m.Chapters, b.chapters[n-1])
		}
		modes = append(modes, m)
	}
	return modes
}

// IsBuiltInMap reports whether the game itself has a map of this name, in any case.
func IsBuiltInMap(name string) bool {
	for _, b := range builtIns {
		for _, c := range b.chapters {
			if strings.EqualFold(c.Map, name) {
				return true
			}
		}
	}
	return false
}

// IsBuiltInCampaign reports whether name is what a mission file of the game's own
// calls itself, such as L4D2C1.
func IsBuiltInCampaign(name string) bool {
	for i := range builtIns {
		if strings.EqualFold(builtInName(i), name) {
			return true
		}
	}
	return false
}

// builtInName is the Name of the game's own mission file.
func builtInName(i int) string { return "L4D2C" + strconv.Itoa(i+1) }
