package steamsim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const smallItem = 3100000006 // 1 MB

func TestRanges(t *testing.T) {
	s := newShop(t)
	u := s.fileURL(smallItem)
	resp, whole := s.get(u)
	etag, modified := resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
	if resp.StatusCode != 200 || etag == "" || modified == "" || resp.Header.Get("Accept-Ranges") != "bytes" {
		t.Fatalf("%s %v", resp.Status, resp.Header)
	}
	head, _, _ := s.do(http.MethodHead, u, "")
	if head.ContentLength != int64(len(whole)) || head.Header.Get("ETag") != etag {
		t.Errorf("HEAD: %d, %v", head.ContentLength, head.Header)
	}
	for name, tt := range map[string]struct {
		header     []string
		status     int
		from, upTo int
	}{
		"a piece":             {[]string{"Range", "bytes=100-299"}, 206, 100, 300},
		"to the end":          {[]string{"Range", "bytes=500000-"}, 206, 500000, len(whole)},
		"beyond the end":      {[]string{"Range", fmt.Sprintf("bytes=%d-", len(whole))}, 416, 0, 0},
		"if still the same":   {[]string{"Range", "bytes=1-2", "If-Range", etag}, 206, 1, 3},
		"if of the same date": {[]string{"Range", "bytes=1-2", "If-Range", modified}, 206, 1, 3},
		"if it was another":   {[]string{"Range", "bytes=1-2", "If-Range", `"old"`}, 200, 0, len(whole)},
	} {
		resp, got := s.get(u, tt.header...)
		if resp.StatusCode != tt.status || (tt.upTo > 0 && !bytes.Equal(got, whole[tt.from:tt.upTo])) {
			t.Errorf("%s: %s, %d bytes", name, resp.Status, len(got))
		}
	}
	if resp, _ := s.get(u[:len(u)-4] + "FFF/"); resp.StatusCode != 404 {
		t.Errorf("a wrong hash: %s", resp.Status)
	}
}

func TestFaultsOfTheFileHost(t *testing.T) {
	s := newShop(t)
	url := func(fault string) string { return s.fileURL(faultyID(fault)) }
	for fault, check := range map[string]func(*http.Response, []byte, error) bool{
		"rate_limited": func(r *http.Response, _ []byte, _ error) bool {
			return r.StatusCode == 429 && r.Header.Get("Retry-After") == "1"
		},
		"server_error": func(r *http.Response, _ []byte, _ error) bool { return r.StatusCode == 503 },
		"not_found":    func(r *http.Response, _ []byte, _ error) bool { return r.StatusCode == 404 },
		"html": func(r *http.Response, b []byte, _ error) bool {
			return r.StatusCode == 200 && strings.HasPrefix(string(b), "<html>")
		},
		"empty_body": func(r *http.Response, b []byte, err error) bool {
			return r.StatusCode == 200 && len(b) == 0 && err == nil
		},
		"range_416": func(r *http.Response, _ []byte, _ error) bool { return r.StatusCode == 416 },
		"no_range": func(r *http.Response, b []byte, err error) bool {
			return r.StatusCode == 200 && len(b) > 900_000 && err == nil
		},
		"no_validators": func(r *http.Response, _ []byte, _ error) bool {
			return r.StatusCode == 206 && r.Header.Get("ETag") == "" && r.Header.Get("Last-Modified") == ""
		},
		"truncated": func(r *http.Response, b []byte, err error) bool {
			return r.StatusCode == 206 && len(b) == 50_000 && errors.Is(err, io.ErrUnexpectedEOF)
		},
		"endless": func(r *http.Response, b []byte, err error) bool {
			return r.StatusCode == 200 && r.ContentLength < 0 && len(b) == 8<<20
		},
		"redirect_foreign":  redirects("https://files.example.net/"),
		"redirect_loopback": redirects("http://127.0.0.1:22/"),
		"redirect_metadata": redirects("http://169.254.169.254/"),
		"redirect_file":     redirects("file:///etc/passwd"),
		"redirect_loop":     redirects("/ugc/"),
		"redirect":          redirects("/ugc/"),
	} {
		if r, b, err := s.do(http.MethodGet, url(fault), "", "Range", "bytes=1000-100999"); !check(r, b, err) {
			t.Errorf("%s: %s, %d bytes, %v", fault, r.Status, len(b), err)
		}
	}
	r, _ := s.get(url("redirect"))
	if r, b := s.get(r.Header.Get("Location")); r.StatusCode != 200 || len(b) < 900_000 {
		t.Errorf("behind the right redirect: %s, %d bytes", r.Status, len(b))
	}
}

func redirects(to string) func(*http.Response, []byte, error) bool {
	return func(r *http.Response, _ []byte, _ error) bool {
		return r.StatusCode == 302 && strings.HasPrefix(r.Header.Get("Location"), to)
	}
}

