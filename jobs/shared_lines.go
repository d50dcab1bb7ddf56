package jobs

import "sync"

// sharedLines is where the first of a message's viewers leaves its lines in the form
// in which they go out.
type sharedLines struct {
	once sync.Once
	text []byte
}

// Encode returns what encode makes of the message's lines. It is called once, however
// many viewers the message has: all of them pass the same function, and none changes
// what it returns.
func (m Message) Encode(encode func([]Line) []byte) []byte {
	if m.shared == nil {
		return encode(m.Lines)
	}
	m.shared.once.Do(func() { m.shared.text = encode(m.Lines) })
	return m.shared.text
}
