package overlay_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"left4me/hostops/overlay"
)

func TestCollect(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		o    overlay.CollectOptions
		gone []int64
	}{
		"the newest always stays":  {overlay.CollectOptions{Count: 0}, []int64{4, 3, 2, 1}},
		"so many stay":             {overlay.CollectOptions{Count: 3}, []int64{2, 1}},
		"more than there are":      {overlay.CollectOptions{Count: 9}, nil},
		"young ones stay":          {overlay.CollectOptions{Count: 1, Age: time.Hour}, nil},
		"what somebody uses stays": {overlay.CollectOptions{Count: 1, Keep: func(r overlay.Ref) bool { return r == overlay.Ref{Overlay: 1, Version: 2} }}, []int64{4, 3, 1}},
	} {
		s := newStore(t)
		for _, text := range []string{"1", "2", "3", "4", "5"} {
			publish(t, s, 1, map[string]string{"file": text})
		}
		tt.o.Now = time.Now()
		if tt.o.Keep == nil {
			tt.o.Keep = func(overlay.Ref) bool { return false }
		}
		list, err := s.Collect(1, tt.o)
		var gone []int64
		for _, v := range list {
			gone = append(gone, v.Number)
			if !v.Collected || v.Overlay != 1 || v.Files != 1 {
				t.Errorf("%s: collected as %+v", name, v)
			}
		}
		if err != nil || !slices.Equal(gone, tt.gone) {
			t.Errorf("%s: %v are gone, want %v, %v", name, gone, tt.gone, err)
		}
		if err := s.Recover(1); err != nil {
			t.Error(err)
		}
		versions, err := s.Versions(1)
		if err != nil || len(versions) != 5 {
			t.Fatalf("%s: the manifests are %+v, %v", name, versions, err)
		}
		for _, v := range versions {
			_, err := os.Stat(filepath.Join(s.Root, "overlays/1", "v"+string(rune('0'+v.Number))))
			if is := slices.Contains(tt.gone, v.Number); v.Collected != is || errors.Is(err, fs.ErrNotExist) != is {
				t.Errorf("%s: version %d: %+v, %v", name, v.Number, v, err)
			}
		}
		entries, err := os.ReadDir(filepath.Join(s.Root, "overlays/1"))
		if err != nil || len(entries) != 10-len(tt.gone) {
			t.Errorf("%s: %v is left, %v", name, entries, err)
		}
		again, err := s.Collect(1, tt.o)
		if err != nil || again != nil {
			t.Errorf("%s: once more takes %v, %v", name, again, err)
		}
	}
}

func TestWhatWasMadeByHandStays(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	fill(t, s.Root, map[string]string{"overlays/1/v1/file": "x"})
	publish(t, s, 1, map[string]string{"file": "1"})
	gone, err := s.Collect(1, overlay.CollectOptions{Now: time.Now(), Keep: func(overlay.Ref) bool { return false }})
	if err != nil || gone != nil {
		t.Errorf("%v are gone, %v", gone, err)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	publish(t, s, 1, map[string]string{"file": "1"})
	publish(t, s, 11, map[string]string{"file": "1"})
	for range 2 {
		if err := s.Delete(1); err != nil {
			t.Error(err)
		}
	}
	if ids, err := s.IDs(); err != nil || !slices.Equal(ids, []int64{11}) {
		t.Errorf("the overlays are %v, %v", ids, err)
	}
	// What a killed delete left goes with the next collecting.
	fill(t, s.Root, map[string]string{"overlays/.old-7/v1/file": "x"})
	if err := s.Deleted(); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(filepath.Join(s.Root, "overlays")); err != nil || len(entries) != 1 {
		t.Errorf("%v is left, %v", entries, err)
	}
}

func TestDropRefused(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	publish(t, s, 1, map[string]string{"file": "1"})
	old, young := sumOf("old"), sumOf("young")
	for _, sum := range []string{old, young} {
		fill(t, s.Root, map[string]string{"overlays/1/refused/" + sum: "x", "overlays/1/refused/" + sum + ".json": "{}"})
	}
	then := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(s.Root, "overlays/1/refused", old+".json"), then, then); err != nil {
		t.Fatal(err)
	}
	n, err := s.DropRefused(1, time.Now().Add(-time.Minute))
	left, readErr := os.ReadDir(filepath.Join(s.Root, "overlays/1/refused"))
	if n != 1 || err != nil || readErr != nil || len(left) != 2 || left[0].Name() != young {
		t.Errorf("%d dropped, %v; left %v, %v", n, err, left, readErr)
	}
}
