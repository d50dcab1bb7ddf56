package webui

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"left4me/hostops/ctl"
	"left4me/models"
	"left4me/models/modelstest"
)

// whole uploads a file in one part.
func (u *uploader) whole(dir, name, text string) {
	u.t.Helper()
	up := u.state(u.post(u.at+"/uploads", url.Values{"dir": {dir}, "name": {name}, "size": {fmt.Sprint(len(text))}, "archives": {"place"}}), 200)
	if len(text) > 0 {
		u.state(u.put(up.ID, 0, strings.NewReader(text)), 200)
	}
}

func (u *uploader) entry(path string) answer {
	u.t.Helper()
	return u.get(u.at + "/files/entry?path=" + url.QueryEscape(path))
}

// tokenOf is what the editor of a file sends back.
func (u *uploader) tokenOf(path string) string {
	u.t.Helper()
	page := u.entry(path)
	page.want(u.t, 200)
	_, rest, ok := strings.Cut(page.Text, `name="token" value="`)
	if !ok {
		u.t.Fatalf("%s has no editor:\n%s", path, clip(page.Text, 3000))
	}
	token, _, _ := strings.Cut(rest, `"`)
	return token
}

func (u *uploader) save(path, token, text string) answer {
	u.t.Helper()
	return u.post(u.at+"/files/save", url.Values{"path": {path}, "token": {token}, "text": {text}})
}

func (u *uploader) download(path string, headers ...string) answer {
	u.t.Helper()
	return u.get(u.at+"/files/download?path="+url.QueryEscape(path), headers...)
}

func TestFilesOverlayPage(t *testing.T) {
	u, h := newUploader(t)
	u.get(u.at).want(t, 200, "Nothing here yet.", "nothing to publish", `type="file"`, `for="u-file"`)
	h.publish(u.s, u.o, 1, map[string]string{"left4dead2/cfg/server.cfg": "sv_alltalk 1\n", "left4dead2/cfg/motd.txt": "hello", "readme.txt": "r"})
	u.whole("left4dead2/cfg", "new.cfg", "x")
	u.whole("", "pack.zip", "PK")
	u.post(u.at+"/files/delete", url.Values{"path": {"readme.txt"}}).want(t, 200, "Delete “readme.txt”?", `name="path" value="readme.txt"`)
	u.post(u.at+"/files/delete", url.Values{"path": {"readme.txt"}, "sure": {"yes"}}).want(t, 303)
	u.get(u.at).want(t, 200, "left4dead2/", "Changed inside", "Deleted", "Unpacks", "will be unpacked where its content belongs", "3 changes")
	u.get(u.at+"?dir=left4dead2/cfg").want(t, 200, "new.cfg", "New", "server.cfg", "13 B")
	for _, dir := range []string{"nowhere", "../..", "readme.txt", "left4dead2/cfg/server.cfg", "/", "left4dead2/"} {
		u.get(u.at+"?dir="+url.QueryEscape(dir)).want(t, 404)
	}
	u.post(u.at+"/files/move", url.Values{"path": {"left4dead2/cfg/motd.txt"}, "target": {"left4dead2/cfg/server.cfg"}}).want(t, 422, "already. Rename or delete it first.")
	u.post(u.at+"/files/move", url.Values{"path": {"left4dead2/cfg/motd.txt"}, "target": {"../motd.txt"}}).want(t, 422, "single slashes")
	u.post(u.at+"/files/move", url.Values{"path": {"left4dead2"}, "target": {"left4dead2/sub"}}).want(t, 422, "cannot be moved into itself")
	u.post(u.at+"/files/move", url.Values{"path": {"nowhere"}, "target": {"x"}}).want(t, 422, "There is no “nowhere” any more.")
	u.post(u.at+"/files/move", url.Values{"path": {"left4dead2/cfg/motd.txt"}, "target": {"left4dead2/motd.txt"}}).want(t, 303)
	u.post(u.at+"/files/folder", url.Values{"dir": {"left4dead2"}, "name": {"cfg"}, "kind": {"folder"}}).want(t, 422, "There is a “left4dead2/cfg” already.")
	u.post(u.at+"/files/folder", url.Values{"dir": {"left4dead2"}, "name": {"addons"}, "kind": {"folder"}}).want(t, 303)
	if got := u.post(u.at+"/files/folder", url.Values{"name": {"a/b.cfg"}, "kind": {"file"}}).Header.Get("Location"); !strings.HasSuffix(got, "/files/entry?path=a%2Fb.cfg") {
		t.Errorf("a new text file leads to %q", got)
	}
	want := []string{"put left4dead2/cfg/new.cfg", "unpack", "delete readme.txt", "move left4dead2/cfg/motd.txt left4dead2/motd.txt", "mkdir left4dead2/addons"}
	if got := u.draft(); !slices.Equal(got, want) {
		t.Errorf("the draft has %q, want %q: what was refused must not be in it", got, want)
	}
	u.get(u.at+"?dir=left4dead2").want(t, 200, "Moved", "from left4dead2/cfg/motd.txt", "addons/")
}

