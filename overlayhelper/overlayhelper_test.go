package overlayhelper

import (
	"errors"
	"strings"
	"testing"
)

func TestParseRefuses(t *testing.T) {
	tests := map[string][]string{
		"nothing":            {},
		"no name":            {"mount"},
		"a third argument":   {"mount", "a", "b"},
		"an unknown verb":    {"bind", "a"},
		"an option as verb":  {"--help", "a"},
		"an option as name":  {"mount", "-h"},
		"a long option":      {"mount", "--help"},
		"a path":             {"mount", "../x"},
		"an absolute path":   {"mount", "/etc"},
		"a folder below":     {"mount", "a/b"},
		"an empty name":      {"mount", ""},
		"a dot":              {"mount", "."},
		"two dots":           {"mount", ".."},
		"a newline inside":   {"mount", "a\nb"},
		"a newline behind":   {"mount", "a\n"},
		"upper case":         {"mount", "A"},
		"a space":            {"mount", "a b"},
		"an umlaut":          {"mount", "ä"},
		"a NUL":              {"mount", "a\x00"},
		"too long a name":    {"mount", strings.Repeat("a", 49)},
		"a shell's list":     {"mount", "a;id"},
		"a shell's command":  {"mount", "$(id)"},
		"a verb with spaces": {"mount ", "a"},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			if r, err := Parse(args); !errors.Is(err, ErrUsage) {
				t.Errorf("Parse(%q) = %+v, %v; want a refusal", args, r, err)
			}
		})
	}
}

func TestParseAccepts(t *testing.T) {
	for _, verb := range []Verb{Mount, Umount, Purge} {
		for _, name := range []string{"a", "0", "friday-versus-k3x9", strings.Repeat("a", 48)} {
			r, err := Parse([]string{string(verb), name})
			if err != nil || r != (Request{Verb: verb, Name: name}) {
				t.Errorf("Parse(%s %s) = %+v, %v", verb, name, r, err)
			}
		}
	}
}
