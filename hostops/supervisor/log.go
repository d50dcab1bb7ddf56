package supervisor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// An instance's console is kept as numbered lines in numbered segments:
//
//	log/00000000000000000001.log
//	2026-01-02T03:04:05.678901234Z <text>
//	...
//
// A segment's name is the number of its first line, so a line's number is known
// by counting from there; that number is the cursor. A new start goes on in the
// last segment. The oldest segments go when there are too many: the log is
// bounded whatever the game prints.

const (
	defaultLogBytes    = 4 << 20
	defaultLogSegments = 8
	maxLine            = 8 << 10 // bytes of one line's text; the rest is cut
	maxPending         = 4 << 20 // bytes waiting for the disk; beyond it lines are dropped
)

// noteMark begins the lines that the supervisor itself writes.
const noteMark = "[left4me] "

func segmentName(first uint64) string { return fmt.Sprintf("%020d.log", first) }

// segments lists the numbers of the first lines, oldest first.
func segments(dir *os.File) ([]uint64, error) {
	d, err := openBeneath(fdOf(dir), ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list the log: %w", err)
	}
	var firsts []uint64
	for _, n := range names {
		base, ok := strings.CutSuffix(n, ".log")
		if first, err := strconv.ParseUint(base, 10, 64); ok && err == nil && len(base) == 20 && first > 0 {
			firsts = append(firsts, first)
		}
	}
	sort.Slice(firsts, func(i, j int) bool { return firsts[i] < firsts[j] })
	return firsts, nil
}

func openSegment(dir *os.File, first uint64, flags int) (*os.File, error) {
	return openBeneath(fdOf(dir), segmentName(first), flags|unix.O_NONBLOCK, modeFor(flags))
}

// modeFor is 0 unless a file is made: openat2 refuses a mode without O_CREAT.
func modeFor(flags int) uint32 {
	if flags&unix.O_CREAT != 0 {
		return 0o600
	}
	return 0
}

// countLines returns how many whole lines f has and where the last one ends.
func countLines(f *os.File) (n uint64, end int64, err error) {
	buf := make([]byte, 128<<10)
	for off := int64(0); ; {
		m, err := f.ReadAt(buf, off)
		if i := bytes.LastIndexByte(buf[:m], '\n'); i >= 0 {
			n += uint64(bytes.Count(buf[:i+1], []byte{'\n'}))
			end = off + int64(i) + 1
		}
		off += int64(m)
		if errors.Is(err, io.EOF) {
			return n, end, nil
		}
		if err != nil {
			return n, end, fmt.Errorf("read the log: %w", err)
		}
	}
}

// entry is a line on its way to the disk.
type entry struct {
	at   time.Time
	text string
}

// logWriter numbers lines and writes them behind the game's back: add never
// waits for the disk.
type logWriter struct {
	dir      *os.File
	maxBytes int64
	maxFiles int

	mu      sync.Mutex
	pending []entry
	bytes   int
	dropped uint64 // lines that found no room in pending
	closed  bool
	wake    chan struct{}
	done    chan struct{}

	// The writing goroutine's own.
	file *os.File
	size int64  // of file, up to the last whole line
	next uint64 // number of the next line
	lost uint64 // lines that the disk did not take
	why  error  // the reason of the last loss
}

// openLog goes on behind the last whole line in dir. Zero limits are the defaults.
func openLog(dir *os.File, maxBytes int64, maxFiles int) (*logWriter, error) {
	w := &logWriter{dir: dir, maxBytes: maxBytes, maxFiles: maxFiles, next: 1, wake: make(chan struct{}, 1), done: make(chan struct{})}
	if w.maxBytes <= 0 {
		w.maxBytes = defaultLogBytes
	}
	if w.maxFiles <= 0 {
		w.maxFiles = defaultLogSegments
	}
	firsts, err := segments(dir)
	if err != nil {
		return nil, err
	}
	if len(firsts) > 0 {
		last := firsts[len(firsts)-1]
		f, err := openSegment(dir, last, unix.O_RDWR)
		if err != nil {
			return nil, err
		}
		n, end, err := countLines(f)
		if err == nil {
			err = f.Truncate(end) // half a line, of a keeper that was killed
		}
		if err != nil {
			_ = f.Close() // nothing was written
			return nil, err
		}
		w.file, w.size, w.next = f, end, last+n
	}
	go w.loop()
	return w, nil
}

// note adds a line of the supervisor's own.
func (w *logWriter) note(text string) { w.add(noteMark + text) }

