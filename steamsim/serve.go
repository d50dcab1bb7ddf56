package steamsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// ServeOptions are those of Serve.
type ServeOptions struct {
	Listen  string // HOST:PORT; port 0 takes a free one
	Control string // control file, read again for each request; empty or missing: nothing goes wrong
	Speed   Speed  // where there is no control file
	// Lifeline, if not nil, ends the server when it ends: the write end of a pipe
	// is held by whoever wants the server, and closes however that one dies.
	Lifeline io.Reader
	// Ready is told the base URL once the server listens.
	Ready func(url string)
}

// Serve serves Web until ctx ends or the lifeline does.
func Serve(ctx context.Context, o ServeOptions) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if o.Lifeline != nil {
		go func() {
			defer stop()
			_, _ = io.Copy(io.Discard, o.Lifeline) // its end is all that matters
		}()
	}
	server := &http.Server{
		Handler: NewWeb(o.control), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		ErrorLog: log.New(io.Discard, "", 0), // clients that leave are what it is for
	}
	go func() {
		<-ctx.Done()
		_ = server.Close() // downloads under way are cut: nobody is left to care
	}()
	if o.Ready != nil {
		o.Ready("http://" + l.Addr().String())
	}
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func (o ServeOptions) control() (Control, error) {
	var c Control
	var err error
	if o.Control != "" {
		c, err = readControl(o.Control)
	}
	if c.Speed == 0 {
		c.Speed = o.Speed
	}
	return c, err
}
