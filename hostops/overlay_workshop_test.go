package hostops

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// serveWorkshop makes h's Steam a server that has the given files as items, by
// number, and the given collections.
func serveWorkshop(t *testing.T, h *Host, files map[string][]byte, lists map[string][]string) {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	entry := func(id string) map[string]any {
		if data, ok := files[id]; ok {
			return map[string]any{
				"publishedfileid": id, "result": 1, "consumer_app_id": 550, "filename": "x.vpk", "file_size": len(data), "file_url": server.URL + "/" + id,
				"hcontent_file": fmt.Sprint(crc32.ChecksumIEEE(data)), "title": "Item " + id, "time_updated": 1350000000,
			}
		}
		return map[string]any{"publishedfileid": id, "result": 9}
	}
	mux.HandleFunc("POST /ISteamRemoteStorage/{method}/v1/", func(w http.ResponseWriter, r *http.Request) {
		var entries []any
		for i := 0; ; i++ {
			id := r.PostFormValue(fmt.Sprintf("publishedfileids[%d]", i))
			if id == "" {
				break
			}
			var kids []any
			for _, kid := range lists[id] {
				kids = append(kids, map[string]any{"publishedfileid": kid, "filetype": min(len(lists[kid]), 1) * 2})
			}
			switch {
			case r.PathValue("method") == "GetPublishedFileDetails":
				entries = append(entries, entry(id))
			case kids != nil:
				entries = append(entries, map[string]any{"publishedfileid": id, "result": 1, "children": kids})
			}
		}
		key := map[string]string{"GetPublishedFileDetails": "publishedfiledetails", "GetCollectionDetails": "collectiondetails"}[r.PathValue("method")]
		if entries == nil {
			entries = []any{}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"response": map[string]any{"result": 1, key: entries}}) // a client that went away
	})
	mux.HandleFunc("GET /{id}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(files[r.PathValue("id")])))
	})
	h.SteamAPI, h.WorkshopHosts = server.URL, []string{strings.TrimPrefix(server.URL, "http://")}
}

// campaignVPK is an add-on with one map and its mission.
func campaignVPK(name string) []byte {
	mission := fmt.Sprintf(`"mission" { "Name" %q "DisplayTitle" %q "modes" { "coop" { "1" { "Map" "%s_1" "DisplayName" "One" } } } }`, name, name, name)
	var tree, data []byte
	for _, f := range [][4]string{{"txt", "missions", name, mission}, {"bsp", "maps", name + "_1", "VBSP"}} {
		tree = append(tree, f[0]+"\x00"+f[1]+"\x00"+f[2]+"\x00"...)
		tree = binary.LittleEndian.AppendUint32(tree, crc32.ChecksumIEEE([]byte(f[3])))
		tree = append(tree, 0, 0, 0xff, 0x7f)
		tree = binary.LittleEndian.AppendUint32(tree, uint32(len(data)))
		tree = binary.LittleEndian.AppendUint32(tree, uint32(len(f[3])))
		tree = append(tree, 0xff, 0xff, 0, 0)
		data = append(data, f[3]...)
	}
	tree = append(tree, 0)
	head := binary.LittleEndian.AppendUint32([]byte("\x34\x12\xaa\x55\x01\x00\x00\x00"), uint32(len(tree)))
	return slices.Concat(head, tree, data)
}

