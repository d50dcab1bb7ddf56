package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxRedirects  = 5
	maxHeader     = 64 << 10
	maxRetryAfter = time.Hour
	headerTimeout = 30 * time.Second
)

// Client gets things over https from a list of hosts, and over http as well from
// those that its Dialer trusts. It keeps no cookies, follows at most five
// redirects, each to a host of the list, and ignores the environment's proxies:
// behind one, neither the addresses nor the certificates would be what they seem.
// Its fields are set before the first call; calls may be made at the same time.
type Client struct {
	// Hosts may be asked; see MatchHost.
	Hosts []string
	// Dialer connects; its Trusted hosts may be asked too. It must not be nil.
	Dialer *Dialer
	// Agent is the User-Agent header.
	Agent string
	// Idle is how long a body may stop before it is given up; 0 is 30 seconds.
	Idle time.Duration

	once sync.Once
	http *http.Client
}

// Request is what to ask for.
type Request struct {
	Method string // "" is GET
	URL    string
	Header http.Header
	Body   []byte
	// Limit is how many bytes of the answer may be read; one more is ErrTooLong.
	Limit int64
}

// Response is an answer with any status. Its body must be closed.
type Response struct {
	Status     int
	Header     http.Header
	Length     int64 // of the body as announced, -1 when it was not
	URL        string
	Body       io.ReadCloser
	RetryAfter time.Duration // 0 when the server said nothing; at most an hour
}

// Do asks and returns whatever was answered once redirects are followed. What may
// not be asked is a *Refusal; so is a redirect to it, and any redirect of a POST.
func (c *Client) Do(ctx context.Context, r Request) (*Response, error) {
	c.once.Do(c.open)
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, r.URL, body)
	if err != nil {
		return nil, refuse(clip(r.URL), "it is not a URL")
	}
	if err := c.check(req.URL); err != nil {
		return nil, err
	}
	for key, values := range r.Header {
		req.Header[key] = slices.Clone(values)
	}
	req.Header.Set("User-Agent", c.Agent)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, plain(ctx, req.URL, err)
	}
	return &Response{
		Status: resp.StatusCode, Header: resp.Header, Length: resp.ContentLength, URL: resp.Request.URL.String(),
		Body:       &limited{ctx: ctx, from: resp.Body, left: r.Limit, idle: c.idle()},
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}, nil
}

// Close gives idle connections up.
func (c *Client) Close() {
	c.once.Do(c.open)
	c.http.CloseIdleConnections()
}

func (c *Client) idle() time.Duration {
	if c.Idle > 0 {
		return c.Idle
	}
	return 30 * time.Second
}

func (c *Client) open() {
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := c.Dialer.DialContext(ctx, network, address)
				if err != nil {
					return nil, err
				}
				return &idleConn{Conn: conn, idle: c.idle()}, nil
			},
			// Ranges are of the bytes as they lie there. HTTP/2 is left alone: its
			// streams would share one connection, and one connection is what is slow.
			DisableCompression:     true,
			MaxIdleConnsPerHost:    16,
			IdleConnTimeout:        30 * time.Second,
			TLSHandshakeTimeout:    dialTimeout,
			ResponseHeaderTimeout:  headerTimeout,
			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			switch {
			case len(via) > maxRedirects:
				return refuse(name(via[0].URL), "it redirects more than %d times", maxRedirects)
			case via[0].Method != http.MethodGet && via[0].Method != http.MethodHead:
				return refuse(name(via[0].URL), "it redirects to %s", name(req.URL))
			}
			return c.check(req.URL)
		},
	}
}

// check refuses what is not a plain URL of a host that may be asked.
func (c *Client) check(u *url.URL) error {
	host, port := u.Hostname(), portOf(u)
	trusted := c.Dialer.trusts(host, port)
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return refuse(name(u), "only https is used, not %q", clip(u.Scheme))
	case host == "":
		return refuse(name(u), "it names no host")
	case u.User != nil:
		return refuse(name(u), "it carries a login")
	case trusted:
		return nil
	case u.Scheme != "https":
		return refuse(name(u), "only https is used, not http")
	case port != "443":
		return refuse(name(u), "port %s is not used", clip(port))
	case !MatchHost(c.Hosts, host):
		return refuse(name(u), "%s is not one of the hosts that may be asked", clip(host))
	}
	return nil
}

// Address is the HOST:PORT that a URL's connections go to, as a Dialer trusts it.
func Address(u *url.URL) string { return net.JoinHostPort(u.Hostname(), portOf(u)) }

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// MatchHost reports whether host is one of the patterns: names in lower case, or
// *.NAME for everything below NAME.
func MatchHost(patterns []string, host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if below, wild := strings.CutPrefix(pattern, "*."); wild {
			return strings.HasSuffix(host, "."+below)
		}
		return host == pattern
	})
}

// name is a URL for messages: without a login, a query or a fragment.
func name(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Opaque: u.Opaque, Host: u.Host, Path: u.Path}
	return clip(shown.String())
}

func clip(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}

// plain takes Go's wrapping, which repeats the whole URL, off an error.
func plain(ctx context.Context, u *url.URL, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	return fmt.Errorf("ask %s: %w", clip(u.Host), err)
}

// retryAfter reads seconds or a date.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	wait := time.Duration(0)
	if n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32); err == nil {
		wait = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
