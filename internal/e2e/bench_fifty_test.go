package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/internal/testenv"
)

// BenchmarkFiftyServers measures what 50 running simulated servers cost left4me: web,
// worker and observer together with one page of the list open, and apart from them the
// keepers, of which each server has one. What the games themselves cost is not counted.
func BenchmarkFiftyServers(b *testing.B) {
	const servers = 50
	for name, players := range map[string]bool{"empty": false, "played on": true} {
		b.Run(name, func(b *testing.B) {
			s := newSite(b, true)
			s.script(fmt.Sprintf(`{"speed": "instant", "srcds": {"players": %v, "seed": 7}}`, false))
			s.run("l4d2ctl", "install")
			s.script(fmt.Sprintf(`{"speed": 5, "srcds": {"players": %v, "seed": 7}}`, players))
			cmd := s.up()
			s.signIn()
			blueprint := s.makeBlueprint("Fifty", "", "")
			instances := make([]string, servers)
			for i := range instances {
				instances[i] = s.addServer(fmt.Sprintf("Fifty %02d", i), blueprint, "", strconv.Itoa(28000+i))
			}
			settled(b, cmd.Process.Pid)
			idle := measure(b, cmd.Process.Pid, nil)
			for _, instance := range instances {
				s.post("/servers/"+instance+"/start", nil)
			}
			testenv.Eventually(b, 3*time.Minute, "all run and no job is left", func() bool {
				for _, instance := range instances {
					if s.status(instance).State != ctl.ServerRunning {
						return false
					}
				}
				_, body := s.get("/jobs")
				return !strings.Contains(body, "Running") && !strings.Contains(body, "Queued") && !strings.Contains(body, "Waiting")
			})
			settled(b, cmd.Process.Pid)
			list, err := s.client.Get(s.base + "/events?topics=servers") // the page that people leave open
			if err != nil {
				b.Fatal(err)
			}
			go func() { _, _ = io.Copy(io.Discard, list.Body) }() // until it is closed
			for b.Loop() {
				used := measure(b, cmd.Process.Pid, instances)
				b.ReportMetric(used.ours, "%cpu")
				b.ReportMetric(used.keepers, "%cpu-keepers")
				figure(b, "50 servers, "+name+": web, worker and observer", used.ours, "% core", atMost(3))
				figure(b, "50 servers, "+name+": of it while nothing runs", idle.ours, "% core", atMost(3))
				figure(b, "50 servers, "+name+": their keepers", used.keepers, "% core", atMost(1))
			}
			_ = list.Body.Close() // cut off on purpose
			b.ReportMetric(0, "ns/op")
		})
	}
}

// settled waits until nothing but the observer runs below left4me: each page of a
// server that was opened has its console followed for a while.
func settled(b *testing.B, pid int) {
	b.Helper()
	testenv.Eventually(b, 3*time.Minute, "no console is followed any more", func() bool { return len(childrenOf(b, pid)) <= 1 })
	time.Sleep(5 * time.Second) // what that left behind
}

// use is processor time in percent of a core.
type use struct{ ours, keepers float64 }

// measure looks at a program, at the children that stay and at those that came and
// went, and at the keepers of the instances, over half a minute.
func measure(b *testing.B, pid int, instances []string) use {
	b.Helper()
	const window = 30 * time.Second
	keepers := keepersOf(b, instances)
	read := func() (ours, theirs int64) {
		ours = ticksOf(b, pid, 4) // the waited-for children too
		for _, child := range childrenOf(b, pid) {
			ours += ticksOf(b, child, 4)
		}
		for _, k := range keepers {
			theirs += ticksOf(b, k, 2)
		}
		return ours, theirs
	}
	ours, theirs := read()
	time.Sleep(window)
	oursNow, theirsNow := read()
	percent := func(ticks int64) float64 { return float64(ticks) / window.Seconds() } // a tick is a hundredth of a second
	return use{percent(oursNow - ours), percent(theirsNow - theirs)}
}

// ticksOf sums the first n of utime, stime, cutime and cstime of a process.
func ticksOf(b *testing.B, pid, n int) (ticks int64) {
	b.Helper()
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0 // a child that has just ended
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	for _, f := range fields[11 : 11+n] {
		t, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += t
	}
	return ticks
}

// keepersOf finds the processes that keep the instances.
func keepersOf(b *testing.B, instances []string) (pids []int) {
	b.Helper()
	if len(instances) == 0 {
		return nil
	}
	wanted := map[string]bool{}
	for _, i := range instances {
		wanted[i] = true
	}
	comms, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range comms {
		comm, err := os.ReadFile(path)
		if err != nil || string(comm) != "keeper\n" {
			continue
		}
		dir := filepath.Dir(path)
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue
		}
		for _, arg := range strings.Split(string(line), "\x00") {
			if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && wanted[arg] {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
