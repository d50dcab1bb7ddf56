package hostops

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/overlay"
	"left4me/hostops/sandbox"
	"left4me/hostops/steam"
)

// output is a sandbox whose script has ended well and left what leave made.
type output struct {
	dir   string // holds out/, and what nobody may reach from there
	leave func(t *testing.T, out string)
	t     *testing.T
}

func (o *output) Run(_ context.Context, b sandbox.Build) (sandbox.Outcome, error) {
	path := filepath.Join(o.dir, "out")
	if err := os.RemoveAll(path); err != nil {
		return sandbox.Outcome{}, err
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return sandbox.Outcome{}, err
	}
	o.leave(o.t, path)
	out, err := os.OpenRoot(path)
	if err != nil {
		return sandbox.Outcome{}, err
	}
	defer out.Close()
	return sandbox.Outcome{}, b.Take(out)
}

func (*output) Sweep(context.Context) error { return nil }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scriptHost is a host with one version of overlay 9, somebody else's, and a sandbox
// that leaves what leave makes.
func scriptHost(t *testing.T, leave func(t *testing.T, out string)) *Host {
	t.Helper()
	h, _, _ := newHost(t)
	mustBuild(t, h, 9, map[string]string{"left4dead2/cfg/secret.cfg": "of somebody else"})
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "outside"), "outside")
	h.Sandbox = &output{dir: dir, leave: leave, t: t}
	return h
}

func runScript(t *testing.T, h *Host) error {
	t.Helper()
	_, err := h.BuildOverlay(t.Context(), 7, ctl.OverlaySpec{Kind: ctl.OverlayScript, Script: "true"})
	return err
}

// Whatever link a script leaves, nothing outside of its output becomes content, and
// nothing outside changes.
func TestAttack1LinksInAScriptsOutput(t *testing.T) {
	for _, target := range []string{
		"/etc/passwd", "../outside", "../../../../../../../../etc/passwd", "sub/../../outside", "../../9/v1/left4dead2/cfg/secret.cfg",
		"/previous/../../9/v1/left4dead2/cfg/secret.cfg", "/previous/etc/passwd", "/previous/", "/build/a.cfg", "",
	} {
		h := scriptHost(t, func(t *testing.T, out string) {
			writeFile(t, filepath.Join(out, "a.cfg"), "1")
			if target != "" {
				must(t, os.Symlink(target, filepath.Join(out, "link")))
				return
			}
			must(t, os.Symlink("..", filepath.Join(out, "link"))) // a folder
		})
		if err := runScript(t, h); !errors.Is(err, ctl.ErrContent) {
			t.Errorf("a link to %q: %v, want a refusal", target, err)
		}
		if _, err := os.Lstat(h.path(dirOverlays, "7")); err == nil {
			t.Errorf("a link to %q left something", target)
		}
	}
}

// A process that outlived its script, which none does, could do no more than spoil
// its own build: what is swapped while the output is taken over is not followed.
func TestAttack2SwapInAScriptsOutput(t *testing.T) {
	var stops []func()
	h := scriptHost(t, func(t *testing.T, out string) {
		elsewhere := filepath.Join(filepath.Dir(out), "elsewhere")
		writeFile(t, filepath.Join(elsewhere, "x"), "secret")
		for i := range 30 {
			writeFile(t, filepath.Join(out, "d", fmt.Sprint(i), "x"), "mine")
		}
		stops = append(stops, swapping(filepath.Join(out, "d", "15"), elsewhere), swapping(filepath.Join(out, "d", "20", "x"), filepath.Join(elsewhere, "x")))
	})
	for range 20 {
		_ = runScript(t, h) // may fail; must not follow
		for _, stop := range stops {
			stop()
		}
		stops = nil
	}
	notFromElsewhere(t, h)
}

