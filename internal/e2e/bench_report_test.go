package e2e

import (
	"fmt"
	"os"
	"testing"
)

// goal is what a figure should be. It never fails a benchmark: a busy machine is
// no mistake of the code.
type goal struct {
	word  string
	bound float64
}

func atLeast(n float64) goal { return goal{"≥", n} }
func atMost(n float64) goal  { return goal{"≤", n} }

func (t goal) met(value float64) bool {
	if t.word == "≥" {
		return value >= t.bound
	}
	return value <= t.bound
}

// figure prints one measured number beside its target, and adds it to the file that
// BENCH_REPORT names, of which scripts/bench makes the report.
func figure(b *testing.B, what string, value float64, unit string, want goal) {
	b.Helper()
	verdict := "ok"
	if !want.met(value) {
		verdict = "OVER"
		if want.word == "≥" {
			verdict = "UNDER"
		}
	}
	line := fmt.Sprintf("%-62s %12.1f %-8s %s %-8.6g %s\n", what, value, unit, want.word, want.bound, verdict)
	b.Log(line)
	path := os.Getenv("BENCH_REPORT")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := f.WriteString(line); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}
