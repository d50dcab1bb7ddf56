package hostops

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"left4me/hostops/ctl"
)

// specFields is every field of a spec, in the order of the documentation.
var specFields = []string{"port", "overlays", "exec", "arguments", "hostname", "rcon_password", "config"}

// decodeSpec turns YAML (and so JSON) into a spec. It walks the nodes itself:
// the library's decoding into a struct knows no lines for unknown fields, takes
// the last of two equal keys of nested nodes, and turns 0x10 into text. Aliases
// are refused before anything is expanded.
func decodeSpec(data []byte) (ctl.Spec, specLines, error) {
	lines := specLines{field: map[string]int{}}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return ctl.Spec{}, lines, objection(1+bytes.Count(data[:i], []byte("\n")), "a NUL byte: a spec is text")
	}
	root, err := specRoot(escapeJSON(data), "port and rcon_password", "port: 27015")
	if err != nil {
		return ctl.Spec{}, lines, err
	}
	var s ctl.Spec
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if err := checkKey(key, specFields, lines.field); err != nil {
			return s, lines, err
		}
		lines.field[key.Value] = key.Line
		if err := setField(&s, &lines, key.Value, value); err != nil {
			return s, lines, err
		}
	}
	return s, lines, nil
}

// specRoot finds the fields of a document. needs and example are for sentences.
func specRoot(data []byte, needs, example string) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, objection(0, "the spec is empty: it needs at least %s", needs)
	} else if err != nil {
		return nil, yamlObjection(err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, yamlObjection(err)
		}
		return nil, objection(0, "the file holds more than one document: a spec is one")
	}
	if err := refuseAliases(&doc); err != nil {
		return nil, err
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, objection(root.Line, "a spec is a list of fields such as %q, not %s", example, kindOf(root))
	}
	return root, nil
}

// escapeJSON writes the characters that JSON allows raw inside strings, and that
// YAML forbids or takes for line breaks, as \u escapes: so every JSON spec is a
// YAML spec.
func escapeJSON(data []byte) []byte {
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' || !json.Valid(data) {
		return data
	}
	var out bytes.Buffer
	for _, r := range string(data) {
		switch {
		case r >= 0x7f && r <= 0x9f, r == 0x2028, r == 0x2029, r == 0xfeff, r == 0xfffe, r == 0xffff:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			out.WriteRune(r)
		}
	}
	return out.Bytes()
}

func refuseAliases(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return objection(n.Line, "anchors and aliases (& and *) are not allowed in a spec: write the value out")
	}
	for _, c := range n.Content {
		if err := refuseAliases(c); err != nil {
			return err
		}
	}
	return nil
}

func checkKey(key *yaml.Node, fields []string, seen map[string]int) error {
	if key.Kind != yaml.ScalarNode {
		return objection(key.Line, "a field's name must be plain text")
	}
	if !slices.Contains(fields, key.Value) {
		text := fmt.Sprintf("unknown field %q", short(key.Value))
		if near := nearest(key.Value, fields); near != "" {
			return objection(key.Line, "%s (did you mean %q?)", text, near)
		}
		return objection(key.Line, "%s (the fields are %s)", text, strings.Join(fields, ", "))
	}
	if first, twice := seen[key.Value]; twice {
		return objection(key.Line, "%s is given twice: first on line %d", key.Value, first)
	}
	return nil
}

func setField(s *ctl.Spec, lines *specLines, name string, v *yaml.Node) (err error) {
	switch name {
	case "port":
		s.Port, err = intValue(name, v)
	case "overlays":
		s.Overlays, lines.overlays, err = listValue(name, v)
	case "exec":
		s.Exec, lines.exec, err = listValue(name, v)
	case "arguments":
		s.Arguments, lines.arguments, err = listValue(name, v)
	case "hostname":
		s.Hostname, err = textValue(name, v)
	case "rcon_password":
		s.RCONPassword, err = textValue(name, v)
	case "config":
		s.Config, err = textValue(name, v)
	}
	return err
}

func intValue(name string, v *yaml.Node) (int, error) {
	if v.Kind != yaml.ScalarNode || v.Tag != "!!int" {
		return 0, objection(v.Line, "%s must be a whole number, not %s", name, kindOf(v))
	}
	// Only plain decimals: 0o17 or 1_000 as a port is a mistake.
	n, err := strconv.Atoi(v.Value)
	if err != nil {
		return 0, objection(v.Line, "%s must be a plain whole number, not %q", name, short(v.Value))
	}
	return n, nil
}

func textValue(name string, v *yaml.Node) (string, error) {
	switch {
	case v.Kind == yaml.ScalarNode && v.Tag == "!!str":
		return v.Value, nil
	case v.Kind == yaml.ScalarNode && v.Tag == "!!null":
		return "", nil
	case v.Kind == yaml.ScalarNode && strings.HasPrefix(v.Tag, "!!") && v.Tag != "!!binary":
		return "", objection(v.Line, "%s must be text, but YAML reads %s here: put it in \"quotes\"", name, kindOf(v))
	}
	return "", objection(v.Line, "%s must be text, not %s", name, kindOf(v))
}

func listValue(name string, v *yaml.Node) (values []string, lines []int, err error) {
	if v.Kind == yaml.ScalarNode && v.Tag == "!!null" {
		return nil, nil, nil
	}
	if v.Kind != yaml.SequenceNode {
		return nil, nil, objection(v.Line, "%s must be a list such as [a, b], not %s", name, kindOf(v))
	}
	for i, item := range v.Content {
		if item.Kind == yaml.ScalarNode && item.Tag == "!!null" {
			return nil, nil, objection(item.Line, "%s entry %d is empty", name, i+1)
		}
		text, err := textValue(fmt.Sprintf("%s entry %d", name, i+1), item)
		if err != nil {
			return nil, nil, err
		}
		values, lines = append(values, text), append(lines, item.Line)
	}
	return values, lines, nil
}

func kindOf(v *yaml.Node) string {
	switch v.Kind {
	case yaml.MappingNode:
		return "a group of fields"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		switch v.Tag {
		case "!!null":
			return "nothing"
		case "!!int", "!!float":
			return "a number"
		case "!!bool":
			return "yes or no"
		case "!!timestamp":
			return "a date"
		case "!!str":
			return "text"
		}
	}
	return "a value of type " + strings.TrimPrefix(short(v.Tag), "!!")
}

var yamlLine = regexp.MustCompile(`^yaml: line ([0-9]+): (.*)$`)

func yamlObjection(err error) error {
	text := err.Error()
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		if line, convErr := strconv.Atoi(m[1]); convErr == nil {
			return objection(line, "not valid YAML: %s", m[2])
		}
	}
	text = strings.TrimPrefix(text, "yaml: ")
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "?")
	}
	return objection(0, "not valid YAML: %s", text)
}

// nearest is the candidate that word was probably meant to be, or "".
func nearest(word string, candidates []string) string {
	best, bestDistance := "", 3
	if len(word) > 40 {
		return ""
	}
	for _, c := range candidates {
		if d := editDistance(word, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
