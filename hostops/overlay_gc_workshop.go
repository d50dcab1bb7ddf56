package hostops

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/workshop"
)

// itemStamp is the name of a version's folder in the workshop store.
var itemStamp = regexp.MustCompile(`\A[0-9]{1,19}-[0-9a-f]{8}\z`)

// collectWorkshop removes versions of workshop items that are older than age, that
// no overlay links (so the file has no other name) and that are not the newest of
// their item. It returns how many, and the bytes they had.
func (h *Host) collectWorkshop(ctx context.Context, age time.Duration) (n int, freed int64, err error) {
	items, err := os.ReadDir(h.path(dirWorkshop))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("list the workshop items: %w", err)
	}
	for _, item := range items {
		if ctx.Err() != nil {
			return n, freed, context.Cause(ctx)
		}
		if !item.IsDir() || !ctl.IsWorkshopID(item.Name()) {
			continue
		}
		gone, bytes, err := h.collectItem(item.Name(), now().Add(-age))
		n, freed = n+gone, freed+bytes
		if err != nil {
			return n, freed, fmt.Errorf("remove old versions of item %s: %w", item.Name(), err)
		}
	}
	return n, freed, nil
}

func (h *Host) collectItem(id string, before time.Time) (n int, freed int64, err error) {
	store := &workshop.Store{Dir: h.path(dirWorkshop)}
	newest, err := store.Newest(id)
	if errors.Is(err, workshop.ErrNotStored) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	folder, err := os.OpenRoot(h.path(dirWorkshop, id))
	if err != nil {
		return 0, 0, err
	}
	defer folder.Close() // read only; nothing can be lost
	stamps, err := os.ReadDir(h.path(dirWorkshop, id))
	if err != nil {
		return 0, 0, err
	}
	for _, stamp := range stamps {
		info, err := stamp.Info()
		if err != nil || !info.IsDir() || !itemStamp.MatchString(stamp.Name()) || stamp.Name() == newest.Stamp || !info.ModTime().Before(before) {
			continue
		}
		var st unix.Stat_t
		switch err := unix.Lstat(filepath.Join(h.path(dirWorkshop, id), stamp.Name(), id+".vpk"), &st); {
		case errors.Is(err, fs.ErrNotExist): // a removal that was interrupted
		case err != nil:
			return n, freed, err
		case st.Nlink > 1:
			continue
		}
		if err := folder.RemoveAll(stamp.Name()); err != nil {
			return n, freed, err
		}
		n, freed = n+1, freed+st.Size
	}
	return n, freed, nil
}
