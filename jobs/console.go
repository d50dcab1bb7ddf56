package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// A server's console is kept as a Redis stream, capped, one entry a line:
//
//	left4me:console:<instance>   id <epoch>-<n>   s stream, t text, c host cursor, a unix ms
//
// n counts up from 1 without gaps; the epoch is the time at which the counting
// began, so that a reader notices when Redis was emptied and it began anew. The
// host's cursor of the last line tells a new tail where to go on.
const (
	consoleCap  = 5000
	consoleLife = 24 * time.Hour
	watchLease  = 30 * time.Second
)

func consoleKey(instance string) string { return "left4me:console:" + instance }
func watchKey(instance string) string   { return "left4me:watch:" + instance }

// WatchConsole says that somebody looks at a server's console. It holds for 30
// seconds: call it again every 10 while they do.
func (c *Client) WatchConsole(ctx context.Context, instance string) error {
	if err := c.rdb.Set(ctx, watchKey(instance), 1, watchLease).Err(); err != nil {
		return fmt.Errorf("ask for the console of %s: %w", instance, err)
	}
	return sendControl(ctx, c.rdb, Control{Watch: instance})
}

// ConsoleWatched says whether somebody looks at the console.
func ConsoleWatched(ctx context.Context, rdb *redis.Client, instance string) (bool, error) {
	n, err := rdb.Exists(ctx, watchKey(instance)).Result()
	return n > 0, err
}

// WatchedConsoles lists the instances whose console somebody looks at.
func WatchedConsoles(ctx context.Context, rdb *redis.Client) ([]string, error) {
	var list []string
	it := rdb.Scan(ctx, 0, watchKey("*"), 200).Iterator()
	for it.Next(ctx) {
		list = append(list, strings.TrimPrefix(it.Val(), watchKey("")))
	}
	return list, it.Err()
}

// ConsoleWriter is the one writer of a server's console.
type ConsoleWriter struct {
	rdb      *redis.Client
	instance string
	epoch, n int64
}

// OpenConsole continues a server's console, or begins one, and returns the
// host's cursor of its last line ("" for none).
func OpenConsole(ctx context.Context, rdb *redis.Client, instance string) (*ConsoleWriter, string, error) {
	w := &ConsoleWriter{rdb: rdb, instance: instance}
	last, err := rdb.XRevRangeN(ctx, consoleKey(instance), "+", "-", 1).Result()
	if err != nil {
		return nil, "", fmt.Errorf("read the console of %s: %w", instance, err)
	}
	if len(last) == 0 {
		w.epoch = time.Now().UnixMilli()
		return w, "", nil
	}
	if w.epoch, w.n, err = parseConsoleID(last[0].ID); err != nil {
		return nil, "", err
	}
	cursor, _ := last[0].Values["c"].(string)
	return w, cursor, nil
}

// ErrConsoleMoved means that the console was emptied or written by another tail:
// open it again.
var ErrConsoleMoved = errors.New("the console was begun anew")

// ConsoleLine is a line with the host's cursor behind it.
type ConsoleLine struct {
	Line
	Cursor string
}

// Append numbers the lines, stores and publishes them. A second tail of the same
// server cannot double a line: an id is stored once.
func (w *ConsoleWriter) Append(ctx context.Context, lines []ConsoleLine) error {
	if len(lines) == 0 {
		return nil
	}
	m := Message{Topics: []string{TopicConsole(w.instance)}, Epoch: w.epoch, First: w.n + 1}
	_, err := w.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range lines {
			lines[i].N = w.n + int64(i) + 1
			p.XAdd(ctx, &redis.XAddArgs{
				Stream: consoleKey(w.instance), MaxLen: consoleCap, Approx: true,
				ID:     fmt.Sprintf("%d-%d", w.epoch, lines[i].N),
				Values: []any{"s", lines[i].Stream, "t", lines[i].Text, "c", lines[i].Cursor, "a", lines[i].At.UnixMilli()},
			})
			m.Lines = append(m.Lines, lines[i].Line)
		}
		p.Expire(ctx, consoleKey(w.instance), consoleLife)
		return nil
	})
	if err != nil {
		if strings.Contains(err.Error(), "equal or smaller") { // Redis gives XADD's refusal no code of its own
			return ErrConsoleMoved
		}
		return fmt.Errorf("store the console of %s: %w", w.instance, err)
	}
	w.n += int64(len(lines))
	m.Last = w.n
	return Publish(ctx, w.rdb, m)
}

func parseConsoleID(id string) (epoch, n int64, err error) {
	a, b, ok := strings.Cut(id, "-")
	epoch, err1 := strconv.ParseInt(a, 10, 64)
	n, err2 := strconv.ParseInt(b, 10, 64)
	if !ok || err1 != nil || err2 != nil || epoch < 0 || n < 0 {
		return 0, 0, fmt.Errorf("%q is not a place in a console", clip(id, 40))
	}
	return epoch, n, nil
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}

// ConsoleSpan is which lines of a server's console are stored: numbers First to Last of
// one counting. Last is First-1 for none.
type ConsoleSpan struct {
	First, Last int64

	instance string
	epoch    int64
}

