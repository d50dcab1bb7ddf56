// Package keyvalues reads and writes Valve's KeyValues text: appmanifest_*.acf files, what steamcmd prints for
// app_info_print, addoninfo.txt and mission files.
//
// It knows the notation only. What the keys of a manifest or a mission mean, where the text begins in a mixed
// output, and which files #base and #include name, is its callers' business. Start at [Parse] and [Node.Get].
package keyvalues

import (
	"errors"
	"fmt"
)

// Limits of one document. Real ones stay far below: the largest app_info_print is a few hundred kilobytes.
const (
	MaxSize   = 8 << 20 // bytes read
	MaxDepth  = 64      // blocks inside each other
	MaxNodes  = 200_000 // pairs and blocks together
	MaxFaults = 20      // that [ParseLenient] tells
)

// ErrLimit is returned when a document exceeds [MaxSize], [MaxDepth] or [MaxNodes]. Reading stops there.
var ErrLimit = errors.New("larger than a KeyValues document may be")

// ErrText is returned by [Write] for a key or value that has a line break or a NUL in it.
var ErrText = errors.New("line breaks and NUL cannot be written in a KeyValues string")

// SyntaxError is the first place where a document breaks the notation.
type SyntaxError struct {
	Line    int // counted from 1
	Problem string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Problem) }

// Node is a pair (key and value) or a block (key and children). The methods of a nil *Node answer as an absent node
// would, so that lookups can be chained without checks.
type Node struct {
	key, value string
	line       int
	block      bool
	children   []*Node
}

// Pair makes a node with a value.
func Pair(key, value string) *Node { return &Node{key: key, value: value} }

// Block makes a node with children, in the order given.
func Block(key string, children ...*Node) *Node {
	return &Node{key: key, block: true, children: children}
}

// Key is the name as it was written; "" for the document itself. Keys and values are the bytes of the file, which
// need not be UTF-8.
func (n *Node) Key() string {
	if n == nil {
		return ""
	}
	return n.key
}

// Value is the text of a pair, "" for a block.
func (n *Node) Value() string {
	if n == nil {
		return ""
	}
	return n.value
}

// Line is where the key stood, counted from 1; 0 for a node that was not parsed.
func (n *Node) Line() int {
	if n == nil {
		return 0
	}
	return n.line
}

// IsBlock tells a block, even an empty one, from a pair.
func (n *Node) IsBlock() bool { return n != nil && n.block }

// Children are the nodes of a block in the order of the file, repeated keys included. The slice belongs to the node.
func (n *Node) Children() []*Node {
	if n == nil {
		return nil
	}
	return n.children
}

// Get follows path downwards, ignoring the case of ASCII letters, and returns the first node that has the whole
// path, or nil. Where a block is repeated, later ones are searched too.
func (n *Node) Get(path ...string) *Node {
	if n == nil || len(path) == 0 {
		return n
	}
	for _, c := range n.children {
		if equalFold(c.key, path[0]) {
			if found := c.Get(path[1:]...); found != nil {
				return found
			}
		}
	}
	return nil
}

// equalFold ignores the case of ASCII letters only: strings.EqualFold takes any two broken bytes for equal, and
// latin-1 text consists of them.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
