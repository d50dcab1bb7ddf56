package advice

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"left4me/hostops/ctl"
)

func write(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestNoticesSayWhereTheyBelong(t *testing.T) {
	root := t.TempDir()
	write(t, root, "installation/left4dead2/maps/c1m1_hotel.bsp", "x")
	tests := map[string]struct {
		spec  ctl.Spec
		field string
		lines []int
		text  string
	}{
		"hidden cvars":  {ctl.Spec{Config: "a 1\nmp_gamemode versus\n\nsv_tags a; sv_tags b\n"}, "config", []int{2, 4}, "hides (mp_gamemode, sv_tags)"},
		"cheats":        {ctl.Spec{Config: "nb_update_frequency 0.1\n"}, "config", []int{1}, "cheat-protected"},
		"tickrate":      {ctl.Spec{Arguments: []string{"-a", "-tickrate", "60"}}, "arguments", []int{2, 3}, "stay at 30"},
		"a sign":        {ctl.Spec{Arguments: []string{"+sv_region", "-1"}}, "arguments", []int{2}, "begins with a sign"},
		"no such map":   {ctl.Spec{Arguments: []string{"+map", "nowhere coop"}}, "arguments", []int{1, 2}, "+map nowhere"},
		"odd host name": {ctl.Spec{Hostname: "Für alle"}, "hostname", nil, "plain ASCII"},
		"too much":      {ctl.Spec{Config: strings.Repeat("echo 1234567890\n", 600)}, "config", nil, "command buffer"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Of(test.spec, Layers{Root: root})
			if len(got) != 1 || got[0].Field != test.field || !reflect.DeepEqual(got[0].Lines, test.lines) || !strings.Contains(got[0].Text, test.text) || got[0].Refused {
				t.Errorf("got %+v, want one of %s, lines %v, with %q", got, test.field, test.lines, test.text)
			}
		})
	}
}

// What the host refuses is told of each argument, also where it hides in another one:
// the engine joins its arguments and splits them again.
func TestAttack8ArgumentsThatAreOurs(t *testing.T) {
	args := []string{"-tickrate", "-PORT", `x" -ip 1.2.3.4`, "+rcon_password;quit", "+map"}
	var at []int
	for _, n := range Refused(args) {
		if !n.Refused || n.Field != "arguments" || len(n.Lines) != 1 {
			t.Errorf("got %+v, want a refusal of one argument", n)
			continue
		}
		at = append(at, n.Lines[0])
	}
	if want := []int{2, 3, 4}; !reflect.DeepEqual(at, want) {
		t.Errorf("arguments %v are refused, want %v", at, want)
	}
}

// A version may be filled by anybody: its links lead nowhere outside of it.
func TestAttack1LinksOutOfAVersion(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	write(t, outside, "sourcemod/x", "x")
	write(t, outside, "tickrate.vdf", `"file" "tickrate_enabler"`)
	if err := os.MkdirAll(filepath.Join(root, "overlays/1/v1/left4dead2"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(root, "overlays/1/v1/left4dead2/addons")); err != nil {
		t.Fatal(err)
	}
	spec := ctl.Spec{Arguments: []string{"-tickrate", "60"}, Config: "sm_cvar a 1\n", Overlays: []string{"1/v1"}}
	if got := Of(spec, Layers{Root: root, Refs: spec.Overlays}); len(got) != 2 {
		t.Errorf("got %+v, want two notices: what lies behind the link is none of the game's", got)
	}
	write(t, root, "overlays/2/v1/left4dead2/addons/sourcemod/x", "x")
	write(t, root, "overlays/2/v1/left4dead2/addons/metamod/l4dtoolz.vdf", "x")
	refs := []string{"1/v1", "2/v1", "../outside", "9/v9"}
	if got := Of(spec, Layers{Root: root, Refs: refs}); len(got) != 0 {
		t.Errorf("got %+v, want none: overlay 2 brings both", got)
	}
}

// An overlay of very many plug-ins made each look at some arguments read all of them.
func TestAttack4VeryManyDescriptors(t *testing.T) {
	root := t.TempDir()
	for i := range maxDescriptors {
		write(t, root, fmt.Sprintf("overlays/1/v1/left4dead2/addons/%04d.vdf", i), "x")
	}
	spec := ctl.Spec{Arguments: []string{"-tickrate", "60"}, Overlays: []string{"1/v1"}}
	said := func() int { return len(Of(spec, Layers{Root: root, Refs: spec.Overlays})) }
	write(t, root, "overlays/1/v1/left4dead2/addons/x.vdf", `"file" "tickrate_enabler"`)
	if said() != 1 {
		t.Errorf("more than %d plug-ins are read", maxDescriptors)
	}
	write(t, root, "overlays/1/v1/left4dead2/addons/0100.vdf", `"file" "tickrate_enabler"`)
	if said() != 0 {
		t.Error("the first ones are not read")
	}
}
