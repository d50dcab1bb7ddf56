package hostops

import (
	"strings"

	"left4me/hostops/advice"
	"left4me/hostops/ctl"
)

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
		if own, instead := advice.Owned(arg); own != "" {
			return objection(line, "argument %q is left4me's own: %s", own, instead)
		}
	}
	return nil
}
