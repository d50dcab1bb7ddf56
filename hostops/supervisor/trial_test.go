package supervisor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
	"left4me/hostops/supervisor/suitetest"
)

func TestTrialLeavesNothing(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	r := newRootless(t)
	before := suitetest.Mountinfo(t)
	for range 2 {
		if err := r.Trial(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if entries, err := filepath.Glob(filepath.Join(r.Root, ".trial*")); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %q, %v", entries, err)
	}
	if after := suitetest.Mountinfo(t); after != before {
		t.Errorf("the mount table changed from\n%s\nto\n%s", before, after)
	}
}

func TestTrialFailsAsAStartWould(t *testing.T) {
	if suitetest.AsUser(t) {
		return
	}
	missing := &supervisor.Rootless{Root: filepath.Join(t.TempDir(), "missing"), Self: suitetest.Self()}
	if err := missing.Trial(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a state root: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := newRootless(t)
	if err := r.Trial(ctx); !errors.Is(err, ctl.ErrCancelled) {
		t.Errorf("cancelled: %v", err)
	}
	if entries, err := filepath.Glob(filepath.Join(r.Root, ".trial*")); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %q, %v", entries, err)
	}
}
