package sandbox

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"left4me/hostops/fetch"
)

// startProxy serves a proxy on a socket, as in a build, and returns a way to dial it
// and what it said.
func startProxy(t *testing.T, trusted ...string) (dial func() net.Conn, said func() string, p *proxy) {
	t.Helper()
	var mu sync.Mutex
	var lines []string
	p = newProxy(&fetch.Dialer{Trusted: trusted}, func(text string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, text)
	})
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	go p.serve(l) // ends by close
	t.Cleanup(p.close)
	dial = func() net.Conn {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() }) // the proxy may have closed it
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		return c
	}
	said = func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(lines, "\n")
	}
	return dial, said, p
}

func TestAttack12ProxyRefuses(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "inside") }))
	defer server.Close()
	at := strings.TrimPrefix(server.URL, "http://")
	dial, said, _ := startProxy(t)
	for name, request := range map[string]string{
		"a plain request":   "GET http://" + at + "/ HTTP/1.1\r\nHost: " + at + "\r\n\r\n",
		"its host by name":  "GET http://localhost:80/ HTTP/1.1\r\nHost: example.org\r\n\r\n",
		"a tunnel":          "CONNECT " + at + " HTTP/1.1\r\nHost: " + at + "\r\n\r\n",
		"a tunnel home":     "CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: x\r\n\r\n",
		"a mail server":     "CONNECT 93.184.215.14:25 HTTP/1.1\r\nHost: x\r\n\r\n",
		"metadata":          "GET http://169.254.169.254/latest/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"a path alone":      "GET / HTTP/1.1\r\nHost: " + at + "\r\n\r\n",
		"another scheme":    "GET ftp://" + at + "/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"https as plain":    "GET https://" + at + "/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"a tunnel nowhere":  "CONNECT : HTTP/1.1\r\nHost: x\r\n\r\n",
		"a colon too much":  "CONNECT 127.0.0.1:443:443 HTTP/1.1\r\nHost: x\r\n\r\n",
		"smuggled lines":    "GET http://127.0.0.1/\x0d HTTP/1.1\r\nHost: x\r\n\r\n",
		"not even a method": "\x16\x03\x01\x02\x00\r\n\r\n",
	} {
		c := dial()
		if _, err := io.WriteString(c, request); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			continue // hung up on
		}
		body, _ := io.ReadAll(resp.Body) // as far as it went
		if resp.StatusCode < 400 || strings.Contains(string(body), "inside") {
			t.Errorf("%s: %s %q", name, resp.Status, body)
		}
		_ = c.Close() // all was read
	}
	for _, want := range []string{"The script tried to reach " + at + ": only port ", "The script tried to reach 169.254.169.254:80: only public addresses may be reached"} {
		if !strings.Contains(said(), want) {
			t.Errorf("no line %q in\n%s", want, said())
		}
	}
}

// What it forwards is the request without what is about the connection to itself,
// and half of a body is never passed on as a whole one.
func TestProxyForwards(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "half")
			return
		}
		fmt.Fprintf(w, "%s|%s|%s", r.Header.Get("Proxy-Authorization"), r.Header.Get("X-Hop"), r.Header.Get("X-Kept"))
	}))
	defer server.Close()
	dial, _, p := startProxy(t, strings.TrimPrefix(server.URL, "http://"))
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy"}), DialContext: func(context.Context, string, string) (net.Conn, error) { return dial(), nil },
	}}
	get := func(path string) (string, error) {
		req, err := http.NewRequest(http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Proxy-Authorization": {"secret"}, "Connection": {"X-Hop"}, "X-Hop": {"hop"}, "X-Kept": {"kept"}}
		resp, err := client.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close() // read to its end
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	}
	if got, err := get("/"); got != "||kept" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := get("/half"); err == nil {
		t.Errorf("half a body came as %q", got)
	}
	if p.fetched.Load() == 0 {
		t.Error("nothing was counted")
	}
	p.traffic.Store(maxTraffic + 1)
	if got, err := get("/"); err == nil && !strings.Contains(got, "has moved") {
		t.Errorf("after all that it may move: %q", got)
	}
}

// More connections than one script may have wait, and do not hurt.
func TestProxyManyConnections(t *testing.T) {
	t.Parallel()
	dial, _, _ := startProxy(t)
	idle := make([]net.Conn, maxConns)
	for i := range idle {
		idle[i] = dial()
	}
	late := dial()
	if _, err := io.WriteString(late, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for _, c := range idle {
		_ = c.Close() // makes room
	}
	resp, err := http.ReadResponse(bufio.NewReader(late), nil)
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("%+v, %v", resp, err)
	}
}
