// Package advice finds what is allowed in a spec and yet not what its author wants:
// the game would take it without a word and do something else. l4d2ctl says it when
// it takes a spec, and pages say it while one is being written.
//
// It reads the content that a spec names, as far as it is there, and changes nothing.
// Each notice is one clause with its lines, few enough to be read. Start at Of.
package advice

import (
	"fmt"
	"slices"
	"strings"

	"left4me/hostops/ctl"
	"left4me/hostops/servercfg"
)

// The fields of a spec, as notices name them.
const (
	hostname  = "hostname"
	arguments = "arguments"
	config    = "config"
)

// Of says what of a spec the game will not take as it is written. layers are those
// that the spec names.
func Of(spec ctl.Spec, layers Layers) []ctl.Notice {
	commands := servercfg.Commands(strings.ReplaceAll(spec.Config, "\r\n", "\n"))
	return slices.Concat(
		hostnameNotices(spec.Hostname),
		configNotices(spec.Config, commands),
		cvarNotices(commands),
		pluginNotices(spec.Arguments, commands, layers),
		argumentNotices(spec.Arguments),
		mapNotices(spec.Arguments, layers),
	)
}

func notice(field string, lines []int, format string, args ...any) ctl.Notice {
	return ctl.Notice{Field: field, Lines: slices.Compact(slices.Clone(lines)), Text: fmt.Sprintf(format, args...)}
}

// short keeps a quoted value readable in a message.
func short(s string) string {
	if len(s) <= 80 {
		return s
	}
	return strings.ToValidUTF8(s[:80], "") + "…"
}
