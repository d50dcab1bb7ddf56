package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"left4me/hostops"
	"left4me/hostops/ctl"
	"left4me/hostops/fetch"
	"left4me/hostops/sandbox"
	"left4me/hostops/supervisor"
)

// prepare checks the global flags, gives root up where that is due, and makes the
// host that the command works on.
func prepare(c *cli, env *environment, parsed *kong.Context) error {
	verb := parsed.Selected().Name
	if slices.Contains([]string{"version", "completion", "man"}, verb) || strings.HasPrefix(parsed.Command(), "vpk ") || verb == "install" && c.Install.Replay != "" { // they look at no host
		return nil
	}
	root, err := filepath.Abs(c.Root)
	if err != nil {
		return fmt.Errorf("--root %s: %w: %w", c.Root, err, ctl.ErrUsage)
	}
	if strings.ContainsAny(root, ":\n") {
		// The mount's options and the game's library path are lists with colons.
		return fmt.Errorf("--root %q: a state root may not have a colon or line break in its path: %w", root, ctl.ErrUsage)
	}
	steamcmd := c.Steamcmd
	if steamcmd == "" {
		steamcmd = filepath.Join(root, "steam", "steamcmd.sh")
	}
	if steamcmd, err = filepath.Abs(steamcmd); err != nil {
		return fmt.Errorf("--steamcmd %s: %w: %w", c.Steamcmd, err, ctl.ErrUsage)
	}
	underSystemd, err := underSystemd(c.Supervisor, root)
	if err != nil {
		return err
	}
	// Names are only listed, and a shell asks for them at every press of a key.
	if !c.Status.Names {
		if err := dropRoot(c, root, steamcmd, verb, underSystemd); err != nil {
			return err
		}
	}
	dialer, err := scriptDialer(c.Mirror)
	if err != nil {
		return err
	}
	var keeper supervisor.Supervisor = &supervisor.Rootless{Root: root}
	var scripts sandbox.Runner = &sandbox.Rootless{Root: root, Dialer: dialer}
	if underSystemd {
		keeper = &supervisor.Systemd{Root: root}
		scripts = &sandbox.Systemd{Root: root, Dialer: dialer}
	}
	env.host = &hostops.Host{
		Root: root, Steamcmd: steamcmd, Wait: c.Wait, Verb: parsed.Selected().Path(), Emit: env.out.emit,
		Supervisor: keeper, Sandbox: scripts, SteamAPI: c.SteamAPI, WorkshopHosts: c.WorkshopHosts, Mirror: c.Mirror,
	}
	return nil
}

// scriptDialer is the net of the scripts: public addresses, and the mirror that
// the operator named.
func scriptDialer(mirror string) (*fetch.Dialer, error) {
	if mirror == "" {
		return &fetch.Dialer{}, nil
	}
	u, err := url.Parse(mirror)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("--mirror %s: it is not a URL such as https://mirror.example/left4me: %w", mirror, ctl.ErrUsage)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return &fetch.Dialer{Trusted: []string{net.JoinHostPort(u.Hostname(), port)}}, nil
}

// sentence is an error for people with the class that decides the exit code.
type sentence struct {
	text string
	kind error
}

func (s sentence) Error() string { return s.text }
func (s sentence) Unwrap() error { return s.kind }

// unitPlaces are where the unit of servers may lie, in systemd's order.
var unitPlaces = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"}

// underSystemd says who keeps the servers of this state root: systemd where it
// runs this host, has left4me's units, and they are about this root.
func underSystemd(wanted, root string) (bool, error) {
	if wanted == "rootless" {
		return false, nil
	}
	why := ""
	switch {
	case root != unitRoot:
		why = fmt.Sprintf("the units only know %s, not %s", unitRoot, root)
	case !exists("/run/systemd/system"):
		why = "systemd does not run this host"
	case !slices.ContainsFunc(unitPlaces, func(dir string) bool { return exists(filepath.Join(dir, "left4me-server@.service")) }):
		why = "left4me's units are not installed"
	}
	if why != "" && wanted == "systemd" {
		return false, sentence{"servers cannot be run by systemd here: " + why + "; use --supervisor rootless", ctl.ErrNotInstalled}
	}
	return why == "", nil
}

// unitRoot is the state root that the units are written for.
const unitRoot = "/var/lib/left4me"

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
