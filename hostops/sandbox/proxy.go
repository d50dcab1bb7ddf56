package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/fetch"
)

// Bounds of what one script may do on the net.
const (
	maxConns     = 64        // at once
	maxTraffic   = 100 << 30 // bytes in both directions
	maxUpload    = 16 << 20  // bytes of one plain request
	idleLimit    = 2 * time.Minute
	maxRefusals  = 100 // targets that are told in the log
	headerLimit  = 64 << 10
	headerWithin = 30 * time.Second
)

// proxy is all of the net that a script has: CONNECT for https, and plain http
// requests, each to a public address on the port of its scheme or to what the
// operator named. It runs outside; the sandbox reaches it over a socket file.
type proxy struct {
	dialer *fetch.Dialer
	say    func(text string)
	server *http.Server
	plain  *http.Transport

	fetched atomic.Int64
	traffic atomic.Int64

	mu      sync.Mutex
	refused map[string]bool
}

func newProxy(dialer *fetch.Dialer, say func(text string)) *proxy {
	p := &proxy{dialer: dialer, say: say, refused: map[string]bool{}}
	p.plain = &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) { return p.dial(ctx, address, "80") },
		// What the script asked for is what it gets.
		DisableCompression: true, MaxIdleConns: maxConns, IdleConnTimeout: 30 * time.Second,
		ResponseHeaderTimeout: idleLimit, MaxResponseHeaderBytes: headerLimit,
	}
	p.server = &http.Server{
		Handler: p, ReadHeaderTimeout: headerWithin, IdleTimeout: idleLimit, MaxHeaderBytes: headerLimit,
		ErrorLog: log.New(io.Discard, "", 0), // what a script sends us is no event of ours
	}
	return p
}

// serve answers until close.
func (p *proxy) serve(l net.Listener) { _ = p.server.Serve(fewer(l, maxConns)) } // ends by close

func (p *proxy) close() {
	_ = p.server.Close() // connections of a build that is over
	p.plain.CloseIdleConnections()
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodConnect:
		p.connect(w, r)
	case r.URL.Scheme == "http" && r.URL.Host != "":
		p.forward(w, r)
	default:
		http.Error(w, "left4me: only CONNECT and plain http requests are understood here", http.StatusBadRequest)
	}
}

// dial connects to HOST:PORT if a script may.
func (p *proxy) dial(ctx context.Context, address, port string) (net.Conn, error) {
	if _, at, err := net.SplitHostPort(address); err != nil || at != port && !p.trusted(address) {
		err := fmt.Errorf("only port %s may be reached", port)
		p.tellRefused(address, err.Error())
		return nil, err
	}
	if p.traffic.Load() > maxTraffic {
		return nil, fmt.Errorf("the script has moved more than %s", size(maxTraffic))
	}
	conn, err := p.dialer.DialContext(ctx, "tcp", address)
	var refusal *fetch.Refusal
	if errors.As(err, &refusal) {
		p.tellRefused(address, "only public addresses may be reached ("+refusal.Why+")")
	}
	if err != nil {
		return nil, err
	}
	return &counted{Conn: conn, p: p}, nil
}

// trusted reports whether the operator named this target.
func (p *proxy) trusted(address string) bool {
	return slices.ContainsFunc(p.dialer.Trusted, func(t string) bool { return strings.EqualFold(t, address) })
}

// tellRefused says once for each target what was refused.
func (p *proxy) tellRefused(address, why string) {
	address = ctl.CleanLine([]byte(address), false)
	if len(address) > 200 {
		address = strings.ToValidUTF8(address[:200], "") + "…"
	}
	p.mu.Lock()
	known := p.refused[address] || len(p.refused) >= maxRefusals
	if !known {
		p.refused[address] = true
	}
	last := !known && len(p.refused) == maxRefusals
	p.mu.Unlock()
	if known {
		return
	}
	p.say(fmt.Sprintf("The script tried to reach %s: %s.", address, why))
	if last {
		p.say("More refused targets are not listed.")
	}
}

