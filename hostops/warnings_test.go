package hostops

import (
	"os"
	"slices"
	"strings"
	"testing"

	"left4me/hostops/ctl"
)

func TestWarnings(t *testing.T) {
	tests := map[string]struct {
		spec ctl.Spec
		want []string
	}{
		"nothing odd": {ctl.Spec{
			Hostname: `Friday "versus" ; $(id)`, Arguments: []string{"-maxplayers", "8", "+map", "c1m1_hotel versus", "-tickrate", "30", "+exec", "a-b.cfg"},
			Config: "sv_alltalk 1\nsm_cvar mp_gamemode versus // über\nsv_region -1\nmp_gamemode\n",
		}, nil},
		"hidden": {ctl.Spec{Config: "sv_alltalk 1\nMP_gamemode versus; sv_tags a\n\nsv_minrate 1; sv_tags b\n"}, []string{
			`each of the lines 2 and 4 of the config sets a variable that the game hides (mp_gamemode, sv_tags, sv_minrate) and will answer "Unknown command": write sm_cvar in front, which needs SourceMod`,
		}},
		"cheat-protected": {ctl.Spec{Config: "\"nb_update_frequency\" 0.01\r\nsv_cheats 0\r\n"}, []string{
			"line 1 of the config sets a cheat-protected variable (nb_update_frequency), which the game refuses: write sm_cvar in front, which needs SourceMod",
		}},
		"cheats are on":         {ctl.Spec{Config: "sv_cheats 1\nnb_update_framelimit 5\n"}, nil},
		"a sign begins a value": {ctl.Spec{Arguments: []string{"+sv_region", "-1"}}, []string{"argument 2, -1, begins with a sign, so the game takes it for an option and not for a value: set the variable in the config instead"}},
		"a sign inside a value": {ctl.Spec{Arguments: []string{"+sv_contact", "me +you - all"}}, []string{`argument 2, "me +you - all", holds "+you" behind a blank, which the game takes for an option of its own: set the variable in the config instead`}},
		"not ASCII":             {ctl.Spec{Config: "// grüß\nsv_contact \"grüß\"\n", Hostname: "Für alle"}, []string{"the hostname has characters beyond plain ASCII; without a plug-in the game may show them wrongly", "line 2 of the config has characters beyond plain ASCII, which the game may read wrongly"}},
		"byte order mark":       {ctl.Spec{Config: "\uFEFFsv_alltalk 1\n"}, []string{"line 1 of the config begins with a byte order mark, so the game does not know its first command: save the text as UTF-8 without it"}},
		"tickrate":              {ctl.Spec{Arguments: []string{"-tickrate", "60"}}, []string{"the arguments ask for -tickrate 60, but no overlay brings the Tickrate Enabler or L4DToolZ: the game will stay at 30"}},
		"tickrate with plug-in": {ctl.Spec{Arguments: []string{"-tickrate", "60"}, Overlays: []string{"1/v1"}}, nil},
		"metamod's plug-in":     {ctl.Spec{Arguments: []string{"-tickrate", "100"}, Overlays: []string{"2/v1"}}, nil},
		"no such map":           {ctl.Spec{Arguments: []string{"+map", "c9m9_nowhere coop"}}, []string{"the arguments ask for +map c9m9_nowhere, and neither the game nor an overlay has it: the game will not start"}},
		"a map of an overlay":   {ctl.Spec{Arguments: []string{"+map", "My_Map"}, Overlays: []string{"1/v1"}}, nil},
		"maybe in a VPK":        {ctl.Spec{Arguments: []string{"+map", "c9m9_nowhere"}, Overlays: []string{"2/v1"}}, nil},
		"SourceMod is missing":  {ctl.Spec{Config: "sm_cvar a 1\n"}, []string{"line 1 of the config uses sm_cvar, which is SourceMod's, but no overlay brings SourceMod: the game will not know it"}},
		"long":                  {ctl.Spec{Config: "sv_tags2 " + strings.Repeat("x", 503) + "\n"}, []string{"line 1 of the config is longer than the 511 characters that the game takes for one command, and will be ignored"}},
		"just not long":         {ctl.Spec{Config: "sv_tags2 " + strings.Repeat("x", 502) + "\n"}, nil},
		"too much":              {ctl.Spec{Config: strings.Repeat("echo 1234567890\n", 600)}, []string{"the commands of the config have 9000 characters, and the game's command buffer may hold only 8192: if its log says Cbuf_AddText: buffer overflow, put a part into a file of its own and exec that"}},
		"much comment":          {ctl.Spec{Config: strings.Repeat("// 1234567890\n", 900)}, nil},
	}
	h, _, _ := newHost(t)
	for name, text := range map[string]string{
		"installation/left4dead2/maps/c1m1_hotel.bsp":      "x",
		"overlays/1/v1/left4dead2/addons/tickrate.vdf":     `"Plugin" { "file" "../left4dead2/addons/tickrate_enabler" }`,
		"overlays/1/v1/left4dead2/maps/my_map.bsp":         "x",
		"overlays/2/v1/left4dead2/addons/metamod/tool.vdf": `"Metamod Plugin" { "file" "addons/L4DToolZ/l4dtoolz_mm" }`,
		"overlays/2/v1/left4dead2/addons/campaign.vpk":     "x",
		"overlays/3/v1/left4dead2/addons/sourcemod/x":      "x",
	} {
		writeFile(t, h.path(name), text)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(tt.spec.Config, "sm_cvar mp") {
				tt.spec.Overlays = append(tt.spec.Overlays, "3/v1")
			}
			if got := h.Warnings(tt.spec); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// A real configuration must not drown its author in warnings.
func TestWarningsAboutARealConfigAreFew(t *testing.T) {
	h, _, _ := newHost(t)
	config := strings.Repeat("// a comment that explains what nobody asked about, at some length\n", 80)
	for range 30 {
		config += "sm_cvar sv_maxrate 100000                      // Maximum\nsv_minrate 1\n"
	}
	got := h.Warnings(ctl.Spec{Config: config})
	if len(got) != 2 || !strings.Contains(got[0], "81 and") && !strings.Contains(got[0], "and 20 more") {
		t.Errorf("%d warnings: %q", len(got), got)
	}
}

func TestWarningsBeforeTheInstall(t *testing.T) {
	h, _, _ := newHost(t)
	if err := os.RemoveAll(h.path(dirInstallation)); err != nil {
		t.Fatal(err)
	}
	if got := h.Warnings(ctl.Spec{Arguments: []string{"+map", "x"}}); got != nil {
		t.Errorf("got %q", got)
	}
}
