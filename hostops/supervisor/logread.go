package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// logPoll is how often a follower looks when the kernel cannot tell it of new
// lines: no inotify instance left, or no log there yet.
const logPoll = 100 * time.Millisecond

// Logs implements Supervisor. A cursor is the number of a line. A cursor that is
// older than the oldest kept line, or newer than the newest because the log was
// purged, begins at the oldest with a line that says so. A cursor that is none
// is ctl.ErrUsage. With Follow it returns nil when the context ends.
func (r *Rootless) Logs(ctx context.Context, name string, o LogOptions, each func(LogLine) error) error {
	after, err := parseCursor(o.After)
	if err != nil {
		return err
	}
	begin := o
	for {
		lr, err := r.openReader(name)
		switch {
		case err == nil:
			err = lr.run(ctx, begin, after, each)
			lr.close()
			if !errors.Is(err, errLogGone) {
				return err
			}
		case !missing(err):
			return err
		}
		if !o.Follow {
			return nil
		}
		// No log yet, or it was purged: its first line will be the first of all.
		begin, after = LogOptions{Follow: true, After: "0"}, 0
		if wait(ctx, logPoll) != nil {
			return nil
		}
	}
}

func parseCursor(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fail(ctl.ErrUsage, "%q is not a place in a server's log; use the cursor that came with a line", s)
	}
	return n, nil
}

// errLogGone says that the log that was being followed was removed.
var errLogGone = errors.New("the log was removed")

// logReader goes through the segments in order.
type logReader struct {
	dir   *os.File
	file  *os.File // nil before the first segment exists
	first uint64   // number of file's first line
	off   int64    // behind the last delivered line of file
	next  uint64   // number of the line at off
	buf   []byte
}

