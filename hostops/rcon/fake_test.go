package rcon

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// session is one client of the fake server, seen from the server.
type session struct {
	t    *testing.T
	conn net.Conn
}

// serve starts a server that runs handle for every client and closes the connection when it returns. The test ends
// only when all of them have.
func serve(t *testing.T, handle func(s session)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed below
			}
			running.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // a stuck test fails instead of hanging
				handle(session{t, conn})
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		running.Wait()
	})
	return listener.Addr().String()
}

// read returns false when the client is gone.
func (s session) read() (packet, bool) {
	p, err := readPacket(s.conn)
	if err != nil && !errors.Is(err, io.EOF) && !isReset(err) {
		s.t.Errorf("server: read: %v", err)
	}
	return p, err == nil
}

// send ignores errors: a client that left is for the test to notice.
func (s session) send(packets ...packet) {
	for _, p := range packets {
		s.raw(encode(p)...)
	}
}

func (s session) raw(b ...byte) { _, _ = s.conn.Write(b) }

// signIn plays the server's part with the empty packet first, and fails the test if the password differs.
func (s session) signIn(password string) bool {
	p, ok := s.read()
	if !ok {
		return false
	}
	if p.kind != typeAuth || p.body != password {
		s.t.Errorf("server: sign-in %+v, want the password %q", p, password)
	}
	s.send(packet{p.id, typeReply, ""}, packet{p.id, typeAuthReply, ""})
	return true
}

// command returns the next command and the packet behind it that asks for the end of its answer.
func (s session) command() (cmd, end packet, ok bool) {
	if cmd, ok = s.read(); !ok {
		return cmd, end, false
	}
	if end, ok = s.read(); !ok {
		return cmd, end, false
	}
	if cmd.kind != typeExec || end.kind != typeReply || end.body != "" || cmd.id == end.id {
		s.t.Errorf("server: got %+v then %+v, want a command and an empty packet", cmd, end)
	}
	return cmd, end, true
}

// finish answers the end marker as Source does.
func (s session) finish(end packet) {
	s.send(packet{end.id, typeReply, ""}, packet{end.id, typeReply, "\x00\x01\x00\x00"})
}

func dial(t *testing.T, addr string) *Conn {
	t.Helper()
	c, err := Dial(within(t, 10*time.Second), addr, "secret")
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
