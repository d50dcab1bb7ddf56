package hostops

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/steam"
)

// Game says what is installed. Reading it never fails: what is there and cannot
// be used has a message that says why; where nothing is there is none.
func (h *Host) Game() ctl.Game {
	dir := h.path(dirInstallation)
	known := steam.Recall(h.path(dirSteam))
	g := ctl.Game{Latest: known.Latest, Checked: known.Checked, Method: string(known.Method)}
	m, manifestErr := steam.ReadManifest(dir)
	if err := steam.Installed(dir); err != nil {
		g.Changing = steam.Changing(dir)
		if !errors.Is(manifestErr, fs.ErrNotExist) && !m.Seeded() {
			g.Message = err.Error()
		}
		return g
	}
	g.Installed = true
	if manifestErr == nil {
		g.Build, g.Size = strconv.FormatInt(m.BuildID, 10), m.SizeOnDisk
		g.Updated = m.LastUpdated
	}
	g.Version = patchVersion(h.path(dirInstallation, "left4dead2", "steam.inf"))
	return g
}

// CheckGame asks Steam for the newest build and says what is installed beside it.
// Servers may run meanwhile. When Steam does not answer, the game is what is known
// without it.
func (h *Host) CheckGame(ctx context.Context, stderr io.Writer) (ctl.Game, error) {
	h.phase("check", "Asking Steam for the newest build")
	_, err := steam.LatestBuild(ctx, h.steamOptions(stderr))
	g := h.Game()
	if err == nil {
		h.Emit(ctl.Event{Type: ctl.EventGame, At: now(), Game: &g})
	}
	return g, h.diskError(err)
}

// patchVersion reads PatchVersion=2.2.4.3 from steam.inf; "" when it is not there.
func patchVersion(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close() // read only; nothing can be lost
	lines := bufio.NewScanner(f)
	for n := 0; lines.Scan() && n < 100; n++ {
		if v, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "PatchVersion="); ok && len(v) <= 32 {
			return v
		}
	}
	return ""
}

// gameWatch tells what is installed: now, when it changes, and as a sign of life.
type gameWatch struct {
	told   ctl.Game
	toldAt time.Time
}

func (w *gameWatch) look(h *Host) {
	if time.Since(w.toldAt) < watchQuery {
		return // it changes once a month
	}
	g := h.Game()
	if reflect.DeepEqual(g, w.told) && time.Since(w.toldAt) < watchBeat {
		return
	}
	w.told, w.toldAt = g, time.Now()
	h.Emit(ctl.Event{Type: ctl.EventGame, At: now(), Game: &g})
}
