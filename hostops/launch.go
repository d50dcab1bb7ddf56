package hostops

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
)

const (
	defaultMap = "c1m1_hotel"
	stopGrace  = 15 * time.Second // what a loaded game needs to end after SIGINT
)

// restartPolicy gives up on a game that ends again and again. A server with a
// bad add-on dies within seconds of its start; one that runs for hours and dies
// now and then is always started again.
var restartPolicy = supervisor.RestartPolicy{Limit: 4, Window: 5 * time.Minute, Delay: 2 * time.Second}

// plan computes everything that start does, without doing it. layer is the
// generated topmost layer relative to the state root.
func plan(root, name string, s ctl.Spec, layer string, at time.Time) supervisor.Launch {
	argv := arguments(s)
	layers := []string{layer}
	for _, ref := range s.Overlays {
		layers = append(layers, path.Join(dirOverlays, ref))
	}
	return supervisor.Launch{
		Name:      name,
		Layers:    append(layers, dirInstallation),
		Argv:      argv,
		Env:       gameEnv(root),
		Visible:   []string{dirSteam + "/.steam", dirSteam + "/linux32"},
		Restart:   restartPolicy,
		StopGrace: stopGrace,
		Applied: ctl.Applied{
			Spec:     s.Sum(),
			Overlays: slices.Clone(s.Overlays),
			Argv:     argv,
			Layer:    layer,
			At:       at,
		},
	}
}

// arguments is the game's argv. It listens on all addresses because otherwise
// RCON binds only the primary one, where nobody of ours would look.
func arguments(s ctl.Spec) []string {
	argv := []string{
		"srcds_linux", "-game", "left4dead2", "-console", "-usercon", "-strictportbind",
		"+ip", "0.0.0.0", "-port", strconv.Itoa(s.Port),
	}
	argv = append(argv, s.Arguments...)
	if !slices.ContainsFunc(s.Arguments, namesMap) {
		argv = append(argv, "+map", defaultMap)
	}
	return argv
}

// namesMap reports whether an argument chooses a map: "+map", alone or with its
// value in one string.
func namesMap(arg string) bool {
	first, _, _ := strings.Cut(strings.TrimSpace(arg), " ")
	return strings.EqualFold(first, "+map")
}

// gameEnv is the game's whole environment. HOME is where it looks for
// .steam/sdk32/steamclient.so; a proxy variable would put the proxy's address
// into Steam's server list.
func gameEnv(root string) []string {
	return []string{
		"HOME=" + path.Join(root, dirSteam),
		"LD_LIBRARY_PATH=.:bin",
		"PATH=/usr/local/bin:/usr/bin:/bin",
		"LANG=C.UTF-8",
		"TERM=dumb",
	}
}