// A change that no longer makes sense is said, and can be taken out.
func TestChangesThatCannotBeMade(t *testing.T) {
	u, h := newUploader(t)
	u.whole("", "a", "text")
	u.whole("a", "b", "more") // a is a file
	u.get(u.at).want(t, 200, "A change cannot be made:", "There is a file called “a” where a folder is needed.")
	list, err := models.DraftChanges(context.Background(), u.s.db, u.o.ID)
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	u.post(u.at+"/draft/remove", url.Values{"change": {fmt.Sprint(list[1].Seq)}}).want(t, 303)
	if page := u.get(u.at); strings.Contains(page.Text, "cannot be made") {
		t.Error("it is still there")
	}
	u.post(u.at+"/draft/drop", nil).want(t, 200, "Throw the draft away?", "1 change and the files")
	u.post(u.at+"/draft/drop", url.Values{"sure": {"yes"}}).want(t, 303)
	if got := u.draft(); len(got) != 0 {
		t.Errorf("left of the draft: %q", got)
	}
	if left, err := os.ReadDir(filepath.Join(h.Root, "uploads")); err != nil || len(left) != 0 {
		t.Errorf("the host still has %v, %v", left, err)
	}
	if ids, err := models.UploadIDs(context.Background(), u.s.db); err != nil || len(ids) != 0 {
		t.Errorf("rows of uploads are left: %v, %v", ids, err)
	}
}

func TestALargeFolderIsShownInPages(t *testing.T) {
	u, h := newUploader(t)
	files := map[string]string{}
	for i := range entriesPerPage + 1 {
		files[fmt.Sprintf("d/f%04d", i)] = ""
	}
	h.publish(u.s, u.o, 1, files)
	first, second := u.get(u.at+"?dir=d"), u.get(u.at+"?dir=d&page=2")
	first.want(t, 200, "f0000", "f0499", "Page 1 of 2, 501 entries")
	second.want(t, 200, "f0500", "Page 2 of 2")
	if strings.Contains(first.Text, "f0500") || strings.Contains(second.Text, "f0499") {
		t.Error("a page shows what belongs on another one")
	}
	u.get(u.at+"?dir=d&page=99").want(t, 200, "f0500")
}

// Of a shared overlay everybody sees what is published, and nobody but an
// administrator what is not.
func TestADraftIsItsMakersOwn(t *testing.T) {
	h := newHostFiles(t)
	s := newSite(t, func(c *Config) { c.Content = h })
	admin, me := modelstest.User(t, s.db, true), modelstest.User(t, s.db, false)
	o := modelstest.Overlay(t, s.db, nil, models.OverlayFiles)
	h.publish(s, o, 1, map[string]string{"public.cfg": "public"})
	boss, guest := &uploader{s.browser(admin), s, o, overlayPath(o.ID)}, &uploader{s.browser(me), s, o, overlayPath(o.ID)}
	boss.whole("", "secret.cfg", "hidden")
	boss.whole("", "public.cfg", "hidden")
	boss.get(boss.at).want(t, 200, "secret.cfg", "Publish")
	page := guest.get(guest.at)
	page.want(t, 200, "public.cfg")
	for _, secret := range []string{"secret.cfg", "Publish", "New text file", "2 changes", "Changed"} {
		if strings.Contains(page.Text, secret) {
			t.Errorf("a guest's page shows %q", secret)
		}
	}
	guest.entry("secret.cfg").want(t, 404)
	guest.download("secret.cfg").want(t, 404)
	guest.download("public.cfg").want(t, 200, "public")
	if got := guest.entry("public.cfg"); !strings.Contains(got.Text, "readonly") || strings.Contains(got.Text, "Save to the draft") {
		t.Error("a guest is offered to edit")
	}
	forms := map[string]url.Values{
		"/files/save": {"path": {"x"}}, "/files/folder": {"name": {"x"}}, "/files/move": {"path": {"public.cfg"}, "target": {"y"}},
		"/files/delete": {"path": {"public.cfg"}, "sure": {"yes"}}, "/uploads": {"name": {"x"}, "size": {"1"}},
		"/draft/publish": {}, "/draft/drop": {"sure": {"yes"}}, "/draft/remove": {"change": {"1"}}, "/files": {},
	}
	for path, form := range forms {
		guest.post(guest.at+path, form).want(t, 403, "only an administrator may change it")
	}
	if got := boss.draft(); len(got) != 2 {
		t.Errorf("the draft has %q", got)
	}
}

