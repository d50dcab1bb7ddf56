package webui

import (
	"sort"
	"strconv"
	"strings"
)

// cursors are how far a page has each of its logs: by feed, the number of a job's
// line or the "epoch-n" of a console's. On the wire, where they are the id of an
// event, they look like this:
//
//	job:12=388;console:friday-versus-k3x9=1764000000000-55
type cursors map[string]string

func parseCursors(s string) cursors {
	c := cursors{}
	if len(s) > 4000 {
		return c // nothing of ours is that long; everything is then sent again
	}
	for part := range strings.SplitSeq(s, ";") {
		if feed, at, ok := strings.Cut(part, "="); ok && len(at) <= 40 {
			c[feed] = at
		}
	}
	return c
}

func (c cursors) String() string {
	parts := make([]string, 0, len(c))
	for feed, at := range c {
		parts = append(parts, feed+"="+at)
	}
	sort.Strings(parts)
	return strings.Join(parts, ";")
}

// later is the further of two cursors of one log. When a console was begun anew
// in between, numbers say nothing and the first argument wins: it is what the
// browser had last.
func later(last, asked string) string {
	e1, n1, ok1 := splitCursor(last)
	e2, n2, ok2 := splitCursor(asked)
	switch {
	case !ok1:
		return asked
	case !ok2 || e1 != e2 || n1 >= n2:
		return last
	}
	return asked
}

func splitCursor(s string) (epoch string, n int64, ok bool) {
	epoch, num, found := strings.Cut(s, "-")
	if !found {
		epoch, num = "", s
	}
	n, err := strconv.ParseInt(num, 10, 64)
	return epoch, n, err == nil && n >= 0
}
