package hostops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/overlay"
	"left4me/hostops/sandbox"
	"left4me/hostops/steam"
)

// insidePrevious is where a script sees the version before.
const insidePrevious = "/previous/"

// buildScript makes a version by a script of somebody's own.
func buildScript(h *Host, ctx context.Context, b *build) error {
	return h.runScript(ctx, b, b.spec.Script, nil, nil)
}

// runScript runs a script in the sandbox and takes over what it made. finish, if
// there is one, looks at the script's output before it is copied.
func (h *Host) runScript(ctx context.Context, b *build, script string, env []string, finish func(out *os.Root) error) error {
	if h.Sandbox == nil {
		return fail(ctl.ErrInternal, "this l4d2ctl has no sandbox for scripts")
	}
	if h.Mirror != "" {
		env = append(env, "LEFT4ME_MIRROR="+strings.TrimSuffix(h.Mirror, "/"))
	}
	run := sandbox.Build{
		ID: strconv.FormatInt(b.id, 10), Script: unixLines(script), Env: env,
		Limits: sandbox.Limits{
			Time:   time.Duration(b.spec.Limits.Seconds) * time.Second,
			Memory: b.spec.Limits.MemoryMB << 20, Disk: b.spec.Limits.DiskMB << 20,
		},
		Line: func(stream ctl.Stream, text string) {
			h.Emit(ctl.Event{Type: ctl.EventLog, At: now(), Stream: stream, Text: text})
		},
		Take: func(out *os.Root) error {
			if finish != nil {
				if err := finish(out); err != nil {
					return err
				}
			}
			h.phase("copy", "Taking over the files")
			t := &takeover{ctx: ctx, h: h, b: b, from: out}
			defer t.close()
			return t.folder(".")
		},
	}
	if b.previous > 0 {
		run.Previous = h.path(dirOverlays, strconv.FormatInt(b.id, 10), fmt.Sprintf("v%d", b.previous))
	}
	if free, err := steam.FreeBytes(h.Root); err == nil && free < copyReserve {
		// It would fail at its first file, with no more to say than its exit code.
		return fail(ctl.ErrDiskFull, "the disk that holds %s has %s free, and a script is only run while there are more than %s: make room and build again",
			h.Root, steam.Bytes(free), steam.Bytes(copyReserve))
	}
	h.phase("script", "Running the script")
	outcome, err := h.Sandbox.Run(ctx, run)
	switch {
	case err != nil:
		return err
	case outcome.Limit != "":
		return fail(ctl.ErrLimit, "%s", outcome.Limit)
	case outcome.ExitCode != 0:
		return fail(ctl.ErrBuild, "the script ended with exit code %d%s; its last lines say why", outcome.ExitCode, signalOf(outcome.ExitCode))
	}
	return nil
}

// signalOf explains the codes above 128, by which a shell tells of signals.
func signalOf(code int) string {
	if name := unix.SignalName(unix.Signal(code - 128)); code > 128 && name != "" {
		return " (" + name + ")"
	}
	return ""
}

// unixLines undoes the line ends of Windows, which bash takes for text.
func unixLines(script string) string {
	return strings.ReplaceAll(script, "\r\n", "\n")
}

// takeover copies a script's output into the stage. Nothing of it is moved: what a
// script made may belong to another user and have names elsewhere. No process is
// left that could change it, but its names and kinds of files are hostile.
type takeover struct {
	ctx  context.Context // it lives for one copy
	h    *Host
	b    *build
	from *os.Root

	done, told int64
	sums       map[string]string // path → SHA-256, of the version before
	before     *os.Root
}

// folder copies one folder and all below it; the sandbox bounds how deep that is.
func (t *takeover) folder(dir string) error {
	d, err := t.from.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() // read only; nothing can be lost
	for {
		entries, err := d.ReadDir(500)
		for _, e := range entries {
			if err := t.entry(path.Join(dir, e.Name())); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *takeover) close() {
	if t.before != nil {
		_ = t.before.Close() // read only; nothing can be lost
	}
}

func (t *takeover) entry(name string) error {
	if t.ctx.Err() != nil {
		return context.Cause(t.ctx)
	}
	info, err := t.from.Lstat(name)
	if err != nil {
		return err
	}
	to := t.b.stage.Root()
	switch info.Mode().Type() {
	case fs.ModeDir:
		if err := to.Mkdir(name, 0o755); err != nil {
			return err
		}
		return t.folder(name)
	case fs.ModeSymlink:
		return t.link(name)
	case 0:
		return t.file(name)
	}
	return fail(ctl.ErrContent, "the script made %q, which is neither a file nor a folder nor a link: let it make only those", name)
}

func (t *takeover) file(name string) (err error) {
	from, err := t.from.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer from.Close() // read only; nothing can be lost
	info, err := from.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%q was exchanged while it was copied", name)
	}
	// The output's holes cost nothing; those of a copy do.
	if err := t.h.roomFor(info.Size()); err != nil {
		return err
	}
	to, err := t.b.stage.Root().OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644|info.Mode().Perm()&0o111)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := to.Close(); err == nil {
			err = closeErr
		}
	}()
	for {
		n, err := io.CopyN(to, from, readStep)
		t.progress(n)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case t.ctx.Err() != nil:
			return context.Cause(t.ctx)
		}
	}
}

func (t *takeover) progress(n int64) {
	if t.done += n; t.done-t.told >= readStep {
		t.told = t.done
		t.h.Emit(ctl.Event{Type: ctl.EventProgress, At: now(), Phase: &ctl.Phase{Key: "copy", Title: "Taking over the files", Done: t.done}})
	}
}

// link takes a symbolic link over as it is, unless it leads to a file of the
// version before: by such a link a script says that it keeps that file, which
// then costs neither a copy nor room on the disk. What is allowed of others is
// checked with the rest.
func (t *takeover) link(name string) error {
	target, err := t.from.Readlink(name)
	if err != nil {
		return err
	}
	kept, isKept := strings.CutPrefix(target, insidePrevious)
	if !isKept {
		return t.b.stage.Root().Symlink(target, name)
	}
	if t.sums == nil {
		if err := t.openBefore(); err != nil {
			return err
		}
	}
	sum, known := t.sums[path.Clean(kept)]
	if !known {
		return fail(ctl.ErrContent, "the script made %q, a link to %s, which is no file of the version before", name, target)
	}
	f, err := t.before.OpenFile(path.Clean(kept), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close() // read only; nothing can be lost
	return t.b.stage.Link(f, name, sum)
}

func (t *takeover) openBefore() error {
	t.sums = map[string]string{}
	if t.b.previous == 0 {
		return nil
	}
	m, err := t.h.store().Manifest(t.b.id, t.b.previous)
	if err != nil {
		return err
	}
	for _, e := range m.Tree {
		if e.SHA256 != "" {
			t.sums[e.Path] = e.SHA256
		}
	}
	ref := overlay.Ref{Overlay: t.b.id, Version: t.b.previous}
	t.before, err = os.OpenRoot(t.h.path(dirOverlays, ref.String()))
	return err
}
