package keyvalues

import (
	"bytes"
	"strings"
)

type tokenKind int

const (
	tokenEnd tokenKind = iota
	tokenText
	tokenOpen
	tokenClose
	tokenCondition // text is what stands between [ and ]
)

type token struct {
	kind    tokenKind
	text    string
	line    int
	touches bool // its quote stands right behind that of the token before
}

// lexer cuts a document into tokens and keeps the first faults that it or the parser found.
type lexer struct {
	text    []byte
	pos     int
	line    int
	pending *token
	closed  int // where the last quoted token ended
	faults  []SyntaxError
}

// complain notes a fault.
func (l *lexer) complain(line int, problem string) {
	if len(l.faults) < MaxFaults {
		l.faults = append(l.faults, SyntaxError{Line: line, Problem: problem})
	}
}

func (l *lexer) unread(t token) { l.pending = &t }

func (l *lexer) next() token {
	if t := l.pending; t != nil {
		l.pending = nil
		return *t
	}
	l.skipBlank()
	if l.pos == len(l.text) {
		return token{kind: tokenEnd, line: l.line}
	}
	switch l.text[l.pos] {
	case '{':
		l.pos++
		return token{kind: tokenOpen, line: l.line}
	case '}':
		l.pos++
		return token{kind: tokenClose, line: l.line}
	case '"':
		return l.quoted()
	case '[':
		if t, ok := l.condition(); ok {
			return t
		}
	}
	start := l.pos
	for l.pos < len(l.text) && !isBlank(l.text[l.pos]) && strings.IndexByte(`{}"`, l.text[l.pos]) < 0 {
		l.pos++
	}
	return token{kind: tokenText, text: string(l.text[start:l.pos]), line: l.line}
}

// skipBlank passes white space and comments. A comment begins only where a token could: http://x is one token.
func (l *lexer) skipBlank() {
	for l.pos < len(l.text) {
		switch c := l.text[l.pos]; {
		case c == '\n':
			l.line++
			l.pos++
		case isBlank(c):
			l.pos++
		case bytes.HasPrefix(l.text[l.pos:], []byte("//")):
			l.pos = l.lineEnd(l.pos)
		default:
			return
		}
	}
}

// isBlank counts every control character, also the NULs that some editors leave at the end of a file.
func isBlank(c byte) bool { return c <= ' ' }

// lineEnd is the position of the first line feed at or after pos, or of the end of the text.
func (l *lexer) lineEnd(pos int) int {
	if i := bytes.IndexByte(l.text[pos:], '\n'); i >= 0 {
		return pos + i
	}
	return len(l.text)
}

// quoted reads a string, which may run over several lines.
func (l *lexer) quoted() token {
	t := token{kind: tokenText, line: l.line, touches: l.pos > 0 && l.pos == l.closed}
	start := l.pos + 1
	var out []byte
	for i := start; i < len(l.text); i++ {
		c := l.text[i]
		if c == '\\' && i+1 < len(l.text) && (l.text[i+1] == '\\' || l.text[i+1] == '"' && l.quoteFollows(i+2)) {
			i++
			out = append(out, l.text[i])
			continue
		}
		if c == '"' {
			l.line += bytes.Count(l.text[start:i], []byte("\n"))
			l.pos, l.closed = i+1, i+1
			t.text = string(out)
			return t
		}
		out = append(out, c)
	}
	l.complain(l.line, "a quote is opened and never closed")
	l.pos = l.lineEnd(start)
	t.text = string(bytes.TrimRight(l.text[start:l.pos], "\r"))
	return t
}

// quoteFollows decides what \" means: where no other quote follows on its line it must be the closing one, after a
// backslash that stands for itself ("maps\" in files made for the game, whose reader knows no escapes).
func (l *lexer) quoteFollows(pos int) bool {
	for _, c := range l.text[pos:] {
		switch c {
		case '"':
			return true
		case '\n':
			return false
		}
	}
	return false
}

// condition reads [$X360]; other text in square brackets is an ordinary token. The search for the end is bounded: a
// line of nothing but brackets must not be read once for each of them.
func (l *lexer) condition() (token, bool) {
	const longest = 128
	inner := l.text[l.pos+1 : min(l.pos+longest, len(l.text))]
	end := bytes.IndexAny(inner, "]\n")
	if end < 0 || inner[end] != ']' || !bytes.HasPrefix(bytes.TrimLeft(inner[:end], "! "), []byte("$")) {
		return token{}, false
	}
	l.pos += 1 + end + 1
	return token{kind: tokenCondition, text: string(inner[:end]), line: l.line}, true
}