// A hard link in the output is copied: a version shares no file with what a script
// can still reach, nor its mode.
func TestAttack5HardLinksInAScriptsOutput(t *testing.T) {
	h := scriptHost(t, func(t *testing.T, out string) {
		outside := filepath.Join(filepath.Dir(out), "outside")
		must(t, os.Chmod(outside, 0o600))
		must(t, os.Link(outside, filepath.Join(out, "a.cfg")))
		must(t, os.Link(outside, filepath.Join(out, "b.cfg")))
	})
	must(t, runScript(t, h))
	outside := filepath.Join(h.Sandbox.(*output).dir, "outside")
	must(t, os.WriteFile(outside, []byte("changed"), 0o600))
	for _, name := range []string{"a.cfg", "b.cfg"} {
		path := h.path(dirOverlays, "7", "v1", name)
		data, err := os.ReadFile(path)
		info, statErr := os.Lstat(path)
		if err != nil || statErr != nil || string(data) != "outside" || info.Mode().Perm() != 0o644 {
			t.Errorf("%s holds %q with %v, %v", name, data, info.Mode(), err)
		}
	}
	if info, err := os.Lstat(outside); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file outside has %v, %v", info.Mode(), err)
	}
}

// Names and kinds of files that a script may leave and a version may not hold.
func TestAttack3And4OddFilesInAScriptsOutput(t *testing.T) {
	for name, tt := range map[string]struct {
		leave func(t *testing.T, out string)
		says  string
	}{
		"a FIFO":   {func(t *testing.T, out string) { must(t, unix.Mkfifo(filepath.Join(out, "x"), 0o666)) }, "neither a file nor a folder"},
		"a socket": {func(t *testing.T, out string) { must(t, unix.Mknod(filepath.Join(out, "x"), unix.S_IFSOCK|0o666, 0)) }, "neither a file nor a folder"},
		"a line break in a name": {func(t *testing.T, out string) {
			writeFile(t, filepath.Join(out, "a\nb"), "")
		}, "control character"},
		"a name that is no text": {func(t *testing.T, out string) { writeFile(t, filepath.Join(out, "a\xff"), "") }, "not valid UTF-8"},
		"a deep folder": {func(t *testing.T, out string) {
			writeFile(t, filepath.Join(out, strings.Repeat("a/", overlay.MaxDepth+1)+"x"), "")
		}, "deeper than"},
	} {
		h := scriptHost(t, tt.leave)
		if err := runScript(t, h); !errors.Is(err, ctl.ErrContent) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want a refusal that says %q", name, err, tt.says)
		}
	}
	h := scriptHost(t, func(t *testing.T, out string) {
		writeFile(t, filepath.Join(out, "run"), "#!")
		must(t, unix.Chmod(filepath.Join(out, "run"), 0o6755))
	})
	must(t, runScript(t, h))
	if info, err := os.Lstat(h.path(dirOverlays, "7", "v1", "run")); err != nil || info.Mode() != 0o755 {
		t.Errorf("a setuid program became %v, %v; want 0755", info.Mode(), err)
	}
}

// A file of holes is small where it lies and large as a copy: without a look at the
// disk first, taking it over left no byte free for games, logs and the database.
func TestAttack4BombOfHolesInAScriptsOutput(t *testing.T) {
	h := scriptHost(t, func(t *testing.T, out string) {
		f, err := os.Create(filepath.Join(out, "holes"))
		must(t, err)
		defer f.Close()
		free, err := steam.FreeBytes(out)
		must(t, err)
		must(t, f.Truncate(free))
	})
	if err := runScript(t, h); !errors.Is(err, ctl.ErrDiskFull) || !strings.Contains(err.Error(), "must stay free") {
		t.Errorf("a file of holes: %v, want that there is no room", err)
	}
	if _, err := os.Lstat(h.path(dirOverlays, "7")); err == nil {
		t.Error("something of it stayed")
	}
}

// A recipe on a full disk ended with the exit code of its tar, and nobody was told
// to make room.
func TestScriptOnAFullDiskIsNotRun(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root to mount a small disk")
		}
		t.Skip("needs root to mount a small disk")
	}
	t.Parallel()
	h, _, _ := newHost(t)
	if err := unix.Mount("tmpfs", h.Root, "tmpfs", 0, "size=4m"); err != nil {
		if errors.Is(err, unix.EPERM) && os.Getenv("CI") == "" {
			t.Skip("this root may not mount anything")
		}
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(h.Root, 0); err != nil {
			t.Error(err)
		}
	}()
	h.Sandbox = &output{dir: t.TempDir(), t: t, leave: func(t *testing.T, _ string) { t.Error("the script was run") }}
	if err := runScript(t, h); !errors.Is(err, ctl.ErrDiskFull) || !strings.Contains(err.Error(), "make room") {
		t.Errorf("it ended with %v", err)
	}
}
