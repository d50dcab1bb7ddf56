package hostops

import (
	"bufio"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// socket is one line of /proc/net/{udp,tcp}{,6}, whose second column is the local
// address with its port in hex, fourth the state, eighth the user, tenth the
// inode:
//
//	0: 00000000:6987 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0 12345 …
type socket struct {
	protocol string // UDP or TCP
	uid      string
	inode    string
}

// tcpListen is the state of a TCP socket that others may connect to.
const tcpListen = "0A"

// portHolder says who has a port, as far as this user may see: the program and
// its process, else the user, else only how to find out.
func portHolder(port int) string { return holderIn("/proc", port) }

func holderIn(proc string, port int) string {
	found := socketsOn(proc, port)
	if len(found) == 0 {
		return "another program on this host"
	}
	for _, s := range found {
		if pid := ownerOf(proc, s.inode); pid != 0 {
			return describeProcess(proc, pid, s.protocol)
		}
	}
	who := "user " + found[0].uid
	if u, err := user.LookupId(found[0].uid); err == nil {
		who = "user " + u.Username
	}
	return fmt.Sprintf("a program of %s (%s; as root, ss -lntup shows which)", who, found[0].protocol)
}

func socketsOn(proc string, port int) []socket {
	var found []socket
	for _, table := range []string{"udp", "udp6", "tcp", "tcp6"} {
		f, err := os.Open(filepath.Join(proc, "net", table))
		if err != nil {
			continue // a kernel without IPv6 has no such table
		}
		protocol := strings.ToUpper(table[:3])
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			columns := strings.Fields(lines.Text())
			if len(columns) < 10 || (protocol == "TCP" && columns[3] != tcpListen) {
				continue
			}
			_, hex, _ := strings.Cut(columns[1], ":")
			if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
				found = append(found, socket{protocol: protocol, uid: columns[7], inode: columns[9]})
			}
		}
		_ = f.Close() // read only; nothing can be lost
	}
	return found
}

// ownerOf finds a process that has the socket open; 0 when it is not ours to see.
func ownerOf(proc, inode string) int {
	links, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	if err != nil {
		return 0 // cannot happen: the pattern is ours
	}
	want := "socket:[" + inode + "]"
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == want {
			pid, _ := strconv.Atoi(strings.Split(strings.TrimPrefix(link, proc+"/"), "/")[0]) // digits by the pattern
			return pid
		}
	}
	return 0
}

// instanceOf finds the name of an instance in the directory that its game runs in.
var instanceOf = regexp.MustCompile(`/runtime/([a-z0-9][a-z0-9_-]{0,47})/merged(?:/|$)`)

func describeProcess(proc string, pid int, protocol string) string {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	if cwd, err := os.Readlink(filepath.Join(dir, "cwd")); err == nil {
		if m := instanceOf.FindStringSubmatch(cwd); m != nil {
			return fmt.Sprintf("server %s of another state root (process %d, %s)", m[1], pid, protocol)
		}
	}
	name, err := os.ReadFile(filepath.Join(dir, "comm"))
	if err != nil {
		return fmt.Sprintf("process %d (%s)", pid, protocol)
	}
	return fmt.Sprintf("the program %s (process %d, %s)", strings.TrimSpace(string(name)), pid, protocol)
}
