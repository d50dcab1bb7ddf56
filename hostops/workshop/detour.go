package workshop

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/steam"
)

// detourItems is how many items one run of steamcmd fetches.
const detourItems = 20

// detourDir is where steamcmd puts them: on the store's file system, under a name
// that no item can have.
const detourDir = ".steamcmd"

// detour has steamcmd fetch what has no file that could be fetched directly. There
// is one steamcmd at a time in any case, so they come one run after another.
func (f *fetcher) detour(ctx context.Context, list []*item, end context.CancelCauseFunc) {
	if f.Steam.Steamcmd == "" {
		for _, it := range list {
			why := "Steam names no file for this item."
			if it.denied != nil {
				why = it.denied.Error()
			}
			f.settleFailure(ctx, it, final("%s steamcmd, which could get it, is not set up here.", why), end)
		}
		return
	}
	o := f.Steam
	o.Dir, o.Emit = filepath.Join(f.Store.Dir, detourDir), f.emit
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		end(diskFailure(err))
		return
	}
	for len(list) > 0 && ctx.Err() == nil {
		batch := list[:min(len(list), detourItems)]
		list = list[len(batch):]
		if err := f.detourBatch(ctx, o, batch, end); err != nil { // the next batch would fare no better
			for _, it := range append(batch, list...) {
				if it.State != ctl.ItemStored && it.State != ctl.ItemFailed {
					f.settleFailure(ctx, it, err, end)
				}
			}
			return
		}
	}
}

func (f *fetcher) detourBatch(ctx context.Context, o steam.Options, batch []*item, end context.CancelCauseFunc) error {
	byID := map[string]*item{}
	var ids []string
	for _, it := range batch {
		if it.denied != nil {
			f.say("%s: %s steamcmd is asked for it instead.", it.name(), it.denied)
		}
		byID[it.ID], ids = it, append(ids, it.ID)
	}
	f.say("steamcmd fetches %s that cannot be had from a file host.", count(len(ids), "workshop item"))
	stop := f.watchGrowth(filepath.Join(o.Dir, "steamapps", "workshop"))
	files, failed, err := steam.Items(ctx, o, ids)
	stop()
	for id, path := range files {
		if err := f.takeOver(ctx, byID[id], path); err != nil {
			f.settleFailure(ctx, byID[id], err, end)
		}
	}
	for id, why := range failed {
		f.settleFailure(ctx, byID[id], why, end)
	}
	return err
}

// watchGrowth counts what steamcmd writes, since it does not say how far it is.
func (f *fetcher) watchGrowth(dir string) (stop func()) {
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		begun, counted := steam.Allocated(dir), int64(0)
		for {
			select {
			case <-done:
				f.progress.add(-counted, 0) // whole files are counted when they are stored
				return
			case <-tick.C:
				grown := max(steam.Allocated(dir)-begun, 0)
				f.progress.add(grown-counted, 0)
				counted = grown
			}
		}
	})
	return func() { close(done); ended.Wait() }
}

// takeOver stores a file that steamcmd brought. Its size is what it is: Steam's
// figure is of another form of the item.
func (f *fetcher) takeOver(ctx context.Context, it *item, path string) error {
	release, err := f.Store.lock(ctx, it.ID, func() {})
	if err != nil {
		return err
	}
	defer release()
	f.Store.sweep(it.ID, "")
	part := f.Store.inItem(it.ID, it.stamp()+partSuffix)
	if err := os.Rename(path, part); err != nil {
		return diskFailure(err)
	}
	defer func() { _ = os.Remove(part) }() // published under another name by then, or of no use
	file, err := os.Open(part)
	if err != nil {
		return diskFailure(err)
	}
	defer file.Close() // read only; nothing can be lost
	info, err := file.Stat()
	if err != nil {
		return diskFailure(err)
	}
	if info.Size() > maxItemSize {
		return final("steamcmd brought %s, which no file of the game may have.", steam.Bytes(info.Size()))
	}
	f.progress.add(int64(it.detail.Size), 0)
	return f.accept(ctx, it, file, part, info.Size())
}
