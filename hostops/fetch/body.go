package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// dripBytes is what a body must bring in every span of the idle time: less is a
// server that holds a connection on purpose.
const dripBytes = 1 << 10

// idleConn gives up a read that brings nothing for a while. The time runs only
// while somebody reads.
type idleConn struct {
	net.Conn
	idle time.Duration
}

func (c *idleConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// limited is a body with an end and a least speed.
type limited struct {
	ctx  context.Context // of the request: its cause is the error of a cancelled read
	from io.ReadCloser
	left int64
	idle time.Duration

	waited time.Duration // in reads, since the span began
	came   int           // bytes, since then
	err    error
}

func (l *limited) Read(b []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	if l.left < int64(len(b)) {
		b = b[:l.left+1] // one more tells whether it ends here
	}
	begun := time.Now()
	n, err := l.from.Read(b)
	l.waited += time.Since(begun)
	l.came += n
	switch {
	case int64(n) > l.left:
		n, err = int(l.left), fmt.Errorf("%w (it was cut there)", ErrTooLong)
	case err == nil && l.waited >= l.idle:
		if l.came < dripBytes {
			err = fmt.Errorf("%w: %d bytes came in %s", ErrStalled, l.came, l.waited.Round(time.Second))
		}
		l.waited, l.came = 0, 0
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("%w: nothing came for %s", ErrStalled, l.idle)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = ErrTruncated
	case err != nil && err != io.EOF && l.ctx.Err() != nil:
		err = context.Cause(l.ctx)
	}
	l.left -= int64(n)
	l.err = err
	return n, err
}

// Close gives the connection up, or back when the body was read to its end.
func (l *limited) Close() error { return l.from.Close() }
