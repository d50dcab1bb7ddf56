package hostops

import (
	"context"
	"io"

	"left4me/hostops/ctl"
	"left4me/hostops/gate"
	"left4me/hostops/workshop"
)

// WorkshopFetch brings workshop items, and what collections list, into the store.
// Each item is emitted. What steamcmd prints to its standard error, for items that
// only it can get, goes to stderr.
func (h *Host) WorkshopFetch(ctx context.Context, ids []string, stderr io.Writer) (workshop.Report, error) {
	r, err := workshop.Fetch(ctx, ids, h.workshopOptions(stderr))
	return r, h.diskError(err)
}

// WorkshopInfo asks Steam what workshop items and collections are, and what of them
// the store has. It changes nothing.
func (h *Host) WorkshopInfo(ctx context.Context, ids []string) (workshop.Report, error) {
	return workshop.Info(ctx, ids, h.workshopOptions(io.Discard))
}

func (h *Host) workshopStore() *workshop.Store {
	return &workshop.Store{Dir: h.path(dirWorkshop)}
}

func (h *Host) workshopOptions(stderr io.Writer) workshop.Options {
	return workshop.Options{
		Store: h.workshopStore(), API: h.SteamAPI, Hosts: h.WorkshopHosts, Emit: h.Emit,
		Examine: examineItem, Steam: h.steamOptions(stderr),
	}
}

// examineItem has the gate look at the file of an item as an overlay will have it.
func examineItem(ctx context.Context, name string, file io.ReaderAt, size int64) ([]ctl.Finding, []ctl.Campaign, error) {
	seen, err := gate.CheckFile(ctx, addonsPath+"/"+name, file, size, nil)
	return seen.Findings, seen.Campaigns, err
}