// connect is for https: bytes that only the two ends can read.
func (p *proxy) connect(w http.ResponseWriter, r *http.Request) {
	far, err := p.dial(r.Context(), r.Host, "443")
	if err != nil {
		p.answer(w, err)
		return
	}
	defer far.Close() // both directions are over
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, "left4me: not possible here", http.StatusInternalServerError)
		return
	}
	near, buffered, err := hijacker.Hijack()
	if err != nil {
		return
	}
	defer near.Close() // see above
	_ = near.SetDeadline(time.Time{})
	if _, err := io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	// What the client has sent already lies in the reader.
	var from io.Reader = near
	if n := buffered.Reader.Buffered(); n > 0 {
		early, err := buffered.Reader.Peek(n)
		if err != nil {
			return
		}
		if _, err := far.Write(early); err != nil {
			return
		}
	}
	join(near, from, far)
}

// forward is for plain http, which mirrors and old sites still speak.
func (p *proxy) forward(w http.ResponseWriter, r *http.Request) {
	out := r.Clone(r.Context())
	out.RequestURI = ""
	out.Body = http.MaxBytesReader(w, r.Body, maxUpload)
	removeHop(out.Header)
	resp, err := p.plain.RoundTrip(out)
	if err != nil {
		p.answer(w, err)
		return
	}
	defer resp.Body.Close() // read as far as anybody wanted
	removeHop(resp.Header)
	for key, values := range resp.Header {
		w.Header()[key] = values
	}
	w.WriteHeader(resp.StatusCode)
	flow := http.NewResponseController(w)
	buf := make([]byte, 64<<10)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			_ = flow.SetWriteDeadline(time.Now().Add(idleLimit)) // always possible on our own server
			if _, err := w.Write(buf[:n]); err != nil {
				return
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler) // half a body must not look like a whole one
		}
	}
}

// answer tells the script's program why there is nothing to fetch.
func (p *proxy) answer(w http.ResponseWriter, err error) {
	status := http.StatusBadGateway
	if errors.Is(err, fetch.ErrRefused) || strings.Contains(err.Error(), "may be reached") {
		status = http.StatusForbidden
	}
	http.Error(w, "left4me: "+err.Error(), status)
}

// removeHop removes the headers that are about one connection only (RFC 9110,
// 7.6.1).
func removeHop(h http.Header) {
	for _, list := range h.Values("Connection") {
		for name := range strings.SplitSeq(list, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		h.Del(name)
	}
}

// counted is a connection to the outside: it counts, and ends when it is idle.
type counted struct {
	net.Conn
	p *proxy
}

func (c *counted) Read(b []byte) (int, error) {
	if c.p.traffic.Load() > maxTraffic {
		return 0, errors.New("the script has moved too much")
	}
	if err := c.SetReadDeadline(time.Now().Add(idleLimit)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	c.p.fetched.Add(int64(n))
	c.p.traffic.Add(int64(n))
	return n, err
}

func (c *counted) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(idleLimit)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(b)
	c.p.traffic.Add(int64(n))
	return n, err
}

// CloseWrite tells the far end that nothing more comes.
func (c *counted) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// join copies both ways until both are at their end or one fails. from is what to
// read of near.
func join(near net.Conn, from io.Reader, far net.Conn) {
	done := make(chan struct{})
	go func() { // ends with the connections, which are closed below
		defer close(done)
		_, err := io.Copy(far, from)
		finish(far, err)
	}()
	_, err := io.Copy(near, far)
	finish(near, err)
	<-done
}

// finish passes an end on. After an error nothing can be said any more.
func finish(to net.Conn, err error) {
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite() // the other end has gone, then
		return
	}
	_ = to.Close() // see above
}

// fewer accepts at most n connections at a time; the others wait.
func fewer(l net.Listener, n int) net.Listener {
	return &fewListener{Listener: l, slots: make(chan struct{}, n), closed: make(chan struct{})}
}

type fewListener struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (l *fewListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &fewConn{Conn: conn, free: func() { <-l.slots }}, nil
}

func (l *fewListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type fewConn struct {
	net.Conn
	free func()
	once sync.Once
}

func (c *fewConn) Close() error {
	c.once.Do(c.free)
	return c.Conn.Close()
}

// CloseWrite tells the other end that nothing more comes.
func (c *fewConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// logLine is how the sandbox itself speaks.
func logLine(line func(ctl.Stream, string)) func(string) {
	return func(text string) { line(ctl.StreamCtl, text) }
}
