package steamsim

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// usualRate is what a connection carries at demo speed.
const usualRate = 6 << 20

// slowRate is that of the fault "slow".
const slowRate = 8 << 10

// current is the item in the revision that is under its address now: an item
// that changes while it is fetched has another one from the third request on.
func (w *Web) current(it item) item {
	if !slices.Contains(it.faults, "changes_while_fetching") {
		return it
	}
	w.mu.Lock()
	seen := w.met["host/"+it.idText()]
	w.mu.Unlock()
	if seen > 2 {
		return it.at(it.revision + 1)
	}
	return it
}

// serveFile is the file host: files of items and preview images by their handle.
func (w *Web) serveFile(rw http.ResponseWriter, r *http.Request) {
	w.answerFile(rw, r, r.URL.Path)
}

func (w *Web) answerFile(rw http.ResponseWriter, r *http.Request, path string) {
	c, ok := w.read(rw)
	if !ok {
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		page(rw, http.StatusMethodNotAllowed, "Method Not Allowed", "")
		return
	}
	words := strings.Split(strings.Trim(path, "/"), "/")
	if len(words) < 3 {
		nothing(rw)
		return
	}
	handle, err := strconv.ParseUint(words[1], 10, 64)
	if err != nil || !strings.HasPrefix(filePath(handle), "/ugc/"+words[1]+"/"+words[2]+"/") {
		nothing(rw)
		return
	}
	id, revision := readHandle(handle)
	it, change, isItem := c.Workshop.item(id)
	_, isSet := findCollection(id)
	switch {
	case !isItem && !isSet, !isItem && revision != previewRevision, revision > w.current(it).revision && isItem:
		nothing(rw)
	case revision == previewRevision:
		body := preview(id)
		rw.Header().Set("Content-Type", http.DetectContentType(body))
		http.ServeContent(rw, r, "", time.Unix(1_500_000_000, 0), strings.NewReader(string(body)))
	default:
		w.sendItem(rw, r, it.at(revision), change, c) // an older file keeps its address
	}
}

// sendItem sends an item's file with all that goes wrong on the way.
func (w *Web) sendItem(rw http.ResponseWriter, r *http.Request, it item, change ItemControl, c Control) {
	id := it.idText()
	n := w.times("host/" + id)
	it = w.current(it)
	faults := slices.DeleteFunc(slices.Clone(it.faults), func(f string) bool { return !w.meets("host/"+id+"/"+f, change.Count) })
	has := func(fault string) bool { return slices.Contains(faults, fault) }
	if w.refuseFile(rw, r, has, n, change) {
		return
	}
	b := w.file(it)
	f := &sending{
		blob: b, end: b.size, done: r.Context().Done(), record: w.ranges.begin(id, b.size),
		pace: pace{rate: rateOf(c, change)}, cut: -1, header: rw.Header(),
	}
	if has("slow") {
		f.pace.rate = slowRate
	}
	flaky := has("flaky") && n%4 == 0
	f.cutting, f.stalling = has("truncated") || flaky, has("stalled")
	if has("no_range") {
		r.Header.Del("Range")
	}
	rw.Header().Set("Content-Type", "application/octet-stream")
	rw.Header().Set("Accept-Ranges", "bytes")
	modified := it.updated()
	if has("no_validators") {
		modified = time.Time{}
	} else {
		rw.Header().Set("ETag", strconv.Quote(strconv.FormatUint(it.handle(), 16)))
	}
	http.ServeContent(rw, r, "", modified, f)
	if errors.Is(f.failed, errCut) {
		_ = http.NewResponseController(rw).Flush() // what was sent arrives, if the client is still there
		panic(http.ErrAbortHandler)                // the connection closes in the middle
	}
}

func rateOf(c Control, change ItemControl) int64 {
	switch {
	case change.Rate > 0:
		return change.Rate
	case c.Workshop.Rate > 0:
		return c.Workshop.Rate
	case c.Speed == SpeedInstant:
		return 0
	}
	return int64(usualRate * max(float64(c.Speed), 0.01))
}

