package missions

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"left4me/hostops/ctl"
)

// show is a campaign on one line: Name/Title/Author mode(map:title map) …
func show(all []ctl.Campaign) string {
	var campaigns []string
	for _, c := range all {
		text := c.Name + "/" + c.Title + "/" + c.Author
		for _, m := range c.Modes {
			var chapters []string
			for _, ch := range m.Chapters {
				s := ch.Map
				if ch.Title != "" {
					s += ":" + ch.Title
				}
				chapters = append(chapters, s)
			}
			text += " " + m.Name + "(" + strings.Join(chapters, " ") + ")"
		}
		campaigns = append(campaigns, text)
	}
	return strings.Join(campaigns, "; ")
}

func utf16le(text string) string {
	out := "\xff\xfe"
	for _, u := range utf16.Encode([]rune(text)) {
		out += string([]byte{byte(u), byte(u >> 8)})
	}
	return out
}

const plainMission = `"mission" { "Name" "UF" "DisplayTitle" "Urban Flight" "Author" "Nick" "modes" { "coop" { "1" { "Map" "uf1" } } } }`

func TestParse(t *testing.T) {
	tests := map[string]struct{ in, want, notes string }{
		"plain": {plainMission, "UF/Urban Flight/Nick coop(uf1)", ""},
		"any case, no quotes": {
			`MISSION { name UF displaytitle "Urban Flight" MODES { COOP { 1 { MAP uf1 displayNAME "1: Boulevard" } } } }`,
			"UF/Urban Flight/ coop(uf1:1: Boulevard)", "",
		},
		"chapters by number": {
			`mission { Name UF modes { coop { 10 { Map j } 2 { Map b } 1 { Map a } 9 { Map i } } } }`,
			"UF/UF/ coop(a b i j)", "",
		},
		"modes as in the menus": {
			`mission { Name UF modes { zombie { 1 { Map z } } scavenge { 1 { Map c } } survival { 1 { Map s } } versus { 1 { Map v } } realism { 1 { Map r } } coop { 1 { Map o } } abc { 1 { Map x } } } }`,
			"UF/UF/ coop(o) realism(r) versus(v) survival(s) scavenge(c) abc(x) zombie(z)", "",
		},
		"tokens": {
			`mission { Name Urban_Flight DisplayTitle "#UF_Title" modes { coop { 1 { Map a DisplayName "#UF_1" } } } }`,
			"Urban_Flight/Urban Flight/ coop(a)", "",
		},
		"several missions": {
			plainMission + "\n" + strings.ReplaceAll(plainMission, "UF", "UG"),
			"UF/Urban Flight/Nick coop(uf1); UG/Urban Flight/Nick coop(uf1)", "",
		},
		"modes in two blocks": {
			`mission { Name UF modes { coop { 1 { Map a } } } modes { versus { 1 { Map b } } coop { 2 { Map c } } } }`,
			"UF/UF/ coop(a c) versus(b)", "",
		},
		"map touches its key": {
			"mission { Name UF modes { coop { 1 { \"Map\"\"a\" }\n2 { \"Map\"\"b\" } } } }",
			"UF/UF/ coop(a b)", `line 1: no space between the key "Map" and its value; line 2: no space between the key "Map" and its value`,
		},
		"other keys among chapters": {
			`mission { Name UF modes { coop { chapters 5 1 { Map a Image x } } } poster { x y } }`,
			"UF/UF/ coop(a)", "",
		},
		"a chapter without a number": {
			"mission { Name UF modes { coop {\none { Map a } 2 { Map b } -1 { Map c } } } }",
			"UF/UF/ coop(b)", `line 2: the chapter "one" of coop has no number; line 2: the chapter "-1" of coop has no number`,
		},
		"a chapter without a map":   {"mission { Name UF modes { coop { 1 { Map \"\" } 2 { } 3 { Map a } } } }", "UF/UF/ coop(a)", `line 1: the chapter "1" has no Map; line 1: the chapter "2" has no Map`},
		"without a name":            {`mission { modes { coop { 1 { Map a_b } } } }`, "a_b/a b/ coop(a_b)", "line 1: the mission has no Name"},
		"without chapters":          {`mission { Name UF modes { coop { } } }`, "", "line 1: no mode of the mission has a chapter"},
		"without a mission":         {`"AddonInfo" { "a" "b" }`, "", "there is no mission in it"},
		"nothing":                   {"", "", "there is no mission in it"},
		"never closed":              {`mission { Name UF modes { coop { 1 { Map a`, "UF/UF/ coop(a)", `line 1: the block "1" of line 1 is never closed`},
		"UTF-8 with its mark":       {"\xef\xbb\xbf" + plainMission, "UF/Urban Flight/Nick coop(uf1)", ""},
		"UTF-16":                    {utf16le(strings.Replace(plainMission, "Nick", "尼克", 1)), "UF/Urban Flight/尼克 coop(uf1)", ""},
		"GBK":                       {strings.Replace(plainMission, "Urban Flight", "\xb5\xd8\xcd\xbc", 1), "UF/地图/Nick coop(uf1)", ""},
		"latin-1":                   {strings.Replace(plainMission, "Nick", "Ren\xe9", 1), "UF/Urban Flight/René coop(uf1)", ""},
		"lines in a title":          {"mission { Name UF DisplayTitle \"Urban\n\t Flight\x1b[2J\" modes { coop { 1 { Map a } } } }", "UF/Urban Flight [2J/ coop(a)", ""},
		"maps that would be more":   {`mission { Name UF modes { coop { 1 { Map "a; quit" } 2 { Map "+exec" } 3 { Map "../x" } 4 { Map "a b" } 5 { Map "ä" } 6 { Map ok-1.2 } } } }`, "UF/UF/ coop(ok-1.2)", `line 1: "a; quit" cannot be the name of a map; line 1: "+exec" cannot be the name of a map; line 1: "../x" cannot be the name of a map; line 1: "a b" cannot be the name of a map; line 1: "ä" cannot be the name of a map`},
		"the map's case stays":      {`mission { Name UF modes { coop { 1 { Map C12m1_Hilltop } } } }`, "UF/UF/ coop(C12m1_Hilltop)", ""},
		"console-only text ignored": {`mission { Name UF modes { coop { 1 [$X360] { Map x } 1 { Map a } } } }`, "UF/UF/ coop(a)", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			all, notes := Parse([]byte(tt.in))
			var texts []string
			for _, n := range notes {
				texts = append(texts, n.String())
			}
			if got := show(all); got != tt.want || strings.Join(texts, "; ") != tt.notes {
				t.Errorf("Parse(%q)\n got %q, notes %q\nwant %q, notes %q", tt.in, got, texts, tt.want, tt.notes)
			}
		})
	}
}

