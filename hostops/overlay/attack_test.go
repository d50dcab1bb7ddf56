package overlay_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/overlay"
)

const secret = "a secret of somebody else"

// victim is a folder outside of the state root that nothing may touch.
func victim(t testing.TB) (dir string, untouched func()) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "victim")
	fill(t, dir, map[string]string{"secret": secret, "folder/below": secret})
	if err := errors.Join(os.Chmod(dir, 0o700), os.Chmod(dir+"/secret", 0o600), os.Chmod(dir+"/folder", 0o700)); err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	return dir, func() {
		t.Helper()
		if after := contents(t, dir); after != before {
			t.Errorf("outside it changed from\n%s\nto\n%s", before, after)
		}
	}
}

func refused(t *testing.T, st *overlay.Stage, o overlay.CheckOptions, says string) {
	t.Helper()
	tree, err := st.Check(context.Background(), o)
	if !errors.Is(err, ctl.ErrContent) || !strings.Contains(err.Error(), says) {
		t.Errorf("Check says %v of %+v, want a refusal with %q", err, tree, says)
	}
}

func TestAttack1Symlinks(t *testing.T) {
	t.Parallel()
	outside, untouched := victim(t)
	for target, says := range map[string]string{
		outside:                       "absolute path",
		outside + "/secret":           "absolute path",
		"/":                           "absolute path",
		"..":                          "leaves the overlay",
		"../../../../../etc/passwd":   "leaves the overlay",
		"a/../../x":                   ".. behind a name",
		"inner/..":                    ".. behind a name",
		strings.Repeat("x/", 600):     "too long",
		"a\nb":                        "control character",
		"./.././../x":                 "leaves the overlay",
		"//etc":                       "absolute path",
		strings.Repeat("../", 5) + "": "leaves the overlay",
	} {
		for _, place := range []string{"link", "left4dead2/link"} {
			if strings.Count(target, "..") == 1 && place != "link" {
				continue // one step up from a folder stays inside
			}
			st := begin(t, newStore(t), 1)
			fill(t, st.Dir, map[string]string{"left4dead2/inner/": ""})
			if err := os.Symlink(target, filepath.Join(st.Dir, place)); err != nil {
				t.Fatal(err)
			}
			refused(t, st, overlay.CheckOptions{}, says)
		}
	}
	untouched()

	// A published version that somebody planted a link in is read no further.
	s := newStore(t)
	publish(t, s, 1, map[string]string{"folder/file": "inside"})
	dir := filepath.Join(s.Root, "overlays/1/v1")
	for name, target := range map[string]string{"out": outside, "file": outside + "/secret", "up": "../../../../..", "inside": "folder/file", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"out/secret", "file", "up", "out", "loop", "folder", "folder/file/x", "../v1/folder/file", "/folder/file", "folder//file", ".", "", "folder/../folder/file", "missing"} {
		f, err := s.Open(1, 1, path)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q was opened: %v, %v", path, f, err)
		}
	}
	f, err := s.Open(1, 1, "inside")
	if err != nil || f.Size() != 6 {
		t.Errorf("a link that stays inside: %v, %v", f, err)
	} else if err := f.Close(); err != nil {
		t.Error(err)
	}
	untouched()

	// The folders above are no way out either.
	if err := os.Symlink(outside, filepath.Join(s.Root, "overlays/1/v2")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Manifest(1, 2); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a version that is a link has the manifest %v", err)
	}
	if v := publish(t, s, 1, map[string]string{"a": "1"}); v.Number != 3 {
		t.Errorf("the next version is %+v", v)
	}
	untouched()
}

// While a stage is checked and published, somebody exchanges its folder, and a
// file, for links to outside and back as fast as they can. Nothing outside is
// changed, and nothing of it is ever read into a version.
func TestAttack2Swap(t *testing.T) {
	t.Parallel()
	outside, untouched := victim(t)
	s := newStore(t)
	done := make(chan struct{})
	var swappers sync.WaitGroup
	swap := func(dir func() string, name, target string) {
		swappers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				path := filepath.Join(dir(), name)
				_ = os.Symlink(target, path+".evil") // every step may fail: the stage comes and goes
				_ = unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, path+".evil", unix.RENAME_EXCHANGE)
			}
		})
	}
	var mu sync.Mutex
	current := s.Root
	dir := func() string {
		mu.Lock()
		defer mu.Unlock()
		return current
	}
	swap(dir, "folder", outside)
	swap(dir, "file", outside+"/secret")
	published, refusals := 0, 0
	// On a slow machine it may take a while until a swap falls between two looks.
	deadline := time.Now().Add(30 * time.Second)
	for round := 0; round < 100 || refusals == 0 && time.Now().Before(deadline); round++ {
		st, err := s.Begin(1)
		if err != nil {
			continue // a swap fell into the removal of the stage before
		}
		fill(t, st.Dir, map[string]string{"folder/below": "ours", "folder/secret": "ours", "file": "ours"})
		mu.Lock()
		current = st.Dir
		mu.Unlock()
		tree, err := st.Check(context.Background(), overlay.CheckOptions{})
		if err != nil {
			refusals++
		} else if v, err := st.Publish(tree, ctl.Version{}); err == nil {
			published++
			m, err := s.Manifest(1, v.Number)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range m.Tree {
				if f.SHA256 == sumOf(secret) {
					t.Errorf("%s of version %d was read from outside", f.Path, v.Number)
				}
			}
		}
		mu.Lock()
		current = s.Root
		mu.Unlock()
		_ = st.Discard() // the swapper may have put something there just now
	}
	close(done)
	swappers.Wait()
	untouched()
	if refusals == 0 {
		t.Errorf("%d versions were published and nothing was ever refused: the swaps came too late", published)
	}
	t.Logf("%d refused, %d published", refusals, published)
}

