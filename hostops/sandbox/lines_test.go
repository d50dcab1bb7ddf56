package sandbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
)

func TestCopyLines(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		in   string
		want []string
	}{
		"lines":                {"a\n\nb\n", []string{"a", "", "b"}},
		"no end":               {"a\nb", []string{"a", "b"}},
		"Windows":              {"a\r\nb\r\n", []string{"a", "b"}},
		"progress":             {"1%\r2%\r3%\n", []string{"1%", "2%", "3%"}},
		"terminal and invalid": {"\x1b[31mred\x07\x00\xff\tx\u0085\n", []string{"[31mred\uFFFD\tx"}},
		"long":                 {strings.Repeat("x", 3*maxLine) + "\ny\n", []string{strings.Repeat("x", maxLine) + "…", "y"}},
		"nothing":              {"", nil},
	} {
		var got []string
		copyLines(strings.NewReader(tt.in), func(text string) { got = append(got, text) })
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %.100q, want %.100q", name, got, tt.want)
		}
	}
}

// A flood is cut in one piece, and the lines after it come through; whoever prints
// for ever is not listened to for ever.
func TestFloodIsCut(t *testing.T) {
	t.Parallel()
	var got []string
	now := time.Unix(0, 0)
	k := newTalk(func(stream ctl.Stream, text string) { got = append(got, string(stream)+": "+text) })
	k.now, k.at = func() time.Time { return now }, now
	for n := range lineBurst + 1000 {
		k.line(ctl.StreamOut, fmt.Sprint(n))
	}
	now = now.Add(2 * time.Second)
	k.line(ctl.StreamErr, "after")
	if want := []string{"ctl: 1000 lines were left out here: the script printed more than 500 in a second.", "err: after"}; len(got) != lineBurst+2 || !slices.Equal(got[lineBurst:], want) {
		t.Errorf("%d lines, the last ones %q, want %q", len(got), got[max(0, len(got)-3):], want)
	}
	for range 3 * maxLines {
		now = now.Add(time.Second / lineRate)
		k.line(ctl.StreamOut, "x")
	}
	k.end()
	if last := got[len(got)-1]; len(got) != maxLines+2 || !strings.Contains(last, "what follows is not shown") {
		t.Errorf("%d lines, the last one %q", len(got), last)
	}
}
