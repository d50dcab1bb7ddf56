package archive

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/text/encoding/charmap"
)

// maxDirectory bounds the list of members of a ZIP, in bytes: the library holds all
// of it in memory before anybody can count.
const maxDirectory = 16 << 20

func openZip(src *source, limits Limits) (walker, error) {
	if split(src) {
		return nil, refuse("the archive is the last part of several: pack it again as a single file")
	}
	budget := &budgeted{r: src, left: maxDirectory}
	z, err := zip.NewReader(budget, src.size)
	switch {
	case budget.spent:
		return nil, refuse("the archive has more than %d files and folders: at most that are allowed, so pack fewer at once", limits.Members)
	case errors.Is(err, zip.ErrInsecurePath): // only with a debug setting; names are looked at below
	case err != nil:
		return nil, err
	}
	budget.left = -1 // contents have other bounds
	return func(_ context.Context, visit func(raw, opener) error) error {
		for _, f := range z.File {
			open := func() (io.ReadCloser, error) { return openZipped(f) }
			if err := visit(zipMember(f), open); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func zipMember(f *zip.File) raw {
	m := raw{
		name: []byte(f.Name), fallback: cp437, dir: f.FileInfo().IsDir(), odd: oddMode(f.Mode()),
		encrypted: f.Flags&1 != 0, size: int64(f.UncompressedSize64),
	}
	if f.UncompressedSize64 > 1<<62 {
		m.size = 1 << 62 // more than any limit
	}
	return m
}

// cp437 reads a name as ZIPs have it without the flag for UTF-8.
func cp437(name []byte) string {
	text, err := charmap.CodePage437.NewDecoder().Bytes(name)
	if err != nil {
		return string(name) // cannot happen: every byte has a character
	}
	return string(text)
}

func openZipped(f *zip.File) (io.ReadCloser, error) {
	r, err := f.Open()
	if errors.Is(err, zip.ErrAlgorithm) {
		return nil, refuse("%s in the archive is compressed by a method (%d) that cannot be read: pack it again as an ordinary ZIP", quote(f.Name), f.Method)
	}
	return r, err
}

// oddMode says what a mode makes of a member that is neither file nor folder. Bits
// such as setuid are no reason to refuse: no mode of an archive is applied.
func oddMode(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeDevice != 0:
		return "a device"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeIrregular != 0:
		return "of an unknown kind"
	}
	return ""
}

// split reports whether the end record says that this is the last of several parts:
// "PK\5\6", then the number of this part, 2 bytes.
func split(src *source) bool {
	const record, comment = 22, 1 << 16
	tail := make([]byte, min(src.size, record+comment))
	n, err := src.ReadAt(tail, src.size-int64(len(tail)))
	if err != nil && !errors.Is(err, io.EOF) {
		return false // the library says it
	}
	i := bytes.LastIndex(tail[:n], []byte("PK\x05\x06"))
	if i < 0 || i+record > n {
		return false
	}
	part := binary.LittleEndian.Uint16(tail[i+4:])
	return part != 0 && part != 0xffff // the latter stands for a number elsewhere
}

// budgeted reads until so much was read; a negative budget has no end.
type budgeted struct {
	r     io.ReaderAt
	left  int64
	spent bool
}

func (b *budgeted) ReadAt(p []byte, off int64) (int, error) {
	if b.left < 0 {
		return b.r.ReadAt(p, off)
	}
	n, err := b.r.ReadAt(p, off)
	if b.left -= int64(n); b.left < 0 {
		b.left, b.spent = 0, true
		return 0, fmt.Errorf("the list of members is longer than %d bytes", maxDirectory)
	}
	return n, err
}
