package mount

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const mostHolders = 5 // named in a sentence

// Where a process may hold a file system, below /proc/PID. To look at open files
// takes long on a host with many, so only a sentence that needs them does.
var (
	workIn = []string{"cwd", "root", "exe"}
	anyUse = []string{"cwd", "root", "exe", "fd"}
)

// holders names who keeps the mount busy, for a sentence: mounts inside it and
// processes with something open in it. Empty when nobody is found.
func holders(m mounted) string {
	var found []string
	if table, err := mountTable(); err == nil {
		for _, e := range table {
			if e.Below(m.Point) && len(found) < mostHolders {
				found = append(found, fmt.Sprintf("a mount on %.100q", e.Point))
			}
		}
	}
	for _, pid := range processesOn(m, mostHolders-len(found), anyUse) {
		comm, _ := os.ReadFile("/proc/" + pid + "/comm") // it may be gone by now
		found = append(found, fmt.Sprintf("process %s %.20q", pid, strings.TrimSpace(string(comm))))
	}
	if len(found) == 0 {
		return ""
	}
	return " by " + strings.Join(found, ", ")
}

// processesOn returns up to limit processes that hold the overlay, whatever copy
// of its mount in whatever namespace. A bind mount has no file system of its own,
// so there is no telling who holds it.
func processesOn(m mounted, limit int, links []string) []string {
	if m.Type != "overlay" {
		return nil
	}
	var found []string
	procs, _ := os.ReadDir("/proc") // without it the kernel's own check remains
	for _, p := range procs {
		if len(found) >= limit {
			break
		}
		if strings.Trim(p.Name(), "0123456789") == "" && holds("/proc/"+p.Name(), m.dev, links) {
			found = append(found, p.Name())
		}
	}
	return found
}

func holds(proc string, dev device, links []string) bool {
	for _, l := range links {
		if l != "fd" {
			if isOn(proc+"/"+l, dev) {
				return true
			}
			continue
		}
		fds, _ := os.ReadDir(proc + "/fd") // it may be gone by now
		for _, fd := range fds {
			if isOn(proc+"/fd/"+fd.Name(), dev) {
				return true
			}
		}
	}
	return false
}

// isOn never asks a file server: one that is down must not stop us.
func isOn(path string, dev device) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, unix.STATX_INO, &st)
	return err == nil && device{st.Dev_major, st.Dev_minor} == dev
}
