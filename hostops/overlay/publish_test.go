package overlay_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"left4me/hostops/ctl"
	"left4me/hostops/overlay"
)

func TestAVersionIsWhatWasBuilt(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	st := begin(t, s, 12)
	fill(t, st.Dir, map[string]string{maps + "a.bsp": "aaa", "left4dead2/cfg/server.cfg": "echo hi", "empty/inner/": ""})
	if err := os.Symlink("../maps/a.bsp", filepath.Join(st.Dir, "left4dead2/cfg/link")); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{maps: 0o700, maps + "a.bsp": 0o600, "empty": 0o777, "left4dead2/cfg/server.cfg": 0o711} {
		if err := os.Chmod(filepath.Join(st.Dir, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	v := finish(t, st)
	if v.Overlay != 12 || v.Number != 1 || v.Previous != 0 || v.Files != 3 || v.Size != 10 || v.Added != 3 || !v.ServerCfg || v.At.IsZero() {
		t.Errorf("published as %+v", v)
	}
	m, err := s.Manifest(12, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := []ctl.ManifestFile{
		{Path: "empty/inner", Dir: true},
		{Path: "left4dead2/cfg/link", Link: "../maps/a.bsp"},
		{Path: "left4dead2/cfg/server.cfg", Size: 7, SHA256: sumOf("echo hi"), Exec: true},
		{Path: maps + "a.bsp", Size: 3, SHA256: sumOf("aaa")},
	}
	if !slices.Equal(m.Tree, want) || m.Collected {
		t.Errorf("the manifest has %+v", m)
	}
	for path, mode := range map[string]os.FileMode{".": 0o755, "empty": 0o755, maps: 0o755, maps + "a.bsp": 0o644, "left4dead2/cfg/server.cfg": 0o755} {
		info, err := os.Lstat(filepath.Join(s.Root, "overlays/12/v1", path))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s is %v, %v; want %v", path, info.Mode(), err, mode)
		}
	}
	if faults, err := s.Verify(context.Background(), overlay.Ref{Overlay: 12, Version: 1}, nil); err != nil || faults != nil {
		t.Errorf("verify says %q, %v", faults, err)
	}
}

func TestNumbersAndDifferences(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	publish(t, s, 1, map[string]string{"a": "1", "b": "1", "c": "1"})
	v := publish(t, s, 1, map[string]string{"a": "1", "b": "2", "d": "1"})
	if v.Number != 2 || v.Previous != 1 || v.Added != 1 || v.Changed != 1 || v.Removed != 1 {
		t.Errorf("the second is %+v", v)
	}
	before := contents(t, s.Root)
	same := publish(t, s, 1, map[string]string{"a": "1", "b": "2", "d": "1"})
	if !same.Same || same.Number != 2 || same.Previous != 1 || same.Added != 1 || !same.At.Equal(v.At) {
		t.Errorf("the same again is %+v", same)
	}
	if after := contents(t, s.Root); after != before {
		t.Errorf("the same again changed\n%s\nto\n%s", before, after)
	}
	// A number is never used again, whatever became of its version.
	if err := os.RemoveAll(filepath.Join(s.Root, "overlays/1/v2")); err != nil {
		t.Fatal(err)
	}
	if v := publish(t, s, 1, map[string]string{"a": "1", "b": "2", "d": "1"}); v.Same || v.Number != 3 {
		t.Errorf("after its version is gone the same is %+v", v)
	}
	// One that somebody made by hand has a number too, and no manifest.
	fill(t, s.Root, map[string]string{"overlays/1/v7/a": "1"})
	if v := publish(t, s, 1, map[string]string{"a": "1"}); v.Number != 8 || v.Previous != 7 || v.Added != 1 {
		t.Errorf("after one made by hand it is %+v", v)
	}
}

// What is damaged is not what the build came to, though its manifest says so.
func TestADamagedVersionIsBuiltAgain(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(dir string) error{
		"missing":  func(dir string) error { return os.Remove(dir + "/a") },
		"cut off":  func(dir string) error { return os.Truncate(dir+"/a", 1) },
		"a folder": func(dir string) error { return errors.Join(os.Remove(dir+"/a"), os.Mkdir(dir+"/a", 0o755)) },
	} {
		s := newStore(t)
		publish(t, s, 1, map[string]string{"a": "text"})
		if err := damage(filepath.Join(s.Root, "overlays/1/v1")); err != nil {
			t.Fatal(err)
		}
		if v := publish(t, s, 1, map[string]string{"a": "text"}); v.Same || v.Number != 2 {
			t.Errorf("%s: it is %+v", name, v)
		}
	}
}

func TestBaseAndLink(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	publish(t, s, 1, map[string]string{maps + "a.bsp": "aaa", maps + "b.bsp": "bbb", "empty/": ""})
	fill(t, s.Root, map[string]string{"workshop/77.vpk": "stored"})
	stored, err := os.Open(filepath.Join(s.Root, "workshop/77.vpk"))
	if err != nil {
		t.Fatal(err)
	}
	defer stored.Close()

	st := begin(t, s, 1)
	if err := st.Base(1); err != nil {
		t.Fatal(err)
	}
	// The sum is believed: that of what is linked, whatever name it has by now.
	if err := st.Link(stored, "left4dead2/addons/77.vpk", strings.Repeat("7", 64)); err != nil {
		t.Fatal(err)
	}
	if err := st.Link(stored, "left4dead2/addons/77.vpk", ""); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a path that is taken: %v", err)
	}
	if err := os.Rename(st.Dir+"/"+maps+"a.bsp", st.Dir+"/moved.bsp"); err != nil {
		t.Fatal(err)
	}
	v := finish(t, st)
	m, err := s.Manifest(1, v.Number)
	if err != nil {
		t.Fatal(err)
	}
	want := []ctl.ManifestFile{
		{Path: "empty", Dir: true},
		{Path: "left4dead2/addons/77.vpk", Size: 6, SHA256: strings.Repeat("7", 64)},
		{Path: maps + "b.bsp", Size: 3, SHA256: sumOf("bbb")},
		{Path: "moved.bsp", Size: 3, SHA256: sumOf("aaa")},
	}
	if !slices.Equal(m.Tree, want) {
		t.Errorf("the tree is %+v", m.Tree)
	}
	if !sameFile(t, s.Root+"/overlays/1/v1/"+maps+"b.bsp", s.Root+"/overlays/1/v2/"+maps+"b.bsp") || !sameFile(t, s.Root+"/workshop/77.vpk", s.Root+"/overlays/1/v2/left4dead2/addons/77.vpk") {
		t.Error("the files were copied, not linked")
	}
	if err := begin(t, s, 1).Base(9); !errors.Is(err, ctl.ErrNoOverlay) || !strings.Contains(err.Error(), "there is v2, v1") {
		t.Errorf("a base that does not exist: %v", err)
	}
}

func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	first, err := os.Lstat(a)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.Lstat(b)
	if err != nil {
		t.Fatal(err)
	}
	return os.SameFile(first, second)
}

func TestRefusedFilesComeBack(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	st := begin(t, s, 1)
	const bad = "left4dead2/addons/bad.vpk"
	fill(t, st.Dir, map[string]string{bad: "bad", "good": "good"})
	tree, err := st.Check(context.Background(), overlay.CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	finding := ctl.Finding{Path: bad, Verdict: ctl.VerdictRefused, Code: "vpk.no_vpk", SHA256: sumOf("bad")}
	if err := st.SetAside(finding); err != nil {
		t.Fatal(err)
	}
	if tree, err = st.Check(context.Background(), overlay.CheckOptions{Before: tree}); err != nil {
		t.Fatal(err)
	}
	if v, err := st.Publish(tree, ctl.Version{}); err != nil || v.Files != 1 {
		t.Fatalf("without the refused file it is %+v, %v", v, err)
	}
	m, err := s.Manifest(1, 1)
	if want := []ctl.ManifestFile{{Path: "good", Size: 4, SHA256: sumOf("good")}, {Path: "left4dead2/addons", Dir: true}}; err != nil || !slices.Equal(m.Tree, want) {
		t.Errorf("the tree is %+v, %v", m, err)
	}

	readmit := func(sums ...string) []string {
		t.Helper()
		st := begin(t, s, 1)
		if err := st.Base(1); err != nil {
			t.Fatal(err)
		}
		paths, err := st.Readmit(sums)
		if err != nil {
			t.Fatal(err)
		}
		finish(t, st)
		return paths
	}
	if paths := readmit(sumOf("other"), "../../../etc/passwd"); paths != nil {
		t.Errorf("others came back: %q", paths)
	}
	if paths := readmit(sumOf("bad")); !slices.Equal(paths, []string{bad}) {
		t.Errorf("%q came back", paths)
	}
	if data, err := os.ReadFile(filepath.Join(s.Root, "overlays/1/v2", bad)); err != nil || string(data) != "bad" {
		t.Errorf("it is %q, %v", data, err)
	}
	// What is deleted later stays deleted, although it is still let in.
	if paths := readmit(sumOf("bad")); paths != nil {
		t.Errorf("%q came back a second time", paths)
	}
}

// A build that is killed at any step leaves either no new version or a whole one,
// and the next build finds nothing in its way.
func TestKilledAtEachStep(t *testing.T) {
	if step := os.Getenv("OVERLAY_TEST_STEP"); step != "" {
		publishUntil(t, os.Getenv("OVERLAY_TEST_ROOT"), step)
		return
	}
	t.Parallel()
	for _, step := range []string{"begun", "checked", "synced", "described", "named", "published"} {
		s := newStore(t)
		publish(t, s, 1, map[string]string{"old": "old"})
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestKilledAtEachStep$")
		cmd.Env = append(os.Environ(), "OVERLAY_TEST_STEP="+step, "OVERLAY_TEST_ROOT="+s.Root)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("%s: the build was not killed: %v\n%s", step, err, out)
		}
		newest, err := s.Newest(1)
		if err != nil {
			t.Fatal(err)
		}
		whole := step == "named" || step == "published"
		if whole != (newest == 2) {
			t.Errorf("%s: the newest version is %d", step, newest)
		}
		for n := range newest { // every one that is there is whole, before anything is mended
			if faults, err := s.Verify(context.Background(), overlay.Ref{Overlay: 1, Version: n + 1}, nil); err != nil || faults != nil {
				t.Errorf("%s: version %d: %q, %v", step, n+1, faults, err)
			}
		}
		v := publish(t, s, 1, map[string]string{"new": "newest"})
		if v.Number != newest+1 || v.Previous != newest {
			t.Errorf("%s: the next one is %+v", step, v)
		}
		entries, err := os.ReadDir(filepath.Join(s.Root, "overlays/1"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				t.Errorf("%s: %s is left", step, e.Name())
			}
		}
	}
}

func publishUntil(t *testing.T, root, last string) {
	end := func(step string) {
		if step == last {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // nothing comes after it
			select {}
		}
	}
	st := begin(t, &overlay.Store{Root: root}, 1)
	st.OnStep(end)
	fill(t, st.Dir, map[string]string{"new": "new", "folder/below": "new"})
	end("begun")
	finish(t, st)
	t.Fatal("it came to its end")
}

func TestNothingIsLeftOfADiscardedStage(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	st := begin(t, s, 5)
	fill(t, st.Dir, map[string]string{"locked/inner/file": "x"})
	for _, dir := range []string{"locked/inner", "locked"} {
		if err := os.Chmod(filepath.Join(st.Dir, dir), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Discard(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(s.Root, "overlays")); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestVerifyNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	publish(t, s, 1, map[string]string{"a": "1", "b": "1", "c": "1", "d": "1", "e/f": "1"})
	dir := filepath.Join(s.Root, "overlays/1/v1")
	fill(t, dir, map[string]string{"a": "2", "new": "1"})
	if err := errors.Join(os.Remove(dir+"/b"), os.Chmod(dir+"/c", 0o666), os.Chmod(dir+"/e", 0o777), os.Symlink("/etc/passwd", dir+"/g")); err != nil {
		t.Fatal(err)
	}
	faults, err := s.Verify(context.Background(), overlay.Ref{Overlay: 1, Version: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(faults)
	want := []string{
		"a has other content", "b is missing", "c has the mode 0666 instead of 0644", "e has the mode 0777 instead of 0755",
		"g is a link to an absolute path: make it relative", "new was added",
	}
	if !slices.Equal(faults, want) {
		t.Errorf("it says %q\nwant %q", faults, want)
	}
}
