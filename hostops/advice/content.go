package advice

import (
	"path"
	"slices"
	"strings"

	"left4me/hostops/ctl"
	"left4me/hostops/servercfg"
)

// stockTickrate is what the game runs at whatever -tickrate says, unless a
// plug-in lifts that.
const stockTickrate = "30"

func pluginNotices(args []string, commands []servercfg.Command, layers Layers) []ctl.Notice {
	var all []ctl.Notice
	i := slices.IndexFunc(args, func(a string) bool { return strings.EqualFold(a, "-tickrate") })
	if i >= 0 && i+1 < len(args) && args[i+1] != stockTickrate && !layers.liftTickrate() {
		all = append(all, notice(arguments, []int{i + 1, i + 2}, "the arguments ask for -tickrate %s, but no overlay brings the Tickrate Enabler or L4DToolZ: the game will stay at %s", short(args[i+1]), stockTickrate))
	}
	var lines []int
	for _, c := range commands {
		if strings.EqualFold(c.Name, "sm_cvar") {
			lines = append(lines, c.Line)
		}
	}
	if len(lines) > 0 && !layers.have("left4dead2/addons/sourcemod") {
		all = append(all, notice(config, lines, "%s of the config uses sm_cvar, which is SourceMod's, but no overlay brings SourceMod: the game will not know it", lineList(lines)))
	}
	return all
}

// How much of a plug-in's .vdf is read, and of how many in one folder: an overlay may
// have a hundred thousand, and somebody who types asks again and again.
const (
	maxDescriptor  = 4096
	maxDescriptors = 200
)

func (l Layers) liftTickrate() bool {
	for _, pattern := range []string{"left4dead2/addons/*.vdf", "left4dead2/addons/metamod/*.vdf"} {
		for i, f := range l.match(pattern) {
			text := strings.ToLower(path.Base(f.name))
			if i < maxDescriptors {
				text += strings.ToLower(string(l.head(f, maxDescriptor)))
			}
			if strings.Contains(text, "tickrate_enabler") || strings.Contains(text, "l4dtoolz") {
				return true
			}
		}
	}
	return false
}

// mapNotices tells of a first map that no layer has. Maps may be inside of VPKs,
// which are not looked into here: with any of those nothing is said.
func mapNotices(args []string, layers Layers) []ctl.Notice {
	want, at := "", 0
	for i, a := range args {
		if strings.EqualFold(a, "+map") && i+1 < len(args) {
			want, at = firstWord(strings.TrimSpace(args[i+1])), i+1
		}
	}
	if want == "" || layers.have("left4dead2/addons/*.vpk") || layers.have("left4dead2/addons/workshop/*.vpk") {
		return nil
	}
	maps := layers.match("*/maps/*.bsp")
	for _, m := range maps {
		if strings.EqualFold(path.Base(m.name), want+".bsp") {
			return nil
		}
	}
	if len(maps) == 0 {
		return nil // the game is not there yet
	}
	return []ctl.Notice{notice(arguments, []int{at, at + 1}, "the arguments ask for +map %s, and neither the game nor an overlay has it: the game will not start", short(want))}
}
