package hostops

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/steam"
)

// What systemd and polkit have of ours once `make install` ran.
var (
	unitFolders = []string{"etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system"}
	polkitRules = "etc/polkit-1/rules.d/50-left4me.rules"
)

// serverUnit is the template that servers run as.
const serverUnit = "left4me-server@.service"

func (x *examiner) systemd() []ctl.Check {
	const key, title = "systemd", "systemd"
	if !x.exists("run/systemd/system") {
		return one(key, title, ctl.LevelOK, "", "does not run this host; l4d2ctl keeps the servers itself")
	}
	installed := slices.ContainsFunc(unitFolders, func(dir string) bool { return x.exists(filepath.Join(dir, serverUnit)) })
	if !installed {
		return one(key, title, ctl.LevelOK, "", "runs this host, but left4me's units are not installed; l4d2ctl keeps the servers itself")
	}
	checks := one(key, title, ctl.LevelOK, "", "runs this host and has left4me's units")
	switch _, err := os.Stat(x.file(polkitRules)); {
	case !x.exists("usr/lib/polkit-1/polkitd") && !x.exists("usr/libexec/polkitd"):
		checks = append(checks, one("polkit", "polkit", ctl.LevelProblem, "apt-get install polkitd", "is not installed, and without it only root may start servers")...)
	case errors.Is(err, fs.ErrNotExist):
		checks = append(checks, one("polkit", "polkit", ctl.LevelProblem, "make install", "has no rule for left4me: user left4me may not start servers")...)
	case err != nil:
		checks = append(checks, one("polkit", "polkit", ctl.LevelOK, "", "is installed; whether it has left4me's rule only root can see")...)
	default:
		checks = append(checks, one("polkit", "polkit", ctl.LevelOK, "", "has left4me's rule")...)
	}
	return checks
}

// serviceUsers are those of an installation under systemd.
var serviceUsers = []string{"left4me", "l4d2", "l4d2-build"}

func (x *examiner) users() []ctl.Check {
	const key, title = "users", "Users"
	var missing []string
	for _, name := range serviceUsers {
		if _, err := user.Lookup(name); err != nil {
			missing = append(missing, name)
		}
	}
	me := userName(os.Geteuid())
	switch {
	case len(missing) == 0:
		return one(key, title, ctl.LevelOK, "", "%s are there; this is user %s", strings.Join(serviceUsers, ", "), me)
	case x.Systemd:
		return one(key, title, ctl.LevelProblem, "systemd-sysusers", "%s missing, which servers under systemd run as", strings.Join(missing, ", "))
	}
	return one(key, title, ctl.LevelOK, "", "servers run as user %s; %s are only needed under systemd", me, strings.Join(serviceUsers, ", "))
}

// loader is what every 32-bit program asks for.
const loader = "lib/ld-linux.so.2"

// loaderLimit is how long trying it may take.
const loaderLimit = 10 * time.Second

const installLibraries = "apt-get update && apt-get install libc6-i386 lib32gcc-s1 lib32stdc++6"

func (x *examiner) libraries() []ctl.Check {
	const key, title = "lib32", "32-bit libraries"
	switch {
	case elfClass(x.h.path(dirInstallation, "srcds_linux")) == 64:
		return one(key, title, ctl.LevelOK, "", "are not needed: the game that is installed is a 64-bit program")
	case !x.exists(loader) && elfClass(x.h.Steamcmd) == 64:
		return one(key, title, ctl.LevelWarning, installLibraries, "are missing (/%s): steamcmd here can do without, but the game that Steam delivers cannot", loader)
	case !x.exists(loader):
		return one(key, title, ctl.LevelProblem, installLibraries, "are missing (/%s): neither steamcmd nor the game can start", loader)
	}
	var missing []string
	for _, name := range []string{"libgcc_s.so.1", "libstdc++.so.6"} {
		places := []string{"usr/lib32", "lib32", "usr/lib/i386-linux-gnu", "lib/i386-linux-gnu", "usr/lib"}
		if !slices.ContainsFunc(places, func(dir string) bool { return elfClass(x.file(filepath.Join(dir, name))) == 32 }) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return one(key, title, ctl.LevelProblem, installLibraries, "of %s are missing: the game cannot start", strings.Join(missing, " and "))
	}
	ctx, cancel := context.WithTimeout(x.ctx, loaderLimit)
	defer cancel()
	if err := exec.CommandContext(ctx, x.file(loader), "--version").Run(); err != nil {
		return one(key, title, ctl.LevelProblem, "", "are there, but no 32-bit program can be run here (%v): the kernel lacks CONFIG_IA32_EMULATION, or a container forbids it", err)
	}
	return one(key, title, ctl.LevelOK, "", "are there and can be run")
}

