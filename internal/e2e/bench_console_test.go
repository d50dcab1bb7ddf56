package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/uptrace/bun"

	"left4me/jobs"
	"left4me/models"
	"left4me/models/modelstest"
)

// viewer is a browser that looks at a server's log. It checks the order of the lines
// and how old they are when they come; every line says its number and its time.
type viewer struct {
	last, lines, disorder, gaps, missed int64
	ages                                []time.Duration
	err                                 error
}

// watch reads the log of the feed until the line with the number end came.
func (v *viewer) watch(ctx context.Context, base, token, feed, after string, end *atomic.Int64, begun func()) {
	query := "/events?topics=" + url.QueryEscape(feed)
	if after != "" {
		query += "&after=" + url.QueryEscape(feed+"="+after)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+query, nil)
	if err != nil {
		v.err = err
		begun()
		return
	}
	req.AddCookie(&http.Cookie{Name: "left4me", Value: token})
	resp, err := http.DefaultTransport.RoundTrip(req)
	begun()
	if err != nil {
		v.err = err
		return
	}
	defer func() { _ = resp.Body.Close() }() // cut off on purpose
	in := bufio.NewReaderSize(resp.Body, 64<<10)
	var event string
	for {
		line, err := in.ReadSlice('\n')
		for err == bufio.ErrBufferFull { // a long event: its lines are looked at piece by piece
			var more []byte
			line = bytes.Clone(line)
			more, err = in.ReadSlice('\n')
			line = append(line, more...)
		}
		if err != nil {
			v.err = err
			return
		}
		switch {
		case bytes.HasPrefix(line, []byte("event: ")):
			event = strings.TrimSpace(string(line[7:]))
		case bytes.HasPrefix(line, []byte("data: ")) && event == "log":
			v.take(line)
		case bytes.HasPrefix(line, []byte("data: ")) && event == "missed":
			_, n, _ := bytes.Cut(line, []byte(`"count":`))
			n, _, _ = bytes.Cut(n, []byte(","))
			count, _ := strconv.ParseInt(strings.Trim(string(n), "} \n"), 10, 64)
			v.missed += count
		}
		if last := end.Load(); last > 0 && v.last >= last {
			return
		}
	}
}

// take finds "#number@nanoseconds#" in the event: reading the JSON would cost more
// than sending it.
func (v *viewer) take(data []byte) {
	now := time.Now().UnixNano()
	for {
		_, rest, ok := bytes.Cut(data, []byte("#"))
		if !ok {
			return
		}
		word, after, ok := bytes.Cut(rest, []byte("#"))
		if !ok {
			return
		}
		data = after
		n, at := number(word)
		switch {
		case n <= v.last:
			v.disorder++
		case n > v.last+1 && v.last > 0:
			v.gaps += n - v.last - 1
		}
		v.last = n
		v.lines++
		v.ages = append(v.ages, time.Duration(now-at))
	}
}

func number(word []byte) (n, at int64) {
	into := &n
	for _, c := range word {
		if c == '@' {
			into = &at
			continue
		}
		*into = *into*10 + int64(c-'0')
	}
	return n, at
}

const padding = ` "Coach<2><STEAM_1:0:1><Survivor>" say "reviving, cover me please"`

// consoleLines makes lines as a game prints them, numbered from first. at says when a
// line was printed: a batch holds those of the time since the last one.
func consoleLines(first, n int64, at func(n int64) time.Time) []jobs.ConsoleLine {
	list := make([]jobs.ConsoleLine, n)
	for i := range list {
		now := at(first + int64(i))
		list[i].Line = jobs.Line{At: now.UTC(), Stream: "game", Text: fmt.Sprintf("#%d@%d#%s", first+int64(i), now.UnixNano(), padding)}
	}
	return list
}

// print writes rate lines a second for so long, in batches as the worker makes them;
// at rate 0 as fast as it goes. It returns how many.
func printConsole(t testing.TB, rdb *redis.Client, instance string, rate int64, during time.Duration) (n int64) {
	t.Helper()
	ctx := context.Background()
	w, _, err := jobs.OpenConsole(ctx, rdb, instance)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	at := func(n int64) time.Time {
		if rate == 0 {
			return time.Now()
		}
		return began.Add(time.Duration(n) * time.Second / time.Duration(rate))
	}
	put := func(k int64) {
		for k > 0 {
			some := min(k, 500)
			if err := w.Append(ctx, consoleLines(n+1, some, at)); err != nil {
				t.Fatal(err)
			}
			n += some
			k -= some
		}
	}
	if rate == 0 {
		for time.Since(began) < during {
			put(500)
		}
		return n
	}
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for time.Since(began) < during {
		<-tick.C
		put(int64(time.Since(began).Seconds()*float64(rate)) - n)
	}
	return n
}

// watched is a site with one server whose log can be looked at, by sessions of its
// owner.
type watched struct {
	*site
	cmd      *exec.Cmd
	instance string
	sessions []string
}

func newWatched(b *testing.B) *watched {
	b.Helper()
	w := &watched{site: newSite(b, false)}
	w.cmd = w.webOn(w.database("PostgreSQL"), func(db *bun.DB, key *models.SecretKey) {
		u := modelstest.User(b, db, false)
		w.instance = modelstest.Server(b, db, key, u).Instance
		for range 10 {
			token, err := models.CreateSession(context.Background(), db, u.ID, "127.0.0.1", "bench")
			if err != nil {
				b.Fatal(err)
			}
			w.sessions = append(w.sessions, token)
		}
	})
	return w
}