// ConsoleSpan says which lines of a server's console are stored now.
func (c *Client) ConsoleSpan(ctx context.Context, instance string) (ConsoleSpan, error) {
	none, key := ConsoleSpan{First: 1, instance: instance}, consoleKey(instance)
	newest, err := c.rdb.XRevRangeN(ctx, key, "+", "-", 1).Result()
	if err != nil {
		return none, fmt.Errorf("read the console of %s: %w", instance, err)
	}
	if len(newest) == 0 {
		return none, nil
	}
	s := none
	if s.epoch, s.Last, err = parseConsoleID(newest[0].ID); err != nil {
		return none, err
	}
	oldest, err := c.rdb.XRangeN(ctx, key, fmt.Sprintf("%d-0", s.epoch), newest[0].ID, 1).Result()
	if err != nil {
		return none, fmt.Errorf("read the console of %s: %w", instance, err)
	}
	if len(oldest) == 0 { // emptied in between
		return none, nil
	}
	_, s.First, err = parseConsoleID(oldest[0].ID)
	return s, err
}

// At is the cursor behind the line n, for FollowConsole.
func (s ConsoleSpan) At(n int64) string { return fmt.Sprintf("%d-%d", s.epoch, n) }

// ConsoleLines reads at most limit lines of the span with numbers above after. A line
// has up to 8 KB: who reads all of them does so part by part. Lines that went
// meanwhile are left out.
func (c *Client) ConsoleLines(ctx context.Context, s ConsoleSpan, after int64, limit int) ([]Line, error) {
	after = max(after, s.First-1)
	limit = int(min(int64(limit), s.Last-after))
	if limit <= 0 {
		return nil, nil
	}
	entries, err := c.rdb.XRangeN(ctx, consoleKey(s.instance), "("+s.At(after), s.At(s.Last), int64(limit)).Result()
	if err != nil {
		return nil, fmt.Errorf("read the console of %s: %w", s.instance, err)
	}
	lines := make([]Line, len(entries))
	for i, e := range entries {
		_, n, err := parseConsoleID(e.ID)
		if err != nil {
			return nil, err
		}
		lines[i] = consoleLine(n, e.Values)
	}
	return lines, nil
}

// ConsoleFollower does for a server's console what JobFollower does for a job.
type ConsoleFollower struct {
	rdb      *redis.Client
	instance string
	epoch, n int64
	missed   int64
	reset    bool
}

// FollowConsole follows a console behind the cursor after ("" for its newest
// lines). A cursor that makes no sense is treated as none.
func (c *Client) FollowConsole(instance, after string) *ConsoleFollower {
	f := &ConsoleFollower{rdb: c.rdb, instance: instance}
	f.epoch, f.n, _ = parseConsoleID(after) // none: zero, which is before everything
	return f
}

// Cursor is the place behind the last line that was handed out.
func (f *ConsoleFollower) Cursor() string { return fmt.Sprintf("%d-%d", f.epoch, f.n) }

// Missed says how many lines were gone before they could be read, and forgets
// them.
func (f *ConsoleFollower) Missed() int64 {
	n := f.missed
	f.missed = 0
	return n
}

// Reset says once that the numbering began anew: earlier lines on the page do
// not belong to what follows.
func (f *ConsoleFollower) Reset() bool {
	r := f.reset
	f.reset = false
	return r
}

// Replay reads the next stored lines; more says that there are further ones.
func (f *ConsoleFollower) Replay(ctx context.Context) (lines []Line, more bool, err error) {
	entries, err := f.rdb.XRangeN(ctx, consoleKey(f.instance), "("+f.Cursor(), "+", replayChunk).Result()
	if err != nil {
		return nil, false, fmt.Errorf("read the console of %s: %w", f.instance, err)
	}
	for _, e := range entries {
		epoch, n, err := parseConsoleID(e.ID)
		if err != nil {
			return nil, false, err
		}
		if epoch != f.epoch {
			f.reset = f.reset || f.epoch != 0
			f.epoch, f.n = epoch, n-1
		} else if n > f.n+1 {
			f.missed += n - f.n - 1
		}
		f.n = n
		lines = append(lines, consoleLine(n, e.Values))
	}
	return lines, len(entries) == replayChunk, nil
}

func consoleLine(n int64, v map[string]any) Line {
	text := func(k string) string { s, _ := v[k].(string); return s }
	ms, _ := strconv.ParseInt(text("a"), 10, 64) // zero time when damaged
	return Line{N: n, At: time.UnixMilli(ms).UTC(), Stream: text("s"), Text: text("t")}
}

// Take handles a live message as JobFollower.Take does.
func (f *ConsoleFollower) Take(ctx context.Context, m Message) (lines []Line, more bool, err error) {
	switch {
	case m.Epoch == f.epoch && m.Last <= f.n:
		return nil, false, nil
	case m.Epoch == f.epoch && m.First <= f.n+1 && len(m.Lines) > 0:
		fresh := m.Lines[f.n+1-m.First:]
		f.n = m.Last
		return fresh, false, nil
	}
	return f.Replay(ctx)
}
