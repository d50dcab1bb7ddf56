package workshop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"left4me/hostops/ctl"
)

// fakeSteam is a Web API and a file host that do what a test says.
type fakeSteam struct {
	url string

	mu      sync.Mutex
	items   map[string]map[string]any // by id: the fields of an item's description
	lists   map[string][]string       // by id: what a collection lists; "c:" before a nested one
	content map[string][]byte         // by id
	ranges  map[string][]span         // by id: what was asked for
	asked   map[string]int            // by method: requests of the Web API

	// api and file may answer in place of the Web API and the file host; may be nil.
	api  func(w http.ResponseWriter, r *http.Request) (done bool)
	file func(w http.ResponseWriter, r *http.Request, id string) (done bool)
}

// span is bytes from first to last.
type span struct{ first, last int64 }

func newFakeSteam(t testing.TB) *fakeSteam {
	t.Helper()
	s := emptySteam("")
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ISteamRemoteStorage/{method}/v1/", s.serveAPI)
	mux.HandleFunc("GET /ugc/{id}", s.serveFile)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func emptySteam(url string) *fakeSteam {
	return &fakeSteam{
		url: url, items: map[string]map[string]any{}, lists: map[string][]string{}, content: map[string][]byte{},
		ranges: map[string][]span{}, asked: map[string]int{},
	}
}

// vpk is size bytes that begin like a VPK and differ by id.
func vpk(id string, size int) []byte {
	n, _ := strconv.ParseUint(id, 10, 64) // ids of tests are numbers
	chacha := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(size)})
	data := make([]byte, max(size, 12))
	_, _ = chacha.Read(data) // never fails
	copy(data, "\x34\x12\xaa\x55\x01\x00\x00\x00")
	return data
}

// add makes an item of size bytes. Fields of its description may be replaced.
func (s *fakeSteam) add(id string, size int, fields ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.content[id] = vpk(id, size)
	s.describeItem(id, len(s.content[id]))
	for i := 0; i < len(fields); i += 2 {
		s.items[id][fields[i].(string)] = fields[i+1]
	}
}

func (s *fakeSteam) describeItem(id string, size int) {
	s.items[id] = map[string]any{
		"publishedfileid": id, "result": 1, "creator_app_id": 550, "consumer_app_id": 550, "filename": "myl4d2addons/item" + id + ".vpk",
		"file_size": strconv.Itoa(size), "file_url": s.url + "/ugc/" + id, "hcontent_file": "77" + id,
		"preview_url": "", "title": "Item " + id, "time_updated": 1350000000, "tags": []any{map[string]any{"tag": "Campaigns"}},
	}
}

func (s *fakeSteam) serveAPI(w http.ResponseWriter, r *http.Request) {
	method := r.PathValue("method")
	s.mu.Lock()
	s.asked[method]++
	api := s.api
	s.mu.Unlock()
	if api != nil && api(w, r) {
		return
	}
	if r.ParseForm() != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var ids []string
	for i := 0; r.PostForm.Has(fmt.Sprintf("publishedfileids[%d]", i)); i++ {
		ids = append(ids, r.PostForm.Get(fmt.Sprintf("publishedfileids[%d]", i)))
	}
	count, list := "itemcount", "publishedfiledetails"
	if method == "GetCollectionDetails" {
		count, list = "collectioncount", "collectiondetails"
	}
	if r.PostForm.Get(count) != strconv.Itoa(len(ids)) || len(ids) == 0 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := []any{}
	for _, id := range ids {
		entries = append(entries, s.describe(method, id))
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_ = json.NewEncoder(w).Encode(map[string]any{"response": map[string]any{"result": 1, "resultcount": len(ids), list: entries}}) // a client that went away
}

func (s *fakeSteam) describe(method, id string) any {
	if method == "GetCollectionDetails" {
		list, ok := s.lists[id]
		if !ok {
			return map[string]any{"publishedfileid": id, "result": 9}
		}
		var kids []any
		for i, kid := range list {
			number, nested := strings.CutPrefix(kid, "c:")
			kind := 0
			if nested {
				kind = fileTypeCollection
			}
			kids = append(kids, map[string]any{"publishedfileid": number, "sortorder": i, "filetype": kind})
		}
		slices.Reverse(kids) // the order is in sortorder
		return map[string]any{"publishedfileid": id, "result": 1, "children": kids}
	}
	if fields, ok := s.items[id]; ok {
		return fields
	}
	if _, ok := s.lists[id]; ok {
		return map[string]any{"publishedfileid": id, "result": 1, "consumer_app_id": 550, "title": "Collection " + id, "file_size": 0, "time_updated": 1}
	}
	return map[string]any{"publishedfileid": id, "result": 9}
}

func (s *fakeSteam) serveFile(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	s.mu.Lock()
	data := s.content[id]
	var asked span
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &asked.first, &asked.last); n != 2 {
		asked = span{0, int64(len(data)) - 1}
	}
	s.ranges[id] = append(s.ranges[id], asked)
	file := s.file
	s.mu.Unlock()
	if file != nil && file(w, r, id) {
		return
	}
	if data == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	s.serveContent(w, r, data)
}

