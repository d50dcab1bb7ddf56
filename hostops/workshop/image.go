package workshop

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // pictures of items are one of these,
	_ "image/png"  // or WebP
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"left4me/hostops/fetch"
)

const (
	maxImage     = 2 << 20 // bytes; more is no preview
	maxSide      = 8192    // pixels
	maxPixels    = 32 << 20
	imagesAtOnce = 4
	imagesTime   = time.Minute
)

// images fetches the pictures of a list that the store does not have, or has from
// elsewhere. A picture that fails is only said: it never costs an item, and those
// that take longer than a minute come with the next run.
func (f *fetcher) images(ctx context.Context, list []*item) {
	ctx, cancel := context.WithTimeout(ctx, imagesTime)
	defer cancel()
	queue := make(chan *item)
	var workers sync.WaitGroup
	for range imagesAtOnce {
		workers.Go(func() {
			for it := range queue {
				if err := f.image(ctx, it); err != nil && ctx.Err() == nil {
					f.say("The picture of %s could not be fetched: %v.", it.name(), err)
				}
			}
		})
	}
	for _, it := range list {
		if it.detail != nil && it.detail.Preview != "" && ctx.Err() == nil {
			queue <- it
		}
	}
	close(queue)
	workers.Wait()
	for _, it := range list {
		if had := it.Image; f.Store.hasImage(it.ID) != had {
			it.Image = !had
			f.emitItem(it)
		}
	}
}

func (f *fetcher) image(ctx context.Context, it *item) error {
	at := string(it.detail.Preview)
	if u, err := url.Parse(at); err == nil && u.Scheme == "http" && fetch.MatchHost(steamHosts, u.Hostname()) && u.Port() == "" {
		u.Scheme = "https"
		at = u.String()
	}
	if f.Store.imageFrom(it.ID) == at {
		return nil
	}
	resp, err := f.files.Do(ctx, fetch.Request{URL: at, Limit: maxImage})
	if err != nil {
		return err
	}
	defer resp.Body.Close() // read to its end, or given up
	if resp.Status != http.StatusOK {
		return fmt.Errorf("status %d", resp.Status)
	}
	data, err := io.ReadAll(resp.Body)
	if errors.Is(err, fetch.ErrTooLong) {
		return fmt.Errorf("it is larger than %d MB", maxImage>>20)
	}
	if err != nil {
		return err
	}
	if err := checkImage(data); err != nil {
		return err
	}
	return f.Store.writeImage(it.ID, at, data)
}

// checkImage refuses what is not a picture that a browser shows without harm: a
// JPEG, PNG or WebP by its first bytes, of a sane size.
func checkImage(data []byte) error {
	var width, height int
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")), bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		config, _, err := image.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return fmt.Errorf("it is damaged (%w)", err)
		}
		width, height = config.Width, config.Height
	case len(data) > 30 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		width, height = sizeOfWebP(data)
	default:
		return errors.New("it is neither JPEG, PNG nor WebP")
	}
	if width < 1 || height < 1 || width > maxSide || height > maxSide || width*height > maxPixels {
		return fmt.Errorf("it has %d × %d pixels", width, height)
	}
	return nil
}

// sizeOfWebP reads the first chunk of a WebP file, which must be longer than 30
// bytes: "VP8 " (lossy), "VP8L" (lossless) or "VP8X" (extended). 0 is unknown.
func sizeOfWebP(data []byte) (width, height int) {
	little := binary.LittleEndian
	switch kind := string(data[12:16]); {
	case kind == "VP8 " && string(data[23:26]) == "\x9d\x01\x2a":
		return int(little.Uint16(data[26:]) & 0x3fff), int(little.Uint16(data[28:]) & 0x3fff)
	case kind == "VP8L" && data[20] == 0x2f:
		bits := little.Uint32(data[21:])
		return int(bits&0x3fff) + 1, int(bits>>14&0x3fff) + 1
	case kind == "VP8X":
		triple := func(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }
		return triple(data[24:]) + 1, triple(data[27:]) + 1
	}
	return 0, 0
}

// imageFrom is where the picture of an item came from; "" when there is none.
func (s *Store) imageFrom(id string) string {
	r, err := s.record(id)
	if err != nil || !s.hasImage(id) {
		return ""
	}
	return r.ImageURL
}

// writeImage keeps a picture and where it came from. Writers of records of one
// run take turns.
func (s *Store) writeImage(id, from string, data []byte) error {
	if err := replaceFile(s.inItem(id, imageName), data); err != nil {
		return err
	}
	return s.changeRecord(id, func(r *record) { r.ImageURL, r.Image = from, true })
}