// run lets so many viewers look while lines are printed.
func (w *watched) run(b *testing.B, viewers int, rate int64, during time.Duration) (list []*viewer, printed int64) {
	b.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute)
	defer stop()
	if err := w.redis.Client.FlushAll(ctx).Err(); err != nil {
		b.Fatal(err)
	}
	var end atomic.Int64
	var all, begun sync.WaitGroup
	begun.Add(viewers)
	for i := range viewers {
		v := &viewer{}
		list = append(list, v)
		all.Go(func() {
			v.watch(ctx, w.base, w.sessions[i%len(w.sessions)], "console:"+w.instance, "", &end, begun.Done)
		})
	}
	begun.Wait()
	time.Sleep(300 * time.Millisecond) // what a stream does first is not measured
	printed = printConsole(b, w.redis.Client, w.instance, rate, during)
	printed++
	end.Store(printed)
	out, _, err := jobs.OpenConsole(ctx, w.redis.Client, w.instance) // one more, after which they look whether it was the last
	if err == nil {
		err = out.Append(ctx, consoleLines(printed, 1, func(int64) time.Time { return time.Now() }))
	}
	if err != nil {
		b.Fatal(err)
	}
	all.Wait()
	return list, printed
}

// BenchmarkServerLog measures a server's log in many browsers: what is lost, what is out
// of order and how old lines are when they come.
func BenchmarkServerLog(b *testing.B) {
	w := newWatched(b)
	for b.Loop() {
		for _, rate := range []int64{200, 2000, 10000} {
			for _, viewers := range []int{1, 5, 50} {
				list, printed := w.run(b, viewers, rate, 4*time.Second)
				name := fmt.Sprintf("log at %d lines/s, %d viewers", rate, viewers)
				var lost, disorder int64
				var ages []time.Duration
				for _, v := range list {
					if v.err != nil {
						b.Errorf("%s: a viewer's stream ended: %v", name, v.err)
					}
					lost += printed - v.lines
					disorder += v.disorder
					ages = append(ages, v.ages...)
				}
				slices.Sort(ages)
				figure(b, name+", lost", float64(lost), "lines", atMost(0))
				figure(b, name+", out of order", float64(disorder), "lines", atMost(0))
				if len(ages) > 0 {
					figure(b, name+", p99", float64(ages[len(ages)*99/100].Microseconds())/1000, "ms", atMost(60))
				}
			}
		}
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkServerLogFlood prints as fast as it goes: viewers are told how many lines
// they missed.
func BenchmarkServerLogFlood(b *testing.B) {
	w := newWatched(b)
	for b.Loop() {
		list, printed := w.run(b, 5, 0, 4*time.Second)
		figure(b, "log as fast as it goes, 5 viewers", float64(printed)/4, "lines/s", atLeast(10000))
		var untold, disorder, missed int64
		for _, v := range list {
			untold += max(printed-v.lines-v.missed, v.lines+v.missed-printed)
			disorder += v.disorder
			missed += v.missed
		}
		figure(b, "log as fast as it goes, missed and not told", float64(untold), "lines", atMost(0))
		figure(b, "log as fast as it goes, out of order", float64(disorder), "lines", atMost(0))
		figure(b, "log as fast as it goes, missed and told, of each 100 lines", 100*float64(missed)/float64(printed*5), "lines", atMost(100))
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkServerLogStalled lets one of six viewers never read.
func BenchmarkServerLogStalled(b *testing.B) {
	w := newWatched(b)
	for b.Loop() {
		measure := func() ([]*viewer, int64, float64) {
			list, printed := w.run(b, 5, 2000, 6*time.Second)
			return list, printed, float64(rss(b, w.cmd.Process.Pid)) / 1024
		}
		_, _, before := measure()
		ctx, stop := context.WithCancel(context.Background())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+"/events?topics="+url.QueryEscape("console:"+w.instance), nil)
		if err != nil {
			b.Fatal(err)
		}
		req.AddCookie(&http.Cookie{Name: "left4me", Value: w.sessions[9]})
		resp, err := (&http.Transport{ReadBufferSize: 4096}).RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		list, printed, after := measure()
		_ = resp.Body.Close() // nobody read it
		stop()
		var lost int64
		for _, v := range list {
			lost += printed - v.lines
		}
		figure(b, "log, one viewer does not read: lost by the others", float64(lost), "lines", atMost(0))
		figure(b, "log, one viewer does not read: memory", after-before, "MB", atMost(5))
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkServerLogCut takes a viewer's connection away for 10 seconds at 200 lines a
// second.
func BenchmarkServerLogCut(b *testing.B) {
	w := newWatched(b)
	ctx := context.Background()
	for b.Loop() {
		var end atomic.Int64
		end.Store(100)
		v := &viewer{}
		var printed int64
		var printing, first sync.WaitGroup
		if err := w.redis.Client.FlushAll(ctx).Err(); err != nil {
			b.Fatal(err)
		}
		printing.Go(func() { printed = printConsole(b, w.redis.Client, w.instance, 200, 13*time.Second) })
		first.Go(func() { v.watch(ctx, w.base, w.sessions[0], "console:"+w.instance, "", &end, func() {}) })
		first.Wait()
		epoch, err := w.redis.Client.XInfoStream(ctx, "left4me:console:"+w.instance).Result()
		if err != nil {
			b.Fatal(err)
		}
		number, _, _ := strings.Cut(epoch.LastGeneratedID, "-")
		cursor := fmt.Sprintf("%s-%d", number, v.last)
		time.Sleep(10 * time.Second)
		printing.Wait()
		end.Store(printed)
		v.watch(ctx, w.base, w.sessions[0], "console:"+w.instance, cursor, &end, func() {})
		figure(b, "log, cut of 10 s at 200 lines/s: lost", float64(v.gaps+v.disorder+printed-v.last), "lines", atMost(0))
	}
	b.ReportMetric(0, "ns/op")
}
