package overlay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// Limits bound a version. A zero takes the package's own: MaxFiles, MaxPaths, and
// as many bytes as the disk has.
type Limits struct {
	Files int
	Paths int
	Bytes int64
}

// Tree is what a stage or version holds, looked at once.
type Tree struct {
	Files []ctl.ManifestFile // ordered by path
	Size  int64              // bytes of regular files
	Count int                // regular files and links

	dirs []string // every folder, the deepest first, "." last
	own  []string // regular files with no other name
}

// walker goes through a tree by descriptors: every entry is pinned, looked at,
// corrected and read through the same one, so that no exchange of names makes it
// touch anything else.
type walker struct {
	limits Limits
	linked map[inode]string              // sums of files that may have other names; nil for any
	known  map[string]string             // sums by path that need not be computed again
	fix    bool                          // correct modes and groups; else they are objections
	bad    func(path, text string) error // told what is wrong with an entry, which is left out if it returns nil
	dev    uint64
	uid    uint32
	gid    uint32
	tree   Tree
	files  []*entry
	count  int   // entries so far
	paths  int   // bytes of their paths, and of what links lead to
	size   int64 // bytes so far
	hasher *hasher
}

type entry struct {
	ctl.ManifestFile
	linked bool
}

func (w *walker) run(ctx context.Context, dir string, hashed func(int64)) (*Tree, error) {
	if w.limits.Files == 0 {
		w.limits.Files = MaxFiles
	}
	if w.limits.Paths == 0 {
		w.limits.Paths = MaxPaths
	}
	if w.limits.Bytes == 0 {
		w.limits.Bytes = 1 << 62
	}
	w.uid, w.gid = uint32(os.Geteuid()), uint32(os.Getegid())
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	w.dev = uint64(st.Dev)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.hasher = newHasher(ctx, cancel, hashed)
	_, err = w.folder(ctx, fd, "", &st, 0)
	w.hasher.wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause // a failure of a hasher explains more than that it stopped us
	}
	if err != nil {
		return nil, err
	}
	return w.result(), nil
}

func (w *walker) result() *Tree {
	t := &w.tree
	slices.SortFunc(w.files, func(a, b *entry) int { return strings.Compare(a.Path, b.Path) })
	for _, e := range w.files {
		t.Files = append(t.Files, e.ManifestFile)
		if e.Dir {
			continue
		}
		t.Count++
		t.Size += e.Size
		if e.Link == "" && !e.linked {
			t.own = append(t.own, e.Path)
		}
	}
	return t
}

// folder walks the folder that fd, an O_PATH descriptor, is. It reports whether
// anything of it was taken.
func (w *walker) folder(ctx context.Context, fd int, rel string, st *unix.Stat_t, depth int) (taken bool, err error) {
	ok, err := w.normal(fd, rel, st, 0o755)
	if !ok || err != nil {
		return false, err
	}
	dir, err := w.reopen(fd, rel, unix.O_DIRECTORY)
	if dir == nil {
		return false, err
	}
	defer dir.Close() // read only; nothing can be lost
	if ok, err := w.plain(dir, rel); !ok || err != nil {
		return false, err
	}
	if depth > MaxDepth {
		return false, w.bad(rel, fmt.Sprintf("lies deeper than %d folders", MaxDepth))
	}
	names, err := w.names(dir, rel)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		if err := context.Cause(ctx); err != nil {
			return false, err
		}
		below, err := w.entry(ctx, fd, rel, name, depth)
		if err != nil {
			return false, err
		}
		taken = taken || below
	}
	if !taken && rel != "" {
		w.files = append(w.files, &entry{ManifestFile: ctl.ManifestFile{Path: rel, Dir: true}})
	}
	if rel == "" {
		rel = "."
	}
	w.tree.dirs = append(w.tree.dirs, rel)
	return true, nil
}

