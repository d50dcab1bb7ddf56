package workshop

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"left4me/hostops/ctl"
)

// A large item comes in ranges, side by side, each byte once.
func TestRangesSideBySide(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.steam.add("101", 2<<20+7)
	var now, most atomic.Int64
	b.steam.file = func(w http.ResponseWriter, r *http.Request, id string) bool {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		if r.Header.Get("Range") != "bytes=0-65535" && r.Header.Get("If-Range") == "" {
			t.Errorf("range %s was asked for without If-Range", r.Header.Get("Range"))
		}
		b.steam.serveContent(w, r, b.steam.content[id])
		return true
	}
	if _, err := b.fetch(t, "101"); err != nil {
		t.Fatal(err)
	}
	b.mustHold(t, "101")
	if again, missing := b.steam.twice("101"); again != 0 || missing != 0 {
		t.Errorf("%d bytes were fetched twice, %d never", again, missing)
	}
	if n := most.Load(); n > itemConnections {
		t.Errorf("%d connections at once, want at most %d", n, itemConnections)
	}
}

// A host that knows no ranges sends the whole file, once.
func TestHostWithoutRanges(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]bool{"with its length": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.steam.add("101", 1<<20)
			b.steam.file = func(w http.ResponseWriter, _ *http.Request, id string) bool {
				if length {
					w.Header().Set("Content-Length", fmt.Sprint(len(b.steam.content[id])))
				} else {
					w.WriteHeader(http.StatusOK)
					w.(http.Flusher).Flush()
				}
				_, _ = w.Write(b.steam.content[id]) // the first request is given up
				return true
			}
			if _, err := b.fetch(t, "101"); err != nil {
				t.Fatal(err)
			}
			b.mustHold(t, "101")
			if n := b.steam.requests("101"); n != 2 {
				t.Errorf("%d requests, want 2", n)
			}
		})
	}
}

// A transfer that breaks off goes on in the middle of the piece.
func TestBrokenTransfersGoOn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.steam.add("101", 500_000)
	var n atomic.Int64
	b.steam.file = func(w http.ResponseWriter, r *http.Request, id string) bool {
		if n.Add(1)%2 == 0 {
			return false
		}
		var from, to int
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/500000", from, to))
		w.Header().Set("Content-Length", fmt.Sprint(to-from+1))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(b.steam.content[id][from : from+(to-from)/2]) // and then the connection ends
		return true
	}
	if _, err := b.fetch(t, "101"); err != nil {
		t.Fatal(err)
	}
	b.mustHold(t, "101")
}

// A file that changes under way begins anew, and comes whole.
func TestChangedWhileFetched(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.steam.add("101", 1<<20)
	other := vpk("999", 1<<20)
	var n atomic.Int64
	b.steam.file = func(w http.ResponseWriter, r *http.Request, id string) bool {
		data := b.steam.content[id]
		if n.Add(1) > 5 {
			data = other
		}
		b.steam.serveContent(w, r, data)
		return true
	}
	if _, err := b.fetch(t, "101"); err != nil {
		t.Fatal(err)
	}
	b.steam.content["101"] = other
	b.mustHold(t, "101")
}

// Its author uploads another version between Steam's answer and the download.
func TestChangedSizeIsAskedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.steam.add("101", 300_000)
	old := b.steam.items["101"]
	b.steam.add("101", 400_000, "time_updated", 1360000000, "hcontent_file", "9")
	fresh := b.steam.items["101"]
	b.steam.items["101"] = old
	b.steam.api = func(_ http.ResponseWriter, r *http.Request) bool {
		if b.steam.calls("GetPublishedFileDetails") > 1 {
			b.steam.items["101"] = fresh
		}
		return false
	}
	got, err := b.fetch(t, "101")
	if err != nil || got["101"].State != ctl.ItemStored || got["101"].Size != 400_000 || !strings.HasPrefix(got["101"].Stamp, "1360000000-") {
		t.Errorf("item: %+v, %v", got["101"], err)
	}
	b.mustHold(t, "101")
}

