package hostops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/workshop"
)

// addonsPath is where the engine mounts every *.vpk from; those in folders below
// it are not loaded by a server.
const addonsPath = "left4dead2/addons"

// buildWorkshop makes a version of workshop items: links to the files of the store
// as left4dead2/addons/ITEM.vpk. Collections are followed as they were listed when
// Steam was last asked. What is not in the store, or refused by the gate, is left
// out with a finding.
func buildWorkshop(h *Host, ctx context.Context, b *build) error {
	if b.spec.Fetch {
		if err := h.fetchFirst(ctx, b); err != nil {
			return err
		}
	}
	h.phase("link", "Linking the workshop items")
	w := &itemLinker{h: h, b: b, store: h.workshopStore(), seen: map[string]bool{}}
	for _, id := range b.spec.Items {
		if err := w.add(ctx, id, 1); err != nil {
			return err
		}
	}
	if len(b.spec.Items) > 0 && len(b.report.Items) == 0 {
		return fail(ctl.ErrContent, "none of the items can be put into the overlay. %s", w.first)
	}
	return nil
}

// fetchFirst asks Steam. While it does not answer, what the store has will do.
func (h *Host) fetchFirst(ctx context.Context, b *build) error {
	_, err := h.WorkshopFetch(ctx, b.spec.Items, io.Discard)
	if err == nil || ctx.Err() == nil && (errors.Is(err, ctl.ErrSteam) || errors.Is(err, ctl.ErrSteamRetry)) {
		if err != nil {
			h.say("%s The overlay is built of what the store has.", err)
		}
		return nil
	}
	return err
}

// maxNesting is how deep collections of collections are followed, as when they are
// fetched.
const maxNesting = 8

// itemLinker puts items into a version, none twice.
type itemLinker struct {
	h     *Host
	b     *build
	store *workshop.Store
	seen  map[string]bool
	first string // the first reason why an item is left out
}

// add puts an item, or what a collection lists, into the version.
func (w *itemLinker) add(ctx context.Context, id string, depth int) error {
	if w.seen[id] {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w.seen[id] = true
	if len(w.seen) > ctl.MaxWorkshopItems {
		return fail(ctl.ErrContent, "the overlay comes to more than %d workshop items and collections: make it smaller", ctl.MaxWorkshopItems)
	}
	known, err := w.store.Item(id)
	if err != nil && !errors.Is(err, workshop.ErrNotStored) {
		return err
	}
	if known.State != ctl.ItemCollection {
		return w.link(id, known)
	}
	if depth > maxNesting {
		w.leaveOut(id, "workshop.nested", fmt.Sprintf("The collection %s lies more than %d collections deep: list it in the overlay itself.", itemName(id, known.Title), maxNesting))
		return nil
	}
	for _, child := range known.Children {
		if err := w.add(ctx, child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *itemLinker) link(id string, known ctl.Item) error {
	v, err := w.store.Newest(id)
	if errors.Is(err, workshop.ErrNotStored) {
		w.leaveOut(id, "workshop.missing", missingItem(id, known))
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range v.Findings {
		if f.Verdict == ctl.VerdictRefused && !slices.Contains(w.b.spec.Admit, f.SHA256) {
			f.Item = id
			w.note(f)
			return nil
		}
	}
	file, err := os.OpenFile(w.store.File(id, v.Stamp), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open workshop item %s: %w", id, err)
	}
	defer file.Close() // read only; nothing can be lost
	path := addonsPath + "/" + id + ".vpk"
	if err := w.b.stage.Link(file, path, v.SHA256); err != nil {
		return fmt.Errorf("link workshop item %s: %w", id, err)
	}
	w.b.report.Items = append(w.b.report.Items, ctl.VersionItem{ID: id, Title: v.Title, Stamp: v.Stamp, Path: path, Size: v.Size})
	if known.State == ctl.ItemGone {
		w.note(ctl.Finding{
			Path: path, Verdict: ctl.VerdictWarning, Code: "workshop.gone", Item: id,
			Sentence: fmt.Sprintf("Steam has no workshop item %s any more: the overlay keeps what is stored, and players who do not have it cannot get it there.", itemName(id, v.Title)),
		})
	}
	return nil
}

// missingItem says why an item is not in the store, and what to do.
func missingItem(id string, known ctl.Item) string {
	if known.Message != "" {
		return fmt.Sprintf("The workshop item %s is not in the store. %s", itemName(id, known.Title), known.Message)
	}
	return fmt.Sprintf("The workshop item %s is not in the store: fetch it first, with l4d2ctl workshop fetch %s.", itemName(id, known.Title), id)
}

// leaveOut notes an item that is not in the version.
func (w *itemLinker) leaveOut(id, code, sentence string) {
	w.note(ctl.Finding{Verdict: ctl.VerdictWarning, Code: code, Sentence: sentence, Item: id})
}

// note adds a finding. The first one is the reason when nothing can be linked.
func (w *itemLinker) note(f ctl.Finding) {
	if w.first == "" {
		w.first = f.Sentence
	}
	w.b.report.Findings = append(w.b.report.Findings, f)
}

func itemName(id, title string) string {
	if title == "" {
		return id
	}
	return fmt.Sprintf("%s (%s)", title, id)
}
