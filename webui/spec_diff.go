package webui

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"left4me/models"
)

// specDiff says what differs between what a server's game was started with and what
// its next start would bring.
type specDiff struct {
	Overlays  []diffLine
	Arguments []diffLine
	Config    []diffLine
	Settings  []diffLine // host name and port
	// Partly says that only the overlays of what runs are known.
	Partly bool
	// Problem is why the next start would fail, "" when nothing is in its way.
	Problem string
}

// diffLine is one line of it.
type diffLine struct {
	Tone string // add, del, mod; "" for a line around a change, gap for lines left out
	Text string
}

// Mark is the sign in front of a line, for those who do not see its colour.
func (l diffLine) Mark() string {
	return map[string]string{"add": "+", "del": "−", "mod": "~"}[l.Tone]
}

// Empty says that nothing differs.
func (d *specDiff) Empty() bool {
	return len(d.Overlays)+len(d.Arguments)+len(d.Config)+len(d.Settings) == 0 && d.Problem == "" && !d.Partly
}

// Parts are the parts of a spec in which something differs.
func (d *specDiff) Parts() []diffPart {
	var list []diffPart
	for _, p := range []diffPart{{"Overlays", d.Overlays}, {"Arguments", d.Arguments}, {"server.cfg", d.Config}, {"Settings", d.Settings}} {
		if len(p.Lines) > 0 {
			list = append(list, p)
		}
	}
	return list
}

type diffPart struct {
	Name  string
	Lines []diffLine
}

// What is shown of a difference: lines in all of one part, and around each change.
const (
	maxDiffLines = 120
	diffAround   = 1
)

func diffSpecs(runs, next models.Spec) *specDiff {
	d := &specDiff{
		Overlays:  diffOverlays(runs.Overlays, next.Overlays),
		Arguments: shownEdits(diffLines(argumentTexts(runs.Arguments), argumentTexts(next.Arguments)), 0),
		Config:    shownEdits(diffLines(configLines(runs.Config), configLines(next.Config)), diffAround),
		Problem:   unbuilt(next),
	}
	d.setting("Host name", runs.Hostname, next.Hostname)
	d.setting("Port", strconv.Itoa(runs.Port), strconv.Itoa(next.Port))
	return d
}

func (d *specDiff) setting(name, runs, next string) {
	if runs != next {
		d.Settings = append(d.Settings, diffLine{"mod", fmt.Sprintf("%s: %s → %s", name, runs, next)})
	}
}

// unbuilt says which overlay keeps a spec from being taken.
func unbuilt(s models.Spec) string {
	for _, o := range s.Overlays {
		if o.Version == 0 {
			return fmt.Sprintf("“%s” has no content yet, so the server cannot start. Build it, or take it out of the blueprint.", o.Name)
		}
	}
	return ""
}

func argumentTexts(argv []string) []string {
	rows := argumentRows(argv)
	texts := make([]string, len(rows))
	for i, r := range rows {
		texts[i] = r.Text()
	}
	return texts
}

