package sandbox

import (
	"context"
	"errors"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/fetch"
	"left4me/hostops/supervisor/suitetest"
)

// The tests run real scripts in the real sandbox of Rootless, as an ordinary user:
// as root each test runs itself again as nobody.

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "build-exec" {
		syscall.Exit(RunInside(os.Args[2:])) // os.Exit waits a second under the race detector
	}
	if len(os.Args) > 1 && os.Args[1] == "attack" {
		syscall.Exit(hostile())
	}
	if len(os.Args) > 2 && os.Args[1] == "run-and-wait" {
		syscall.Exit(runAndWait(os.Args[2]))
	}
	if len(os.Args) > 2 && os.Args[1] == "covered-proc" {
		syscall.Exit(coveredProc(os.Args[2]))
	}
	os.Exit(m.Run())
}

// bench is one sandbox to run scripts in.
type bench struct {
	*Rootless
	t *testing.T
}

// newBench returns nil where the test is done, having run as nobody.
func newBench(t *testing.T) *bench {
	t.Helper()
	if suitetest.AsUser(t) {
		return nil
	}
	return &bench{&Rootless{Root: t.TempDir(), Self: []string{"/proc/self/exe", "build-exec"}, Dialer: &fetch.Dialer{}}, t}
}

// trust lets scripts reach a server of the test.
func (b *bench) trust(s *httptest.Server) string {
	b.Dialer.Trusted = append(b.Dialer.Trusted, strings.TrimPrefix(s.URL, "http://"))
	return s.URL
}

// heard is what a run printed and made.
type heard struct {
	Outcome
	mu    sync.Mutex
	lines []string          // "stream: text"
	files map[string]string // path → content, folders end in /
}

func (h *heard) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.lines, "\n")
}

// run runs a script and keeps everything; change may be nil.
func (b *bench) run(ctx context.Context, script string, change func(*Build)) (*heard, error) {
	b.t.Helper()
	h := &heard{}
	build := Build{ID: "7", Script: script, Line: func(stream ctl.Stream, text string) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.lines = append(h.lines, string(stream)+": "+text)
	}, Take: func(out *os.Root) error {
		h.files = map[string]string{}
		return fs.WalkDir(out.FS(), ".", func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil || path == ".":
				return err
			case d.IsDir():
				h.files[path+"/"] = ""
				return nil
			case !d.Type().IsRegular():
				h.files[path] = d.Type().String()
				return nil
			}
			text, err := out.ReadFile(path)
			h.files[path] = string(text)
			return err
		})
	}}
	if change != nil {
		change(&build)
	}
	var err error
	h.Outcome, err = b.Run(ctx, build)
	return h, err
}

// must is run for a script that works.
func (b *bench) must(script string, change func(*Build)) *heard {
	b.t.Helper()
	h, err := b.run(b.t.Context(), script, change)
	if err != nil || h.ExitCode != 0 || h.Limit != "" {
		b.t.Fatalf("script: %v, %+v\n%s", err, h.Outcome, h.text())
	}
	return h
}

// gone fails unless nothing of any run is left.
func (b *bench) gone() {
	b.t.Helper()
	entries, err := os.ReadDir(filepath.Join(b.Root, "builds"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		b.t.Errorf("builds/%s is left", e.Name())
	}
}

// soon fails the test when ok stays false; how long it waits does not depend on
// the machine's speed in any test that passes.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
