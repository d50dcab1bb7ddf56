package workshop

import (
	"strings"
	"testing"

	"left4me/hostops/ctl"
)

// Where a file is fetched from, and what only steamcmd gets.
func TestFileURL(t *testing.T) {
	t.Parallel()
	good := detail{Filename: "dir/A.VPK", Size: 1, URL: "https://cdn.steamusercontent.com/ugc/1/A/", Preview: "https://images.steamusercontent.com/ugc/1/"}
	tests := map[string]struct {
		change func(*detail)
		want   string
	}{
		"as it is":          {func(*detail) {}, "https://cdn.steamusercontent.com/ugc/1/A/"},
		"plain http":        {func(d *detail) { d.URL = "http://cloud-3.steamusercontent.com/ugc/1/A/" }, "https://cloud-3.steamusercontent.com/ugc/1/A/"},
		"another's http":    {func(d *detail) { d.URL = "http://files.example/1" }, "http://files.example/1"}, // refused later
		"an operator's own": {func(d *detail) { d.URL = "http://mirror.example/1" }, "http://mirror.example/1"},
		"none":              {func(d *detail) { d.URL = "" }, ""},
		"the picture":       {func(d *detail) { d.URL = d.Preview }, ""},
		"a picture's name":  {func(d *detail) { d.Filename = "a.jpg" }, ""},
		"no name":           {func(d *detail) { d.Filename = "" }, ""},
		"no size":           {func(d *detail) { d.Size = 0 }, ""},
		"no host":           {func(d *detail) { d.URL = "/etc/passwd" }, ""},
	}
	for name, tt := range tests {
		d := good
		tt.change(&d)
		if at, direct := fileURL(d, steamHosts, []string{"mirror.example:80"}); at != tt.want || direct != (tt.want != "") {
			t.Errorf("%s: %q, %v; want %q", name, at, direct, tt.want)
		}
	}
}

// An event stays within what readers hold, whatever the gate has to say.
func TestItemEventsAreBounded(t *testing.T) {
	t.Parallel()
	var last ctl.Event
	f := &fetcher{Options: Options{Emit: func(e ctl.Event) { last = e }}}
	it := &item{Item: ctl.Item{ID: "101", State: ctl.ItemStored}}
	for range ctl.MaxFindings {
		it.Findings = append(it.Findings, ctl.Finding{Sentence: strings.Repeat("x", 4000)})
	}
	f.emitItem(it)
	if n := len(ctl.Encode(last)); n > maxItemEvent+1000 || len(last.Item.Findings) == 0 || len(it.Findings) != ctl.MaxFindings {
		t.Errorf("an event of %d bytes with %d findings", n, len(last.Item.Findings))
	}
}

func FuzzAPIAnswer(f *testing.F) {
	for _, seed := range []string{
		"", "null", "[]", `"x"`, "<html>", `{"response":{}}`, `{"response":null}`, `{"response":[]}`,
		`{"response":{"result":1,"resultcount":1,"publishedfiledetails":[{"publishedfileid":"121086524","result":1,"creator_app_id":550,"consumer_app_id":"550","filename":"a/b.vpk","file_size":"1056527","file_url":"https://cdn.steamusercontent.com/ugc/1/A/","hcontent_file":"5","preview_url":"https://x/","title":"T","time_updated":1350000000,"banned":0,"tags":[{"tag":"Campaigns"},"x",7]}]}}`,
		`{"response":{"collectiondetails":[{"publishedfileid":"777","result":1,"children":[{"publishedfileid":"111","sortorder":1,"filetype":0},{"publishedfileid":222,"sortorder":"0","filetype":"2"},{"publishedfileid":"111"}]}]}}`,
		`{"response":{"publishedfiledetails":[{"publishedfileid":18446744073709551616,"result":9},{"publishedfileid":"9","result":1e2,"file_size":-9223372036854775808,"time_updated":9223372036854775807}]}}`,
		"\xef\xbb\xbf {\"response\":{\"collectiondetails\":[null,{},[],{\"publishedfileid\":\"1\",\"result\":1,\"children\":{\"0\":{}}}]}}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		details, err := parseDetails(body)
		if err != nil && strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("an error with control characters: %q", err)
		}
		for id, d := range details {
			if !ctl.IsWorkshopID(id) || string(d.ID) != id || d.Size < 0 || d.Updated < 0 || d.Updated > maxMoment {
				t.Errorf("item %q: %+v", id, d)
			}
			if len(d.Title) > maxTitle+len("…") || len(d.URL) > maxURL || len(d.Tags) > maxTags || strings.ContainsAny(string(d.Title), "\n\x1b") {
				t.Errorf("item %q without bounds: %+v", id, d)
			}
			if _, ok := isStamp(stampOf(d)); !ok {
				t.Errorf("item %q has the stamp %q", id, stampOf(d))
			}
			it := &item{Item: ctl.Item{ID: id}}
			it.take(d, steamHosts, nil)
			if it.State == "" || (it.State != ctl.ItemWanted) != (it.Message != "") {
				t.Errorf("item %q is %q: %q", id, it.State, it.Message)
			}
		}
		lists, err := parseCollections(body)
		if err != nil && strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("an error with control characters: %q", err)
		}
		for id, kids := range lists {
			if !ctl.IsWorkshopID(id) || len(kids) > maxChildren+1 {
				t.Errorf("collection %q of %d", id, len(kids))
			}
			seen := map[text]bool{}
			for _, k := range kids {
				if !ctl.IsWorkshopID(string(k.ID)) || seen[k.ID] {
					t.Errorf("collection %q lists %q", id, k.ID)
				}
				seen[k.ID] = true
			}
		}
	})
}
