package workshop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/fetch"
)

const (
	pieceSize       = 8 << 20 // one range; a kill costs at most a quarter for each connection
	itemConnections = 4       // one connection is what is slow, not the line
	allConnections  = 12
	itemsAtOnce     = 6
	pieceTries      = 5
	enoughBytes     = 256 << 10 // a try that brought so much was no failure of the host's
	readSize        = 256 << 10
	maxRestarts     = 3
)

// Causes to begin a file again, or to get it in another way.
var (
	errIgnoresRanges = errors.New("the file host sends whole files only")
	errChanged       = passing("The file changed while it was fetched: try again.")
	errSize          = errors.New("the file host says another size than Steam")
	errDenied        = errors.New("the file host does not give the file out")
)

// download is one file on its way.
type download struct {
	client *fetch.Client
	url    string
	part   *part
	size   int64
	slots  chan struct{} // one for each connection there may be, over all downloads
	pause  time.Duration // before a second try; doubled for each further one
	came   func(n int64) // bytes arrived; less than none when some have to come again
}

// run fetches what is missing of the part: its pieces side by side, or all of it
// in one stream from a host that knows no ranges. What was fetched stays when it
// fails. Errors are *failure, or of the disk.
func (d *download) run(ctx context.Context) error {
	for restart := 0; ; restart++ {
		err := d.pieces(ctx)
		if errors.Is(err, errIgnoresRanges) {
			if err := d.reset(); err != nil {
				return err
			}
			return d.stream(ctx)
		}
		if !errors.Is(err, errChanged) || restart == maxRestarts {
			return err
		}
		if err := d.reset(); err != nil {
			return err
		}
	}
}

func (d *download) reset() error {
	d.came(-d.part.have())
	if err := d.part.reset(); err != nil {
		return diskFailure(err)
	}
	return nil
}

