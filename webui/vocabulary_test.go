package webui

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"testing"
)

// The console and the editor read static/vocabulary.json. What they expect of it is
// kept here: sorted, each name once, one line of help.
func TestVocabulary(t *testing.T) {
	t.Parallel()
	raw, err := staticFiles.ReadFile("static/vocabulary.json")
	if err != nil {
		t.Fatal(err)
	}
	type word struct {
		Name, Kind, Help, Default string
		Flags                     []string
	}
	var words []word
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&words); err != nil {
		t.Fatal(err)
	}
	var (
		name  = regexp.MustCompile(`^[a-z][a-z0-9_]{1,62}$`)
		help  = regexp.MustCompile(`^[!-~][ -~]{3,198}[^. ]$`) // a clause in ASCII
		flags = []string{"cheat", "hidden", "metamod", "protected", "sourcemod"}
	)
	for i, w := range words {
		if i > 0 && words[i-1].Name >= w.Name {
			t.Errorf("%s stands behind %s", w.Name, words[i-1].Name)
		}
		if !name.MatchString(w.Name) || !help.MatchString(w.Help) || w.Kind != "command" && w.Kind != "cvar" || w.Kind == "command" && w.Default != "" {
			t.Errorf("not as it should be: %+v", w)
		}
		for _, f := range w.Flags {
			if !slices.Contains(flags, f) {
				t.Errorf("%s has the flag %q, which no page knows", w.Name, f)
			}
		}
	}
	if len(words) < 300 {
		t.Errorf("%d words; want the usual 300 and more", len(words))
	}
	for _, usual := range []string{"sv_cheats", "sv_alltalk", "status", "changelevel", "kickid", "z_difficulty", "sm_cvar", "mp_gamemode"} {
		if !slices.ContainsFunc(words, func(w word) bool { return w.Name == usual }) {
			t.Errorf("%s is missing", usual)
		}
	}
}
