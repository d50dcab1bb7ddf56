package supervisor

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// namespaceUse is the resident memory in bytes and the processor time of every
// process here. It needs the namespace's own /proc; without one both are 0, unknown.
func namespaceUse() (memory int64, cpu time.Duration) {
	proc, err := os.Open("/proc")
	if err != nil {
		return 0, 0
	}
	defer proc.Close() // read only; nothing can be lost
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return 0, 0
	}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			m, c := processUse(pid)
			memory, cpu = memory+m, cpu+c
		}
	}
	return memory, cpu
}

// clockTick is the unit of the times in /proc: USER_HZ is 100 on every Linux that
// the game runs on.
const clockTick = 10 * time.Millisecond

// processUse reads a process's resident memory and its processor time, that of the
// children that it waited for included; 0 when it is gone or hidden. Of
// /proc/PID/stat, whose second field may hold anything, it takes utime, stime,
// cutime and cstime (14 to 17) and rss (24, in pages).
func processUse(pid int) (memory int64, cpu time.Duration) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]) // from the third on
	if len(fields) < 22 {
		return 0, 0
	}
	for _, f := range fields[11:15] {
		if n, err := strconv.ParseInt(string(f), 10, 64); err == nil {
			cpu += time.Duration(n) * clockTick
		}
	}
	if n, err := strconv.ParseInt(string(fields[21]), 10, 64); err == nil {
		memory = n * int64(os.Getpagesize())
	}
	return memory, cpu
}
