package hostops

import (
	"strings"

	"left4me/hostops/ctl"
)

// ownedArguments are those that left4me gives itself, or that would take the
// process out of the supervisor's hands, each with what to do instead. The
// engine compares options without regard to case.
var ownedArguments = map[string]string{
	"-port":            "set the spec's port",
	"-hostport":        "set the spec's port",
	"+hostport":        "set the spec's port",
	"-strictportbind":  "it is always given",
	"-ip":              "the game always listens on all addresses; use a firewall to narrow that",
	"+ip":              "the game always listens on all addresses; use a firewall to narrow that",
	"-game":            "it is always left4dead2",
	"-basedir":         "the game always runs in its own merged directory",
	"+rcon_password":   "set the spec's rcon_password",
	"-servercfgfile":   "put the text into the spec's config, or use +exec",
	"+servercfgfile":   "put the text into the spec's config, or use +exec",
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

func checkArguments(s ctl.Spec, at specLines) error {
	if len(s.Arguments) > maxArguments {
		return objection(at.field["arguments"], "%d arguments are too many: at most %d are allowed", len(s.Arguments), maxArguments)
	}
	for i, arg := range s.Arguments {
		line := at.arguments[i]
		switch {
		case arg == "":
			return objection(line, "argument %d is empty: leave it out", i+1)
		case len(arg) > maxArgument:
			return objection(line, "argument %d has %d bytes: at most %d are allowed", i+1, len(arg), maxArgument)
		case strings.IndexByte(arg, 0) >= 0:
			return objection(line, "argument %d contains a NUL byte: an argument ends there", i+1)
		case strings.ContainsAny(arg, "\r\n"):
			return objection(line, "argument %d contains a line break: the game would read a second command behind it", i+1)
		}
		if own, instead := ownedArgument(arg); own != "" {
			return objection(line, "argument %q is left4me's own: %s", own, instead)
		}
	}
	return nil
}

// ownedArgument finds one of ours in arg. The engine joins its argv into one
// string and splits that again at blanks and quotes, so that an option may hide
// inside a longer argument.
func ownedArgument(arg string) (name, instead string) {
	words := strings.FieldsFunc(arg, func(r rune) bool { return r <= ' ' || r == '"' || r == ';' })
	for _, w := range words {
		if instead, ok := ownedArguments[strings.ToLower(w)]; ok {
			return w, instead
		}
	}
	return "", ""
}
