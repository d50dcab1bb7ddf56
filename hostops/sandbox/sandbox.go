// Package sandbox runs a bash script that nobody vouches for and hands its output
// over. The script sees a read-only system, its own folders and nothing else of
// the host; it has no network but a proxy to public addresses; and it is bounded
// in time, memory, disk, files and lines while it runs, not afterwards.
//
// There are two runners which behave alike. Rootless makes namespaces of its own;
// Systemd uses the unit left4me-build@ID.service, whose user is not the one that
// owns the content. Both talk over a socket to the same first process inside,
// which is this package again: see RunInside.
//
//	builds/ID/in        what the sandbox is given: the script and two sockets   /left4me
//	builds/ID/out       what the script makes                                   /build
//	builds/ID/previous  a link to the version before, where there is one        /previous
//
// It knows nothing of overlays, recipes or checks. Start at Runner.
package sandbox

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"left4me/hostops/ctl"
)

// Runner runs scripts, each at most once at a time by its ID.
type Runner interface {
	// Run runs the script to its end and, when it ended with 0 and within its
	// limits, calls b.Take with what it made. Whatever happens, no process and no
	// file of the run stays. An Outcome without an error says how the script ended.
	// Errors are ctl's: ErrCancelled, ErrBusy, ErrBadSpec, ErrRoot,
	// ErrNoNamespaces, ErrNotInstalled, ErrNotPermitted, ErrDiskFull, or Take's own.
	Run(ctx context.Context, b Build) (Outcome, error)
	// Sweep removes what a run left behind that was killed together with its
	// l4d2ctl. What is under way is left alone.
	Sweep(ctx context.Context) error
}

// Build is one run of a script.
type Build struct {
	ID     string   // of the overlay: 1 to 18 digits
	Script string   // for bash
	Env    []string // KEY=VALUE, beside what every script has
	// Previous is a folder that the script may read as /previous; empty for none.
	Previous string
	Limits   Limits
	// Line receives every line of the script's output, and as StreamCtl what the
	// sandbox has to say. Calls do not overlap.
	Line func(stream ctl.Stream, text string)
	// Take is called with the output when no process is left that could change it.
	// Its names, modes and kinds of files are still the script's.
	Take func(out *os.Root) error
}

// Outcome is how a script ended.
type Outcome struct {
	ExitCode int    // of the script, 128+n when signal n ended it
	Limit    string // the limit it reached, as a sentence; then it was killed
	Fetched  int64  // bytes that came through the proxy
}

// Limits bound a script. A zero is the host's own limit, which is the most that
// can be had.
type Limits struct {
	Time   time.Duration
	Memory int64 // bytes, of all its processes and its /tmp
	Disk   int64 // bytes, of its output
	Files  int   // in its output, folders counted
}

// HostLimits are the most that any script may use.
var HostLimits = Limits{Time: time.Hour, Memory: 4 << 30, Disk: 20 << 30, Files: 200_000}

// filled replaces zeros, and whatever is beyond the host's, by the host's.
func (l Limits) filled() Limits {
	if l.Time <= 0 || l.Time > HostLimits.Time {
		l.Time = HostLimits.Time
	}
	if l.Memory <= 0 || l.Memory > HostLimits.Memory {
		l.Memory = HostLimits.Memory
	}
	if l.Disk <= 0 || l.Disk > HostLimits.Disk {
		l.Disk = HostLimits.Disk
	}
	if l.Files <= 0 || l.Files > HostLimits.Files {
		l.Files = HostLimits.Files
	}
	return l
}

const (
	maxScript   = 1 << 20 // bytes
	maxEnv      = 200
	maxEnvValue = 8 << 10
	maxTasks    = 512 // processes and threads of one script
	maxDepth    = 64  // folders in folders, in the output
	tmpBytes    = 512 << 20
	freeFloor   = 1 << 30 // bytes that a script never takes from the disk

	proxyPort = "3128" // inside, on a loopback of its own
	proxyURL  = "http://127.0.0.1:" + proxyPort
)

// What the sandbox looks like from inside.
const (
	insideIn       = "/left4me"
	insideOut      = "/build"
	insidePrevious = "/previous"

	fileScript  = "script.sh"
	fileProxy   = "proxy.sock"
	fileControl = "control.sock"
)

var (
	idPattern  = regexp.MustCompile(`^[1-9][0-9]{0,17}$`)
	envPattern = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
)

// environment is what every script has.
func environment(extra []string) []string {
	env := []string{
		"PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin", "HOME=/tmp", "TMPDIR=/tmp", "LANG=C.UTF-8",
		"OVERLAY=" + insideOut,
	}
	for _, name := range []string{"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		env = append(env, name+"="+proxyURL)
	}
	return append(env, extra...)
}

// check refuses what would not work or must not be tried.
func (b Build) check() error {
	bad := func(format string, args ...any) error { return fail(ctl.ErrBadSpec, format, args...) }
	if !idPattern.MatchString(b.ID) {
		return bad("%q is not an overlay's number", b.ID)
	}
	if len(b.Script) > maxScript {
		return bad("the script has %d bytes; more than %d are not taken", len(b.Script), maxScript)
	}
	if strings.TrimSpace(b.Script) == "" {
		return bad("the script is empty")
	}
	if !utf8.ValidString(b.Script) || strings.ContainsRune(b.Script, 0) {
		return bad("the script is not valid UTF-8 text without NUL characters")
	}
	if len(b.Env) > maxEnv {
		return bad("a script takes at most %d variables", maxEnv)
	}
	for _, e := range b.Env {
		name, value, _ := strings.Cut(e, "=")
		if !envPattern.MatchString(name) || len(value) > maxEnvValue || !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
			return bad("%q is not a variable for a script", name)
		}
	}
	return nil
}

// failure is a sentence for people with the ctl error that gives it its exit code.
type failure struct {
	kind error
	text string
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.kind }

func fail(kind error, format string, args ...any) error {
	return &failure{kind: kind, text: fmt.Sprintf(format, args...)}
}

func cancelled(ctx context.Context) error {
	return fail(ctl.ErrCancelled, "the build was cancelled: %v", context.Cause(ctx))
}
