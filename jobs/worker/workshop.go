package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
)

// What the host bounds an overlay's collections by as well: how deep they are
// followed, and how much they may come to.
const (
	maxNesting = 8
	maxUsable  = ctl.MaxWorkshopItems
)

// downloadWorkshop fetches what the overlay asks for. The host's answers become
// rows as they come; at the end the overlay is built again if its next version
// would not hold the same as the present one. Items that cannot be had stop neither
// the others nor the build.
func downloadWorkshop(ctx context.Context, a *attempt) error {
	o, _, err := a.overlay(ctx)
	if err != nil {
		return err
	}
	if o.Kind != models.OverlayWorkshop {
		return &failure{code: 65, message: "Only overlays of workshop items can fetch from the workshop."}
	}
	ids, err := models.OverlayItemIDs(ctx, a.w.DB, o.ID)
	if err != nil {
		return err
	}
	return a.fetch(ctx, ids, []models.Overlay{*o}, func(models.Overlay) error { return nil })
}

// refreshOverlays asks Steam about every item that an overlay of anybody's asks
// for, and has those overlays built again whose items changed. What changed, for
// whom, and when it takes effect are the job's notices.
func refreshOverlays(ctx context.Context, a *attempt) error {
	overlays, err := models.OverlaysOfKind(ctx, a.w.DB, models.OverlayWorkshop)
	if err != nil {
		return err
	}
	all, seen := []string{}, map[string]bool{}
	for _, o := range overlays {
		ids, err := models.OverlayItemIDs(ctx, a.w.DB, o.ID)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if !seen[id] {
				seen[id] = true
				all = append(all, id)
			}
		}
	}
	return a.fetch(ctx, all, overlays, func(o models.Overlay) error {
		notice, err := a.changeNotice(ctx, o)
		a.addNotices([]string{notice})
		return err
	})
}

// fetch has the host bring items for overlays and asks for builds of those that
// would get something else than they have: together with the job's success, or, if
// this was the last attempt and some items could still not be had, before it fails.
func (a *attempt) fetch(ctx context.Context, ids []string, overlays []models.Overlay, changed func(models.Overlay) error) error {
	by, err := a.asker(ctx)
	if err != nil {
		return err
	}
	a.hear = a.items(ctx, overlays)
	failed := a.fetchItems(ctx, ids)
	if failed != nil && !a.last(failed) {
		return failed
	}
	var builds []jobs.BuildOverlay
	for _, o := range overlays {
		differs, err := itemsDiffer(ctx, a.w.DB, o.ID)
		if err != nil {
			return err
		}
		if differs {
			builds = append(builds, jobs.BuildOverlay{OverlayID: o.ID, Why: "The workshop items changed."})
			if err := changed(o); err != nil {
				return err
			}
		}
	}
	next := func(ctx context.Context, tx bun.Tx) (list []jobs.Args, err error) {
		for _, b := range builds {
			_, err := models.OverlayByID(ctx, tx, b.OverlayID)
			switch {
			case err == nil:
				list = append(list, b)
			case !errors.Is(err, models.ErrNotFound): // deleted meanwhile
				return nil, err
			}
		}
		return list, nil
	}
	if failed != nil {
		if _, err := a.w.queue.EnqueueWith(ctx, by, next); err != nil {
			return err
		}
		return failed
	}
	a.follow(by, next)
	then := a.afterEnd
	a.afterEnd = func(ctx context.Context) {
		then(ctx)
		for _, o := range overlays {
			a.tellOverlay(ctx, o.ID)
		}
	}
	return nil
}

// last says whether nothing is tried again after this failure.
func (a *attempt) last(err error) bool {
	var f *failure
	return errors.As(err, &f) && !a.waits(f) && (!f.retry || a.job.Attempt >= a.job.MaxAttempts)
}

// fetchItems runs `workshop fetch` for ids, if there are any.
func (a *attempt) fetchItems(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	return a.ctl(ctx, []byte(strings.Join(ids, "\n")+"\n"), "workshop", "fetch", "-f", "-")
}

// follow has the jobs of next recorded in the transaction of this job's success,
// and announced after it.
func (a *attempt) follow(by models.Actor, next func(context.Context, bun.Tx) ([]jobs.Args, error)) {
	var announce func(context.Context)
	a.atEnd = func(ctx context.Context, tx bun.Tx) error {
		list, err := next(ctx, tx)
		if err != nil {
			return err
		}
		announce, err = a.w.queue.EnqueueIn(ctx, tx, by, list...)
		return err
	}
	a.afterEnd = func(ctx context.Context) { announce(ctx) }
}

// items stores what the host says of workshop items and tells the pages of the
// given overlays, at most as often as progress is told.
func (a *attempt) items(ctx context.Context, overlays []models.Overlay) func(ctl.Event) error {
	m := jobs.Message{Change: true}
	for _, o := range overlays {
		m.Topics = append(m.Topics, jobs.TopicOverlay(o.ID))
	}
	told := a.w.now()
	return func(e ctl.Event) error {
		if e.Type != ctl.EventItem || e.Item == nil {
			return nil
		}
		err := a.saveItem(ctx, *e.Item)
		if now := a.w.now(); now.Sub(told) >= progressMin {
			told = now
			a.w.publish(m)
		}
		return err
	}
}

