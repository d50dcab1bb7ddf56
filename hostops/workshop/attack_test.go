package workshop

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
)

// Whatever an item's description names as its file or picture, and wherever that
// redirects to: nothing inside is asked.
func TestAttack12ItemURLs(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 100)
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.String()
		_, _ = w.Write(vpk("101", 1000)) // whoever asked it has lost already
	}))
	t.Cleanup(inside.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(inside.URL, "http://"), ":")
	targets := []string{
		inside.URL + "/x.vpk", "http://localhost:" + port, "http://127.0.0.1.:" + port, "http://[::ffff:127.0.0.1]:" + port,
		"http://2130706433:" + port, "http://0x7f.1:" + port, "http://0177.0.0.1:" + port, "https://10.0.0.1/x.vpk",
		"https://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "file:///etc/passwd", "gopher://127.0.0.1:" + port + "/",
		"https://steamusercontent.com.evil.example/x", "https://cdn.steamusercontent.com:" + port + "/x", "https://user:pw@cdn.steamusercontent.com/x",
	}
	for _, target := range targets {
		for _, way := range []string{"named", "redirected to"} {
			t.Run(way+" "+target, func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				b.steam.add("102", 1000)
				if way == "named" {
					b.steam.add("101", 1000, "file_url", target, "preview_url", target+"?image")
				} else {
					b.steam.add("101", 1000, "preview_url", b.steam.url+"/ugc/101?image")
					b.steam.file = func(w http.ResponseWriter, r *http.Request, id string) bool {
						if id != "101" {
							return false
						}
						http.Redirect(w, r, target, http.StatusFound)
						return true
					}
				}
				got, err := b.fetch(t, "101", "102")
				if err != nil || got["101"].State != ctl.ItemFailed || got["102"].State != ctl.ItemStored {
					t.Errorf("items: %+v, %v", got, err)
				}
				b.mustLack(t, "101")
				if b.Store.hasImage("101") {
					t.Error("a picture was stored")
				}
			})
		}
	}
	t.Cleanup(func() { // after the subtests
		select {
		case at := <-asked:
			t.Errorf("%s of the server inside was asked for", at)
		default:
		}
	})
}

func TestAttack12HostOfFilesIsNotTheAPI(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Hosts = nil // then only Steam's may be asked for files, though the API is on this host
	b.steam.add("101", 1000)
	got, err := b.fetch(t, "101")
	if err == nil || got["101"].State != ctl.ItemFailed || b.steam.requests("101") > 0 {
		t.Errorf("item: %+v, %v; asked %d times", got["101"], err, b.steam.requests("101"))
	}
}

// Bodies that never end, stop, drip, or are not what was asked for. Each costs its
// item, within bounds, and no other.
func TestAttack12Bodies(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	}
	wait := func(r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-over:
		}
	}
	tests := map[string]struct {
		serve func(w http.ResponseWriter, r *http.Request)
		says  string
	}{
		"endless": {endless, "more bytes"},
		"endless range": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-65535/200000")
			w.WriteHeader(http.StatusPartialContent)
			endless(w, r)
		}, "other bytes"},
		"silent": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "200000")
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			wait(r)
		}, "nothing came"},
		"drops": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "200000")
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(".")); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				select {
				case <-over:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		}, "the transfer stopped"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.idle = time.Second
			b.steam.add("101", 200_000)
			b.steam.add("102", 1000)
			b.steam.file = func(w http.ResponseWriter, r *http.Request, id string) bool {
				if id == "101" {
					tt.serve(w, r)
				}
				return id == "101"
			}
			got, err := b.fetch(t, "101", "102")
			if it := got["101"]; err != nil || it.State != ctl.ItemFailed || !strings.Contains(it.Message, tt.says) {
				t.Errorf("item is %q: %q, %v; want …%s…", it.State, it.Message, err, tt.says)
			}
			b.mustLack(t, "101")
			b.mustHold(t, "102")
		})
	}
}

