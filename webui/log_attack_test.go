package webui

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"left4me/jobs"
	"left4me/models"
	"left4me/models/modelstest"
)

// console is a server whose log is written by a test, as a worker does.
type console struct {
	*site
	owner    *models.User
	instance string
	out      *jobs.ConsoleWriter
	printed  int64
}

func newConsole(t *testing.T) *console {
	t.Helper()
	s := newSite(t)
	u := modelstest.User(t, s.db, false)
	c := &console{site: s, owner: u, instance: modelstest.Server(t, s.db, s.key, u).Instance}
	var err error
	if c.out, _, err = jobs.OpenConsole(context.Background(), s.rdb, c.instance); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *console) feed() string { return "console:" + c.instance }

// print writes n lines in batches, as fast as it goes.
func (c *console) print(n, batch int64, width int) {
	c.t.Helper()
	for left := n; left > 0; left -= batch {
		lines := make([]jobs.ConsoleLine, min(batch, left))
		for i := range lines {
			c.printed++
			text := fmt.Sprintf("%d %s", c.printed, strings.Repeat("x", width))
			lines[i].Line = jobs.Line{At: models.Now(), Stream: "game", Text: text}
		}
		if err := c.out.Append(context.Background(), lines); err != nil {
			c.t.Fatal(err)
		}
	}
}

// tally is what a viewer got of a log.
type tally struct {
	lines, missed int64
	last          float64
	cursor        string
	wrong         string // what was not as it should be
}

// until reads a stream up to the line with the number end.
func (ta *tally) until(l *listener, end int64) {
	for ta.wrong == "" && ta.last < float64(end) {
		e, ok := <-l.events
		if !ok {
			ta.wrong = fmt.Sprintf("the stream ended at line %v of %d", ta.last, end)
			return
		}
		switch e.name {
		case "missed":
			var d struct{ Count int64 }
			if err := json.Unmarshal([]byte(e.data), &d); err != nil || d.Count <= 0 {
				ta.wrong = "missed says " + e.data
			}
			ta.missed += d.Count
		case "log":
			ta.cursor = e.id
			var d logEvent
			if err := json.Unmarshal([]byte(e.data), &d); err != nil {
				ta.wrong = err.Error()
			}
			for _, line := range d.Lines {
				n, ok := line[0].(float64)
				text, ok2 := line[3].(string)
				if !ok || !ok2 || n <= ta.last || !strings.HasPrefix(text, fmt.Sprintf("%.0f ", n)) {
					ta.wrong = fmt.Sprintf("after line %v came %v", ta.last, line)
					return
				}
				ta.last = n
				ta.lines++
			}
		}
	}
}

// TestAttack26ConsoleFlood: a game prints as fast as it can. Every viewer gets its
// lines in order, and is told of each one that it did not get.
func TestAttack26ConsoleFlood(t *testing.T) {
	c := newConsole(t)
	const lines = 12_000
	var all sync.WaitGroup
	tallies := make([]tally, 3)
	for i := range tallies {
		l := c.browser(c.owner).listen("topics=" + c.feed())
		all.Go(func() { tallies[i].until(l, lines) })
	}
	eventually(t, "somebody to be asked for the console", func() bool {
		watched, err := jobs.ConsoleWatched(context.Background(), c.rdb, c.instance)
		return err == nil && watched
	})
	c.print(lines, 500, 90)
	all.Wait()
	for i, got := range tallies {
		if got.wrong != "" {
			t.Errorf("viewer %d: %s", i, got.wrong)
		}
		if got.lines+got.missed != lines {
			t.Errorf("viewer %d got %d lines and was told that it missed %d, of %d", i, got.lines, got.missed, lines)
		}
	}
	if n, err := c.rdb.XLen(context.Background(), "left4me:console:"+c.instance).Result(); err != nil || n > 10_000 {
		t.Errorf("%d lines are kept (%v)", n, err)
	}
}

// TestAttack26LateViewerIsToldWhatItMissed: who comes back after more lines than are
// kept is told how many are gone.
func TestAttack26LateViewerIsToldWhatItMissed(t *testing.T) {
	c := newConsole(t)
	c.print(100, 100, 10)
	var got tally
	l := c.browser(c.owner).listen("topics=" + c.feed())
	got.until(l, 100)
	l.close()
	c.print(9_000, 500, 10)
	l = c.browser(c.owner).listen("topics=" + c.feed() + "&after=" + url.QueryEscape(got.cursor))
	got.until(l, 9_100)
	if got.wrong != "" {
		t.Fatal(got.wrong)
	}
	if got.missed == 0 || got.lines+got.missed != 9_100 {
		t.Errorf("got %d lines and was told that it missed %d, of 9100", got.lines, got.missed)
	}
}

