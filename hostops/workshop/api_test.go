package workshop

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
)

// Every odd description of an item, and what becomes of it.
func TestOddItems(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fields []any
		state  ctl.ItemState
		says   string
	}{
		"fail":                {[]any{"result", 2}, ctl.ItemFailed, "try again later"},
		"invalid":             {[]any{"result", "8"}, ctl.ItemFailed, "check it"},
		"not found":           {[]any{"result", 9}, ctl.ItemGone, "removed, or its author hides it"},
		"access denied":       {[]any{"result", 15}, ctl.ItemGone, "author and friends"},
		"timeout":             {[]any{"result", 16}, ctl.ItemFailed, "took too long"},
		"banned":              {[]any{"result", 17}, ctl.ItemGone, "banned"},
		"banned with details": {[]any{"banned", 1}, ctl.ItemGone, "banned"},
		"a new code":          {[]any{"result", 4711}, ctl.ItemFailed, "result 4711"},
		"no code":             {[]any{"result", nil}, ctl.ItemFailed, "does not mention"},
		"another game":        {[]any{"consumer_app_id", 730}, ctl.ItemFailed, "another game (number 730)"},
		"no game":             {[]any{"consumer_app_id", nil}, ctl.ItemFailed, "which game"},
		"huge":                {[]any{"file_size", "99999999999999"}, ctl.ItemFailed, "99999999999999 bytes"},
		"negative":            {[]any{"file_size", -5, "hcontent_file", "", "file_url", ""}, ctl.ItemFailed, "names no file"},
		"nothing to fetch":    {[]any{"file_size", 0, "hcontent_file", "", "file_url", ""}, ctl.ItemFailed, "names no file"},
		"no URL":              {[]any{"file_url", ""}, ctl.ItemFailed, "names no file for this item. steamcmd, which could get it"},
		"its picture's URL":   {[]any{"file_url", "https://x/1.jpg", "preview_url", "https://x/1.jpg"}, ctl.ItemFailed, "steamcmd"},
		"a picture's name":    {[]any{"filename", "preview.jpg"}, ctl.ItemFailed, "steamcmd"},
		"odd URL":             {[]any{"file_url", "://"}, ctl.ItemFailed, "steamcmd"},
		"odd types":           {[]any{"title", []int{1}, "tags", "x", "time_updated", 1.5, "creator_app_id", nil}, ctl.ItemStored, ""},
		"numbers as strings":  {[]any{"result", "1", "consumer_app_id", "550", "time_updated", "1350000000"}, ctl.ItemStored, ""},
		"path in its name":    {[]any{"filename", "../../../etc/cron.d/x.vpk"}, ctl.ItemStored, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.steam.add("101", 1000, tt.fields...)
			b.steam.add("102", 1000) // the others must not suffer
			got, err := b.fetch(t, "101", "102")
			it := got["101"]
			if it.State != tt.state || !strings.Contains(it.Message, tt.says) || (it.Message == "") != (tt.says == "") {
				t.Errorf("item is %q: %q, want %q: …%s…", it.State, it.Message, tt.state, tt.says)
			}
			if err != nil || got["102"].State != ctl.ItemStored {
				t.Errorf("the other item is %q, %v", got["102"].State, err)
			}
			if tt.state != ctl.ItemStored {
				b.mustLack(t, "101")
			}
		})
	}
}

func TestTitlesAreOneLine(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.steam.add("101", 1000, "title", "  Dead\n\x1b[31mCentre\u202e "+strings.Repeat("é", 300))
	got, err := b.fetch(t, "101")
	title := got["101"].Title
	if err != nil || !strings.HasPrefix(title, "Dead [31mCentre é") || len(title) > maxTitle+len("…") {
		t.Errorf("title: %q (%d bytes), %v", title, len(title), err)
	}
}

