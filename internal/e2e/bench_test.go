package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"left4me/internal/testenv"
)

var jobLink = regexp.MustCompile(`/jobs/(\d+)`)

// BenchmarkClick measures what a person feels: from the click on Stop (of a
// server that is stopped, so that the job is nothing but its way through the
// system) to the first line of the job's log in the browser's event stream. In
// between lie the form post, the page that it leads to, and the stream's opening.
func BenchmarkClick(b *testing.B) {
	pairs := map[string]func(*site){"embedded": func(s *site) { s.up() }, "postgres+redis": func(s *site) { s.split() }}
	for _, name := range []string{"embedded", "postgres+redis"} {
		b.Run(name, func(b *testing.B) {
			s := newSite(b, name == "embedded")
			pairs[name](s)
			s.signIn()
			instance := s.makeServer("Bench", "", "", "")
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				_, page := s.post("/servers/"+instance+"/stop", nil)
				s.firstLine(page)
				took = append(took, time.Since(began))
				s.idle()
			}
			report(b, took)
		})
	}
}

// firstLine reads the stream of the job that the page names until its first line.
func (s *site) firstLine(page string) {
	s.t.Helper()
	job := ""
	if m := jobLink.FindStringSubmatch(page); m != nil {
		job = m[1]
	} else {
		job = s.newestJob() // it ended before the page was rendered
	}
	s.streamTopics("job:"+job, 10*time.Second, func(e event) bool { return e.name == "log" })
}

// idle waits until no job is under way, so that one click does not measure the
// job of the one before.
func (s *site) idle() {
	s.t.Helper()
	testenv.Eventually(s.t, 10*time.Second, "nothing is under way", func() bool {
		_, body := s.get("/jobs")
		return !strings.Contains(body, "Running") && !strings.Contains(body, "Queued") && !strings.Contains(body, "Waiting")
	})
}

func report(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	at := func(q float64) float64 {
		return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000
	}
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFirstPage measures from the start of the process on an empty data
// folder to its first page: migrations, the admin's password and the simulated
// Steam included.
func BenchmarkFirstPage(b *testing.B) {
	var took []time.Duration
	for b.Loop() {
		s := newSite(b, true)
		address := freeAddress(b)
		s.base = "http://" + address
		began := time.Now()
		s.start("up", "--data", s.data, "--listen", address)
		for {
			resp, err := http.Get(s.base + "/signin")
			if err == nil {
				_ = resp.Body.Close() // only that it came
				break
			}
			if time.Since(began) > 20*time.Second {
				b.Fatal("it never served")
			}
			time.Sleep(time.Millisecond)
		}
		took = append(took, time.Since(began))
		s.end()
		s.procs = nil
	}
	report(b, took)
}

// BenchmarkIdle measures a left4me up that does nothing: memory of the process
// and of its l4d2ctl watch, and the CPU time of both.
func BenchmarkIdle(b *testing.B) {
	s := newSite(b, true)
	cmd := s.up()
	s.signIn()
	time.Sleep(3 * time.Second) // start-up's work is not idling
	for b.Loop() {
		const window = 20 * time.Second
		before := cpuTicks(b, cmd.Process.Pid)
		time.Sleep(window)
		ticks := cpuTicks(b, cmd.Process.Pid) - before
		b.ReportMetric(float64(ticks)*10/window.Seconds()/10, "%cpu")
		b.ReportMetric(float64(rss(b, cmd.Process.Pid))/1024, "MB-resident")
	}
	b.ReportMetric(0, "ns/op")
}

// cpuTicks is the CPU time of a process and its children, in hundredths of a
// second.
func cpuTicks(b *testing.B, pid int) (ticks int64) {
	b.Helper()
	for _, p := range append(childrenOf(b, pid), pid) {
		raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p), "stat"))
		if err != nil {
			b.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(raw), ") ")
		fields := strings.Fields(rest)
		for _, f := range fields[11:13] { // utime and stime
			n, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			ticks += n
		}
	}
	return ticks
}

func childrenOf(b *testing.B, pid int) (children []int) {
	b.Helper()
	tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task/*/children"))
	if err != nil {
		b.Fatal(err)
	}
	for _, t := range tasks {
		raw, err := os.ReadFile(t)
		if err != nil {
			continue // the thread has ended
		}
		for _, f := range strings.Fields(string(raw)) {
			n, err := strconv.Atoi(f)
			if err != nil {
				b.Fatal(err)
			}
			children = append(children, n)
		}
	}
	return children
}

// rss is the resident memory of the process alone, in KiB.
func rss(b *testing.B, pid int) int64 {
	b.Helper()
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "VmRSS:")
	n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}
