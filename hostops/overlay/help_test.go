package overlay_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"left4me/hostops/ctl"
	"left4me/hostops/overlay"
)

const maps = "left4dead2/maps/"

func newStore(t testing.TB) *overlay.Store {
	t.Helper()
	return &overlay.Store{Root: t.TempDir()}
}

func begin(t testing.TB, s *overlay.Store, id int64) *overlay.Stage {
	t.Helper()
	st, err := s.Begin(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Discard() }) // most tests publish it
	return st
}

// fill writes files, by path; one that ends in / is a folder.
func fill(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for path, text := range files {
		full := filepath.Join(dir, path)
		if strings.HasSuffix(path, "/") {
			if err := os.MkdirAll(full, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func publish(t testing.TB, s *overlay.Store, id int64, files map[string]string) ctl.Version {
	t.Helper()
	st := begin(t, s, id)
	fill(t, st.Dir, files)
	return finish(t, st)
}

func finish(t testing.TB, st *overlay.Stage) ctl.Version {
	t.Helper()
	tree, err := st.Check(context.Background(), overlay.CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := st.Publish(tree, ctl.Version{Kind: ctl.OverlayFiles})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// contents is everything below dir: paths, modes, link targets and texts.
func contents(t testing.TB, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		line := strings.TrimPrefix(path, dir) + " " + info.Mode().String()
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + target
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += " " + string(data)
		}
		all = append(all, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// needRoot skips what only root can set up.
func needRoot(t testing.TB, why string) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("needs root " + why)
	}
	t.Skip("needs root " + why)
}
