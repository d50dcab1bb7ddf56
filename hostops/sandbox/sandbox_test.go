package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"left4me/hostops/ctl"
)

func TestScriptMakesFiles(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if b == nil {
		return
	}
	h := b.must(`set -eu
echo "in $PWD as $(id -un), $OVERLAY, $HOME, $GREETING"
echo oops >&2
mkdir -p left4dead2/cfg "empty folder"
printf 'sv_cheats 0\n' >left4dead2/cfg/server.cfg
printf '#!/bin/sh\n' >run.sh; chmod +x run.sh
ln -s cfg/server.cfg left4dead2/link
cat <(echo substituted)
mkdir closed; echo x >closed/x; chmod 000 closed/x; chmod 000 closed
`, func(b *Build) { b.Env = []string{"GREETING=hello; $(id)"} })
	if want := "out: in /build as build, /build, /tmp, hello; $(id)"; !strings.Contains(h.text(), want) {
		t.Errorf("no %q in\n%s", want, h.text())
	}
	for _, want := range []string{"err: oops", "out: substituted"} {
		if !strings.Contains(h.text(), want) {
			t.Errorf("no %q in\n%s", want, h.text())
		}
	}
	want := map[string]string{
		"left4dead2/": "", "left4dead2/cfg/": "", "empty folder/": "", "left4dead2/cfg/server.cfg": "sv_cheats 0\n",
		"run.sh": "#!/bin/sh\n", "left4dead2/link": "L---------", "closed/": "", "closed/x": "x\n",
	}
	if !maps.Equal(h.files, want) {
		t.Errorf("files %q\nwant %q", h.files, want)
	}
	b.gone()
}

func TestScriptFails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if b == nil {
		return
	}
	for script, code := range map[string]int{"exit 3": 3, "kill -9 $$": 137, "no-such-program-anywhere": 127, "exit 0\n(": 0} {
		h, err := b.run(t.Context(), script, nil)
		if err != nil || h.ExitCode != code || (h.files != nil) != (code == 0) {
			t.Errorf("%s: code %d, %v, took %v, want %d", script, h.ExitCode, err, h.files, code)
		}
	}
	b.gone()
}

func TestPreviousIsReadOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if b == nil {
		return
	}
	previous := t.TempDir()
	if err := os.WriteFile(filepath.Join(previous, "old"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	h := b.must(`cat /previous/old >kept; echo new >/previous/new; test ! -e /previous/new`, func(b *Build) { b.Previous = previous })
	if h.files["kept"] != "old" || !strings.Contains(h.text(), "Read-only file system") {
		t.Errorf("%q\n%s", h.files, h.text())
	}
	h = b.must(`test ! -e /previous`, nil)
	if _, err := os.Stat(filepath.Join(previous, "old")); err != nil {
		t.Error(err)
	}
	_ = h
}

func TestRefusedBuilds(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Build){
		"no id":          func(b *Build) { b.ID = "" },
		"path as id":     func(b *Build) { b.ID = "../7" },
		"option as id":   func(b *Build) { b.ID = "-7" },
		"no script":      func(b *Build) { b.Script = " \n" },
		"NUL":            func(b *Build) { b.Script = "echo \x00" },
		"not UTF-8":      func(b *Build) { b.Script = "echo \xff" },
		"too long":       func(b *Build) { b.Script = strings.Repeat("#", maxScript+1) },
		"odd variable":   func(b *Build) { b.Env = []string{"LD preload=x"} },
		"small letters":  func(b *Build) { b.Env = []string{"path=x"} },
		"NUL in a value": func(b *Build) { b.Env = []string{"X=\x00"} },
		"many variables": func(b *Build) { b.Env = slices.Repeat([]string{"X=1"}, maxEnv+1) },
	} {
		b := Build{ID: "7", Script: "true"}
		change(&b)
		if _, err := (&Rootless{Root: t.TempDir()}).Run(t.Context(), b); !errors.Is(err, ctl.ErrBadSpec) {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
}

func TestScriptReachesTheNetThroughTheProxy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if b == nil {
		return
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/redirect" {
			http.Redirect(w, r, "/file", http.StatusFound)
			return
		}
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, r.Header.Get("Proxy-Authorization"))
	}))
	defer server.Close()
	url := b.trust(server)
	h := b.must(fmt.Sprintf("set -eu\ncurl -fsSL -o got %[1]s/redirect\ncurl -fsS -d x -o posted %[1]s/post\ncurl -fsS -p -o tunnelled %[1]s/tunnel\n", url), nil)
	want := map[string]string{"got": "GET /file ", "posted": "POST /post ", "tunnelled": "GET /tunnel "}
	if !maps.Equal(h.files, want) || h.Fetched == 0 {
		t.Errorf("files %q, %d bytes\n%s", h.files, h.Fetched, h.text())
	}
}