func (s *fakeSteam) serveContent(w http.ResponseWriter, r *http.Request, data []byte) {
	w.Header().Set("Content-Type", "application/octet-stream")
	if w.Header().Get("Etag") == "" {
		w.Header().Set("Etag", fmt.Sprintf(`"%x"`, data[:min(len(data), 64)]))
	}
	http.ServeContent(w, r, "", time.Unix(1350000000, 0), bytes.NewReader(data))
}

// bench is a store and a client of a fakeSteam.
type bench struct {
	Options
	steam *fakeSteam

	mu     sync.Mutex
	events []ctl.Event
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{steam: newFakeSteam(t)}
	b.Options = b.steam.options(&Store{Dir: filepath.Join(t.TempDir(), "workshop")}, b.note)
	return b
}

// options are for a fetch from s. Pauses and pieces are small.
func (s *fakeSteam) options(store *Store, emit func(ctl.Event)) Options {
	return Options{
		Store: store, API: s.url, Hosts: []string{strings.TrimPrefix(s.url, "http://")}, Emit: emit,
		Examine: examine, pause: time.Millisecond, piece: 64 << 10, free: func(string) (int64, error) { return 1 << 40, nil },
	}
}

// examine refuses what does not begin like a VPK.
func examine(_ context.Context, name string, file io.ReaderAt, _ int64) ([]ctl.Finding, []ctl.Campaign, error) {
	var magic [4]byte
	if _, err := file.ReadAt(magic[:], 0); err != nil {
		return nil, nil, err
	}
	if string(magic[:]) != "\x34\x12\xaa\x55" {
		return []ctl.Finding{{Path: name, Verdict: ctl.VerdictRefused, Code: "vpk.no_vpk", Sentence: "It is no VPK."}}, nil, nil
	}
	return nil, []ctl.Campaign{{Name: name, Title: "Campaign"}}, nil
}

func (b *bench) note(e ctl.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
}

// log is everything that was said.
func (b *bench) log() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var text strings.Builder
	for _, e := range b.events {
		if e.Type == ctl.EventLog {
			text.WriteString(e.Text + "\n")
		}
	}
	return text.String()
}

// fetch fetches and returns the items by id.
func (b *bench) fetch(t testing.TB, ids ...string) (map[string]ctl.Item, error) {
	t.Helper()
	r, err := Fetch(t.Context(), ids, b.Options)
	return byID(r.Items), err
}

func byID(list []ctl.Item) map[string]ctl.Item {
	all := map[string]ctl.Item{}
	for _, it := range list {
		all[it.ID] = it
	}
	return all
}

// mustHold fails unless the store's newest version of the item has the host's content.
func (b *bench) mustHold(t testing.TB, id string) {
	t.Helper()
	v, err := b.Store.Newest(id)
	if err != nil {
		t.Errorf("item %s: %v, want it in the store", id, err)
		return
	}
	data, err := os.ReadFile(b.Store.File(id, v.Stamp))
	if err != nil || !bytes.Equal(data, b.steam.content[id]) {
		t.Errorf("item %s: %d bytes, %v; want the %d of its host", id, len(data), err, len(b.steam.content[id]))
	}
	sum, err := hash(t.Context(), bytes.NewReader(data))
	if err != nil || sum != v.SHA256 {
		t.Errorf("item %s: SHA-256 %s, want %s", id, v.SHA256, sum)
	}
}

// mustLack fails when the store has a version of the item, or half of one.
func (b *bench) mustLack(t testing.TB, id string) {
	t.Helper()
	if v, err := b.Store.Newest(id); !errors.Is(err, ErrNotStored) {
		t.Errorf("item %s: version %q, %v in the store; want none", id, v.Stamp, err)
	}
}

// twice is how many bytes of an item were asked for more than once, and missing
// those that never were.
func (s *fakeSteam) twice(id string) (again, missing int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := make([]uint8, len(s.content[id]))
	for _, r := range s.ranges[id] {
		for i := r.first; i <= r.last && i < int64(len(seen)); i++ {
			seen[i]++
		}
	}
	for _, n := range seen {
		again += int64(max(n, 1) - 1)
		if n == 0 {
			missing++
		}
	}
	return again, missing
}

// requests is how often an item's file was asked for, calls how often the Web API.
func (s *fakeSteam) requests(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ranges[id])
}

func (s *fakeSteam) calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[method]
}

// onFile has f answer in place of the file host from now on.
func (s *fakeSteam) onFile(f func(w http.ResponseWriter, r *http.Request, id string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file = f
}

// leftovers lists what half-done work left in the store.
func (b *bench) leftovers(t testing.TB) []string {
	t.Helper()
	list := map[string]bool{}
	for _, pattern := range []string{"*/*.part", "*/*.part.json", "*/.new-*", "*/*.tmp", "*/*/*.tmp"} {
		found, err := filepath.Glob(filepath.Join(b.Store.Dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			list[path] = true
		}
	}
	return slices.Sorted(maps.Keys(list))
}
