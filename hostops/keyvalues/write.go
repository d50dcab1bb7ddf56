package keyvalues

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Write writes nodes the way Steam writes appmanifest files: everything quoted, one tab per level, two tabs between
// key and value. It refuses text that does not fit on a line with [ErrText]; what w got before that is incomplete.
func Write(w io.Writer, nodes ...*Node) error {
	out := bufio.NewWriter(w)
	if err := write(out, nodes, ""); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write KeyValues: %w", err)
	}
	return nil
}

// write leaves the errors of out to its Flush, which returns the first of them.
func write(out *bufio.Writer, nodes []*Node, indent string) error {
	for _, n := range nodes {
		if strings.ContainsAny(n.Key()+n.Value(), "\r\n\x00") {
			return fmt.Errorf("write key %q: %w", n.Key(), ErrText)
		}
		_, _ = out.WriteString(indent + quote(n.Key()))
		if !n.IsBlock() {
			_, _ = out.WriteString("\t\t" + quote(n.Value()) + "\n")
			continue
		}
		_, _ = out.WriteString("\n" + indent + "{\n")
		if err := write(out, n.Children(), indent+"\t"); err != nil {
			return err
		}
		_, _ = out.WriteString(indent + "}\n")
	}
	return nil
}

var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func quote(s string) string { return `"` + escaper.Replace(s) + `"` }
