package overlay_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"left4me/hostops/ctl"
)

// words renders a stack's entries: path, / for folders, and the layers that have it.
func words(entries []ctl.StackEntry) string {
	var all []string
	for _, e := range entries {
		slash := ""
		if e.Dir {
			slash = "/"
		}
		all = append(all, fmt.Sprintf("%s%s%v", e.Path, slash, e.Layers))
	}
	return strings.Join(all, " ")
}

func TestStackIsWhatOverlayfsMerges(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	publish(t, s, 1, map[string]string{"cfg/server.cfg": "top", "cfg/only1": "x", "file-over-dir": "x", "dir-over-file/x": "x", "empty/": ""})
	publish(t, s, 2, map[string]string{"cfg/server.cfg": "low!", "cfg/a/b": "x", "file-over-dir/hidden": "x", "dir-over-file": "x", "empty/filled": "x"})
	publish(t, s, 3, map[string]string{"cfg/a/c": "x", "dir-over-file/hidden": "x", "a-b": "x", "a/x": "x", "a.c": "x"})
	fill(t, s.Root, map[string]string{"installation/cfg/server.cfg": "stock", "installation/cfg/valve.rc": "x", "installation/a-b": "x", "installation/srcds_linux": "12345"})
	refs := []string{"1/v1", "2/v1", "3/v1"}
	for dir, want := range map[string]string{
		"":              "a/[2] cfg/[0 1 2 3] dir-over-file/[0] empty/[0 1] a-b[2 3] a.c[2] file-over-dir[0 1] srcds_linux[3]",
		"cfg":           "cfg/a/[1 2] cfg/only1[0] cfg/server.cfg[0 1 3] cfg/valve.rc[3]",
		"cfg/a":         "cfg/a/b[1] cfg/a/c[2]",
		"file-over-dir": "",
		"dir-over-file": "dir-over-file/x[0]",
		"empty":         "empty/filled[1]",
		"missing":       "",
	} {
		st, err := s.Stack(refs, dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := words(st.Entries); got != want {
			t.Errorf("%q has %s\nwant %s", dir, got, want)
		}
	}
	st, err := s.Stack(refs, "")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := words(st.Shadows), "a-b[2 3] cfg/server.cfg[0 1 3]"; got != want {
		t.Errorf("shadows are %s, want %s", got, want)
	}
	if len(st.Layers) != 4 || st.Layers[0].Files != 4 || st.Layers[0].Size != 6 || st.Layers[3].Ref != "" || st.Layers[3].Fault != "" || st.Size != 6+8+5 {
		t.Errorf("layers are %+v, size %d", st.Layers, st.Size)
	}
	if e := st.Entries[len(st.Entries)-1]; e.Size != 5 {
		t.Errorf("the game's file is %+v", e)
	}
	below, err := s.Stack(refs, "cfg")
	if err != nil || words(below.Shadows) != "cfg/server.cfg[0 1 3]" {
		t.Errorf("shadows below cfg are %+v, %v", below, err)
	}
}

func TestStackSaysWhatItCannotRead(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	publish(t, s, 1, map[string]string{"a": "x"})
	publish(t, s, 1, map[string]string{"a": "y"})
	fill(t, s.Root, map[string]string{"overlays/2/v1/a": "by hand", "overlays/3/v1/a": "x", "overlays/3/v1.json": "{"})
	if err := os.RemoveAll(filepath.Join(s.Root, "overlays/1/v1")); err != nil {
		t.Fatal(err)
	}
	st, err := s.Stack([]string{"1/v1", "1/v2", "2/v1", "3/v1", "9/v9"}, "")
	if err != nil {
		t.Fatal(err)
	}
	for i, says := range []string{"overlay 1/v1 was collected and is no longer on this host; there is v2", "", "not made by", "cannot be read", "does not exist on this host", "the game is not installed"} {
		if fault := st.Layers[i].Fault; (says == "") != (fault == "") || !strings.Contains(fault, says) {
			t.Errorf("layer %d says %q, want %q", i, fault, says)
		}
	}
	if got := words(st.Entries); got != "a[1]" {
		t.Errorf("it has %s", got)
	}
	for _, bad := range [][2]string{{"../1/v1", ""}, {"1", ""}, {"1/v2", ".."}, {"1/v2", "/etc"}, {"1/v2", "a//b"}, {"1/v2", "."}} {
		if st, err := s.Stack([]string{bad[0]}, bad[1]); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %+v, %v", bad, st, err)
		}
	}
	if _, err := s.Stack(make([]string, 401), ""); err == nil {
		t.Error("401 layers were taken")
	}
}

func TestStackIsBounded(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	files := map[string]string{}
	for i := range 2_100 {
		files[fmt.Sprintf("f%04d", i)] = ""
	}
	publish(t, s, 1, files)
	publish(t, s, 2, files)
	st, err := s.Stack([]string{"1/v1", "2/v1"}, "")
	if err != nil || len(st.Entries) != 2_000 || st.More != 100 || len(st.Shadows) != 500 {
		t.Errorf("%d entries and %d more, %d shadows, %v", len(st.Entries), st.More, len(st.Shadows), err)
	}
}

func TestManifestsAreReadAgainWhenTheyChange(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	publish(t, s, 1, map[string]string{"a": "x"})
	first, err := s.Manifest(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.Manifest(1, 1); err != nil || &again.Tree[0] != &first.Tree[0] {
		t.Errorf("it was read twice: %v", err)
	}
	if err := s.Delete(1); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Manifest(1, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("deleted, and yet %+v, %v", m, err)
	}
	publish(t, s, 1, map[string]string{"other": "xyz"})
	if m, err := s.Manifest(1, 1); err != nil || m.Tree[0].Path != "other" {
		t.Errorf("the new first version is %+v, %v", m, err)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	publish(t, s, 1, map[string]string{"cfg/a.cfg": "hello"})
	f, err := s.Open(1, 1, "cfg/a.cfg")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if data, err := io.ReadAll(f); err != nil || string(data) != "hello" || f.Size() != 5 {
		t.Errorf("%q, %d, %v", data, f.Size(), err)
	}
	for _, missing := range [][2]int64{{1, 2}, {2, 1}, {0, 1}, {-1, 1}, {1, -1}, {1 << 40, 1}} {
		if _, err := s.Open(missing[0], missing[1], "cfg/a.cfg"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v: %v", missing, err)
		}
	}
}

func TestImage(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	png := "\x89PNG\r\n\x1a\n" + strings.Repeat("x", 100)
	fill(t, s.Root, map[string]string{
		"workshop/1/image": png, "workshop/2/image": "\xff\xd8\xff" + strings.Repeat("x", 100), "workshop/3/image": "RIFFxxxxWEBPVP8 ....",
		"workshop/4/image": "<svg onload=alert(1)>                       ", "workshop/5/image": "", "workshop/7/image/": "",
	})
	if err := os.Symlink("../1/image", filepath.Join(s.Root, "workshop/8")); err != nil {
		t.Fatal(err)
	}
	for item, want := range map[string]string{"1": "image/png", "2": "image/jpeg", "3": "image/webp", "4": "", "5": "", "6": "", "7": "", "8": "", "01": ""} {
		f, kind, err := s.Image(item)
		if want == "" {
			if err == nil {
				t.Errorf("item %s has a %s", item, kind)
			}
			continue
		}
		if err != nil || kind != want {
			t.Errorf("item %s: %s, %v", item, kind, err)
			continue
		}
		if data, err := io.ReadAll(f); err != nil || int64(len(data)) != f.Size() {
			t.Errorf("item %s is read from its middle: %d of %d bytes, %v", item, len(data), f.Size(), err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
