package steamsim

import "strings"

// commandLine turns steamcmd's arguments into commands: a word that starts with
// + begins one, the words up to the next such word are its arguments. Words
// before the first command, and options with a minus sign there, are ignored.
func commandLine(args []string) [][]string {
	var out [][]string
	for _, a := range args {
		switch {
		case strings.HasPrefix(a, "+") && len(a) > 1:
			out = append(out, []string{a[1:]})
		case len(out) > 0:
			out[len(out)-1] = append(out[len(out)-1], a)
		}
	}
	return out
}

// scriptLine splits one line of a runscript or of standard input into words.
// Quotes hold words together, // starts a comment.
func scriptLine(line string) []string {
	var words []string
	var word strings.Builder
	inWord, quoted := false, false
	flush := func() {
		if inWord {
			words = append(words, word.String())
			word.Reset()
			inWord = false
		}
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '"':
			quoted = !quoted
			inWord = true
		case quoted:
			word.WriteByte(c)
		case c <= ' ':
			flush()
		case c == '/' && strings.HasPrefix(line[i:], "//") && !inWord:
			return words
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	flush()
	return words
}

// echoed is how a command is shown before its output: the path of
// force_install_dir in quotes, everything else as it is.
func echoed(cmd []string) string {
	if len(cmd) == 2 && cmd[0] == "force_install_dir" {
		return cmd[0] + ` "` + cmd[1] + `"`
	}
	return strings.Join(cmd, " ")
}
