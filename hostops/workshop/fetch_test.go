package workshop

import (
	"errors"
	"os"
	"strings"
	"testing"

	"left4me/hostops/ctl"
)

// A collection with everything that may be odd about it, fetched in one go.
func TestFetchCollection(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.steam
	s.add("101", 300_000)
	s.add("102", 10)
	s.add("103", 64<<10, "file_size", 64<<10, "publishedfileid", 103, "time_updated", "1350000001")
	s.add("104", 50_000, "consumer_app_id", 730)
	s.add("105", 50_000, "result", 17)
	s.add("106", 50_000, "file_url", "")
	s.lists["777"] = []string{"101", "c:778", "102", "999"}
	s.lists["778"] = []string{"103", "c:777", "104", "105", "106"} // and back again
	got, err := b.fetch(t, "777", "101")
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]ctl.ItemState{
		"777": ctl.ItemCollection, "778": ctl.ItemCollection, "101": ctl.ItemStored, "102": ctl.ItemStored, "103": ctl.ItemStored,
		"104": ctl.ItemFailed, "105": ctl.ItemGone, "106": ctl.ItemFailed, "999": ctl.ItemGone,
	}
	for id, want := range states {
		it := got[id]
		if it.State != want {
			t.Errorf("item %s is %q (%s), want %q", id, it.State, it.Message, want)
		}
		if bad := it.State == ctl.ItemFailed || it.State == ctl.ItemGone; bad != (it.Message != "") {
			t.Errorf("item %s is %q with the message %q", id, it.State, it.Message)
		}
		if it.State == ctl.ItemStored {
			b.mustHold(t, id)
		}
	}
	if len(got) != len(states) {
		t.Errorf("%d items, want %d", len(got), len(states))
	}
	if kids := strings.Join(got["777"].Children, " "); kids != "101 778 102 999" {
		t.Errorf("children of 777: %s", kids)
	}
	if it := got["101"]; !it.Changed || len(it.Campaigns) != 1 || it.Title != "Item 101" || it.Size != 300_000 {
		t.Errorf("item 101: %+v", it)
	}
	if left := b.leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	// The second time nothing is fetched, and what the store knows is told.
	before := s.requests("101")
	again, err := b.fetch(t, "777")
	if err != nil || s.requests("101") != before {
		t.Errorf("fetched again: %v, %d requests", err, s.requests("101")-before)
	}
	if it := again["101"]; it.State != ctl.ItemStored || it.Changed || len(it.Campaigns) != 1 || it.Stamp != got["101"].Stamp {
		t.Errorf("item 101 the second time: %+v", it)
	}
}

// An author who changes an item, and one who takes it away.
func TestFetchFollowsTheAuthor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.steam.add("101", 1000)
	b.steam.add("102", 1000)
	first, err := b.fetch(t, "101", "102")
	if err != nil {
		t.Fatal(err)
	}
	b.steam.add("101", 2000, "time_updated", 1360000000, "hcontent_file", "5")
	delete(b.steam.items, "102")
	info, err := Info(t.Context(), []string{"101", "102"}, b.Options)
	if err != nil {
		t.Fatal(err)
	}
	if it := info.Items[0]; it.State != ctl.ItemOutdated || it.Stamp != first["101"].Stamp {
		t.Errorf("info of a changed item: %+v", it)
	}
	second, err := b.fetch(t, "101", "102")
	if err != nil {
		t.Fatal(err)
	}
	if it := second["101"]; it.State != ctl.ItemStored || !it.Changed || it.Stamp == first["101"].Stamp {
		t.Errorf("changed item: %+v", it)
	}
	b.mustHold(t, "101")
	if _, err := b.Store.Version("101", first["101"].Stamp); err != nil {
		t.Errorf("the version before: %v, want it kept", err)
	}
	if it := second["102"]; it.State != ctl.ItemGone || it.Stamp != first["102"].Stamp || it.Title != "Item 102" || !strings.Contains(it.Message, "kept") {
		t.Errorf("item that is gone: %+v", it)
	}
	b.mustHold(t, "102")
	if it, err := b.Store.Item("102"); err != nil || it.State != ctl.ItemGone || it.Title != "Item 102" {
		t.Errorf("what is known of it: %+v, %v", it, err)
	}
}

func TestInfoWritesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.steam.add("101", 1000)
	r, err := Info(t.Context(), []string{"101"}, b.Options)
	if err != nil || len(r.Items) != 1 || r.Items[0].State != ctl.ItemWanted {
		t.Errorf("info: %+v, %v", r, err)
	}
	if _, err := os.Stat(b.Store.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the store exists after info: %v", err)
	}
}