// add queues one line, or counts it as lost when the disk is far behind.
func (w *logWriter) add(text string) {
	w.mu.Lock()
	if w.bytes > maxPending {
		w.dropped++
	} else {
		w.pending = append(w.pending, entry{time.Now().UTC(), text})
		w.bytes += len(text) + 64
	}
	w.mu.Unlock()
	w.poke()
}

func (w *logWriter) poke() {
	select {
	case w.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// close writes what is queued and ends the writer.
func (w *logWriter) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.poke()
	select {
	case <-w.done:
	case <-time.After(5 * time.Second): // a disk that hangs must not keep the server from ending
	}
}

func (w *logWriter) loop() {
	defer close(w.done)
	for range w.wake {
		w.mu.Lock()
		batch, dropped, closed := w.pending, w.dropped, w.closed
		w.pending, w.bytes, w.dropped = nil, 0, 0
		w.mu.Unlock()
		if dropped > 0 {
			w.lost += dropped
			w.why = nil
		}
		w.write(batch)
		if closed {
			if w.file != nil {
				_ = w.file.Sync()  // the end of a log is worth a try
				_ = w.file.Close() // every write was checked
			}
			return
		}
	}
}

// write stores a batch, splitting it over segments.
func (w *logWriter) write(batch []entry) {
	var buf []byte
	var lines uint64
	flush := func() {
		if lines > 0 && !w.store(buf, lines) {
			w.lost += lines
		}
		buf, lines = buf[:0], 0
	}
	for _, e := range batch {
		buf = e.at.AppendFormat(buf, time.RFC3339Nano)
		buf = append(buf, ' ')
		buf = append(buf, e.text...)
		buf = append(buf, '\n')
		lines++
		if w.size+int64(len(buf)) >= w.maxBytes || len(buf) >= 256<<10 {
			flush()
		}
	}
	flush()
	if w.lost > 0 {
		w.reportLoss()
	}
}

// reportLoss says in the log itself that lines are missing, once it takes lines
// again.
func (w *logWriter) reportLoss() {
	reason := "the game printed faster than the disk could write"
	if errors.Is(w.why, unix.ENOSPC) || errors.Is(w.why, unix.EDQUOT) {
		reason = "the disk was full"
	} else if w.why != nil {
		reason = w.why.Error()
	}
	line := fmt.Sprintf("%s %s%d lines of the console were lost here: %s.\n", time.Now().UTC().Format(time.RFC3339Nano), noteMark, w.lost, reason)
	if w.store([]byte(line), 1) {
		w.lost, w.why = 0, nil
	}
}

// store appends whole lines to the current segment, or none of them.
func (w *logWriter) store(b []byte, lines uint64) bool {
	if w.file == nil || w.size >= w.maxBytes {
		if err := w.rotate(); err != nil {
			w.why = err
			if w.file == nil || w.size >= 2*w.maxBytes {
				return false
			}
		}
	}
	if _, err := w.file.WriteAt(b, w.size); err != nil {
		w.why = err
		_ = w.file.Truncate(w.size) // half a line would be counted as one
		return false
	}
	w.size += int64(len(b))
	w.next += lines
	return true
}

// rotate begins a segment and removes the oldest ones.
func (w *logWriter) rotate() error {
	f, err := openSegment(w.dir, w.next, unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC)
	if err != nil {
		return err
	}
	if w.file != nil {
		_ = w.file.Close() // every write was checked
	}
	w.file, w.size = f, 0
	firsts, err := segments(w.dir)
	if err != nil {
		return nil // tried again at the next rotation
	}
	for len(firsts) > w.maxFiles {
		_ = unix.Unlinkat(fdOf(w.dir), segmentName(firsts[0]), 0) // tried again at the next rotation
		firsts = firsts[1:]
	}
	return nil
}

// copyLines reads the game's terminal until it ends and gives add each line.
func copyLines(r io.Reader, add func(text string)) {
	var line []byte
	long := false // the rest of this line is thrown away
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			part, after, whole := bytes.Cut(rest, []byte{'\n'})
			if room := maxLine - len(line); len(part) > room {
				part, long = part[:room], true
			}
			line = append(line, part...)
			if whole {
				add(ctl.CleanLine(line, long))
				line, long = line[:0], false
			}
			rest = after
		}
		if err != nil { // EIO: the last process has closed the terminal
			if len(line) > 0 {
				add(ctl.CleanLine(line, long))
			}
			return
		}
	}
}

// missing says that err means a file that is not there.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
