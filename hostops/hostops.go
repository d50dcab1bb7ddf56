// Package hostops is what l4d2ctl does: it installs the game, initialises,
// starts, stops and deletes instances, and reports on them.
//
// It knows the state root and everything below it. It knows nothing of users,
// jobs, databases or the web; whoever calls it may be hostile, so every value is
// checked here again. How processes and mounts are made is the supervisor's
// business, how steamcmd is driven is hostops/steam's. Start at Host; the pure
// parts, spec in and launch out, are in spec.go, servercfg and launch.go.
package hostops

import (
	"fmt"
	"path/filepath"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/sandbox"
	"left4me/hostops/supervisor"
)

// Directories below the state root. They are a promise to operators and to the
// supervisor.
const (
	dirInstallation = "installation"
	dirOverlays     = "overlays"
	dirInstances    = "instances"
	dirSteam        = "steam"
	dirWorkshop     = "workshop"
	dirAvatars      = "avatars"
	dirUploads      = "uploads"
	dirBuilds       = "builds"
	dirTemp         = "tmp"
	dirLocks        = "instances/.locks" // no instance name begins with a dot
)

// Host carries out verbs on one state root. Its fields are set once, before the
// first call; the methods may then be called at the same time.
type Host struct {
	Root       string                // absolute path of the state root
	Steamcmd   string                // absolute path of steamcmd.sh
	Supervisor supervisor.Supervisor // runs the games
	Sandbox    sandbox.Runner        // runs the scripts of overlays; nil where none are built
	Emit       func(ctl.Event)       // receives every event; must not be nil
	Wait       time.Duration         // how long to wait for another operation on the same thing
	Verb       string                // the command under way: what others are told while it holds a lock

	SteamAPI      string   // base URL of Steam's Web API
	WorkshopHosts []string // HOST:PORT that workshop files may come from beside Steam's own, over plain http too
	Mirror        string   // base URL of a mirror that recipes fetch from instead of the original sites; may be empty
}

func (h *Host) path(elem ...string) string {
	return filepath.Join(append([]string{h.Root}, elem...)...)
}

// say emits a line of l4d2ctl's own.
func (h *Host) say(format string, args ...any) {
	h.Emit(ctl.Event{Type: ctl.EventLog, At: now(), Stream: ctl.StreamCtl, Text: fmt.Sprintf(format, args...)})
}

func (h *Host) phase(key, title string) {
	h.Emit(ctl.Event{Type: ctl.EventPhase, At: now(), Phase: &ctl.Phase{Key: key, Title: title}})
}

func now() time.Time { return time.Now().UTC() }

// failure is a sentence for people that is also one of ctl's errors, without the
// error's own words at its end.
type failure struct {
	text string
	kind error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.kind }

func fail(kind error, format string, args ...any) error {
	return &failure{text: fmt.Sprintf(format, args...), kind: kind}
}
