package sandbox

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"

	"left4me/hostops/ctl"
)

// Bounds of a script's output. A build that says more says it to nobody.
const (
	maxLine   = 8 << 10 // bytes of one line; the rest is cut
	lineRate  = 500     // lines a second
	lineBurst = 5000
	maxLines  = 100_000
)

// talk passes the script's lines on and cuts a flood.
type talk struct {
	send func(stream ctl.Stream, text string)
	now  func() time.Time

	mu      sync.Mutex
	room    float64 // lines that may be passed on at once
	at      time.Time
	passed  int
	dropped int
}

func newTalk(send func(ctl.Stream, string)) *talk {
	return &talk{send: send, now: time.Now, room: lineBurst, at: time.Now()}
}

// line passes one line on, or counts it.
func (t *talk) line(stream ctl.Stream, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.room = min(t.room+now.Sub(t.at).Seconds()*lineRate, lineBurst)
	t.at = now
	switch {
	case t.passed == maxLines:
		t.send(ctl.StreamCtl, fmt.Sprintf("The script has printed %d lines; what follows is not shown.", maxLines))
		t.passed++
		return
	case t.passed > maxLines:
		return
	case t.room < 1 || t.dropped > 0 && t.room < lineRate: // once cut, not one by one
		t.dropped++
		return
	}
	t.told()
	t.room--
	t.passed++
	t.send(stream, text)
}

// told says how many lines were left out since the last one.
func (t *talk) told() {
	if t.dropped > 0 {
		t.send(ctl.StreamCtl, fmt.Sprintf("%d lines were left out here: the script printed more than %d in a second.", t.dropped, lineRate))
		t.dropped = 0
	}
}

// end says what was left out at the end.
func (t *talk) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.passed <= maxLines {
		t.told()
	}
}

// copyLines reads until the last writer is gone and gives each line to add. A
// carriage return begins a line, as in the progress of many programs.
func copyLines(r io.Reader, add func(text string)) {
	var line []byte
	long := false // the rest of this line is thrown away
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			i := bytes.IndexAny(rest, "\r\n")
			part := rest
			if i >= 0 {
				part = rest[:i]
			}
			if room := maxLine - len(line); len(part) > room {
				part, long = part[:room], true
			}
			line = append(line, part...)
			if i < 0 {
				break
			}
			if rest[i] == '\n' || len(line) > 0 {
				add(ctl.CleanLine(line, long))
			}
			// The line break of "\r\n" is none of its own.
			if rest[i] == '\r' && i+1 < len(rest) && rest[i+1] == '\n' {
				i++
			}
			line, long, rest = line[:0], false, rest[i+1:]
		}
		if err != nil {
			if len(line) > 0 {
				add(ctl.CleanLine(line, long))
			}
			return
		}
	}
}
