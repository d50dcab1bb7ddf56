package hostops

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"left4me/hostops/ctl"
	"left4me/hostops/servercfg"
)

// warnings.go finds what is allowed and yet not what its author wants: the game
// would take it without a word and do something else. Each warning is one clause
// with its lines, few enough to be read.

// Warnings says what of a valid spec the game will not take as it is written. It
// looks into the overlays and the installation as far as they are there.
func (h *Host) Warnings(spec ctl.Spec) []string {
	stack := h.stack(spec.Overlays)
	commands := servercfg.Commands(strings.ReplaceAll(spec.Config, "\r\n", "\n"))
	var all []string
	for _, warn := range []func() []string{
		func() []string { return hostnameWarnings(spec.Hostname) },
		func() []string { return configWarnings(spec.Config, commands) },
		func() []string { return cvarWarnings(commands) },
		func() []string { return pluginWarnings(spec.Arguments, commands, stack) },
		func() []string { return argumentWarnings(spec.Arguments) },
		func() []string { return mapWarnings(arguments(spec), stack) },
		func() []string { return h.campaignWarnings(spec.Overlays) },
	} {
		all = append(all, warn()...)
	}
	return all
}

func hostnameWarnings(hostname string) []string {
	if !plainASCII(hostname) {
		return []string{"the hostname has characters beyond plain ASCII; without a plug-in the game may show them wrongly"}
	}
	return nil
}

func plainASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > 0x7e })
}

// The engine's bounds: a command that is longer is ignored with a warning in the
// console, and the buffer that a file is read into holds this much of commands.
const (
	maxCommand    = 511
	commandBuffer = 8192
)

const byteOrderMark = "\uFEFF"

func configWarnings(config string, commands []servercfg.Command) []string {
	var all []string
	if strings.HasPrefix(config, byteOrderMark) {
		all = append(all, "line 1 of the config begins with a byte order mark, so the game does not know its first command: save the text as UTF-8 without it")
	}
	var odd, long []int
	size := 0
	for _, c := range commands {
		n := len(c.Name) + len(c.Rest) + 1
		size += n
		if n > maxCommand {
			long = append(long, c.Line)
		}
		if !plainASCII(strings.TrimPrefix(c.Name, byteOrderMark) + c.Rest) {
			odd = append(odd, c.Line)
		}
	}
	if len(odd) > 0 {
		all = append(all, fmt.Sprintf("%s of the config has characters beyond plain ASCII, which the game may read wrongly", lineList(odd)))
	}
	if len(long) > 0 {
		all = append(all, fmt.Sprintf("%s of the config is longer than the %d characters that the game takes for one command, and will be ignored", lineList(long), maxCommand))
	}
	if size > commandBuffer {
		all = append(all, fmt.Sprintf("the commands of the config have %d characters, and the game's command buffer may hold only %d: if its log says Cbuf_AddText: buffer overflow, put a part into a file of its own and exec that", size, commandBuffer))
	}
	return all
}

// lineList is "line 3", or "each of the lines 3, 5 and 9" (of at most ten), so
// that both go on with a singular.
func lineList(lines []int) string {
	lines = slices.Compact(slices.Clone(lines))
	if len(lines) == 1 {
		return fmt.Sprintf("line %d", lines[0])
	}
	more := ""
	if len(lines) > 10 {
		more = fmt.Sprintf(" and %d more", len(lines)-10)
		lines = lines[:10]
	}
	words := make([]string, len(lines))
	for i, n := range lines {
		words[i] = strconv.Itoa(n)
	}
	if more == "" {
		last := len(words) - 1
		return "each of the lines " + strings.Join(words[:last], ", ") + " and " + words[last]
	}
	return "each of the lines " + strings.Join(words, ", ") + more
}

// hiddenCvars are variables that the game answers with "Unknown command" when a
// config sets them: only SourceMod's sm_cvar reaches them.
var hiddenCvars = []string{
	"mp_gamemode", "sv_hibernate_when_empty", "sv_force_unreserved", "sv_tags",
	"sv_minrate", "sv_maxrate", "sv_minupdaterate", "sv_maxupdaterate", "sv_mincmdrate", "sv_maxcmdrate",
	"sv_client_min_interp_ratio", "sv_client_max_interp_ratio", "net_splitpacket_maxrate",
}

// cheatCvars are protected: without sv_cheats only sm_cvar changes them.
var cheatCvars = []string{"nb_update_frequency", "nb_update_framelimit", "net_maxcleartime"}

