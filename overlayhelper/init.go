package overlayhelper

import "strings"

// NS identifies a namespace: device and inode of its file below /proc/PID/ns.
type NS struct {
	Dev, Ino uint64
}

// The fixed inode numbers of the machine's first namespaces (include/linux/proc_ns.h).
const (
	firstPIDInode  = 0xEFFFFFFC
	firstUserInode = 0xEFFFFFFD
)

// InitFacts is what /proc says of process 1 and of ourselves.
type InitFacts struct {
	OwnPID, OwnUser   NS
	InitPID, InitUser NS
	InitCgroup        string // the text of /proc/1/cgroup
}

// CheckInit says whether /proc/1 is the process 1 of the system that we are
// installed on. It must share our PID and user namespace; and these are the
// machine's first ones, or process 1 is a systemd that manages this container:
// systemd keeps itself, and nothing else, in init.scope. Process 1 of a private
// PID namespace of a unit stays in that unit's control group instead.
func CheckInit(f InitFacts) error {
	if f.OwnPID != f.InitPID || f.OwnUser != f.InitUser {
		return Fail(ErrNotHost, "process 1 belongs to another PID or user namespace than this helper; run it from a unit of the host, without PrivatePIDs= and PrivateUsers=")
	}
	if f.InitPID.Ino == firstPIDInode && f.InitUser.Ino == firstUserInode {
		return nil
	}
	if ledBySystemd(f.InitCgroup) {
		return nil
	}
	return Fail(ErrNotHost, "process 1 here is not the system's own (this is a private PID or user namespace, and no systemd runs in it); run the helper from a unit of the host, without PrivatePIDs= and PrivateUsers=")
}

// ledBySystemd reads /proc/PID/cgroup, lines of HIERARCHY:CONTROLLERS:PATH:
//
//	0::/init.scope
//	1:name=systemd:/init.scope
func ledBySystemd(cgroup string) bool {
	for line := range strings.Lines(cgroup) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) == 3 && (f[1] == "" || f[1] == "name=systemd") && strings.HasSuffix(f[2], "/init.scope") {
			return true
		}
	}
	return false
}
