package vpk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"unicode/utf8"

	"left4me/hostops/charset"
)

// Entries goes through the directory and checks each entry: its marks, its bounds,
// that its part is there. It holds one entry at a time. The last pair has a *Fault
// where something is wrong, or what reading answered.
func (a *Archive) Entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		w := &walk{
			a: a, pos: a.tree, yield: yield,
			r: bufio.NewReaderSize(io.NewSectionReader(a.r, a.tree, a.data-a.tree), 64<<10),
		}
		if err := w.extensions(); err != nil && !errors.Is(err, errStopped) {
			yield(Entry{}, err)
		}
	}
}

// Check goes through the whole directory and says how many entries it has.
func (a *Archive) Check() (entries int, err error) {
	for _, err := range a.Entries() {
		if err != nil {
			return entries, err
		}
		entries++
	}
	return entries, nil
}

// walk is one pass over the tree.
type walk struct {
	a       *Archive
	r       *bufio.Reader
	pos     int64 // of the next byte of r, in the file
	yield   func(Entry, error) bool
	entries int
	groups  int // extensions and folders, which need no entries to cost time
	name    []byte
}

// errStopped ends a walk that nobody wants to go on.
var errStopped = errors.New("stopped")

func (w *walk) extensions() error {
	for {
		ext, err := w.group()
		if err != nil {
			return err
		}
		if ext == "" {
			return w.padding()
		}
		if err := w.folders(ext); err != nil {
			return err
		}
	}
}

func (w *walk) folders(ext string) error {
	for {
		dir, err := w.group()
		if err != nil || dir == "" {
			return err
		}
		for {
			name, err := w.string()
			if err != nil {
				return err
			}
			if name == "" {
				break
			}
			if err := w.entry(join(dir, name, ext)); err != nil {
				return err
			}
		}
	}
}

// join makes a path of the three strings, of which " " is none.
func join(dir, name, ext string) string {
	path := name
	if name == " " { // of .gitignore and its like
		path = ""
	}
	if dir != " " {
		path = dir + "/" + path
	}
	if ext != " " {
		path += "." + ext
	}
	return path
}

func (w *walk) group() (string, error) {
	if w.groups++; w.groups > 2*MaxEntries {
		return "", w.tooMany()
	}
	return w.string()
}

func (w *walk) tooMany() error {
	return &Fault{TooMany, fmt.Sprintf("it has more than %d entries", MaxEntries)}
}

// string reads up to the next NUL.
func (w *walk) string() (string, error) {
	w.name = w.name[:0]
	for {
		c, err := w.r.ReadByte()
		if err != nil {
			return "", w.ended(err)
		}
		w.pos++
		if c == 0 {
			return string(w.name), nil
		}
		if len(w.name) == MaxName {
			return "", &Fault{BadTree, fmt.Sprintf("its directory has a name of more than %d bytes", MaxName)}
		}
		w.name = append(w.name, c)
	}
}

// ended turns the end of the tree into a fault; other errors are the reader's.
func (w *walk) ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Fault{BadTree, fmt.Sprintf("its directory breaks off after %d entries", w.entries)}
	}
	return fmt.Errorf("read the directory: %w", err)
}

func (w *walk) entry(raw string) error {
	if w.entries++; w.entries > MaxEntries {
		return w.tooMany()
	}
	var b [entrySize]byte
	if _, err := io.ReadFull(w.r, b[:]); err != nil {
		return w.ended(err)
	}
	e := Entry{
		Raw:       raw,
		CRC:       binary.LittleEndian.Uint32(b[0:]),
		preload:   w.pos + entrySize,
		preloaded: int64(binary.LittleEndian.Uint16(b[4:])),
		part:      int(binary.LittleEndian.Uint16(b[6:])),
		offset:    int64(binary.LittleEndian.Uint32(b[8:])),
		length:    int64(binary.LittleEndian.Uint32(b[12:])),
	}
	e.Path, e.Encoding = raw, charset.UTF8
	if !utf8.ValidString(raw) {
		e.Path, e.Encoding = charset.Decode([]byte(raw))
	}
	if binary.LittleEndian.Uint16(b[16:]) != entryEnd {
		return &Fault{BadTree, fmt.Sprintf("the entry %q does not end as entries do", clip(e.Path))}
	}
	if _, err := w.r.Discard(int(e.preloaded)); err != nil {
		return w.ended(err)
	}
	w.pos += entrySize + e.preloaded
	if err := w.a.inside(e); err != nil {
		return err
	}
	if !w.yield(e, nil) {
		return errStopped
	}
	return nil
}

// padding allows zeros behind the end of the tree. The engine never looks there.
func (w *walk) padding() error {
	for {
		c, err := w.r.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return w.ended(err)
		}
		if c != 0 {
			return &Fault{BadTree, "its directory ends before the place that its header names"}
		}
	}
}

// inside checks that an entry's content is there. What has none may point anywhere.
func (a *Archive) inside(e Entry) error {
	if e.length == 0 {
		return nil
	}
	p, base, err := a.home(e)
	if err != nil {
		return err
	}
	if end := base + e.offset + e.length; end > p.size {
		return &Fault{OutOfBounds, fmt.Sprintf("%q should reach to byte %d, and its file ends at %d", clip(e.Path), end, p.size)}
	}
	return nil
}

func (a *Archive) part(n int) (part, error) {
	if p, ok := a.parts[n]; ok {
		return p, nil
	}
	if a.open == nil {
		return part{}, &Fault{MissingPart, fmt.Sprintf("a part of it (number %d) is in another file", n)}
	}
	r, size, err := a.open(n)
	if errors.Is(err, fs.ErrNotExist) {
		return part{}, &Fault{MissingPart, fmt.Sprintf("its part %03d is missing", n)}
	}
	if err != nil {
		return part{}, fmt.Errorf("open part %03d: %w", n, err)
	}
	a.parts[n] = part{r, size}
	return a.parts[n], nil
}

// clip shortens a name for a message.
func clip(name string) string {
	if runes := []rune(name); len(runes) > 100 {
		return string(runes[:100]) + "…"
	}
	return name
}
