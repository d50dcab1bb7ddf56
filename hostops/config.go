package hostops

import (
	"errors"
	"fmt"
	"strings"

	"left4me/hostops/ctl"
)

// The Source engine reads a .cfg file like this, and everything below follows it:
//
//   - A command ends at a line break, always, and at a ';' outside quotes.
//   - A quote mark toggles "inside quotes"; there is no escape for it.
//   - "//" outside quotes makes the rest of the line a comment.
//   - The first word is the command's name. When it names a variable, the value
//     is the whole rest of the command: if the rest begins with a quote mark,
//     that one and one at the very end are taken off; blanks at the end go.

// engineCommand is one command of a .cfg file as the engine sees it.
type engineCommand struct {
	line int    // 1-based
	name string // as written, without quotes
	rest string // everything behind the name, leading blanks removed
}

// engineCommands splits text the way the engine does.
func engineCommands(text string) []engineCommand {
	var all []engineCommand
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		for _, c := range splitLine(line) {
			if name, rest := splitName(c); name != "" {
				all = append(all, engineCommand{line: n, name: name, rest: rest})
			}
		}
	}
	return all
}

func splitLine(line string) []string {
	var commands []string
	quoted, start := false, 0
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case quoted:
		case line[i] == ';':
			commands = append(commands, line[start:i])
			start = i + 1
		case line[i] == '/' && i+1 < len(line) && line[i+1] == '/':
			return append(commands, line[start:i])
		}
	}
	return append(commands, line[start:])
}

// splitName takes the first word off a command. The name itself may be quoted.
func splitName(command string) (name, rest string) {
	command = strings.TrimLeftFunc(command, blank)
	if strings.HasPrefix(command, `"`) {
		inner := command[1:]
		end := strings.IndexByte(inner, '"')
		if end < 0 {
			return inner, ""
		}
		name, rest = inner[:end], inner[end+1:]
	} else {
		end := strings.IndexFunc(command, func(r rune) bool { return blank(r) || r == '"' })
		if end < 0 {
			return command, ""
		}
		name, rest = command[:end], command[end:]
	}
	return name, strings.TrimLeftFunc(rest, blank)
}

func blank(r rune) bool { return r <= ' ' }

// engineValue is the value that a variable takes from the rest of its command.
func engineValue(rest string) string {
	inner, quoted := strings.CutPrefix(rest, `"`)
	inner = strings.TrimRightFunc(inner, blank)
	if quoted {
		inner = strings.TrimSuffix(inner, `"`)
	}
	return inner
}

// settingLine writes "name value" so that the engine reads back exactly value,
// or says why there is no such line.
func settingLine(name, value string) (string, error) {
	for _, line := range []string{name + ` "` + value + `"`, name + " " + value} {
		commands := engineCommands(line)
		if len(commands) == 1 && commands[0].name == name && engineValue(commands[0].rest) == value {
			return line, nil
		}
	}
	switch {
	case strings.Contains(value, ";"):
		return "", errors.New(`a ';' outside quotes ends the command there, and the quote marks leave no way around it`)
	case strings.Contains(value, "//"):
		return "", errors.New(`a // outside quotes begins a comment, and the quote marks leave no way around it`)
	}
	return "", errors.New("the game's configuration format has no form for it")
}

// serverCfgBanner tells a reader of the merged file where to change it.
const serverCfgBanner = "// Written by l4d2ctl initialize. Change the blueprint or the spec, not this file.\n"

// serverCfg renders cfg/server.cfg: the user's text exactly as given, then our
// settings, of which rcon_password comes last because the last one wins. The
// notices say what of the user's text loses by that.
func serverCfg(s ctl.Spec) (text string, notices []string, err error) {
	user := strings.ReplaceAll(s.Config, "\r\n", "\n")
	var b strings.Builder
	b.WriteString(serverCfgBanner)
	b.WriteString(user)
	if user != "" && !strings.HasSuffix(user, "\n") {
		b.WriteByte('\n')
	}
	settings := [][2]string{{"hostname", s.Hostname}, {"rcon_password", s.RCONPassword}}
	for _, set := range settings {
		if set[1] == "" {
			continue
		}
		line, err := settingLine(set[0], set[1])
		if err != nil {
			return "", nil, fmt.Errorf("write %s into server.cfg: %w", set[0], err)
		}
		b.WriteString(line + "\n")
		notices = append(notices, overridden(user, set[0])...)
	}
	return b.String(), notices, nil
}

// overridden lists the lines of the user's config that set a variable which a
// line of ours sets again.
func overridden(config, variable string) []string {
	var notices []string
	for _, c := range engineCommands(config) {
		name := c.name
		if strings.EqualFold(name, "sm_cvar") { // SourceMod's way to set hidden variables
			name, c.rest = splitName(c.rest)
		}
		if strings.EqualFold(name, variable) && c.rest != "" {
			notices = append(notices, fmt.Sprintf("line %d of the config sets %s; the server's own comes last and wins", c.line, variable))
		}
	}
	return notices
}

// lastSetting is the value that variable has after the engine executed text.
func lastSetting(text, variable string) string {
	value := ""
	for _, c := range engineCommands(text) {
		if strings.EqualFold(c.name, variable) {
			value = engineValue(c.rest)
		}
	}
	return value
}
