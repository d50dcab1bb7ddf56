// Package missions reads what a campaign says about itself: the mission files in
// missions/*.txt, which list its chapters for each mode, and addoninfo.txt. Their
// authors write them by hand and the game forgives much, so nothing here fails:
// what can be read is returned, with notes about the rest.
//
// Whether the maps exist is hostops/gate's business. Start at Parse.
package missions

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"left4me/hostops/charset"
	"left4me/hostops/ctl"
	"left4me/hostops/keyvalues"
)

// Limits of what one file may say. A real one has a few kilobytes, one mission, at
// most ten modes and hardly twenty chapters.
const (
	MaxSize     = 1 << 20 // bytes of a mission file or an addoninfo.txt
	maxMissions = 20
	maxModes    = 50
	maxChapters = 200
	maxNotes    = 20
	maxTitle    = 120 // characters
	maxMap      = 64  // characters; the engine's own limit of a map's name
)

// Note is one thing that is wrong with a file, as a clause: `the key "x" has no
// value`.
type Note struct {
	Line int // counted from 1; 0 when it is about the whole file
	Text string
}

func (n Note) String() string {
	if n.Line == 0 {
		return n.Text
	}
	return fmt.Sprintf("line %d: %s", n.Line, n.Text)
}

// Parse reads a mission file of this form, in any encoding and any case:
//
//	"mission"
//	{
//		"Name"          "UrbanFlight"
//		"DisplayTitle"  "Urban Flight"  // or "#Token" of a translation
//		"Author"        "…"
//		"modes"
//		{
//			"coop" { "1" { "Map" "uf1_boulevard" "DisplayName" "1: Boulevard" } "2" { … } }
//			"versus" { … }
//		}
//	}
//
// Campaigns come with modes in the order of the game's menus and chapters by their
// number. One without any chapter is left out.
func Parse(file []byte) ([]ctl.Campaign, []Note) {
	r := &reader{}
	root := r.parse(file)
	var all []ctl.Campaign
	for _, node := range root.Children() {
		if !node.IsBlock() || !strings.EqualFold(node.Key(), "mission") {
			continue
		}
		if len(all) == maxMissions {
			r.note(node, "more than %d missions", maxMissions)
			break
		}
		if c := r.mission(node); len(c.Modes) > 0 {
			all = append(all, c)
		} else {
			r.note(node, "no mode of the mission has a chapter")
		}
	}
	if len(all) == 0 && len(r.notes) == 0 {
		r.note(nil, "there is no mission in it")
	}
	return all, r.notes
}

// reader reads one file and keeps notes.
type reader struct{ notes []Note }

func (r *reader) note(at *keyvalues.Node, format string, args ...any) {
	if len(r.notes) < maxNotes {
		r.notes = append(r.notes, Note{at.Line(), fmt.Sprintf(format, args...)})
	}
}

func (r *reader) parse(file []byte) *keyvalues.Node {
	if len(file) > MaxSize {
		r.note(nil, "only the first %d KB of it are read", MaxSize>>10)
		file = file[:MaxSize]
	}
	text, _ := charset.Text(file)
	root, faults, err := keyvalues.ParseLenient(strings.NewReader(text))
	for _, f := range faults {
		r.notes = append(r.notes, Note{f.Line, clip(f.Problem)})
	}
	if errors.Is(err, keyvalues.ErrLimit) {
		r.note(nil, "it is read up to a place only: %v", err)
	}
	return root
}

func (r *reader) mission(node *keyvalues.Node) ctl.Campaign {
	c := ctl.Campaign{Name: value(node, "Name"), Author: value(node, "Author")}
	modes := map[string]*ctl.Mode{}
	for _, block := range node.Children() {
		if !block.IsBlock() || !strings.EqualFold(block.Key(), "modes") {
			continue
		}
		for _, m := range block.Children() {
			r.mode(m, modes)
		}
	}
	for _, m := range modes {
		c.Modes = append(c.Modes, *m)
	}
	SortModes(c.Modes)
	if c.Name == "" && len(c.Modes) > 0 {
		c.Name = c.Modes[0].Chapters[0].Map
		r.note(node, "the mission has no Name")
	}
	c.Title = title(value(node, "DisplayTitle"))
	if c.Title == "" {
		c.Title = human(c.Name)
	}
	return c
}

