package steamsim

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Apps of the Web API: the game whose workshop it is, and Steam's own number for
// collections.
const (
	gameApp       = 550
	collectionApp = 766
)

// serveAPI answers Steam's Web API. Results are in JSON; errors of a call as a
// whole are pages, as with the real one.
func (w *Web) serveAPI(rw http.ResponseWriter, r *http.Request) {
	w.answerAPI(rw, r, r.URL.Path, func(p string) string { return "http://" + r.Host + p })
}

// answerAPI answers the call at path; fileURL makes addresses of the file host.
func (w *Web) answerAPI(rw http.ResponseWriter, r *http.Request, path string, fileURL func(string) string) {
	c, ok := w.read(rw)
	if !ok {
		return
	}
	call, ok := map[string]func(http.ResponseWriter, url.Values, WorkshopControl, func(string) string){
		"/ISteamRemoteStorage/GetPublishedFileDetails/v1": w.details,
		"/ISteamRemoteStorage/GetCollectionDetails/v1":    w.collections,
		"/ISteamApps/UpToDateCheck/v1":                    w.upToDate,
	}[trimmed(path)]
	if !ok {
		nothing(rw)
		return
	}
	w.ranges.called(trimmed(path))
	if w.failCall(rw, r, c.Workshop.API) {
		return
	}
	if strings.HasPrefix(path, "/ISteamApps/") {
		call(rw, r.URL.Query(), c.Workshop, fileURL)
		return
	}
	if r.Method != http.MethodPost {
		rw.Header().Set("Allow", "POST")
		page(rw, http.StatusMethodNotAllowed, "Method Not Allowed", "This API must be called with a HTTP POST request")
		return
	}
	r.Body = http.MaxBytesReader(rw, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		page(rw, http.StatusBadRequest, "Bad Request", "")
		return
	}
	call(rw, r.PostForm, c.Workshop, fileURL)
}

// failCall plays what is wrong with the API as a whole.
func (w *Web) failCall(rw http.ResponseWriter, r *http.Request, c APIControl) bool {
	if c.Fault == "" || !w.meets("api/"+c.Fault, c.Count) {
		return false
	}
	switch c.Fault {
	case "rate_limited":
		rw.Header().Set("Retry-After", strconv.Itoa(max(c.RetryAfter, 1)))
		page(rw, http.StatusTooManyRequests, "Too Many Requests", "")
	case "server_error":
		page(rw, http.StatusServiceUnavailable, "Service Unavailable", "")
	case "bad_request":
		page(rw, http.StatusBadRequest, "Bad Request", "")
	case "html":
		page(rw, http.StatusOK, "Welcome to the hotel network", "Please accept the terms.")
	case "empty_body":
		rw.Header().Set("Content-Type", "application/json; charset=UTF-8")
	case "not_json":
		rw.Header().Set("Content-Type", "application/json; charset=UTF-8")
		_, _ = fmt.Fprint(rw, `{"response":{"result":1,"publishedfiledetails":[{]}}`) // the client may have left
	case "truncated":
		rw.Header().Set("Content-Length", "5000")
		_, _ = fmt.Fprint(rw, `{"response":{"result":1,"resultcount":1,"publishedfiledetails":[{"publishedfileid":"`) // see above
		_ = http.NewResponseController(rw).Flush()
		panic(http.ErrAbortHandler)
	case "slow":
		select {
		case <-time.After(10 * time.Second):
		case <-r.Context().Done():
		}
		return false
	}
	return true
}

// asked reads itemcount and publishedfileids[0] … [n-1]. They must fit together.
func asked(rw http.ResponseWriter, form url.Values, count string) ([]string, bool) {
	n, err := strconv.Atoi(form.Get(count))
	var ids []string
	for i := 0; err == nil && form.Has(fmt.Sprintf("publishedfileids[%d]", i)); i++ {
		ids = append(ids, form.Get(fmt.Sprintf("publishedfileids[%d]", i)))
	}
	if err != nil || n < 1 || n != len(ids) {
		page(rw, http.StatusBadRequest, "Bad Request", "Please verify that all required parameters are being sent")
		return nil, false
	}
	return ids, true
}

// stub is all that Steam says of what it will not talk about.
type stub struct {
	ID     string `json:"publishedfileid"`
	Result int    `json:"result"`
}

// fileDetails is one item as GetPublishedFileDetails describes it.
type fileDetails struct {
	stub
	Creator        string `json:"creator"`
	CreatorApp     int    `json:"creator_app_id"`
	ConsumerApp    int    `json:"consumer_app_id"`
	Filename       string `json:"filename"`
	FileSize       any    `json:"file_size"` // a number, or the same in quotes
	FileURL        string `json:"file_url"`
	Content        string `json:"hcontent_file"`
	PreviewURL     string `json:"preview_url"`
	PreviewContent string `json:"hcontent_preview"`
	Title          string `json:"title"`
	Description    string `json:"description"`
	Created        int64  `json:"time_created"`
	Updated        int64  `json:"time_updated"`
	Visibility     int    `json:"visibility"`
	Banned         int    `json:"banned"`
	BanReason      string `json:"ban_reason"`
	Subscriptions  uint64 `json:"subscriptions"`
	Favorited      uint64 `json:"favorited"`
	EverSubscribed uint64 `json:"lifetime_subscriptions"`
	EverFavorited  uint64 `json:"lifetime_favorited"`
	Views          uint64 `json:"views"`
	Tags           []tag  `json:"tags"`
}

type tag struct {
	Tag string `json:"tag"`
}

