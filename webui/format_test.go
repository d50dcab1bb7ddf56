package webui

import (
	"strings"
	"testing"
	"time"
)

func TestCleanText(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"plain":                 {"Executing dedicated server config file", "Executing dedicated server config file"},
		"a tab stays":           {"a\tb", "a\tb"},
		"colours go":            {"\x1b[31mred\x1b[0m text", "red text"},
		"a title goes":          {"\x1b]0;evil\x07after", "after"},
		"a title with ST":       {"\x1b]0;evil\x1b\\after", "after"},
		"a link goes":           {"\x1b]8;;http://x\x1b\\word\x1b]8;;\x1b\\", "word"},
		"a cut sequence":        {"text\x1b[3", "text"},
		"a lone escape":         {"text\x1b", "text"},
		"escape before a rune":  {"\x1bü", "ü"},
		"carriage return":       {"50%\r", "50%"},
		"a bell is shown":       {"a\x07b", "a\ufffdb"},
		"NUL is shown":          {"a\x00b", "a\ufffdb"},
		"C1 is shown":           {"a\u009bb", "a\ufffdb"},
		"invalid UTF-8":         {"a\xff\xfeb", "a\ufffd\ufffdb"},
		"direction is shown":    {"\u202eexe.gpj\u2066", "\ufffdexe.gpj\ufffd"},
		"other scripts stay":    {"Игрок 选手 لاعب", "Игрок 选手 لاعب"},
		"markup is not touched": {"<b>&", "<b>&"},
	}
	for name, tt := range tests {
		if got := cleanText(tt.in); got != tt.want {
			t.Errorf("%s: cleanText(%q) = %q, want %q", name, tt.in, got, tt.want)
		}
	}
}

func FuzzCleanText(f *testing.F) {
	f.Add("\x1b[1;31mCoach<2>\x1b]0;x\x07\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		got := cleanText(s)
		if strings.ContainsAny(got, "\x1b\x00\n\r\u202e\u2066") {
			t.Errorf("cleanText(%q) = %q", s, got)
		}
		if again := cleanText(got); again != got {
			t.Errorf("cleanText(%q) = %q, and again %q", s, got, again)
		}
	})
}

func TestFormats(t *testing.T) {
	for n, want := range map[int64]string{-1: "0 B", 0: "0 B", 999: "999 B", 1000: "1 KB", 193_000_000: "193 MB", 9_040_000_000: "9.04 GB", 999_600_000: "1.00 GB", 12_540_000_000: "12.5 GB", 1<<63 - 1: "9.22 EB"} {
		if got := formatBytes(n); got != want {
			t.Errorf("formatBytes(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Second: "0 s", 0: "0 s", 300 * time.Millisecond: "< 1 s", 59 * time.Second: "59 s", 362 * time.Second: "6 min 02 s", 72 * time.Minute: "1 h 12 min", 50 * time.Hour: "2 d 02 h"} {
		if got := formatSpan(d); got != want {
			t.Errorf("formatSpan(%s) = %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int]string{0: "0 servers", 1: "1 server", 2: "2 servers"} {
		if got := count(n, "server"); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
	if got := clip("aüb", 2); got != "a…" {
		t.Errorf("clip cut inside a character: %q", got)
	}
}

func TestMapTitle(t *testing.T) {
	for name, want := range map[string]string{
		"c2m1_highway": "Dark Carnival · 1", "c14m2_lighthouse": "The Last Stand · 2", "c1m4_atrium": "Dead Center · 4",
		"c15m1_x": "c15m1_x", "custom_map": "custom_map", "c2m": "c2m", "": "", "cm1": "cm1", "c-1m1_x": "c-1m1_x",
	} {
		got, hue := mapTitle(name)
		if got != want || hue < 0 || hue >= len(campaigns) {
			t.Errorf("mapTitle(%q) = %q, %d, want %q", name, got, hue, want)
		}
	}
}

func TestCursors(t *testing.T) {
	c := parseCursors("job:12=388;console:friday-versus-k3x9=1764000000000-55;;nonsense;x=" + strings.Repeat("9", 50))
	if len(c) != 2 || c["job:12"] != "388" || c["console:friday-versus-k3x9"] != "1764000000000-55" {
		t.Errorf("parsed %v", c)
	}
	if got := c.String(); got != "console:friday-versus-k3x9=1764000000000-55;job:12=388" {
		t.Errorf("written %q", got)
	}
	if got := parseCursors(strings.Repeat("job:1=1;", 1000)); len(got) != 0 {
		t.Errorf("an endless list gave %v", got)
	}
	for _, tt := range [][3]string{ // last, asked, want
		{"5", "3", "5"},
		{"3", "5", "5"},
		{"5", "", "5"},
		{"", "5", "5"},
		{"", "", ""},
		{"x", "4", "4"},
		{"4", "x", "4"},
		{"100-5", "100-7", "100-7"},
		{"100-7", "100-5", "100-7"},
		{"200-1", "100-70", "200-1"},
	} {
		if got := later(tt[0], tt[1]); got != tt[2] {
			t.Errorf("later(%q, %q) = %q, want %q", tt[0], tt[1], got, tt[2])
		}
	}
}

func TestSentence(t *testing.T) {
	for in, want := range map[string]string{
		"":          "",
		" \x1b[1m ": "",
		"line 4 of the config sets rcon_password; the server's own comes last and wins": "Line 4 of the config sets rcon_password; the server's own comes last and wins.",
		"Is it full?": "Is it full?",
		"über":        "Über.",
	} {
		if got := sentence(in); got != want {
			t.Errorf("sentence(%q) = %q; want %q", in, got, want)
		}
	}
}
