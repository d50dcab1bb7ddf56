package hostops

import (
	"bytes"
	"fmt"
	"strconv"

	"gopkg.in/yaml.v3"

	"left4me/hostops/ctl"
)

// The fields of an overlay's spec and of its parts, in the order of the
// documentation.
var (
	overlayFields = []string{"kind", "by", "why", "items", "fetch", "script", "limits", "recipe", "options", "base", "from", "changes", "admit"}
	limitFields   = []string{"seconds", "memory_mb", "disk_mb"}
	changeFields  = []string{"op", "path", "target", "upload", "name"}
)

// decodeOverlaySpec turns YAML (and so JSON) into an overlay's spec, for the
// reasons and by the rules of decodeSpec.
func decodeOverlaySpec(data []byte) (s ctl.OverlaySpec, lines overlayLines, err error) {
	lines.field, lines.options = map[string]int{}, map[string]int{}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return s, lines, objection(1+bytes.Count(data[:i], []byte("\n")), "a NUL byte: a spec is text")
	}
	root, err := specRoot(escapeJSON(data), "kind", "kind: files")
	if err != nil {
		return s, lines, err
	}
	err = eachField(root, overlayFields, lines.field, func(name string, v *yaml.Node) error {
		return setOverlayField(&s, &lines, name, v)
	})
	return s, lines, err
}

// eachField calls set for every field of a group; one that is not known, or is
// given twice, is an objection.
func eachField(group *yaml.Node, known []string, lines map[string]int, set func(name string, v *yaml.Node) error) error {
	for i := 0; i+1 < len(group.Content); i += 2 {
		key, value := group.Content[i], group.Content[i+1]
		if err := checkKey(key, known, lines); err != nil {
			return err
		}
		lines[key.Value] = key.Line
		if err := set(key.Value, value); err != nil {
			return err
		}
	}
	return nil
}

func setOverlayField(s *ctl.OverlaySpec, lines *overlayLines, name string, v *yaml.Node) (err error) {
	switch name {
	case "kind":
		var kind string
		kind, err = textValue(name, v)
		s.Kind = ctl.OverlayKind(kind)
	case "by":
		s.By, err = textValue(name, v)
	case "why":
		s.Why, err = textValue(name, v)
	case "items":
		s.Items, lines.items, err = itemList(v)
	case "fetch":
		s.Fetch, err = boolValue(name, v)
	case "script":
		s.Script, err = textValue(name, v)
	case "limits":
		err = setLimits(&s.Limits, v)
	case "recipe":
		s.Recipe, err = textValue(name, v)
	case "options":
		s.Options, err = optionValues(v, lines.options)
	case "base":
		s.Base, err = numberValue(name, v)
	case "from":
		s.From, err = textValue(name, v)
	case "changes":
		s.Changes, lines.changes, err = changeList(v)
	case "admit":
		s.Admit, lines.admit, err = listValue(name, v)
	}
	return err
}

// itemList takes numbers as they are: nobody writes quotes around them.
func itemList(v *yaml.Node) ([]string, []int, error) {
	if v.Kind == yaml.SequenceNode {
		for _, item := range v.Content {
			if item.Kind == yaml.ScalarNode && item.Tag == "!!int" {
				item.Tag = "!!str"
			}
		}
	}
	return listValue("items", v)
}

func boolValue(name string, v *yaml.Node) (bool, error) {
	if v.Kind == yaml.ScalarNode && v.Tag == "!!bool" {
		return strconv.ParseBool(v.Value)
	}
	return false, objection(v.Line, "%s must be true or false, not %s", name, kindOf(v))
}

func numberValue(name string, v *yaml.Node) (int64, error) {
	n, err := intValue(name, v)
	return int64(n), err
}

func setLimits(l *ctl.BuildLimits, v *yaml.Node) error {
	if v.Kind != yaml.MappingNode {
		return objection(v.Line, "limits must be a group of fields such as {seconds: 600}, not %s", kindOf(v))
	}
	return eachField(v, limitFields, map[string]int{}, func(name string, v *yaml.Node) (err error) {
		switch name {
		case "seconds":
			l.Seconds, err = numberValue(name, v)
		case "memory_mb":
			l.MemoryMB, err = numberValue(name, v)
		case "disk_mb":
			l.DiskMB, err = numberValue(name, v)
		}
		return err
	})
}

func optionValues(v *yaml.Node, lines map[string]int) (map[string]string, error) {
	if v.Kind != yaml.MappingNode {
		return nil, objection(v.Line, "options must be a group of fields such as {branch: \"1.12\"}, not %s", kindOf(v))
	}
	options := map[string]string{}
	for i := 0; i+1 < len(v.Content); i += 2 {
		key, value := v.Content[i], v.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			return nil, objection(key.Line, "an option's name must be plain text")
		}
		if first, twice := lines[key.Value]; twice {
			return nil, objection(key.Line, "option %s is given twice: first on line %d", short(key.Value), first)
		}
		lines[key.Value] = key.Line
		text, err := textValue("option "+short(key.Value), value)
		if err != nil {
			return nil, err
		}
		options[key.Value] = text
	}
	return options, nil
}

func changeList(v *yaml.Node) (changes []ctl.FileChange, lines []int, err error) {
	if v.Kind == yaml.ScalarNode && v.Tag == "!!null" {
		return nil, nil, nil
	}
	if v.Kind != yaml.SequenceNode {
		return nil, nil, objection(v.Line, "changes must be a list, not %s", kindOf(v))
	}
	for i, node := range v.Content {
		if node.Kind != yaml.MappingNode {
			return nil, nil, objection(node.Line, "change %d must be a group of fields such as {op: delete, path: maps/old.bsp}, not %s", i+1, kindOf(node))
		}
		var c ctl.FileChange
		err := eachField(node, changeFields, map[string]int{}, func(name string, v *yaml.Node) error {
			text, err := textValue(fmt.Sprintf("%s of change %d", name, i+1), v)
			switch name {
			case "op":
				c.Op = ctl.FileOp(text)
			case "path":
				c.Path = text
			case "target":
				c.Target = text
			case "upload":
				c.Upload = text
			case "name":
				c.Name = text
			}
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		changes, lines = append(changes, c), append(lines, node.Line)
	}
	return changes, lines, nil
}