func TestAttack4BombOfChapters(t *testing.T) {
	chapters, modes, missions := &strings.Builder{}, &strings.Builder{}, &strings.Builder{}
	for i := range 500 {
		fmt.Fprintf(chapters, "%d { Map m%d DisplayName %s }\n", i, i, strings.Repeat("t", 500))
		fmt.Fprintf(modes, "mode%d { 1 { Map a } }\n", i)
		fmt.Fprintf(missions, "mission { Name m%d modes { coop { 1 { Map a } } } }\n", i)
	}
	all, notes := Parse([]byte("mission { Name x modes { coop {" + chapters.String() + "} } }"))
	if ch := all[0].Modes[0].Chapters; len(ch) != maxChapters || utf8.RuneCountInString(ch[0].Title) > maxTitle+1 || len(notes) != 1 {
		t.Errorf("%d chapters, title of %d, %v", len(ch), len(ch[0].Title), notes)
	}
	all, notes = Parse([]byte("mission { Name x modes {" + modes.String() + "} }"))
	if len(all[0].Modes) != maxModes || len(notes) != maxNotes {
		t.Errorf("%d modes, %d notes", len(all[0].Modes), len(notes))
	}
	all, notes = Parse([]byte(missions.String()))
	if len(all) != maxMissions || len(notes) != 1 {
		t.Errorf("%d missions, %v", len(all), notes)
	}
	all, notes = Parse([]byte(plainMission + strings.Repeat(" ", MaxSize)))
	if len(all) != 1 || len(notes) != 1 {
		t.Errorf("behind the limit: %v, %v", all, notes)
	}
	_, notes = Parse([]byte(strings.Repeat("{", 1000)))
	if len(notes) == 0 {
		t.Error("a thousand blocks inside each other pass without a word")
	}
}

