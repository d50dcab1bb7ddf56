package advice

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Layers is what a game would see: the versions of overlays that Refs names, the
// uppermost first, and below them the installation. Whoever filled a version may be
// hostile: no link leads out of it.
type Layers struct {
	Root string // the state root
	Refs []string
}

// file is what a pattern matched: its name below its layer.
type file struct {
	layer int
	name  string
}

// match lists what matches a pattern in any layer, the uppermost of each name only,
// in order of names. A layer that is not there has nothing.
func (l Layers) match(pattern string) []file {
	taken := map[string]bool{}
	var all []file
	for i := range len(l.Refs) + 1 {
		root, err := l.open(i)
		if err != nil {
			continue
		}
		names, err := fs.Glob(root.FS(), pattern)
		if err != nil {
			names = nil // cannot happen: the patterns are ours
		}
		for _, name := range names {
			if !taken[name] && !whiteout(root, name) {
				all = append(all, file{i, name})
			}
			taken[name] = true
		}
		_ = root.Close() // read only; nothing can be lost
	}
	slices.SortFunc(all, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return all
}

func (l Layers) have(pattern string) bool { return len(l.match(pattern)) > 0 }

// head is the beginning of a file, nothing of what is no regular file.
func (l Layers) head(f file, n int64) []byte {
	root, err := l.open(f.layer)
	if err != nil {
		return nil
	}
	defer root.Close() // read only; nothing can be lost
	// Not to wait for a FIFO, and no terminal of ours for a device.
	in, err := root.OpenFile(f.name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil
	}
	defer in.Close() // read only; nothing can be lost
	if info, err := in.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(in, n))
	if err != nil {
		return nil
	}
	return data
}

// open opens a layer; the one behind the last overlay is the installation.
func (l Layers) open(i int) (*os.Root, error) {
	if i == len(l.Refs) {
		return os.OpenRoot(filepath.Join(l.Root, "installation"))
	}
	overlays, err := os.OpenRoot(filepath.Join(l.Root, "overlays"))
	if err != nil {
		return nil, err
	}
	defer overlays.Close() // read only; nothing can be lost
	return overlays.OpenRoot(l.Refs[i])
}

// whiteout reports whether overlayfs hides what has this name below.
func whiteout(root *os.Root, name string) bool {
	info, err := root.Lstat(name)
	if err != nil || info.Mode()&fs.ModeCharDevice == 0 {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Rdev == 0
}
