package sandbox

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// memoryBelow adds up the memory of every process that descends from pid, which
// is the first of a PID namespace and so the ancestor of all in it; its own is
// not counted. What is shared, such as a program's text, is not counted either,
// but shared writable memory is, once for each process that has it.
func memoryBelow(pid int) int64 {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	children := map[int][]int{}
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if parent := parentOf(child); parent > 0 {
			children[parent] = append(children[parent], child)
		}
	}
	var total int64
	for next := children[pid]; len(next) > 0; {
		p := next[0]
		next = append(next[1:], children[p]...)
		total += memoryOf(p)
	}
	return total
}

// parentOf reads "PID (COMM) STATE PPID …"; 0 when the process has ended.
func parentOf(pid int) int {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	n, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return 0
	}
	return n
}

// memoryOf is what only this process has, with its page tables.
func memoryOf(pid int) int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	var kb int64
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "RssAnon", "RssShmem", "VmSwap", "VmPTE":
			if n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64); err == nil {
				kb += n
			}
		}
	}
	return kb << 10
}
