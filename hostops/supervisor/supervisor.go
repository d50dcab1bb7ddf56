// Package supervisor keeps game servers running: it mounts an instance's layers,
// runs the game over them, restarts it when it dies, keeps its log and takes
// everything down again. It knows directories, argument vectors and processes;
// it knows nothing of specs, overlays' ids, Steam or RCON.
//
// There is one implementation for hosts without root and without systemd
// (Rootless). What every implementation must do stands in suitetest.
package supervisor

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"left4me/hostops/ctl"
)

// Launch is everything needed to run one instance. It is computed first and
// carried out second, so that the thinking can be tested without a mount.
type Launch struct {
	Name   string   // valid by ctl.CheckName
	Layers []string // directories below the state root, uppermost first, slash-separated and relative
	Argv   []string // Argv[0] is a program in the merged directory, such as "srcds_linux"; without a slash the game sees it as "./srcds_linux"
	Env    []string // the whole environment, KEY=VALUE; nothing is inherited
	// Visible are directories below the state root that the game may read beside
	// its own merged tree, such as "steam/.steam". Everything else of the state
	// root is hidden from it. Those that do not exist are left out.
	Visible []string
	Restart RestartPolicy
	// StopGrace is how long the game may take to end after SIGINT before it is
	// killed.
	StopGrace time.Duration
	// Applied is stored with the running instance and returned by Status.
	Applied ctl.Applied
}

// RestartPolicy says how often a game that ends by itself is started again.
type RestartPolicy struct {
	Limit  int           // starts within Window before it is given up; 1 or less: never again
	Window time.Duration // 0: since the server was started
	Delay  time.Duration // between the end and the next start
}

// Instance is what a supervisor knows of an instance.
type Instance struct {
	State    ctl.ServerState // absent is never said here: stopped when nothing runs
	Since    time.Time
	PID      int // the game's process in the caller's PID namespace, 0 when none
	Restarts int
	Exit     *ctl.Exit    // how the game last ended, also while it runs again
	Applied  *ctl.Applied // of the running or failed game, nil when stopped
	Message  string       // one sentence: why it is so; may be empty
	Memory   int64        // bytes resident of all its processes; 0 when unknown
	// CPU is the processor time of all its processes since some beginning that stays
	// as long as PID does; 0 when unknown.
	CPU time.Duration
	// Lost says that it is down because the machine was booted, or because what looked
	// after it was killed: not, or not only, because of its game.
	Lost bool
}

// LogOptions selects lines of an instance's console log.
type LogOptions struct {
	Lines  int    // how many of the newest lines first; 0 for none
	After  string // a cursor: begin behind that line instead of counting back
	Follow bool   // stay and deliver new lines until the context ends
}

// LogLine is one line of console output.
type LogLine struct {
	Cursor string // opaque, ordered only by its supervisor
	At     time.Time
	Text   string
}

// Supervisor is implemented once per way of running processes.
type Supervisor interface {
	// Start mounts and runs the instance and returns once the game's process is
	// up. Starting what runs already is success and changes nothing.
	Start(ctx context.Context, l Launch) error
	// Stop ends the instance and takes its mounts down. Stopping what is stopped
	// is success.
	Stop(ctx context.Context, name string) error
	// Status never blocks on the game.
	Status(ctx context.Context, name string) (Instance, error)
	// Stamp is a cheap sign of an instance: it changes with every state that is
	// recorded. That the game's process ended may not show in it.
	Stamp(name string) string
	// Logs calls each for every selected line in order, across restarts of the
	// game, and returns each's error if it returns one.
	Logs(ctx context.Context, name string, o LogOptions, each func(LogLine) error) error
	// Purge removes what the instance wrote (its upper layer, log and state). It
	// refuses with ctl.ErrInUse while the instance runs; a missing one is success.
	Purge(ctx context.Context, name string) error
}

// stampOf is a file's sign: another after it was replaced, "" while there is none.
func stampOf(path string) string {
	fi, err := os.Lstat(path)
	if err != nil {
		return ""
	}
	inode := uint64(0)
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		inode = st.Ino
	}
	return fmt.Sprint(inode, fi.Size(), fi.ModTime().UnixNano())
}

// inWords is a span for people: whole minutes as such, anything else in seconds.
func inWords(d time.Duration) string {
	switch {
	case d == time.Minute:
		return "a minute"
	case d%time.Minute == 0:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return fmt.Sprintf("%g seconds", d.Seconds())
}