// names reads a folder, never more of it than there may be.
func (w *walker) names(dir *os.File, rel string) ([]string, error) {
	var names []string
	for {
		some, err := dir.Readdirnames(1024)
		names = append(names, some...)
		if w.count+len(names) > w.limits.Files {
			return nil, fail(ctl.ErrContent, "there are more than %d files and folders: a version holds at most that many", w.limits.Files)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", shown(rel), err)
		}
	}
	w.count += len(names)
	slices.Sort(names)
	return names, nil
}

// spell counts what a list of the files costs beside their number.
func (w *walker) spell(text string) error {
	if w.paths += len(text); w.paths > w.limits.Paths {
		return fail(ctl.ErrContent, "the names of all files have more than %d KiB: take shorter ones, or divide the files among overlays", w.limits.Paths>>10)
	}
	return nil
}

func (w *walker) entry(ctx context.Context, parent int, rel, name string, depth int) (taken bool, err error) {
	path := name
	if rel != "" {
		path = rel + "/" + name
	}
	if text := nameFault(name); text != "" {
		return false, w.bad(path, text)
	}
	if len(path) > MaxPath {
		return false, w.bad(path, fmt.Sprintf("has a path of more than %d bytes", MaxPath))
	}
	if err := w.spell(path); err != nil {
		return false, err
	}
	fd, err := unix.Openat(parent, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", shown(path), err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, fmt.Errorf("look at %s: %w", shown(path), err)
	}
	if uint64(st.Dev) != w.dev {
		return false, w.bad(path, "lies on another file system")
	}
	if st.Uid != w.uid {
		return false, w.bad(path, fmt.Sprintf("belongs to user %d: a version has one owner", st.Uid))
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return w.folder(ctx, fd, path, &st, depth+1)
	case unix.S_IFREG:
		return w.file(ctx, fd, path, &st)
	case unix.S_IFLNK:
		return w.link(fd, path, &st, depth)
	case unix.S_IFCHR:
		if st.Rdev == 0 {
			return false, w.bad(path, "is a whiteout, which would hide files of the game")
		}
		return false, w.bad(path, "is a device")
	case unix.S_IFBLK:
		return false, w.bad(path, "is a device")
	case unix.S_IFIFO:
		return false, w.bad(path, "is a FIFO")
	}
	return false, w.bad(path, "is a socket")
}

func (w *walker) file(ctx context.Context, fd int, path string, st *unix.Stat_t) (taken bool, err error) {
	if st.Mode&(unix.S_ISUID|unix.S_ISGID|unix.S_ISVTX) != 0 {
		return false, w.bad(path, "is a program that runs as its owner (setuid or setgid)")
	}
	e := &entry{ManifestFile: ctl.ManifestFile{Path: path, Size: st.Size}}
	if w.linked != nil {
		e.SHA256, e.linked = w.linked[inodeOf(st)]
		if st.Nlink > 1 && !e.linked {
			// To change its mode would change a file elsewhere.
			return false, w.bad(path, "has another name somewhere else (a hard link)")
		}
	}
	mode := uint32(0o644)
	if st.Mode&0o111 != 0 {
		mode, e.Exec = 0o755, true
	}
	if ok, err := w.normal(fd, path, st, mode); !ok || err != nil {
		return false, err
	}
	if w.size += st.Size; w.size > w.limits.Bytes {
		return false, fail(ctl.ErrContent, "the files have more than %d MiB: a version holds at most that much", w.limits.Bytes>>20)
	}
	f, err := w.reopen(fd, path, unix.O_NONBLOCK)
	if f == nil {
		return false, err
	}
	if ok, err := w.plain(f, path); !ok || err != nil {
		_ = f.Close() // read only; nothing can be lost
		return false, err
	}
	w.files = append(w.files, e)
	if sum, ok := w.known[path]; ok && e.SHA256 == "" {
		e.SHA256 = sum
	}
	if e.SHA256 != "" {
		return true, f.Close()
	}
	return true, w.hasher.add(ctx, f, e)
}

