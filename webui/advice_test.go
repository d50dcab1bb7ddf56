package webui

import (
	"slices"
	"strings"

	"left4me/hostops/ctl"
)

func (*versionContent) Advice(spec ctl.Spec) []ctl.Notice { return adviceOf(spec) }

func (*stackContent) Advice(spec ctl.Spec) []ctl.Notice { return adviceOf(spec) }

// adviceOf is what a host would say: -port is its own, -tickrate needs a plug-in and
// sv_tags is hidden.
func adviceOf(spec ctl.Spec) []ctl.Notice {
	var all []ctl.Notice
	if i := slices.Index(spec.Arguments, "-port"); i >= 0 {
		all = append(all, ctl.Notice{Field: "arguments", Lines: []int{i + 1}, Text: `argument "-port" is left4me's own: set the server's port`, Refused: true})
	}
	if i := slices.Index(spec.Arguments, "-tickrate"); i >= 0 && len(spec.Overlays) == 0 {
		all = append(all, ctl.Notice{Field: "arguments", Lines: []int{i + 1, i + 2}, Text: "no overlay brings the Tickrate Enabler"})
	}
	for i, line := range strings.Split(spec.Config, "\n") {
		if strings.HasPrefix(line, "sv_tags ") {
			all = append(all, ctl.Notice{Field: "config", Lines: []int{i + 1}, Text: "the game hides sv_tags"})
		}
	}
	return all
}