// pieces fetches the missing pieces. The first one goes alone while it is not
// known which content they are of, so that all are of the same.
func (d *download) pieces(ctx context.Context) error {
	todo := d.part.missing()
	if len(todo) > 0 && d.part.validator() == "" {
		if err := d.piece(ctx, todo[0]); err != nil {
			return err
		}
		todo = todo[1:]
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan int, len(todo))
	for _, i := range todo {
		queue <- i
	}
	close(queue)
	var workers sync.WaitGroup
	for range min(itemConnections, len(todo)) {
		workers.Go(func() {
			for i := range queue {
				if ctx.Err() != nil {
					return
				}
				if err := d.piece(ctx, i); err != nil {
					cancel(err) // the first one is the cause
					return
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// piece fetches one piece, trying again where it broke off.
func (d *download) piece(ctx context.Context, i int) error {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	at, length := d.part.span(i)
	got := d.part.has(i)
	err := d.retry(ctx, func() (int64, time.Duration, error) {
		n, wait, err := d.request(ctx, at+got, length-got, true, func(n int64) error { return d.part.advance(i, got+n, false) })
		got += n
		if err == nil && got < length {
			err = passing("The file host sends less than it is asked for: try again later.")
		}
		return n, wait, err
	})
	if err != nil {
		_ = d.part.advance(i, got, true) // the first error matters more
		return err
	}
	if err := d.part.finish(i); err != nil {
		return diskFailure(err)
	}
	return nil
}

// stream fetches everything over one connection, from the beginning each time.
func (d *download) stream(ctx context.Context) error {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err := d.retry(ctx, func() (int64, time.Duration, error) {
		n, wait, err := d.request(ctx, 0, d.size, false, func(int64) error { return nil })
		if err != nil {
			d.came(-n)
		}
		return 0, wait, err // it has to begin again, however far it came
	})
	if err != nil {
		return err
	}
	for _, i := range d.part.missing() {
		if err := d.part.finish(i); err != nil {
			return diskFailure(err)
		}
	}
	return nil
}

// retry tries up to five times in a row that bring next to nothing, with growing
// pauses. try returns the bytes it brought and the pause that the host asks for.
func (d *download) retry(ctx context.Context, try func() (int64, time.Duration, error)) error {
	pause := d.pause
	for failures := 0; ; {
		n, wait, err := try()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if n >= enoughBytes {
			failures, pause = 0, d.pause
		}
		failures++
		if !retryable(err) || errors.Is(err, errChanged) || errors.Is(err, errSize) || failures == pieceTries {
			return err
		}
		if wait > maxPause {
			return passing("The file host wants no requests from here for the next %s: try again then.", wait.Round(time.Second))
		}
		if err := sleep(ctx, max(wait, pause)); err != nil {
			return context.Cause(ctx)
		}
		pause = min(2*pause, maxPause)
	}
}

// request asks once for length bytes from at on, as a range or as a whole file,
// and writes what comes to its place. n is how much did; note is told of it on the
// way.
func (d *download) request(ctx context.Context, at, length int64, ranged bool, note func(n int64) error) (n int64, wait time.Duration, err error) {
	header := http.Header{}
	if ranged {
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", at, at+length-1))
		if v := d.part.validator(); v != "" {
			header.Set("If-Range", v)
		}
	}
	resp, err := d.client.Do(ctx, fetch.Request{URL: d.url, Header: header, Limit: length})
	switch {
	case errors.Is(err, fetch.ErrRefused):
		return 0, 0, &failure{sentence: fmt.Sprintf("The file may not be fetched from where Steam says: %v.", err), kind: ctl.ErrSteam, cause: errDenied}
	case err != nil:
		return 0, 0, passing("The file host cannot be reached (%v): try again later.", err)
	}
	defer resp.Body.Close() // read to its end, or given up
	if err := d.judge(resp, at, length); err != nil {
		return 0, resp.RetryAfter, err
	}
	n, err = d.write(resp.Body, at, note)
	switch {
	case errors.Is(err, errDisk):
		return n, 0, err
	case errors.Is(err, fetch.ErrTooLong) && resp.Status == http.StatusPartialContent:
		return n, 0, nil // what was asked for is there
	case errors.Is(err, fetch.ErrTooLong):
		return n, 0, sizeDiffers("more", d.size)
	case err != nil:
		return n, 0, passing("The transfer broke off (%v): try again later.", err)
	case !ranged && n < length:
		return n, 0, passing("The file host ended the file after %d of %d bytes: try again later.", n, length)
	}
	return n, 0, nil
}

// judge looks whether an answer brings the bytes that were asked for.
func (d *download) judge(resp *fetch.Response, at, length int64) error {
	whole := at == 0 && length == d.size
	switch s := resp.Status; {
	case s == http.StatusOK, s == http.StatusPartialContent:
	case s == http.StatusRequestedRangeNotSatisfiable:
		return errChanged // it is shorter than Steam says
	case s == http.StatusTooManyRequests:
		return passing("The file host wants fewer requests from here (status 429): try again later.")
	case s == http.StatusRequestTimeout, s >= 500:
		return passing("The file host is in trouble (status %d): try again later.", s)
	default:
		return &failure{sentence: fmt.Sprintf("The file host does not give this file out (status %d).", s), kind: ctl.ErrSteam, cause: errDenied}
	}
	if kind := strings.ToLower(resp.Header.Get("Content-Type")); strings.HasPrefix(kind, "text/html") {
		return passing("The file host sent a web page instead of the file: try again later.")
	}
	if resp.Header.Get("Content-Encoding") != "" {
		return passing("The file host sent the file in an encoding that was not asked for: try again later.")
	}
	same, err := d.part.bind(validatorOf(resp.Header))
	if err != nil {
		return diskFailure(err)
	}
	if !same {
		return errChanged
	}
	if resp.Status == http.StatusOK {
		switch {
		case resp.Length >= 0 && resp.Length != d.size:
			return sizeDiffers(strconv.FormatInt(resp.Length, 10), d.size)
		case !whole:
			return errIgnoresRanges
		}
		return nil
	}
	first, last, total, ok := contentRange(resp.Header.Get("Content-Range"))
	switch {
	case !ok || first != at || last >= at+length:
		return passing("The file host sent other bytes than it was asked for: try again later.")
	case total >= 0 && total != d.size:
		return sizeDiffers(strconv.FormatInt(total, 10), d.size)
	}
	return nil
}

// sizeDiffers is what Steam and its file host do not agree on.
func sizeDiffers(has string, says int64) error {
	return &failure{
		sentence: fmt.Sprintf("The file host has %s bytes of this file, and Steam says that it has %d: try again later.", has, says),
		kind:     ctl.ErrSteamRetry, again: true, cause: errSize,
	}
}

// errDisk is of every failure to write.
var errDisk = errors.New("the disk failed")

func diskFailure(err error) error { return fmt.Errorf("%w: %w", errDisk, err) }

// buffers keeps the memory of connections that ended for those that come.
var buffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// write puts a body at its place in the part.
func (d *download) write(body io.Reader, at int64, note func(n int64) error) (n int64, err error) {
	buf := buffers.Get().(*[readSize]byte)
	defer buffers.Put(buf)
	for {
		k, err := body.Read(buf[:])
		if k > 0 {
			if _, err := d.part.file.WriteAt(buf[:k], at+n); err != nil {
				return n, diskFailure(err)
			}
			n += int64(k)
			d.came(int64(k))
			if err := note(n); err != nil {
				return n, diskFailure(err)
			}
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// validatorOf is what If-Range takes: a strong entity tag, or else the date.
func validatorOf(h http.Header) string {
	if tag := h.Get("Etag"); strings.HasPrefix(tag, `"`) && len(tag) <= 200 {
		return tag
	}
	if date := h.Get("Last-Modified"); len(date) <= 100 {
		return date
	}
	return ""
}

// contentRange reads "bytes 0-8388607/52428800"; total is -1 for "*".
func contentRange(value string) (first, last, total int64, ok bool) {
	rest, found := strings.CutPrefix(value, "bytes ")
	span, size, found2 := strings.Cut(rest, "/")
	from, to, found3 := strings.Cut(span, "-")
	if !found || !found2 || !found3 {
		return 0, 0, 0, false
	}
	var errs [3]error
	first, errs[0] = strconv.ParseInt(from, 10, 64)
	last, errs[1] = strconv.ParseInt(to, 10, 64)
	total = -1
	if size != "*" {
		total, errs[2] = strconv.ParseInt(size, 10, 64)
	}
	return first, last, total, errors.Join(errs[:]...) == nil && first >= 0 && last >= first
}
