package vpk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// Source is an opened file that may be a package. Close it.
type Source struct {
	io.ReaderAt
	Size int64
	// Parts opens the siblings of a set's x_dir.vpk; nil for any other file.
	Parts  Part
	opened []*os.File
}

// OpenSource opens the file at path and reads nothing of it yet.
func OpenSource(path string) (*Source, error) {
	f, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	s := &Source{ReaderAt: f, Size: size, opened: []*os.File{f}}
	if stem, ok := SetOf(path); ok {
		s.Parts = func(n int) (io.ReaderAt, int64, error) {
			f, size, err := openRegular(PartName(stem, n))
			if err != nil {
				return nil, 0, err
			}
			s.opened = append(s.opened, f)
			return f, size, nil
		}
	}
	return s, nil
}

// Close closes the file and the parts that were opened.
func (s *Source) Close() {
	for _, f := range s.opened {
		_ = f.Close() // read only; nothing can be lost
	}
}

// File is an archive of an opened file. Close it.
type File struct {
	*Archive
	source *Source
}

// OpenFile opens the package at path, with its parts when it is the x_dir.vpk of a
// set.
func OpenFile(path string) (*File, error) {
	s, err := OpenSource(path)
	if err != nil {
		return nil, err
	}
	a, err := Open(s, s.Size, s.Parts)
	if err != nil {
		s.Close()
		return nil, err
	}
	return &File{a, s}, nil
}

// Close closes the file and its parts.
func (f *File) Close() { f.source.Close() }

var errNoFile = errors.New("it is no regular file")

// openRegular never waits for a FIFO and opens no device.
func openRegular(path string) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &os.PathError{Op: "read", Path: path, Err: errNoFile}
	}
	if err != nil {
		_ = f.Close() // read only; nothing can be lost
		return nil, 0, err
	}
	return f, info.Size(), nil
}

const (
	suffix    = ".vpk"
	setSuffix = "_dir.vpk"
)

// SetOf cuts the path of a set's directory, x_dir.vpk, to what its parts begin with.
func SetOf(path string) (stem string, ok bool) {
	if n := len(path) - len(setSuffix); n > 0 && strings.EqualFold(path[n:], setSuffix) {
		return path[:n], true
	}
	return "", false
}

// PartName is the path of part n of a set.
func PartName(stem string, n int) string { return fmt.Sprintf("%s_%03d%s", stem, n, suffix) }

// PartOf reads a path as that of a part, x_003.vpk, and says of which set.
func PartOf(path string) (stem string, ok bool) {
	n := len(path) - len("_000.vpk")
	if n <= 0 || path[n] != '_' || !strings.EqualFold(path[n+4:], suffix) {
		return "", false
	}
	for _, c := range path[n+1 : n+4] {
		if c < '0' || c > '9' {
			return "", false
		}
	}
	return path[:n], true
}
