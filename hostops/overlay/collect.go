package overlay

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"left4me/hostops/ctl"
)

// CollectOptions say which versions of an overlay may go.
type CollectOptions struct {
	Keep  func(Ref) bool // somebody names it
	Count int            // so many of the newest stay in any case; at least one
	Age   time.Duration  // and whatever is younger
	Now   time.Time
}

// Collect takes the names of versions that may go: from then on nobody can use
// them. Their files are still there, which Recover removes, so that whoever holds
// a lock meanwhile need not hold it for long. Their manifests stay. A version
// without a manifest was not made by us and is left alone.
func (s *Store) Collect(id int64, o CollectOptions) ([]ctl.Version, error) {
	all, err := s.numbers(id)
	if err != nil {
		return nil, err
	}
	var gone []ctl.Version
	present := 0
	for _, n := range slices.Backward(all) {
		ref := Ref{id, n}
		if !s.there(ref) {
			continue
		}
		if present++; present <= max(o.Count, 1) || o.Keep(ref) {
			continue
		}
		v, err := s.version(ref)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return gone, err
		}
		if o.Now.Sub(v.At) < o.Age {
			continue
		}
		if err := os.Rename(s.tree(ref), filepath.Join(s.folder(id), fmt.Sprintf("%sv%d", oldPrefix, n))); err != nil {
			return gone, fmt.Errorf("collect overlay version %s: %w", ref, err)
		}
		v.Collected = true
		gone = append(gone, v)
	}
	if len(gone) == 0 {
		return nil, nil
	}
	return gone, syncDir(s.folder(id))
}

// Present is how many versions of an overlay are there.
func (s *Store) Present(id int64) (int, error) {
	all, err := s.numbers(id)
	n := 0
	for _, number := range all {
		if s.there(Ref{id, number}) {
			n++
		}
	}
	return n, err
}

// Delete removes everything of an overlay, its numbers too. None is success.
func (s *Store) Delete(id int64) error {
	if err := (Ref{id, 1}).valid(); err != nil {
		return nil
	}
	if _, err := os.Lstat(s.folder(id)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	// Aside first: what is left after a crash is no overlay any more.
	aside := s.path(dirOverlays, fmt.Sprintf("%s%d", oldPrefix, id))
	if err := removeTree(aside); err != nil {
		return fmt.Errorf("delete overlay %d: %w", id, err)
	}
	if err := os.Rename(s.folder(id), aside); err != nil {
		return fmt.Errorf("delete overlay %d: %w", id, err)
	}
	if err := syncDir(s.path(dirOverlays)); err != nil {
		return err
	}
	if err := removeTree(aside); err != nil {
		return fmt.Errorf("delete overlay %d: %w", id, err)
	}
	return nil
}

// Deleted removes what a Delete that was interrupted left.
func (s *Store) Deleted() error {
	entries, err := os.ReadDir(s.path(dirOverlays))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the overlays: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), oldPrefix) {
			continue
		}
		if err := removeTree(s.path(dirOverlays, e.Name())); err != nil {
			return fmt.Errorf("remove what is left of a deleted overlay: %w", err)
		}
	}
	return nil
}