// saveItem stores one item. Like a line of the log it is tried until the database
// answers or the attempt is over: meanwhile l4d2ctl is held back by its full pipe.
func (a *attempt) saveItem(ctx context.Context, item ctl.Item) error {
	item.Changed = false // true of this run only
	report, err := json.Marshal(item)
	if err != nil {
		return fmt.Errorf("encode workshop item %s: %w", item.ID, err)
	}
	row := &models.WorkshopItem{ID: item.ID, State: string(item.State), Title: item.Title, Stamp: item.Stamp, Report: report}
	return a.persist(ctx, "workshop item "+item.ID, func(ctx context.Context) error { return models.SaveWorkshopItem(ctx, a.w.DB, row) })
}

// itemsDiffer says whether the overlay's next version would hold other items, or
// others of their versions, than the present one.
func itemsDiffer(ctx context.Context, db bun.IDB, overlayID int64) (bool, error) {
	next, err := usableItems(ctx, db, overlayID)
	if err != nil {
		return false, err
	}
	have, err := currentItems(ctx, db, overlayID)
	if err != nil {
		return false, err
	}
	if have == nil {
		return len(next) > 0, nil
	}
	return !maps.Equal(next, have), nil
}

// currentItems are the stamps of what the current version holds, by item; nil when
// nothing was built yet.
func currentItems(ctx context.Context, db bun.IDB, overlayID int64) (map[string]string, error) {
	versions, err := models.CurrentVersions(ctx, db, []int64{overlayID})
	if err != nil || versions[overlayID] == nil {
		return nil, err
	}
	var report ctl.Version
	if err := json.Unmarshal(versions[overlayID].Report, &report); err != nil {
		return nil, fmt.Errorf("read version %d of overlay %d: %w", versions[overlayID].Number, overlayID, err)
	}
	stamps := make(map[string]string, len(report.Items))
	for _, i := range report.Items {
		stamps[i.ID] = i.Stamp
	}
	return stamps, nil
}

// usableItems are the stamps of what the host could put into the overlay's next
// version, by item: collections are expanded, however they are nested, and files
// that the gate refuses are left out unless an administrator let them in.
func usableItems(ctx context.Context, db bun.IDB, overlayID int64) (map[string]string, error) {
	admitted, err := models.AdmittedFiles(ctx, db, overlayID)
	if err != nil {
		return nil, err
	}
	ask, err := models.OverlayItemIDs(ctx, db, overlayID)
	if err != nil {
		return nil, err
	}
	usable, looked := map[string]string{}, 0
	// None is asked for twice: collections of strangers may all list each other.
	queued := make(map[string]bool, len(ask))
	for _, id := range ask {
		queued[id] = true
	}
	for depth := 0; len(ask) > 0 && depth <= maxNesting && looked <= maxUsable; depth++ {
		known, err := models.WorkshopItems(ctx, db, ask)
		if err != nil {
			return nil, err
		}
		looked += len(known)
		var deeper []string
		for _, id := range ask {
			row := known[id]
			if row == nil {
				continue
			}
			var item ctl.Item
			if err := json.Unmarshal(row.Report, &item); err != nil {
				return nil, fmt.Errorf("read workshop item %s: %w", id, err)
			}
			if item.State != ctl.ItemCollection {
				if row.Stamp != "" && !refused(item, admitted) {
					usable[id] = row.Stamp
				}
				continue
			}
			for _, child := range item.Children {
				if !queued[child] {
					queued[child] = true
					deeper = append(deeper, child)
				}
			}
		}
		ask = deeper
	}
	return usable, nil
}

// refused says whether the gate keeps an item's file out of this overlay.
func refused(item ctl.Item, admitted []models.AdmittedFile) bool {
	return slices.ContainsFunc(item.Findings, func(f ctl.Finding) bool {
		return f.Verdict == ctl.VerdictRefused && !slices.ContainsFunc(admitted, func(a models.AdmittedFile) bool { return a.SHA256 == f.SHA256 })
	})
}

// changeNotice is one sentence about an overlay whose items changed.
func (a *attempt) changeNotice(ctx context.Context, o models.Overlay) (string, error) {
	next, err := usableItems(ctx, a.w.DB, o.ID)
	if err != nil {
		return "", err
	}
	have, err := currentItems(ctx, a.w.DB, o.ID)
	if err != nil {
		return "", err
	}
	var ids []string
	for id, stamp := range next {
		if have[id] != stamp {
			ids = append(ids, id)
		}
	}
	for id := range have {
		if next[id] == "" {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	rows, err := models.WorkshopItems(ctx, a.w.DB, ids)
	if err != nil {
		return "", err
	}
	titles := make([]string, len(ids))
	for i, id := range ids {
		titles[i] = id
		if r := rows[id]; r != nil && r.Title != "" {
			titles[i] = fmt.Sprintf("“%s” (%s)", r.Title, id)
		}
	}
	servers, err := models.OverlayServers(ctx, a.w.DB, o.ID)
	if err != nil {
		return "", err
	}
	effect := "No server uses it."
	if len(servers) > 0 {
		names := make([]string, len(servers))
		for i, s := range servers {
			names[i] = s.Name
		}
		effect = "It takes effect at the next start of " + enumerate(names) + "."
	}
	return fmt.Sprintf("The overlay “%s” is built again because %s changed. %s", o.Name, enumerate(titles), effect), nil
}

// enumerate writes at most five names and counts the rest.
func enumerate(names []string) string {
	const most = 5
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}