// The Web API's own troubles: what passes is waited for, what does not ends soon.
func TestWebAPITroubles(t *testing.T) {
	t.Parallel()
	answer := func(status int, header, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			if header != "" {
				name, value, _ := strings.Cut(header, ": ")
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, body) // a client that went away
		}
	}
	tests := map[string]struct {
		answer func(http.ResponseWriter)
		says   string
		retry  bool
		calls  int
	}{
		"429":               {answer(429, "", ""), "fewer requests", true, apiTries},
		"429 for an hour":   {answer(429, "Retry-After: 3600", ""), "next 1h0m0s", true, 1},
		"503":               {answer(503, "Retry-After: 0", "busy"), "status 503", true, apiTries},
		"500":               {answer(500, "", ""), "status 500", true, apiTries},
		"nothing":           {answer(200, "", ""), "answered with nothing", true, apiTries},
		"a web page":        {answer(200, "Content-Type: text/html", "<!DOCTYPE html><title>Sign in</title>"), "web page", true, apiTries},
		"no JSON":           {answer(200, "", "OK"), "not its JSON", true, apiTries},
		"other JSON":        {answer(200, "", `{"response":{"result":1}}`), "without the list", true, apiTries},
		"a list of nothing": {answer(200, "", `{"response":{"collectiondetails":{}}}`), "whose list is none", true, apiTries},
		"404":               {answer(404, "", ""), "check its address", false, 1},
		"302":               {answer(302, "Location: http://127.0.0.1:1/", ""), "may not be asked", false, 1},
		"400":               {answer(400, "", ""), "bad (status 400)", false, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.steam.api = func(w http.ResponseWriter, _ *http.Request) bool { tt.answer(w); return true }
			got, err := b.fetch(t, "101")
			if err == nil || !strings.Contains(err.Error(), tt.says) || retryable(err) != tt.retry {
				t.Errorf("error %v (retry %v), want …%s… (retry %v)", err, retryable(err), tt.says, tt.retry)
			}
			if n := b.steam.calls("GetCollectionDetails"); n != tt.calls {
				t.Errorf("%d requests, want %d", n, tt.calls)
			}
			if it := got["101"]; it.State != ctl.ItemFailed || it.Message == "" {
				t.Errorf("item: %+v", it)
			}
		})
	}
}

// Troubles that pass are waited for, as long as the server says.
func TestWebAPIComesBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.steam.add("101", 1000)
	calls := 0
	b.steam.api = func(w http.ResponseWriter, _ *http.Request) bool {
		calls++
		if calls == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}
		return calls == 1
	}
	begun := time.Now()
	got, err := b.fetch(t, "101")
	if err != nil || got["101"].State != ctl.ItemStored {
		t.Errorf("item: %+v, %v", got["101"], err)
	}
	if took := time.Since(begun); took < time.Second {
		t.Errorf("asked again after %s, although a second was asked for", took)
	}
	if strings.Contains(b.log(), "try again") {
		t.Errorf("the log tells people to do what is being done:\n%s", b.log())
	}
	if !strings.Contains(b.log(), "Try 2 of 5 follows in 1s") {
		t.Errorf("log:\n%s", b.log())
	}
}

// 250 ids take three requests of each kind, and one number that Steam calls bad
// costs only itself.
func TestBatches(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var ids []string
	for i := range 250 {
		id := strconv.Itoa(1000 + i)
		ids = append(ids, id)
		b.steam.add(id, 20)
	}
	r, err := Info(t.Context(), ids, b.Options)
	if err != nil || len(r.Items) != 250 {
		t.Fatalf("%d items, %v", len(r.Items), err)
	}
	if c, d := b.steam.calls("GetCollectionDetails"), b.steam.calls("GetPublishedFileDetails"); c != 3 || d != 3 {
		t.Errorf("%d and %d requests, want 3 of each", c, d)
	}
	b.steam.api = func(w http.ResponseWriter, r *http.Request) bool {
		bad := r.ParseForm() == nil && strings.Contains(r.PostForm.Encode()+"&", "=1007&")
		if bad {
			w.WriteHeader(http.StatusBadRequest)
		}
		return bad
	}
	if r, err = Info(t.Context(), ids[:20], b.Options); err != nil {
		t.Fatal(err)
	}
	for _, it := range r.Items {
		if want := it.ID == "1007"; want != (it.State == ctl.ItemFailed) {
			t.Errorf("item %s is %q: %s", it.ID, it.State, it.Message)
		}
	}
}

