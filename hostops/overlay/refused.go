package overlay

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"left4me/hostops/ctl"
)

// Refused files lie aside in overlays/ID/refused, each under the SHA-256 of its
// content with what was said of it in SHA256.json, until somebody lets them in or
// they have been there for too long.

var sumPattern = regexp.MustCompile(`\A[0-9a-f]{64}\z`)

func (s *Store) refusedDir(id int64) string { return filepath.Join(s.folder(id), dirRefused) }

// SetAside takes a refused file out of the stage and keeps it. f names its path
// and the SHA-256 of its content.
func (st *Stage) SetAside(f ctl.Finding) error {
	if !sumPattern.MatchString(f.SHA256) {
		return fmt.Errorf("set %s aside: %q is no SHA-256", shown(f.Path), clip(f.SHA256))
	}
	if info, err := st.root.Lstat(f.Path); err != nil || !info.Mode().IsRegular() {
		return st.root.Remove(f.Path) // a link to something bad: there is nothing to keep
	}
	dir := st.store.refusedDir(st.id)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	note, err := json.Marshal(f)
	if err != nil {
		return err
	}
	// Described first: a file without its description could never come back.
	if err := os.WriteFile(filepath.Join(dir, f.SHA256+".json"), append(note, '\n'), 0o644); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(st.Dir, filepath.FromSlash(f.Path)), filepath.Join(dir, f.SHA256)); err != nil {
		return fmt.Errorf("set %s aside: %w", shown(f.Path), err)
	}
	return nil
}

// Readmit puts files back that were set aside and are let in by now, each at its
// path unless something is there. It returns their paths. They leave the refused
// ones when the stage is published: what somebody deletes later stays deleted.
func (st *Stage) Readmit(sums []string) (paths []string, err error) {
	dir, err := os.OpenRoot(st.store.refusedDir(st.id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close() // read only; nothing can be lost
	for _, sum := range sums {
		if !sumPattern.MatchString(sum) {
			continue
		}
		path, err := st.readmit(dir, sum)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return paths, fmt.Errorf("put the refused file %s back: %w", sum, err)
		}
		if err == nil && path != "" {
			paths, st.back = append(paths, path), append(st.back, sum)
		}
	}
	return paths, nil
}

func (st *Stage) readmit(dir *os.Root, sum string) (path string, err error) {
	data, err := dir.ReadFile(sum + ".json")
	if err != nil {
		return "", err
	}
	var f ctl.Finding
	if err := json.Unmarshal(data, &f); err != nil {
		return "", err
	}
	if err := CheckPath(f.Path); err != nil {
		return "", err
	}
	if _, err := st.root.Lstat(f.Path); err == nil {
		return "", nil // what is there now counts more
	}
	file, err := openRegular(filepath.Join(st.store.refusedDir(st.id), sum))
	if err != nil {
		return "", err
	}
	defer file.Close() // read only; nothing can be lost
	return f.Path, st.Link(file, f.Path, sum)
}

// forgetReadmitted drops what is in the version by now.
func (st *Stage) forgetReadmitted() {
	for _, sum := range st.back {
		// A leftover is only kept for longer than it need be.
		_ = os.Remove(filepath.Join(st.store.refusedDir(st.id), sum))
		_ = os.Remove(filepath.Join(st.store.refusedDir(st.id), sum+".json"))
	}
}

// DropRefused removes the refused files of an overlay that were set aside before a
// time, and returns how many.
func (s *Store) DropRefused(id int64, before time.Time) (n int, err error) {
	entries, err := os.ReadDir(s.refusedDir(id))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("list the refused files of overlay %d: %w", id, err)
	}
	for _, e := range entries {
		sum, described := strings.CutSuffix(e.Name(), ".json")
		info, err := e.Info()
		if !described || !sumPattern.MatchString(sum) || err != nil || !info.ModTime().Before(before) {
			continue
		}
		for _, name := range []string{sum, e.Name()} {
			if err := os.Remove(filepath.Join(s.refusedDir(id), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return n, err
			}
		}
		n++
	}
	return n, nil
}