func (r *Rootless) openReader(name string) (*logReader, error) {
	run, err := r.open(name)
	if err != nil {
		return nil, err
	}
	defer run.close()
	dir, err := openBeneath(fdOf(run.dir), dirLog, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &logReader{dir: dir, next: 1, buf: make([]byte, 64<<10)}, nil
}

func (l *logReader) close() {
	if l.file != nil {
		_ = l.file.Close() // read only; nothing can be lost
	}
	_ = l.dir.Close() // read only; nothing can be lost
}

// run delivers what was asked for.
func (l *logReader) run(ctx context.Context, o LogOptions, after uint64, each func(LogLine) error) error {
	watch := newWatch(l.dir, o.Follow) // before the first look, so that no line falls between
	defer watch.close()
	oldest, newest, err := l.extent()
	if err != nil {
		return err
	}
	switch {
	case o.After != "" && after > newest:
		l.next = oldest
		if newest == 0 {
			break
		}
		if err := each(l.notice(oldest, "the log was begun anew since the line that was asked for")); err != nil {
			return err
		}
	case o.After != "":
		l.next = after + 1
	case uint64(max(o.Lines, 0)) > newest:
		l.next = oldest
	default:
		l.next = max(newest-uint64(max(o.Lines, 0))+1, oldest)
	}
	for {
		if err := l.deliver(ctx, each); err != nil {
			return err
		}
		if !o.Follow {
			return nil
		}
		if err := watch.wait(ctx); err != nil {
			return nil // the caller has had enough
		}
		var st unix.Stat_t
		if err := unix.Fstat(fdOf(l.dir), &st); err == nil && st.Nlink == 0 {
			return errLogGone
		}
	}
}

// extent returns the numbers of the oldest and newest whole line; 1 and 0 for an
// empty log.
func (l *logReader) extent() (oldest, newest uint64, err error) {
	firsts, err := segments(l.dir)
	if err != nil || len(firsts) == 0 {
		return 1, 0, err
	}
	last := firsts[len(firsts)-1]
	f, err := openSegment(l.dir, last, unix.O_RDONLY)
	if err != nil {
		return 1, 0, err
	}
	defer f.Close()
	n, _, err := countLines(f)
	return firsts[0], last + n - 1, err
}

// notice is a line about the log that is not in it. Resuming behind it begins at
// line next.
func (l *logReader) notice(next uint64, text string) LogLine {
	return LogLine{Cursor: strconv.FormatUint(next-1, 10), At: time.Now().UTC(), Text: noteMark + text}
}

// deliver calls each for every whole line from next on.
func (l *logReader) deliver(ctx context.Context, each func(LogLine) error) error {
	for {
		if l.file == nil {
			ok, err := l.seek(each)
			if err != nil || !ok {
				return err
			}
		}
		// Asked before reading to the end: what was written before the newer
		// segment was begun is then read for certain.
		newer, err := l.hasNewer()
		if err != nil {
			return err
		}
		if err := l.drain(ctx, each); err != nil {
			return err
		}
		if !newer {
			return nil
		}
		_ = l.file.Close() // read only; nothing can be lost
		l.file = nil
	}
}

// seek opens the segment that holds line next and skips to it. A line that is no
// longer kept is replaced by a notice.
func (l *logReader) seek(each func(LogLine) error) (bool, error) {
	firsts, err := segments(l.dir)
	if err != nil || len(firsts) == 0 {
		return false, err
	}
	if firsts[0] > l.next {
		lost := firsts[0] - l.next
		l.next = firsts[0]
		text := fmt.Sprintf("%d earlier lines are no longer kept", lost)
		if err := each(l.notice(l.next, text)); err != nil {
			return false, err
		}
	}
	i := len(firsts) - 1
	for firsts[i] > l.next {
		i--
	}
	f, err := openSegment(l.dir, firsts[i], unix.O_RDONLY)
	if missing(err) {
		return l.seek(each) // the oldest was just removed; then another is the oldest now
	}
	if err != nil {
		return false, err
	}
	l.file, l.first, l.off = f, firsts[i], 0
	return true, l.skip(l.next - firsts[i])
}

// skip moves off behind n lines.
func (l *logReader) skip(n uint64) error {
	for n > 0 {
		m, err := l.file.ReadAt(l.buf, l.off)
		b := l.buf[:m]
		for n > 0 {
			i := bytes.IndexByte(b, '\n')
			if i < 0 {
				break
			}
			b, n, l.off = b[i+1:], n-1, l.off+int64(i)+1
		}
		if errors.Is(err, io.EOF) {
			l.next -= n // the file ends before: go on at its end
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
	}
	return nil
}

func (l *logReader) hasNewer() (bool, error) {
	firsts, err := segments(l.dir)
	return len(firsts) > 0 && firsts[len(firsts)-1] > l.first, err
}

// drain delivers the whole lines of the current segment. Half a line is left for
// the next time: it is read again from its beginning, because a keeper that goes
// on after a crash cuts it off.
func (l *logReader) drain(ctx context.Context, each func(LogLine) error) error {
	for {
		m, err := l.file.ReadAt(l.buf, l.off)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the log: %w", err)
		}
		b := l.buf[:m]
		for {
			i := bytes.IndexByte(b, '\n')
			if i < 0 {
				break
			}
			if ctx.Err() != nil {
				return nil
			}
			if err := each(l.line(b[:i])); err != nil {
				return err
			}
			l.off += int64(i) + 1
			l.next++
			b = b[i+1:]
		}
		if err != nil || m == 0 {
			return nil
		}
		if len(b) == len(l.buf) { // longer than any line of ours: not written by us
			l.buf = make([]byte, 2*len(l.buf))
		}
	}
}

func (l *logReader) line(b []byte) LogLine {
	stamp, text, _ := strings.Cut(string(b), " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		text = string(b) // somebody edited the file; nothing is hidden
	}
	return LogLine{Cursor: strconv.FormatUint(l.next, 10), At: at, Text: text}
}

// watch wakes a follower when the log's folder changes.
type watch struct{ notify *os.File } // nil: look again every logPoll

func newWatch(dir *os.File, follow bool) watch {
	if !follow {
		return watch{}
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return watch{} // the user's inotify instances are used up
	}
	const events = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_DELETE | unix.IN_DELETE_SELF | unix.IN_ONLYDIR
	if _, err := unix.InotifyAddWatch(fd, fmt.Sprintf("/proc/self/fd/%d", fdOf(dir)), events); err != nil {
		_ = unix.Close(fd) // nothing is watched
		return watch{}
	}
	return watch{os.NewFile(uintptr(fd), "inotify")}
}

func (w watch) close() {
	if w.notify != nil {
		_ = w.notify.Close() // nothing can be lost
	}
}

// wait returns when the log may have changed, or with an error when ctx ends.
func (w watch) wait(ctx context.Context) error {
	if w.notify == nil {
		return wait(ctx, logPoll)
	}
	stop := context.AfterFunc(ctx, func() { _ = w.notify.SetReadDeadline(time.Unix(1, 0)) }) // inotify is pollable
	defer stop()
	var buf [4096]byte
	_, err := w.notify.Read(buf[:])
	if ctx.Err() != nil {
		return cancelled(ctx)
	}
	if err != nil {
		return wait(ctx, logPoll)
	}
	return nil
}
