package jobs

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// viewerBuffer is how many messages a viewer may lie behind before it is told to
// read rows instead.
const viewerBuffer = 256

// inlineBehind is how many messages a viewer may lie behind and still be handed the
// lines themselves: further on it gets their numbers and reads the rows, so that what
// is kept for one that does not read stays small.
const inlineBehind = 16

// Hub spreads the one Redis subscription of a process among its viewers. It
// never waits for a viewer: one that stops reading loses only its own messages.
type Hub struct {
	rdb *redis.Client
	log *slog.Logger

	dropped atomic.Int64

	mu      sync.RWMutex
	viewers map[string]map[*Viewer]struct{} // by topic
}

// NewHub makes a hub; Run feeds it.
func NewHub(rdb *redis.Client, log *slog.Logger) *Hub {
	return &Hub{rdb: rdb, log: log, viewers: map[string]map[*Viewer]struct{}{}}
}

// Run receives until ctx ends. Redis may go away and come back meanwhile: every
// viewer is then told that it may have missed something.
func (h *Hub) Run(ctx context.Context) {
	sub := h.rdb.Subscribe(ctx, eventsChannel)
	defer func() { _ = sub.Close() }() // nothing is pending on a subscription
	in := sub.ChannelWithSubscriptions(redis.WithChannelSize(1024))
	for {
		select {
		case <-ctx.Done():
			return
		case got, ok := <-in:
			if !ok {
				return
			}
			switch m := got.(type) {
			case *redis.Subscription: // subscribed, for the first time or again
				h.gapAll()
			case *redis.Message:
				h.dispatch(m.Payload)
			}
		}
	}
}

func (h *Hub) dispatch(payload string) {
	var m Message
	if err := json.Unmarshal([]byte(payload), &m); err != nil {
		h.log.Warn("dropped a message that is not ours", "err", err)
		return
	}
	if len(m.Lines) > 0 {
		m.shared = new(sharedLines)
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, topic := range m.Topics {
		for v := range h.viewers[topic] {
			one := m
			one.Topics = []string{topic}
			v.offer(one)
		}
	}
}

func (h *Hub) gapAll() {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, set := range h.viewers {
		for v := range set {
			v.gapped()
		}
	}
}

// Dropped counts the messages that found a viewer's buffer full, of all viewers that
// there ever were.
func (h *Hub) Dropped() int64 { return h.dropped.Load() }

// Subscribe registers a viewer of the topics. Register before reading rows, or
// what happens in between is missed. The caller closes it.
func (h *Hub) Subscribe(topics ...string) *Viewer {
	v := &Viewer{hub: h, topics: topics, messages: make(chan Message, viewerBuffer), gap: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range topics {
		if h.viewers[t] == nil {
			h.viewers[t] = map[*Viewer]struct{}{}
		}
		h.viewers[t][v] = struct{}{}
	}
	return v
}

// Viewer receives the messages of some topics.
type Viewer struct {
	hub      *Hub
	topics   []string
	messages chan Message
	gap      chan struct{}
	dropped  atomic.Int64
}

// Messages delivers what happens, one topic a message.
func (v *Viewer) Messages() <-chan Message { return v.messages }

// Gap says that messages may have been missed: read the rows again.
func (v *Viewer) Gap() <-chan struct{} { return v.gap }

// Dropped counts the messages that found the buffer full.
func (v *Viewer) Dropped() int64 { return v.dropped.Load() }

// Close ends the subscription. The channels are not closed.
func (v *Viewer) Close() {
	v.hub.mu.Lock()
	defer v.hub.mu.Unlock()
	for _, t := range v.topics {
		delete(v.hub.viewers[t], v)
		if len(v.hub.viewers[t]) == 0 {
			delete(v.hub.viewers, t)
		}
	}
}

func (v *Viewer) offer(m Message) {
	if len(v.messages) >= inlineBehind {
		m.Lines, m.shared = nil, nil
	}
	select {
	case v.messages <- m:
	default:
		v.dropped.Add(1)
		v.hub.dropped.Add(1)
		v.gapped()
	}
}

func (v *Viewer) gapped() {
	select {
	case v.gap <- struct{}{}:
	default: // told already
	}
}
