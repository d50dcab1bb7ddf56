package hostops

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
)

// Examination is what Doctor looks with. It changes nothing on the host; what it
// makes to try something it takes away again.
type Examination struct {
	// Files is where the host's files are: "/", or a folder in tests.
	Files string
	// Trial tries on a folder what every start does; nil when games are not
	// this user's to start.
	Trial func(ctx context.Context, root string) error
	// Root is what root saw before it became this user; nil when root did not
	// begin this.
	Root *RootView
	// Systemd says that systemd keeps the servers of this state root.
	Systemd bool
}

// RootView is what only root can see.
type RootView struct {
	// Idmap is what trying an idmapped mount of the state root gave: "ok", or
	// why not.
	Idmap string `json:"idmap"`
	// Missing are paths that do not exist. This user may not be able to tell.
	Missing []string `json:"missing,omitempty"`
}

// LookAsRoot collects what only root can see of a host with that state root and
// steamcmd.
func LookAsRoot(root, steamcmd string) RootView {
	v := RootView{Idmap: TryIdmap(root)}
	for _, path := range []string{root, steamcmd} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			v.Missing = append(v.Missing, path)
		}
	}
	return v
}

// stat is os.Stat by whoever sees more.
func (x *examiner) stat(path string) (os.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil && x.Root != nil && slices.Contains(x.Root.Missing, path) {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: fs.ErrNotExist}
	}
	return info, err
}

// Doctor looks at everything that servers need of a host. It fails only when ctx
// ends; what it cannot find out is a check of its own.
func (h *Host) Doctor(ctx context.Context, e Examination) (ctl.Doctor, error) {
	if e.Files == "" {
		e.Files = "/"
	}
	x := &examiner{Examination: e, h: h, ctx: ctx}
	d := ctl.Doctor{At: now(), Level: ctl.LevelOK}
	for _, check := range []func() []ctl.Check{
		x.kernel, x.stateRoot, x.overlayfs, x.namespaces, x.builds, x.idmap, x.systemd, x.users,
		x.libraries, x.steamcmd, x.game, x.space, x.ports, x.clock, x.temporary,
	} {
		if ctx.Err() != nil {
			return d, fail(ctl.ErrCancelled, "the examination was cancelled")
		}
		for _, c := range check() {
			d.Checks = append(d.Checks, c)
			if levelOrder[c.Level] > levelOrder[d.Level] {
				d.Level = c.Level
			}
		}
	}
	return d, nil
}

var levelOrder = map[ctl.Level]int{ctl.LevelOK: 0, ctl.LevelWarning: 1, ctl.LevelProblem: 2}

// examiner is one examination. It lives for one call of Doctor, which is why it
// may hold the context.
type examiner struct {
	Examination
	h   *Host
	ctx context.Context
}

func (x *examiner) file(path string) string { return filepath.Join(x.Files, path) }

func (x *examiner) exists(path string) bool {
	_, err := os.Stat(x.file(path))
	return err == nil
}

// one is a list of a single check.
func one(key, title string, level ctl.Level, fix, format string, args ...any) []ctl.Check {
	return []ctl.Check{{Key: key, Title: title, Level: level, Text: fmt.Sprintf(format, args...), Fix: fix}}
}

// The oldest kernels: overlayfs in user namespaces came with the first, and the
// second is the oldest that we try everything on.
var (
	oldestKernel  = [2]int{5, 11}
	testedKernel  = [2]int{6, 1}
	kernelUpgrade = "apt-get update && apt-get install linux-image-amd64 && systemctl reboot"
)

func (x *examiner) kernel() []ctl.Check {
	const key, title = "kernel", "Kernel"
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return one(key, title, ctl.LevelWarning, "", "cannot be asked for its version: %v", err)
	}
	release, machine := unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:])
	return judgeKernel(release, machine)
}

func judgeKernel(release, machine string) []ctl.Check {
	const key, title = "kernel", "Kernel"
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return one(key, title, ctl.LevelWarning, "", "Linux %s has a version that cannot be read", release)
	}
	older := func(than [2]int) bool { return major < than[0] || major == than[0] && minor < than[1] }
	switch {
	case machine != "x86_64":
		return one(key, title, ctl.LevelProblem, "", "Linux %s runs on %s, and the game is made for x86 only", release, machine)
	case older(oldestKernel):
		return one(key, title, ctl.LevelProblem, kernelUpgrade, "Linux %s is too old: %d.%d is the first that can mount what servers need", release, oldestKernel[0], oldestKernel[1])
	case older(testedKernel):
		return one(key, title, ctl.LevelWarning, kernelUpgrade, "Linux %s is older than any that left4me is tried on (%d.%d)", release, testedKernel[0], testedKernel[1])
	}
	return one(key, title, ctl.LevelOK, "", "Linux %s on %s", release, machine)
}

