package worker

import (
	"slices"
	"testing"
	"time"
)

// Players are told at once, and again when it becomes serious; however slowly time is
// looked at, nothing is said twice.
func TestWarningsComeInTime(t *testing.T) {
	for name, test := range map[string]struct {
		warn, step int
		want       []string
	}{
		"a minute":              {60, 1, []string{"60 seconds", "30 seconds", "10 seconds"}},
		"ten":                   {600, 1, []string{"10 minutes", "5 minutes", "60 seconds", "30 seconds", "10 seconds"}},
		"ten seconds":           {10, 1, []string{"10 seconds"}},
		"a machine that sleeps": {60, 25, []string{"60 seconds", "10 seconds"}},
		"not at all":            {0, 1, nil},
	} {
		var got []string
		var said time.Duration
		for left := time.Duration(test.warn) * time.Second; left > 0; left -= time.Duration(test.step) * time.Second {
			if due := dueWarning(left, said); due > 0 {
				said = due
				got = append(got, inWords(left))
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: players are told %q, want %q", name, got, test.want)
		}
	}
}
