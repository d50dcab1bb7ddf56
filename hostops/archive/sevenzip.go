package archive

import (
	"context"
	"errors"
	"io"

	"github.com/bodgit/sevenzip"
)

// The library believes every number of a header before it looks whether the bytes
// are there, and would take any amount of memory. checkSevenZip reads the header
// first and lets nothing through that is not in proportion.
func openSevenZip(src *source, limits Limits) (walker, error) {
	if err := checkSevenZip(src, limits); err != nil {
		return nil, err
	}
	z, err := try(func() (*sevenzip.Reader, error) { return sevenzip.NewReader(src, src.size) })
	if err != nil {
		return nil, sevenZipError(err)
	}
	return func(_ context.Context, visit func(raw, opener) error) error {
		for _, f := range z.File {
			open := func() (io.ReadCloser, error) { return openPacked(f) }
			if err := visit(sevenZipMember(f), open); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// reparsePoint is the attribute of what Windows has for links.
const reparsePoint = 0x400

func sevenZipMember(f *sevenzip.File) raw {
	m := raw{name: []byte(f.Name), dir: f.FileInfo().IsDir(), odd: oddMode(f.Mode()), size: int64(min(f.UncompressedSize, 1<<62))}
	if m.odd == "" && f.Attributes&reparsePoint != 0 {
		m.odd = "a link"
	}
	return m
}

func openPacked(f *sevenzip.File) (io.ReadCloser, error) {
	r, err := try(f.Open)
	if err != nil {
		return nil, sevenZipError(err)
	}
	return packed{r}, nil
}

// packed is a file of a 7z.
type packed struct{ r io.ReadCloser }

func (p packed) Read(b []byte) (int, error) { return tried{p.r}.Read(b) }

func (p packed) Close() error {
	_, err := try(func() (struct{}, error) { return struct{}{}, p.r.Close() })
	return err
}

func sevenZipError(err error) error {
	var read *sevenzip.ReadError
	if errors.As(err, &read) && read.Encrypted {
		return errEncrypted
	}
	return err
}

var errEncrypted = refuse("the archive is encrypted: pack it again without a password")
