package overlay

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// syncEach is how many files and folders are made durable one by one. With more
// of them, one flush of the whole file system costs less.
const syncEach = 500

// Publish makes the stage the overlay's next version and fills in what is known
// of it then. tree is what Check returned, and nothing was changed since. A stage
// that equals the newest version is thrown away: the answer has its number and
// Same. Ended at any step, by a signal or by the power, it leaves either no new
// version or a whole one.
func (st *Stage) Publish(tree *Tree, v ctl.Version) (ctl.Version, error) {
	s := st.store
	v.Overlay, v.Files, v.Size = st.id, tree.Count, tree.Size
	v.ServerCfg = slices.ContainsFunc(tree.Files, func(f ctl.ManifestFile) bool { return f.Path == serverCfg && f.SHA256 != "" })
	numbers, err := s.numbers(st.id)
	if err != nil {
		return v, err
	}
	var before *ctl.Manifest
	if n := len(numbers); n > 0 {
		if before, err = s.manifest(Ref{st.id, numbers[n-1]}); err != nil {
			before = nil // one that was made by hand, or is damaged, is no reason not to go on
		}
		v.Previous, v.Number = numbers[n-1], numbers[n-1]
	}
	if before != nil && slices.Equal(before.Tree, tree.Files) && s.looksWhole(before) {
		v.Same, v.At, v.Previous = true, before.At, before.Previous
		v.Added, v.Changed, v.Removed = before.Added, before.Changed, before.Removed
		st.forgetReadmitted()
		return v, st.Discard()
	}
	var old []ctl.ManifestFile
	if before != nil {
		old = before.Tree
	}
	d := Compare(old, tree.Files)
	v.Added, v.Changed, v.Removed = len(d.Added), len(d.Changed), len(d.Removed)
	v.At = time.Now().UTC()
	if v.Number++; v.Number > MaxNumber {
		return v, fmt.Errorf("overlay %d has no version number left", st.id)
	}
	if err := st.publish(tree, v); err != nil {
		return v, err
	}
	st.forgetReadmitted()
	return v, nil
}

// serverCfg is what a game reads when its map is loaded.
const serverCfg = "left4dead2/cfg/server.cfg"

// publish makes everything durable before it has its name. Between the two renames
// the version is whole already: Recover finishes what is left to do.
func (st *Stage) publish(tree *Tree, v ctl.Version) error {
	s, ref := st.store, Ref{st.id, v.Number}
	st.step("checked")
	if err := st.sync(tree); err != nil {
		return fmt.Errorf("write overlay version %s to the disk: %w", ref, err)
	}
	st.step("synced")
	if err := writeManifest(s.pendingPath(ref), ctl.Manifest{Version: v, Tree: tree.Files}); err != nil {
		return fmt.Errorf("write the manifest of overlay version %s: %w", ref, err)
	}
	st.step("described")
	if err := unix.Renameat2(unix.AT_FDCWD, st.Dir, unix.AT_FDCWD, s.tree(ref), unix.RENAME_NOREPLACE); err != nil {
		return fmt.Errorf("give overlay version %s its name: %w", ref, err)
	}
	st.Dir = "" // it is the version now
	_ = st.root.Close()
	st.step("named")
	if err := syncDir(s.folder(st.id)); err != nil {
		return err
	}
	if err := os.Rename(s.pendingPath(ref), s.manifestPath(ref)); err != nil {
		return fmt.Errorf("give the manifest of overlay version %s its name: %w", ref, err)
	}
	st.step("published")
	return syncDir(s.folder(st.id))
}

// sync makes the stage's content durable. What is linked is the store's, and is so
// already.
func (st *Stage) sync(tree *Tree) error {
	if len(tree.own)+len(tree.dirs) > syncEach {
		dir, err := st.root.Open(".")
		if err != nil {
			return err
		}
		defer dir.Close() // read only; nothing can be lost
		return unix.Syncfs(int(dir.Fd()))
	}
	for _, path := range slices.Concat(tree.own, tree.dirs) {
		f, err := st.root.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		err = f.Sync()
		_ = f.Close() // it is durable, or that failed
		if err != nil {
			return err
		}
	}
	return nil
}

func writeManifest(path string, m ctl.Manifest) (err error) {
	// The pending one of a run that was stopped before the version had its name.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			_ = os.Remove(path) // the first error matters more
		}
	}()
	enc := json.NewEncoder(f)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return err
	}
	return f.Sync()
}

// looksWhole reports whether every file of a version is there with its size, so
// that a damaged one is never taken for what a build came to.
func (s *Store) looksWhole(m *ctl.Manifest) bool {
	root, err := s.openTree(Ref{m.Overlay, m.Number})
	if err != nil {
		return false
	}
	defer root.Close() // read only; nothing can be lost
	for _, f := range m.Tree {
		info, err := root.Lstat(f.Path)
		switch {
		case err != nil:
			return false
		case f.Dir:
			if !info.IsDir() {
				return false
			}
		case f.Link != "":
			if target, err := root.Readlink(f.Path); err != nil || target != f.Link {
				return false
			}
		case !info.Mode().IsRegular(), info.Size() != f.Size, (info.Mode()&0o111 != 0) != f.Exec:
			return false
		}
	}
	return true
}

// Recover finishes or undoes what was under way in an overlay's folder when its
// process ended. The caller holds the overlay's lock.
func (s *Store) Recover(id int64) error {
	entries, err := os.ReadDir(s.folder(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the folder of overlay %d: %w", id, err)
	}
	for _, e := range entries {
		path := filepath.Join(s.folder(id), e.Name())
		if strings.HasPrefix(e.Name(), stagePrefix) || strings.HasPrefix(e.Name(), oldPrefix) {
			if err := removeTree(path); err != nil {
				return fmt.Errorf("remove what is left of an interrupted build: %w", err)
			}
			continue
		}
		m := entryOf.FindStringSubmatch(e.Name())
		if m == nil || m[1] == "" || m[3] == "" {
			continue
		}
		n, _ := strconv.ParseInt(m[2], 10, 64) // digits by the pattern
		ref := Ref{id, n}
		if s.there(ref) {
			err = os.Rename(path, s.manifestPath(ref))
		} else {
			err = os.Remove(path)
		}
		if err != nil {
			return fmt.Errorf("finish an interrupted build: %w", err)
		}
	}
	return nil
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() // read only; nothing can be lost
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
