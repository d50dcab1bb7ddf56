package advice

import (
	"regexp"
	"strings"

	"left4me/hostops/ctl"
)

// ownedArguments are those that left4me gives itself, or that would take the
// process out of the supervisor's hands, each with what to do instead. The
// engine compares options without regard to case.
var ownedArguments = map[string]string{
	"-port":            "set the server's port",
	"-hostport":        "set the server's port",
	"+hostport":        "set the server's port",
	"-strictportbind":  "it is always given",
	"-ip":              "the game always listens on all addresses; use a firewall to narrow that",
	"+ip":              "the game always listens on all addresses; use a firewall to narrow that",
	"-game":            "it is always left4dead2",
	"-basedir":         "the game always runs in its own merged directory",
	"+rcon_password":   "set the server's rcon_password",
	"-servercfgfile":   "put the text into the config, or use +exec",
	"+servercfgfile":   "put the text into the config, or use +exec",
	"-pidfile":         "status shows the process id",
	"-fork":            "make a server for each",
	"-netconport":      "use RCON",
	"-netconpassword":  "use RCON",
	"-autoupdate":      "use l4d2ctl install",
	"-steam_dir":       "use l4d2ctl install",
	"-steamcmd_script": "use l4d2ctl install",
	"-binary":          "the game's own program is always run",
	"-consolelog":      "l4d2ctl logs shows the console",
	"-condebug":        "l4d2ctl logs shows the console",
	"-conclearlog":     "l4d2ctl logs shows the console",
	"-conlogfile":      "l4d2ctl logs shows the console",
}

// Owned finds one of ours in arg. The engine joins its argv into one
// string and splits that again at blanks and quotes, so that an option may hide
// inside a longer argument.
func Owned(arg string) (name, instead string) {
	words := strings.FieldsFunc(arg, func(r rune) bool { return r <= ' ' || r == '"' || r == ';' })
	for _, w := range words {
		if instead, ok := ownedArguments[strings.ToLower(w)]; ok {
			return w, instead
		}
	}
	return "", ""
}

// Refused tells of the arguments that no host takes.
func Refused(args []string) []ctl.Notice {
	var all []ctl.Notice
	for i, arg := range args {
		if own, instead := Owned(arg); own != "" {
			n := notice(arguments, []int{i + 1}, "argument %q is left4me's own: %s", short(own), instead)
			n.Refused = true
			all = append(all, n)
		}
	}
	return all
}

// signedNumber is a value that the engine takes for an option.
var signedNumber = regexp.MustCompile(`^[+-][0-9.]`)

// argumentNotices finds values that the engine, which joins its arguments and
// splits them again, would take for options of their own.
func argumentNotices(args []string) []ctl.Notice {
	var all []ctl.Notice
	for i, arg := range args {
		switch j := strings.IndexAny(arg, "+-"); {
		case signedNumber.MatchString(arg):
			all = append(all, notice(arguments, []int{i + 1}, "argument %d, %s, begins with a sign, so the game takes it for an option and not for a value: set the variable in the config instead", i+1, short(arg)))
		case j >= 0:
			if at := optionInside(arg); at > 0 {
				all = append(all, notice(arguments, []int{i + 1}, "argument %d, %q, holds %q behind a blank, which the game takes for an option of its own: set the variable in the config instead", i+1, short(arg), firstWord(arg[at:])))
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
