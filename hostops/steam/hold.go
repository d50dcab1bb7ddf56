package steam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// Two steamcmd in one home, or on one installation, damage both. So the home has
// a lock file and the installation is locked as a folder, and steamcmd inherits
// both locks: when l4d2ctl is killed they last as long as a steamcmd that
// outlives it.

const homeLock = ".left4me.lock"

// holdPoll is how often a lock is tried: flock has no timeout of its own.
const holdPoll = 25 * time.Millisecond

// glance is how long somebody who only looks at an installation may hold it.
const glance = 2 * time.Second

// holder is what the lock file says about who has it.
type holder struct {
	PID   int       `json:"pid"`
	Verb  string    `json:"verb"`
	Since time.Time `json:"since"`
}

// hold takes Steam's home and, when o.Dir is set, the installation. What is held
// by another is ctl.ErrBusy.
func (o Options) hold(ctx context.Context) (files []*os.File, release func(), err error) {
	release = func() {
		for _, f := range files {
			// A process that left steamcmd's session may have inherited it, and must
			// not keep the next run waiting.
			_ = unix.Flock(int(f.Fd()), unix.LOCK_UN)
			_ = f.Close() // its text is only for messages
		}
	}
	home, err := os.OpenFile(filepath.Join(o.Home, homeLock), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("lock Steam's folder: %w", err)
	}
	files = append(files, home)
	if err := flock(ctx, home, unix.LOCK_EX, o.Wait); err != nil {
		defer release()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, nil, busy("steamcmd is busy: %s; try again when it is done", describe(home, o.Home))
		}
		return nil, nil, fmt.Errorf("lock Steam's folder: %w", err)
	}
	sign(home, o.Verb)
	if o.Dir == "" {
		return files, release, nil
	}
	dir, err := os.Open(o.Dir)
	if err != nil {
		release()
		return nil, nil, fmt.Errorf("lock the installation: %w", err)
	}
	files = append(files, dir)
	err = flock(ctx, dir, unix.LOCK_EX, max(o.Wait, glance))
	if errors.Is(err, unix.EWOULDBLOCK) {
		release()
		return nil, nil, busy("a steamcmd of an earlier l4d2ctl is still changing %s; try again when it is done, or end it", o.Dir)
	}
	if err != nil && ctx.Err() != nil {
		release()
		return nil, nil, cancelled()
	}
	return files, release, nil // a file system that cannot lock a folder does without
}

func busy(format string, args ...any) error {
	return &Failure{Sentence: fmt.Sprintf(format, args...), Class: ctl.ErrBusy, Again: true}
}

// flock waits at most patient. EWOULDBLOCK means that another has it.
func flock(ctx context.Context, f *os.File, how int, patient time.Duration) error {
	deadline := time.Now().Add(patient)
	tick := time.NewTicker(holdPoll)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
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

// sign writes who we are. Failures are ignored: the text is only for messages.
func sign(f *os.File, verb string) {
	data, err := json.Marshal(holder{PID: os.Getpid(), Verb: verb, Since: time.Now().UTC()})
	if err == nil && f.Truncate(0) == nil {
		_, _ = f.WriteAt(append(data, '\n'), 0) // see above
	}
}

func describe(f *os.File, home string) string {
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 4096))
	var who holder
	if err != nil || json.Unmarshal(data, &who) != nil || who.PID <= 0 {
		return "another program uses " + home
	}
	since := who.Since.UTC().Format("15:04:05 UTC")
	if errors.Is(unix.Kill(who.PID, 0), unix.ESRCH) {
		return fmt.Sprintf("the steamcmd that a killed l4d2ctl started at %s still uses %s", since, home)
	}
	verb := strings.Trim(strconv.Quote(who.Verb), `"`) // the file may hold anything
	return fmt.Sprintf("l4d2ctl %s (process %d) uses %s since %s", verb, who.PID, home, since)
}

// Changing reports whether a steamcmd is at work on the installation.
func Changing(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close() // unlocks
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}