func (x *examiner) stateRoot() []ctl.Check {
	const key, title = "root", "State root"
	info, err := x.stat(x.h.Root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return one(key, title, ctl.LevelOK, "", "%s is not there yet; the first command makes it", x.h.Root)
	case err != nil:
		return one(key, title, ctl.LevelProblem, "", "%s cannot be looked at: %v", x.h.Root, err)
	case !info.IsDir():
		return one(key, title, ctl.LevelProblem, "", "%s is not a folder", x.h.Root)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(x.h.Root, &st); err == nil {
		switch {
		case st.Flags&unix.ST_RDONLY != 0:
			return one(key, title, ctl.LevelProblem, "mount -o remount,rw "+mountOf(x.h.Root), "%s is on a file system that is mounted read-only", x.h.Root)
		case st.Flags&unix.ST_NOEXEC != 0:
			return one(key, title, ctl.LevelProblem, "mount -o remount,exec "+mountOf(x.h.Root), "%s is on a file system that no program may be run from (noexec)", x.h.Root)
		}
	}
	if unix.Access(x.h.Root, unix.W_OK) != nil {
		return x.notWritable(info)
	}
	return one(key, title, ctl.LevelOK, "", "%s may be written by user %s", x.h.Root, userName(os.Geteuid()))
}

func (x *examiner) notWritable(info os.FileInfo) []ctl.Check {
	const key, title = "root", "State root"
	owner := "?"
	if st := statOf(info); st != nil {
		owner = userName(int(st.Uid))
	}
	if owner == "root" && x.Root != nil { // root began this, and would hand the folder over
		return one(key, title, ctl.LevelOK, "", "%s belongs to root; the first command gives it to user %s", x.h.Root, userName(os.Geteuid()))
	}
	return one(key, title, ctl.LevelProblem, fmt.Sprintf("runuser -u %s -- l4d2ctl --root %s doctor", owner, quote(x.h.Root)),
		"%s belongs to user %s, and user %s may not write there: run l4d2ctl as its owner", x.h.Root, owner, userName(os.Geteuid()))
}

// mountOf is the mount point that path is on.
func mountOf(path string) string {
	var here unix.Stat_t
	if unix.Stat(path, &here) != nil {
		return path
	}
	for path != "/" {
		var above unix.Stat_t
		if unix.Stat(filepath.Dir(path), &above) != nil || above.Dev != here.Dev {
			break
		}
		path = filepath.Dir(path)
	}
	return quote(path)
}

func (x *examiner) overlayfs() []ctl.Check {
	const key, title = "overlayfs", "Overlay mounts"
	known, err := os.ReadFile(x.file("proc/filesystems"))
	if err != nil {
		return one(key, title, ctl.LevelWarning, "", "the kernel's file systems cannot be listed: %v", err)
	}
	for line := range strings.Lines(string(known)) {
		if strings.TrimSpace(strings.TrimPrefix(line, "nodev")) == "overlay" {
			return one(key, title, ctl.LevelOK, "", "the kernel has overlayfs")
		}
	}
	return one(key, title, ctl.LevelProblem, "modprobe overlay && echo overlay > /etc/modules-load.d/left4me.conf", "the kernel has not loaded overlayfs")
}

func (x *examiner) namespaces() []ctl.Check {
	const key, title = "namespaces", "User namespaces"
	if x.Trial == nil || x.Systemd {
		return one(key, title, ctl.LevelOK, "", "not needed: systemd keeps the servers")
	}
	at := x.h.Root
	if unix.Access(at, unix.W_OK) != nil {
		at = os.TempDir()
	}
	err := x.Trial(x.ctx, at)
	if err == nil {
		return one(key, title, ctl.LevelOK, "", "a mount of two empty layers in %s worked, as user %s", at, userName(os.Geteuid()))
	}
	said, fix, _ := strings.Cut(err.Error(), "; as root run: ")
	if before, after, found := strings.Cut(said, "; load it as root with: "); found {
		said, fix = before, after
	}
	return one(key, title, ctl.LevelProblem, fix, "a trial in %s failed: %s", at, said)
}

func (x *examiner) idmap() []ctl.Check {
	const key, title = "idmap", "Mapped owners"
	if x.Root == nil {
		return nil // only root can try
	}
	if x.Root.Idmap == "ok" {
		return one(key, title, ctl.LevelOK, "", "the file system of %s takes idmapped mounts", x.h.Root)
	}
	level := ctl.LevelOK
	if x.Systemd {
		level = ctl.LevelWarning
	}
	return one(key, title, level, "", "the file system of %s takes no idmapped mounts (%s); servers under systemd then need layers that belong to the game's user", x.h.Root, x.Root.Idmap)
}

// RootlessTrial is Examination.Trial for servers that this user keeps itself.
func RootlessTrial(ctx context.Context, root string) error {
	return (&supervisor.Rootless{Root: root}).Trial(ctx)
}