func TestEditingATextFile(t *testing.T) {
	u, h := newUploader(t)
	h.publish(u.s, u.o, 1, map[string]string{
		"crlf.cfg": "a\r\nb\r\n", "lf.cfg": "<a>\nb\n", "latin.cfg": "caf\xe9\n", "bin.dat": "a\x00b", "big.txt": strings.Repeat("x", maxText+1),
	})
	u.entry("lf.cfg").want(t, 200, "&lt;a&gt;\nb\n</textarea>", `for="e-text"`)
	u.entry("bin.dat").want(t, 200, "It is not a text")
	u.entry("big.txt").want(t, 200, "larger than 1 MB")
	u.entry("latin.cfg").want(t, 200, "café", "Shown as Latin-1")
	saved := func(path, text, want string) {
		t.Helper()
		u.save(path, u.tokenOf(path), text).want(t, 303)
		if got := u.download(path); got.Text != want {
			t.Errorf("%s saved as %q is %q, want %q", path, text, got.Text, want)
		}
	}
	saved("crlf.cfg", "c\r\nd\r\n", "c\r\nd\r\n")
	saved("lf.cfg", "c\r\nd\r\n", "c\nd\n")
	saved("latin.cfg", "th\u00e9\r\n", "th\xe9\n")
	saved("latin.cfg", "\u8336\r\n", "\u8336\n") // no Latin-1 has it
	saved("new/file.cfg", "one\r\ntwo", "one\ntwo")
	saved("empty.cfg", "", "")
	// Another change of the draft is no conflict, another content of the file is.
	token := u.tokenOf("lf.cfg")
	u.whole("", "other.cfg", "x")
	u.save("lf.cfg", token, "mine").want(t, 303)
	u.save("lf.cfg", token, "my second").want(t, 409, "was changed since you opened it", "my second</textarea>", u.tokenOf("lf.cfg"))
	u.save("fresh.cfg", "", "first").want(t, 303)
	u.save("fresh.cfg", "", "second").want(t, 409)
	if got := u.download("lf.cfg").Text; got != "mine" {
		t.Errorf("the refused text was saved: %q", got)
	}
	u.save("../x", "", "text").want(t, 422)
	u.save("new", "", "text").want(t, 422, "There is a folder called “new”", "text</textarea>")
	u.save("nul.cfg", "", "a\x00b").want(t, 422, "characters that are none")
	u.save("large.cfg", "", strings.Repeat("x", maxText+1)).want(t, 422, "larger than 1 MB")
	u.save("large.cfg", "", strings.Repeat("\n", maxText)).want(t, 303)
	u.save("large.cfg", "", strings.Repeat("x", 3*maxText+17<<10)).want(t, 413)
	uploads, err := models.UploadIDs(context.Background(), u.s.db)
	if err != nil || len(uploads) != len(u.draft()) {
		t.Errorf("%d uploads for %d changes (%v): what was refused left something behind", len(uploads), len(u.draft()), err)
	}
}

