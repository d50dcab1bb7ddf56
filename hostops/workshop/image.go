package workshop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"left4me/hostops/fetch"
	"left4me/hostops/picture"
)

const (
	maxImage     = 2 << 20 // bytes; more is no preview
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
	if err := picture.Check(data); err != nil {
		return err
	}
	return f.Store.writeImage(it.ID, at, data)
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
