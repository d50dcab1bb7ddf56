package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkCycle measures whole processes, exec to exit: mount and umount by the
// helper and by util-linux in turn, so that both meet the same machine. The
// helper's layers belong to two users, so that it must idmap for both.
func BenchmarkCycle(b *testing.B) {
	for _, n := range []int{4, 490} {
		b.Run(fmt.Sprintf("layers=%d", n), func(b *testing.B) {
			name := fmt.Sprintf("bench%d", n)
			server(b, name, benchLayers(b, n-1)...) // and the installation
			benchLayers(b, n)
			dir, lowers := benchFolder(b, n)
			var helper, utilLinux times
			for b.Loop() {
				helper.cycle(b, exec.Command(shipped, "mount", name), exec.Command(shipped, "umount", name))
				mount := exec.Command("mount", "-t", "overlay", "bench", "-o", "index=off,lowerdir="+lowers+",upperdir=upper,workdir=work", "merged")
				mount.Env = append(os.Environ(), "LIBMOUNT_FORCE_MOUNT2=always") // newer ones have a limit of 255 bytes otherwise
				umount := exec.Command("umount", "merged")
				mount.Dir, umount.Dir = dir, dir
				utilLinux.cycle(b, mount, umount)
			}
			b.ReportMetric(0, "ns/op") // of both together says nothing
			helper.report(b, "helper")
			utilLinux.report(b, "util-linux")
			b.ReportMetric(median(helper.cycles)/median(utilLinux.cycles), "ratio-p50")
		})
	}
}

// benchLayers makes n versions and returns their names.
func benchLayers(b *testing.B, n int) []string {
	b.Helper()
	needHost(b)
	var layers []string
	for i := range n {
		ref := fmt.Sprintf("9%04d/v1", i)
		owner := service
		if i%2 == 1 {
			owner = build
		}
		version(b, ref, owner)
		layers = append(layers, ref)
	}
	return layers
}

// benchFolder has short names for the layers, for the one page of options.
func benchFolder(b *testing.B, n int) (dir, lowers string) {
	b.Helper()
	dir = at("runtime", "bench-util-linux")
	must(b, os.RemoveAll(dir))
	for _, d := range []string{"upper", "work", "merged"} {
		must(b, os.MkdirAll(dir+"/"+d, 0o755))
	}
	var names []string
	for i := range n {
		name := strconv.FormatInt(int64(i), 36)
		must(b, os.Symlink(at("overlays", fmt.Sprintf("9%04d/v1", i)), dir+"/"+name))
		names = append(names, name)
	}
	b.Cleanup(func() { must(b, os.RemoveAll(dir)) })
	return dir, strings.Join(names, ":")
}

// times are milliseconds of whole processes.
type times struct{ mounts, umounts, cycles []float64 }

func (t *times) cycle(b *testing.B, mount, umount *exec.Cmd) {
	b.Helper()
	start := time.Now()
	if err := mount.Run(); err != nil {
		b.Fatalf("%s: %v", mount, err)
	}
	between := time.Now()
	if err := umount.Run(); err != nil {
		b.Fatalf("%s: %v", umount, err)
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	t.mounts = append(t.mounts, ms(between.Sub(start)))
	t.umounts = append(t.umounts, ms(time.Since(between)))
	t.cycles = append(t.cycles, ms(time.Since(start)))
}

func (t *times) report(b *testing.B, who string) {
	b.Helper()
	b.ReportMetric(median(t.mounts), who+"-mount-p50-ms")
	b.ReportMetric(median(t.umounts), who+"-umount-p50-ms")
	b.ReportMetric(median(t.cycles), who+"-p50-ms")
	b.ReportMetric(t.cycles[len(t.cycles)*99/100], who+"-p99-ms") // sorted by median
}

func median(ms []float64) float64 {
	slices.Sort(ms)
	return ms[len(ms)/2]
}
