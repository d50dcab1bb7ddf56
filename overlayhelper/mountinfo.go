package overlayhelper

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// MountEntry is one line of /proc/PID/mountinfo:
//
//	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
//	(id)(parent)(dev)(root)(point)(options)(optional fields) - (type)(source)(super options)
//
// Names in it have space, tab, newline and backslash as three octal digits.
type MountEntry struct {
	ID     uint64
	Parent uint64
	Point  string // where it is mounted, as seen by the reader
	Type   string
	Source string
}

// OfInstance reports whether the mount is an overlay that the helper made for
// the instance.
func (e MountEntry) OfInstance(name string) bool {
	return e.Type == "overlay" && strings.HasPrefix(e.Source, SourcePrefix(name))
}

// Below reports whether the mount is somewhere below dir, which is an absolute
// path without a slash at its end.
func (e MountEntry) Below(dir string) bool { return strings.HasPrefix(e.Point, dir+"/") }

// ParseMountinfo reads a whole mount table. A line that is not one is an error:
// half a mount table is none.
func ParseMountinfo(r io.Reader) ([]MountEntry, error) {
	var all []MountEntry
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		e, ok := parseMount(s.Text())
		if !ok {
			return nil, Fail(ErrFailed, "the mount table has a line that cannot be understood: %.200q", s.Text())
		}
		all = append(all, e)
	}
	if err := s.Err(); err != nil {
		return nil, Fail(ErrFailed, "cannot read the mount table: %w", err)
	}
	return all, nil
}

func parseMount(line string) (MountEntry, bool) {
	// Single spaces separate: a source may be empty.
	before, after, ok := strings.Cut(line, " - ")
	if !ok {
		return MountEntry{}, false
	}
	f, t := strings.Split(before, " "), strings.Split(after, " ")
	if len(f) < 6 || len(t) < 3 {
		return MountEntry{}, false
	}
	id, ierr := strconv.ParseUint(f[0], 10, 64)
	parent, perr := strconv.ParseUint(f[1], 10, 64)
	if ierr != nil || perr != nil {
		return MountEntry{}, false
	}
	return MountEntry{ID: id, Parent: parent, Point: unescape(f[4]), Type: t[0], Source: unescape(t[1])}, true
}

func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
