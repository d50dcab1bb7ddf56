package overlay

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// Stage is a version in the making. Builders put files below Dir, with the
// methods here or otherwise; nobody else sees them before Publish.
type Stage struct {
	Dir string // absolute; empty at first

	store  *Store
	id     int64
	root   *os.Root
	linked map[inode]string // files that Link put there, and the SHA-256 of their content
	back   []string         // refused files that Readmit put there, by their SHA-256
	step   func(string)     // told of each step of Publish; a test ends the process there
}

// inode names a file whatever its path.
type inode struct{ dev, ino uint64 }

func inodeOf(st *unix.Stat_t) inode { return inode{uint64(st.Dev), st.Ino} }

const (
	stagePrefix = ".new-"
	oldPrefix   = ".old-"
)

// Begin makes an empty stage and removes what an interrupted build of the same
// overlay left. The caller holds the overlay's lock until Publish or Discard.
func (s *Store) Begin(id int64) (*Stage, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	dir := s.folder(id)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of overlay %d: %w", id, err)
	}
	if err := s.Recover(id); err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp(dir, stagePrefix)
	if err != nil {
		return nil, fmt.Errorf("make a folder for the next version of overlay %d: %w", id, err)
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(temp)
	if err != nil {
		return nil, err
	}
	return &Stage{Dir: temp, store: s, id: id, root: root, linked: map[inode]string{}, step: func(string) {}}, nil
}

// Root is the stage as something that no path leaves. It is closed with it.
func (st *Stage) Root() *os.Root { return st.root }

// Discard removes the stage, and the overlay's folder if nothing else is in it.
// After Publish it does nothing.
func (st *Stage) Discard() error {
	_ = st.root.Close() // a folder's descriptor; nothing can be lost
	if st.Dir == "" {
		return nil
	}
	dir := st.Dir
	st.Dir = ""
	if err := removeTree(dir); err != nil {
		return fmt.Errorf("remove what was built: %w", err)
	}
	_ = os.Remove(st.store.folder(st.id)) // fails when there are versions, as it should
	return nil
}

// Link puts an open regular file of ours, which nobody changes any more, into the
// version under the path to: as a hard link, or as a copy where the file system
// makes none. sum is the SHA-256 of its content in hex; it is believed. Only files
// that came in this way may have other names elsewhere. A path that is taken is
// fs.ErrExist.
func (st *Stage) Link(from *os.File, to, sum string) error {
	var info unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &info); err != nil {
		return fmt.Errorf("look at %s: %w", from.Name(), err)
	}
	if info.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("link %s: it is no regular file", from.Name())
	}
	parent := path.Dir(to)
	if err := st.root.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	dir, err := st.root.Open(parent)
	if err != nil {
		return err
	}
	defer dir.Close() // read only; nothing can be lost
	// By its descriptor: whatever has the name by now, this file is linked.
	err = unix.Linkat(unix.AT_FDCWD, procPath(from), int(dir.Fd()), path.Base(to), unix.AT_SYMLINK_FOLLOW)
	switch {
	case err == nil:
		st.linked[inodeOf(&info)] = sum
		return nil
	case errors.Is(err, unix.EXDEV), errors.Is(err, unix.EMLINK), errors.Is(err, unix.EPERM):
		return st.copy(from, to, os.FileMode(info.Mode&0o777))
	}
	return &fs.PathError{Op: "link", Path: to, Err: err}
}

// procPath is a path to an open file that no rename changes.
func procPath(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

func (st *Stage) copy(from *os.File, to string, mode os.FileMode) (err error) {
	out, err := st.root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode|0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := out.Close(); err == nil {
			err = closeErr
		}
	}()
	_, err = io.Copy(out, io.NewSectionReader(from, 0, 1<<62))
	return err
}

// Base fills an empty stage with what a version holds. Errors: ctl.ErrNoOverlay
// when there is no such version any more.
func (st *Stage) Base(number int64) error {
	ref := Ref{st.id, number}
	m, err := st.store.manifest(ref)
	if errors.Is(err, fs.ErrNotExist) {
		return st.store.Missing(ref)
	}
	if err != nil {
		return err
	}
	from, err := st.store.openTree(ref)
	if errors.Is(err, fs.ErrNotExist) {
		return st.store.Missing(ref)
	}
	if err != nil {
		return err
	}
	defer from.Close() // read only; nothing can be lost
	for _, e := range m.Tree {
		if err := st.take(from, e); err != nil {
			return fmt.Errorf("take over %s of version %s: %w", e.Path, ref, err)
		}
	}
	return nil
}

func (st *Stage) take(from *os.Root, e ctl.ManifestFile) error {
	switch {
	case e.Dir:
		return st.root.MkdirAll(e.Path, 0o755)
	case e.Link != "":
		if err := st.root.MkdirAll(path.Dir(e.Path), 0o755); err != nil {
			return err
		}
		return st.root.Symlink(e.Link, e.Path)
	}
	f, err := from.OpenFile(e.Path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close() // read only; nothing can be lost
	return st.Link(f, e.Path, e.SHA256)
}

// removeTree removes a folder of ours whatever modes a builder left in it.
func removeTree(dir string) error {
	if err := os.RemoveAll(dir); err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	root, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer root.Close() // read only; nothing can be lost
	openUp(root, filepath.Base(dir), 0)
	return root.RemoveAll(filepath.Base(dir))
}

// openUp makes folders readable and writable for us, so that they can be removed.
// What it cannot change stays, and the removal says so.
func openUp(root *os.Root, name string, depth int) {
	if depth > 4*MaxDepth {
		return
	}
	info, err := root.Lstat(name)
	if err != nil || !info.IsDir() {
		return
	}
	_ = root.Chmod(name, 0o700) // see above
	dir, err := root.Open(name)
	if err != nil {
		return
	}
	entries, _ := dir.ReadDir(-1) // see above
	_ = dir.Close()               // read only; nothing can be lost
	for _, e := range entries {
		if e.IsDir() && !strings.Contains(e.Name(), "/") {
			openUp(root, path.Join(name, e.Name()), depth+1)
		}
	}
}