func TestAttack3Names(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("d/", overlay.MaxDepth+1) + "file"
	long := strings.Repeat(strings.Repeat("x", 200)+"/", 6) + "file"
	for name, tt := range map[string]struct{ path, says string }{
		"line break":  {"a\nb", "control character"},
		"escape":      {"a\x1b[2Jb", "control character"},
		"DEL":         {"a\x7f", "control character"},
		"C1":          {"a\u0085b", "control character"},
		"not UTF-8":   {"a\xff", "not valid UTF-8"},
		"in a folder": {"left4dead2/\x01/file", "control character"},
		"too deep":    {deep, "deeper than 32 folders"},
		"too long":    {long, "more than 1024 bytes"},
	} {
		st := begin(t, newStore(t), 1)
		fill(t, st.Dir, map[string]string{tt.path: "x"})
		tree, err := st.Check(context.Background(), overlay.CheckOptions{})
		if !errors.Is(err, ctl.ErrContent) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v of %+v", name, err, tree)
		}
		if err != nil && (!utf8.ValidString(err.Error()) || strings.ContainsFunc(err.Error(), unicode.IsControl)) {
			t.Errorf("%s: the sentence has the name as it is: %q", name, err)
		}
	}
	// Odd and harmless.
	st := begin(t, newStore(t), 1)
	odd := map[string]string{"%2e%2e": "x", `back\slash`: "x", "trailing. ": "x", "漢字": "x", "...": "x", ".new-1": "x", "v1.json": "x", " ": "x", "-rf": "x"}
	fill(t, st.Dir, odd)
	if v := finish(t, st); v.Files != len(odd) {
		t.Errorf("of %d odd names %d are in the version", len(odd), v.Files)
	}
	for _, ref := range []string{"", "1", "1/v", "1/v0", "0/v1", "01/v1", "1/v01", "../v1", "1/v1/..", "1/v1\n", "1/v1234567890", "-1/v1", "1/V1", " 1/v1", "1/v1x", "１/v１"} {
		if r, err := overlay.ParseRef(ref); err == nil {
			t.Errorf("%q is taken for %v", ref, r)
		}
	}
	for _, path := range []string{"", ".", "..", "../a", "a/../b", "/a", "a/", "a//b", "a\x00b", "a\nb", "a\xffb", "./a", deep, long, strings.Repeat("x", 256)} {
		if err := overlay.CheckPath(path); err == nil {
			t.Errorf("%q is taken for a path", path)
		}
	}
	s := newStore(t)
	for _, id := range []string{"", "../../etc/passwd", "0192F0C1-0000-7000-8000-000000000000", "0192f0c1-0000-7000-8000-00000000000", "0192f0c1-0000-7000-8000-000000000000\n", "..", "a/b"} {
		if n, err := s.Append(id, 0, strings.NewReader("x")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("upload %q took %d bytes: %v", id, n, err)
		}
		if _, err := s.OpenUpload(id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("upload %q: %v", id, err)
		}
		if _, _, err := s.Image(id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("image %q: %v", id, err)
		}
	}
}

