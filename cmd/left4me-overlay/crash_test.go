package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crash_test.go: the helper is killed at every step and at any time, called many
// times at once and very often.

// killSteps says which verb reaches which step, as the source has them.
var killSteps = map[string][]string{
	"mount": {
		"entered", "locked", "child", "resolved", "made upper", "made work", "made anchor", "directories", "cloned",
		"staged", "probed", "mounted", "built", "applied", "attached", "verified",
	},
	"umount": {"entered", "locked", "unmounting", "unmounted", "swept"},
	"purge":  {"entered", "locked", "purging"},
}

func TestEveryStepIsKilled(t *testing.T) {
	files, err := filepath.Glob("../../overlayhelper/mount/*.go")
	must(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		must(t, err)
		for _, m := range regexp.MustCompile(`\tstep\("([^"]+)"\)`).FindAllSubmatch(b, -1) {
			if !slices.Contains(slices.Concat(killSteps["mount"], killSteps["umount"], killSteps["purge"]), string(m[1])) {
				t.Errorf("%s has the step %q, at which nobody is killed", f, m[1])
			}
		}
	}
}

func TestKilledAtEachStep(t *testing.T) { // row 75
	needHost(t)
	version(t, "75/v1", service)
	version(t, "75/v2", build)
	for _, verb := range []string{"mount", "umount", "purge"} {
		for _, step := range killSteps[verb] {
			t.Run(verb+" "+step, func(t *testing.T) {
				server(t, "killed", "75/v1", "75/v2")
				if verb == "umount" {
					want(t, 0, "mount", "killed")
				}
				if verb == "purge" {
					want(t, 0, "mount", "killed")
					want(t, 0, "umount", "killed")
				}
				cmd := exec.Command(stepwise, verb, "killed")
				cmd.Env = append(os.Environ(), "LEFT4ME_OVERLAYTEST_KILL="+step)
				if r := runHelper(t, cmd); r.code != -1 {
					t.Fatalf("not killed: %s", r)
				}
				atMostOne(t, "killed")
				recovers(t, "killed")
			})
		}
	}
	noHelperLeft(t)
}

// atMostOne fails unless nothing is mounted, or one whole overlay on merged.
func atMostOne(t *testing.T, name string) {
	t.Helper()
	m := mountsOf(t, name)
	if len(m) > 1 || len(m) == 1 && (m[0].Point != merged(name) || !m[0].OfInstance(name)) {
		t.Fatalf("half a mount: %+v", m)
	}
	if len(m) == 1 {
		checkContent(t, name)
	}
}

func checkContent(t *testing.T, name string) {
	t.Helper()
	for file, text := range map[string]string{"srcds_linux": "game", "cfg/common": "75/v1", "cfg/layer-75-v2": "75/v2"} {
		if b, err := os.ReadFile(merged(name, file)); err != nil || string(b) != text {
			t.Fatalf("%s: %q, %v; want %q", file, b, err, text)
		}
	}
}

// recovers fails unless mount, umount work after whatever happened.
func recovers(t *testing.T, name string) {
	t.Helper()
	want(t, 0, "mount", name)
	checkContent(t, name)
	sh(t, game, "echo x >>"+merged(name, "cfg/common")+" && rm "+merged(name, "cfg/common"))
	must(t, os.RemoveAll(at("runtime", name, "upper/cfg/common"))) // while mounted only its cache would notice
	want(t, 0, "umount", name)
	if m := mountsOf(t, name); len(m) != 0 {
		t.Fatalf("left: %+v", m)
	}
}

// noHelperLeft fails if a helper or a child of one is alive.
func noHelperLeft(t *testing.T) {
	t.Helper()
	eventually(t, "helpers and their children end", func() bool {
		comms, _ := filepath.Glob("/proc/[0-9]*/comm") // the pattern is right
		for _, c := range comms {
			if b, err := os.ReadFile(c); err == nil && strings.HasPrefix(string(b), "left4me-overlay") {
				stat, _ := os.ReadFile(filepath.Join(filepath.Dir(c), "stat")) // it may be gone
				if len(stat) > 0 && !bytes.Contains(stat, []byte(") Z ")) {
					return false
				}
			}
		}
		return true
	})
}

