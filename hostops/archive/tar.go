package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"strings"
)

// tarWalker reads a tar from the beginning each time: it has no list.
func tarWalker(src *source, format Format, limits Limits) walker {
	return func(_ context.Context, visit func(raw, opener) error) error {
		r := src.reader()
		if format == TarGzip {
			z, err := gzip.NewReader(r)
			if err != nil {
				return err
			}
			// Headers and what lies between files are bounded as well.
			r = &capped{r: z, left: limits.Size + int64(limits.Members)*4096}
		}
		t := tar.NewReader(r)
		for {
			h, err := t.Next()
			if errors.Is(err, io.EOF) && format == Tar && !ended(src) {
				return errors.New("it has no end")
			}
			if errors.Is(err, io.EOF) {
				return toEnd(r)
			}
			if err != nil {
				return err
			}
			if h.Typeflag == tar.TypeXGlobalHeader {
				continue // comments, as git writes them
			}
			m := raw{name: []byte(h.Name), dir: h.Typeflag == tar.TypeDir, odd: oddTar(h.Typeflag), size: h.Size}
			if err := visit(m, func() (io.ReadCloser, error) { return io.NopCloser(t), nil }); err != nil {
				return err
			}
		}
	}
}

// ended reports whether a tar's last block is of zeros, as it has to be: one that was
// cut between two files looks whole otherwise. A gzip has its own sum.
func ended(src *source) bool {
	last := make([]byte, 512)
	_, err := src.ReadAt(last, src.size-int64(len(last)))
	return (err == nil || errors.Is(err, io.EOF)) && len(bytes.Trim(last, "\x00")) == 0
}

// maxPadding is how many bytes may follow the end of a tar: it is filled up to a
// whole record.
const maxPadding = 1 << 20

// toEnd reads what follows the end of a tar: a gzip has its sum behind it.
func toEnd(r io.Reader) error {
	n, err := io.CopyN(io.Discard, r, maxPadding+1)
	if n > maxPadding {
		return errors.New("something follows its end")
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func oddTar(flag byte) string {
	switch flag {
	case tar.TypeReg, tar.TypeDir, tar.TypeGNUSparse:
		return ""
	case tar.TypeSymlink:
		return "a symbolic link"
	case tar.TypeLink:
		return "a hard link"
	case tar.TypeChar, tar.TypeBlock:
		return "a device"
	case tar.TypeFifo:
		return "a named pipe"
	}
	if strings.ContainsRune("\x007", rune(flag)) { // old forms of a regular file
		return ""
	}
	return "of an unknown kind"
}

// capped refuses to read on when a stream has given as much as could be right.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return 0, refuse("the archive is larger than everything that may be unpacked: pack fewer files at once")
	}
	return n, err
}
