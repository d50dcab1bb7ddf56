package hostops

import (
	"regexp"
	"strings"
)

// ownStatus leaves out of a game's console what left4me's own questions put
// there: the game prints who asked and repeats the whole answer, a dozen lines
// every time somebody joins. The log on disk keeps them.
//
//	rcon from "127.0.0.1:58426": command "status"
//	hostname: Friday versus
//	…
//	#end
//
// A block ends at its last line, at a line that no status contains, or after
// ownStatusLimit lines, so that nothing else can disappear.
type ownStatus struct{ left int }

const ownStatusLimit = 80 // a full server has about 45 lines

var (
	ownStatusBegins = regexp.MustCompile(`\A(L [0-9/]+ - [0-9:]+: )?rcon from "127\.0\.0\.1:[0-9]+": command "status"\z`)
	ownStatusLine   = regexp.MustCompile(`\A(hostname|version |udp/ip  |os      |map     |players ): |\A#`)
)

// hides says whether the line belongs to one of our own questions.
func (o *ownStatus) hides(line string) bool {
	line = strings.TrimRight(line, " ")
	switch {
	case ownStatusBegins.MatchString(line):
		o.left = ownStatusLimit
		return true
	case o.left == 0:
		return false
	case line == "#end":
		o.left = 0
		return true
	case line != "" && !ownStatusLine.MatchString(line):
		o.left = 0
		return false
	}
	o.left--
	return true
}