func TestAttack4SpecialFiles(t *testing.T) {
	t.Parallel()
	_, untouched := victim(t)
	for name, tt := range map[string]struct {
		root bool
		make func(path string) error
		says string
	}{
		"FIFO":     {false, func(p string) error { return unix.Mkfifo(p, 0o644) }, "is a FIFO"},
		"socket":   {false, func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o644, 0) }, "is a socket"},
		"setuid":   {false, func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o755), unix.Chmod(p, 0o4755)) }, "setuid"},
		"setgid":   {false, func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o755), unix.Chmod(p, 0o2755)) }, "setuid or setgid"},
		"whiteout": {true, func(p string) error { return unix.Mknod(p, unix.S_IFCHR, 0) }, "is a whiteout"},
		"device":   {true, func(p string) error { return unix.Mknod(p, unix.S_IFCHR, int(unix.Mkdev(1, 3))) }, "is a device"},
		"disk":     {true, func(p string) error { return unix.Mknod(p, unix.S_IFBLK, int(unix.Mkdev(7, 0))) }, "is a device"},
		"foreign":  {true, func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o644), os.Chown(p, 12345, 12345)) }, "belongs to user 12345"},
		"attribute": {false, func(p string) error {
			return errors.Join(os.Mkdir(p, 0o755), unix.Setxattr(p, "user.overlay.opaque", []byte("y"), 0))
		}, "user.overlay.opaque"},
		"trusted": {true, func(p string) error {
			return errors.Join(os.Mkdir(p, 0o755), unix.Setxattr(p, "trusted.overlay.redirect", []byte("/etc"), 0))
		}, "trusted.overlay.redirect"},
		"on a link": {true, func(p string) error {
			return errors.Join(os.Symlink("x", p), unix.Lsetxattr(p, "trusted.overlay.opaque", []byte("y"), 0))
		}, "trusted.overlay.opaque"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.root {
				needRoot(t, "to make such a file")
			}
			st := begin(t, newStore(t), 1)
			fill(t, st.Dir, map[string]string{"left4dead2/": ""})
			if err := tt.make(filepath.Join(st.Dir, "left4dead2/it")); err != nil {
				t.Fatal(err)
			}
			refused(t, st, overlay.CheckOptions{}, tt.says)
		})
	}
	untouched()
}

func TestAttack4Bomb(t *testing.T) {
	t.Parallel()
	st := begin(t, newStore(t), 1)
	for i := range 30 {
		fill(t, st.Dir, map[string]string{fmt.Sprintf("d%d/f", i): "x"})
	}
	refused(t, st, overlay.CheckOptions{Limits: overlay.Limits{Files: 59}}, "more than 59 files")
	if _, err := st.Check(context.Background(), overlay.CheckOptions{Limits: overlay.Limits{Files: 60}}); err != nil {
		t.Errorf("just as many as there may be: %v", err)
	}
	// Short files with long names: whoever shows their list holds them in memory.
	if _, err := st.Check(context.Background(), overlay.CheckOptions{Limits: overlay.Limits{Paths: 30 * len("d00d00/f")}}); err != nil {
		t.Errorf("just as long names as there may be: %v", err)
	}
	if err := os.Symlink(strings.Repeat("x/", 200), filepath.Join(st.Dir, "link")); err != nil {
		t.Fatal(err)
	}
	refused(t, st, overlay.CheckOptions{Limits: overlay.Limits{Paths: 400}}, "the names of all files have more than 0 KiB")
	if err := os.Remove(filepath.Join(st.Dir, "link")); err != nil {
		t.Fatal(err)
	}
	// A file may claim any size: it is refused before it is read.
	f, err := os.Create(filepath.Join(st.Dir, "huge"))
	if err == nil {
		err = errors.Join(f.Truncate(1<<42), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	refused(t, st, overlay.CheckOptions{Limits: overlay.Limits{Bytes: 1 << 30}}, "more than 1024 MiB")
}

func TestAttack5HardLinks(t *testing.T) {
	t.Parallel()
	outside, untouched := victim(t)
	s := newStore(t)
	st := begin(t, s, 1)
	if err := os.Link(outside+"/secret", filepath.Join(st.Dir, "it")); err != nil {
		if errors.Is(err, unix.EXDEV) {
			t.Fatalf("the temporary folder is in parts: %v", err)
		}
		t.Fatal(err)
	}
	before, err := os.Stat(outside + "/secret")
	if err != nil {
		t.Fatal(err)
	}
	refused(t, st, overlay.CheckOptions{}, "has another name somewhere else")
	after, err := os.Stat(outside + "/secret")
	if err != nil || after.Mode() != before.Mode() {
		t.Errorf("its mode was %v and is %v, %v", before.Mode(), after.Mode(), err)
	}
	if err := st.Discard(); err != nil {
		t.Error(err)
	}
	untouched()

	// Two names of one file inside are refused as well: to tell them from one
	// outside would need every name on the disk.
	st = begin(t, s, 1)
	fill(t, st.Dir, map[string]string{"a": "x"})
	if err := os.Link(st.Dir+"/a", st.Dir+"/b"); err != nil {
		t.Fatal(err)
	}
	refused(t, st, overlay.CheckOptions{}, "has another name")

	// What Link brought in keeps its mode, and a wrong one is an objection.
	f, err := os.Open(outside + "/secret")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st = begin(t, s, 2)
	if err := st.Link(f, "linked", sumOf(secret)); err != nil {
		t.Fatal(err)
	}
	refused(t, st, overlay.CheckOptions{}, "has the mode 0600 there")
	untouched()
}