func (w *Web) details(rw http.ResponseWriter, form url.Values, c WorkshopControl, fileURL func(string) string) {
	ids, ok := asked(rw, form, "itemcount")
	if !ok {
		return
	}
	list := make([]any, len(ids))
	for i, id := range ids {
		list[i] = w.detail(id, c, fileURL)
	}
	writeJSON(rw, map[string]any{"response": map[string]any{"result": 1, "resultcount": len(list), "publishedfiledetails": list}})
}

func (w *Web) detail(text string, c WorkshopControl, fileURL func(string) string) any {
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return stub{text, 9}
	}
	if set, ok := findCollection(id); ok {
		return collectionDetail(set, fileURL)
	}
	it, change, ok := c.item(id)
	if !ok {
		return stub{text, 9}
	}
	it = w.current(it)
	met := func(fault string) bool {
		return slices.Contains(it.faults, fault) && w.meets("api/"+text+"/"+fault, change.Count)
	}
	for fault, result := range resultOf {
		if met(fault) {
			return stub{text, result}
		}
	}
	size := w.file(it).size
	d := fileDetails{
		stub: stub{text, 1}, Creator: strconv.FormatUint(76561197960265728+mix(id, 30)%1e9, 10), CreatorApp: gameApp, ConsumerApp: gameApp,
		Filename: it.filename(), FileURL: fileURL(filePath(it.handle())), Content: strconv.FormatUint(it.handle(), 10),
		PreviewURL: fileURL(filePath(makeHandle(it.id, previewRevision))), PreviewContent: strconv.FormatUint(makeHandle(it.id, previewRevision), 10),
		Title: it.title, Description: "Made by " + it.author + " for the simulated workshop.\r\n\r\n[b]" + it.title + "[/b]",
		Created: it.created().Unix(), Updated: it.updated().Unix(),
		Subscriptions: mix(id, 31) % 90_000, EverSubscribed: mix(id, 31) % 90_000 * 3, Views: mix(id, 32) % 900_000,
	}
	for _, t := range it.tags {
		d.Tags = append(d.Tags, tag{t})
	}
	if met("size_wrong") {
		size += size/10 + 1
	}
	if met("huge") {
		size = 900 << 30
	}
	if met("wrong_app") {
		d.ConsumerApp, d.CreatorApp = 440, 440
	}
	if met("preview_url") {
		d.FileURL, d.Content, size = d.PreviewURL, d.PreviewContent, int64(len(preview(it.id)))
		d.Filename = "mypreview/" + it.slug() + ".jpg"
	}
	if slices.ContainsFunc(it.faults, func(f string) bool { return f == "no_url" || strings.HasPrefix(f, "steamcmd_") }) {
		d.FileURL, d.Filename = "", ""
	}
	// Both forms occur; which one an item has does not change.
	d.FileSize = size
	if mix(id, 33)%2 == 0 {
		d.FileSize = strconv.FormatInt(size, 10)
	}
	return d
}

func collectionDetail(set collection, fileURL func(string) string) any {
	return fileDetails{
		stub: stub{strconv.FormatUint(set.id, 10), 1}, Creator: "76561197960265729", CreatorApp: collectionApp, ConsumerApp: gameApp,
		FileSize: "0", PreviewURL: fileURL(filePath(makeHandle(set.id, previewRevision))), Content: "0", PreviewContent: "0",
		Title: set.title, Description: "A collection.", Created: 1_600_000_000, Updated: 1_700_000_000,
	}
}

// child is one entry of a collection; filetype 2 is another collection.
type child struct {
	ID       string `json:"publishedfileid"`
	Order    int    `json:"sortorder"`
	FileType int    `json:"filetype"`
}

func (w *Web) collections(rw http.ResponseWriter, form url.Values, c WorkshopControl, _ func(string) string) {
	ids, ok := asked(rw, form, "collectioncount")
	if !ok {
		return
	}
	type details struct {
		stub
		Children []child `json:"children"`
	}
	list := make([]any, len(ids))
	for i, text := range ids {
		list[i] = stub{text, 9}
		id, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			continue
		}
		if set, ok := findCollection(id); ok {
			d := details{stub{text, 1}, []child{}}
			for n, kid := range set.children {
				entry := child{ID: strconv.FormatUint(kid, 10), Order: n + 1}
				if _, nested := findCollection(kid); nested {
					entry.FileType = 2
				}
				d.Children = append(d.Children, entry)
			}
			list[i] = d
		} else if _, _, known := c.item(id); known && id%2 == 1 {
			list[i] = stub{text, 1} // an item: some answer 9, some 1 without children
		}
	}
	writeJSON(rw, map[string]any{"response": map[string]any{"result": 1, "resultcount": len(list), "collectiondetails": list}})
}

// upToDate compares the digits of a version with those of the game.
func (w *Web) upToDate(rw http.ResponseWriter, q url.Values, _ WorkshopControl, _ func(string) string) {
	if q.Get("appid") != strconv.Itoa(gameApp) || q.Get("version") == "" {
		page(rw, http.StatusBadRequest, "Bad Request", "Please verify that all required parameters are being sent")
		return
	}
	current := strings.ReplaceAll(gameVersion, ".", "")
	answer := map[string]any{"success": true, "up_to_date": true, "version_is_listable": true}
	if q.Get("version") != current {
		required, _ := strconv.Atoi(current) // digits only
		answer = map[string]any{
			"success": true, "up_to_date": false, "version_is_listable": false,
			"required_version": required, "message": "Your server is out of date, please upgrade",
		}
	}
	writeJSON(rw, map[string]any{"response": answer})
}
