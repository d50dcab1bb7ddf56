package keyvalues

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Parse reads a document of this form:
//
//	// a comment, to the end of the line
//	"AppState"
//	{
//		"appid"		"222860"
//		installdir	unquoted  // a token ends at white space, a brace or a quote
//		"Map""no space between"
//		"title"		"for consoles" [$X360]
//	}
//
// It returns a block without a key that holds the top level. Inside quotes \\ is a backslash and \" a quote; every
// other backslash stands for itself, since game files write paths with it.
//
// Files by hand are often broken, and a reader that wants what can be had may use the tree next to a *[SyntaxError]:
// it is what the whole file reads as if a missing value is empty, a surplus } is ignored and an open block or quote
// ends with the file. The error names the first fault. Next to [ErrLimit] or an error of r the tree ends early.
func Parse(r io.Reader) (*Node, error) {
	root, p, err := parse(r)
	if err == nil && len(p.faults) > 0 {
		err = &p.faults[0]
	}
	return root, err
}

// ParseLenient reads the same for whoever wants what can be had and a list of what
// is wrong: the first [MaxFaults] faults, and among them the keys that touch their
// value, "Map""x", which Parse takes without a word and the game does not read. The
// error is [ErrLimit] or one of r, and never about the notation; next to it the tree
// ends early.
func ParseLenient(r io.Reader) (*Node, []SyntaxError, error) {
	root, p, err := parse(r)
	faults := append(p.faults, p.touching...)
	slices.SortStableFunc(faults, func(a, b SyntaxError) int { return a.Line - b.Line })
	return root, faults[:min(len(faults), MaxFaults)], err
}

func parse(r io.Reader) (*Node, *parser, error) {
	root, p := Block(""), &parser{}
	text, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return root, p, fmt.Errorf("read KeyValues: %w", err)
	}
	if len(text) > MaxSize {
		return root, p, fmt.Errorf("more than %d bytes: %w", MaxSize, ErrLimit)
	}
	p.lexer = lexer{text: bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), line: 1}
	return root, p, p.parse(root)
}

type parser struct {
	lexer
	open     []*Node
	nodes    int
	touching []SyntaxError // keys that touch their value
}

func (p *parser) parse(root *Node) error {
	p.open = []*Node{root}
	for {
		t := p.next()
		var err error
		switch t.kind {
		case tokenEnd:
			if n := len(p.open); n > 1 {
				top := p.open[n-1]
				p.complain(p.line, fmt.Sprintf("the block %q of line %d is never closed", top.key, top.line))
			}
			return nil
		case tokenClose:
			if len(p.open) == 1 {
				p.complain(t.line, "} without a block to close")
				continue
			}
			p.open = p.open[:len(p.open)-1]
		case tokenOpen:
			p.complain(t.line, "{ without a key before it")
			err = p.begin(&Node{line: t.line}, true)
		case tokenCondition: // one after a value was read with it; this one belongs to nothing
		case tokenText:
			err = p.entry(&Node{key: t.text, line: t.line})
		}
		if err != nil {
			return err
		}
	}
}

// entry reads what follows a key: a value or a block, with the condition that may stand before or after it.
func (p *parser) entry(n *Node) error {
	keep := true
	t := p.next()
	if t.kind == tokenCondition {
		keep = holds(t.text)
		t = p.next()
	}
	switch t.kind {
	case tokenOpen:
		return p.begin(n, keep)
	case tokenText:
		n.value = t.text
		if t.touches && len(p.touching) < MaxFaults {
			p.touching = append(p.touching, SyntaxError{n.line, fmt.Sprintf("no space between the key %q and its value", n.key)})
		}
	default:
		p.complain(n.line, fmt.Sprintf("the key %q has no value", n.key))
		p.unread(t)
		return p.add(n, keep)
	}
	if t = p.next(); t.kind == tokenCondition {
		keep = keep && holds(t.text)
	} else {
		p.unread(t)
	}
	return p.add(n, keep)
}

func (p *parser) begin(n *Node, keep bool) error {
	if len(p.open) > MaxDepth {
		return fmt.Errorf("line %d: more than %d blocks inside each other: %w", n.line, MaxDepth, ErrLimit)
	}
	n.block = true
	if err := p.add(n, keep); err != nil {
		return err
	}
	p.open = append(p.open, n)
	return nil
}

// add counts n also if it is not kept: the limit is for the work, not only for the memory.
func (p *parser) add(n *Node, keep bool) error {
	if p.nodes++; p.nodes > MaxNodes {
		return fmt.Errorf("line %d: more than %d entries: %w", n.line, MaxNodes, ErrLimit)
	}
	if keep {
		top := p.open[len(p.open)-1]
		top.children = append(top.children, n)
	}
	return nil
}

// holds evaluates a condition such as [$X360], [!$X360] or [$WIN32||$LINUX] as on a computer: console symbols are
// false. Any other symbol is taken to be true, so that an unknown one loses nothing.
func holds(condition string) bool {
	for _, or := range strings.Split(condition, "||") {
		all := true
		for _, and := range strings.Split(or, "&&") {
			name, negated := strings.CutPrefix(strings.TrimSpace(and), "!")
			switch strings.ToUpper(strings.TrimSpace(name)) {
			case "$X360", "$PS3", "$XBOX", "$GAMECONSOLE":
				all = all && negated
			default:
				all = all && !negated
			}
		}
		if all {
			return true
		}
	}
	return false
}
