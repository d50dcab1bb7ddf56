package webui

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

func templateFuncs(assetURL func(string) (string, error)) template.FuncMap {
	return template.FuncMap{
		"asset":    assetURL,
		"rfc":      func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"stamp":    func(t time.Time) string { return t.UTC().Format("2 Jan 15:04 UTC") },
		"clock":    func(t time.Time) string { return t.UTC().Format("15:04:05") },
		"bytes":    formatBytes,
		"span":     formatSpan,
		"secs":     func(n int64) string { return formatSpan(time.Duration(n) * time.Second) },
		"mins":     formatMinutes,
		"count":    count,
		"term":     banTerm,
		"next":     func(n int) int { return n + 1 },
		"prev":     func(n int) int { return n - 1 },
		"clean":    cleanText,
		"sentence": sentence,
		"pct":      func(f float64) string { return fmt.Sprintf("%.0f", min(max(f, 0), 100)) },
	}
}

// sentence makes one of a message that was written to stand inside another: wrapped
// errors and notices of programs begin small and end without a stop.
func sentence(s string) string {
	s = strings.TrimSpace(cleanText(s))
	if s == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(first)) + s[size:]
	if !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}

// formatBytes writes a size in powers of ten, as Steam and disks count.
func formatBytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", max(n, 0))
	}
	units := []string{"KB", "MB", "GB", "TB", "PB", "EB"}
	f, i := float64(n)/1000, 0
	for f >= 999.5 && i < len(units)-1 {
		f /= 1000
		i++
	}
	if f < 9.995 && i >= 2 {
		return fmt.Sprintf("%.2f %s", f, units[i])
	}
	if f < 99.95 && i >= 2 {
		return fmt.Sprintf("%.1f %s", f, units[i])
	}
	return fmt.Sprintf("%.0f %s", math.Round(f), units[i])
}

// formatSpan writes a length of time with two units at most.
func formatSpan(d time.Duration) string {
	if d > 0 && d < time.Second {
		return "< 1 s"
	}
	s := int64(max(d, 0).Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%d h %02d min", s/3600, s/60%60)
	}
	return fmt.Sprintf("%d d %02d h", s/86400, s/3600%24)
}

// formatMinutes writes seconds as whole minutes, or hours and minutes.
func formatMinutes(seconds int64) string {
	if m := max(seconds, 0) / 60; m < 60 {
		return fmt.Sprintf("%d min", m)
	}
	return formatSpan(time.Duration(seconds) * time.Second)
}

// count writes a number with its noun: "1 server", "3 servers".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// cleanText makes a stranger's line safe to look at: terminal sequences go, other
// control characters and those that turn the direction of writing become a
// visible mark. Escaping HTML is the template's affair.
func cleanText(s string) string {
	if isPlain(s) {
		return s
	}
	var out strings.Builder
	out.Grow(len(s))
	for i := 0; i < len(s); {
		if s[i] == 0x1b {
			i += escapeLength(s[i:])
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch {
		case r == '\t':
			out.WriteRune(r)
		case r == '\r': // a carriage return at the end of a line says nothing
		case r == utf8.RuneError, unicode.IsControl(r), isBidiControl(r):
			out.WriteRune(utf8.RuneError)
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

func isPlain(s string) bool {
	for i := range len(s) {
		if (s[i] < ' ' && s[i] != '\t') || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func isBidiControl(r rune) bool {
	return (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) || r == 0x200e || r == 0x200f || r == 0x061c
}

// escapeLength is how many bytes of s, which begins with ESC, are one terminal
// sequence: CSI up to its final byte, OSC up to BEL or ST, else two bytes.
func escapeLength(s string) int {
	if len(s) < 2 {
		return len(s)
	}
	switch s[1] {
	case '[':
		for i := 2; i < len(s); i++ {
			if s[i] >= 0x40 && s[i] <= 0x7e {
				return i + 1
			}
		}
		return len(s)
	case ']', 'P', 'X', '^', '_':
		for i := 2; i < len(s); i++ {
			if s[i] == 0x07 {
				return i + 1
			}
			if s[i] == 0x1b && i+1 < len(s) && s[i+1] == '\\' {
				return i + 2
			}
		}
		return len(s)
	}
	if s[1] < utf8.RuneSelf {
		return 2
	}
	return 1
}
