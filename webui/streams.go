package webui

import (
	"net/http"
	"sync"
)

// How many live streams there may be at once.
const (
	streamsPerSession = 6
	streamsPerUser    = 100
	streamsPerProcess = 2000
)

type streamKey struct{ session, user string }

// streams knows every live stream, to bound their number and to end them when
// their session ends.
type streams struct {
	mu     sync.Mutex
	open   map[*openStream]struct{}
	counts map[string]int // by "session:…" and "user:…"
	closed bool
}

// openStream is one of them; ended is closed when it must stop.
type openStream struct {
	key   streamKey
	ended chan struct{}
	once  sync.Once
}

func newStreams() *streams {
	return &streams{open: map[*openStream]struct{}{}, counts: map[string]int{}}
}

// take registers a stream, or returns a failure when there are too many.
func (s *streams) take(key streamKey) (*openStream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, &failure{status: http.StatusServiceUnavailable, title: "Restarting", text: "left4me is being restarted. This page comes back by itself.", retryAfter: 2}
	case s.counts["session:"+key.session] >= streamsPerSession, s.counts["user:"+key.user] >= streamsPerUser, len(s.open) >= streamsPerProcess:
		return nil, &failure{
			status: http.StatusTooManyRequests, title: "Too many live pages", retryAfter: 10,
			text: "Too many of your pages are live at once. Close some of them; this one then goes on by itself.",
		}
	}
	o := &openStream{key: key, ended: make(chan struct{})}
	s.open[o] = struct{}{}
	s.counts["session:"+key.session]++
	s.counts["user:"+key.user]++
	return o, nil
}

func (s *streams) release(o *openStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, o)
	for _, k := range []string{"session:" + o.key.session, "user:" + o.key.user} {
		if s.counts[k]--; s.counts[k] == 0 {
			delete(s.counts, k)
		}
	}
}

// count is how many are open.
func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// end tells the streams that match to stop. It does not wait for them.
func (s *streams) end(match func(streamKey) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for o := range s.open {
		if match(o.key) {
			o.once.Do(func() { close(o.ended) })
		}
	}
}

func (s *streams) endAll() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end(func(streamKey) bool { return true })
}
