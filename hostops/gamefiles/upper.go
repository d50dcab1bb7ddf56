package gamefiles

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

const (
	pathOnly = unix.O_PATH | unix.O_NOFOLLOW
	readDir  = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_NONBLOCK
	// Not to wait for a pipe, and no terminal of ours for a device.
	readFile = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY
)

// upper is runtime/NAME/upper of one instance, held open.
type upper struct{ dir *os.File }

func (u *upper) close() { _ = u.dir.Close() } // read only; nothing can be lost

// openUpper opens what the game of an instance wrote. fs.ErrNotExist: it never ran.
func (r *Reader) openUpper(instance string) (*upper, error) {
	if err := ctl.CheckName(instance); err != nil {
		return nil, missing(instance)
	}
	fd, err := unix.Open(filepath.Join(r.Root, "runtime"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: "runtime", Err: err}
	}
	runtime := os.NewFile(uintptr(fd), "runtime")
	defer runtime.Close() // only a place to begin from
	dir, err := openBeneath(runtime, instance+"/upper", pathOnly|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return &upper{dir}, nil
}

// openBeneath opens a path below dir, name by name and through no link: each folder
// on the way is held while the next one is opened. Not by openat2, which does that in
// one call: systemd's RestrictSUIDSGID=, under which the web app runs, has the kernel
// say that there is no such call. Whatever is not there in that way is fs.ErrNotExist.
func openBeneath(dir *os.File, p string, flags int) (*os.File, error) {
	at := int(dir.Fd())
	for rest := p; ; {
		name, below, more := strings.Cut(rest, "/")
		how := flags
		if more {
			how = pathOnly | unix.O_DIRECTORY
		}
		fd, err := unix.Openat(at, name, how|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		for errors.Is(err, unix.EINTR) {
			fd, err = unix.Openat(at, name, how|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		}
		if at != int(dir.Fd()) {
			_ = unix.Close(at) // only a place to go on from
		}
		switch {
		case err == nil && !more:
			return os.NewFile(uintptr(fd), p), nil
		case err == nil:
			at, rest = fd, below
			continue
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENAMETOOLONG):
			return nil, missing(p)
		}
		return nil, &fs.PathError{Op: "open", Path: p, Err: err}
	}
}

// stat looks at what is at a path, itself a link or not.
func (u *upper) stat(p string) (unix.Stat_t, error) {
	var st unix.Stat_t
	f, err := openBeneath(u.dir, p, pathOnly)
	if err != nil {
		return st, err
	}
	defer f.Close() // only looked at
	return st, unix.Fstat(int(f.Fd()), &st)
}

// kindOf says what a file's mode and device number make of it. Overlayfs keeps a
// removed name as a character device 0:0.
func kindOf(st unix.Stat_t) ctl.GameFileKind {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return ctl.GamePlain
	case unix.S_IFDIR:
		return ctl.GameDir
	case unix.S_IFLNK:
		return ctl.GameLink
	case unix.S_IFCHR:
		if st.Rdev == 0 {
			return ctl.GameRemoved
		}
	}
	return ctl.GameSpecial
}

// upperList is what the written layer has of one folder.
type upperList struct {
	there   bool // it has the folder
	hides   bool // nothing of lower layers is seen in it
	closed  bool // the game lets nobody else look into it
	entries []ctl.GameFile
	cut     bool
}

// way looks at the folders down to dir: whether the layer has it, and whether it
// hides what lower layers have there. What a file, a link or a removed name on the
// way hides is fs.ErrNotExist.
func (u *upper) way(dir string) (list upperList, err error) {
	for i := 0; i < len(dir); i++ {
		if n := strings.IndexByte(dir[i:], '/'); n < 0 {
			i = len(dir)
		} else {
			i += n
		}
		st, err := u.stat(dir[:i])
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return list, nil
		case errors.Is(err, fs.ErrPermission):
			list.closed = true
			return list, nil
		case err != nil:
			return list, err
		case kindOf(st) != ctl.GameDir:
			return list, missing(dir)
		}
		list.hides = list.hides || u.opaque(dir[:i])
	}
	list.there = true
	return list, nil
}

// merged is the layer's part of a folder as overlayfs merges it.
func (u *upper) merged(dir string) (upperList, error) {
	list, err := u.way(dir)
	if err != nil || !list.there {
		return list, err
	}
	has, err := u.folder(dir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		list.closed = true
	case err != nil:
		return list, err
	}
	list.entries, list.cut = has.entries, has.cut
	return list, nil
}

