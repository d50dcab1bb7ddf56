package advice

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"left4me/hostops/ctl"
	"left4me/hostops/servercfg"
)

func hostnameNotices(name string) []ctl.Notice {
	if plainASCII(name) {
		return nil
	}
	return []ctl.Notice{notice(hostname, nil, "the hostname has characters beyond plain ASCII; without a plug-in the game may show them wrongly")}
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

func configNotices(text string, commands []servercfg.Command) []ctl.Notice {
	var all []ctl.Notice
	if strings.HasPrefix(text, byteOrderMark) {
		all = append(all, notice(config, []int{1}, "line 1 of the config begins with a byte order mark, so the game does not know its first command: save the text as UTF-8 without it"))
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
		all = append(all, notice(config, odd, "%s of the config has characters beyond plain ASCII, which the game may read wrongly", lineList(odd)))
	}
	if len(long) > 0 {
		all = append(all, notice(config, long, "%s of the config is longer than the %d characters that the game takes for one command, and will be ignored", lineList(long), maxCommand))
	}
	if size > commandBuffer {
		all = append(all, notice(config, nil, "the commands of the config have %d characters, and the game's command buffer may hold only %d: if its log says Cbuf_AddText: buffer overflow, put a part into a file of its own and exec that", size, commandBuffer))
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

func cvarNotices(commands []servercfg.Command) []ctl.Notice {
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
	var all []ctl.Notice
	if len(hidden.lines) > 0 {
		all = append(all, notice(config, hidden.lines, "%s of the config sets a variable that the game hides (%s) and will answer \"Unknown command\": write sm_cvar in front, which needs SourceMod",
			lineList(hidden.lines), strings.Join(hidden.names, ", ")))
	}
	if len(cheat.lines) > 0 && !servercfg.IsOn(lastOf(commands, "sv_cheats")) {
		all = append(all, notice(config, cheat.lines, "%s of the config sets a cheat-protected variable (%s), which the game refuses: write sm_cvar in front, which needs SourceMod",
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
