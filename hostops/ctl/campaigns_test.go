package ctl

import (
	"fmt"
	"strings"
	"testing"
)

func TestBuiltInCampaigns(t *testing.T) {
	all := BuiltInCampaigns()
	if len(all) != 14 {
		t.Fatalf("%d campaigns, want 14", len(all))
	}
	seen := map[string]bool{}
	maps := 0
	for i, c := range all {
		if want := fmt.Sprintf("L4D2C%d", i+1); c.Name != want || c.Title == "" || c.File != "" {
			t.Errorf("campaign %d is %q (%q) from %q, want %q, a title and no file", i+1, c.Name, c.Title, c.File, want)
		}
		if !IsBuiltInCampaign(strings.ToLower(c.Name)) {
			t.Errorf("%s is not taken for the game's own", c.Name)
		}
		coop := map[string]bool{}
		for _, m := range c.Modes {
			if len(m.Chapters) == 0 {
				t.Errorf("%s: %s has no chapter", c.Title, m.Name)
			}
			for j, ch := range m.Chapters {
				prefix := fmt.Sprintf("c%dm", i+1)
				switch m.Name {
				case "coop":
					prefix = fmt.Sprintf("c%dm%d_", i+1, j+1) // all of them, in order
					coop[ch.Map] = true
					maps++
				default:
					if !coop[ch.Map] {
						t.Errorf("%s: %s has the map %s, which coop has not", c.Title, m.Name, ch.Map)
					}
				}
				if !strings.HasPrefix(ch.Map, prefix) || ch.Title == "" {
					t.Errorf("%s: %s has %q (%q), want %s… with a title", c.Title, m.Name, ch.Map, ch.Title, prefix)
				}
				if !IsBuiltInMap(strings.ToUpper(ch.Map)) {
					t.Errorf("%s is not taken for the game's own", ch.Map)
				}
			}
		}
		if seen[c.Title] {
			t.Errorf("two campaigns are called %s", c.Title)
		}
		seen[c.Title] = true
	}
	if maps != 57 {
		t.Errorf("%d maps, want 57", maps)
	}
	all[0].Modes[0].Chapters[0].Map = "changed"
	if BuiltInCampaigns()[0].Modes[0].Chapters[0].Map != "c1m1_hotel" || IsBuiltInMap("changed") || IsBuiltInCampaign("L4D2C15") {
		t.Error("a caller's change came through, or what is not the game's own counts as that")
	}
}