// elfClass is 32 or 64 for an ELF file of that class, and 0 for anything else.
func elfClass(path string) int {
	data, err := head(path, 5)
	switch {
	case err != nil:
		return 0
	case string(data) == "\x7fELF\x01":
		return 32
	case string(data) == "\x7fELF\x02":
		return 64
	}
	return 0
}

func (x *examiner) steamcmd() []ctl.Check {
	const key, title = "steamcmd", "steamcmd"
	info, err := x.stat(x.h.Steamcmd)
	dir := quote(filepath.Dir(x.h.Steamcmd))
	fetch := fmt.Sprintf("mkdir -p %s && curl -fsSL https://steamcdn-a.akamaihd.net/client/installer/steamcmd_linux.tar.gz | tar -xz -C %s", dir, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return one(key, title, ctl.LevelProblem, fetch, "is not at %s; --steamcmd says where else it is", x.h.Steamcmd)
	case err != nil:
		return one(key, title, ctl.LevelProblem, "", "at %s cannot be looked at: %v", x.h.Steamcmd, err)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return one(key, title, ctl.LevelProblem, fetch, "at %s is no program", x.h.Steamcmd)
	case unix.Access(x.h.Steamcmd, unix.X_OK) != nil:
		return one(key, title, ctl.LevelProblem, "chmod -R a+rX "+dir, "at %s may not be run by user %s", x.h.Steamcmd, userName(os.Geteuid()))
	}
	return one(key, title, ctl.LevelOK, "", "is at %s", x.h.Steamcmd)
}

func (x *examiner) game() []ctl.Check {
	const key, title = "game", "Game"
	g := x.h.Game()
	if !g.Installed && g.Message == "" {
		return one(key, title, ctl.LevelWarning, "l4d2ctl install", "is not installed yet")
	}
	if !g.Installed {
		return one(key, title, ctl.LevelWarning, "l4d2ctl install", "%s", strings.TrimPrefix(strings.TrimSuffix(g.Message, ": run l4d2ctl install"), "the game "))
	}
	return one(key, title, ctl.LevelOK, "", "build %s is installed", g.Build)
}

// What the disk must hold: an install takes about 9.5 GB, and Steam asks for
// some more while it works; a host that has the game needs room for maps and logs.
const (
	spaceToInstall  = 15_000_000_000
	spaceForInstall = 10_000_000_000
	spaceToRun      = 2_000_000_000
)

func (x *examiner) space() []ctl.Check {
	at := x.h.Root
	for !existsAt(at) && at != "/" {
		at = filepath.Dir(at)
	}
	free, err := steam.FreeBytes(at)
	if err != nil {
		return one("space", "Free space", ctl.LevelWarning, "", "cannot be found out: %v", err)
	}
	return judgeSpace(at, free, x.h.Game().Installed)
}

