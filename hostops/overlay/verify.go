package overlay

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"left4me/hostops/ctl"
)

// maxFaults bounds what Verify says of one version.
const maxFaults = 20

// Verify reads a whole version again and says, in clauses, what is not as its
// manifest says: content, modes, owners, missing and added files. A collected
// version has nothing that could be wrong.
func (s *Store) Verify(ctx context.Context, r Ref, read func(bytes int64)) (faults []string, err error) {
	m, err := s.manifest(r)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []string{"it has no manifest: it was not made by l4d2ctl overlay build"}, nil
	case err != nil:
		return []string{"its manifest is damaged"}, nil
	case !s.there(r):
		return nil, nil
	}
	more, said := 0, map[string]bool{}
	note := func(path, text string) {
		switch {
		case said[path]:
		case len(faults) == maxFaults:
			more++
		default:
			said[path] = true
			faults = append(faults, shown(path)+" "+text)
		}
	}
	w := &walker{bad: func(path, text string) error {
		note(path, text)
		return nil
	}}
	tree, err := w.run(ctx, s.tree(r), read)
	if errors.Is(err, ctl.ErrContent) {
		return append(faults, err.Error()), nil
	}
	if err != nil {
		return nil, err
	}
	d := Compare(m.Tree, tree.Files)
	for _, path := range d.Changed {
		note(path, "has other content")
	}
	for _, path := range d.Removed {
		note(path, "is missing")
	}
	for _, path := range d.Added {
		note(path, "was added")
	}
	if more > 0 {
		faults = append(faults, fmt.Sprintf("and %d more", more))
	}
	return faults, nil
}