// mode reads the chapters of one mode; one that is repeated goes on.
func (r *reader) mode(node *keyvalues.Node, modes map[string]*ctl.Mode) {
	name := strings.ToLower(plain(node.Key()))
	if !node.IsBlock() || name == "" {
		return
	}
	type numbered struct {
		number int
		ctl.Chapter
	}
	var chapters []numbered
	for _, ch := range node.Children() {
		if !ch.IsBlock() {
			continue
		}
		number, err := strconv.Atoi(strings.TrimSpace(ch.Key()))
		if err != nil || number < 0 {
			r.note(ch, "the chapter %q of %s has no number", clip(ch.Key()), name)
			continue
		}
		if m, ok := r.chapterMap(ch); ok {
			chapters = append(chapters, numbered{number, ctl.Chapter{Map: m, Title: title(value(ch, "DisplayName"))}})
		}
	}
	if len(chapters) == 0 {
		return
	}
	m := modes[name]
	if m == nil {
		if len(modes) == maxModes {
			r.note(node, "more than %d modes", maxModes)
			return
		}
		m = &ctl.Mode{Name: name}
		modes[name] = m
	}
	slices.SortStableFunc(chapters, func(a, b numbered) int { return cmp.Compare(a.number, b.number) })
	for _, ch := range chapters {
		if len(m.Chapters) == maxChapters {
			r.note(node, "more than %d chapters in %s", maxChapters, name)
			return
		}
		m.Chapters = append(m.Chapters, ch.Chapter)
	}
}

// chapterMap is what +map takes for a chapter. It becomes an argument and a console
// command, so only what cannot be read as anything else passes.
func (r *reader) chapterMap(ch *keyvalues.Node) (string, bool) {
	node := ch.Get("Map")
	name := strings.TrimSpace(node.Value())
	switch {
	case name == "":
		r.note(ch, "the chapter %q has no Map", clip(ch.Key()))
		return "", false
	case len(name) > maxMap, strings.ContainsFunc(name, oddInMap), strings.ContainsAny(name[:1], "+-/."), strings.Contains(name, ".."):
		r.note(node, "%q cannot be the name of a map", clip(name))
		return "", false
	}
	return name, true
}

func oddInMap(c rune) bool {
	return c <= ' ' || c > '~' || strings.ContainsRune("\"'`;\\$%&|<>*?{}()[]!#,:=^@", c)
}

// menu is the order of modes in the game's menus.
var menu = []string{"coop", "realism", "versus", "survival", "scavenge"}

// SortModes puts modes in the order of the game's menus, mutations behind.
func SortModes(modes []ctl.Mode) {
	rank := func(m ctl.Mode) int {
		if i := slices.Index(menu, m.Name); i >= 0 {
			return i
		}
		return len(menu)
	}
	slices.SortFunc(modes, func(a, b ctl.Mode) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Name, b.Name))
	})
}

// Info is an addoninfo.txt, as far as it is of use here.
type Info struct {
	Title, Author, Version, Description string
}

// ParseInfo reads an addoninfo.txt, a block AddonInfo of keys and values.
func ParseInfo(file []byte) (Info, []Note) {
	r := &reader{}
	node := r.parse(file).Get("AddonInfo")
	if node == nil && len(r.notes) == 0 && len(bytes.TrimSpace(file)) > 0 {
		r.note(nil, "there is no AddonInfo in it")
	}
	return Info{
		Title: title(value(node, "addontitle")), Author: value(node, "addonauthor"),
		Version: value(node, "addonversion"), Description: value(node, "addonDescription"),
	}, r.notes
}

// value is the text of a key, for showing.
func value(node *keyvalues.Node, key string) string { return plain(node.Get(key).Value()) }

// plain makes one line of a stranger's text and bounds it.
func plain(text string) string {
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		return c
	}, text)
	return clip(strings.Join(strings.Fields(text), " "))
}

func clip(text string) string {
	if runes := []rune(text); len(runes) > maxTitle {
		return string(runes[:maxTitle]) + "…"
	}
	return text
}

// title is a text for people: a #token, which only a client's language files can
// tell, is none.
func title(text string) string {
	if strings.HasPrefix(text, "#") {
		return ""
	}
	return text
}

// Untitled reports whether a campaign has no title of its own, so that its name
// stands for it.
func Untitled(c ctl.Campaign) bool { return c.Title == human(c.Name) }

// human makes a mission's own name readable.
func human(name string) string {
	return strings.TrimSpace(strings.ReplaceAll(name, "_", " "))
}