func cvarWarnings(commands []servercfg.Command) []string {
	var hidden, cheat engineLines
	for _, c := range commands {
		name := strings.ToLower(c.Name)
		switch {
		case c.Rest == "":
		case slices.Contains(hiddenCvars, name):
			hidden.add(c.Line, name)
		case slices.Contains(cheatCvars, name):
			cheat.add(c.Line, name)
		}
	}
	var all []string
	if len(hidden.lines) > 0 {
		all = append(all, fmt.Sprintf("%s of the config sets a variable that the game hides (%s) and will answer \"Unknown command\": write sm_cvar in front, which needs SourceMod",
			lineList(hidden.lines), strings.Join(hidden.names, ", ")))
	}
	if len(cheat.lines) > 0 && !isOn(lastOf(commands, "sv_cheats")) {
		all = append(all, fmt.Sprintf("%s of the config sets a cheat-protected variable (%s), which the game refuses: write sm_cvar in front, which needs SourceMod",
			lineList(cheat.lines), strings.Join(cheat.names, ", ")))
	}
	return all
}

// engineLines collects lines and the names that stand on them, each name once.
type engineLines struct {
	lines []int
	names []string
}

func (e *engineLines) add(line int, name string) {
	e.lines = append(e.lines, line)
	if !slices.Contains(e.names, name) {
		e.names = append(e.names, name)
	}
}

func lastOf(commands []servercfg.Command, variable string) string {
	value := ""
	for _, c := range commands {
		if strings.EqualFold(c.Name, variable) {
			value = c.Value()
		}
	}
	return value
}

// stockTickrate is what the game runs at whatever -tickrate says, unless a
// plug-in lifts that.
const stockTickrate = "30"

func pluginWarnings(args []string, commands []servercfg.Command, stack []layerDir) []string {
	var all []string
	i := slices.IndexFunc(args, func(a string) bool { return strings.EqualFold(a, "-tickrate") })
	if i >= 0 && i+1 < len(args) && args[i+1] != stockTickrate && !hasTickratePlugin(stack) {
		all = append(all, fmt.Sprintf("the arguments ask for -tickrate %s, but no overlay brings the Tickrate Enabler or L4DToolZ: the game will stay at %s", short(args[i+1]), stockTickrate))
	}
	var lines []int
	for _, c := range commands {
		if strings.EqualFold(c.Name, "sm_cvar") {
			lines = append(lines, c.Line)
		}
	}
	if len(lines) > 0 && len(look(stack, "left4dead2/addons/sourcemod")) == 0 {
		all = append(all, lineList(lines)+" of the config uses sm_cvar, which is SourceMod's, but no overlay brings SourceMod: the game will not know it")
	}
	return all
}

// maxDescriptor bounds how much of a plug-in's .vdf is read.
const maxDescriptor = 4096

func hasTickratePlugin(stack []layerDir) bool {
	for _, pattern := range []string{"left4dead2/addons/*.vdf", "left4dead2/addons/metamod/*.vdf"} {
		for _, f := range look(stack, pattern) {
			data, err := head(f.path, maxDescriptor)
			text := strings.ToLower(filepath.Base(f.path) + string(data))
			if err == nil && (strings.Contains(text, "tickrate_enabler") || strings.Contains(text, "l4dtoolz")) {
				return true
			}
		}
	}
	return false
}

// signedNumber is a value that the engine takes for an option.
var signedNumber = regexp.MustCompile(`^[+-][0-9.]`)

// argumentWarnings finds values that the engine, which joins its arguments and
// splits them again, would take for options of their own.
func argumentWarnings(args []string) []string {
	var all []string
	for i, arg := range args {
		switch j := strings.IndexAny(arg, "+-"); {
		case signedNumber.MatchString(arg):
			all = append(all, fmt.Sprintf("argument %d, %s, begins with a sign, so the game takes it for an option and not for a value: set the variable in the config instead", i+1, short(arg)))
		case j >= 0:
			if at := optionInside(arg); at > 0 {
				all = append(all, fmt.Sprintf("argument %d, %q, holds %q behind a blank, which the game takes for an option of its own: set the variable in the config instead", i+1, short(arg), firstWord(arg[at:])))
			}
		}
	}
	return all
}

// optionInside is where a word with a sign begins behind a blank; 0 when none does.
func optionInside(arg string) int {
	for i := 1; i+1 < len(arg); i++ {
		if (arg[i] == '+' || arg[i] == '-') && arg[i-1] <= ' ' && arg[i+1] > ' ' {
			return i
		}
	}
	return 0
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}

// mapWarnings tells a first map that no layer has. Maps may be inside of VPKs,
// which are not looked into here: with any of those nothing is said.
func mapWarnings(argv []string, stack []layerDir) []string {
	want := ""
	for i, a := range argv {
		if strings.EqualFold(a, "+map") && i+1 < len(argv) {
			want = firstWord(strings.TrimSpace(argv[i+1]))
		}
	}
	maps := look(stack, "*/maps/*.bsp")
	if want == "" || len(maps) == 0 || len(look(stack, "left4dead2/addons/*.vpk")) > 0 || len(look(stack, "left4dead2/addons/workshop/*.vpk")) > 0 {
		return nil
	}
	for _, m := range maps {
		if strings.EqualFold(filepath.Base(m.path), want+".bsp") {
			return nil
		}
	}
	return []string{fmt.Sprintf("the arguments ask for +map %s, and neither the game nor an overlay has it: the game will not start", short(want))}
}