// When Steam cannot be reached at all, it is not asked for every batch anew.
func TestUnreachableAPI(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.API = "http://127.0.0.1:1"
	var ids []string
	for i := range 500 {
		ids = append(ids, strconv.Itoa(1000+i))
	}
	r, err := Info(t.Context(), ids, b.Options)
	if !errors.Is(err, ctl.ErrSteamRetry) || !strings.Contains(err.Error(), "500 of 500") {
		t.Errorf("error: %v", err)
	}
	if len(r.Items) != 500 || r.Items[499].State != ctl.ItemFailed {
		t.Errorf("%d items", len(r.Items))
	}
	if n := strings.Count(b.log(), "follows in"); n != apiTries-1 {
		t.Errorf("%d further tries, want %d", n, apiTries-1)
	}
}

func TestBadAddressOfTheAPI(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"ftp://x", "x", "https://", "http://user:pw@127.0.0.1:1", "https://x/?key=1"} {
		if _, err := Info(t.Context(), []string{"1"}, Options{Store: &Store{Dir: t.TempDir()}, API: address, Emit: func(ctl.Event) {}}); !errors.Is(err, ctl.ErrSteam) {
			t.Errorf("%q: %v, want a refusal", address, err)
		}
	}
}

// Deep and long lists end.
func TestCollectionsAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 12 {
		b.steam.lists[strconv.Itoa(100+i)] = []string{"c:" + strconv.Itoa(101+i)}
	}
	r, err := Info(t.Context(), []string{"100"}, b.Options)
	if err == nil || len(r.Items) != maxDepth+1 || !strings.Contains(r.Items[maxDepth].Message, "8 levels") {
		t.Errorf("%d items of a chain of 12, %v", len(r.Items), err)
	}
	var long []string
	for i := range 3000 {
		long = append(long, strconv.Itoa(10_000+i))
	}
	b.steam.lists["777"] = long
	r, _ = Info(t.Context(), []string{"777"}, b.Options) // its items do not exist
	if len(r.Items) != ctl.MaxWorkshopItems || !strings.Contains(r.Items[0].Message, "2000") {
		t.Errorf("%d items of a list of 3000: %q", len(r.Items), r.Items[0].Message)
	}
	if _, err := Info(t.Context(), long, b.Options); !errors.Is(err, ctl.ErrUsage) {
		t.Errorf("3000 ids: %v", err)
	}
	if _, err := Info(t.Context(), []string{"1; rm -rf /"}, b.Options); !errors.Is(err, ctl.ErrUsage) {
		t.Errorf("no number: %v", err)
	}
}

// A collection that is taken away, or cannot be asked for, keeps what it listed.
func TestCollectionIsKept(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.steam.add("101", 1000)
	b.steam.lists["777"] = []string{"c:778"}
	b.steam.lists["778"] = []string{"101"}
	if _, err := b.fetch(t, "777"); err != nil {
		t.Fatal(err)
	}
	delete(b.steam.lists, "777")
	got, err := b.fetch(t, "777")
	if err != nil || got["777"].State != ctl.ItemCollection || !strings.Contains(got["777"].Message, "no such collection") || got["101"].State != ctl.ItemStored {
		t.Errorf("after it was taken away: %+v, %v", got, err)
	}
	if it, err := b.Store.Item("777"); err != nil || it.State != ctl.ItemCollection || len(it.Children) != 1 {
		t.Errorf("what is known of it: %+v, %v", it, err)
	}
	b.steam.api = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true }
	got, err = b.fetch(t, "777")
	if !retryable(err) || got["777"].State != ctl.ItemCollection || got["778"].State != ctl.ItemCollection || got["101"].Stamp == "" {
		t.Errorf("while Steam is away: %+v, %v", got, err)
	}
	b.mustHold(t, "101")
}
