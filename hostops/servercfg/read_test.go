package servercfg

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// version makes an overlay's version whose server.cfg has the given text.
func version(t *testing.T, dir, ref, text string) string {
	t.Helper()
	path := filepath.Join(dir, ref, overlayCfg)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOverlaysReads(t *testing.T) {
	dir := t.TempDir()
	version(t, dir, "1/v1", "sv_x 1\r\n")
	large := strings.Repeat("x", maxFile)
	version(t, dir, "2/v1", large)
	version(t, dir, "2/v2", large+"x")
	version(t, dir, "3/v1", "a\x00b")
	if err := os.Remove(version(t, dir, "4/v1", "")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "5"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		ref, want string
		err       error
		says      string
	}{
		"a text":       {ref: "1/v1", want: "sv_x 1\r\n"},
		"just fits":    {ref: "2/v1", want: large},
		"too large":    {ref: "2/v2", err: ctl.ErrContent, says: "server.cfg of overlay 2/v2 has more than 256 KiB"},
		"binary":       {ref: "3/v1", err: ctl.ErrContent, says: "contains a NUL byte"},
		"no file":      {ref: "4/v1", err: fs.ErrNotExist},
		"no version":   {ref: "1/v2", err: ctl.ErrNoOverlay, says: "overlay 1/v2 does not exist on this host"},
		"no folder":    {ref: "5/v1", err: ctl.ErrNoOverlay},
		"no overlay":   {ref: "6/v1", err: ctl.ErrNoOverlay},
		"outside":      {ref: "../x", says: "path escapes"},
		"absolute ref": {ref: "/etc", says: "path escapes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Overlays(dir)(tt.ref)
			if got != tt.want || (tt.err == nil && tt.says == "") != (err == nil) {
				t.Fatalf("got %q, %v", got, err)
			}
			if tt.err != nil && !errors.Is(err, tt.err) || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %v with %q", err, tt.err, tt.says)
			}
		})
	}
}

// A server.cfg of an overlay is whatever its author made of it: it must not lead
// out, block, or read a device.
func TestAttack8ExecutedCfgIsNoWayOut(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("rcon_password stolen\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	overlays := filepath.Join(dir, "overlays")
	plants := map[string]func(path string) error{
		"absolute link":  func(path string) error { return os.Symlink(secret, path) },
		"relative link":  func(path string) error { return os.Symlink("../../../../../secret", path) },
		"link to itself": func(path string) error { return os.Symlink("server.cfg", path) },
		"device":         func(path string) error { return os.Symlink("/dev/zero", path) },
		"fifo":           func(path string) error { return unix.Mkfifo(path, 0o644) },
		"folder":         func(path string) error { return os.Mkdir(path, 0o755) },
	}
	for name, plant := range plants {
		t.Run(name, func(t *testing.T) {
			path := version(t, overlays, "1/v1", "")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := plant(path); err != nil {
				t.Fatal(err)
			}
			text, err := Overlays(overlays)("1/v1")
			if text != "" || !errors.Is(err, ctl.ErrContent) {
				t.Errorf("got %q, %v", text, err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("linked folder", func(t *testing.T) {
		if err := os.RemoveAll(filepath.Join(overlays, "1/v1/left4dead2")); err != nil {
			t.Fatal(err)
		}
		outside := filepath.Dir(filepath.Dir(version(t, dir, "outside", "sv_x 1\n")))
		if err := os.Symlink(outside, filepath.Join(overlays, "1/v1/left4dead2")); err != nil {
			t.Fatal(err)
		}
		if text, err := Overlays(overlays)("1/v1"); text != "" || err == nil {
			t.Errorf("got %q, %v", text, err)
		}
	})
	t.Run("link inside", func(t *testing.T) {
		path := version(t, overlays, "2/v1", "")
		if err := errors.Join(os.Remove(path), os.WriteFile(filepath.Join(filepath.Dir(path), "base.cfg"), []byte("sv_x 1\n"), 0o644), os.Symlink("base.cfg", path)); err != nil {
			t.Fatal(err)
		}
		if text, err := Overlays(overlays)("2/v1"); text != "sv_x 1\n" || err != nil {
			t.Errorf("got %q, %v", text, err)
		}
	})
}
