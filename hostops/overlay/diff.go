package overlay

import (
	"strings"

	"left4me/hostops/ctl"
)

// Diff is what a version has otherwise than another: files and links by path, in
// order.
type Diff struct {
	Added, Changed, Removed []string
}

// Compare says what became of before in after. Both are ordered by path.
func Compare(before, after []ctl.ManifestFile) Diff {
	var d Diff
	for len(before) > 0 || len(after) > 0 {
		switch order := next(before, after); {
		case order < 0:
			d.Removed = note(d.Removed, before[0])
			before = before[1:]
		case order > 0:
			d.Added = note(d.Added, after[0])
			after = after[1:]
		default:
			if before[0] != after[0] {
				d.Changed = append(d.Changed, after[0].Path)
			}
			before, after = before[1:], after[1:]
		}
	}
	return d
}

func next(before, after []ctl.ManifestFile) int {
	switch {
	case len(before) == 0:
		return 1
	case len(after) == 0:
		return -1
	}
	return strings.Compare(before[0].Path, after[0].Path)
}

func note(list []string, f ctl.ManifestFile) []string {
	if f.Dir {
		return list
	}
	return append(list, f.Path)
}
