package hostops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/overlay"
	"left4me/hostops/supervisor"
)

// buildWith makes a version of overlay id out of files, by path.
func buildWith(t *testing.T, h *Host, id int64, spec ctl.OverlaySpec, files map[string]string) ([]string, error) {
	t.Helper()
	return h.build(context.Background(), id, spec, func(_ *Host, _ context.Context, b *build) error {
		for path, text := range files {
			writeFile(t, filepath.Join(b.dir, path), text)
		}
		return nil
	})
}

func mustBuild(t *testing.T, h *Host, id int64, files map[string]string) {
	t.Helper()
	if _, err := buildWith(t, h, id, ctl.OverlaySpec{Kind: ctl.OverlayScript, By: "alice", Why: "because"}, files); err != nil {
		t.Fatal(err)
	}
}

func versionsTold(rec *recorder) []ctl.Version {
	var all []ctl.Version
	for _, e := range rec.all() {
		if e.Type == ctl.EventVersion {
			all = append(all, *e.Version)
		}
	}
	return all
}

func TestBuildTellsWhatItMade(t *testing.T) {
	h, _, rec := newHost(t)
	mustBuild(t, h, 12, map[string]string{"left4dead2/cfg/a.cfg": "1"})
	mustBuild(t, h, 12, map[string]string{"left4dead2/cfg/a.cfg": "2", "left4dead2/cfg/b.cfg": "2"})
	mustBuild(t, h, 12, map[string]string{"left4dead2/cfg/a.cfg": "2", "left4dead2/cfg/b.cfg": "2"})
	told := versionsTold(rec)
	if len(told) != 3 || told[0].Number != 1 || told[1].Number != 2 || told[1].Added != 1 || told[1].Changed != 1 || !told[2].Same || told[2].Number != 2 || told[0].By != "alice" || told[0].Why != "because" || told[0].Kind != ctl.OverlayScript {
		t.Errorf("told %+v", told)
	}
	for _, says := range []string{
		"Overlay 12 has its first version, v1 (1 file, 1 bytes).",
		"Overlay 12 has the new version v2 (2 files, 2 bytes; 1 added, 1 changed). Running servers keep what they started with.",
		"Overlay 12 stays at version v2 (2 files, 2 bytes): nothing changed.",
	} {
		if !strings.Contains(rec.text(), says) {
			t.Errorf("it never said %q, but\n%s", says, rec.text())
		}
	}
}

