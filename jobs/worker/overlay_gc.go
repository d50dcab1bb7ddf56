package worker

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/models"
)

// uploadsKept is how long an upload that no draft holds may lie still.
const uploadsKept = 7 * 24 * time.Hour

// collectOverlays tells the host what is still needed, a line each, and has it
// remove what is not: versions, workshop items, and the bytes of uploads that no
// row knows. The host keeps by itself what its servers' definitions name and what
// is an hour young.
//
//	uploads
//	pin 12/v3
//	upload 0192f0c1-…
//
// "uploads" says that all of them are listed, also when there are none.
func collectOverlays(ctx context.Context, a *attempt) error {
	forgotten, err := models.DeleteStaleUploads(ctx, a.w.DB, models.Now().Add(-uploadsKept))
	if err != nil {
		return err
	}
	if forgotten > 0 {
		a.addNotices([]string{fmt.Sprintf("%d uploads that nothing arrived for in a week were dropped.", forgotten)})
	}
	pins, err := models.PinnedVersions(ctx, a.w.DB)
	if err != nil {
		return err
	}
	uploads, err := models.UploadIDs(ctx, a.w.DB)
	if err != nil {
		return err
	}
	var needed strings.Builder
	needed.WriteString("uploads\n")
	for _, ref := range pins {
		needed.WriteString("pin " + ref + "\n")
	}
	for _, id := range uploads {
		needed.WriteString("upload " + id + "\n")
	}
	return a.ctlCollected(ctx, []byte(needed.String()), "overlay", "gc", "--pins-from", "-")
}

// learnCollected asks the host which versions of the overlays it has collected: an
// operator may have had it do so with l4d2ctl, of which no row knows.
func (a *attempt) learnCollected(ctx context.Context, overlays []models.Overlay) error {
	for _, o := range overlays {
		if err := a.ctlCollected(ctx, nil, "overlay", "list", strconv.FormatInt(o.ID, 10)); err != nil {
			return err
		}
	}
	return nil
}

// ctlCollected runs l4d2ctl and notes each version that it says was collected.
func (a *attempt) ctlCollected(ctx context.Context, input []byte, args ...string) error {
	collected := map[int64]bool{}
	a.hear = func(e ctl.Event) error {
		v := e.Version
		if e.Type != ctl.EventVersion || v == nil || !v.Collected {
			return nil
		}
		collected[v.Overlay] = true
		return a.persist(ctx, "that a version was collected", func(ctx context.Context) error {
			return a.w.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				return models.VersionCollected(ctx, tx, v.Overlay, v.Number)
			})
		})
	}
	err := a.ctl(ctx, input, args...)
	a.hear = nil
	for id := range collected {
		a.tellOverlay(ctx, id)
	}
	return err
}
