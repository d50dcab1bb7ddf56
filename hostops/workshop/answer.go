package workshop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"left4me/hostops/ctl"
)

// What Steam answers, as far as it is used here:
//
//	{"response":{"result":1,"resultcount":1,"publishedfiledetails":[{
//	 "publishedfileid":"121086524","result":1,"creator_app_id":550,"consumer_app_id":550,
//	 "filename":"myl4d2addons/whit.vpk","file_size":"1056527","file_url":"https://…","hcontent_file":"5…",
//	 "preview_url":"https://…","title":"…","time_updated":1350000000,"banned":0,"ban_reason":"",
//	 "tags":[{"tag":"Campaigns"}]}]}}
//
//	{"response":{"result":1,"resultcount":1,"collectiondetails":[{"publishedfileid":"777","result":1,
//	 "children":[{"publishedfileid":"111","sortorder":0,"filetype":0},{"publishedfileid":"222","sortorder":1,"filetype":2}]}]}}
//
// Numbers come as strings and strings as numbers; a missing or hidden item is its
// number and "result":9, and nothing else.

// appID is Left 4 Dead 2, the game whose workshop this is.
const appID = 550

// Bounds of an answer.
const (
	maxEntries  = 4 * batchSize
	maxChildren = ctl.MaxWorkshopItems
	maxTitle    = 200
	maxTags     = 30
	maxTag      = 50
	maxURL      = 2048
	maxMoment   = 253402300799 // the last second of the year 9999
)

// detail is one item as GetPublishedFileDetails has it.
type detail struct {
	ID          text   `json:"publishedfileid"`
	Result      number `json:"result"`
	ConsumerApp number `json:"consumer_app_id"`
	Filename    text   `json:"filename"`
	Size        number `json:"file_size"`
	URL         text   `json:"file_url"`
	Handle      text   `json:"hcontent_file"`
	Preview     text   `json:"preview_url"`
	Title       text   `json:"title"`
	Updated     number `json:"time_updated"`
	Banned      number `json:"banned"`
	Tags        tags   `json:"tags"`
}

// collection is one entry of GetCollectionDetails.
type collection struct {
	ID       text     `json:"publishedfileid"`
	Result   number   `json:"result"`
	Children children `json:"children"`
}

// child is what a collection lists. FileType 2 is another collection.
type child struct {
	ID       text   `json:"publishedfileid"`
	Order    number `json:"sortorder"`
	FileType number `json:"filetype"`
}

const fileTypeCollection = 2

// errWebPage is HTML where JSON was asked for.
var errWebPage = errors.New("a web page")

// parseDetails reads an answer of GetPublishedFileDetails, by id.
func parseDetails(body []byte) (map[string]detail, error) {
	list, err := entries[detail](body, "publishedfiledetails")
	if err != nil {
		return nil, err
	}
	found := map[string]detail{}
	for _, d := range list {
		if id := string(d.ID); ctl.IsWorkshopID(id) {
			if _, twice := found[id]; !twice {
				d.Title = text(plainText(string(d.Title), maxTitle))
				d.Filename = text(plainText(string(d.Filename), maxTitle))
				d.Size, d.Updated = max(d.Size, 0), min(max(d.Updated, 0), maxMoment)
				found[id] = d
			}
		}
	}
	return found, nil
}

// parseCollections reads an answer of GetCollectionDetails: the children of each
// collection in their order, by id. What is no collection is not in it.
func parseCollections(body []byte) (map[string][]child, error) {
	list, err := entries[collection](body, "collectiondetails")
	if err != nil {
		return nil, err
	}
	found := map[string][]child{}
	for _, c := range list {
		id := string(c.ID)
		if _, twice := found[id]; twice || !ctl.IsWorkshopID(id) || c.Result != 1 || len(c.Children) == 0 {
			continue
		}
		var kids []child
		seen := map[text]bool{}
		for _, k := range c.Children {
			if ctl.IsWorkshopID(string(k.ID)) && !seen[k.ID] {
				seen[k.ID] = true
				kids = append(kids, k)
			}
		}
		slices.SortStableFunc(kids, func(a, b child) int { return int(max(min(a.Order-b.Order, 1), -1)) })
		found[id] = kids
	}
	return found, nil
}

// entries takes the list called key out of an answer. An entry that cannot be
// read is left out, so that it does not cost the others.
func entries[T any](body []byte, key string) ([]T, error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(body), []byte("\xef\xbb\xbf")))
	switch {
	case len(body) == 0:
		return nil, errors.New("nothing")
	case body[0] == '<':
		return nil, errWebPage
	}
	var outer struct {
		Response map[string]json.RawMessage `json:"response"`
	}
	if err := json.Unmarshal(body, &outer); err != nil {
		return nil, fmt.Errorf("something that is not its JSON (%s)", plainText(err.Error(), maxTitle))
	}
	raw, ok := outer.Response[key]
	if !ok {
		return nil, errors.New("JSON without the list that was asked for")
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, errors.New("JSON whose list is none")
	}
	if len(list) > maxEntries {
		return nil, fmt.Errorf("a list of %d entries", len(list))
	}
	var out []T
	for _, one := range list {
		var entry T
		if json.Unmarshal(one, &entry) == nil {
			out = append(out, entry)
		}
	}
	return out, nil
}

// text takes a string, or a number as it is written; everything else is empty.
type text string

func (t *text) UnmarshalJSON(data []byte) error {
	*t = ""
	var s string
	var n json.Number
	switch {
	case json.Unmarshal(data, &s) == nil && len(s) <= maxURL:
		*t = text(s)
	case json.Unmarshal(data, &n) == nil && n != "":
		*t = text(n)
	}
	return nil
}

// number takes a whole number, or a string that is one; everything else is 0.
type number int64

func (n *number) UnmarshalJSON(data []byte) error {
	s := strings.Trim(string(data), `" `)
	if s == "true" {
		s = "1"
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		v = 0
	}
	*n = number(v)
	return nil
}

// children is a list; anything else is an empty one.
type children []child

func (c *children) UnmarshalJSON(data []byte) error {
	*c = nil
	var list []json.RawMessage
	if json.Unmarshal(data, &list) != nil {
		return nil
	}
	for _, one := range list[:min(len(list), maxChildren+1)] {
		var k child
		if json.Unmarshal(one, &k) == nil {
			*c = append(*c, k)
		}
	}
	return nil
}

// tags are [{"tag":"Campaigns"}], or plain strings.
type tags []string

func (t *tags) UnmarshalJSON(data []byte) error {
	*t = nil
	var list []json.RawMessage
	if json.Unmarshal(data, &list) != nil {
		return nil
	}
	for _, one := range list[:min(len(list), maxTags)] {
		var object struct {
			Tag text `json:"tag"`
		}
		var plain text
		if json.Unmarshal(one, &object) != nil {
			_ = json.Unmarshal(one, &plain) // never fails; empty is left out
			object.Tag = plain
		}
		if tag := plainText(string(object.Tag), maxTag); tag != "" {
			*t = append(*t, tag)
		}
	}
	return nil
}

// plainText makes a stranger's words one line of at most n bytes.
func plainText(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}

// updated is when the item changed last; zero when Steam does not say.
func (d detail) updated() time.Time {
	if d.Updated == 0 {
		return time.Time{}
	}
	return time.Unix(int64(d.Updated), 0).UTC()
}
