package webui

import (
	"encoding/json"
	"strconv"

	"left4me/jobs"
)

// encodeLines writes the lines of a log as JSON, [[number, unix milliseconds, class,
// text],…]. It is written out by hand because a busy log goes through it ten thousand
// times a second.
func encodeLines(lines []jobs.Line) []byte {
	size := 2
	for _, l := range lines {
		size += len(l.Text) + 40
	}
	out := append(make([]byte, 0, size), '[')
	for i, l := range lines {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendInt(append(out, '['), l.N, 10)
		out = strconv.AppendInt(append(out, ','), l.At.UnixMilli(), 10)
		out = append(append(append(out, `,"`...), streamClass(l.Stream)...), `",`...)
		out = append(appendText(out, cleanText(l.Text)), ']')
	}
	return append(out, ']')
}

// appendText writes a JSON string.
func appendText(out []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			text, _ := json.Marshal(s) // a string can always be written
			return append(out, text...)
		}
	}
	return append(append(append(out, '"'), s...), '"')
}
