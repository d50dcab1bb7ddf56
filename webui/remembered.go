package webui

import (
	"bytes"
	"sync"
)

// remembered is a view that shows nothing but its own fields, which can be compared:
// rendering an equal one again would come to the same.
type remembered interface {
	view
	remembered()
}

// maxRemembered bounds how many renderings are kept, twice.
const maxRemembered = 500

// memory keeps what was rendered lately. It is emptied by halves: what was not asked
// for since the last time goes.
type memory struct {
	mu         sync.Mutex
	young, old map[remembered][]byte
}

func newMemory() *memory { return &memory{young: map[remembered][]byte{}} }

func (m *memory) get(v remembered) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	html, ok := m.young[v]
	if !ok {
		if html, ok = m.old[v]; ok {
			m.put(v, html)
		}
	}
	return html, ok
}

func (m *memory) add(v remembered, html []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(v, bytes.Clone(html)) // without the room that was left to write on
}

// put adds to the young half. mu is held.
func (m *memory) put(v remembered, html []byte) {
	if len(m.young) >= maxRemembered {
		m.old, m.young = m.young, map[remembered][]byte{}
	}
	m.young[v] = html
}