// A stalled body stops in the middle without an end; the client gives up.
func TestStalledBody(t *testing.T) {
	s := newShop(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.fileURL(faultyID("stalled")), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // it never ends
	if _, err := io.CopyN(io.Discard, resp.Body, resp.ContentLength/2); err != nil {
		t.Fatal(err)
	}
	more := make(chan error, 1)
	go func() {
		_, err := resp.Body.Read(make([]byte, 1))
		more <- err
	}()
	select {
	case err := <-more:
		t.Errorf("something came behind the half: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	stop()
	if err := <-more; !errors.Is(err, context.Canceled) {
		t.Errorf("the end was %v", err)
	}
}

func TestFlakyHostServesInTheEnd(t *testing.T) {
	s := newShop(t)
	u := s.fileURL(faultyID("flaky"))
	var got []string
	for range 4 {
		r, b, err := s.do(http.MethodGet, u, "", "Range", "bytes=0-9999")
		got = append(got, fmt.Sprint(r.StatusCode, len(b), err != nil))
	}
	if want := []string{"206 10000 false", "206 10000 false", "503 101 false", "206 5000 true"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestItemThatChangesWhileItIsFetched(t *testing.T) {
	s := newShop(t)
	id := faultyID("changes_while_fetching")
	before := s.details(id)[0]
	u := fmt.Sprint(before["file_url"])
	first, one := s.get(u, "Range", "bytes=0-99999")
	etag := first.Header.Get("ETag")
	s.get(u, "Range", "bytes=100000-199999", "If-Range", etag)
	third, whole := s.get(u, "Range", "bytes=200000-299999", "If-Range", etag)
	if third.StatusCode != 200 || third.Header.Get("ETag") == etag || bytes.Equal(whole[:100000], one) {
		t.Errorf("the third request: %s, %d bytes", third.Status, len(whole))
	}
	if after := s.details(id)[0]; after["time_updated"] == before["time_updated"] || asNumber(t, after["file_size"]) != float64(len(whole)) {
		t.Errorf("details stay at %v", after)
	}
}

// A limited fault passes, so that a client which tries again gets there.
func TestFaultsPass(t *testing.T) {
	s := newShop(t)
	u := s.fileURL(smallItem)
	s.item(smallItem, ItemControl{Faults: []string{"rate_limited"}, Count: 2, RetryAfter: 5})
	var got []int
	for range 3 {
		r, _ := s.get(u, "Range", "bytes=0-9")
		got = append(got, r.StatusCode)
	}
	if !slices.Equal(got, []int{429, 429, 206}) {
		t.Errorf("statuses %v", got)
	}
}

func TestDisguisedAndBrokenFiles(t *testing.T) {
	s := newShop(t)
	for fault, start := range map[string]string{"zip": "PK\x03\x04", "rar": "Rar!", "seven_zip": "7z\xbc\xaf\x27\x1c", "corrupt_tree": "\x34\x12\xaa\x55", "missing_parts": "\x34\x12\xaa\x55", "out_of_bounds": "\x34\x12\xaa\x55", "escaping_names": "\x34\x12\xaa\x55", "empty_file": ""} {
		d := s.details(faultyID(fault))[0]
		_, b := s.get(fmt.Sprint(d["file_url"]))
		if !strings.HasPrefix(string(b), start) || asNumber(t, d["file_size"]) != float64(len(b)) {
			t.Errorf("%s: begins with %q, %d bytes, %v said", fault, b[:min(len(b), 8)], len(b), d["file_size"])
		}
	}
}

func TestSlowHost(t *testing.T) {
	s := newShop(t)
	s.item(smallItem, ItemControl{Rate: 100_000})
	began := time.Now()
	s.get(s.fileURL(smallItem), "Range", "bytes=0-19999")
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("20 KB at 100 KB a second took %s", took)
	}
}

func TestStatistics(t *testing.T) {
	s := newShop(t)
	u := s.fileURL(smallItem)
	s.get(u, "Range", "bytes=0-99")
	s.get(u, "Range", "bytes=50-149")
	s.get(u, "Range", "bytes=150-199")
	s.get(u, "Range", "bytes=500-599")
	_, _, _ = s.do(http.MethodHead, u, "") // sends nothing
	read := func() (out Served) {
		_, b := s.get("/_sim/ranges")
		if err := json.Unmarshal(b, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	got := read()
	it := got.Items["3100000006"]
	want := []ServedRange{{0, 50, 1}, {50, 100, 2}, {100, 200, 1}, {500, 600, 1}}
	if !slices.Equal(it.Ranges, want) || it.Bytes != 350 || it.Again != 50 || it.Answers != 4 || it.Size < 1e6 {
		t.Errorf("got %+v, want ranges %v", it, want)
	}
	if got.Calls["/ISteamRemoteStorage/GetPublishedFileDetails/v1"] != 1 {
		t.Errorf("calls: %v", got.Calls)
	}
	if _, _, err := s.do(http.MethodPost, "/_sim/reset", ""); err != nil {
		t.Fatal(err)
	}
	if got := read(); len(got.Items) != 0 || len(got.Calls) != 0 {
		t.Errorf("after the reset: %+v", got)
	}
}
