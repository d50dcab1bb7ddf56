package hostops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/steam"
)

// steamPause is how long Steam gets between tries to have the game's description
// at hand.
const steamPause = 2 * time.Second

// Install installs the game, or brings it up to date. It refuses while any server
// has the game's files mounted. steamcmd's standard error goes to stderr, unchanged
// but for secrets.
func (h *Host) Install(ctx context.Context, method steam.Method, stderr io.Writer) (notices []string, err error) {
	if err := os.MkdirAll(h.Root, 0o755); err != nil {
		return nil, h.diskError(err)
	}
	// A start holds it shared until the game has its mount, and is running then.
	release, err := h.lock(ctx, lockGame, "the game", exclusive)
	if err != nil {
		return nil, err
	}
	defer release()
	h.phase("check", "Looking at what is there")
	if err := h.refuseWhileRunning(ctx); err != nil {
		return nil, err
	}
	o := h.steamOptions(stderr)
	o.Dir, o.Method = h.path(dirInstallation), method
	notices, err = steam.Install(ctx, o)
	game := h.Game() // in whatever state it was left
	h.Emit(ctl.Event{Type: ctl.EventGame, At: now(), Game: &game})
	if err != nil {
		return notices, h.diskError(err)
	}
	h.say("The game is installed and up to date.")
	return notices, nil
}

func (h *Host) steamOptions(stderr io.Writer) steam.Options {
	return steam.Options{
		Steamcmd: h.Steamcmd, Home: h.path(dirSteam), Emit: h.Emit, Stderr: stderr,
		Verb: h.Verb, Wait: h.Wait, Pause: steamPause,
	}
}

// SteamLogin keeps the Steam account that installs may use. What steamcmd could
// not be told is ctl.ErrUsage.
func (h *Host) SteamLogin(l steam.Login) error {
	if err := os.MkdirAll(h.path(dirSteam), 0o755); err != nil {
		return h.diskError(err)
	}
	return h.diskError(steam.SaveLogin(h.path(dirSteam), l))
}

// SteamLogout forgets that account. None is success.
func (h *Host) SteamLogout() error { return h.diskError(steam.ForgetLogin(h.path(dirSteam))) }

// refuseWhileRunning names the servers that have the installation mounted.
func (h *Host) refuseWhileRunning(ctx context.Context) error {
	names, err := h.known()
	if err != nil {
		return err
	}
	mounted, err := h.mounted()
	if err != nil {
		return err
	}
	var running []string
	for _, name := range names {
		inst, err := h.Supervisor.Status(ctx, name)
		if err != nil {
			return err
		}
		if up(inst) {
			running = append(running, name)
		}
	}
	left := slices.DeleteFunc(mounted, func(name string) bool { return slices.Contains(running, name) })
	switch {
	case len(running) == 1:
		return fail(ctl.ErrInUse, "the game is in use: server %s is running. Stop it first", running[0])
	case len(running) > 1:
		return fail(ctl.ErrInUse, "the game is in use: the servers %s are running. Stop them first", strings.Join(running, ", "))
	case len(left) > 0:
		return fail(ctl.ErrInUse, "the game is in use: it is still mounted for %s, though no game runs there. Stop that server, which takes the mount down", strings.Join(left, ", "))
	}
	return nil
}

// mounted names the instances whose files the host has mounted, whatever their
// supervisor says. The mount table is the only record of that.
func (h *Host) mounted() ([]string, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read the mount table: %w", err)
	}
	root, err := filepath.EvalSymlinks(h.Root)
	if err != nil {
		return nil, fmt.Errorf("find the state root: %w", err)
	}
	return mountedBelow(string(table), filepath.Join(root, "runtime")), nil
}

// mountedBelow reads lines such as
//
//	36 35 0:52 / /var/lib/left4me/runtime/friday/merged rw shared:1 - overlay left4me:friday:3f2a rw,lowerdir+=…
func mountedBelow(table, runtime string) []string {
	// The table writes blanks and backslashes in octal.
	escape := strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`)
	var names []string
	for line := range strings.Lines(table) {
		place, kind, found := strings.Cut(line, " - ")
		fields, source := strings.Fields(place), strings.Fields(kind)
		if !found || len(fields) < 5 || len(source) < 2 || !strings.HasPrefix(source[1], "left4me:") {
			continue
		}
		rest, below := strings.CutPrefix(fields[4], escape.Replace(runtime)+"/")
		name, _, _ := strings.Cut(rest, "/")
		if below && ctl.CheckName(name) == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// known lists every name that has a spec or anything at run time: a server whose
// spec was lost may still run.
func (h *Host) known() ([]string, error) {
	names, err := h.names()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(h.path("runtime"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() && ctl.CheckName(e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