// opaque reports whether a folder hides those of its name below: the game removed
// one and made it anew. Rootless overlays say so in an attribute that everybody may
// read, those of root in one that only root may: of these it is not known.
func (u *upper) opaque(dir string) bool {
	f, err := openBeneath(u.dir, dir, readDir)
	if err != nil {
		return false
	}
	defer f.Close() // read only; nothing can be lost
	for _, name := range []string{"user.overlay.opaque", "trusted.overlay.opaque"} {
		value := make([]byte, 8)
		if n, err := unix.Fgetxattr(int(f.Fd()), name, value); err == nil && bytes.Equal(value[:n], []byte("y")) {
			return true
		}
	}
	return false
}

// folder lists the names of one folder. The game may have made a million.
func (u *upper) folder(dir string) (list upperList, err error) {
	f, err := openBeneath(u.dir, path.Join(".", dir), readDir)
	if err != nil {
		return list, err
	}
	defer f.Close() // read only; nothing can be lost
	for {
		some, err := f.ReadDir(1_000)
		for _, e := range some {
			file := ctl.GameFile{Path: path.Join(dir, e.Name()), Kind: kindOfEntry(f, e), Layers: []int{0}}
			list.entries = append(list.entries, file)
		}
		switch {
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return list, fmt.Errorf("list a folder of a game: %w", err)
		case len(list.entries) >= maxNames:
			list.cut = true
			return list, nil
		}
	}
}

// kindOfEntry asks the kernel only where the list of names does not say enough.
func kindOfEntry(dir *os.File, e os.DirEntry) ctl.GameFileKind {
	switch t := e.Type(); {
	case t.IsRegular():
		return ctl.GamePlain
	case t.IsDir():
		return ctl.GameDir
	case t&fs.ModeSymlink != 0:
		return ctl.GameLink
	case t&fs.ModeCharDevice != 0:
		var st unix.Stat_t
		if unix.Fstatat(int(dir.Fd()), e.Name(), &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			return kindOf(st)
		}
	}
	return ctl.GameSpecial
}

// describe adds size, time and target to the entries that the game wrote. One that
// vanished meanwhile stays without.
func (u *upper) describe(dir string, entries []ctl.GameFile) {
	f, err := openBeneath(u.dir, path.Join(".", dir), readDir)
	if err != nil {
		return
	}
	defer f.Close() // read only; nothing can be lost
	for i := range entries {
		e := &entries[i]
		if len(e.Layers) == 0 || e.Layers[0] != 0 || e.Kind == ctl.GameRemoved {
			continue
		}
		var st unix.Stat_t
		name := path.Base(e.Path)
		if unix.Fstatat(int(f.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		e.Kind, e.Changed = kindOf(st), time.Unix(st.Mtim.Unix()).UTC()
		switch e.Kind {
		case ctl.GamePlain:
			e.Size = st.Size
			e.Closed = unix.Faccessat(int(f.Fd()), name, unix.R_OK, unix.AT_EACCESS|unix.AT_SYMLINK_NOFOLLOW) != nil
		case ctl.GameDir:
			e.Closed = unix.Faccessat(int(f.Fd()), name, unix.R_OK|unix.X_OK, unix.AT_EACCESS|unix.AT_SYMLINK_NOFOLLOW) != nil
		case ctl.GameLink:
			target := make([]byte, 512)
			if n, err := unix.Readlinkat(int(f.Fd()), name, target); err == nil {
				e.Link = string(target[:n])
			}
		}
	}
}

// errRemoved: the game removed what lower layers have at a path.
var errRemoved = fmt.Errorf("the game removed it: %w", fs.ErrNotExist)

// open opens a regular file for reading. Links, pipes and devices are
// fs.ErrInvalid; what the game lets nobody else read is fs.ErrPermission.
func (u *upper) open(p string) (*os.File, error) {
	st, err := u.stat(p)
	if err != nil {
		return nil, err
	}
	switch kindOf(st) {
	case ctl.GamePlain:
	case ctl.GameRemoved:
		return nil, errRemoved
	default:
		return nil, &fs.PathError{Op: "open", Path: p, Err: fs.ErrInvalid}
	}
	f, err := openBeneath(u.dir, p, readFile)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() { // exchanged in between
		_ = f.Close() // read only; nothing can be lost
		return nil, &fs.PathError{Op: "open", Path: p, Err: fs.ErrInvalid}
	}
	return f, nil
}
