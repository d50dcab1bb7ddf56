package workshop

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
)

// A fetch that is killed three times on the way goes on where it was: no byte is
// fetched again but those of the pieces that were under way.
func TestKilledFetchGoesOn(t *testing.T) {
	t.Parallel()
	s := newFakeSteam(t)
	ids := []string{"101", "102", "103", "104"}
	sizes := map[string]int{"101": 6 << 20, "102": 3<<20 + 12345, "103": 100, "104": 64 << 10}
	for id, size := range sizes {
		s.add(id, size)
	}
	store := &Store{Dir: filepath.Join(t.TempDir(), "workshop")}
	const kills = 3
	for range kills {
		killed, served := make(chan struct{}), 0
		s.mu.Lock()
		s.file = func(w http.ResponseWriter, r *http.Request, id string) bool {
			s.mu.Lock()
			served++
			last := served == 25
			s.mu.Unlock()
			if last { // while the others are still under way
				close(killed)
				<-r.Context().Done()
			}
			return last
		}
		s.mu.Unlock()
		cmd := fetchCommand(s.url, store.Dir, ids)
		var errout strings.Builder
		cmd.Stderr = &errout
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-killed:
		case <-time.After(time.Minute):
			t.Error("25 requests did not come within a minute")
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil || errout.Len() > 0 {
			t.Errorf("the fetch ended with %v before it was killed: %s", err, errout.String())
		}
	}
	s.onFile(nil)
	cmd := fetchCommand(s.url, store.Dir, ids)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var items []ctl.Item
	if err := json.Unmarshal(out, &items); err != nil {
		t.Fatal(err)
	}
	b := &bench{steam: s, Options: s.options(store, func(ctl.Event) {})}
	var again int64
	for _, it := range items {
		if it.State != ctl.ItemStored {
			t.Errorf("item %s is %q: %s", it.ID, it.State, it.Message)
		}
		b.mustHold(t, it.ID)
		twice, missing := s.twice(it.ID)
		if missing != 0 {
			t.Errorf("item %s: %d bytes were never asked for", it.ID, missing)
		}
		if most := kills * itemConnections * b.piece; twice > most {
			t.Errorf("item %s: %d bytes were fetched again, want at most a piece for each connection and kill (%d)", it.ID, twice, most)
		}
		again += twice
	}
	if most := kills * allConnections * b.piece; again > most {
		t.Errorf("%d bytes were fetched again in all, want at most %d", again, most)
	}
	if left := b.leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func fetchCommand(url, dir string, ids []string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", append([]string{url, dir}, ids...)...)
	cmd.Env = append(os.Environ(), roleVariable+"=fetch")
	return cmd
}

// Whoever is killed while a version is published leaves none, or a whole one, and
// its bytes are not fetched again.
func TestPublishAgainAfterKill(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.steam.add("101", 300_000)
	if _, err := b.fetch(t, "101"); err != nil {
		t.Fatal(err)
	}
	v, err := b.Store.Newest("101")
	if err != nil {
		t.Fatal(err)
	}
	part := b.Store.inItem("101", v.Stamp+partSuffix)
	boot, err := bootID()
	if err != nil {
		t.Fatal(err)
	}
	whole := journal{Size: 300_000, Piece: b.piece, Boot: boot, Have: []int64{b.piece, b.piece, b.piece, b.piece, 300_000 - 4*b.piece}}
	states := map[string]func() error{
		// The link was made, the version not yet renamed into its place.
		"before the rename": func() error {
			if err := os.Rename(filepath.Dir(b.Store.File("101", v.Stamp)), b.Store.inItem("101", ".new-"+v.Stamp)); err != nil {
				return err
			}
			if err := os.Link(b.Store.inItem("101", ".new-"+v.Stamp+"/101.vpk"), part); err != nil {
				return err
			}
			return writeJSON(part+".json", whole)
		},
		// It is there, and the download was not removed yet.
		"after the rename": func() error {
			if err := os.Link(b.Store.File("101", v.Stamp), part); err != nil {
				return err
			}
			return writeJSON(part+".json", whole)
		},
	}
	for name, prepare := range states {
		if err := prepare(); err != nil {
			t.Fatal(err)
		}
		before := b.steam.requests("101")
		got, err := b.fetch(t, "101")
		if err != nil || got["101"].State != ctl.ItemStored {
			t.Fatalf("%s: %+v, %v", name, got["101"], err)
		}
		if n := b.steam.requests("101") - before; n > 0 {
			t.Errorf("%s: %d ranges were fetched again", name, n)
		}
		b.mustHold(t, "101")
	}
	// A version that cannot be read any more is fetched again, into another file:
	// overlays may have links to the old one.
	kept := filepath.Join(t.TempDir(), "linked.vpk")
	if err := os.Link(b.Store.File("101", v.Stamp), kept); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(kept, part); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.Store.inVersion("101", v.Stamp, recordName), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.steam.content["101"][200_000] ^= 0xff
	if _, err := b.fetch(t, "101"); err != nil {
		t.Fatal(err)
	}
	b.mustHold(t, "101")
	if sum, err := hash(context.Background(), open(t, kept)); err != nil || sum != v.SHA256 {
		t.Errorf("the file that overlays have was changed: %v", err)
	}
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // read only; nothing can be lost
	return f
}
