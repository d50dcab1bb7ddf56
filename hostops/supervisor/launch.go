package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// maxLayers is overlayfs's limit of 500 lower layers less some of our own.
const maxLayers = 490

// orders is what a keeper is told: the launch and where the state root is.
type orders struct {
	Launch
	Root        string // real path of the state root
	Dev, Ino    uint64 // what must be found there
	Home        string // the user's home directory, to be hidden; may be empty
	LogBytes    int64
	LogSegments int
	InUse       time.Duration // how long a former mount may take to go away
	Trial       bool          // stop before the game, see Trial
}

// checkLaunch refuses what would not work or must not be tried. The host does
// not believe its callers.
func checkLaunch(l Launch) error {
	if err := ctl.CheckName(l.Name); err != nil {
		return err
	}
	for _, s := range slices.Concat(l.Layers, l.Visible, l.Argv, l.Env) {
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) { // the keeper gets them as JSON, the kernel as C strings
			return fail(ctl.ErrBadSpec, "%q is not valid UTF-8 text without NUL characters", s)
		}
	}
	bad := func(format string, args ...any) error {
		return fail(ctl.ErrBadSpec, format, args...)
	}
	if len(l.Layers) == 0 || len(l.Layers) > maxLayers {
		return bad("a server needs 1 to %d layers, this one has %d", maxLayers, len(l.Layers))
	}
	seen := map[string]bool{}
	for _, p := range slices.Concat(l.Layers, l.Visible) {
		if !filepath.IsLocal(p) || filepath.Clean(p) != p || p == "." {
			return bad("%q is not a folder below the state root", p)
		}
		if p == "runtime" || strings.HasPrefix(p, "runtime/") {
			return bad("%q is part of a running server and can be neither a layer nor shown to another one", p)
		}
		if seen[p] {
			return bad("the folder %q is named twice", p)
		}
		seen[p] = true
	}
	if len(l.Argv) == 0 || !filepath.IsLocal(l.Argv[0]) {
		return bad("the program to run must be named relative to the game's folder")
	}
	for _, e := range l.Env {
		if k, _, ok := strings.Cut(e, "="); !ok || k == "" {
			return bad("an environment entry is not KEY=VALUE: %q", e)
		}
	}
	return nil
}

// newOrders completes a launch with what the keeper must find.
func newOrders(l Launch, root *os.File, path string) (orders, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fdOf(root), &st); err != nil {
		return orders{}, fmt.Errorf("look at the state root: %w", err)
	}
	if !utf8.ValidString(path) {
		return orders{}, fmt.Errorf("the path of the state root, %q, is not valid UTF-8: %w", path, ctl.ErrInternal)
	}
	o := orders{Launch: l, Root: path, Dev: st.Dev, Ino: st.Ino}
	if u, err := user.LookupId(strconv.Itoa(os.Getuid())); err == nil { // a user without an entry has no home to hide
		o.Home = u.HomeDir
	}
	return o, nil
}

// file puts the orders into an anonymous file that both stages of the keeper read.
func (o orders) file() (*os.File, error) {
	b, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encode the keeper's orders: %w", err)
	}
	fd, err := unix.MemfdCreate("orders", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make the keeper's orders: %w", err)
	}
	f := os.NewFile(uintptr(fd), "orders")
	if _, err := f.Write(b); err != nil {
		_ = f.Close() // already failed
		return nil, fmt.Errorf("write the keeper's orders: %w", err)
	}
	return f, nil
}

// readOrders reads the orders at descriptor fd and leaves it open.
func readOrders(fd int) (orders, error) {
	var o orders
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return o, fmt.Errorf("read the keeper's orders: %w", err)
	}
	f := os.NewFile(uintptr(dup), "orders")
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 16<<20))
	if err == nil {
		err = json.Unmarshal(b, &o)
	}
	if err != nil {
		return o, fmt.Errorf("read the keeper's orders: %w", err)
	}
	return o, nil
}

// report is one line on the pipe from a keeper to whoever started it. The last
// one has either Up or Error.
type report struct {
	Up    bool         `json:"up,omitempty"`
	Error *reportError `json:"error,omitempty"`
}

type reportError struct {
	Code int    `json:"code"` // of ctl's exit table
	Text string `json:"text"`
}

func sendReport(w io.Writer, err error) {
	r := report{Up: err == nil}
	if err != nil {
		r.Error = &reportError{Code: ctl.ExitCode(err), Text: err.Error()}
	}
	b, merr := json.Marshal(r)
	if merr != nil {
		b = []byte(`{"error":{"code":70,"text":"the keeper's report could not be encoded"}}`)
	}
	_, _ = w.Write(append(b, '\n')) // whoever started us may be gone; the game runs all the same
}

// err turns the keeper's failure back into what it was on the other side.
func (e *reportError) err() error {
	kind := ctl.FromExitCode(e.Code)
	if kind == nil {
		kind = ctl.ErrInternal
	}
	return &failure{kind: kind, text: e.Text, cause: errors.New(e.Text)}
}