// TestLogAfterACut: a connection that is cut while a thousand lines are printed goes on
// where it was.
func TestLogAfterACut(t *testing.T) {
	c := newConsole(t)
	b := c.browser(c.owner)
	var got tally
	for cut := range int64(3) {
		query := "topics=" + c.feed()
		if got.cursor != "" {
			query += "&after=" + url.QueryEscape(got.cursor)
		}
		l := b.listen(query)
		c.print(300, 6, 60) // while it is there
		got.until(l, cut*1300+200)
		l.close() // it may lie behind
		c.print(1000, 10, 60)
	}
	got.until(b.listen("topics="+c.feed()+"&after="+url.QueryEscape(got.cursor)), c.printed)
	if got.wrong != "" {
		t.Fatal(got.wrong)
	}
	if got.lines != c.printed || got.missed != 0 {
		t.Errorf("got %d of %d lines over three cuts and was told that it missed %d", got.lines, c.printed, got.missed)
	}
}

// TestAttack25StalledViewer: a browser that never reads its stream costs the others
// nothing, and little memory.
func TestAttack25StalledViewer(t *testing.T) {
	c := newConsole(t)
	address := strings.TrimPrefix(c.http.URL, "http://")
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // it may have been cut off
	if tcp, ok := conn.(*net.TCPConn); ok {
		if err := tcp.SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
	}
	lazy := c.browser(c.owner)
	req := fmt.Sprintf("GET /events?topics=%s HTTP/1.1\r\nHost: x\r\nCookie: %s=%s\r\n\r\n", url.QueryEscape(c.feed()), lazy.name, lazy.token)
	if _, err := conn.Write([]byte(req)); err != nil {
		t.Fatal(err)
	}
	status, err := bufio.NewReaderSize(conn, 16).ReadString('\n') // and nothing after
	if err != nil || !strings.Contains(status, fmt.Sprint(http.StatusOK)) {
		t.Fatalf("the stream answered %q, %v", status, err)
	}
	var got tally
	l := c.browser(c.owner).listen("topics=" + c.feed())
	piece := func() { // of fewer lines than are kept: who reads must lose nothing
		c.print(400, 50, 1500)
		got.until(l, c.printed)
	}
	for range 14 {
		piece() // as many as are kept: from here on the log itself does not grow
	}
	before := heap()
	for range 10 {
		piece()
	}
	if got.wrong != "" {
		t.Fatal(got.wrong)
	}
	if got.missed != 0 || got.lines != c.printed {
		t.Errorf("the viewer that reads got %d of %d lines and was told that it missed %d", got.lines, c.printed, got.missed)
	}
	if grown := heap() - before; grown > 5<<20 {
		t.Errorf("the viewer that does not read costs %d KB", grown>>10)
	}
}

// heap is what is in use once what can be given back was.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what the first one only marked as free
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestEncodeLines: written by hand, it is what encoding/json reads.
func TestEncodeLines(t *testing.T) {
	at := time.UnixMilli(1764000000123).UTC()
	texts := []string{
		"plain", "", `"quoted" \ back`, "</script><b>&amp;", "tab\tand\x00nul", "umlaut ü, 猫, \U0001F600", "broken \xff\xfe utf-8",
		"line\u2028separator", "\x1b[31mred\x1b[0m", "\u202eturned", strings.Repeat("a", 5000), "del\x7f",
	}
	var lines []jobs.Line
	for i, text := range texts {
		lines = append(lines, jobs.Line{N: int64(i + 1), At: at, Stream: []string{"game", "err", "ctl", `"`}[i%4], Text: text})
	}
	var got [][4]any
	raw := encodeLines(lines)
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	if strings.ContainsAny(string(raw), "\n\r") {
		t.Error("an event would be broken in two")
	}
	for i, l := range lines {
		want := [4]any{float64(l.N), float64(1764000000123), streamClass(l.Stream), cleanText(l.Text)}
		if got[i] != want {
			t.Errorf("line %d is %q, want %q", i, got[i], want)
		}
	}
	if string(encodeLines(nil)) != "[]" {
		t.Errorf("no lines are %s", encodeLines(nil))
	}
}