func TestAFailedBuildLeavesNothing(t *testing.T) {
	h, _, rec := newHost(t)
	mustBuild(t, h, 1, map[string]string{"a": "1"})
	before := listing(t, h.path(dirOverlays))
	cancelled, cancel := context.WithCancel(context.Background())
	for name, tt := range map[string]struct {
		ctx  context.Context
		fill builder
		want error
		says string
	}{
		"the builder": {context.Background(), func(_ *Host, _ context.Context, b *build) error {
			writeFile(t, filepath.Join(b.dir, "half"), "x")
			return fail(ctl.ErrBuild, "the script ended with code 3")
		}, ctl.ErrBuild, "code 3"},
		"the check": {context.Background(), func(_ *Host, _ context.Context, b *build) error {
			return os.Symlink("/etc/passwd", filepath.Join(b.dir, "link"))
		}, ctl.ErrContent, "absolute path"},
		"a cancel": {cancelled, func(_ *Host, ctx context.Context, b *build) error {
			writeFile(t, filepath.Join(b.dir, "half"), "x")
			cancel()
			return ctx.Err()
		}, ctl.ErrCancelled, "the build of overlay 1 was cancelled: it is as it was"},
		"a full disk": {context.Background(), func(_ *Host, _ context.Context, b *build) error {
			return fmt.Errorf("copy: %w", unix.ENOSPC)
		}, ctl.ErrDiskFull, "is full"},
	} {
		for _, id := range []int64{1, 2} {
			_, err := h.build(tt.ctx, id, ctl.OverlaySpec{Kind: ctl.OverlayScript}, tt.fill)
			if !errors.Is(err, tt.want) || name != "a cancel" && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if after := listing(t, h.path(dirOverlays)); after != before {
			t.Errorf("%s: it was\n%s\nand is\n%s", name, before, after)
		}
	}
	if told := versionsTold(rec); len(told) != 1 {
		t.Errorf("told %+v", told)
	}
}

// listing is every path below dir.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		all = append(all, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

func TestRefusedFilesAreLeftOutAndLetIn(t *testing.T) {
	h, _, rec := newHost(t)
	const bad = "left4dead2/addons/bad.vpk"
	files := map[string]string{bad: "PK\x03\x04 a renamed archive", "left4dead2/cfg/a.cfg": "1"}
	notices, err := buildWith(t, h, 1, ctl.OverlaySpec{Kind: ctl.OverlayFiles}, files)
	if err != nil || !slices.Equal(notices, []string{"1 file was refused and is left out"}) {
		t.Fatalf("%q, %v", notices, err)
	}
	v := versionsTold(rec)[0]
	if v.Files != 1 || len(v.Findings) != 1 || v.Findings[0].Code != "vpk.disguised" || v.Findings[0].Path != bad || len(v.Findings[0].SHA256) != 64 {
		t.Fatalf("told %+v", v)
	}
	found := rec.wait(t, "the finding", func(e ctl.Event) bool { return e.Type == ctl.EventFinding }).Finding
	if found.Verdict != ctl.VerdictRefused {
		t.Errorf("found %+v", found)
	}
	aside := h.path("overlays/1/refused", v.Findings[0].SHA256)
	if data, err := os.ReadFile(aside); err != nil || string(data) != files[bad] {
		t.Errorf("aside lies %q, %v", data, err)
	}
	// Let in, it is put back to where it was, although its upload is gone by now.
	notices, err = h.build(context.Background(), 1, ctl.OverlaySpec{Kind: ctl.OverlayFiles, Base: 1, Admit: []string{v.Findings[0].SHA256}},
		func(_ *Host, _ context.Context, b *build) error { return b.stage.Base(1) })
	if err != nil || notices != nil {
		t.Fatalf("%q, %v", notices, err)
	}
	if data, err := os.ReadFile(h.path("overlays/1/v2", bad)); err != nil || string(data) != files[bad] {
		t.Errorf("let in, it is %q, %v", data, err)
	}
	if v := versionsTold(rec)[1]; len(v.Findings) != 1 || !v.Findings[0].Admitted {
		t.Errorf("told %+v", v.Findings)
	}
	if _, err := os.Lstat(aside); !os.IsNotExist(err) {
		t.Errorf("it is still aside: %v", err)
	}
}

// Readers of events have buffers.
func TestAnEventOfAVersionIsBounded(t *testing.T) {
	h, _, rec := newHost(t)
	v := ctl.Version{Overlay: 1, Number: 1, Items: []ctl.VersionItem{{ID: "1"}}}
	for i := range ctl.MaxFindings {
		v.Findings = append(v.Findings, ctl.Finding{Path: fmt.Sprint(i), Sentence: strings.Repeat("x", 2000)})
		v.Campaigns = append(v.Campaigns, ctl.Campaign{Name: fmt.Sprint(i), Title: strings.Repeat("y", 500)})
	}
	h.emitVersion(v)
	told := versionsTold(rec)[0]
	data, err := json.Marshal(told)
	if err != nil || len(data) > maxVersionEvent+1000 || len(told.Findings) < 10 || told.Findings[0].Path != "0" || len(told.Items) != 1 {
		t.Errorf("%d bytes with %d findings, %v", len(data), len(told.Findings), err)
	}
}

func TestOneBuildOfAnOverlayAtATime(t *testing.T) {
	h, _, _ := newHost(t)
	_, err := h.build(context.Background(), 1, ctl.OverlaySpec{Kind: ctl.OverlayScript}, func(h *Host, ctx context.Context, b *build) error {
		if _, err := buildWith(t, h, 1, ctl.OverlaySpec{Kind: ctl.OverlayScript}, nil); !errors.Is(err, ctl.ErrBusy) || !strings.Contains(err.Error(), "overlay 1 is busy") {
			t.Errorf("a second one: %v", err)
		}
		_, err := buildWith(t, h, 2, ctl.OverlaySpec{Kind: ctl.OverlayScript}, map[string]string{"a": "1"})
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, id := range []int64{0, -1, overlay.MaxNumber + 1} {
		if _, err := h.BuildOverlay(context.Background(), id, ctl.OverlaySpec{Kind: ctl.OverlayScript}); !errors.Is(err, ctl.ErrUsage) {
			t.Errorf("overlay %d: %v", id, err)
		}
	}
	if _, err := h.BuildOverlay(context.Background(), 1, ctl.OverlaySpec{Kind: "test"}); !errors.Is(err, ctl.ErrBadSpec) {
		t.Errorf("a kind that nobody knows: %v", err)
	}
}

func TestStartWithACollectedVersion(t *testing.T) {
	h, fake, _ := newHost(t)
	for _, text := range []string{"1", "2", "3"} {
		mustBuild(t, h, 12, map[string]string{"a": text})
	}
	initialiseWith(t, h, "friday", freePort(t), "12/v1")
	for _, n := range []string{"v1", "v2"} {
		if err := os.RemoveAll(h.path("overlays/12", n)); err != nil {
			t.Fatal(err)
		}
	}
	const says = "overlay 12/v1 was collected and is no longer on this host; there is v3 (l4d2ctl overlay list 12). " +
		"Apply the server's blueprint again, which takes the current version, or initialise the server with one that is there"
	_, err := h.Start(context.Background(), "friday", time.Second)
	if !errors.Is(err, ctl.ErrNoOverlay) || ctl.ExitCode(err) != 97 || err.Error() != says {
		t.Errorf("start says %v", err)
	}
	if fake.called("start friday") {
		t.Error("it was started")
	}
	_, err = h.Initialize(context.Background(), "monday", "spec", strings.NewReader("port: 27016\nrcon_password: secret1234\noverlays: [12/v1]\n"))
	if !errors.Is(err, ctl.ErrNoOverlay) || err.Error() != says {
		t.Errorf("initialize says %v", err)
	}
	// The way out works.
	initialiseWith(t, h, "friday", freePort(t), "12/v3")
	if l, err := h.launch(context.Background(), "friday"); err != nil || !slices.Equal(l.applied.Overlays, []string{"12/v3"}) {
		t.Errorf("with the version that is there: %+v, %v", l, err)
	}
}

func initialiseWith(t *testing.T, h *Host, name string, port int, refs ...string) {
	t.Helper()
	spec := fmt.Sprintf("port: %d\nrcon_password: secret1234\noverlays: [%s]\n", port, strings.Join(refs, ", "))
	if _, err := h.Initialize(context.Background(), name, "spec", strings.NewReader(spec)); err != nil {
		t.Fatal(err)
	}
}

// A version that is published while servers run changes nothing of what they see.
func TestPublishingChangesNoRunningServer(t *testing.T) {
	h, fake, _ := newHost(t)
	mustBuild(t, h, 12, map[string]string{"left4dead2/cfg/a.cfg": "1", "left4dead2/maps/m.bsp": "map"})
	layers := h.path("overlays/12/v1")
	for i, name := range []string{"friday", "saturday", "sunday"} {
		initialiseWith(t, h, name, 27100+i, "12/v1")
		fake.set(name, supervisor.Instance{State: ctl.ServerRunning, Applied: &ctl.Applied{Overlays: []string{"12/v1"}}})
		if i > 0 { // what they would be started with next does not matter
			initialiseWith(t, h, name, 27100+i)
		}
	}
	open, err := os.Open(filepath.Join(layers, "left4dead2/cfg/a.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	before := snapshot(t, layers)
	mustBuild(t, h, 12, map[string]string{"left4dead2/cfg/a.cfg": "2"})
	_, err = h.build(context.Background(), 12, ctl.OverlaySpec{Kind: ctl.OverlayFiles}, func(_ *Host, _ context.Context, b *build) error {
		if err := b.stage.Base(1); err != nil {
			return err
		}
		// Linked files are replaced, never written to: that is the builder's promise.
		return os.Remove(filepath.Join(b.dir, "left4dead2/maps/m.bsp"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.CollectOverlays(context.Background(), CollectOptions{Keep: 1}); err != nil {
		t.Fatal(err)
	}
	if after := snapshot(t, layers); after != before {
		t.Errorf("what they have mounted was\n%s\nand is\n%s", before, after)
	}
}

// snapshot is every path below dir with what identifies its content.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		text := ""
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(data)
		}
		all = append(all, fmt.Sprintf("%s %s %d %s %q", path, info.Mode(), info.Size(), info.ModTime(), text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

// A disk that is full has its own words at every step, and takes nothing with it.
func TestBuildOnAFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root to mount a small disk")
		}
		t.Skip("needs root to mount a small disk")
	}
	for name, last := range map[string]string{"while it is built": "left4dead2/filler", "while it is published": "../../../filler"} {
		h, _, rec := newHost(t)
		small := t.TempDir()
		if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=256k"); err != nil {
			if os.Getenv("CI") == "" && errors.Is(err, unix.EPERM) {
				t.Skip("this root may not mount anything")
			}
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(small, 0); err != nil {
				t.Error(err)
			}
		})
		h.Root = small
		mustBuild(t, h, 1, map[string]string{"a": "1"})
		before := listing(t, h.path(dirOverlays))
		_, err := h.build(context.Background(), 1, ctl.OverlaySpec{Kind: ctl.OverlayScript}, func(_ *Host, _ context.Context, b *build) error {
			writeFile(t, filepath.Join(b.dir, "a"), "2")
			path := filepath.Join(b.dir, "left4dead2")
			if err := os.Mkdir(path, 0o755); err != nil {
				return err
			}
			f, err := os.Create(filepath.Join(b.dir, last))
			if err != nil {
				return err
			}
			defer f.Close()
			for err == nil {
				_, err = f.Write(make([]byte, 4096))
			}
			if name == "while it is published" {
				return nil // there is no room left for the manifest
			}
			return fmt.Errorf("write: %w", err)
		})
		if !errors.Is(err, ctl.ErrDiskFull) || !strings.Contains(err.Error(), "the disk that holds "+small+" is full") {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.RemoveAll(h.path("filler")); err != nil {
			t.Fatal(err)
		}
		if after := listing(t, h.path(dirOverlays)); after != before {
			t.Errorf("%s: it was\n%s\nand is\n%s", name, before, after)
		}
		mustBuild(t, h, 1, map[string]string{"a": "2"})
		if told := versionsTold(rec); told[len(told)-1].Number != 2 {
			t.Errorf("%s: afterwards %+v", name, told)
		}
	}
}