func TestDownloadsOfAFilesOverlay(t *testing.T) {
	u, h := newUploader(t)
	h.publish(u.s, u.o, 1, map[string]string{"d/a.txt": "0123456789", "d/sub/b.html": "<script>", "d/gone": "x", "top": "t"})
	u.whole("d", "new.txt", "new")
	u.post(u.at+"/files/delete", url.Values{"path": {"d/gone"}, "sure": {"yes"}}).want(t, 303)
	for _, name := range []string{"d/a.txt", "d/sub/b.html", "d/new.txt"} {
		got := u.download(name)
		got.want(t, 200)
		if hd := got.Header; hd.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(hd.Get("Content-Disposition"), "attachment") || hd.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s is sent with %v", name, hd)
		}
	}
	part := u.download("d/a.txt", "Range", "bytes=2-4")
	if part.StatusCode != http.StatusPartialContent || part.Text != "234" {
		t.Errorf("a range: %d %q", part.StatusCode, part.Text)
	}
	for _, name := range []string{"d/gone", "nowhere", "d/a.txt/x"} {
		u.download(name).want(t, 404)
	}
	for _, name := range []string{"../x", "/etc/passwd", "d/../top", `d\a.txt`} {
		u.download(name).want(t, 422)
	}
	u.download("a\x00").want(t, 404) // such an address leads nowhere
	if got := zipped(t, u.download("d")); !slices.Equal(got, []string{"a.txt 0123456789", "new.txt new", "sub/b.html <script>"}) {
		t.Errorf("the zip of a folder has %q", got)
	}
	if got := zipped(t, u.download("")); len(got) != 4 || got[3] != "top t" {
		t.Errorf("the zip of all has %q", got)
	}
	// What breaks off must not look whole.
	changes, err := models.DraftChanges(context.Background(), u.s.db, u.o.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.RemoveUpload(changes[0].UploadID); err != nil {
		t.Fatal(err)
	}
	h.publish(u.s, u.o, 2, map[string]string{"d/a.txt": strings.Repeat("x", 1<<20)})
	req, err := http.NewRequest(http.MethodGet, u.base+u.at+"/files/download?path=d", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.AddCookie(&http.Cookie{Name: u.name, Value: u.token})
	if res, err := u.client.Do(req); err == nil {
		defer func() { _ = res.Body.Close() }()
		if _, err := io.ReadAll(res.Body); err == nil {
			t.Error("a zip that lacks a file ends as if it were whole")
		}
	}
}

func zipped(t *testing.T, a answer) []string {
	t.Helper()
	a.want(t, 200)
	zr, err := zip.NewReader(bytes.NewReader([]byte(a.Text)), int64(len(a.Text)))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range zr.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f.Name+" "+string(raw))
	}
	return out
}

// What the gate refused stays on the page with its sentence.
func TestRefusedFilesStayOnThePage(t *testing.T) {
	u, h := newUploader(t)
	h.publish(u.s, u.o, 1, map[string]string{"a": "x"})
	report := `{"findings":[{"path":"left4dead2/addons/<b>.vpk","verdict":"refused","code":"vpk.disguised","sentence":"it is a ZIP archive"},{"path":"c","verdict":"warning","code":"x","sentence":"odd"}]}`
	if _, err := u.s.db.NewRaw("UPDATE overlay_versions SET report = ? WHERE overlay_id = ?", report, u.o.ID).Exec(context.Background()); err != nil {
		t.Fatal(err)
	}
	page := u.get(u.at)
	page.want(t, 200, "Not in version 1", "&lt;b&gt;.vpk", "It is a ZIP archive.")
	if strings.Contains(page.Text, "Odd.") {
		t.Error("a warning is listed among what was refused")
	}
}

// A version that the host does not have is said, not shown as empty.
func TestFilesOfAVersionThatIsGone(t *testing.T) {
	u, h := newUploader(t)
	h.publish(u.s, u.o, 1, map[string]string{"a": "x"})
	if err := os.RemoveAll(filepath.Join(h.Root, "overlays", fmt.Sprint(u.o.ID), "v1")); err != nil {
		t.Fatal(err)
	}
	u.get(u.at).want(t, 200, "The host does not have the files of version 1.")
	u.entry("a").want(t, 404)
	u.post(u.at+"/files/delete", url.Values{"path": {"a"}, "sure": {"yes"}}).want(t, 409)
}

func TestPagesWithoutTheHostsFiles(t *testing.T) {
	s := newSite(t)
	u := modelstest.User(t, s.db, false)
	o := modelstest.Overlay(t, s.db, u, models.OverlayFiles)
	s.browser(u).get(overlayPath(o.ID)).want(t, 200, "This web app does not see the host")
}

