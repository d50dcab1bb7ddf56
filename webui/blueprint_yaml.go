package webui

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"left4me/models"
)

// blueprintFile is a blueprint as a file that people read, keep and hand on:
//
//	name: Competitive
//	overlays: # uppermost first
//	  - kind: workshop
//	    name: Maps of friends
//	    shared: true
//	    exec: true
//	arguments:
//	  - -tickrate
//	  - "60"
//	config: |
//	  sv_alltalk 1
//
// Overlays are named and not contained. Nothing in it is secret.
type blueprintFile struct {
	Name      string
	Overlays  []overlayName
	Arguments []string
	Config    string
}

// overlayName is an overlay as a file names it.
type overlayName struct {
	Kind   models.OverlayKind
	Name   string
	Shared bool // by everybody's, rather than one's own of that name
	Exec   bool
}

// maxBlueprintFile bounds a file: a config of 256 KB may be indented, and quoted.
const maxBlueprintFile = 1 << 20

/* Writing. */

const blueprintFileHead = `# A blueprint of left4me: what game servers are made from.
# Overlays are named here, not contained: whoever imports this needs ones of the same
# kind and name. Passwords are left out: each server has its own.
`

// encodeBlueprint writes a file with comments on top. What may be secret in b's
// arguments and config is left out, and the comments say so.
func encodeBlueprint(b *models.Blueprint) ([]byte, error) {
	f := blueprintFile{Name: b.Name}
	for _, o := range b.Overlays {
		f.Overlays = append(f.Overlays, overlayName{o.Kind, o.Name, o.UserID == "", o.Exec})
	}
	var left []string
	f.Arguments, left = withoutSecretArguments(b.Arguments)
	var more []string
	f.Config, more = withoutSecretLines(b.Config)
	head := blueprintFileHead
	for _, what := range append(left, more...) {
		head += "# Left out: " + what + ".\n"
	}
	for _, style := range []yaml.Style{yaml.LiteralStyle, yaml.DoubleQuotedStyle} {
		var out bytes.Buffer
		out.WriteString(head)
		enc := yaml.NewEncoder(&out)
		enc.SetIndent(2)
		if err := enc.Encode(f.node(style)); err != nil {
			return nil, fmt.Errorf("write a blueprint: %w", err)
		}
		if err := enc.Close(); err != nil {
			return nil, fmt.Errorf("write a blueprint: %w", err)
		}
		// A block of text does not give every byte back; then it is written in quotes.
		if again, err := decodeBlueprint(out.Bytes()); err == nil && again.Config == f.Config {
			return out.Bytes(), nil
		}
	}
	return nil, fmt.Errorf("write the blueprint %s: it does not read back", b.ID)
}

func (f blueprintFile) node(config yaml.Style) *yaml.Node {
	root := &yaml.Node{Kind: yaml.MappingNode}
	add := func(n *yaml.Node, key string, value *yaml.Node) {
		n.Content = append(n.Content, text(key, 0), value)
	}
	add(root, "name", text(f.Name, 0))
	if len(f.Overlays) > 0 {
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for _, o := range f.Overlays {
			entry := &yaml.Node{Kind: yaml.MappingNode}
			add(entry, "kind", text(string(o.Kind), 0))
			add(entry, "name", text(o.Name, 0))
			if o.Shared {
				add(entry, "shared", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
			}
			if o.Exec {
				add(entry, "exec", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true", LineComment: "# its server.cfg is executed before the config"})
			}
			list.Content = append(list.Content, entry)
		}
		key := text("overlays", 0)
		key.HeadComment = "# The uppermost first: it hides the same files of those below."
		root.Content = append(root.Content, key, list)
	}
	if len(f.Arguments) > 0 {
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for _, a := range f.Arguments {
			list.Content = append(list.Content, text(a, 0))
		}
		add(root, "arguments", list)
	}
	if f.Config != "" {
		add(root, "config", text(f.Config, config))
	}
	return root
}

func text(value string, style yaml.Style) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Style: style}
}