func (w *walker) link(fd int, path string, st *unix.Stat_t, depth int) (taken bool, err error) {
	buf := make([]byte, MaxPath+1)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return false, fmt.Errorf("read the link %s: %w", shown(path), err)
	}
	target := string(buf[:n])
	if text := linkFault(target, depth); text != "" {
		return false, w.bad(path, text)
	}
	if err := w.spell(target); err != nil {
		return false, err
	}
	if ok, err := w.attributes(path, func(list []byte) (int, error) { return unix.Listxattr(fmt.Sprintf("/proc/self/fd/%d", fd), list) }); !ok || err != nil {
		return false, err
	}
	if ok, err := w.group(fd, path, st); !ok || err != nil {
		return false, err
	}
	w.files = append(w.files, &entry{ManifestFile: ctl.ManifestFile{Path: path, Link: target}})
	return true, nil
}

// normal makes mode and group of what fd is as they must be.
func (w *walker) normal(fd int, path string, st *unix.Stat_t, mode uint32) (ok bool, err error) {
	// First, because a change of the group may clear bits of the mode.
	if ok, err := w.group(fd, path, st); !ok || err != nil {
		return false, err
	}
	if st.Mode&0o7777 == mode {
		return true, nil
	}
	if !w.fix {
		return true, w.bad(path, fmt.Sprintf("has the mode %04o instead of %04o", st.Mode&0o7777, mode))
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink > 1 {
		return false, w.bad(path, fmt.Sprintf("is shared with the store and has the mode %04o there", st.Mode&0o7777))
	}
	if err := unix.Fchmodat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), mode, 0); err != nil {
		return false, fmt.Errorf("set the mode of %s: %w", shown(path), err)
	}
	return true, nil
}

func (w *walker) group(fd int, path string, st *unix.Stat_t) (ok bool, err error) {
	if st.Gid == w.gid {
		return true, nil
	}
	if !w.fix || st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Nlink > 1 {
		return !w.fix, w.bad(path, fmt.Sprintf("belongs to group %d instead of %d", st.Gid, w.gid))
	}
	if err := unix.Fchownat(fd, "", -1, int(w.gid), unix.AT_EMPTY_PATH); err != nil {
		return false, fmt.Errorf("set the group of %s: %w", shown(path), err)
	}
	return true, nil
}

// plain refuses the extended attributes that overlayfs takes orders from: with
// them a layer could hide or exchange what lies below it.
func (w *walker) plain(f *os.File, path string) (ok bool, err error) {
	return w.attributes(path, func(list []byte) (int, error) { return unix.Flistxattr(int(f.Fd()), list) })
}

func (w *walker) attributes(path string, read func([]byte) (int, error)) (ok bool, err error) {
	list := make([]byte, 4096)
	n, err := read(list)
	switch {
	case errors.Is(err, unix.ENOTSUP), err == nil && n == 0:
		return true, nil
	case errors.Is(err, unix.ERANGE):
		return false, w.bad(path, "has too many extended attributes")
	case err != nil:
		return false, fmt.Errorf("read the attributes of %s: %w", shown(path), err)
	}
	for name := range strings.SplitSeq(string(list[:n]), "\x00") {
		if strings.HasPrefix(name, "trusted.overlay.") || strings.HasPrefix(name, "user.overlay.") {
			return false, w.bad(path, "has an extended attribute that overlayfs takes orders from ("+name+")")
		}
	}
	return true, nil
}

// reopen opens what an O_PATH descriptor is for reading; nil where that is an
// objection.
func (w *walker) reopen(fd int, path string, flags int) (*os.File, error) {
	f, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY|flags, 0)
	if errors.Is(err, unix.EACCES) {
		return nil, w.bad(path, "cannot be read")
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", shown(path), err)
	}
	return os.NewFile(uintptr(f), path), nil
}
