package steamsim

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"sync"
)

// ranges keeps book of what the file host has sent, for tests: GET /_sim/ranges.
// There is nothing like it at Steam, and no product code asks for it.
type ranges struct {
	mu    sync.Mutex
	spans []*span
	sizes map[string]int64
	calls map[string]int
}

// span is what one answer sent of an item.
type span struct {
	r        *ranges
	id       string
	from, to int64
}

func (r *ranges) begin(id string, size int64) *span {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sizes == nil {
		r.sizes = map[string]int64{}
	}
	r.sizes[id] = size
	s := &span{r: r, id: id}
	r.spans = append(r.spans, s)
	return s
}

// start says where the answer begins; what was sent before stays in the book.
func (s *span) start(at int64) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if s.to > s.from {
		s.r.spans = append(s.r.spans, &span{s.r, s.id, s.from, s.to})
	}
	s.from, s.to = at, at
}

func (s *span) sent(upTo int64) {
	s.r.mu.Lock()
	s.to = upTo
	s.r.mu.Unlock()
}

func (r *ranges) called(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls == nil {
		r.calls = map[string]int{}
	}
	r.calls[path]++
}

func (r *ranges) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spans, r.sizes, r.calls = nil, nil, nil
}

// Served is what GET /_sim/ranges answers.
type Served struct {
	Items map[string]ServedItem `json:"items"` // by id
	Calls map[string]int        `json:"calls"` // of the Web API, by path
}

// ServedItem is what was sent of one item's file.
type ServedItem struct {
	Size    int64         `json:"size"`
	Answers int           `json:"answers"` // with at least one byte
	Bytes   int64         `json:"bytes"`   // all that was sent
	Again   int64         `json:"again"`   // of those, sent before
	Ranges  []ServedRange `json:"ranges"`  // without gaps in time: what was sent how often
}

// ServedRange is a stretch of bytes, From up to but without To.
type ServedRange struct {
	From  int64 `json:"from"`
	To    int64 `json:"to"`
	Times int   `json:"times"`
}

func (w *Web) serveRanges(rw http.ResponseWriter, _ *http.Request) { writeJSON(rw, w.ranges.served()) }

func (r *ranges) served() Served {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := Served{Items: map[string]ServedItem{}, Calls: maps.Clone(r.calls)}
	edges := map[string][]edge{}
	for _, s := range r.spans {
		if s.to > s.from {
			edges[s.id] = append(edges[s.id], edge{s.from, 1}, edge{s.to, -1})
		}
	}
	for id, list := range edges {
		it := ServedItem{Size: r.sizes[id], Answers: len(list) / 2}
		slices.SortFunc(list, func(a, b edge) int { return cmp.Compare(a.at, b.at) })
		depth, last := 0, int64(0)
		for _, e := range list {
			if depth > 0 && e.at > last {
				it.add(ServedRange{last, e.at, depth})
			}
			depth, last = depth+e.change, e.at
		}
		out.Items[id] = it
	}
	return out
}

type edge struct {
	at     int64
	change int
}

func (it *ServedItem) add(next ServedRange) {
	size := next.To - next.From
	it.Bytes += size * int64(next.Times)
	it.Again += size * int64(next.Times-1)
	if n := len(it.Ranges); n > 0 && it.Ranges[n-1].To == next.From && it.Ranges[n-1].Times == next.Times {
		it.Ranges[n-1].To = next.To
		return
	}
	it.Ranges = append(it.Ranges, next)
}
