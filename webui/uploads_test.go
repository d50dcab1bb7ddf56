package webui

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"left4me/hostops/ctl"
	"left4me/hostops/overlay"
	"left4me/jobs"
	"left4me/models"
	"left4me/models/modelstest"
)

// hostFiles is a host's folder of overlays with as much room as a test likes.
type hostFiles struct {
	*overlay.Store
	Content // nil: what is not overridden is not asked for
	room    atomic.Int64
	append  func(upload string, offset int64, chunk io.Reader) (int64, error) // nil: the store's
}

func newHostFiles(t testing.TB) *hostFiles {
	h := &hostFiles{Store: &overlay.Store{Root: t.TempDir()}}
	h.room.Store(1 << 40)
	return h
}

func (h *hostFiles) Manifest(id, version int64) (*ctl.Manifest, error) {
	return h.Store.Manifest(id, version)
}

func (h *hostFiles) Open(id, version int64, path string) (File, error) {
	return h.Store.Open(id, version, path)
}

func (h *hostFiles) OpenUpload(upload string) (File, error) { return h.Store.OpenUpload(upload) }
func (h *hostFiles) RemoveUpload(upload string) error       { return h.Store.RemoveUpload(upload) }
func (h *hostFiles) Room() (int64, error)                   { return h.room.Load(), nil }

func (h *hostFiles) Append(upload string, offset int64, chunk io.Reader) (int64, error) {
	if h.append != nil {
		return h.append(upload, offset, chunk)
	}
	return h.Store.Append(upload, offset, chunk)
}

func (h *hostFiles) Stack(refs []string, dir string) (*ctl.Stack, error) {
	return h.Store.Stack(refs, dir)
}

func (h *hostFiles) Image(item string) (File, string, error) { return h.Store.Image(item) }
func (h *hostFiles) Avatar(sum string) (File, string, error) { return h.Store.Avatar(sum) }

// publish gives the host a version with these files, and the overlay its row.
func (h *hostFiles) publish(s *site, o *models.Overlay, number int64, files map[string]string) {
	s.t.Helper()
	m := ctl.Manifest{Version: ctl.Version{Overlay: o.ID, Number: number, Kind: ctl.OverlayFiles, At: models.Now(), Files: len(files)}}
	dir := filepath.Join(h.Root, "overlays", fmt.Sprint(o.ID))
	for name, text := range files {
		at := filepath.Join(dir, fmt.Sprintf("v%d", number), name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o644)); err != nil {
			s.t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(text))
		m.Tree = append(m.Tree, ctl.ManifestFile{Path: name, Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:])})
	}
	slices.SortFunc(m.Tree, func(a, b ctl.ManifestFile) int { return strings.Compare(a.Path, b.Path) })
	raw, err := json.Marshal(m)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("v%d.json", number)), raw, 0o644)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	modelstest.Publish(s.t, s.db, o, number)
}

// uploader is somebody at the page of a files overlay.
type uploader struct {
	*browser
	s  *site
	o  *models.Overlay
	at string
}

func newUploader(t testing.TB) (*uploader, *hostFiles) {
	t.Helper()
	h := newHostFiles(t)
	s := newSite(t, func(c *Config) { c.Content = h })
	u := modelstest.User(t, s.db, false)
	o := modelstest.Overlay(t, s.db, u, models.OverlayFiles)
	return &uploader{s.browser(u), s, o, overlayPath(o.ID)}, h
}

func (u *uploader) state(a answer, status int) uploadState {
	u.t.Helper()
	a.want(u.t, status)
	var st uploadState
	if err := json.Unmarshal([]byte(a.Text), &st); err != nil {
		u.t.Fatalf("%s %s answers %q: %v", a.Request.Method, a.Request.URL, a.Text, err)
	}
	if (status >= 400) != (st.Error != "") {
		u.t.Errorf("%s %s: status %d with the sentence %q", a.Request.Method, a.Request.URL, status, st.Error)
	}
	return st
}

func (u *uploader) begin(name string, size int64) uploadState {
	u.t.Helper()
	return u.state(u.post(u.at+"/uploads", url.Values{"name": {name}, "size": {fmt.Sprint(size)}}), 200)
}

func (u *uploader) put(id string, offset any, body io.Reader) answer {
	u.t.Helper()
	return u.raw(http.MethodPut, fmt.Sprintf("%s/uploads/%s?offset=%v", u.at, id, offset), "", body)
}

