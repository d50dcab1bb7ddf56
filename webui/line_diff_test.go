package webui

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func ops(list []edit) string {
	var b strings.Builder
	for _, e := range list {
		fmt.Fprintf(&b, "%c%d%s ", e.Op, e.Line, e.Text)
	}
	return strings.TrimSpace(b.String())
}

func TestDiffLines(t *testing.T) {
	tests := map[string]struct{ a, b, want string }{
		"nothing":      {"", "", ""},
		"the same":     {"a b", "a b", " 1a  2b"},
		"all new":      {"", "a b", "+1a +2b"},
		"all gone":     {"a b", "", "-1a -2b"},
		"one between":  {"a c", "a b c", " 1a +2b  3c"},
		"one changed":  {"a b c", "a x c", " 1a -2b +2x  3c"},
		"moved":        {"a b c", "b c a", "-1a  1b  2c +3a"},
		"both ends":    {"x a b y", "a b z", "-1x  1a  2b -4y +3z"},
		"twice there":  {"a a a", "a a", " 1a  2a -3a"},
		"nothing same": {"a b", "c d", "-1a -2b +1c +2d"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := ops(diffLines(strings.Fields(test.a), strings.Fields(test.b))); got != strings.TrimSpace(test.want) {
				t.Errorf("from %q to %q: %q, want %q", test.a, test.b, got, test.want)
			}
		})
	}
}

// Whatever the texts are, the lines without those that come are the old text and the
// lines without those that go the new one.
func TestDiffLinesIsAWayFromOneToTheOther(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := func(n int) []string {
		lines := make([]string, r.IntN(n+1))
		for i := range lines {
			lines[i] = string(rune('a' + r.IntN(4)))
		}
		return lines
	}
	for range 2000 {
		a, b := text(14), text(14)
		got := diffLines(a, b)
		var from, to []string
		for _, e := range got {
			if e.Op != '+' {
				from = append(from, e.Text)
			}
			if e.Op != '-' {
				to = append(to, e.Text)
				if b[e.Line-1] != e.Text {
					t.Fatalf("from %q to %q: line %d is not %q", a, b, e.Line, e.Text)
				}
			} else if a[e.Line-1] != e.Text {
				t.Fatalf("from %q to %q: line %d was not %q", a, b, e.Line, e.Text)
			}
		}
		if !slices.Equal(from, a) || !slices.Equal(to, b) {
			t.Fatalf("from %q to %q the way is %q", a, b, ops(got))
		}
	}
}

func TestAttack28DifferenceOfHugeTexts(t *testing.T) {
	a, b := make([]string, 200_000), make([]string, 200_000)
	for i := range a {
		a[i], b[i] = fmt.Sprint("a", i), fmt.Sprint("b", i)
	}
	if got := diffLines(a, b); len(got) != len(a)+len(b) { // a search without a bound would not end
		t.Errorf("%d lines, want all of both", len(got))
	}
	a[100_000] = "same"
	b[100_000] = "same"
	if got := diffLines(a[99_990:100_010], b[99_990:100_010]); len(got) != 39 {
		t.Errorf("%d lines, want 39 with the one that stayed", len(got))
	}
}
