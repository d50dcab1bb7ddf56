package servercfg

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// Reader reads the server.cfg of an overlay's version, which its ref names. One
// that is not there is fs.ErrNotExist.
type Reader func(ref string) (text string, err error)

// maxFile is the largest server.cfg of an overlay that is taken, in bytes.
const maxFile = 256 << 10

// overlayCfg is where a version has the file that it would be executed by.
const overlayCfg = "left4dead2/cfg/" + Name

// Overlays reads from the versions below dir, which is the state root's overlays.
// Whoever filled a version may be hostile: links are followed inside of it only,
// and only a regular file of bounded size that is text is read. Errors:
// ctl.ErrNoOverlay, ctl.ErrContent and fs.ErrNotExist.
func Overlays(dir string) Reader {
	return func(ref string) (string, error) {
		version, err := openVersion(dir, ref)
		if err != nil {
			return "", err
		}
		defer version.Close() // read only; nothing can be lost
		// Not to wait for a FIFO, and no terminal of ours for a device.
		f, err := version.OpenFile(overlayCfg, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			return "", fmt.Errorf("%s of overlay %s: %w", overlayCfg, ref, fs.ErrNotExist)
		}
		if err != nil {
			return "", refuse(ref, "cannot be opened (%v): build the overlay again", err)
		}
		defer f.Close() // read only; nothing can be lost
		info, err := f.Stat()
		if err != nil {
			return "", fmt.Errorf("look at %s of overlay %s: %w", overlayCfg, ref, err)
		}
		if !info.Mode().IsRegular() {
			return "", refuse(ref, "is no regular file: put a text file there")
		}
		data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
		if err != nil {
			return "", fmt.Errorf("read %s of overlay %s: %w", overlayCfg, ref, err)
		}
		switch {
		case len(data) > maxFile:
			return "", refuse(ref, "has more than %d KiB: move a part into a file of its own and exec that", maxFile>>10)
		case bytes.IndexByte(data, 0) >= 0:
			return "", refuse(ref, "contains a NUL byte, where the game would stop reading: save it as plain text")
		}
		return string(data), nil
	}
}

// openVersion opens the folder of a version so that no path below it leaves it.
func openVersion(dir, ref string) (*os.Root, error) {
	overlays, err := os.OpenRoot(dir)
	if err == nil {
		defer overlays.Close() // read only; nothing can be lost
		var version *os.Root
		if version, err = overlays.OpenRoot(ref); err == nil {
			return version, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, &refusal{text: fmt.Sprintf("overlay %s does not exist on this host: build it first", ref), kind: ctl.ErrNoOverlay}
	}
	return nil, fmt.Errorf("open overlay %s: %w", ref, err)
}

// refusal is a sentence for people that is also one of ctl's errors.
type refusal struct {
	text string
	kind error
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.kind }

func refuse(ref, format string, args ...any) error {
	return &refusal{text: fmt.Sprintf("%s of overlay %s %s", overlayCfg, ref, fmt.Sprintf(format, args...)), kind: ctl.ErrContent}
}
