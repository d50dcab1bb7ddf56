package ctl

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "0", "friday-versus-k3x9", "a_b", strings.Repeat("a", NameLimit)} {
		if err := CheckName(name); err != nil {
			t.Errorf("CheckName(%q): %v", name, err)
		}
	}
	for _, name := range []string{"", "-a", "_a", ".", "..", "../x", "a/b", "/etc", "A", "a b", "ä", "a\n", "\na", "a\x00", "-h", "--help", "a;id", "$(id)", "%2e", `a\b`, strings.Repeat("a", NameLimit+1)} {
		if err := CheckName(name); !errors.Is(err, ErrBadName) {
			t.Errorf("CheckName(%q) = %v, want a refusal", name, err)
		}
	}
}

// Scripts and stored jobs know the codes: none may be used twice, and each finds
// its way back.
func TestExitCodesAreOneToOne(t *testing.T) {
	seen := map[int]bool{0: true}
	for _, e := range exitCodes {
		if seen[e.Code] || e.Code < 64 || e.Code > 255 {
			t.Errorf("code %d is used twice or is not ours to use", e.Code)
		}
		seen[e.Code] = true
		if got := ExitCode(fmt.Errorf("start friday: %w", e.Err)); got != e.Code {
			t.Errorf("ExitCode(%v) = %d, want %d", e.Err, got, e.Code)
		}
		if !errors.Is(FromExitCode(e.Code), e.Err) {
			t.Errorf("FromExitCode(%d) = %v", e.Code, FromExitCode(e.Code))
		}
	}
	tests := map[int]error{0: nil, 8: &ChildError{Program: "steamcmd.sh", Code: 8}, 139: fmt.Errorf("install: %w", &ChildError{Code: 139}), 70: errors.New("unforeseen")}
	for want, err := range tests {
		if got := ExitCode(err); got != want {
			t.Errorf("ExitCode(%v) = %d, want %d", err, got, want)
		}
	}
	if err := FromExitCode(8); err != nil {
		t.Errorf("a child's code has a meaning of ours: %v", err)
	}
}

func TestEventsAreOneLine(t *testing.T) {
	at := time.Date(2026, 11, 21, 20, 14, 2, 123456789, time.UTC)
	tests := map[string]Event{
		"a log line":      {Type: EventLog, At: at, Stream: StreamGame, Text: "a \"b\"\n\t<c> \x1b[31m", Cursor: "12"},
		"broken UTF-8":    {Type: EventLog, At: at, Text: "\xff\xfe生"},
		"a phase":         {Type: EventPhase, At: at, Phase: &Phase{Key: "linux.download", Percent: 12.5, Done: 1, Total: 2, Try: 2, Tries: 3, Why: "x"}},
		"a state":         {Type: EventState, At: at, Status: &Status{Name: "a", State: ServerRunning, Live: &Live{Names: []Player{{Name: `"><script>`}}}}},
		"a result":        {Type: EventResult, At: at, Result: &Result{Code: 75, Message: "busy", Retry: true, Notices: []string{"n"}}},
		"what is no JSON": {Type: EventProgress, At: at, Phase: &Phase{Percent: math.NaN()}},
		"a very long one": {Type: EventLog, At: at, Text: strings.Repeat("生", 10000)},
	}
	for name, e := range tests {
		t.Run(name, func(t *testing.T) {
			line := Encode(e)
			if bytes.Count(line, []byte("\n")) != 1 || !bytes.HasSuffix(line, []byte("\n")) || len(line) > 64<<10 || !utf8.Valid(line) {
				t.Fatalf("not one valid line: %.200q", line)
			}
			got := Parse(line)
			if e.Phase != nil && math.IsNaN(e.Phase.Percent) {
				if got.Type != EventLog || !strings.Contains(got.Text, "could not be encoded") {
					t.Errorf("Parse = %+v", got)
				}
				return
			}
			if got.Type != e.Type || !got.At.Equal(at) || !utf8.ValidString(got.Text) || len(got.Text) > maxText+len("…") {
				t.Errorf("Parse = %+v", got)
			}
		})
	}
}

func TestParseLosesNothing(t *testing.T) {
	for line, want := range map[string]string{
		"plain text\r\n":          "plain text",
		`{"type":""}`:             `{"type":""}`,
		`{"not":"an event"}`:      `{"not":"an event"}`,
		`{"type":"log","text":`:   `{"type":"log","text":`,
		"":                        "",
		"\xff":                    "\uFFFD",
		`{"type":"log","text":1}`: `{"type":"log","text":1}`,
	} {
		if got := Parse([]byte(line)); got.Type != EventLog || got.Stream != StreamOut || got.Text != want {
			t.Errorf("Parse(%q) = %+v, want the text %q", line, got, want)
		}
	}
}

// The spec travels as JSON, which must read back as what it was.
func TestSpecSumTellsSpecsApart(t *testing.T) {
	a := Spec{Port: 27015, Arguments: []string{"+map", "c1m1_hotel"}}
	b := a
	if a.Sum() != b.Sum() || len(a.Sum()) != 64 {
		t.Errorf("equal specs have the sums %s and %s", a.Sum(), b.Sum())
	}
	b.Config = " "
	if a.Sum() == b.Sum() {
		t.Error("different specs have one sum")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"type":"log","text":"x"}`))
	f.Add([]byte("\xff{"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if e := Parse(line); e.Type == "" || (e.Type == EventLog && e.Stream == StreamOut && !utf8.ValidString(e.Text)) {
			t.Errorf("Parse(%q) = %+v", line, e)
		}
	})
}
