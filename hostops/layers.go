package hostops

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
	"left4me/hostops/vpk"
)

// layers.go looks at what a game would see, without a mount: directory by
// directory, uppermost first. It answers questions of the "is there any" kind,
// for warnings and for the reasons of failures, and is no overlay file system:
// whiteouts hide single files here, and nothing else.

// layerDir is one directory of a stack.
type layerDir struct {
	path string // absolute
	what string // for sentences, such as "overlay 12/v3"
	mend string // how a file of it is taken away
}

// stackOf is the layers of a game, uppermost first. applied is nil when it does
// not run; the spec then says what the next start would mount.
func (h *Host) stackOf(name string, applied *ctl.Applied) []layerDir {
	var refs []string
	if applied != nil {
		refs = applied.Overlays
	} else if spec, err := h.readSpec(name); err == nil {
		refs = spec.Overlays
	}
	upper := layerDir{
		path: h.path("runtime", name, "upper"), what: "what the game wrote itself",
		mend: "run l4d2ctl reset " + name,
	}
	return append([]layerDir{upper}, h.stack(refs)...)
}

// stack is the overlays and the installation below them.
func (h *Host) stack(refs []string) []layerDir {
	var dirs []layerDir
	for _, ref := range refs {
		dirs = append(dirs, layerDir{path: h.path(dirOverlays, filepath.FromSlash(ref)), what: "overlay " + ref, mend: "take it out of the overlay"})
	}
	return append(dirs, layerDir{path: h.path(dirInstallation), what: "the game's own files", mend: "run l4d2ctl install"})
}

// found is a file of a stack.
type found struct {
	path string
	dir  layerDir
}

// look lists what matches a pattern below each layer, the uppermost of each name
// only, in order of names.
func look(stack []layerDir, pattern string) []found {
	hidden := map[string]bool{}
	var files []found
	for _, dir := range stack {
		matches, err := filepath.Glob(filepath.Join(escape(dir.path), filepath.FromSlash(pattern)))
		if err != nil {
			continue // cannot happen: the patterns are ours
		}
		for _, path := range matches {
			name := strings.TrimPrefix(path, dir.path)
			if hidden[name] {
				continue
			}
			hidden[name] = true
			if !whiteout(path) {
				files = append(files, found{path, dir})
			}
		}
	}
	slices.SortFunc(files, func(a, b found) int {
		return strings.Compare(strings.TrimPrefix(a.path, a.dir.path), strings.TrimPrefix(b.path, b.dir.path))
	})
	return files
}

// escape keeps a state root with odd characters from being a pattern.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// whiteout reports whether overlayfs hides what has this name below.
func whiteout(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// head reads the first bytes of a file that a stranger may have made: it never
// waits for a FIFO and reads no device.
func head(path string, n int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only; nothing can be lost
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNoFile
	}
	return io.ReadAll(io.LimitReader(f, n))
}

var errNoFile = errors.New("it is no regular file")

// vpkMagic begins every VPK: 0x55AA1234, little endian.
const vpkMagic = "\x34\x12\xaa\x55"

// addonFault says what is wrong with an add-on, or "". Its directory is looked
// through, which is what the engine relies on; not what it packs.
func addonFault(path string) string {
	data, err := head(path, 32)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "is a link that leads nowhere"
	case errors.Is(err, fs.ErrPermission):
		return "cannot be read"
	case errors.Is(err, errNoFile):
		return "is no regular file"
	case err != nil:
		return fmt.Sprintf("cannot be read (%v)", err)
	case len(data) == 0:
		return "is empty"
	case !strings.HasPrefix(string(data), vpkMagic):
		if what := vpk.Disguise(data); what != "" {
			return "is " + what + " and no VPK"
		}
		return "is no VPK"
	case len(data) < 12:
		return "is cut off"
	}
	f, err := vpk.OpenFile(path)
	if err == nil {
		defer f.Close()
		_, err = f.Check()
	}
	var fault *vpk.Fault
	if errors.As(err, &fault) {
		return fmt.Sprintf("cannot be mounted (%s)", fault.Detail)
	}
	return ""
}

// badAddon finds the first add-on of a stack that the engine cannot mount; nil
// when they all look right.
func badAddon(stack []layerDir) *cause {
	files := look(stack, "left4dead2/addons/*.vpk")
	for _, f := range files {
		if partOfSet(f, files) {
			continue // the set's directory tells of it
		}
		if fault := addonFault(f.path); fault != "" {
			name := filepath.Base(f.path)
			return &cause{key: "vpk", file: name, sentence: fmt.Sprintf(
				"the add-on %s (%s) %s, and the engine cannot come past it: %s, or put the right file there", short(name), f.dir.what, fault, f.dir.mend)}
		}
	}
	return nil
}

// partOfSet reports whether f is the x_000.vpk of an x_dir.vpk beside it.
func partOfSet(f found, files []found) bool {
	stem, ok := vpk.PartOf(f.path)
	return ok && slices.ContainsFunc(files, func(other found) bool {
		set, ok := vpk.SetOf(other.path)
		return ok && set == stem
	})
}

// diagnose says why a run that m tells of came to nothing; nil when nothing
// explains it. What the log says outright counts more than what is found in the
// files, but only the files say which layer an add-on is in.
func (h *Host) diagnose(name string, i supervisor.Instance, m markers) *cause {
	aboutAddon := m.cause != nil && m.cause.file != ""
	if (m.cause == nil || m.cause.weak || aboutAddon) && !m.loaded && m.hibernated {
		stack := h.stackOf(name, i.Applied)
		if bad := badAddon(stack); bad != nil && (!aboutAddon || bad.file == m.cause.file) {
			return bad
		}
		if ended := i.State == ctl.ServerFailed || i.State == ctl.ServerStopped; m.cause == nil && !ended && len(look(stack, "left4dead2/cfg/valve.rc")) == 0 {
			return &cause{key: "valve.rc", sentence: "left4dead2/cfg/valve.rc is missing, without which the game never loads a map: run l4d2ctl install, and see that no overlay takes the whole cfg folder away"}
		}
	}
	if m.cause == nil && !m.loaded && m.addon != "" {
		return &cause{key: "addon", file: m.addon, sentence: fmt.Sprintf("the last add-on that its log names is %s: try without it", short(m.addon))}
	}
	return m.cause
}

// stuckBefore explains a game that stands before its first map: m is what its
// log says so far.
func (h *Host) stuckBefore(name string, i supervisor.Instance, m markers) string {
	if c := h.diagnose(name, i, m); c != nil {
		return c.sentence
	}
	return `it stands at "Server is hibernating" before its first map, as games do that cannot read an add-on or whose plug-in waits for a database: look at its log and take away what is new`
}
