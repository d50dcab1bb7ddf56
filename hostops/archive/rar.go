package archive

import (
	"context"
	"errors"
	"io"

	"github.com/nwaples/rardecode/v2"
)

// rarWalker reads a RAR from the beginning each time.
func rarWalker(src *source) walker {
	return func(_ context.Context, visit func(raw, opener) error) error {
		r, err := try(func() (*rardecode.Reader, error) {
			return rardecode.NewReader(src.reader(), rardecode.MaxDictionarySize(maxMemory))
		})
		if err != nil {
			return rarError(err)
		}
		for {
			h, err := try(r.Next)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return rarError(err)
			}
			if err := visit(rarMember(h), func() (io.ReadCloser, error) { return io.NopCloser(rarContent{tried{r}}), nil }); err != nil {
				return err
			}
		}
	}
}

func rarMember(h *rardecode.FileHeader) raw {
	m := raw{
		name: []byte(h.Name), dir: h.IsDir, odd: oddMode(h.Mode()),
		encrypted: h.Encrypted || h.HeaderEncrypted, size: h.UnPackedSize,
	}
	if h.UnKnownSize {
		m.size = -1
	}
	if m.odd == "" && h.LinkType != rardecode.LinkTypeNone {
		m.odd = "a link to another file"
	}
	return m
}

// rarContent is the current file.
type rarContent struct{ r io.Reader }

func (c rarContent) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = rarError(err)
	}
	return n, err
}

func rarError(err error) error {
	switch {
	case errors.Is(err, rardecode.ErrArchiveEncrypted), errors.Is(err, rardecode.ErrArchivedFileEncrypted), errors.Is(err, rardecode.ErrBadPassword):
		return refuse("the archive is encrypted: pack it again without a password")
	case errors.Is(err, rardecode.ErrMultiVolume), errors.Is(err, rardecode.ErrBadVolumeNumber):
		return refuse("the archive is one part of several: pack it again as a single file")
	case errors.Is(err, rardecode.ErrDictionaryTooLarge):
		return refuse("the archive needs more than %s of memory to unpack: pack it with a smaller dictionary, or as ZIP", human(maxMemory))
	case errors.Is(err, rardecode.ErrUnknownVersion), errors.Is(err, rardecode.ErrUnknownDecoder), errors.Is(err, rardecode.ErrUnsupportedDecoder):
		return refuse("the archive is of a RAR version that cannot be read: pack it as ZIP or 7z")
	}
	return err
}
