package steamsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// Web is Steam and a few other sites as seen over HTTP:
//
//	POST /ISteamRemoteStorage/GetPublishedFileDetails/v1/   webapi.go
//	POST /ISteamRemoteStorage/GetCollectionDetails/v1/
//	GET  /ISteamApps/UpToDateCheck/v1/
//	GET  /ISteamUser/GetPlayerSummaries/v2/                 profile.go: players and their pictures
//	GET  /avatars/ID_full.jpg
//	GET  /ugc/HANDLE/HASH/                                  filehost.go: items and images
//	GET  /https/HOST/PATH                                   mirror.go: what recipes fetch
//	GET  /_sim/ranges, POST /_sim/reset                     ranges.go: for tests only
//
// /https/api.steampowered.com/… and /https/cdn.steamusercontent.com/ugc/… are the
// first and the fourth again, for scripts that go through a mirror.
type Web struct {
	control func() (Control, error)
	mux     *http.ServeMux
	ranges  ranges

	mu    sync.Mutex
	met   map[string]int // how often something was met; see meets
	blobs map[blobKey]*blob
}

// NewWeb returns the sites. control is asked for each request.
func NewWeb(control func() (Control, error)) *Web {
	w := &Web{control: control, mux: http.NewServeMux(), met: map[string]int{}, blobs: map[blobKey]*blob{}}
	w.mux.HandleFunc("/ISteamRemoteStorage/", w.serveAPI)
	w.mux.HandleFunc("/ISteamApps/", w.serveAPI)
	w.mux.HandleFunc("GET /ISteamUser/GetPlayerSummaries/v2/", w.serveSummaries)
	w.mux.HandleFunc("GET /avatars/{file}", w.serveAvatar)
	w.mux.HandleFunc("/ugc/", w.serveFile)
	w.mux.HandleFunc("/https/", w.serveMirror)
	w.mux.HandleFunc("GET /_sim/ranges", w.serveRanges)
	w.mux.HandleFunc("POST /_sim/reset", w.serveReset)
	return w
}

// ServeHTTP implements http.Handler.
func (w *Web) ServeHTTP(rw http.ResponseWriter, r *http.Request) { w.mux.ServeHTTP(rw, r) }

// read returns the control settings; when they cannot be read it answers that.
func (w *Web) read(rw http.ResponseWriter) (Control, bool) {
	c, err := w.control()
	if err != nil {
		http.Error(rw, "steamsim: "+err.Error(), http.StatusInternalServerError)
		return Control{}, false
	}
	return c, true
}

// meets says whether something with a limit happens once more. A changed limit
// counts anew.
func (w *Web) meets(what string, limit int) bool {
	if limit == 0 {
		return true
	}
	return w.times(fmt.Sprintf("%s/%d", what, limit)) <= limit
}

// times counts and says how often it has, this time included.
func (w *Web) times(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.met[what]++
	return w.met[what]
}

// maxBlobs bounds what is kept between requests: each is about 70 KB.
const maxBlobs = 400

type blobKey struct {
	id       uint64
	revision int
	faults   string
}

// file is the content of an item with the faults that lie in it.
func (w *Web) file(it item) *blob {
	key := blobKey{it.id, it.revision, strings.Join(it.faults, " ")}
	w.mu.Lock()
	defer w.mu.Unlock()
	if b, ok := w.blobs[key]; ok {
		return b
	}
	if len(w.blobs) >= maxBlobs {
		clear(w.blobs)
	}
	b := it.file()
	w.blobs[key] = b
	return b
}

// file is the item as it is uploaded: its VPK, or what somebody took for one.
func (it item) file() *blob {
	b := it.content()
	for _, fault := range it.faults {
		b = spoilContent(fault, b)
	}
	return b
}

func writeJSON(rw http.ResponseWriter, v any) {
	rw.Header().Set("Content-Type", "application/json; charset=UTF-8")
	if err := json.NewEncoder(rw).Encode(v); err != nil {
		return // the client has left
	}
}

// page is what a web server says in HTML, as Steam does for its errors.
func page(rw http.ResponseWriter, status int, title, words string) {
	rw.Header().Set("Content-Type", "text/html; charset=UTF-8")
	rw.WriteHeader(status)
	_, _ = fmt.Fprintf(rw, "<html><head><title>%s</title></head><body><h1>%s</h1>%s</body></html>", title, title, words) // the client may have left
}

// serveReset forgets what was counted.
func (w *Web) serveReset(rw http.ResponseWriter, _ *http.Request) {
	w.mu.Lock()
	clear(w.met)
	w.mu.Unlock()
	w.ranges.reset()
	rw.WriteHeader(http.StatusNoContent)
}

// nothing is what a site without such a page answers.
func nothing(rw http.ResponseWriter) { page(rw, http.StatusNotFound, "Not Found", "") }

// trimmed is a request's path without the slash at its end.
func trimmed(p string) string { return path.Clean("/" + p) }

// pace spreads n bytes over the time that rate bytes a second take.
type pace struct {
	rate  int64
	start time.Time
	sent  int64
}

// wait waits until n more bytes may go, or until done closes.
func (p *pace) wait(n int, done <-chan struct{}) {
	if p.rate <= 0 {
		return
	}
	if p.start.IsZero() {
		p.start = time.Now()
	}
	p.sent += int64(n)
	due := p.start.Add(time.Duration(float64(p.sent) / float64(p.rate) * float64(time.Second)))
	if d := time.Until(due); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-done:
		}
	}
}