func (b *browser) raw(method, path, kind string, body io.Reader) answer {
	b.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, b.base+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	req.AddCookie(&http.Cookie{Name: b.name, Value: b.token})
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{res, string(text)}
}

func (u *uploader) draft() []string {
	u.t.Helper()
	list, err := models.DraftChanges(context.Background(), u.s.db, u.o.ID)
	if err != nil {
		u.t.Fatal(err)
	}
	out := []string{}
	for _, c := range list {
		out = append(out, strings.TrimSpace(c.Op+" "+c.Path+" "+c.Target))
	}
	return out
}

func (h *hostFiles) text(t testing.TB, id string) string {
	t.Helper()
	f, err := h.Store.OpenUpload(id)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestUploadInParts(t *testing.T) {
	u, h := newUploader(t)
	up := u.begin("cfg/a.cfg", 11)
	if up.ID == "" || up.Received != 0 || up.Done {
		t.Fatalf("begun as %+v", up)
	}
	at := u.at + "/uploads/" + up.ID
	if st := u.state(u.put(up.ID, 0, strings.NewReader("hello ")), 200); st.Received != 6 || st.Done {
		t.Errorf("after the first part: %+v", st)
	}
	if st := u.state(u.put(up.ID, 0, strings.NewReader("hello ")), 409); st.Received != 6 {
		t.Errorf("the first part again: %+v, want to be told of 6 bytes", st)
	}
	if st := u.state(u.put(up.ID, 9, strings.NewReader("ld")), 409); st.Received != 6 {
		t.Errorf("a part too far: %+v, want to be told of 6 bytes", st)
	}
	if st := u.state(u.put(up.ID, 6, strings.NewReader("world and more")), 422); st.Received != 6 {
		t.Errorf("more than was announced: %+v", st)
	}
	if st := u.state(u.put(up.ID, 6, iotest.HalfReader(strings.NewReader("world and more"))), 200); st.Received != 11 || !st.Done {
		t.Errorf("more than was announced, of unknown length: %+v", st)
	}
	if st := u.state(u.put(up.ID, 11, strings.NewReader("")), 200); !st.Done {
		t.Errorf("the last part again: %+v", st)
	}
	if got := h.text(t, up.ID); got != "hello world" {
		t.Errorf("the host has %q", got)
	}
	if got := u.draft(); !slices.Equal(got, []string{"put cfg/a.cfg"}) {
		t.Errorf("the draft has %q", got)
	}
	u.post(at+"/cancel", nil).want(t, 409, "in the draft")
	empty := u.begin("empty.txt", 0)
	if !empty.Done || h.text(t, empty.ID) != "" || len(u.draft()) != 2 {
		t.Errorf("an empty file: %+v, draft %q", empty, u.draft())
	}
	gone := u.begin("b.cfg", 5)
	u.post(u.at+"/uploads/"+gone.ID+"/cancel", nil).want(t, 303)
	if st := u.state(u.get(u.at+"/uploads/"+gone.ID), 404); !strings.Contains(st.Error, "Begin it anew") {
		t.Errorf("a cancelled upload: %+v", st)
	}
}

// A part that breaks off leaves what came; the browser asks and goes on from there.
func TestUploadResumesAfterACut(t *testing.T) {
	u, h := newUploader(t)
	up := u.begin("a.bin", 10)
	pr, pw := io.Pipe()
	req, err := http.NewRequest(http.MethodPut, u.base+u.at+"/uploads/"+up.ID+"?offset=0", pr)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 10
	req.AddCookie(&http.Cookie{Name: u.name, Value: u.token})
	sent := make(chan error, 1)
	go func() {
		res, err := u.client.Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
		sent <- err
	}()
	if _, err := pw.Write([]byte("abcd")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "four bytes to be on the host", func() bool {
		info, err := os.Stat(filepath.Join(h.Root, "uploads", up.ID))
		return err == nil && info.Size() == 4
	})
	// While it is written nobody else may.
	if st := u.state(u.put(up.ID, 0, strings.NewReader("ABCDEFGHIJ")), 409); !st.Again {
		t.Errorf("a second writer: %+v, want to be asked to try again", st)
	}
	_ = pw.CloseWithError(errors.New("the cable"))
	if err := <-sent; err == nil {
		t.Fatal("the request was not cut")
	}
	eventually(t, "the row to know four bytes", func() bool {
		return u.state(u.get(u.at+"/uploads/"+up.ID), 200).Received == 4
	})
	if st := u.state(u.put(up.ID, 4, strings.NewReader("efghij")), 200); !st.Done {
		t.Errorf("the rest: %+v", st)
	}
	if got := h.text(t, up.ID); got != "abcdefghij" {
		t.Errorf("the host has %q", got)
	}
}

// A body that cannot be read is the sender's affair: what came of it stays, and the
// same may be tried again.
func TestUploadWithABrokenBody(t *testing.T) {
	u, h := newUploader(t)
	up := u.begin("a.bin", 10)
	send := func(head, body string) answer {
		t.Helper()
		conn, err := net.Dial("tcp", strings.TrimPrefix(u.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nCookie: %s=%s\r\nTransfer-Encoding: chunked\r\n%s", head, u.name, u.token, body)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		res.Request = &http.Request{Method: "a broken", URL: &url.URL{Path: head}}
		return answer{res, string(text)}
	}
	st := u.state(send("PUT "+u.at+"/uploads/"+up.ID+"?offset=0", "\r\n4\r\nabcd\r\nnonsense\r\n"), 408)
	if st.Received != 4 || !st.Again || h.text(t, up.ID) != "abcd" {
		t.Errorf("%+v", st)
	}
	form := "Content-Type: multipart/form-data; boundary=b\r\n\r\n2b\r\n--b\r\nContent-Disposition: form-data; name=\"x\"\r\nnonsense\r\n"
	send("POST "+u.at+"/files", form).want(t, 408, "Cut off")
}

// A host that has less than its row says (its disk was restored) is believed.
func TestUploadWhoseBytesAreGone(t *testing.T) {
	u, h := newUploader(t)
	up := u.begin("a.bin", 10)
	u.state(u.put(up.ID, 0, strings.NewReader("abcd")), 200)
	if err := os.Remove(filepath.Join(h.Root, "uploads", up.ID)); err != nil {
		t.Fatal(err)
	}
	if st := u.state(u.put(up.ID, 4, strings.NewReader("efghij")), 409); st.Received != 0 {
		t.Errorf("%+v, want to begin at 0", st)
	}
	if st := u.state(u.put(up.ID, 0, strings.NewReader("abcdefghij")), 200); !st.Done {
		t.Errorf("again: %+v", st)
	}
}

func TestUploadLimits(t *testing.T) {
	u, h := newUploader(t)
	ask := func(size int64) answer {
		return u.post(u.at+"/uploads", url.Values{"name": {"big.vpk"}, "size": {fmt.Sprint(size)}})
	}
	if st := u.state(ask(maxUpload+1), 413); !strings.Contains(st.Error, "8.59 GB at most") {
		t.Errorf("too large: %q", st.Error)
	}
	h.room.Store(1000)
	if st := u.state(ask(1001), 507); !strings.Contains(st.Error, "room for 1 KB more") {
		t.Errorf("no room: %q", st.Error)
	}
	u.state(ask(600), 200)
	if st := u.state(ask(600), 507); !strings.Contains(st.Error, "room for 400 B more") {
		t.Errorf("what is still to come has its room: %q", st.Error)
	}
	h.room.Store(1 << 40)

	up := u.begin("big.bin", 20<<20)
	if st := u.state(u.put(up.ID, 0, bytes.NewReader(make([]byte, maxChunk+1))), 413); st.Received != maxChunk {
		t.Errorf("a part that is too large: %+v", st)
	}
	h.append = func(_ string, offset int64, _ io.Reader) (int64, error) {
		return offset + 3, fmt.Errorf("write: %w", ctl.ErrDiskFull)
	}
	if st := u.state(u.put(up.ID, maxChunk, strings.NewReader("abcdef")), 507); st.Received != maxChunk+3 || !strings.Contains(st.Error, "disk is full") {
		t.Errorf("a full disk: %+v", st)
	}
	entered := make(chan struct{})
	release := make(chan struct{})
	h.append = func(_ string, offset int64, _ io.Reader) (int64, error) {
		entered <- struct{}{}
		<-release
		return offset, nil
	}
	var wg sync.WaitGroup
	for i := range uploadsAtOnce {
		one := u.begin(fmt.Sprint(i), 1) // of one upload there is one part at a time
		wg.Go(func() { u.put(one.ID, 0, strings.NewReader("x")) })
		<-entered
	}
	if st := u.state(u.put(up.ID, maxChunk+3, strings.NewReader("x")), 429); !st.Again {
		t.Errorf("one too many at once: %+v", st)
	}
	close(release)
	wg.Wait()
}

func TestAttack1UploadFollowsNoLink(t *testing.T) {
	u, h := newUploader(t)
	up := u.begin("a.bin", 4)
	secret := filepath.Join(t.TempDir(), "secret")
	at := filepath.Join(h.Root, "uploads", up.ID)
	if err := errors.Join(os.WriteFile(secret, []byte("untouched"), 0o600), os.MkdirAll(filepath.Dir(at), 0o700), os.Symlink(secret, at)); err != nil {
		t.Fatal(err)
	}
	u.put(up.ID, 0, strings.NewReader("evil")).want(t, 500)
	if got, err := os.ReadFile(secret); err != nil || string(got) != "untouched" {
		t.Errorf("the file behind the link is %q, %v", got, err)
	}
	if st := u.state(u.get(u.at+"/uploads/"+up.ID), 200); st.Received != 0 {
		t.Errorf("the row counts what was not written: %+v", st)
	}
	u.get(u.at+"/uploads/..%2f..%2fetc%2fpasswd").want(t, 404)
	u.put("../../overlays", 0, strings.NewReader("evil")).want(t, 404)
}

func TestAttack3UploadNamesOverHTTP(t *testing.T) {
	u, h := newUploader(t)
	for _, name := range []string{"", "../evil", "/etc/passwd", "a/../../b", "a\x00b", `..\..\evil`, "a\nb", strings.Repeat("x", 300), strings.Repeat("d/", 40) + "x"} {
		u.state(u.post(u.at+"/uploads", url.Values{"name": {name}, "size": {"4"}}), 422)
		u.state(u.post(u.at+"/uploads", url.Values{"name": {"x"}, "dir": {name + "/.."}, "size": {"4"}}), 422)
	}
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for _, name := range []string{`C:\Users\me\..\evil.cfg`, "../../../evil2.cfg"} { // the name alone counts
		part, err := w.CreateFormFile("file", name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = part.Write([]byte("x"))
	}
	_ = w.Close()
	u.raw(http.MethodPost, u.at+"/files", w.FormDataContentType(), &form).want(t, 303)
	if got := u.draft(); !slices.Equal(got, []string{"put evil.cfg", "put evil2.cfg"}) {
		t.Errorf("the draft has %q", got)
	}
	up := u.begin(`<img src=x onerror="alert(1)">.cfg`, 3)
	u.state(u.put(up.ID, 0, strings.NewReader("abc")), 200)
	if page := u.get(u.at); strings.Contains(page.Text, "<img src=x") || !strings.Contains(page.Text, "&lt;img src=x") {
		t.Error("a file's name became a part of the page")
	}
	entries, err := os.ReadDir(h.Root)
	if err != nil || len(entries) != 1 || entries[0].Name() != "uploads" {
		t.Errorf("below the root lie %v, %v", entries, err)
	}
}

// Somebody else's upload is not found, also where both may change the overlay.
func TestAttack14UploadOfSomebodyElse(t *testing.T) {
	h := newHostFiles(t)
	s := newSite(t, func(c *Config) { c.Content = h })
	one, two := modelstest.User(t, s.db, true), modelstest.User(t, s.db, true)
	o, another := modelstest.Overlay(t, s.db, nil, models.OverlayFiles), modelstest.Overlay(t, s.db, one, models.OverlayFiles)
	mine := &uploader{s.browser(one), s, o, overlayPath(o.ID)}
	up := mine.begin("a.bin", 4)
	theirs := &uploader{s.browser(two), s, o, mine.at}
	astray := &uploader{s.browser(one), s, another, overlayPath(another.ID)} // mine, of another overlay
	for who, u := range map[string]*uploader{"another administrator": theirs, "another overlay": astray} {
		if got := u.get(u.at + "/uploads/" + up.ID).StatusCode; got != 404 {
			t.Errorf("%s looks at it: %d", who, got)
		}
		if got := u.put(up.ID, 0, strings.NewReader("evil")).StatusCode; got != 404 {
			t.Errorf("%s writes to it: %d", who, got)
		}
		if got := u.post(u.at+"/uploads/"+up.ID+"/cancel", nil).StatusCode; got != 404 {
			t.Errorf("%s cancels it: %d", who, got)
		}
	}
	if page := theirs.get(theirs.at); strings.Contains(page.Text, up.ID) {
		t.Error("another administrator's page lists the upload")
	}
	if st := mine.state(mine.get(mine.at+"/uploads/"+up.ID), 200); st.Received != 0 {
		t.Errorf("it has become %+v", st)
	}
}

// A right that is withdrawn ends an upload with its next part.
func TestAttack17UploadOfWhoLostTheRight(t *testing.T) {
	u, h := newUploader(t)
	up := u.begin("a.bin", 10)
	u.state(u.put(up.ID, 0, strings.NewReader("abcd")), 200)
	if _, err := u.s.db.NewRaw("UPDATE overlays SET user_id = NULL WHERE id = ?", u.o.ID).Exec(context.Background()); err != nil {
		t.Fatal(err)
	}
	u.state(u.put(up.ID, 4, strings.NewReader("efghij")), 403)
	if err := models.DeleteSession(context.Background(), u.s.db, models.SessionID(u.token)); err != nil {
		t.Fatal(err)
	}
	u.put(up.ID, 4, strings.NewReader("efghij")).want(t, 303)
	if got := h.text(t, up.ID); got != "abcd" {
		t.Errorf("the host has %q", got)
	}
}

func TestAttack19FiftyUploadsAtOnce(t *testing.T) {
	u, _ := newUploader(t)
	for range models.MaxUnfinishedUploads - 5 {
		if err := models.CreateUpload(context.Background(), u.s.db, &models.Upload{UserID: u.o.UserID, OverlayID: u.o.ID, Name: "a", Size: 1}); err != nil {
			t.Fatal(err)
		}
	}
	var begun, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			got := u.post(u.at+"/uploads", url.Values{"name": {fmt.Sprint("f", i)}, "size": {"4"}})
			switch {
			case got.StatusCode == 200:
				begun.Add(1)
			case got.StatusCode == 422 && strings.Contains(got.Text, "more cannot be begun"):
				refused.Add(1)
			default:
				t.Errorf("status %d: %s", got.StatusCode, clip(got.Text, 300))
			}
		})
	}
	wg.Wait()
	if begun.Load() != 5 || refused.Load() != 45 {
		t.Errorf("%d were begun and %d refused; 5 and 45 are right", begun.Load(), refused.Load())
	}
}

func TestAttack28UploadNumbers(t *testing.T) {
	u, _ := newUploader(t)
	for _, size := range []string{"", "-1", "-9223372036854775808", "9223372036854775808", "18446744073709551616", "1e3", "0x10", "1.5", " 1", "NaN"} {
		u.state(u.post(u.at+"/uploads", url.Values{"name": {"a"}, "size": {size}}), 422)
	}
	u.state(u.post(u.at+"/uploads", url.Values{"name": {"a"}, "size": {"9223372036854775807"}}), 413)
	up := u.begin("a.bin", 10)
	for _, offset := range []string{"", "-1", "-9223372036854775808", "9223372036854775808", "1e1", "0x0"} {
		u.state(u.put(up.ID, offset, strings.NewReader("abc")), 422)
	}
	for _, offset := range []string{"9223372036854775807", "11", "10", "1"} {
		if st := u.state(u.put(up.ID, offset, strings.NewReader("abc")), 409); st.Received != 0 {
			t.Errorf("offset %s: %+v", offset, st)
		}
	}
	for _, page := range []string{"-1", "0", "9223372036854775807", "9223372036854775808", "x"} {
		u.get(u.at+"?page="+page).want(t, 200)
	}
	for _, seq := range []string{"", "-1", "9223372036854775807", "9223372036854775808"} {
		u.post(u.at+"/draft/remove", url.Values{"change": {seq}}).want(t, 404)
	}
}

// Without a script several files come in one form; what arrived whole stays.
func TestUploadByForm(t *testing.T) {
	u, h := newUploader(t)
	form := func(fields [][2]string, files ...string) answer {
		t.Helper()
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for _, f := range fields {
			if err := w.WriteField(f[0], f[1]); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range files {
			part, err := w.CreateFormFile("file", name)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = fmt.Fprint(part, "content of ", name)
		}
		_ = w.Close()
		return u.raw(http.MethodPost, u.at+"/files", w.FormDataContentType(), &body)
	}
	form([][2]string{{"dir", "cfg"}, {"archives", "here"}}, "a.cfg", "b.zip", "c.vpk").want(t, 303)
	want := []string{"put cfg/a.cfg", "unpack cfg", "put cfg/c.vpk"}
	if got := u.draft(); !slices.Equal(got, want) {
		t.Errorf("the draft has %q, want %q", got, want)
	}
	changes, err := models.DraftChanges(context.Background(), u.s.db, u.o.ID)
	if err != nil || changes[0].Size != int64(len("content of a.cfg")) || h.text(t, changes[0].UploadID) != "content of a.cfg" {
		t.Errorf("%+v, %v", changes, err)
	}
	form(nil).want(t, 422, "Choose a file first.")
	form([][2]string{{"dir", "../x"}}, "a.cfg").want(t, 422, "Write names with single slashes")
	form([][2]string{{"dir", strings.Repeat("x", 5000)}}, "a.cfg").want(t, 422, "The path is too long")
	u.raw(http.MethodPost, u.at+"/files", "multipart/form-data", strings.NewReader("x")).want(t, 400)
	many := make([]string, maxFormFiles+1)
	for i := range many {
		many[i] = fmt.Sprint("f", i)
	}
	form(nil, many...).want(t, 422, "One form takes 100 files")
	if n := len(u.draft()); n != len(want)+maxFormFiles {
		t.Errorf("the draft has %d changes; want those that arrived before the limit, too", n)
	}
	before, err := models.UploadIDs(context.Background(), u.s.db)
	if err != nil {
		t.Fatal(err)
	}
	h.append = func(string, int64, io.Reader) (int64, error) { return 3, fmt.Errorf("write: %w", ctl.ErrDiskFull) }
	form(nil, "x.cfg").want(t, 507, "disk is full")
	if after, err := models.UploadIDs(context.Background(), u.s.db); err != nil || len(after) != len(before) {
		t.Errorf("a form that failed left an upload: %d, then %d (%v)", len(before), len(after), err)
	}
}

// A build that is asked for while a part is on its way does not wait for it: the draft
// has only what is complete.
func TestPublishTakesOnlyWhatIsComplete(t *testing.T) {
	u, _ := newUploader(t)
	up := u.begin("late.cfg", 4)
	u.post(u.at+"/draft/publish", nil).want(t, 422, "There is nothing to publish")
	whole := u.begin("a.cfg", 1)
	u.state(u.put(whole.ID, 0, strings.NewReader("x")), 200)
	u.post(u.at+"/draft/publish", url.Values{"why": {strings.Repeat("ü", 201)}}).want(t, 422, "more than 200 characters")
	u.post(u.at+"/draft/publish", url.Values{"why": {"First <one>"}}).want(t, 303)
	if j := u.s.lastJob(jobs.BuildOverlay{}.Kind(), &models.User{ID: u.o.UserID}); j == nil || !strings.Contains(string(j.Args), "First") {
		t.Errorf("no job publishes: %+v", j)
	}
	u.get(u.at).want(t, 200, "It is being published")
	u.post(u.at+"/draft/drop", url.Values{"sure": {"yes"}}).want(t, 409, "being published right now")
	changes, err := models.DraftChanges(context.Background(), u.s.db, u.o.ID)
	if err != nil || len(changes) != 1 {
		t.Fatalf("%+v, %v", changes, err)
	}
	u.post(u.at+"/draft/remove", url.Values{"change": {fmt.Sprint(changes[0].Seq)}}).want(t, 409)
	u.state(u.put(up.ID, 0, strings.NewReader("late")), 200)
}

// A browser that hears nothing sends its last part again. When that came between the
// bytes and the row of the first, it cut the file off which the draft had by then: the
// build made a version of half a file.
func TestAttack30LastPartIsSentTwice(t *testing.T) {
	u, h := newUploader(t)
	const text = "all of the file"
	up := u.begin("a.cfg", int64(len(text)))
	var again answer
	first := true
	h.append = func(upload string, offset int64, chunk io.Reader) (int64, error) {
		n, err := h.Store.Append(upload, offset, chunk)
		if first {
			first = false
			again = u.put(up.ID, 0, strings.NewReader("all"))
		}
		return n, err
	}
	if st := u.state(u.put(up.ID, 0, strings.NewReader(text)), 200); !st.Done {
		t.Errorf("the upload is %+v", st)
	}
	if st := u.state(again, 409); !st.Again {
		t.Errorf("the second time: %+v, want that it is tried again", st)
	}
	f, err := h.OpenUpload(up.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if raw, err := io.ReadAll(f); err != nil || string(raw) != text {
		t.Errorf("the host has %q, %v", raw, err)
	}
	// By now there is nothing left to send.
	if st := u.state(u.put(up.ID, len(text), strings.NewReader("")), 200); !st.Done {
		t.Errorf("afterwards the upload is %+v", st)
	}
}