// From a collection on Steam to a version: one link for each good item, a finding
// for each other.
func TestWorkshopOverlay(t *testing.T) {
	h, _, rec := newHost(t)
	files := map[string][]byte{"101": campaignVPK("yama"), "102": campaignVPK("blood"), "103": []byte("PK\x03\x04 disguised")}
	serveWorkshop(t, h, files, map[string][]string{"777": {"101", "778", "103"}, "778": {"102", "777", "404"}})
	spec := ctl.OverlaySpec{Kind: ctl.OverlayWorkshop, Items: []string{"777", "102"}, Fetch: true}
	if _, err := h.BuildOverlay(t.Context(), 5, spec); err != nil {
		t.Fatalf("%v\n%s", err, rec.text())
	}
	told := versionsTold(rec)
	if len(told) != 1 {
		t.Fatalf("versions: %+v", told)
	}
	v := told[0]
	var ids, codes []string
	for _, it := range v.Items {
		ids = append(ids, it.ID)
		if it.Path != "left4dead2/addons/"+it.ID+".vpk" || it.Stamp == "" || it.Title != "Item "+it.ID {
			t.Errorf("item: %+v", it)
		}
	}
	for _, f := range v.Findings {
		codes = append(codes, f.Item+" "+f.Code)
	}
	slices.Sort(codes)
	if got := strings.Join(ids, " "); got != "101 102" {
		t.Errorf("items %s, want 101 102", got)
	}
	if got := strings.Join(codes, ", "); got != "103 vpk.disguised, 404 workshop.missing" {
		t.Errorf("findings: %s", got)
	}
	if len(v.Campaigns) != 2 || v.Files != 2 {
		t.Errorf("version: %+v", v)
	}
	for _, id := range []string{"101", "102"} {
		var here, there unix.Stat_t
		newest, err := h.workshopStore().Newest(id)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(unix.Stat(h.path("overlays/5/v1/left4dead2/addons", id+".vpk"), &here), unix.Stat(h.workshopStore().File(id, newest.Stamp), &there)); err != nil {
			t.Fatal(err)
		}
		if here.Ino != there.Ino || here.Nlink != 2 {
			t.Errorf("item %s is not a link to the store: %+v", id, here)
		}
	}

	// What is there needs no Steam, an administrator lets the refused one in, and
	// Steam's absence keeps no overlay from being built.
	newest, err := h.workshopStore().Newest("103")
	if err != nil {
		t.Fatal(err)
	}
	h.SteamAPI = "http://127.0.0.1:1"
	spec.Fetch, spec.Admit = false, []string{newest.SHA256}
	if _, err := h.BuildOverlay(t.Context(), 5, spec); err != nil {
		t.Fatal(err)
	}
	told = versionsTold(rec)
	if v := told[len(told)-1]; v.Number != 2 || v.Added != 1 || len(v.Items) != 3 {
		t.Errorf("version with the admitted file: %+v", v)
	}
	if _, err := h.BuildOverlay(t.Context(), 5, spec); err != nil {
		t.Fatal(err)
	}
	told = versionsTold(rec)
	if v := told[len(told)-1]; !v.Same || v.Number != 2 {
		t.Errorf("the same again: %+v", v)
	}
}

// An item that Steam takes away stays in the overlay, with a finding.
func TestWorkshopOverlayKeepsWhatIsGone(t *testing.T) {
	h, _, rec := newHost(t)
	files := map[string][]byte{"101": campaignVPK("yama")}
	serveWorkshop(t, h, files, nil)
	spec := ctl.OverlaySpec{Kind: ctl.OverlayWorkshop, Items: []string{"101"}, Fetch: true}
	if _, err := h.BuildOverlay(t.Context(), 5, spec); err != nil {
		t.Fatal(err)
	}
	delete(files, "101")
	spec.Items = append(spec.Items, "102")
	files["102"] = campaignVPK("blood")
	if _, err := h.BuildOverlay(t.Context(), 5, spec); err != nil {
		t.Fatal(err)
	}
	told := versionsTold(rec)
	v := told[len(told)-1]
	if v.Number != 2 || len(v.Items) != 2 || !slices.ContainsFunc(v.Findings, func(f ctl.Finding) bool { return f.Code == "workshop.gone" && f.Item == "101" }) {
		t.Errorf("version: %+v", v)
	}
}

// Nothing is published when none of the items is there: a server would lose all.
func TestWorkshopOverlayOfNothing(t *testing.T) {
	h, _, _ := newHost(t)
	serveWorkshop(t, h, map[string][]byte{"103": []byte("Rar!\x1a\x07")}, nil)
	if _, err := h.WorkshopFetch(t.Context(), []string{"103"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	for items, says := range map[string]string{"101": "fetch it first, with l4d2ctl workshop fetch 101", "103": "RAR"} {
		_, err := h.BuildOverlay(t.Context(), 5, ctl.OverlaySpec{Kind: ctl.OverlayWorkshop, Items: []string{items}})
		if !errors.Is(err, ctl.ErrContent) || !strings.Contains(err.Error(), says) {
			t.Errorf("overlay of %s: %v, want …%s…", items, err, says)
		}
	}
	if found, err := filepath.Glob(h.path("overlays/5/*")); err != nil || len(found) > 0 {
		t.Errorf("left behind: %v, %v", found, err)
	}
	// An overlay that is meant to be empty is.
	if _, err := h.BuildOverlay(t.Context(), 5, ctl.OverlaySpec{Kind: ctl.OverlayWorkshop}); err != nil {
		t.Error(err)
	}
}
