package steam

import (
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// lineLog passes bytes on unchanged and emits each line of them as well. With a
// mask it passes on masked lines, once they are whole.
type lineLog struct {
	raw  io.Writer
	emit func(ctl.Event)
	mask func(string) string
	buf  []byte
}

func newLineLog(raw io.Writer, emit func(ctl.Event), mask func(string) string) *lineLog {
	return &lineLog{raw: raw, emit: emit, mask: mask}
}

func (l *lineLog) Write(data []byte) (int, error) {
	if l.mask == nil {
		l.pass(data)
	}
	l.buf = append(l.buf, data...)
	for {
		i := bytes.IndexByte(l.buf, '\n')
		if i < 0 && len(l.buf) < maxPending {
			return len(data), nil
		}
		if i < 0 {
			i = len(l.buf) - 1
		}
		l.line(l.buf[:i+1])
		l.buf = l.buf[i+1:]
	}
}

// pass ignores failures: whoever closed our stderr must not end the child.
func (l *lineLog) pass(data []byte) {
	if l.raw != nil {
		_, _ = l.raw.Write(data) // see above
	}
}

func (l *lineLog) line(b []byte) {
	if l.mask != nil {
		b = []byte(l.mask(string(b)))
		l.pass(b)
	}
	text := strings.TrimRight(strings.ToValidUTF8(string(b), "\uFFFD"), "\r\n")
	if text != "" {
		l.emit(ctl.Event{Type: ctl.EventLog, At: time.Now().UTC(), Stream: ctl.StreamErr, Text: text})
	}
}

// Close emits what came without a line end.
func (l *lineLog) Close() error {
	if len(l.buf) > 0 {
		l.line(l.buf)
		l.buf = nil
	}
	return nil
}

// tailSize is how much of each log's end is shown: some twenty lines.
const tailSize = 2 << 10

// logMarks is how long each of steamcmd's logs was before a run.
type logMarks map[string]int64

// causes are the logs in which the reason of a failed start stands; details those
// that tell more of a download that steamcmd itself has a line for.
var (
	causes  = []string{"bootstrap_log.txt", "stderr.txt"}
	details = []string{"content_log.txt", "connection_log.txt"}
)

func (o Options) markLogs() logMarks {
	marks := logMarks{}
	for _, dir := range dataDirs {
		for _, name := range slices.Concat(causes, details) {
			path := filepath.Join(o.Home, dir, "logs", name)
			marks[path] = 0
			if info, err := os.Lstat(path); err == nil {
				marks[path] = info.Size()
			}
		}
	}
	return marks
}

// tail shows what steamcmd wrote into its logs since they were marked, because
// it often says there, and only there, why it failed. found is the line that it
// printed itself, or nil; then a known line of the logs is returned in its place.
func (m logMarks) tail(o Options, found *rule) *rule {
	var names []string
	switch {
	case found == nil:
		names = slices.Concat(causes, details)
	case slices.Contains([]Class{ClassNetwork, ClassBroken, ClassDiskFull, ClassPermissions, ClassOther}, found.class):
		names = details
	}
	out := newLineLog(o.Stderr, o.Emit, o.mask())
	for _, path := range slices.Sorted(maps.Keys(m)) {
		name := filepath.Base(path)
		if !slices.Contains(names, name) {
			continue
		}
		text := tail(path, m[path])
		if text == "" {
			continue
		}
		_, _ = io.WriteString(out, "The end of steamcmd's "+name+":\n"+text) // a lineLog never fails
		for line := range strings.SplitSeq(text, "\n") {
			if r, ok := match(line); ok && found == nil && slices.Contains(causes, name) {
				found = &r
			}
		}
	}
	return found
}

// tail is the end of a regular file behind the offset, in whole lines.
func tail(path string, from int64) string {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close() // read only; nothing can be lost
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	if info.Size() < from { // begun anew
		from = 0
	}
	offset := max(info.Size()-tailSize, from)
	data, err := io.ReadAll(io.NewSectionReader(f, offset, tailSize))
	if err != nil || len(bytes.TrimSpace(data)) == 0 {
		return ""
	}
	if offset > from {
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			data = data[i+1:]
		}
	}
	return strings.TrimRight(string(data), "\n") + "\n"
}
