package workshop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"left4me/hostops/ctl"
	"left4me/hostops/fetch"
)

// maxDepth is how deep collections may list collections; people make two levels.
const maxDepth = 8

// item is one item or collection of a run.
type item struct {
	ctl.Item
	detail *detail // what Steam says; nil when it does not
	url    string  // where its file is
	direct bool    // whether it can be fetched from there
	denied error   // why it cannot be, after all
	again  bool    // its failure may go away by itself
	kept   bool    // a collection that Steam does not list: its children are those of the last time
}

func (it *item) stamp() string { return stampOf(*it.detail) }

// fail says why an item cannot be had.
func (it *item) fail(err error) {
	it.State, it.Message, it.again = ctl.ItemFailed, err.Error(), retryable(err)
}

// have takes over what is in the store.
func (it *item) have(v Stored) {
	it.Stamp, it.Findings, it.Campaigns = v.Stamp, v.Findings, v.Campaigns
}

// resolve finds out what the ids are and follows collections: each before what it
// lists, none twice, however they list each other.
func (f *fetcher) resolve(ctx context.Context, ids []string) ([]*item, error) {
	f.emit(ctl.Event{Type: ctl.EventPhase, Phase: &ctl.Phase{Key: "workshop.ask", Title: "Asking Steam about " + count(len(ids), "workshop number")}})
	list, err := f.follow(ctx, ids)
	if err != nil {
		return nil, err
	}
	var open []string
	for _, it := range list {
		if it.State == "" || it.State == ctl.ItemCollection {
			open = append(open, it.ID)
		}
	}
	found, failed := f.api.details(ctx, open)
	if ctx.Err() != nil {
		return nil, cancelled(ctx)
	}
	for _, it := range list {
		switch {
		case it.State == ctl.ItemCollection:
			it.takeCollection(found[it.ID])
		case it.State == "" && failed[it.ID] != nil:
			it.fail(failed[it.ID])
		case it.State == "":
			it.take(found[it.ID], steamHosts, f.Hosts)
		}
		if err := f.compare(it); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// follow asks which of the ids are collections, and of what, level by level.
func (f *fetcher) follow(ctx context.Context, ids []string) ([]*item, error) {
	var list []*item
	known := map[string]*item{}
	add := func(id string) *item {
		it := &item{Item: ctl.Item{ID: id}}
		known[id], list = it, append(list, it)
		return it
	}
	var level []string
	for _, id := range ids {
		switch {
		case !ctl.IsWorkshopID(id):
			return nil, &failure{sentence: fmt.Sprintf("%q is not the number of a workshop item or collection", plainText(id, 50)), kind: ctl.ErrUsage}
		case known[id] == nil:
			add(id)
			level = append(level, id)
		}
	}
	if len(list) > ctl.MaxWorkshopItems {
		return nil, &failure{sentence: fmt.Sprintf("%d workshop numbers are too many at once: %d is the most", len(list), ctl.MaxWorkshopItems), kind: ctl.ErrUsage}
	}
	for depth := 1; len(level) > 0; depth++ {
		found, failed := f.api.collections(ctx, level)
		if ctx.Err() != nil {
			return nil, cancelled(ctx)
		}
		var next []string
		for _, id := range level {
			it := known[id]
			kids, ok := found[id]
			if !ok {
				kids, ok = f.listedBefore(id)
				it.kept = ok
			}
			if err := failed[id]; err != nil {
				it.fail(err)
			}
			if !ok {
				continue
			}
			it.State = ctl.ItemCollection
			for _, k := range kids {
				kid := string(k.ID)
				if known[kid] == nil && len(list) >= ctl.MaxWorkshopItems {
					it.Message = fmt.Sprintf("Only %d items and collections are looked at in one go: what this one lists beyond that is left out.", ctl.MaxWorkshopItems)
					break
				}
				it.Children = append(it.Children, kid)
				if known[kid] != nil {
					continue
				}
				add(kid)
				if k.FileType == fileTypeCollection {
					next = append(next, kid)
				}
			}
		}
		if depth == maxDepth && len(next) > 0 {
			for _, id := range next {
				known[id].fail(final("Collections are followed through %d levels only, and this one lies deeper: name it itself.", maxDepth))
			}
			next = nil
		}
		level = next
	}
	return list, nil
}

// listedBefore is what a collection listed when Steam last told.
func (f *fetcher) listedBefore(id string) ([]child, bool) {
	old, err := f.Store.record(id)
	if err != nil || old.State != ctl.ItemCollection { // what cannot be read is not known
		return nil, false
	}
	var kids []child
	for _, id := range old.Children {
		k := child{ID: text(id)}
		if r, err := f.Store.record(id); err == nil && r.State == ctl.ItemCollection {
			k.FileType = fileTypeCollection
		}
		kids = append(kids, k)
	}
	return kids, true
}

// takeCollection takes over what Steam says of a collection. One that is gone
// stays what it was, and says so.
func (it *item) takeCollection(d detail) {
	if d.Result == 1 {
		it.describe(d)
	}
	switch {
	case !it.kept:
	case it.again:
		it.Message += " What this collection listed last is used."
	case d.Result == 1:
		it.Message = "Steam lists nothing for this collection any more. What it listed last is kept."
	default:
		_, it.Message = resultSentence(d.Result)
		it.Message = strings.NewReplacer("this item", "this collection", "such item", "such collection").Replace(it.Message) + " What it listed last is kept."
	}
}

// describe takes over what Steam says of an item or collection.
func (it *item) describe(d detail) {
	it.detail = &d
	it.Title, it.Tags, it.Updated = string(d.Title), d.Tags, d.updated()
}

// take judges what Steam says of an item. It is then gone, failed, or wanted.
func (it *item) take(d detail, hosts, trusted []string) {
	if d.Result != 1 {
		it.State, it.Message = resultSentence(d.Result)
		it.again = d.Result.passes()
		return
	}
	it.describe(d)
	it.Filename, it.Size = string(d.Filename), int64(d.Size)
	switch {
	case d.Banned != 0:
		it.State, it.Message = resultSentence(17)
	case d.ConsumerApp != appID && d.ConsumerApp == 0:
		it.fail(final("Steam does not say which game this item is for, so it is not fetched."))
	case d.ConsumerApp != appID:
		it.fail(final("This item is for another game (number %d), not for Left 4 Dead 2: take it off the list.", d.ConsumerApp))
	case d.Size > maxItemSize:
		it.fail(final("Steam says that this item has %d bytes, which no file of the game may have.", d.Size))
	case d.Size == 0 && d.Handle == "" && d.URL == "":
		it.fail(final("Steam names no file for this number: it may be an empty collection, or something that is no add-on."))
	default:
		it.State = ctl.ItemWanted
		it.url, it.direct = fileURL(d, hosts, trusted)
	}
}

// fileURL says where an item's file is, and whether it can be fetched from there:
// newer items have no URL, or that of their picture, and only steamcmd gets them.
func fileURL(d detail, hosts, trusted []string) (at string, direct bool) {
	u, err := url.Parse(string(d.URL))
	if err != nil || u.Host == "" || d.URL == d.Preview || d.Size == 0 || !strings.HasSuffix(strings.ToLower(string(d.Filename)), ".vpk") {
		return "", false
	}
	_, _, portErr := net.SplitHostPort(u.Host)
	if u.Scheme == "http" && portErr != nil && !slices.Contains(trusted, u.Host+":80") && fetch.MatchHost(hosts, u.Hostname()) {
		u.Scheme = "https" // Steam's hosts have both, and old answers name the one
	}
	return u.String(), true
}

// compare looks what the store has of an item.
func (f *fetcher) compare(it *item) error {
	it.Image = f.Store.hasImage(it.ID)
	old, err := f.Store.record(it.ID)
	if err != nil && !errors.Is(err, ErrNotStored) {
		return err
	}
	if it.detail == nil { // what was known is better than nothing
		it.Title, it.Tags, it.Filename, it.Size, it.Updated = old.Title, old.Tags, old.Filename, old.Size, old.Updated
		if it.Children == nil {
			it.Children = old.Children
		}
	}
	v, err := f.Store.Newest(it.ID)
	if err != nil && !errors.Is(err, ErrNotStored) {
		return err
	}
	if err == nil {
		it.have(v)
	}
	switch {
	case it.State == ctl.ItemGone && it.Stamp != "":
		it.Message += " What is in the store is kept."
		return nil
	case it.State != ctl.ItemWanted:
		return nil
	}
	if current, err := f.Store.Version(it.ID, it.stamp()); err == nil {
		it.have(current)
		it.State = ctl.ItemStored
		if current.Refused() {
			it.Message = refusedMessage(current)
		}
	} else if it.Stamp != "" {
		it.State = ctl.ItemOutdated
	}
	return nil
}

func refusedMessage(v Stored) string {
	for _, f := range v.Findings {
		if f.Verdict == ctl.VerdictRefused {
			return "It is kept aside: " + f.Sentence
		}
	}
	return ""
}