// secret finds names of variables whose values are for nobody else. It is meant to
// find too much rather than too little.
var secret = regexp.MustCompile(`(?i)[a-z0-9_]*(?:password|passwd|secret|token|api_?key|setsteamaccount)[a-z0-9_]*`)

func withoutSecretArguments(argv []string) (kept, left []string) {
	for _, row := range argumentRows(argv) {
		if name := secret.FindString(row.Text()); name != "" {
			left = append(left, "the argument "+strconv.Quote(clip(name, 60)))
			continue
		}
		if row.Option != "" {
			kept = append(kept, row.Option)
		}
		kept = append(kept, row.Values...)
	}
	return kept, left
}

// withoutSecretLines puts a comment in the place of each line, so that the numbers
// of the others stay. A comment may hold an old password.
func withoutSecretLines(config string) (kept string, left []string) {
	lines := strings.Split(config, "\n")
	for i, line := range lines {
		name := strings.ToLower(clip(secret.FindString(line), 60))
		if name == "" {
			continue
		}
		lines[i] = "// Left out of the export: " + name
		left = append(left, fmt.Sprintf("line %d of the config, which names %q", i+1, name))
	}
	return strings.Join(lines, "\n"), left
}

/* Reading. */

// fileFault is what is wrong with a file; Line is 0 where it belongs to none.
func fileFault(line int, format string, args ...any) error {
	sentence := fmt.Sprintf(format, args...)
	if line > 0 {
		sentence = fmt.Sprintf("Line %d: %s", line, sentence)
	}
	return models.Invalid("text", sentence)
}

// decodeBlueprint reads a file. It walks the nodes itself: fields that nobody knows
// are refused with their line, and aliases before anything is expanded. Errors are
// InvalidErrors of "text".
func decodeBlueprint(data []byte) (blueprintFile, error) {
	var f blueprintFile
	switch {
	case len(data) > maxBlueprintFile:
		return f, fileFault(0, "The text is larger than %d MB. A blueprint is far smaller: look whether this is one.", maxBlueprintFile>>20)
	case !utf8.Valid(data):
		return f, fileFault(0, "This is no text in UTF-8. Look whether it is a blueprint, and save it as plain text.")
	}
	root, err := blueprintRoot(data)
	if err != nil {
		return f, err
	}
	err = eachField(root, []string{"name", "overlays", "arguments", "config"}, func(name string, v *yaml.Node) (err error) {
		switch name {
		case "name":
			f.Name, err = plainText(name, v)
		case "overlays":
			f.Overlays, err = overlayNames(v)
		case "arguments":
			f.Arguments, err = textList(v)
		case "config":
			f.Config, err = plainText(name, v)
		}
		return err
	})
	if err == nil && strings.TrimSpace(f.Name) == "" {
		err = fileFault(0, "A blueprint needs a name: write “name: Competitive”.")
	}
	return f, err
}

func blueprintRoot(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, fileFault(0, "There is nothing in it. Paste a blueprint that was exported, or choose its file.")
	} else if err != nil {
		return nil, yamlFault(err)
	}
	if err := dec.Decode(new(yaml.Node)); err != nil && !errors.Is(err, io.EOF) {
		return nil, yamlFault(err)
	} else if err == nil {
		return nil, fileFault(0, "There is more than one document in it. Import one blueprint at a time.")
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fileFault(1, "this is no blueprint: it begins with fields such as “name: Competitive”.")
	}
	return doc.Content[0], refuseAlias(&doc)
}

func refuseAlias(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return fileFault(n.Line, "anchors and aliases (& and *) are not taken. Write the value out.")
	}
	for _, c := range n.Content {
		if err := refuseAlias(c); err != nil {
			return err
		}
	}
	return nil
}

var yamlLine = regexp.MustCompile(`^yaml: line ([0-9]+): (.*)$`)

func yamlFault(err error) error {
	text := strings.ToValidUTF8(clip(err.Error(), 300), "?")
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ := strconv.Atoi(m[1]) // digits by the pattern
		return fileFault(line, "this is not valid YAML: %s.", m[2])
	}
	return fileFault(0, "This is not valid YAML: %s.", strings.TrimPrefix(text, "yaml: "))
}