func TestKilledAnyTime(t *testing.T) {
	server(t, "random", "76/v1", "75/v1", "75/v2")
	version(t, "75/v1", service)
	version(t, "75/v2", build)
	version(t, "76/v1", service)
	for _, f := range []string{"common", "layer-76-v1"} {
		must(t, os.Remove(at("overlays/76/v1/cfg", f)))
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	mounted := 0
	for range tries(150) {
		for _, verb := range []string{"mount", "umount"} {
			cmd := exec.Command(shipped, verb, "random")
			must(t, cmd.Start())
			timer := time.AfterFunc(time.Duration(r.IntN(7000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
			_ = cmd.Wait() // killed or not
			timer.Stop()
			atMostOne(t, "random")
			mounted += len(mountsOf(t, "random"))
		}
	}
	t.Logf("%d of %d helpers left a mount", mounted, 2*tries(150))
	recovers(t, "random")
	noHelperLeft(t)
}

// tries scales how often something is tried: LEFT4ME_OVERLAY_TRIES=10 means ten
// times as often as in a normal run.
func tries(n int) int {
	factor, err := strconv.Atoi(os.Getenv("LEFT4ME_OVERLAY_TRIES"))
	if err != nil || factor < 1 {
		return n
	}
	return n * factor
}

func TestManyAtOnce(t *testing.T) { // row 72
	server(t, "many", "75/v1", "75/v2")
	version(t, "75/v1", service)
	version(t, "75/v2", build)
	all := func(verb string) {
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if r := helper(t, verb, "many"); r.code != 0 {
					t.Errorf("%s: %s", verb, r)
				}
			})
		}
		wg.Wait()
	}
	all("mount")
	if m := mountsOf(t, "many"); len(m) != 1 {
		t.Errorf("50 mounts made %+v", m)
	}
	all("umount")
	if m := mountsOf(t, "many"); len(m) != 0 {
		t.Errorf("50 umounts left %+v", m)
	}
}

func TestStorm(t *testing.T) { // row 72
	server(t, "storm", "75/v1", "75/v2")
	version(t, "75/v1", service)
	version(t, "75/v2", build)
	var pairs atomic.Int64
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for pairs.Add(1) <= int64(tries(200)) {
				for _, verb := range []string{"mount", "umount"} {
					if r := helper(t, verb, "storm"); r.code != 0 {
						t.Errorf("%s: %s", verb, r)
						return
					}
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for looks := 0; ; looks++ {
		if m := mountsOf(t, "storm"); len(m) > 1 {
			t.Errorf("more than one mount: %+v", m)
		}
		select {
		case <-done:
			t.Logf("the table was looked at %d times", looks)
			return
		default:
		}
	}
}

// Cycles leave the mount table as it was, line by line.
func TestCycles(t *testing.T) {
	server(t, "cycle", "75/v1", "75/v2")
	version(t, "75/v1", service)
	version(t, "75/v2", build)
	table := func() string {
		b, err := os.ReadFile("/proc/1/mountinfo")
		must(t, err)
		return string(b)
	}
	want(t, 0, "mount", "cycle")
	want(t, 0, "umount", "cycle")
	before, start := table(), time.Now()
	n := 0
	for ; n < tries(1000); n++ {
		if n >= 300 && tries(1) == 1 && time.Since(start) > 15*time.Second {
			break // a slow machine; LEFT4ME_OVERLAY_TRIES=2 has no such end
		}
		want(t, 0, "mount", "cycle")
		want(t, 0, "umount", "cycle")
		if t.Failed() {
			t.Fatalf("in cycle %d", n)
		}
	}
	if after := table(); after != before {
		t.Errorf("the mount table changed:\n%s\nwas\n%s", after, before)
	}
	t.Logf("%d cycles, %s each", n, time.Since(start)/time.Duration(n))
}
