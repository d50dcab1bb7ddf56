//go:build system

package systemtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"left4me/hostops/supervisor/suitetest"
)

const cycles = 100

// A server that is started and stopped again and again leaves the mount table,
// the control groups and systemd's units as they were, and is never killed
// before its grace is over.
func TestCyclesLeaveNothing(t *testing.T) {
	before, since := "", time.Now().Add(-time.Second)
	if os.Getenv(envUser) == "" {
		before = atRest(t)
	}
	if again(t) {
		checkLeft(t, before)
		log := sh(t, "journalctl", "--no-pager", "-q", "-o", "cat", "--since=@"+strconv.FormatInt(since.Unix(), 10), "_PID=1")
		if strings.Contains(log, "SIGKILL") {
			t.Error("systemd killed a game without waiting for it")
		}
		return
	}
	addGame(t)
	s := systemd()
	var first, all time.Duration
	for n := range cycles {
		began := time.Now()
		suitetest.Write(t, filepath.Join(stateRoot, "overlays/7/v1/cfg/server.cfg"), "top")
		l := suitetest.Launch("cycle", "read:cfg/server.cfg", "wait")
		l.Layers = []string{"overlays/7/v1", "installation"}
		if err := s.Start(context.Background(), l); err != nil {
			t.Fatalf("start %d: %v", n, err)
		}
		if i := suitetest.Status(t, s, "cycle"); i.PID == 0 || i.Restarts != 0 {
			t.Fatalf("cycle %d: %+v", n, i)
		}
		suitetest.Down(t, s, "cycle")
		all += time.Since(began)
		if n == 0 {
			first = all
		}
	}
	t.Logf("%d cycles of start, status and stop took %s each, the first %s", cycles, (all / cycles).Round(time.Millisecond), first.Round(time.Millisecond))
	if err := s.Purge(context.Background(), "cycle"); err != nil {
		t.Error(err)
	}
}

// ownShare is what a start may cost beyond the start of the bare unit, as systemd
// itself clocks it.
const ownShare = 80 * time.Millisecond

// The supervisor, and the whole of l4d2ctl but for the waiting, add little to the
// start of the unit. Medians, because the machine has other work.
func TestShareOfStart(t *testing.T) {
	if again(t) {
		return
	}
	addGame(t)
	s := systemd()
	var shares, units, asked []time.Duration
	for range 21 {
		began := time.Now()
		if err := s.Start(context.Background(), suitetest.Launch("share", "wait")); err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		unit := clocked(t, "left4me-server@share.service")
		began = time.Now()
		if out, err := try("l4d2ctl", "status", "share", "--json"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		asked = append(asked, time.Since(began))
		suitetest.Down(t, s, "share")
		shares, units = append(shares, took-unit), append(units, unit)
	}
	slices.Sort(shares)
	slices.Sort(units)
	slices.Sort(asked)
	t.Logf("medians: the unit %s, the supervisor's share %s; l4d2ctl status %s", units[10], shares[10], asked[10])
	if shares[10] > ownShare {
		t.Errorf("the supervisor's share of a start is %s, want at most %s: %v", shares[10], ownShare, shares)
	}
	if err := s.Purge(context.Background(), "share"); err != nil {
		t.Error(err)
	}
}

// clocked is how long systemd took from the beginning of a start to its end.
func clocked(t *testing.T, unit string) time.Duration {
	t.Helper()
	var begin, end int64
	out := sh(t, "systemctl", "show", "--value", "-p", "InactiveExitTimestampMonotonic", "-p", "ActiveEnterTimestampMonotonic", unit)
	if _, err := fmt.Sscan(out, &begin, &end); err != nil || begin == 0 || end == 0 {
		t.Fatalf("%q: %v", out, err)
	}
	if begin > end { // in whatever order they come
		begin, end = end, begin
	}
	return time.Duration(end-begin) * time.Microsecond
}

// Whenever the root helper is killed, the next start and stop work.
func TestKilledHelperBlocksNothing(t *testing.T) {
	if os.Getenv(envUser) == "" {
		before := atRest(t)
		stop := make(chan struct{})
		kills := make(chan int)
		go func() { kills <- killHelpers(stop) }()
		if !again(t) {
			t.Fatal("root is nobody else")
		}
		close(stop)
		n := <-kills
		t.Logf("%d helpers were killed", n)
		if n < 20 {
			t.Errorf("%d helpers were killed, want at least 20", n)
		}
		checkLeft(t, before)
		return
	}
	addGame(t)
	s := systemd()
	failed := 0
	for range 25 {
		suitetest.Write(t, killSwitch, "")
		if err := s.Start(context.Background(), suitetest.Launch("unlucky", "print:up", "wait")); err != nil {
			failed++
		}
		_ = s.Stop(context.Background(), "unlucky") // its helper may have been killed too
		if err := os.Remove(killSwitch); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(context.Background(), suitetest.Launch("unlucky", "print:up", "wait")); err != nil {
			t.Fatalf("the start after a killed helper: %v", err)
		}
		suitetest.Down(t, s, "unlucky")
	}
	t.Logf("%d starts of 25 failed because their helper was killed", failed)
	if err := s.Purge(context.Background(), "unlucky"); err != nil {
		t.Error(err)
	}
}

// killSwitch is there while helpers are to be killed.
const killSwitch = "/tmp/left4me-kill-helpers"

// killHelpers kills every helper that it sees, each a little later in its life
// than the one before, until stop. It returns how many.
func killHelpers(stop <-chan struct{}) (n int) {
	seen := map[int]bool{}
	for {
		select {
		case <-stop:
			return n
		default:
		}
		if _, err := os.Stat(killSwitch); err != nil {
			pause(time.Millisecond)
			continue
		}
		found, err := filepath.Glob("/proc/[0-9]*/comm")
		if err != nil {
			return n
		}
		for _, path := range found {
			pid, err := strconv.Atoi(strings.Split(path, "/")[2])
			if err != nil || seen[pid] {
				continue
			}
			if comm, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(comm)) != "left4me-overlay" {
				continue
			}
			seen[pid] = true
			pause(time.Duration(len(seen)%12) * 500 * time.Microsecond)
			if syscall.Kill(pid, syscall.SIGKILL) == nil {
				n++
			}
		}
	}
}

// pause lets time pass: the point of the kill is what is varied.
func pause(d time.Duration) { <-time.After(d) }