func configLines(text string) []string {
	if text = strings.TrimSuffix(text, "\n"); text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// shownEdits are the changes with around lines on each side. Config lines have their
// numbers where there is something around them.
func shownEdits(edits []edit, around int) []diffLine {
	near := make([]bool, len(edits))
	for i, e := range edits {
		if e.Op == ' ' {
			continue
		}
		for j := max(0, i-around); j <= min(len(edits)-1, i+around); j++ {
			near[j] = true
		}
	}
	tones := map[byte]string{'+': "add", '-': "del", ' ': ""}
	var list []diffLine
	last := -1
	for i, e := range edits {
		if !near[i] {
			continue
		}
		if len(list) >= maxDiffLines {
			return append(list, diffLine{"gap", "… and more"})
		}
		if last >= 0 && i > last+1 && around > 0 {
			list = append(list, diffLine{"gap", "…"})
		}
		list = append(list, diffLine{tones[e.Op], e.Text})
		last = i
	}
	return list
}

// diffOverlays tells versions that move, overlays that come and go, executed configs
// and the order of those that stay.
func diffOverlays(runs, next []models.SpecOverlay) []diffLine {
	before := map[int64]models.SpecOverlay{}
	for _, o := range runs {
		before[o.ID] = o
	}
	var list []diffLine
	stay := map[int64]bool{}
	for _, o := range next {
		was, there := before[o.ID]
		stay[o.ID] = there
		switch {
		case !there:
			list = append(list, diffLine{"add", o.Name + " " + versionName(o.Version)})
		case was.Version != o.Version:
			list = append(list, diffLine{"mod", fmt.Sprintf("%s %s → %s", o.Name, versionName(was.Version), versionName(o.Version))})
		}
		if there && was.Exec != o.Exec {
			list = append(list, diffLine{"mod", o.Name + map[bool]string{true: ": its server.cfg is executed", false: ": its server.cfg is not executed any more"}[o.Exec]})
		} else if !there && o.Exec {
			list = append(list, diffLine{"add", o.Name + ": its server.cfg is executed"})
		}
	}
	for _, o := range runs {
		if !stay[o.ID] {
			list = append(list, diffLine{"del", o.Name + " " + versionName(o.Version)})
		}
	}
	return append(list, movedOverlays(runs, next, stay)...)
}

// movedOverlays tells the fewest of those that stay which have another place among
// the others.
func movedOverlays(runs, next []models.SpecOverlay, stay map[int64]bool) []diffLine {
	order := func(list []models.SpecOverlay) (ids []string) {
		for _, o := range list {
			if stay[o.ID] {
				ids = append(ids, strconv.FormatInt(o.ID, 10))
			}
		}
		return ids
	}
	var list []diffLine
	for _, e := range diffLines(order(runs), order(next)) {
		if e.Op != '+' {
			continue
		}
		i := slices.IndexFunc(next, func(o models.SpecOverlay) bool { return strconv.FormatInt(o.ID, 10) == e.Text })
		list = append(list, diffLine{"mod", fmt.Sprintf("%s is now number %d of %d", next[i].Name, i+1, len(next))})
	}
	return list
}

func versionName(n int64) string {
	if n == 0 {
		return "without content"
	}
	return "v" + strconv.FormatInt(n, 10)
}

// maxSpecDiffs bounds for how many servers a page says what differs; the page of each
// server does so for itself.
const maxSpecDiffs = 40

// addDiffs computes what differs of those servers that run with something else than
// their next start would bring. nil stays where nothing differs or nothing runs.
func (s *Server) addDiffs(ctx context.Context, u *models.User, views []serverView) error {
	var running []models.Server
	for i := range views {
		if views[i].Up() && views[i].Changed() && len(running) < maxSpecDiffs {
			running = append(running, *views[i].Server)
		}
	}
	if len(running) == 0 {
		return nil
	}
	known, err := models.RememberedSpecs(ctx, s.DB, running)
	if err != nil {
		return err
	}
	stacks := map[string][]models.Overlay{} // by blueprint: servers of one share them
	for i := range views {
		v := &views[i]
		if !slices.ContainsFunc(running, func(r models.Server) bool { return r.ID == v.Server.ID }) {
			continue
		}
		overlays, read := stacks[v.Server.BlueprintID]
		if !read {
			if overlays, err = models.BlueprintOverlays(ctx, s.DB, v.Server.BlueprintID); err != nil {
				return err
			}
			stacks[v.Server.BlueprintID] = overlays
		}
		next := models.NewSpec(v.Server, v.Server.Blueprint, overlays)
		if runs, ok := known[v.Server.ID]; ok {
			v.Diff = diffSpecs(runs, next)
			continue
		}
		runs, err := s.partOfSpec(ctx, u, v.Server, next)
		if err != nil {
			return err
		}
		v.Diff = diffSpecs(runs, next)
		v.Diff.Partly = true
	}
	return nil
}

// partOfSpec is what the host tells of a running game whose spec is not known, filled
// up with what the next start would bring.
func (s *Server) partOfSpec(ctx context.Context, u *models.User, srv *models.Server, next models.Spec) (models.Spec, error) {
	mine, err := models.Overlays(ctx, s.DB, u.ID)
	if err != nil {
		return models.Spec{}, err
	}
	runs := next
	runs.Overlays = nil
	for _, ref := range srv.Status.Overlays {
		id, version, _ := strings.Cut(ref, "/v")
		o := models.SpecOverlay{Name: "Overlay " + id}
		o.ID, _ = strconv.ParseInt(id, 10, 64)           // the host's own numbers
		o.Version, _ = strconv.ParseInt(version, 10, 64) // likewise
		for _, m := range mine {
			if m.ID == o.ID {
				o.Name = m.Name
			}
		}
		for _, n := range next.Overlays {
			if n.ID == o.ID {
				o.Exec = n.Exec
			}
		}
		runs.Overlays = append(runs.Overlays, o)
	}
	return runs, nil
}