func TestScriptOverlay(t *testing.T) {
	s := newSite(t)
	me := modelstest.User(t, s.db, false)
	o := modelstest.Overlay(t, s.db, me, models.OverlayScript)
	br, at := s.browser(me), overlayPath(o.ID)
	br.get(at).want(t, 200, "Save and build", `for="s-script"`, "What a script has")
	script := func() string {
		t.Helper()
		now, err := models.OverlayByID(context.Background(), s.db, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		return now.Definition.Script
	}
	br.post(at+"/script", url.Values{"revision": {"1"}, "script": {"echo one\r\n</textarea><script>x"}, "do": {"save"}}).want(t, 303)
	if got := script(); got != "echo one\n</textarea><script>x" {
		t.Errorf("stored as %q", got)
	}
	if s.lastJob("overlay.build", me) != nil {
		t.Error("saving alone builds")
	}
	page := br.get(at)
	page.want(t, 200, "&lt;/textarea&gt;&lt;script&gt;x")
	br.post(at+"/script", url.Values{"revision": {"1"}, "script": {"echo lost?"}, "do": {"build"}}).want(t, 409, "Somebody else saved this script", "echo lost?</textarea>", `name="revision" value="2"`)
	br.post(at+"/script", url.Values{"revision": {"2"}, "script": {"a\x00"}, "do": {"build"}}).want(t, 422, "NUL character")
	br.post(at+"/script", url.Values{"revision": {"2"}, "script": {strings.Repeat("x", models.MaxScriptBytes+1)}, "do": {"build"}}).want(t, 422, "at most 256 KB")
	if s.lastJob("overlay.build", me) != nil || strings.Contains(script(), "lost") {
		t.Error("a refused form did something")
	}
	br.post(at+"/script", url.Values{"revision": {"2"}, "script": {"echo two"}, "do": {"build"}}).want(t, 303)
	j := s.lastJob("overlay.build", me)
	if j == nil || j.OverlayID != o.ID {
		t.Fatalf("no job builds: %+v", j)
	}
	br.get(at).want(t, 200, "Log of the build", fmt.Sprintf(`data-log="job:%d"`, j.ID), fmt.Sprintf("overlay:%d,job:%d", o.ID, j.ID), "Waiting")
	files := modelstest.Overlay(t, s.db, me, models.OverlayFiles)
	br.post(overlayPath(files.ID)+"/script", url.Values{"revision": {"1"}, "script": {"x"}}).want(t, 404)
	shared := modelstest.Overlay(t, s.db, nil, models.OverlayScript)
	guest := br.get(overlayPath(shared.ID))
	if guest.want(t, 200, "readonly"); strings.Contains(guest.Text, "Save and build") {
		t.Error("a guest is offered to change a shared script")
	}
	br.post(overlayPath(shared.ID)+"/script", url.Values{"revision": {"1"}, "script": {"x"}}).want(t, 403)
}

// Routes that take more than others are named, so that a renamed one is noticed.
func TestBodyBoundsBelongToRoutes(t *testing.T) {
	s := newSite(t)
	known := map[string]bool{}
	for _, r := range s.routes() {
		known[r.method+" "+r.path] = true
	}
	for name := range bodies {
		if !known[name] {
			t.Errorf("%s is no route", name)
		}
	}
	if bodyBound(http.MethodPost, "/servers") != maxBody || bodyBound(http.MethodPut, "/overlays/:overlay/uploads/:upload") != maxChunk {
		t.Error("the bounds are others")
	}
}

func TestGoldenFiles(t *testing.T) {
	st, err := loadStatic()
	if err != nil {
		t.Fatal(err)
	}
	set, err := loadTemplates(st.url)
	if err != nil {
		t.Fatal(err)
	}
	changes := changesOf([]string{"put cfg/<x>.cfg", "unpack (place) maps.zip", "move cfg/motd.txt motd.txt", "delete maps", "mkdir addons"})
	changes[0].Size = 4711
	bar := draftBar{Path: "/overlays/7", Change: true, Version: 3, Count: 5, Last: 5, Bytes: 4711, Refused: []ctl.Finding{{Path: "a/<b>.vpk", Sentence: "it is a ZIP archive", Verdict: ctl.VerdictRefused}}, RefusedAll: 1}
	for i := range changes {
		bar.Rows = append(bar.Rows, changeView{changes[i]})
	}
	guest := draftBar{Path: "/overlays/7", Version: 3}
	busy := bar
	busy.Publishing, busy.Refused = true, nil
	for name, v := range map[string]view{"draft.html": bar, "draft_guest.html": guest, "draft_publishing.html": busy} {
		got, err := set.render(v)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, got)
	}
	tree := newDraftTree([]ctl.ManifestFile{{Path: "cfg/motd.txt", Size: 5}, {Path: "cfg/server.cfg", Size: 13}, {Path: "maps/a.bsp", Size: 1 << 20}}, changes)
	list, _ := tree.list("")
	page := pageOf(list, "")
	page.Path, page.At = "/overlays/7", bar.At()
	var out bytes.Buffer
	if err := set.set.ExecuteTemplate(&out, "files-tree", page); err != nil {
		t.Fatal(err)
	}
	golden(t, "files_tree.html", out.Bytes())
}
