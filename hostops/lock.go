package hostops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// lockPoll is how often a waiting lock is tried. flock has no timeout of its own
// and a blocked call cannot be cancelled.
const lockPoll = 25 * time.Millisecond

// Lock files below dirLocks. An instance's own is named after it; these two
// begin with a dot so that they cannot be one.
const (
	lockGame  = ".game"  // shared by starts, exclusive for installs
	lockPorts = ".ports" // held while a spec is checked against the others and applied
)

// holder is what a lock file says about the process that has it.
type holder struct {
	PID   int       `json:"pid"`
	Verb  string    `json:"verb"`
	Since time.Time `json:"since"`
}

// lockMode is LOCK_EX or LOCK_SH.
type lockMode int

const (
	exclusive lockMode = unix.LOCK_EX
	shared    lockMode = unix.LOCK_SH
)

// lock takes the lock called name, waiting at most h.Wait. what is how the thing
// is called in the sentence of ctl.ErrBusy. The returned function releases it.
//
// The file stays: to remove it would let two processes hold two locks of one name.
func (h *Host) lock(ctx context.Context, name, what string, mode lockMode) (release func(), err error) {
	return h.lockFor(ctx, name, what, mode, h.Wait)
}

// lockFor is lock with a patience of its own.
func (h *Host) lockFor(ctx context.Context, name, what string, mode lockMode, wait time.Duration) (release func(), err error) {
	if err := os.MkdirAll(h.path(dirLocks), 0o755); err != nil {
		return nil, h.diskError(fmt.Errorf("make the folder for locks: %w", err))
	}
	f, err := os.OpenFile(h.path(dirLocks, name), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, h.diskError(fmt.Errorf("open the lock of %s: %w", what, err))
	}
	if err := flock(ctx, f, mode, wait); err != nil {
		defer f.Close() // read only by now; nothing can be lost
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fail(ctl.ErrBusy, "%s is busy: %s; try again when it is done", what, describeHolder(f))
		}
		return nil, fmt.Errorf("lock %s: %w", what, err)
	}
	h.signLock(f)
	return func() { _ = f.Close() }, nil // closing unlocks; its text is only for messages
}

func flock(ctx context.Context, f *os.File, mode lockMode, wait time.Duration) error {
	deadline := time.Now().Add(wait)
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), int(mode)|unix.LOCK_NB)
		if err == nil || (!errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR)) {
			return err
		}
		if time.Now().After(deadline) {
			return unix.EWOULDBLOCK
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// signLock writes who we are. A full disk must not keep a stop from working, so
// failures are ignored: the text is only for messages.
func (h *Host) signLock(f *os.File) {
	data, err := json.Marshal(holder{PID: os.Getpid(), Verb: h.Verb, Since: now()})
	if err == nil && f.Truncate(0) == nil {
		_, _ = f.WriteAt(append(data, '\n'), 0) // see above
	}
}

func describeHolder(f *os.File) string {
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 4096))
	var who holder
	if err != nil || json.Unmarshal(data, &who) != nil || who.Verb == "" {
		return "another l4d2ctl is working on it"
	}
	verb := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, who.Verb)
	return fmt.Sprintf("l4d2ctl %s (process %d) holds it since %s", verb, who.PID, who.Since.UTC().Format("15:04:05 UTC"))
}

// lockInstance takes the lock of one instance.
func (h *Host) lockInstance(ctx context.Context, name string) (func(), error) {
	return h.lock(ctx, name, "server "+name, exclusive)
}