// eachField calls read for every field of a group, each of which may come once.
func eachField(n *yaml.Node, known []string, read func(name string, v *yaml.Node) error) error {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || !slices.Contains(known, key.Value) {
			return fileFault(key.Line, "there is no field “%s”. The fields here are %s.", clip(cleanText(key.Value), 60), strings.Join(known, ", "))
		}
		if first, twice := seen[key.Value]; twice {
			return fileFault(key.Line, "%s is given twice, first on line %d. Keep one of them.", key.Value, first)
		}
		seen[key.Value] = key.Line
		if err := read(key.Value, value); err != nil {
			return err
		}
	}
	return nil
}

// plainText takes what YAML reads as text, and numbers as they are written.
func plainText(name string, v *yaml.Node) (string, error) {
	if v.Kind == yaml.ScalarNode && v.Style&yaml.TaggedStyle == 0 {
		switch v.Tag {
		case "!!str", "!!int", "!!float":
			return v.Value, nil
		case "!!null":
			return "", nil
		}
	}
	return "", fileFault(v.Line, "%s must be text. Put it into \"quotes\".", name)
}

func textList(v *yaml.Node) ([]string, error) {
	entries, err := list("arguments", v, models.MaxArguments)
	var texts []string
	for _, e := range entries {
		text, err := plainText("an argument", e)
		if err != nil {
			return nil, err
		}
		if text == "" {
			return nil, fileFault(e.Line, "an argument is empty. Leave it out.")
		}
		if strings.Contains(text, `"`) {
			return nil, fileFault(e.Line, "an argument holds a quotation mark, which the game cannot be given. Take it out.")
		}
		texts = append(texts, text)
	}
	return texts, err
}

func list(name string, v *yaml.Node, most int) ([]*yaml.Node, error) {
	switch {
	case v.Kind == yaml.ScalarNode && v.Tag == "!!null":
		return nil, nil
	case v.Kind != yaml.SequenceNode:
		return nil, fileFault(v.Line, "%s must be a list. Put each on a line of its own, behind a “- ”.", name)
	case len(v.Content) > most:
		return nil, fileFault(v.Line, "there are %d %s, and at most %d can be used.", len(v.Content), name, most)
	}
	return v.Content, nil
}

func overlayNames(v *yaml.Node) ([]overlayName, error) {
	entries, err := list("overlays", v, models.MaxStackedOverlays)
	var names []overlayName
	for _, e := range entries {
		if e.Kind != yaml.MappingNode {
			return nil, fileFault(e.Line, "an overlay is a kind and a name: write “- kind: files” and below it “name: …”.")
		}
		var o overlayName
		err := eachField(e, []string{"kind", "name", "shared", "exec"}, func(name string, v *yaml.Node) (err error) {
			var kind string
			switch name {
			case "kind":
				kind, err = plainText(name, v)
				o.Kind = models.OverlayKind(kind)
			case "name":
				o.Name, err = plainText(name, v)
			case "shared":
				o.Shared, err = yesNo(name, v)
			case "exec":
				o.Exec, err = yesNo(name, v)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		kinds := []models.OverlayKind{models.OverlayWorkshop, models.OverlayScript, models.OverlayFiles, models.OverlayManaged}
		if !slices.Contains(kinds, o.Kind) {
			return nil, fileFault(e.Line, "“%s” is no kind of overlay. It is workshop, script, files or managed.", clip(cleanText(string(o.Kind)), 60))
		}
		if o.Name = strings.TrimSpace(o.Name); o.Name == "" || len(o.Name) > 4*models.MaxNameLength {
			return nil, fileFault(e.Line, "the overlay's name is missing or too long.")
		}
		names = append(names, o)
	}
	return names, err
}

func yesNo(name string, v *yaml.Node) (bool, error) {
	var on bool
	if v.Kind != yaml.ScalarNode || v.Tag != "!!bool" || v.Decode(&on) != nil {
		return false, fileFault(v.Line, "%s must be true or false.", name)
	}
	return on, nil
}
