package gamefiles_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/gamefiles"
	"left4me/hostops/overlay"
	"left4me/hostops/servercfg"
)

const server = "friday-k3x9"

// host is a state root with one server, whose game wrote into upper.
type host struct {
	*gamefiles.Reader
	t     testing.TB
	upper string
}

func newHost(t testing.TB) host {
	t.Helper()
	root := t.TempDir()
	h := host{&gamefiles.Reader{
		Root: root, Overlays: &overlay.Store{Root: root}, Cfg: servercfg.Overlays(filepath.Join(root, "overlays")),
	}, t, filepath.Join(root, "runtime", server, "upper")}
	h.write(map[string]string{"runtime/" + server + "/upper/": ""})
	return h
}

// write makes files below the state root; one that ends in / is a folder.
func (h host) write(files map[string]string) {
	h.t.Helper()
	for name, text := range files {
		full := filepath.Join(h.Root, name)
		err := os.MkdirAll(filepath.Dir(full), 0o755)
		if strings.HasSuffix(name, "/") {
			err = errors.Join(err, os.MkdirAll(full, 0o755))
		} else {
			err = errors.Join(err, os.WriteFile(full, []byte(text), 0o644))
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

// wrote makes files of the game; "whiteout" stands for a removed name.
func (h host) wrote(files map[string]string) {
	h.t.Helper()
	for name, text := range files {
		if text != "whiteout" {
			h.write(map[string]string{"runtime/" + server + "/upper/" + name: text})
			continue
		}
		full := filepath.Join(h.upper, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			h.t.Fatal(err)
		}
		// Everybody may make this one device: overlayfs needs it.
		if err := unix.Mknod(full, unix.S_IFCHR, 0); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h host) publish(id int64, files map[string]string) {
	h.t.Helper()
	st, err := h.Overlays.Begin(id)
	if err != nil {
		h.t.Fatal(err)
	}
	for name, text := range files {
		full := filepath.Join(st.Dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			h.t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			err = os.Symlink(target, full)
		} else {
			err = os.WriteFile(full, []byte(text), 0o644)
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
	tree, err := st.Check(context.Background(), overlay.CheckOptions{})
	if err == nil {
		_, err = st.Publish(tree, ctl.Version{Kind: ctl.OverlayFiles})
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// words renders a folder: path, what is special about it, and its layers.
func words(g *ctl.GameFolder) string {
	var all []string
	for _, e := range g.Entries {
		mark := map[ctl.GameFileKind]string{ctl.GameDir: "/", ctl.GameLink: "@", ctl.GameRemoved: "!", ctl.GameSpecial: "?"}[e.Kind]
		all = append(all, fmt.Sprintf("%s%s%v", e.Path, mark, e.Layers))
	}
	return strings.Join(all, " ")
}

func (h host) text(spec ctl.Spec, path string) (string, error) {
	h.t.Helper()
	f, err := h.Open(server, spec, path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // read only; nothing can be lost
	b, err := io.ReadAll(f)
	if err == nil && int64(len(b)) != f.Size() {
		h.t.Errorf("%s gave %d bytes and says it has %d", path, len(b), f.Size())
	}
	return string(b), err
}

func TestSeenIsWhatOverlayfsMerges(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.write(map[string]string{
		"installation/left4dead2/cfg/server.cfg": "stock", "installation/left4dead2/cfg/valve.rc": "rc",
		"installation/left4dead2/maps/c1.bsp": "map", "installation/left4dead2/maps/c2.bsp": "map2", "installation/left4dead2/old/x": "x", "installation/srcds_linux": "elf",
	})
	h.publish(1, map[string]string{"left4dead2/cfg/server.cfg": "over", "left4dead2/maps/c1.bsp": "new map", "left4dead2/addons/x.txt": "x"})
	h.publish(2, map[string]string{"left4dead2/addons/sub/y": "y", "left4dead2/addons/l": "-> x.txt"})
	h.wrote(map[string]string{
		"left4dead2/logs/l1.log": "started", "left4dead2/cfg/banned_user.cfg": "ban", "left4dead2/maps/c1.bsp": "whiteout",
		"left4dead2/old": "whiteout", "left4dead2/gone": "whiteout", "left4dead2/addons/sub": "a file now", "srcds_linux": "patched",
	})
	spec := ctl.Spec{Overlays: []string{"1/v1", "2/v1"}, RCONPassword: "opensesame", Config: "sv_alltalk 1\n"}
	for dir, want := range map[string]string{
		"":                  "left4dead2/[0 1 2 3 4] srcds_linux[0 4]",
		"left4dead2":        "left4dead2/addons/[0 2 3] left4dead2/cfg/[0 1 2 4] left4dead2/logs/[0] left4dead2/maps/[0 2 4] left4dead2/old![0 4]",
		"left4dead2/cfg":    "left4dead2/cfg/banned_user.cfg[0] left4dead2/cfg/server.cfg[1 2 4] left4dead2/cfg/valve.rc[4]",
		"left4dead2/maps":   "left4dead2/maps/c1.bsp![0 2 4] left4dead2/maps/c2.bsp[4]",
		"left4dead2/logs":   "left4dead2/logs/l1.log[0]",
		"left4dead2/addons": "left4dead2/addons/l@[3] left4dead2/addons/sub[0 3] left4dead2/addons/x.txt[2]",
	} {
		g, err := h.Seen(server, spec, dir)
		if err != nil {
			t.Errorf("%q: %v", dir, err)
		} else if got := words(g); got != want {
			t.Errorf("%q has %s\nwant   %s", dir, got, want)
		}
	}
	for _, dir := range []string{"left4dead2/old", "left4dead2/old/deep", "left4dead2/addons/sub", "left4dead2/nowhere", "srcds_linux"} {
		if g, err := h.Seen(server, spec, dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v, %v; want that it is not there", dir, g, err)
		}
	}
	for path, want := range map[string]string{
		"left4dead2/logs/l1.log": "started", "srcds_linux": "patched", "left4dead2/addons/x.txt": "x",
		"left4dead2/cfg/valve.rc": "rc", "left4dead2/addons/sub": "a file now", "left4dead2/maps/c2.bsp": "map2",
		"left4dead2/cfg/server.cfg": servercfg.Banner + "sv_alltalk 1\nrcon_password \"********\"\n",
	} {
		if got, err := h.text(spec, path); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", path, got, err, want)
		}
	}
	for path, want := range map[string]error{
		"left4dead2/maps/c1.bsp": fs.ErrNotExist, "left4dead2/old/x": fs.ErrNotExist, "left4dead2/addons/sub/y": fs.ErrNotExist,
		"left4dead2/cfg": fs.ErrInvalid, "left4dead2/nothing": fs.ErrNotExist, "": fs.ErrNotExist,
	} {
		if got, err := h.text(spec, path); !errors.Is(err, want) {
			t.Errorf("%q opens as %q, %v; want %v", path, got, err, want)
		}
	}
}

// A folder that the game removed and made anew shows nothing of what was there.
func TestSeenKnowsFoldersMadeAnew(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.write(map[string]string{"installation/left4dead2/logs/old/stock.log": "x"})
	h.wrote(map[string]string{"left4dead2/logs/new.log": "x", "left4dead2/logs/old/": ""})
	err := unix.Setxattr(filepath.Join(h.upper, "left4dead2/logs"), "user.overlay.opaque", []byte("y"), 0)
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("skipped: the temporary folder's file system keeps no user attributes, so no overlay can lie on it")
	} else if err != nil {
		t.Fatal(err)
	}
	g, err := h.Seen(server, ctl.Spec{}, "left4dead2/logs")
	if err != nil || words(g) != "left4dead2/logs/old/[0] left4dead2/logs/new.log[0]" {
		t.Errorf("it has %v, %v", g, err)
	}
	if text, err := h.text(ctl.Spec{}, "left4dead2/logs/old/stock.log"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a hidden file opens as %q, %v", text, err)
	}
}

func TestWritten(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	if g, err := h.Written("never-ran-k3x9", ""); err != nil || len(g.Entries) != 0 {
		t.Errorf("a server that never ran: %v, %v", g, err)
	}
	if g, err := h.Written("never-ran-k3x9", "left4dead2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder of a server that never ran: %v, %v", g, err)
	}
	h.wrote(map[string]string{"b.log": "12345", "a/": "", "c": "whiteout"})
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(h.upper, "b.log"), at, at); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(h.upper, "d")); err != nil {
		t.Fatal(err)
	}
	g, err := h.Written(server, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := words(g); got != "a/[0] b.log[0] c![0] d@[0]" {
		t.Errorf("it has %s", got)
	}
	if b := g.Entries[1]; b.Size != 5 || !b.Changed.Equal(at) || b.Closed {
		t.Errorf("b.log is %+v", b)
	}
	if d := g.Entries[3]; d.Link != "/etc/passwd" {
		t.Errorf("the link is %+v", d)
	}
}

// What grows while it is sent ends where it ended at the beginning.
func TestOpenIsBoundedByTheSizeAtTheBeginning(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.wrote(map[string]string{"live.log": "12345"})
	f, err := h.Open(server, ctl.Spec{}, "live.log")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // read only; nothing can be lost
	h.wrote(map[string]string{"live.log": "1234567890"})
	if b, err := io.ReadAll(f); err != nil || string(b) != "12345" || f.Size() != 5 {
		t.Errorf("%q of %d, %v", b, f.Size(), err)
	}
}

// What the game closed to everybody else is said to be closed.
func TestClosedFilesAreSaidToBe(t *testing.T) {
	h := newHost(t)
	h.wrote(map[string]string{"shut.log": "x", "shut/below": "x", "open.log": "x"})
	h.write(map[string]string{"installation/shut/stock": "x"})
	for name, mode := range map[string]fs.FileMode{"shut.log": 0, "shut": 0} {
		if err := os.Chmod(filepath.Join(h.upper, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(h.upper, "shut"), 0o755) }) // or an ordinary user could not remove it
	checked := make(chan struct{})
	go func() {
		defer close(checked)
		if os.Geteuid() == 0 { // root may read everything: this thread gives that up, and ends
			for dir := h.Root; dir != "/"; dir = filepath.Dir(dir) {
				if info, err := os.Stat(dir); err == nil && strings.HasPrefix(dir, os.TempDir()+"/") {
					_ = os.Chmod(dir, info.Mode()|0o055) // the test's own folders
				}
			}
			runtime.LockOSThread()
			if err := unix.Setfsuid(65534); err != nil {
				t.Error(err)
				return
			}
		}
		g, err := h.Written(server, "")
		if err != nil {
			t.Error(err)
			return
		}
		for _, e := range g.Entries {
			if e.Closed != strings.HasPrefix(e.Path, "shut") {
				t.Errorf("%s: closed is %v", e.Path, e.Closed)
			}
		}
		if _, err := h.Open(server, ctl.Spec{}, "shut.log"); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("a closed file: %v", err)
		}
		if _, err := h.Written(server, "shut"); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("a closed folder: %v", err)
		}
		if g, err := h.Seen(server, ctl.Spec{}, "shut"); err != nil || g.Layers[0].Fault == "" || words(g) != "shut/stock[3]" && words(g) != "shut/stock[2]" {
			t.Errorf("a closed folder in all: %+v, %v", g, err)
		}
	}()
	<-checked
}
