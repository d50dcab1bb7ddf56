package hostops

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/overlay"
	"left4me/hostops/supervisor"
)

// present lists the versions of overlay 1 that are there.
func present(t *testing.T, h *Host) string {
	t.Helper()
	all, err := h.store().Versions(1)
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, v := range slices.Backward(all) {
		if !v.Collected {
			there = append(there, overlay.Ref{Overlay: 1, Version: v.Number}.String())
		}
	}
	return strings.Join(there, " ")
}

func fiveVersions(t *testing.T, h *Host) {
	t.Helper()
	for _, text := range []string{"1", "2", "3", "4", "5"} {
		mustBuild(t, h, 1, map[string]string{"a": text})
	}
}

func TestCollectKeepsWhatIsUsed(t *testing.T) {
	h, fake, rec := newHost(t)
	fiveVersions(t, h)
	initialiseWith(t, h, "friday", freePort(t), "1/v1")
	// One that runs with something older than its definition, which another has.
	initialiseWith(t, h, "monday", freePort(t))
	fake.set("monday", supervisor.Instance{State: ctl.ServerRunning, Applied: &ctl.Applied{Overlays: []string{"1/v2"}}})
	var pins Pins
	if err := pins.ReadPins("pins", strings.NewReader("# what blueprints use\n\npin 1/v3\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := h.CollectOverlays(context.Background(), CollectOptions{Keep: 1, Pins: pins}); err != nil {
		t.Fatal(err)
	}
	if got := present(t, h); got != "1/v1 1/v2 1/v3 1/v5" {
		t.Errorf("there is %s", got)
	}
	told := versionsTold(rec)
	if last := told[len(told)-1]; !last.Collected || last.Number != 4 {
		t.Errorf("told %+v", last)
	}
	// Once nobody names them they go.
	fake.set("monday", supervisor.Instance{State: ctl.ServerStopped})
	if err := h.Delete(context.Background(), "friday"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.CollectOverlays(context.Background(), CollectOptions{Keep: 1}); err != nil {
		t.Fatal(err)
	}
	if got := present(t, h); got != "1/v5" {
		t.Errorf("afterwards there is %s", got)
	}
	if m, err := h.ShowOverlay(context.Background(), 1, 1); err != nil || !m.Collected || m.Files != 1 {
		t.Errorf("what is collected is still known as %+v, %v", m, err)
	}
}

func TestCollectKeepsTheYoung(t *testing.T) {
	h, _, _ := newHost(t)
	fiveVersions(t, h)
	if _, err := h.CollectOverlays(context.Background(), CollectOptions{Keep: 1, Age: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if got := present(t, h); got != "1/v1 1/v2 1/v3 1/v4 1/v5" {
		t.Errorf("there is %s", got)
	}
}

// Not knowing what is used, nothing is collected and nothing is deleted.
func TestCollectNeverGuesses(t *testing.T) {
	for name, prepare := range map[string]func(h *Host, fake *fakeSupervisor){
		"a spec that cannot be read": func(h *Host, _ *fakeSupervisor) {
			writeFile(t, h.path("instances/friday/spec.yaml"), "overlays: [1/v1")
		},
		"a game that nobody knows anything of": func(h *Host, fake *fakeSupervisor) {
			writeFile(t, h.path("runtime/friday/upper/x"), "x")
			fake.set("friday", supervisor.Instance{State: ctl.ServerUnknown})
		},
	} {
		h, fake, _ := newHost(t)
		fiveVersions(t, h)
		prepare(h, fake)
		if _, err := h.CollectOverlays(context.Background(), CollectOptions{Keep: 1}); !errors.Is(err, ctl.ErrInUse) || !strings.Contains(err.Error(), "server friday") {
			t.Errorf("%s: collecting: %v", name, err)
		}
		if err := h.DeleteOverlay(context.Background(), 1); !errors.Is(err, ctl.ErrInUse) {
			t.Errorf("%s: deleting: %v", name, err)
		}
		if got := present(t, h); got != "1/v1 1/v2 1/v3 1/v4 1/v5" {
			t.Errorf("%s: there is %s", name, got)
		}
		// Looking works all the same.
		if all, err := h.ListOverlays(context.Background(), 0); err != nil || len(all) != 5 {
			t.Errorf("%s: listing: %+v, %v", name, all, err)
		}
	}
}

func TestCollectLeavesABuildAlone(t *testing.T) {
	h, _, _ := newHost(t)
	fiveVersions(t, h)
	mustBuild(t, h, 2, map[string]string{"a": "1"})
	mustBuild(t, h, 2, map[string]string{"a": "2"})
	release, err := h.lockOverlay(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	notices, err := h.CollectOverlays(context.Background(), CollectOptions{Keep: 1})
	release()
	if err != nil || !slices.Equal(notices, []string{"overlay 1 is being built and was left alone"}) {
		t.Errorf("%q, %v", notices, err)
	}
	if _, err := os.Stat(h.path("overlays/2/v1")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the other overlay's old version: %v", err)
	}
	if got := present(t, h); got != "1/v1 1/v2 1/v3 1/v4 1/v5" {
		t.Errorf("there is %s", got)
	}
}

func TestCollectUploads(t *testing.T) {
	const needed, old, young = "0192f0c1-0000-7000-8000-000000000001", "0192f0c1-0000-7000-8000-000000000002", "0192f0c1-0000-7000-8000-000000000003"
	for name, tt := range map[string]struct {
		pins string
		left []string
	}{
		"nothing is said of them":     {"pin 1/v1\n", []string{needed, old, young}},
		"some are needed":             {"upload " + needed + "\n", []string{needed, young}},
		"all that are needed is none": {"uploads\n", []string{young}},
	} {
		h, _, _ := newHost(t)
		then := time.Now().Add(-2 * time.Hour)
		for _, id := range []string{needed, old, young} {
			writeFile(t, h.path("uploads", id), "x")
			if id != young {
				if err := os.Chtimes(h.path("uploads", id), then, then); err != nil {
					t.Fatal(err)
				}
			}
		}
		var pins Pins
		if err := pins.ReadPins("pins", strings.NewReader(tt.pins)); err != nil {
			t.Fatal(err)
		}
		if _, err := h.CollectOverlays(context.Background(), CollectOptions{Keep: 1, Pins: pins}); err != nil {
			t.Fatal(err)
		}
		var left []string
		entries, err := os.ReadDir(h.path("uploads"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			left = append(left, e.Name())
		}
		if !slices.Equal(left, tt.left) {
			t.Errorf("%s: left are %q", name, left)
		}
	}
}

func TestPinsThatAreNone(t *testing.T) {
	for _, text := range []string{"1/v1\n", "pin 1\n", "pin ../1/v1\n", "pin 01/v1\n", "upload x\n", "upload ../../x\n", "uploads all\n", "pin\n", strings.Repeat("x", 1<<20)} {
		var p Pins
		if err := p.ReadPins("pins", strings.NewReader(text)); !errors.Is(err, ctl.ErrUsage) || !strings.HasPrefix(err.Error(), "pins:") {
			t.Errorf("%.30q: %v", text, err)
		}
	}
}

// Of a workshop item everything goes that is old, that no version links, and that
// is not what the next version would link.
func TestCollectWorkshop(t *testing.T) {
	h, _, _ := newHost(t)
	then := time.Now().Add(-30 * 24 * time.Hour)
	item := func(stamp string, at time.Time) string {
		dir := h.path("workshop/77", stamp)
		writeFile(t, filepath.Join(dir, "77.vpk"), "content")
		writeFile(t, filepath.Join(dir, "item.json"), `{"id":"77","stamp":"`+stamp+`","size":7,"sha256":"`+strings.Repeat("7", 64)+`"}`)
		if err := os.Chtimes(dir, at, at); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	unused, linked, young, newest := item("100-00000001", then), item("200-00000001", then), item("300-00000001", time.Now()), item("400-00000001", then)
	writeFile(t, h.path("overlays/1/v1/other"), "x")
	if err := os.Link(filepath.Join(linked, "77.vpk"), h.path("overlays/1/v1/77.vpk")); err != nil {
		t.Fatal(err)
	}
	foreign := h.path("workshop/77/notes")
	writeFile(t, filepath.Join(foreign, "77.vpk"), "somebody's")
	if _, err := h.CollectOverlays(context.Background(), CollectOptions{Keep: 1, Age: 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	for dir, stays := range map[string]bool{unused: false, linked: true, young: true, newest: true, foreign: true} {
		if _, err := os.Stat(dir); (err == nil) != stays {
			t.Errorf("%s: %v, want it to stay: %v", dir, err, stays)
		}
	}
}

func TestDeleteOverlay(t *testing.T) {
	h, fake, _ := newHost(t)
	fiveVersions(t, h)
	mustBuild(t, h, 12, map[string]string{"a": "1"}) // its name begins alike
	initialiseWith(t, h, "friday", freePort(t), "1/v1", "12/v1")
	err := h.DeleteOverlay(context.Background(), 1)
	if !errors.Is(err, ctl.ErrInUse) || !strings.Contains(err.Error(), "server friday has version 1/v1") {
		t.Errorf("while a server names it: %v", err)
	}
	initialiseWith(t, h, "friday", freePort(t), "12/v1")
	fake.set("friday", supervisor.Instance{State: ctl.ServerRunning, Applied: &ctl.Applied{Overlays: []string{"1/v1"}}})
	if err := h.DeleteOverlay(context.Background(), 1); !errors.Is(err, ctl.ErrInUse) {
		t.Errorf("while a game runs with it: %v", err)
	}
	fake.set("friday", supervisor.Instance{State: ctl.ServerStopped})
	for range 2 {
		if err := h.DeleteOverlay(context.Background(), 1); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(h.path("overlays/1")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if _, err := h.ListOverlays(context.Background(), 1); !errors.Is(err, ctl.ErrNoOverlay) {
		t.Errorf("it is listed: %v", err)
	}
}

func TestListVerifyAndDiff(t *testing.T) {
	h, _, _ := newHost(t)
	mustBuild(t, h, 1, map[string]string{"a": "1", "b": "1"})
	mustBuild(t, h, 1, map[string]string{"b": "2", "c": "1"})
	initialiseWith(t, h, "friday", freePort(t), "1/v1")
	all, err := h.ListOverlays(context.Background(), 0)
	if err != nil || len(all) != 2 || all[0].Number != 2 || all[0].Used != nil || !slices.Equal(all[1].Used, []string{"friday"}) {
		t.Errorf("listed %+v, %v", all, err)
	}
	if d, err := h.DiffOverlay(1, 1, 2); err != nil || !slices.Equal(d.Added, []string{"c"}) || !slices.Equal(d.Changed, []string{"b"}) || !slices.Equal(d.Removed, []string{"a"}) {
		t.Errorf("the difference is %+v, %v", d, err)
	}
	if _, err := h.DiffOverlay(1, 1, 9); !errors.Is(err, ctl.ErrNoOverlay) {
		t.Errorf("a difference to nothing: %v", err)
	}
	if m, err := h.ShowOverlay(context.Background(), 1, 0); err != nil || m.Number != 2 || len(m.Tree) != 2 {
		t.Errorf("the newest is %+v, %v", m, err)
	}
	if err := os.WriteFile(h.path("overlays/1/v1/a"), []byte("2"), 0o644); err != nil {
		t.Fatal(err)
	}
	all, err = h.VerifyOverlays(context.Background(), 1)
	if err != nil || len(all) != 2 || all[0].Fault != "" || all[1].Fault != "a has other content" {
		t.Errorf("verified %+v, %v", all, err)
	}
}
