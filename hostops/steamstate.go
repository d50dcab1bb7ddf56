package hostops

import (
	"path/filepath"
	"slices"

	"left4me/hostops/ctl"
	"left4me/hostops/servercfg"
)

// lanReason says why a game is on the local network only; "" when nothing says
// that it is. Its own configuration is asked first.
func (h *Host) lanReason(applied *ctl.Applied, m markers) string {
	if applied == nil {
		return m.lan
	}
	if i := slices.Index(applied.Argv, "+sv_lan"); i >= 0 && i+1 < len(applied.Argv) && servercfg.IsOn(applied.Argv[i+1]) {
		return "its arguments set sv_lan 1"
	}
	if applied.Layer != "" {
		cfg, err := readLayer(h.path(filepath.FromSlash(applied.Layer)))
		if err == nil && servercfg.IsOn(cfg.Last("sv_lan")) {
			return "its config sets sv_lan 1"
		}
	}
	return m.lan
}

// sayReach puts into a status what the game's connection to Steam means.
func (h *Host) sayReach(st *ctl.Status, m markers) {
	if gradeOrder[m.grade] < gradeOrder[ctl.GradeRCON] || m.steam {
		return
	}
	if lan := h.lanReason(st.Applied, m); lan != "" {
		st.LAN = true
		st.Message = "LAN only: " + lan + "."
	} else if m.lost {
		st.Message = "The connection to Steam is lost; the server cannot be found until it is back."
	}
}
