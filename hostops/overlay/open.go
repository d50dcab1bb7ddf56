package overlay

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"

	"golang.org/x/sys/unix"
)

// File is an open file that can be served in parts.
type File interface {
	io.ReadSeekCloser
	Size() int64
}

type file struct {
	*os.File
	size int64
}

func (f *file) Size() int64 { return f.size }

// Open opens a regular file of a version for reading. Links inside of the version
// are followed; one that leaves it, and whatever is no file, is fs.ErrNotExist.
func (s *Store) Open(overlay, version int64, path string) (File, error) {
	if !fs.ValidPath(path) || len(path) > MaxPath {
		return nil, missing(path)
	}
	root, err := s.openTree(Ref{overlay, version})
	if err != nil {
		return nil, err
	}
	defer root.Close() // read only; nothing can be lost
	f, err := root.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil, err
		}
		return nil, missing(path) // a link that leaves the version or goes in circles, a file for a folder
	}
	return regular(f, path)
}

func missing(path string) error { return &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist} }

// regular makes a File of an open regular file, and closes anything else.
func regular(f *os.File, path string) (File, error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		_ = f.Close() // read only; nothing can be lost
		return nil, missing(path)
	}
	return &file{f, info.Size()}, nil
}

// maxImage bounds a picture.
const maxImage = 4 << 20

var itemPattern = regexp.MustCompile(`\A[1-9][0-9]{0,19}\z`)

// Image opens the picture of a workshop item. What its first bytes do not show to
// be a JPEG, PNG, GIF or WebP is fs.ErrNotExist, whatever Steam called it.
func (s *Store) Image(item string) (File, string, error) {
	if !itemPattern.MatchString(item) {
		return nil, "", missing(item)
	}
	return openPicture(s.path(dirWorkshop, item, "image"), "item "+item)
}

var avatarPattern = regexp.MustCompile(`\A[0-9a-f]{64}\z`)

// Avatar opens the picture of a player by the SHA-256 of its content, in hex.
func (s *Store) Avatar(sum string) (File, string, error) {
	if !avatarPattern.MatchString(sum) {
		return nil, "", missing(sum)
	}
	return openPicture(s.path(dirAvatars, sum), "a player")
}

func openPicture(path, whose string) (File, string, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, "", err
	}
	head := make([]byte, 16)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		_ = f.Close() // read only; nothing can be lost
		return nil, "", fmt.Errorf("read the picture of %s: %w", whose, err)
	}
	kind := imageType(string(head[:n]))
	image, err := regular(f, whose)
	if err == nil && (kind == "" || image.Size() > maxImage) {
		_ = image.Close() // read only; nothing can be lost
		err = missing(whose)
	}
	if err != nil {
		return nil, "", err
	}
	return image, kind, nil
}

func imageType(head string) string {
	switch {
	case len(head) < 12:
		return ""
	case head[:3] == "\xff\xd8\xff":
		return "image/jpeg"
	case head[:8] == "\x89PNG\r\n\x1a\n":
		return "image/png"
	case head[:6] == "GIF87a", head[:6] == "GIF89a":
		return "image/gif"
	case head[:4] == "RIFF" && head[8:12] == "WEBP":
		return "image/webp"
	}
	return ""
}
