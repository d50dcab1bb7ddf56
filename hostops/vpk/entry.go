package vpk

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"left4me/hostops/charset"
)

// Entry is one file of a package.
type Entry struct {
	// Raw is its path as it stands there: folder, name and extension joined. Path is
	// the same in UTF-8, read as Encoding.
	Raw      string
	Path     string
	Encoding charset.Encoding
	CRC      uint32

	preload   int64 // where the first bytes of its content are, in this file
	preloaded int64 // how many
	part      int
	offset    int64
	length    int64 // of the rest
}

// Size is the length of its content in bytes.
func (e Entry) Size() int64 { return e.preloaded + e.length }

// Content reads what an entry holds. It opens the part that it is in.
func (a *Archive) Content(e Entry) (io.Reader, error) {
	preload := io.NewSectionReader(a.r, e.preload, e.preloaded)
	if e.length == 0 {
		return preload, nil
	}
	p, base, err := a.home(e)
	if err != nil {
		return nil, err
	}
	return io.MultiReader(preload, io.NewSectionReader(p.r, base+e.offset, e.length)), nil
}

// ErrLimit is returned by Read for an entry that is larger than was asked for.
var ErrLimit = errors.New("larger than it may be")

// ErrChecksum is returned by Read for content that is not what its checksum says.
var ErrChecksum = errors.New("its checksum is wrong")

// Read returns the content of an entry of at most limit bytes. Next to ErrChecksum
// it is returned as well.
func (a *Archive) Read(e Entry, limit int64) ([]byte, error) {
	if e.Size() > limit {
		return nil, fmt.Errorf("%d bytes: %w", e.Size(), ErrLimit)
	}
	r, err := a.Content(e)
	if err != nil {
		return nil, err
	}
	data := make([]byte, e.Size())
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	if crc32.ChecksumIEEE(data) != e.CRC {
		return data, ErrChecksum
	}
	return data, nil
}

// home is the file that holds an entry's content, and where counting begins there.
func (a *Archive) home(e Entry) (part, int64, error) {
	if e.part == ownFile {
		return part{a.r, a.size}, a.data, nil
	}
	p, err := a.part(e.part)
	return p, 0, err
}
