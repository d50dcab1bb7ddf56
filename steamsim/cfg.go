package steamsim

import "strings"

// The engine's rules for command text, the same for cfg files, the console and
// RCON:
//
//   - a command ends at a newline, also inside quotes, and at a ; outside them;
//   - // outside quotes starts a comment that lasts to the end of the line;
//   - quotes toggle, wherever they stand, and cannot be escaped;
//   - a command longer than 511 bytes is not run.
//
// The value of a cvar is not a word but the rest of the command, see
// cvarValue.

const maxCommand = 511

// splitCommands cuts text into commands, comments removed. Empty commands are
// left out.
func splitCommands(text string) []string {
	var out []string
	start, quoted := 0, false
	add := func(end int) {
		if c := strings.TrimSpace(text[start:end]); c != "" {
			out = append(out, c)
		}
		start = end + 1
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\n':
			add(i)
			quoted = false
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ';':
			add(i)
		case c == '/' && strings.HasPrefix(text[i:], "//"):
			add(i)
			for i < len(text) && text[i] != '\n' {
				i++
			}
			start = i + 1
		}
	}
	if start < len(text) {
		add(len(text))
	}
	return out
}

// command is one parsed command.
type command struct {
	name string   // as written
	args []string // words; quotes hold words together
	rest string   // everything after the name, as written
	from origin
}

// origin is where a command came from.
type origin int

const (
	fromConfig origin = iota
	fromCommandLine
	fromConsole
	fromRcon
)

// parseCommand splits one command into its name and arguments. ok is false when
// there is no name.
func parseCommand(text string, from origin) (c command, ok bool) {
	name, rest := nextWord(text)
	if name == "" {
		return command{}, false
	}
	c = command{name: name, rest: strings.TrimLeft(rest, " \t\r"), from: from}
	for w, more := nextWord(c.rest); w != "" || more != ""; w, more = nextWord(more) {
		c.args = append(c.args, w)
	}
	return c, true
}

// nextWord takes one word off the front of text: what stands between two
// quotes, or everything up to a blank or a quote.
func nextWord(text string) (word, rest string) {
	text = strings.TrimLeft(text, " \t\r\n")
	if strings.HasPrefix(text, `"`) {
		word, rest, _ = strings.Cut(text[1:], `"`)
		return word, strings.TrimRight(rest, " \t\r\n")
	}
	end := strings.IndexAny(text, " \t\r\n\"")
	if end < 0 {
		return text, ""
	}
	return text[:end], strings.TrimRight(text[end:], " \t\r\n")
}

// cvarValue is what a cvar is set to by the rest of its command: all of it, not
// the first word. If the rest starts with a quote, that quote, blanks at the
// end and one closing quote go; quotes in between stay.
func cvarValue(rest string) string {
	if !strings.HasPrefix(rest, `"`) {
		return strings.TrimRight(rest, " \t\r\n")
	}
	return strings.TrimSuffix(strings.TrimRight(rest[1:], " \t\r\n"), `"`)
}

// arg returns the nth argument, or nothing.
func (c command) arg(n int) string {
	if n < len(c.args) {
		return c.args[n]
	}
	return ""
}

// launchOption is one option of the command line: -name, -name value, +name or
// +name value.
type launchOption struct {
	name     string // with its sign
	value    string
	hasValue bool
}

// parseLaunch applies the engine's rule: whatever starts with + or - is a new
// option, even where a value was expected, and an option has one value at most.
func parseLaunch(args []string) []launchOption {
	isOption := func(s string) bool { return s != "" && (s[0] == '-' || s[0] == '+') }
	var out []launchOption
	for i := 0; i < len(args); i++ {
		if !isOption(args[i]) {
			continue // a value too many: ignored
		}
		o := launchOption{name: args[i]}
		if i+1 < len(args) && !isOption(args[i+1]) {
			i++
			o.value, o.hasValue = args[i], true
		}
		out = append(out, o)
	}
	return out
}

// launch is the parsed command line of the game server.
type launch []launchOption

// value returns the value of the last option with that name.
func (l launch) value(name string) string {
	for i := len(l) - 1; i >= 0; i-- {
		if strings.EqualFold(l[i].name, name) && l[i].hasValue {
			return l[i].value
		}
	}
	return ""
}

func (l launch) has(name string) bool {
	for _, o := range l {
		if strings.EqualFold(o.name, name) {
			return true
		}
	}
	return false
}

// commands returns the + options as command text.
func (l launch) commands() string {
	var b strings.Builder
	for _, o := range l {
		if o.name[0] == '+' {
			b.WriteString(strings.TrimSpace(o.name[1:] + " " + o.value))
			b.WriteByte('\n')
		}
	}
	return b.String()
}
