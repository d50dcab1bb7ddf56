package overlayhelper

import (
	"errors"
	"fmt"
)

// Why the helper ends without success. Each has an exit code of its own, which
// never changes; the sentence on stderr says the rest.
var (
	// ErrFailed: something is missing, or the system refused a step.
	ErrFailed = errors.New("failed")
	// ErrUsage: the command line is none of ours, or the caller is not root.
	ErrUsage = errors.New("usage: left4me-overlay mount|umount|purge NAME (as root)")
	// ErrRefused: a list, a folder or a mount is not as it must be to be trusted.
	ErrRefused = errors.New("refused")
	// ErrLocked: another helper has been at work on the same name for too long.
	ErrLocked = errors.New("another left4me-overlay is at work")
	// ErrOtherMount: something else is mounted there, or the same server with
	// other layers; it must be stopped first.
	ErrOtherMount = errors.New("mounted with other layers")
	// ErrBusy: it is mounted and in use, and stays so.
	ErrBusy = errors.New("busy")
	// ErrInUse: a former overlay of this server is still alive somewhere.
	ErrInUse = errors.New("still in use elsewhere")
	// ErrNotHost: process 1 is not that of the system, so its mounts are not
	// the host's.
	ErrNotHost = errors.New("not on the host")
)

// exitCodes is the one table of what the helper exits with; 0 is success.
var exitCodes = map[int]error{
	1: ErrFailed,
	2: ErrUsage,
	3: ErrRefused,
	4: ErrLocked,
	5: ErrOtherMount,
	6: ErrBusy,
	7: ErrInUse,
	8: ErrNotHost,
}

// ExitCode is what the helper exits with when it ends with err: 0 for nil, 1 for
// what is in no class.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	for code, class := range exitCodes {
		if errors.Is(err, class) {
			return code
		}
	}
	return 1
}

// CodeError is the inverse of ExitCode for callers of the helper: nil for 0 and
// ErrFailed for a code that is not in the table.
func CodeError(code int) error {
	if code == 0 {
		return nil
	}
	if class, ok := exitCodes[code]; ok {
		return class
	}
	return ErrFailed
}

// failure is one sentence with its class. The class is not part of the text.
type failure struct {
	class error
	err   error
}

func (f *failure) Error() string   { return f.err.Error() }
func (f *failure) Unwrap() []error { return []error{f.class, f.err} }

// Fail makes an error of the class that reads as the sentence alone. %w keeps
// what it wraps.
func Fail(class error, format string, args ...any) error {
	return &failure{class: class, err: fmt.Errorf(format, args...)}
}
