package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// serve answers on a trusted address; client may ask it and *.example.
func serve(t *testing.T, h http.HandlerFunc) (client *Client, base string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	client = &Client{
		Hosts:  []string{"files.example", "*.cdn.example"},
		Dialer: &Dialer{Trusted: []string{strings.TrimPrefix(server.URL, "http://")}},
		Agent:  "test", Idle: 500 * time.Millisecond,
	}
	t.Cleanup(client.Close)
	return client, server.URL
}

func get(t *testing.T, c *Client, url string, limit int64) (string, error) {
	t.Helper()
	resp, err := c.Do(t.Context(), Request{URL: url, Limit: limit})
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return string(data), err
}

func TestAttack12RefusedURLs(t *testing.T) {
	t.Parallel()
	c, base := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "inside") })
	port := base[strings.LastIndex(base, ":"):]
	for _, target := range []string{
		"file:///etc/passwd", "gopher://files.example/1", "ftp://files.example/x", "//files.example/x", "files.example/x", "",
		"http://files.example/x", "https://files.example:8443/x", "https://user:pw@files.example/x", "https:///x",
		"https://other.example/x", "https://cdn.example/x", "https://evilcdn.example/x", "https://files.example.evil/x",
		"https://127.0.0.1/x", "https://[::1]/x", "http://localhost" + port, "http://127.0.0.1:1/", "http://2130706433" + port,
		"http://0x7f.0.0.1" + port, "http://[::ffff:127.0.0.1]" + port, "http://%zz/", "javascript:1", "data:,x",
		"https://files.example\n.evil/x",
	} {
		if _, err := get(t, c, target, 10); !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v, want a refusal", target, err)
		}
	}
	if got, err := get(t, c, base, 10); got != "inside" || err != nil {
		t.Errorf("the trusted address: %q, %v", got, err)
	}
}

func TestAttack12Redirects(t *testing.T) {
	t.Parallel()
	var c *Client
	var base string
	c, base = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
			return
		}
		fmt.Fprint(w, r.Header.Get("Range"))
	})
	to := func(target string) string { return base + "/?to=" + url.QueryEscape(target) }
	for _, target := range []string{
		"http://127.0.0.1:1/", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "gopher://files.example/",
		"https://other.example/", "http://files.example/", "https://10.0.0.1/", to("http://localhost/"), to("https://[::1]/x"),
	} {
		if _, err := get(t, c, to(target), 10); !errors.Is(err, ErrRefused) {
			t.Errorf("redirect to %q: %v, want a refusal", target, err)
		}
	}
	// Within the rules a redirect is followed and takes the range along.
	resp, err := c.Do(t.Context(), Request{URL: to(base + "/end"), Limit: 100, Header: http.Header{"Range": {"bytes=1-2"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if data, err := io.ReadAll(resp.Body); string(data) != "bytes=1-2" || err != nil || resp.URL != base+"/end" {
		t.Errorf("after a redirect: %q, %v at %s", data, err, resp.URL)
	}
	chain := base + "/end"
	for range maxRedirects + 1 {
		chain = to(chain)
	}
	if _, err := get(t, c, chain, 100); !errors.Is(err, ErrRefused) {
		t.Errorf("%d redirects: %v, want a refusal", maxRedirects+1, err)
	}
	if _, err := c.Do(t.Context(), Request{Method: http.MethodPost, URL: to(base), Body: []byte("x")}); !errors.Is(err, ErrRefused) {
		t.Errorf("redirect of a POST: %v, want a refusal", err)
	}
}

func TestAttack12Bodies(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	t.Cleanup(func() { close(gone) })
	c, base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		flush := w.(http.Flusher).Flush
		switch r.URL.Path {
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		case "/stops":
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "some")
			flush()
			select {
			case <-r.Context().Done():
			case <-gone:
			}
		case "/drips":
			for {
				fmt.Fprint(w, ".")
				flush()
				select {
				case <-r.Context().Done():
					return
				case <-gone:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		case "/truncated":
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "some")
		case "/headers":
			w.Header().Set("X-Long", strings.Repeat("x", 2*maxHeader))
		case "/exact":
			fmt.Fprint(w, strings.Repeat("x", 100))
		}
	})
	for path, want := range map[string]error{"/endless": ErrTooLong, "/stops": ErrStalled, "/drips": ErrStalled, "/truncated": ErrTruncated} {
		data, err := get(t, c, base+path, 100_000)
		if !errors.Is(err, want) || len(data) > 100_000 {
			t.Errorf("%s: %d bytes, %v; want %v", path, len(data), err, want)
		}
	}
	if _, err := get(t, c, base+"/headers", 100); err == nil {
		t.Error("endless headers were read")
	}
	if data, err := get(t, c, base+"/exact", 100); len(data) != 100 || err != nil {
		t.Errorf("a body as long as allowed: %d bytes, %v", len(data), err)
	}
	if data, err := get(t, c, base+"/exact", 99); len(data) != 99 || !errors.Is(err, ErrTooLong) {
		t.Errorf("a body one byte too long: %d bytes, %v", len(data), err)
	}
}

func TestCancelKeepsItsCause(t *testing.T) {
	t.Parallel()
	started := make(chan struct{})
	c, base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		close(started)
		<-r.Context().Done()
	})
	c.Idle = time.Minute
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the operator said so")
	go func() { <-started; cancel(why) }()
	resp, err := c.Do(ctx, Request{URL: base, Limit: 10})
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close() // it is over
	}
	if !errors.Is(err, why) {
		t.Errorf("cancelled: %v, want %v", err, why)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "-7": 0, "soon": 0, "99999999999": 0, "86400": maxRetryAfter,
		"Tue, 01 Sep 2026 12:00:30 GMT": 30 * time.Second, "Tue, 01 Sep 2026 11:00:00 GMT": 0, "Tue, 01 Sep 2099 12:00:00 GMT": maxRetryAfter,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("retryAfter(%q) = %s, want %s", value, got, want)
		}
	}
}