// Half of another content, or of before the last boot, is not gone on with.
func TestPartIsNotTrusted(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*journal){
		"of another boot":    func(j *journal) { j.Boot = "5bb1d1f3" },
		"of other pieces":    func(j *journal) { j.Piece = 1 << 20 },
		"of another size":    func(j *journal) { j.Size-- },
		"damaged":            func(j *journal) { j.Have = j.Have[1:] },
		"more than possible": func(j *journal) { j.Have[1] = j.Piece + 1 },
		"less than nothing":  func(j *journal) { j.Have[1] = -1 },
		"of another content": func(j *journal) { j.Validator = `"other"` },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.steam.add("101", 200_000)
			boot, err := bootID()
			if err != nil {
				t.Fatal(err)
			}
			j := journal{Size: 200_000, Piece: b.piece, Boot: boot, Have: []int64{b.piece, 10, 0, 0}}
			spoil(&j)
			stamp := stampOf(detail{Updated: 1350000000, Handle: "77101"})
			if err := os.MkdirAll(b.Store.item("101"), 0o755); err != nil {
				t.Fatal(err)
			}
			part := b.Store.inItem("101", stamp+partSuffix)
			if err := errors.Join(os.WriteFile(part, make([]byte, 200_000), 0o644), writeJSON(part+".json", j)); err != nil {
				t.Fatal(err)
			}
			if _, err := b.fetch(t, "101"); err != nil {
				t.Fatal(err)
			}
			b.mustHold(t, "101")
		})
	}
}

// The room is looked at first, and the sentence has the figures.
func TestDiskTooSmall(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.steam.add("101", 1000)
	b.steam.add("102", 1000, "file_size", 4_000_000_000)
	b.free = func(string) (int64, error) { return 5_000_000_000, nil }
	_, err := b.fetch(t, "101", "102")
	if !errors.Is(err, ctl.ErrDiskFull) || !strings.Contains(err.Error(), "4.0 GB of 2 workshop items") || !strings.Contains(err.Error(), "takes 5.5 GB") || !strings.Contains(err.Error(), "5.0 GB are free") {
		t.Errorf("error: %v", err)
	}
	if len(b.steam.ranges) > 0 {
		t.Error("something was fetched all the same")
	}
}

// Whoever cancels keeps what came.
func TestCancelKeepsWhatCame(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.steam.add("101", 1<<20)
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int64
	b.steam.file = func(_ http.ResponseWriter, r *http.Request, _ string) bool {
		if n.Add(1) != 8 {
			return false
		}
		cancel()
		<-r.Context().Done()
		return true
	}
	if _, err := Fetch(ctx, []string{"101"}, b.Options); !errors.Is(err, ctl.ErrCancelled) {
		t.Errorf("error: %v", err)
	}
	b.steam.onFile(nil)
	if _, err := b.fetch(t, "101"); err != nil {
		t.Fatal(err)
	}
	b.mustHold(t, "101")
	if !strings.Contains(b.log(), "going on after") {
		t.Errorf("log:\n%s", b.log())
	}
	if again, _ := b.steam.twice("101"); again > itemConnections*b.piece {
		t.Errorf("%d bytes were fetched again", again)
	}
}

// Two processes that want one item: one fetches it, the other finds it.
func TestOneItemAtATime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.steam.add("101", 200_000)
	release, err := b.Store.lock(t.Context(), "101", func() {})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := Fetch(t.Context(), []string{"101"}, b.Options)
		ended <- err
	}()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(b.log(), "another l4d2ctl fetches it"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing was said about waiting")
		}
	}
	if n := b.steam.requests("101"); n > 0 {
		t.Errorf("%d requests while another held it", n)
	}
	release()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	b.mustHold(t, "101")
}

// Progress is of all items together and ends at the total.
func TestProgress(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.steam.add("101", 700_000)
	b.steam.add("102", 300_000)
	if _, err := b.fetch(t, "101", "102"); err != nil {
		t.Fatal(err)
	}
	var last ctl.Phase
	for _, e := range b.events {
		if e.Type == ctl.EventProgress {
			last = *e.Phase
		}
	}
	if last.Key != "workshop.fetch" || last.Done != 1_000_000 || last.Total != 1_000_000 || last.Percent != 100 {
		t.Errorf("last progress: %+v", last)
	}
}
