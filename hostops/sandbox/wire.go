package sandbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"left4me/hostops/ctl"
)

// l4d2ctl and the first process inside talk over a stream socket, one JSON object
// a line in each direction. The first line from l4d2ctl are the orders.

// maxFrame bounds a line on the socket; the longest is one of output.
const maxFrame = 64 << 10

// order is what l4d2ctl says.
type order struct {
	Do string `json:"do"`

	// view, to the first stage of Rootless only: what to make the sandbox of.
	Folder   string `json:"folder,omitempty"` // absolute path of builds/ID
	Dev, Ino uint64 `json:",omitempty"`       // what must be found there
	Previous string `json:"previous,omitempty"`

	// run
	Env    []string `json:"env,omitempty"`
	Limits Limits   `json:"limits,omitzero"`
	Tasks  int      `json:"tasks,omitempty"`
}

// The orders.
const (
	doView  = "view"
	doRun   = "run"
	doClean = "clean" // only empty /build
	doStop  = "stop"  // ask the script to end, then kill it
)

// report is what is said from inside.
type report struct {
	Is string `json:"is"`

	Stream ctl.Stream `json:"stream,omitempty"` // line
	Text   string     `json:"text,omitempty"`   // line, failed
	Bytes  int64      `json:"bytes,omitempty"`  // use: of the output
	Tmp    int64      `json:"tmp,omitempty"`    // use: memory that /tmp takes
	Limit  string     `json:"limit,omitempty"`  // limit
	Code   int        `json:"code,omitempty"`   // ended: the script's; failed: of ctl's table
}

// The reports.
const (
	isLine   = "line"
	isUse    = "use"
	isLimit  = "limit"
	isFailed = "failed" // the script was not started
	isEnded  = "ended"  // always the last
)

// wire is one end of the socket. Its writes do not overlap.
type wire struct {
	conn io.ReadWriteCloser
	in   *bufio.Reader
	mu   sync.Mutex
}

func newWire(conn io.ReadWriteCloser) *wire {
	return &wire{conn: conn, in: bufio.NewReaderSize(conn, maxFrame)}
}

func (w *wire) send(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err = w.conn.Write(append(b, '\n'))
	return err
}

// receive reads one line into v; io.EOF when the other end is gone.
func (w *wire) receive(v any) error {
	line, err := w.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return errors.New("a message is longer than it may be")
	}
	if err != nil {
		return io.EOF // half a line of somebody who was killed is nothing
	}
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("read a message: %w", err)
	}
	return nil
}

// receiveOne reads one line and not a byte beyond it, for a reader that hands the
// socket on.
func receiveOne(r io.Reader, v any) error {
	var line []byte
	for one := make([]byte, 1); ; {
		if _, err := io.ReadFull(r, one); err != nil {
			return io.EOF
		}
		if one[0] == '\n' {
			return json.Unmarshal(line, v)
		}
		if line = append(line, one[0]); len(line) > maxFrame {
			return errors.New("a message is longer than it may be")
		}
	}
}
