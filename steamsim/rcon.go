package steamsim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"
)

// RCON, as Source speaks it. A packet is
//
//	int32 size, int32 id, int32 type, body, 0, 0
//
// little-endian, size not counting itself.
const (
	rconReply   = 0
	rconExec    = 2 // from the client; from the server the same number answers an auth
	rconAuth    = 3
	rconMinSize = 10
	rconMaxSize = 4096 + rconMinSize
	rconMaxBody = 4096 - rconMinSize
	rconIdle    = 5 * time.Minute
)

// serveRcon answers connections. It starts only when server.cfg has been
// executed: before that, connections wait in the kernel's queue, as they do
// while the real engine loads a map.
func (s *server) serveRcon() {
	for {
		c, err := s.tcp.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(100 * time.Millisecond) // out of descriptors; some connection may close
			continue
		}
		go s.serveRconConn(c)
	}
}

type rconConn struct {
	*server
	c      net.Conn
	peer   netip.AddrPort
	authed bool
}

func (s *server) serveRconConn(c net.Conn) {
	defer func() { _ = c.Close() }() // the peer sees the end either way
	peer, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return
	}
	r := &rconConn{server: s, c: c, peer: peer}
	for {
		if s.isBanned(peer.Addr()) {
			return
		}
		if err := c.SetReadDeadline(time.Now().Add(rconIdle)); err != nil {
			return
		}
		id, kind, body, err := readRcon(c)
		if err != nil {
			return
		}
		if err := r.answer(id, kind, body); err != nil {
			return
		}
	}
}

func readRcon(r io.Reader) (id, kind int32, body string, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, "", err
	}
	size := int32(binary.LittleEndian.Uint32(head[:]))
	if size < rconMinSize || size > rconMaxSize {
		return 0, 0, "", fmt.Errorf("packet of %d bytes", size)
	}
	buf := make([]byte, size)
	if _, err := io.ReadFull(r, buf); err != nil {
		return 0, 0, "", err
	}
	id = int32(binary.LittleEndian.Uint32(buf))
	kind = int32(binary.LittleEndian.Uint32(buf[4:]))
	body, _, _ = strings.Cut(string(buf[8:]), "\x00")
	return id, kind, body, nil
}

func (r *rconConn) send(id, kind int32, body string) error {
	b := make([]byte, 0, len(body)+14)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)+rconMinSize))
	b = binary.LittleEndian.AppendUint32(b, uint32(id))
	b = binary.LittleEndian.AppendUint32(b, uint32(kind))
	b = append(b, body...)
	b = append(b, 0, 0)
	_, err := r.c.Write(b)
	return err
}

func (r *rconConn) answer(id, kind int32, body string) error {
	switch kind {
	case rconAuth:
		return r.auth(id, body)
	case rconExec:
		if !r.authed {
			return r.reject()
		}
		return r.exec(id, body)
	case rconReply:
		if !r.authed {
			return r.reject()
		}
		// A reply packet from the client is sent back, with this one after it:
		// that is how clients find the end of a long reply.
		if err := r.send(id, rconReply, ""); err != nil {
			return err
		}
		return r.send(id, rconReply, "\x00\x01\x00\x00")
	}
	return nil
}

func (r *rconConn) auth(id int32, password string) error {
	r.mu.Lock()
	want := r.get("rcon_password")
	r.mu.Unlock()
	if err := r.send(id, rconReply, ""); err != nil {
		return err
	}
	if want == "" || password != want {
		return r.reject()
	}
	r.authed = true
	r.mu.Lock()
	r.bans.forgive(r.peer.Addr())
	r.mu.Unlock()
	return r.send(id, rconExec, "")
}

// reject answers a wrong password, or a command without one, and counts it.
func (r *rconConn) reject() error {
	r.authed = false
	r.mu.Lock()
	r.logEvent(fmt.Sprintf("rcon from \"%s\": Bad Password", r.peer))
	r.rconFailure(r.peer.Addr())
	r.mu.Unlock()
	return r.send(-1, rconExec, "")
}

// exec runs a command and sends what it printed, in pieces of about 4 KB
// without a mark at the end. A command without output gets one empty packet.
func (r *rconConn) exec(id int32, text string) error {
	r.mu.Lock()
	var reply strings.Builder
	if strings.TrimSpace(text) != "" {
		r.logEvent(fmt.Sprintf("rcon from \"%s\": command \"%s\"", r.peer, text))
		r.capture = &reply
		r.run(text, fromRcon)
		r.capture = nil
	}
	r.mu.Unlock()
	rest := reply.String()
	for first := true; first || rest != ""; first = false {
		n := min(len(rest), rconMaxBody)
		if err := r.send(id, rconReply, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}
