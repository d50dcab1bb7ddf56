package workshop

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/gate"
	"left4me/hostops/steam"
)

// examineVPK is what l4d2ctl does with a file.
func examineVPK(ctx context.Context, name string, file io.ReaderAt, size int64) ([]ctl.Finding, []ctl.Campaign, error) {
	r, err := gate.CheckFile(ctx, name, file, size, nil)
	return r.Findings, r.Campaigns, err
}

// writeVPK writes a sound VPK with one map of size bytes.
func writeVPK(path, id string, size int) error {
	data := vpk(id, size)
	entry := binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(data))
	entry = binary.LittleEndian.AppendUint16(entry, 0)
	entry = binary.LittleEndian.AppendUint16(entry, 0x7fff)
	entry = binary.LittleEndian.AppendUint32(entry, 0)
	entry = binary.LittleEndian.AppendUint32(entry, uint32(size))
	entry = binary.LittleEndian.AppendUint16(entry, 0xffff)
	tree := "bsp\x00maps\x00map" + id + "\x00" + string(entry) + "\x00\x00\x00"
	head := binary.LittleEndian.AppendUint32([]byte("\x34\x12\xaa\x55\x01\x00\x00\x00"), uint32(len(tree)))
	return os.WriteFile(path, append(append(head, tree...), data...), 0o644)
}

// BenchmarkDownload fetches 20 files of 50 MB from a server on this host, with
// everything that belongs to it: hash, look into the VPK, and the files on the
// disk for good. curl fetches the same files from the same server, without any of
// that; its second rate is with the files on the disk for good. They take turns,
// and the best turn of each counts, since other programs may be at work. The files
// lie in memory where there is room, so that the programs are compared and not the
// disk's other work. It prints all rates, and how much memory each took at most.
func BenchmarkDownload(b *testing.B) {
	const files, size = 20, 50 << 20
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") != "" {
			b.Fatal("curl is not installed, and there is nothing to compare with")
		}
		b.Skip("curl is not installed, and there is nothing to compare with")
	}
	dir := benchFolder(b, 3*files*size)
	var ids []string
	for i := range files {
		id := strconv.Itoa(1000 + i)
		ids = append(ids, id)
		if err := writeVPK(filepath.Join(dir, id+".vpk"), id, size); err != nil {
			b.Fatal(err)
		}
	}
	url := startServer(b, dir)
	ours, theirs, synced := time.Hour, time.Hour, time.Hour
	var ourMemory, theirMemory int64
	for b.Loop() {
		to, err := os.MkdirTemp(dir, "run-")
		if err != nil {
			b.Fatal(err)
		}
		args := []string{"--parallel", "--silent", "--show-error", "--fail"}
		for _, id := range ids {
			args = append(args, "-o", filepath.Join(to, id+".vpk"), url+"/ugc/"+id)
		}
		took, memory := measure(b, exec.Command("curl", args...))
		theirs, theirMemory = min(theirs, took), max(theirMemory, memory)
		begun := time.Now()
		for _, id := range ids {
			if err := settle(filepath.Join(to, id+".vpk")); err != nil {
				b.Fatal(err)
			}
		}
		synced = min(synced, took+time.Since(begun))
		emptyFolder(b, to)

		cmd := exec.Command("/proc/self/exe", append([]string{url, filepath.Join(to, "store")}, ids...)...)
		cmd.Env = append(os.Environ(), roleVariable+"=fetch", "WORKSHOP_TEST_REAL=1")
		took, memory = measure(b, cmd)
		ours, ourMemory = min(ours, took), max(ourMemory, memory)
		emptyFolder(b, to)
	}
	rate := func(d time.Duration) float64 { return files * size / 1e6 / d.Seconds() }
	b.ReportMetric(rate(ours), "MB/s")
	b.ReportMetric(rate(theirs), "curl-MB/s")
	b.ReportMetric(rate(synced), "synced-curl-MB/s")
	b.ReportMetric(100*rate(ours)/rate(theirs), "%of-curl")
	b.ReportMetric(100*rate(ours)/rate(synced), "%of-synced-curl")
	b.ReportMetric(float64(ourMemory)/1e6, "MB-memory")
	b.ReportMetric(float64(theirMemory)/1e6, "curl-MB-memory")
}

// benchFolder is a folder in memory when that has room bytes, and on the disk
// otherwise.
func benchFolder(b *testing.B, room int64) string {
	b.Helper()
	if free, err := steam.FreeBytes("/dev/shm"); err == nil && free > room {
		if dir, err := os.MkdirTemp("/dev/shm", "workshop-bench-"); err == nil {
			b.Cleanup(func() { _ = os.RemoveAll(dir) }) // memory is given back by the next boot at the latest
			return dir
		}
	}
	return b.TempDir()
}

// measure runs cmd to its end and returns how long it took and its peak of memory
// in bytes. What the kernel counts for a child begins with what its parent had, so
// the peak is looked at while it runs.
func measure(b *testing.B, cmd *exec.Cmd) (took time.Duration, memory int64) {
	b.Helper()
	var errout strings.Builder
	cmd.Stderr = &errout
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				b.Fatalf("%s: %v\n%s", cmd.Path, err, errout.String())
			}
			return time.Since(begun), memory
		case <-tick.C:
			memory = max(memory, peakOf(cmd.Process.Pid))
		}
	}
}

// peakOf reads a line such as "VmHWM:	   21344 kB"; 0 when there is none any more.
func peakOf(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kB, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64) // digits by the format
			return kB << 10
		}
	}
	return 0
}

func emptyFolder(b *testing.B, dir string) {
	b.Helper()
	if err := os.RemoveAll(dir); err != nil {
		b.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		b.Fatal(err)
	}
}

// startServer serves the VPKs of dir from a process of its own.
func startServer(b testing.TB, dir string) (url string) {
	b.Helper()
	cmd := exec.Command("/proc/self/exe", dir)
	cmd.Env = append(os.Environ(), roleVariable+"=serve")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill() // it serves until then
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(fmt.Errorf("the server did not say where it is: %w", err))
	}
	return strings.TrimSpace(line)
}
