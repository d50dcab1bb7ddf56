package ctl

import (
	"errors"
	"fmt"
	"sort"
)

// The failures that l4d2ctl itself can report. Each has one exit code below and
// one sentence for people; a child's own exit code passes through instead.
var (
	ErrUsage        = errors.New("wrong use of the command")
	ErrBadSpec      = errors.New("the spec is not valid")
	ErrBadName      = errors.New("not a server name")
	ErrNotFound     = errors.New("no such server")
	ErrNotInstalled = errors.New("the game is not installed")
	ErrNoNamespaces = errors.New("user namespaces are not available")
	ErrNoOverlayFS  = errors.New("overlayfs cannot be mounted")
	ErrRoot         = errors.New("refusing to run as root")
	ErrInternal     = errors.New("internal error")
	ErrDiskFull     = errors.New("the disk is full")
	ErrPortTaken    = errors.New("the port is taken")
	ErrBusy         = errors.New("another operation is under way")
	ErrInUse        = errors.New("still in use")
	ErrGameFailed   = errors.New("the game did not start")
	//lint:ignore ST1005 Steam is a name
	ErrSteam = errors.New("Steam reported a failure")
	//lint:ignore ST1005 Steam is a name
	ErrSteamRetry   = errors.New("Steam reported a failure that often passes")
	ErrUnfit        = errors.New("doctor found a problem")
	ErrCancelled    = errors.New("cancelled")
	ErrNotPermitted = errors.New("not permitted")
	ErrContent      = errors.New("the content was refused")
	ErrBuild        = errors.New("the script failed")
	ErrLimit        = errors.New("the script reached a limit")
	ErrNoOverlay    = errors.New("no such overlay version")
	ErrNotRunning   = errors.New("the server is not running")
	ErrConsole      = errors.New("the game's console cannot be used")
	ErrNoPlayer     = errors.New("no such player on the server")
)

// exitCodes is the one table of our own exit codes. Where sysexits.h has a
// meaning that fits we use its number; from 90 on the numbers are ours. They are
// never renumbered: scripts and stored jobs know them.
var exitCodes = []struct {
	Code int
	Err  error
}{
	{64, ErrUsage},        // EX_USAGE
	{65, ErrBadSpec},      // EX_DATAERR
	{66, ErrNotFound},     // EX_NOINPUT
	{67, ErrBadName},      // EX_NOUSER
	{69, ErrNotInstalled}, // EX_UNAVAILABLE
	{70, ErrInternal},     // EX_SOFTWARE
	{71, ErrNoNamespaces}, // EX_OSERR
	{72, ErrNoOverlayFS},  // EX_OSFILE
	{73, ErrDiskFull},     // EX_CANTCREAT
	{74, ErrInUse},        // EX_IOERR
	{75, ErrBusy},         // EX_TEMPFAIL
	{76, ErrSteam},        // EX_PROTOCOL
	{77, ErrRoot},         // EX_NOPERM
	{78, ErrSteamRetry},   // EX_CONFIG
	{90, ErrPortTaken},
	{91, ErrGameFailed},
	{92, ErrUnfit},
	{93, ErrNotPermitted},
	{94, ErrContent},
	{95, ErrBuild},
	{96, ErrLimit},
	{97, ErrNoOverlay},
	{98, ErrNotRunning},
	{99, ErrConsole},
	{100, ErrNoPlayer},
	{130, ErrCancelled}, // what a shell shows for SIGINT
}

// ChildError is a program that l4d2ctl ran and that failed. Its code becomes
// l4d2ctl's own and its standard error has already been passed through.
type ChildError struct {
	Program string // base name, such as steamcmd.sh
	Code    int    // 1..255; 128+n when signal n ended it
	Reason  string // one sentence for people, may be empty
}

func (e *ChildError) Error() string {
	if e.Reason != "" {
		return e.Reason
	}
	return fmt.Sprintf("%s ended with exit code %d", e.Program, e.Code)
}

// ExitCode is the code that l4d2ctl ends with for err: 0 for nil, a child's own
// code, the table's code, or 70 for a failure nobody foresaw.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	var child *ChildError
	if errors.As(err, &child) && child.Code > 0 && child.Code < 256 {
		return child.Code
	}
	for _, e := range exitCodes {
		if errors.Is(err, e.Err) {
			return e.Code
		}
	}
	return 70
}

// FromExitCode is the inverse of ExitCode as far as there is one: the table's
// error, or nil for 0 and for codes that are a child's own.
func FromExitCode(code int) error {
	for _, e := range exitCodes {
		if e.Code == code {
			return e.Err
		}
	}
	return nil
}

// ExitTable lists every code with its meaning in ascending order, for --help
// and the manual.
func ExitTable() []string {
	rows := make([]string, 0, len(exitCodes)+2)
	sorted := append(exitCodes[:0:0], exitCodes...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Code < sorted[j].Code })
	rows = append(rows, "  0  done")
	for _, e := range sorted {
		rows = append(rows, fmt.Sprintf("%3d  %s", e.Code, e.Err))
	}
	return append(rows, "any other code is that of the program l4d2ctl ran")
}