// refuseFile plays the faults that send no file.
func (w *Web) refuseFile(rw http.ResponseWriter, r *http.Request, has func(string) bool, n int, change ItemControl) bool {
	to := func(url string) {
		rw.Header().Set("Location", url)
		rw.WriteHeader(http.StatusFound)
	}
	switch {
	case has("rate_limited"):
		rw.Header().Set("Retry-After", strconv.Itoa(max(change.RetryAfter, 1)))
		page(rw, http.StatusTooManyRequests, "Too Many Requests", "")
	case has("server_error"), has("flaky") && n%3 == 0:
		page(rw, http.StatusServiceUnavailable, "Service Unavailable", "")
	case has("not_found"):
		nothing(rw)
	case has("html"):
		page(rw, http.StatusOK, "Welcome to the hotel network", "Please accept the terms.")
	case has("empty_body"):
		rw.Header().Set("Content-Type", "application/octet-stream")
	case has("range_416") && r.Header.Get("Range") != "":
		rw.Header().Set("Content-Range", "bytes */0")
		page(rw, http.StatusRequestedRangeNotSatisfiable, "Requested Range Not Satisfiable", "")
	case has("endless"):
		w.sendWithoutEnd(rw, r)
	case has("redirect"):
		if r.URL.Query().Has("elsewhere") {
			return false
		}
		to(r.URL.Path + "?elsewhere")
	case has("redirect_foreign"):
		to("https://files.example.net" + r.URL.Path)
	case has("redirect_loopback"):
		to("http://127.0.0.1:22" + r.URL.Path)
	case has("redirect_metadata"):
		to("http://169.254.169.254/latest/meta-data/")
	case has("redirect_file"):
		to("file:///etc/passwd")
	case has("redirect_loop"):
		to(r.URL.Path)
	default:
		return false
	}
	return true
}

// sendWithoutEnd sends until the client has had enough.
func (w *Web) sendWithoutEnd(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "application/octet-stream")
	n := newNoise(99)
	piece := make([]byte, 32<<10)
	for off := int64(0); r.Context().Err() == nil; off += int64(len(piece)) {
		n.fill(piece, off)
		if _, err := rw.Write(piece); err != nil {
			return // it has
		}
	}
}

var errCut = errors.New("cut on purpose")

// sending reads a file for one answer: at its pace, keeping book, and cut short
// when that was ordered. It implements io.ReadSeeker.
type sending struct {
	blob              *blob
	at, end           int64
	done              <-chan struct{}
	record            *span
	pace              pace
	cutting, stalling bool
	cut               int64 // where; -1: not known yet
	header            http.Header
	failed            error
}

// Seek is how http.ServeContent asks for the size and chooses the range.
func (s *sending) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		s.at = offset
	case io.SeekCurrent:
		s.at += offset
	case io.SeekEnd:
		s.at = s.end + offset
	}
	s.record.start(s.at)
	return s.at, nil
}

// answer is how long the answer is said to be.
func (s *sending) answer() int64 {
	n, err := strconv.ParseInt(s.header.Get("Content-Length"), 10, 64)
	if err != nil {
		return s.end - s.at
	}
	return n
}

func (s *sending) Read(p []byte) (int, error) {
	if s.at >= s.end {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), 64<<10)]
	if s.cutting || s.stalling {
		if s.cut < 0 { // half of the answer, and never more than 3 MB
			s.cut = s.at + min(s.answer()/2, 3<<20)
		}
		if s.at >= s.cut {
			if s.stalling {
				<-s.done
			}
			s.failed = errCut
			return 0, errCut
		}
		p = p[:min(int64(len(p)), s.cut-s.at)]
	}
	n, err := s.blob.ReadAt(p, s.at)
	s.pace.wait(n, s.done)
	s.at += int64(n)
	s.record.sent(s.at)
	return n, err
}
