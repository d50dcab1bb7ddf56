package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// tree.go goes through output that may be hostile and may be changing: by
// descriptors, never through a link, and never deeper than maxDepth.

// usage is what a tree takes.
type usage struct {
	bytes int64 // the larger of what a file says it has and what it takes on the disk
	files int   // names
	limit string
}

// measure adds up the tree at dir and stops at the first limit. A folder that is
// closed to its owner is opened: its mode is the sandbox's business anyway.
func measure(dir *os.File, l Limits) usage {
	var u usage
	_ = walk(dir, 0, func(at int, name string, st *unix.Stat_t) error { // what vanishes meanwhile takes nothing
		u.files++
		if st.Mode&unix.S_IFMT == unix.S_IFREG {
			// Each name counts: a copy has as many files as there are names.
			u.bytes += max(st.Size, st.Blocks*512)
		}
		switch {
		case u.bytes > l.Disk:
			u.limit = limitDisk
		case u.files > l.Files:
			u.limit = limitFiles
		default:
			return nil
		}
		return errEnough
	}, func() { u.limit = limitDepth })
	return u
}

// errEnough ends a walk early.
var errEnough = errors.New("enough")

// walk calls each for every entry below dir, a folder before what is in it, and
// deep once when it does not go further down. What vanishes is passed over.
func walk(dir *os.File, depth int, each func(at int, name string, st *unix.Stat_t) error, deep func()) error {
	for {
		names, err := dir.Readdirnames(1000)
		for _, name := range names {
			var st unix.Stat_t
			at := int(dir.Fd())
			if unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
				continue
			}
			if err := each(at, name, &st); err != nil {
				return err
			}
			if st.Mode&unix.S_IFMT != unix.S_IFDIR {
				continue
			}
			if depth >= maxDepth {
				deep()
				return errEnough
			}
			sub, err := openClosed(at, name)
			if err != nil {
				continue
			}
			err = walk(sub, depth+1, each, deep)
			_ = sub.Close() // read only
			if err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || err == nil && len(names) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// openClosed opens a folder, and its mode first if that is in the way.
func openClosed(at int, name string) (*os.File, error) {
	sub, err := openDir(at, name)
	if errors.Is(err, unix.EACCES) {
		if err := unix.Fchmodat(at, name, 0o700, 0); err != nil {
			return nil, err
		}
		return openDir(at, name)
	}
	return sub, err
}

// release opens the whole tree to the group that the content's owner is in.
func release(dir *os.File) error {
	return walk(dir, 0, func(at int, name string, st *unix.Stat_t) error {
		mode := uint32(0o660)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			mode = 0o770
		case unix.S_IFREG:
			if st.Mode&0o111 != 0 {
				mode = 0o770
			}
		default:
			return nil
		}
		if st.Mode&0o7777 == mode {
			return nil
		}
		if err := unix.Fchmodat(at, name, mode, 0); err != nil {
			return fmt.Errorf("open %q: %w", name, err)
		}
		return nil
	}, func() {})
}

// empty removes everything in dir, however deep it is and whatever its modes are,
// as far as this user may. Nothing may be running that could change it.
func empty(dir *os.File) error {
	at := int(dir.Fd())
	for n := 0; ; {
		if _, err := dir.Seek(0, io.SeekStart); err != nil {
			return err
		}
		names, err := dir.Readdirnames(1000)
		if len(names) == 0 {
			if err == nil || errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		for _, name := range names {
			if err := unix.Unlinkat(at, name, 0); err == nil {
				continue
			} else if !errors.Is(err, unix.EISDIR) {
				return &os.PathError{Op: "remove", Path: name, Err: err}
			}
			if n, err = emptyOne(at, name, n); err != nil {
				return err
			}
		}
	}
}

// emptyOne removes the folder name: its files, and its folders by moving them up
// beside it, so that no depth needs more than two descriptors.
func emptyOne(at int, name string, n int) (int, error) {
	_ = unix.Fchmodat(at, name, 0o700, 0) // only its owner may; the next line tells whether it mattered
	sub, err := openDir(at, name)
	if err != nil {
		return n, err
	}
	defer sub.Close() // read only
	from := int(sub.Fd())
	for {
		if _, err := sub.Seek(0, io.SeekStart); err != nil {
			return n, err
		}
		names, err := sub.Readdirnames(1000)
		if len(names) == 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				return n, err
			}
			return n, unix.Unlinkat(at, name, unix.AT_REMOVEDIR)
		}
		for _, child := range names {
			if err := unix.Unlinkat(from, child, 0); err == nil {
				continue
			} else if !errors.Is(err, unix.EISDIR) {
				return n, &os.PathError{Op: "remove", Path: child, Err: err}
			}
			_ = unix.Fchmodat(from, child, 0o700, 0) // to be moved it must be writable; as above
			for {
				n++
				err := unix.Renameat2(from, child, at, ".left4me-"+strconv.Itoa(n), unix.RENAME_NOREPLACE)
				if errors.Is(err, unix.EEXIST) {
					continue
				}
				if err != nil {
					return n, &os.PathError{Op: "remove", Path: child, Err: err}
				}
				break
			}
		}
	}
}
