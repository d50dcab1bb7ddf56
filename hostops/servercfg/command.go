package servercfg

import "strings"

// The Source engine reads a .cfg file like this, and everything below follows it:
//
//   - A command ends at a line break, always, and at a ';' outside quotes.
//   - A quote mark toggles "inside quotes"; there is no escape for it.
//   - "//" outside quotes makes the rest of the line a comment.
//   - The first word is the command's name. When it names a variable, the value
//     is the whole rest of the command: if the rest begins with a quote mark,
//     that one and one at the very end are taken off; blanks at the end go.

// Command is one command of a .cfg file as the engine sees it.
type Command struct {
	Line int    // 1-based
	Name string // as written, without quotes
	Rest string // everything behind the name, leading blanks removed
}

// Commands splits text the way the engine does.
func Commands(text string) []Command {
	var all []Command
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		for _, c := range splitLine(line) {
			if name, rest := splitName(c); name != "" {
				all = append(all, Command{Line: n, Name: name, Rest: rest})
			}
		}
	}
	return all
}

// Value is the value that a variable takes from the rest of its command.
func (c Command) Value() string {
	inner, quoted := strings.CutPrefix(c.Rest, `"`)
	inner = strings.TrimRightFunc(inner, blank)
	if quoted {
		inner = strings.TrimSuffix(inner, `"`)
	}
	return inner
}

// Unwrapped is the command that sm_cvar, SourceMod's way to set hidden variables,
// is told to carry out; any other command is itself.
func (c Command) Unwrapped() Command {
	if strings.EqualFold(c.Name, "sm_cvar") {
		c.Name, c.Rest = splitName(c.Rest)
	}
	return c
}

// executes is the file that an exec command names, in lower case and without the
// .cfg that the engine adds where it is missing; "" for any other command.
func (c Command) executes() string {
	if !strings.EqualFold(c.Name, "exec") {
		return ""
	}
	file, _ := splitName(c.Rest)
	return strings.TrimSuffix(strings.ToLower(file), ".cfg")
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
