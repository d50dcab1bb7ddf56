package vpk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// File is an archive of an opened file. Close it.
type File struct {
	*Archive
	close func()
}

// OpenFile opens the package at path, with its parts when it is the x_dir.vpk of a
// set.
func OpenFile(path string) (*File, error) {
	f, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	opened := []*os.File{f}
	closeAll := func() {
		for _, f := range opened {
			_ = f.Close() // read only; nothing can be lost
		}
	}
	var parts Part
	if stem, ok := SetOf(path); ok {
		parts = func(n int) (io.ReaderAt, int64, error) {
			f, size, err := openRegular(PartName(stem, n))
			if err != nil {
				return nil, 0, err
			}
			opened = append(opened, f)
			return f, size, nil
		}
	}
	a, err := Open(f, size, parts)
	if err != nil {
		closeAll()
		return nil, err
	}
	return &File{a, closeAll}, nil
}

// Close closes the file and its parts.
func (f *File) Close() { f.close() }

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
