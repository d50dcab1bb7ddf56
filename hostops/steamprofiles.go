package hostops

import (
	"context"

	"left4me/hostops/ctl"
	"left4me/hostops/profiles"
)

// SteamProfiles asks Steam for players' names and pictures, and emits each. The
// pictures are kept in avatars/. The key is the caller's and is stored nowhere.
func (h *Host) SteamProfiles(ctx context.Context, key string, ids []string) error {
	return h.diskError(profiles.Fetch(ctx, key, ids, profiles.Options{
		API: h.SteamAPI, Hosts: h.WorkshopHosts, Dir: h.path(dirAvatars), Say: h.say,
		Each: func(p ctl.Profile) { h.Emit(ctl.Event{Type: ctl.EventProfile, At: now(), Profile: &p}) },
	}))
}
