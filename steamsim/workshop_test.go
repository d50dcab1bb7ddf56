package steamsim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// shop is the workshop behind a real listener, with a control that a test may
// change at any time.
type shop struct {
	*testing.T
	url string

	mu      sync.Mutex
	current Control
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{T: t, current: Control{Speed: SpeedInstant}}
	server := httptest.NewServer(NewWeb(func() (Control, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.current, s.current.Workshop.check()
	}))
	server.Config.ErrorLog = nil
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *shop) control(c WorkshopControl) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current.Workshop = c
}

// item makes one item what change says.
func (s *shop) item(id uint64, change ItemControl) {
	s.control(WorkshopControl{Items: map[string]ItemControl{strconv.FormatUint(id, 10): change}})
}

// do sends a request and does not follow redirects. The body is read as far as
// it comes; the error is that of reading it.
func (s *shop) do(method, path, body string, header ...string) (*http.Response, []byte, error) {
	s.Helper()
	if strings.HasPrefix(path, "/") {
		path = s.url + path
	}
	req, err := http.NewRequestWithContext(s.Context(), method, path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // read as far as wanted
	got, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	return resp, got, err
}

func (s *shop) get(path string, header ...string) (*http.Response, []byte) {
	s.Helper()
	resp, body, err := s.do(http.MethodGet, path, "", header...)
	if err != nil {
		s.Fatalf("GET %s: %v", path, err)
	}
	return resp, body
}

func form(count string, ids ...any) string {
	v := url.Values{count: {strconv.Itoa(len(ids))}}
	for i, id := range ids {
		v.Set(fmt.Sprintf("publishedfileids[%d]", i), fmt.Sprint(id))
	}
	return v.Encode()
}

const (
	detailsPath     = "/ISteamRemoteStorage/GetPublishedFileDetails/v1/"
	collectionsPath = "/ISteamRemoteStorage/GetCollectionDetails/v1/"
)

// answer is either answer of the Web API.
type answer struct {
	Response struct {
		Result  int              `json:"result"`
		Count   int              `json:"resultcount"`
		Details []map[string]any `json:"publishedfiledetails"`
		Sets    []map[string]any `json:"collectiondetails"`
	} `json:"response"`
}

func (s *shop) ask(path, body string) answer {
	s.Helper()
	resp, got, err := s.do(http.MethodPost, path, body)
	var a answer
	if err != nil || resp.StatusCode != 200 || json.Unmarshal(got, &a) != nil || a.Response.Result != 1 {
		s.Fatalf("POST %s %s: %s, %v\n%s", path, body, resp.Status, err, got)
	}
	return a
}

func (s *shop) details(ids ...any) []map[string]any {
	s.Helper()
	a := s.ask(detailsPath, form("itemcount", ids...))
	if a.Response.Count != len(ids) || len(a.Response.Details) != len(ids) {
		s.Fatalf("asked for %d items, got %+v", len(ids), a)
	}
	return a.Response.Details
}

func (s *shop) fileURL(id uint64) string {
	s.Helper()
	return fmt.Sprint(s.details(id)[0]["file_url"])
}

func TestDetailsOfItems(t *testing.T) {
	s := newShop(t)
	list := s.details(3100000001, 55, "nonsense", uint64(starterSet))
	d := list[0]
	for key, want := range map[string]any{
		"publishedfileid": "3100000001", "result": 1.0, "creator_app_id": 550.0, "consumer_app_id": 550.0, "title": "Rust Harbor",
		"filename": "rustharbor1.vpk", "visibility": 0.0, "banned": 0.0,
	} {
		if d[key] != want {
			t.Errorf("%s: got %v, want %v", key, d[key], want)
		}
	}
	if d["time_updated"].(float64)-d["time_created"].(float64) != 86400 {
		t.Errorf("times: %v, %v", d["time_created"], d["time_updated"])
	}
	for _, of := range list[1:3] {
		if len(of) != 2 || of["result"] != 9.0 {
			t.Errorf("an unknown item: %v", of)
		}
	}
	if set := list[3]; set["creator_app_id"] != 766.0 || set["file_url"] != "" || set["title"] != "Five small campaigns" {
		t.Errorf("a collection among items: %v", set)
	}
	_, body := s.get(fmt.Sprint(d["file_url"]))
	if size := fmt.Sprintf("%.0f", asNumber(t, d["file_size"])); size != strconv.Itoa(len(body)) || !strings.HasPrefix(string(body), "\x34\x12\xaa\x55") {
		t.Errorf("file_size %s, the file has %d bytes and begins with %q", size, len(body), body[:8])
	}
}

func asNumber(t *testing.T, v any) float64 {
	t.Helper()
	if text, ok := v.(string); ok {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	return v.(float64)
}

func TestSizesAreNumbersAndStrings(t *testing.T) {
	s := newShop(t)
	kinds := map[string]int{}
	for _, d := range s.details(firstMade, firstMade+1, firstMade+2, firstMade+3, firstMade+4, firstMade+5, firstMade+6, firstMade+7) {
		kinds[fmt.Sprintf("%T", d["file_size"])]++
	}
	if len(kinds) != 2 {
		t.Errorf("file_size comes as %v only", kinds)
	}
}

func TestRequestsThatSteamRefuses(t *testing.T) {
	s := newShop(t)
	for name, tt := range map[string]struct {
		method, path, body string
		status             int
	}{
		"GET":             {"GET", detailsPath, "", 405},
		"no fields":       {"POST", detailsPath, "", 400},
		"no count":        {"POST", detailsPath, "publishedfileids[0]=3100000001", 400},
		"count too large": {"POST", detailsPath, "itemcount=2&publishedfileids[0]=3100000001", 400},
		"count too small": {"POST", detailsPath, "itemcount=1&publishedfileids[0]=3100000001&publishedfileids[1]=3100000002", 400},
		"the other count": {"POST", detailsPath, "collectioncount=1&publishedfileids[0]=3100000001", 400},
		"a gap":           {"POST", collectionsPath, "collectioncount=2&publishedfileids[0]=1&publishedfileids[2]=2", 400},
		"unknown call":    {"POST", "/ISteamRemoteStorage/GetEverything/v1/", "", 404},
		"no version":      {"GET", "/ISteamApps/UpToDateCheck/v1/?appid=550", "", 400},
	} {
		resp, body, err := s.do(tt.method, tt.path, tt.body)
		if err != nil || resp.StatusCode != tt.status || json.Valid(body) {
			t.Errorf("%s: %s, %v: %s", name, resp.Status, err, body)
		}
	}
}

func TestCollections(t *testing.T) {
	s := newShop(t)
	sets := s.ask(collectionsPath, form("collectioncount", nestedSet, 3100000002, 3100000001, 55, emptySet)).Response.Sets
	if kids := fmt.Sprint(sets[0]["children"]); kids != "[map[filetype:2 publishedfileid:3200000001 sortorder:1] map[filetype:0 publishedfileid:3100000002 sortorder:2] map[filetype:0 publishedfileid:3100000011 sortorder:3] map[filetype:0 publishedfileid:121086524 sortorder:4]]" {
		t.Errorf("children: %s", kids)
	}
	for i, want := range []string{"map[publishedfileid:3100000002 result:9]", "map[publishedfileid:3100000001 result:1]", "map[publishedfileid:55 result:9]", "map[children:[] publishedfileid:3200000005 result:1]"} {
		if got := fmt.Sprint(sets[i+1]); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// walk resolves a collection as a client does.
func (s *shop) walk(id uint64) (items []uint64, depth int, cyclic bool) {
	seen, level := map[uint64]bool{id: true}, []uint64{id}
	for ; len(level) > 0; depth++ {
		var next []uint64
		for _, set := range level {
			kids, _ := s.ask(collectionsPath, form("collectioncount", set)).Response.Sets[0]["children"].([]any)
			for _, k := range kids {
				kid := k.(map[string]any)
				n, _ := strconv.ParseUint(kid["publishedfileid"].(string), 10, 64)
				switch {
				case seen[n]:
					cyclic = cyclic || kid["filetype"] == 2.0
				case kid["filetype"] == 2.0:
					next = append(next, n)
				default:
					items = append(items, n)
				}
				seen[n] = true
			}
		}
		level = next
	}
	return items, depth, cyclic
}

func TestTheBigCollection(t *testing.T) {
	s := newShop(t)
	items, depth, cyclic := s.walk(bigSet)
	if len(items) != 120 || depth != 3 || !cyclic {
		t.Errorf("%d items, %d deep, cyclic: %v; want 120, 3, true", len(items), depth, cyclic)
	}
	var ask []any
	for _, id := range items {
		ask = append(ask, id)
	}
	total, faulty := 0.0, map[string]bool{}
	for i, d := range s.details(ask...) {
		if it, _ := findItem(items[i], 1); len(it.faults) > 0 {
			faulty[it.faults[0]] = true
			continue
		}
		total += asNumber(t, d["file_size"])
	}
	if total < 1.95e9 || total > 2.1e9 || len(faulty) != 5 {
		t.Errorf("%.0f bytes in good items, want about 2 GB; faults: %v, want five", total, faulty)
	}
	if items, depth, _ := s.walk(deepSet); depth != deepLevels || len(items) != deepLevels {
		t.Errorf("the deep collection: %d levels, %d items", depth, len(items))
	}
	if items, _, cyclic := s.walk(cyclicSet); len(items) != 2 || !cyclic {
		t.Errorf("the cyclic collection: %d items, cyclic: %v", len(items), cyclic)
	}
	if items, _, _ := s.walk(firstSet + 499); len(items) != 500 {
		t.Errorf("the set of 500 has %d", len(items))
	}
}

func TestFaultsOfTheWebAPI(t *testing.T) {
	s := newShop(t)
	for fault, check := range map[string]func(*http.Response, []byte, error) bool{
		"rate_limited": func(r *http.Response, _ []byte, _ error) bool {
			return r.StatusCode == 429 && r.Header.Get("Retry-After") == "7"
		},
		"server_error": func(r *http.Response, _ []byte, _ error) bool { return r.StatusCode == 503 },
		"bad_request":  func(r *http.Response, _ []byte, _ error) bool { return r.StatusCode == 400 },
		"html": func(r *http.Response, b []byte, _ error) bool {
			return r.StatusCode == 200 && strings.HasPrefix(string(b), "<html>")
		},
		"empty_body": func(r *http.Response, b []byte, _ error) bool { return r.StatusCode == 200 && len(b) == 0 },
		"not_json":   func(r *http.Response, b []byte, _ error) bool { return r.StatusCode == 200 && !json.Valid(b) },
		"truncated": func(r *http.Response, b []byte, err error) bool {
			return r.StatusCode == 200 && errors.Is(err, io.ErrUnexpectedEOF)
		},
	} {
		s.control(WorkshopControl{API: APIControl{Fault: fault, Count: 2, RetryAfter: 7}})
		for range 2 {
			if r, b, err := s.do("POST", detailsPath, form("itemcount", 3100000001)); !check(r, b, err) {
				t.Errorf("%s: %s, %v: %s", fault, r.Status, err, b)
			}
		}
		s.details(3100000001) // a burst of two has passed
	}
}

func TestFaultsInDetails(t *testing.T) {
	s := newShop(t)
	for fault, want := range map[string]string{
		"removed": "9", "failed": "2", "invalid": "8", "denied": "15", "timeout": "16", "banned": "17",
	} {
		d := s.details(faultyID(fault))[0]
		if len(d) != 2 || fmt.Sprint(d["result"]) != want {
			t.Errorf("%s: %v", fault, d)
		}
	}
	if d := s.details(faultyID("no_url"))[0]; d["file_url"] != "" || d["result"] != 1.0 {
		t.Errorf("no_url: %v", d)
	}
	d := s.details(faultyID("preview_url"))[0]
	if d["file_url"] != d["preview_url"] || !strings.HasSuffix(d["filename"].(string), ".jpg") {
		t.Errorf("preview_url: %v", d)
	}
	if d := s.details(faultyID("wrong_app"))[0]; d["consumer_app_id"] == 550.0 {
		t.Errorf("wrong_app: %v", d)
	}
	if d := s.details(faultyID("huge"))[0]; asNumber(t, d["file_size"]) < 5e11 {
		t.Errorf("huge: %v", d)
	}
	d = s.details(faultyID("size_wrong"))[0]
	if resp, _, _ := s.do("HEAD", fmt.Sprint(d["file_url"]), ""); float64(resp.ContentLength) >= asNumber(t, d["file_size"]) {
		t.Errorf("size_wrong: the file has %d bytes: %v", resp.ContentLength, d)
	}
}

func TestUpToDateCheck(t *testing.T) {
	s := newShop(t)
	_, now := s.get("/ISteamApps/UpToDateCheck/v1/?appid=550&version=2243")
	_, old := s.get("/ISteamApps/UpToDateCheck/v1?appid=550&version=2242")
	if !strings.Contains(string(now), `"up_to_date":true`) || !strings.Contains(string(old), `"required_version":2243`) {
		t.Errorf("got %s and %s", now, old)
	}
}

func TestPreviewsAreImages(t *testing.T) {
	s := newShop(t)
	kinds := map[string]int{}
	for id := range uint64(12) {
		_, b := s.get(fmt.Sprint(s.details(firstMade + id)[0]["preview_url"]))
		config, kind, err := image.DecodeConfig(bytes.NewReader(b))
		if err != nil || config.Width != 268 || len(b) > 100<<10 {
			t.Fatalf("%d bytes, %+v, %v", len(b), config, err)
		}
		kinds[kind]++
	}
	if kinds["png"] == 0 || kinds["jpeg"] == 0 {
		t.Errorf("kinds of images: %v", kinds)
	}
}

// An update is another file at another address; the older one stays.
func TestUpdatedItem(t *testing.T) {
	s := newShop(t)
	const id = 3100000006
	before := s.details(id)[0]
	s.item(id, ItemControl{Revision: 2})
	after := s.details(id)[0]
	if after["time_updated"].(float64) <= before["time_updated"].(float64) || before["hcontent_file"] == after["hcontent_file"] || before["file_url"] == after["file_url"] || before["time_created"] != after["time_created"] {
		t.Errorf("before %v\nafter %v", before, after)
	}
	_, one := s.get(fmt.Sprint(before["file_url"]))
	_, two := s.get(fmt.Sprint(after["file_url"]))
	if bytes.Equal(one, two) || asNumber(t, before["file_size"]) != float64(len(one)) || asNumber(t, after["file_size"]) != float64(len(two)) {
		t.Errorf("files of %d and %d bytes", len(one), len(two))
	}
}

func TestControlRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, text := range []string{
		`{"workshop":{"api":{"fault":"tired"}}}`, `{"workshop":{"items":{"5":{"faults":["odd"]}}}}`, `{"workshop":{"items":{"x":{}}}}`, `{"workshop":{"item":{}}}`,
	} {
		if _, err := parseControl([]byte(text)); err == nil {
			t.Errorf("took %s", text)
		}
	}
	if _, err := parseControl([]byte(`{"workshop":{"items":{"5":{"faults":["slow"],"count":2}},"rate":5000}}`)); err != nil {
		t.Error(err)
	}
}

// unpack reads a VPK the way the format says, with nothing of vpk.go, and checks
// every sum.
func unpack(t *testing.T, b []byte) map[string][]byte {
	t.Helper()
	if len(b) < 12 || binary.LittleEndian.Uint32(b) != 0x55AA1234 {
		t.Fatalf("no VPK: %q", b[:min(len(b), 16)])
	}
	head := map[uint32]int{1: 12, 2: 28}[binary.LittleEndian.Uint32(b[4:])]
	tree := b[head : head+int(binary.LittleEndian.Uint32(b[8:]))]
	data := b[head+len(tree):]
	word := func() string {
		i := bytes.IndexByte(tree, 0)
		if i < 0 {
			t.Fatal("the tree ends early")
		}
		s := string(tree[:i])
		tree = tree[i+1:]
		return s
	}
	files := map[string][]byte{}
	for ext := word(); ext != ""; ext = word() {
		for dir := word(); dir != ""; dir = word() {
			for base := word(); base != ""; base = word() {
				off, n := binary.LittleEndian.Uint32(tree[8:]), binary.LittleEndian.Uint32(tree[12:])
				if index, end := binary.LittleEndian.Uint16(tree[6:]), binary.LittleEndian.Uint16(tree[16:]); index != 0x7FFF || end != 0xFFFF || int(off+n) > len(data) {
					t.Fatalf("%s/%s.%s: index %x, end %x, %d bytes at %d of %d", dir, base, ext, index, end, n, off, len(data))
				}
				content := data[off : off+n]
				if sum := binary.LittleEndian.Uint32(tree); sum != crc32.ChecksumIEEE(content) {
					t.Fatalf("%s/%s.%s: sum %08x is wrong", dir, base, ext, sum)
				}
				files[strings.TrimPrefix(dir+"/", " /")+base+"."+ext] = content
				tree = tree[18:]
			}
		}
	}
	if len(tree) > 0 {
		t.Fatalf("%d bytes behind the tree", len(tree))
	}
	return files
}

func TestItemsAreRealVPKs(t *testing.T) {
	for _, known := range wellKnown {
		it, _ := findItem(known.id, 1)
		if it.size > 30<<20 {
			continue
		}
		b, err := io.ReadAll(it.content().reader())
		if err != nil {
			t.Fatal(err)
		}
		files := unpack(t, b)
		if files["addoninfo.txt"] == nil {
			t.Errorf("%d has no addoninfo.txt", it.id)
		}
		for _, m := range it.missions {
			text := string(files["missions/"+m.name+".txt"])
			for _, name := range m.maps {
				if !strings.HasPrefix(string(files["maps/"+name+".bsp"]), "VBSP\x15") || !strings.Contains(text, `"`+name+`"`) {
					t.Errorf("%d: map %s", it.id, name)
				}
			}
		}
		if diff := int64(len(b)) - it.size; diff > it.size/5 || diff < -it.size/5 {
			t.Errorf("%d: %d bytes, meant to be about %d", it.id, len(b), it.size)
		}
	}
	for id, want := range map[uint64]string{3100000008: "scripts/vscripts/mapspawn_addon.nut", 3100000010: "materials/\xd0\xd2\xb4\xe6\xd5\xdf/a.vmt"} {
		it, _ := findItem(id, 1)
		b, _ := io.ReadAll(it.content().reader())
		if unpack(t, b)[want] == nil {
			t.Errorf("%d lacks %q", id, want)
		}
	}
}

// Reading in any pieces gives the same bytes, and the computed sum is theirs.
func TestBlob(t *testing.T) {
	b := new(blob)
	b.add([]byte("head"))
	b.addNoise(newNoise(7), 5*noiseBlock+123)
	b.add([]byte("tail"))
	whole, err := io.ReadAll(b.reader())
	if err != nil || int64(len(whole)) != b.size || b.crc() != crc32.ChecksumIEEE(whole) {
		t.Fatalf("%d of %d bytes, %v; sum %08x, want %08x", len(whole), b.size, err, b.crc(), crc32.ChecksumIEEE(whole))
	}
	for _, piece := range []int{1000, 16, noiseBlock - 1, noiseBlock + 5} {
		got := make([]byte, 0, len(whole))
		buf := make([]byte, piece)
		for off := int64(0); off < b.size; off += int64(piece) {
			n, err := b.ReadAt(buf, off)
			if n < piece && !errors.Is(err, io.EOF) {
				t.Fatalf("%d of %d bytes at %d: %v", n, piece, off, err)
			}
			got = append(got, buf[:n]...)
		}
		if !bytes.Equal(got, whole) {
			t.Errorf("pieces of %d differ from the whole", piece)
		}
	}
	seen := map[[32]byte]bool{}
	for i := range 5 {
		seen[sha256.Sum256(whole[4+i*noiseBlock:4+(i+1)*noiseBlock])] = true
	}
	if len(seen) != 5 {
		t.Error("two blocks of noise are alike")
	}
}

func TestFaultNamesAreComplete(t *testing.T) {
	names := FaultNames()
	slices.Sort(names)
	if len(slices.Compact(names)) != len(faultNames) {
		t.Error("a fault is listed twice")
	}
	for fault := range resultOf {
		if faultyID(fault) == 0 {
			t.Errorf("%s is no fault", fault)
		}
	}
	for fault := range steamcmdSays {
		if faultyID(fault) == 0 {
			t.Errorf("%s is no fault", fault)
		}
	}
	for _, c := range fixedCollections {
		if slices.Contains(c.children, 0) {
			t.Errorf("%s names an unknown fault", c.title)
		}
	}
}