func existsAt(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func judgeSpace(at string, free int64, installed bool) []ctl.Check {
	const key, title = "space", "Free space"
	look := "df -h " + quote(at)
	switch have := steam.Bytes(free); {
	case !installed && free < spaceForInstall:
		return one(key, title, ctl.LevelProblem, look, "%s on the disk of %s are too little for the game, which takes 9.5 GB", have, at)
	case !installed && free < spaceToInstall:
		return one(key, title, ctl.LevelWarning, look, "%s on the disk of %s are just enough for the game; %s are better", have, at, steam.Bytes(spaceToInstall))
	case installed && free < spaceToRun:
		return one(key, title, ctl.LevelWarning, look, "%s are left on the disk of %s, which updates and maps soon fill", have, at)
	default:
		return one(key, title, ctl.LevelOK, "", "%s on the disk of %s", have, at)
	}
}

// The ports that servers usually get.
const (
	firstPort = 27015
	lastPort  = 27050
)

func (x *examiner) ports() []ctl.Check {
	const key, title = "ports", "Ports"
	var ours, others []string
	for port := firstPort; port <= lastPort; port++ {
		// Looked up, not bound: a server that starts right now must get its port.
		if len(socketsOn(x.file("proc"), port)) == 0 {
			continue
		}
		if name := x.h.runningOn(x.ctx, "", port); name != "" {
			ours = append(ours, fmt.Sprintf("%d by server %s", port, name))
		} else {
			others = append(others, fmt.Sprintf("%d by %s", port, holderIn(x.file("proc"), port)))
		}
	}
	taken := slices.Concat(ours, others)
	switch {
	case len(taken) == 0:
		return one(key, title, ctl.LevelOK, "", "%d to %d are free", firstPort, lastPort)
	case len(others) == 0:
		return one(key, title, ctl.LevelOK, "", "of %d to %d, these are taken: %s", firstPort, lastPort, strings.Join(taken, ", "))
	}
	return one(key, title, ctl.LevelWarning, "ss -lntup", "of %d to %d, these are taken: %s; give servers others", firstPort, lastPort, strings.Join(taken, ", "))
}

// firstYear is when this was written: an earlier clock is wrong, and Steam's
// certificates would not hold.
const firstYear = 2026

func (x *examiner) clock() []ctl.Check {
	var state unix.Timex
	status, err := unix.Adjtimex(&state)
	synced := err == nil && status != unix.TIME_ERROR
	checks := judgeClock(time.Now(), synced || x.exists("run/systemd/timesync/synchronized"))
	if errors.Is(err, unix.EPERM) && checks[0].Level == ctl.LevelWarning { // as in a unit with ProtectClock=
		return one("clock", "Clock", ctl.LevelOK, "", "it is %s here; whether something keeps the clock right may not be asked from here", time.Now().UTC().Format("2006-01-02 15:04 UTC"))
	}
	return checks
}

func judgeClock(t time.Time, synced bool) []ctl.Check {
	const key, title = "clock", "Clock"
	switch {
	case t.Year() < firstYear || t.Year() > firstYear+50:
		return one(key, title, ctl.LevelProblem, "timedatectl set-ntp true", "it is %s here, which cannot be: Steam refuses connections", t.UTC().Format("2006-01-02 15:04 UTC"))
	case !synced:
		return one(key, title, ctl.LevelWarning, "timedatectl set-ntp true", "it is %s here, and nothing keeps the clock right", t.UTC().Format("2006-01-02 15:04 UTC"))
	}
	return one(key, title, ctl.LevelOK, "", "it is %s here, and the clock is kept right", t.UTC().Format("2006-01-02 15:04 UTC"))
}

func (x *examiner) temporary() []ctl.Check {
	const key, title = "tmp", "Temporary files"
	dir := os.TempDir()
	f, err := os.CreateTemp(dir, "l4d2ctl-doctor-")
	if err != nil {
		return one(key, title, ctl.LevelProblem, "chmod 1777 "+quote(dir), "cannot be made in %s: %v", dir, err)
	}
	_, err = f.WriteString("x")
	err = errors.Join(err, f.Close(), os.Remove(f.Name()))
	if err != nil {
		return one(key, title, ctl.LevelProblem, "df -h "+quote(dir), "cannot be written in %s: %v", dir, err)
	}
	return one(key, title, ctl.LevelOK, "", "can be made in %s", dir)
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

func statOf(info os.FileInfo) *syscall.Stat_t {
	st, _ := info.Sys().(*syscall.Stat_t) // nil on no Linux we know
	return st
}

// quote makes one word of a shell's command line of s.
func quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