func TestParseInfo(t *testing.T) {
	tests := map[string]struct {
		in    string
		want  Info
		notes int
	}{
		"plain":     {`"AddonInfo" { addonSteamAppID 550 addontitle "Urban Flight" addonversion 10 addonauthor "Nick" addonDescription "Flee // now" }`, Info{"Urban Flight", "Nick", "10", "Flee // now"}, 0},
		"any case":  {`ADDONINFO { AddonTitle x }`, Info{Title: "x"}, 0},
		"a token":   {`AddonInfo { addontitle "#title" }`, Info{}, 0},
		"malformed": {`AddonInfo { addontitle "x addonauthor y`, Info{Title: "x addonauthor y"}, 2},
		"empty":     {"\r\n", Info{}, 0},
		"something": {"hello there", Info{}, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, notes := ParseInfo([]byte(tt.in))
			if got != tt.want || len(notes) != tt.notes {
				t.Errorf("ParseInfo(%q) = %+v, %v; want %+v and %d notes", tt.in, got, notes, tt.want, tt.notes)
			}
		})
	}
}

func FuzzMissions(f *testing.F) {
	f.Add([]byte(plainMission))
	f.Add([]byte(utf16le(plainMission)))
	f.Add([]byte(`mission { modes { coop { "1" { "Map""a" } one { } -1 { Map "" } } coop { 1 { Map "a;b" } } } } AddonInfo { addontitle x }`))
	f.Add([]byte("mission { Name \xb5\xd8 modes { \xff { 1 { Map \x00 } } } }"))
	f.Fuzz(func(t *testing.T, file []byte) {
		all, notes := Parse(file)
		if len(all) > maxMissions || len(notes) > maxNotes+20 {
			t.Fatalf("%d missions, %d notes", len(all), len(notes))
		}
		if len(all) == 0 && len(notes) == 0 {
			t.Fatalf("Parse(%q) finds nothing and says nothing", file)
		}
		text := func(s string) {
			if !utf8.ValidString(s) || strings.ContainsAny(s, "\n\r\x00\x1b") || utf8.RuneCountInString(s) > 400 {
				t.Fatalf("Parse(%q) makes %q", file, s)
			}
		}
		for _, n := range notes {
			if !utf8.ValidString(n.Text) || n.Line < 0 {
				t.Fatalf("Parse(%q) notes %+v", file, n)
			}
		}
		for _, c := range all {
			text(c.Name)
			text(c.Title)
			text(c.Author)
			if c.Name == "" || len(c.Modes) == 0 || len(c.Modes) > maxModes {
				t.Fatalf("Parse(%q) makes %+v", file, c)
			}
			for _, m := range c.Modes {
				text(m.Name)
				if m.Name == "" || len(m.Chapters) == 0 || len(m.Chapters) > maxChapters {
					t.Fatalf("Parse(%q) makes the mode %+v", file, m)
				}
				for _, ch := range m.Chapters {
					text(ch.Title)
					if ch.Map == "" || len(ch.Map) > maxMap || strings.ContainsFunc(ch.Map, oddInMap) {
						t.Fatalf("Parse(%q) makes the map %q", file, ch.Map)
					}
				}
			}
		}
		info, _ := ParseInfo(file)
		text(info.Title)
		text(info.Description)
	})
}