// What comes instead of the file is never taken for it.
func TestAttack30WrongFiles(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		serve func(w http.ResponseWriter, r *http.Request, data []byte)
		says  string
	}{
		"HTML": {func(w http.ResponseWriter, _ *http.Request, data []byte) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = fmt.Fprintf(w, "<!DOCTYPE html>%s", strings.Repeat(" ", len(data)-15))
		}, "a web page"},
		"truncated": {func(w http.ResponseWriter, _ *http.Request, data []byte) {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			_, _ = w.Write(data[:len(data)/2])
		}, "broke off"},
		"truncated range": {func(w http.ResponseWriter, r *http.Request, data []byte) {
			var from, to int
			_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(data)))
			w.Header().Set("Content-Length", fmt.Sprint(to-from+1))
			w.WriteHeader(http.StatusPartialContent)
		}, "broke off"},
		"shorter": {func(w http.ResponseWriter, r *http.Request, data []byte) {
			http.ServeContent(w, r, "x.vpk", time.Time{}, strings.NewReader(string(data[:len(data)-1])))
		}, "149999 bytes"},
		"longer": {func(w http.ResponseWriter, r *http.Request, data []byte) {
			http.ServeContent(w, r, "x.vpk", time.Time{}, strings.NewReader(string(data)+"x"))
		}, "150001 bytes"},
		"416": {func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		}, "changed while"},
		"another range": {func(w http.ResponseWriter, _ *http.Request, data []byte) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 7-70000/%d", len(data)))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(data[7:70001])
		}, "other bytes"},
		"compressed": {func(w http.ResponseWriter, _ *http.Request, data []byte) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(data)
		}, "an encoding"},
		"404": {func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(http.StatusNotFound) }, "status 404"},
		"500": {func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(http.StatusInternalServerError) }, "status 500"},
		"429": {func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			w.Header().Set("Retry-After", "86400")
			w.WriteHeader(http.StatusTooManyRequests)
		}, "next 1h0m0s"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.steam.add("101", 150_000)
			b.steam.add("102", 1000)
			b.steam.file = func(w http.ResponseWriter, r *http.Request, id string) bool {
				if id == "101" {
					tt.serve(w, r, b.steam.content[id])
				}
				return id == "101"
			}
			got, err := b.fetch(t, "101", "102")
			if it := got["101"]; err != nil || it.State != ctl.ItemFailed || !strings.Contains(it.Message, tt.says) {
				t.Errorf("item is %q: %q, %v; want …%s…", it.State, it.Message, err, tt.says)
			}
			b.mustLack(t, "101")
			b.mustHold(t, "102")
			// Once its host is well again, it comes.
			b.steam.onFile(nil)
			if got, err = b.fetch(t, "101"); err != nil || got["101"].State != ctl.ItemStored {
				t.Errorf("afterwards: %+v, %v", got["101"], err)
			}
			b.mustHold(t, "101")
			if left := b.leftovers(t); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// A file that is no VPK is kept, marked, and never taken for a good one.
func TestAttack30DisguisedFile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.steam.add("101", 1000)
	copy(b.steam.content["101"], "PK\x03\x04")
	for range 2 {
		got, err := b.fetch(t, "101")
		it := got["101"]
		if err != nil || it.State != ctl.ItemStored || len(it.Findings) != 1 || !strings.Contains(it.Message, "kept aside") {
			t.Errorf("item: %+v, %v", it, err)
		}
		if f := it.Findings[0]; f.Item != "101" || len(f.SHA256) != 64 || f.Verdict != ctl.VerdictRefused {
			t.Errorf("finding: %+v", f)
		}
		if v, err := b.Store.Newest("101"); err != nil || !v.Refused() {
			t.Errorf("stored: %+v, %v", v, err)
		}
	}
}

// Whatever an item calls itself, its file, its content and its time: names in the
// store come from its number, and nothing lies anywhere else.
func TestAttack3NamesOfItems(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	long := strings.Repeat("a", 3000)
	odd := []string{"../../../../etc/x.vpk", "/etc/x.vpk", `..\..\x.vpk`, "x\n.vpk", "x\u202ekpv.vpk", "%2e%2e%2fx.vpk", long + ".vpk", "x.vpk/../../y.vpk", "\x1b[2J.vpk"}
	var ids []string
	for i, name := range odd {
		id := fmt.Sprint(101 + i)
		ids = append(ids, id)
		b.steam.add(id, 1000, "filename", name, "title", name, "hcontent_file", name, "time_updated", []any{"../..", -1, "99999999999999999999", 1 << 62, nil, "1350000000", true, []any{"x"}, 0}[i])
	}
	b.steam.items["../../x"] = b.steam.items["101"]
	b.steam.lists["777"] = append([]string{"../../x", "c:../../y", "-1", "0", "0101", "1e3", "18446744073709551616"}, ids...)
	_, _ = b.fetch(t, "777") // some of them cannot be had
	place := regexp.MustCompile(`^[1-9][0-9]*(/\.lock|/item\.json|/[0-9]+-[0-9a-f]{8}/(item\.json|[1-9][0-9]*\.vpk))$`)
	stored := 0
	err := filepath.WalkDir(filepath.Dir(b.Store.Dir), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(b.Store.Dir, path)
		if err != nil || !place.MatchString(rel) {
			t.Errorf("%s lies in the store, or beside it: %v", rel, err)
		}
		if strings.HasSuffix(rel, ".vpk") {
			stored++
		}
		return nil
	})
	if err != nil || stored == 0 {
		t.Errorf("%d items are stored, %v", stored, err)
	}
	for _, line := range strings.Split(b.log(), "\n") {
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == '\u202e' }) || len(line) > 4000 {
			t.Errorf("it said %q", line)
		}
	}
}

// Collections that all list each other are asked about once each.
func TestAttack4BombOfCollections(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var all []string
	for i := range 400 {
		all = append(all, fmt.Sprintf("c:%d", 1000+i))
	}
	for i := range all {
		b.steam.lists[fmt.Sprint(1000+i)] = all
	}
	r, _ := Info(t.Context(), []string{"1000"}, b.Options)
	if asked := b.steam.calls("GetCollectionDetails"); len(r.Items) != len(all) || asked > 10 {
		t.Errorf("%d items and %d requests for %d collections", len(r.Items), asked, len(all))
	}
}
