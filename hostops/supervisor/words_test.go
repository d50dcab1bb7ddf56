package supervisor

import (
	"testing"
	"time"
)

func TestInWords(t *testing.T) {
	tests := map[time.Duration]string{time.Minute: "a minute", 5 * time.Minute: "5 minutes", 90 * time.Second: "90 seconds", 1500 * time.Millisecond: "1.5 seconds"}
	for d, want := range tests {
		if got := inWords(d); got != want {
			t.Errorf("inWords(%s) = %q, want %q", d, got, want)
		}
	}
}
