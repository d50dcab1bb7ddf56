package webui

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/models"
	"left4me/models/modelstest"
)

// gameContent is a host on which each server's game wrote the same.
type gameContent struct {
	Content
	asked []string // instances
	specs []ctl.Spec
	files map[string]string
}

type textFile struct{ *strings.Reader }

func (textFile) Close() error { return nil }

func (g *gameContent) Written(instance, dir string) (*ctl.GameFolder, error) {
	g.asked = append(g.asked, instance)
	switch dir {
	case "":
		return &ctl.GameFolder{Layers: []ctl.GameLayer{{Kind: ctl.LayerWritten}}, More: 3, Entries: []ctl.GameFile{
			{Path: "logs", Kind: ctl.GameDir, Layers: []int{0}},
			{Path: "shut", Kind: ctl.GameDir, Closed: true, Layers: []int{0}},
			{Path: "<b>.log", Kind: ctl.GamePlain, Size: 1500, Changed: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC), Layers: []int{0}},
			{Path: "big.mdmp", Kind: ctl.GamePlain, Size: 5 << 20, Layers: []int{0}},
			{Path: "l", Kind: ctl.GameLink, Link: "/etc/passwd", Layers: []int{0}},
			{Path: "gone.cfg", Kind: ctl.GameRemoved, Layers: []int{0}},
			{Path: "p\x1b[2J", Kind: ctl.GameSpecial, Layers: []int{0}},
		}}, nil
	case "shut":
		return nil, fs.ErrPermission
	}
	return nil, fs.ErrNotExist
}

func (g *gameContent) Seen(instance string, spec ctl.Spec, dir string) (*ctl.GameFolder, error) {
	g.asked, g.specs = append(g.asked, instance), append(g.specs, spec)
	if dir != "" {
		return nil, fs.ErrNotExist
	}
	f := &ctl.GameFolder{Layers: []ctl.GameLayer{{Kind: ctl.LayerWritten, Fault: "it may not be read"}, {Kind: ctl.LayerGenerated}}, Entries: []ctl.GameFile{{Path: "left4dead2", Kind: ctl.GameDir, Layers: []int{1, 2}}, {Path: "a.cfg", Kind: ctl.GamePlain, Size: 9, Layers: []int{0, 1, 2}}}}
	for _, ref := range spec.Overlays {
		f.Layers = append(f.Layers, ctl.GameLayer{Kind: ctl.LayerOverlay, Ref: ref})
	}
	f.Layers = append(f.Layers, ctl.GameLayer{Kind: ctl.LayerGame})
	return f, nil
}

func (g *gameContent) OpenSeen(instance string, spec ctl.Spec, path string) (File, error) {
	g.asked, g.specs = append(g.asked, instance), append(g.specs, spec)
	switch text, ok := g.files[path]; {
	case ok:
		return textFile{strings.NewReader(text)}, nil
	case path == "shut.log":
		return nil, fs.ErrPermission
	case path == "link":
		return nil, fs.ErrInvalid
	}
	return nil, fs.ErrNotExist
}

func gameSite(t *testing.T) (*site, *gameContent, *models.User, *models.Server) {
	t.Helper()
	content := &gameContent{files: map[string]string{}}
	s := newSite(t, func(c *Config) { c.Content = content })
	me := modelstest.User(t, s.db, false)
	return s, content, me, modelstest.Server(t, s.db, s.key, me)
}

func TestServerFiles(t *testing.T) {
	t.Parallel()
	s, content, me, srv := gameSite(t)
	b, page := s.browser(me), "/servers/"+srv.Instance
	b.get(page).want(t, 200, page+"/files")
	got := b.get(page + "/files")
	got.want(t, 200, `href="`+page+`/files?path=logs">logs/`, "&lt;b&gt;.log</a>", ">2 KB<", "2026-05-01T10:00:00Z", "the game lets nobody else read it", "a link to /etc/passwd",
		"removed by the game", "a pipe, a socket or a device", "3 more entries", `aria-label="Download big.mdmp"`, page+"/files/text?path=%3Cb%3E.log")
	for _, no := range []string{"files/text?path=big.mdmp", "path=l\"", "path=shut\"", "path=gone.cfg", "<b>.log", "\x1b"} {
		if strings.Contains(got.Text, no) {
			t.Errorf("the page contains %q", no)
		}
	}
	b.get(page+"/files?path=shut").want(t, 200, "The game lets nobody else look into this folder.")
	b.get(page+"/files?path=nowhere").want(t, 404)

	overlay := modelstest.Overlay(t, s.db, me, models.OverlayFiles)
	publish(t, s, overlay, ctl.Version{Kind: ctl.OverlayFiles})
	if err := models.SetBlueprintOverlays(context.Background(), s.db, me.ID, srv.BlueprintID, []models.Stacked{{ID: overlay.ID, Exec: true}}); err != nil {
		t.Fatal(err)
	}
	b.get(page+"/files?view=all").want(t, 200, "Made by left4me, "+overlay.Name, "Written by the game: It may not be read.", "What the game would see at its next start.",
		`href="`+page+`/files?path=left4dead2&amp;view=all"`)
	if spec := content.specs[len(content.specs)-1]; len(spec.Overlays) != 1 || spec.Overlays[0] != fmt.Sprintf("%d/v1", overlay.ID) || len(spec.Exec) != 1 || spec.RCONPassword != "" {
		t.Errorf("the host was asked with %+v", spec)
	}
}

// What runs is shown, not what would run next.
func TestServerFilesOfTheRunningGame(t *testing.T) {
	t.Parallel()
	s, content, me, srv := gameSite(t)
	ctx := context.Background()
	was := models.Spec{Config: "sv_old 1\n", Overlays: []models.SpecOverlay{{ID: 77, Version: 3, Name: "Maps of old"}}}
	if err := models.RememberSpec(ctx, s.db, srv.ID, "abc", was); err != nil {
		t.Fatal(err)
	}
	o := models.Observation{Host: srv.Host, Instance: srv.Instance, State: models.ServerRunning, Status: models.ServerStatus{Spec: "abc"}}
	if _, _, err := models.Observe(ctx, s.db, o); err != nil {
		t.Fatal(err)
	}
	s.browser(me).get("/servers/"+srv.Instance+"/files?view=all").want(t, 200, "Maps of old", "What the running game was started with")
	if spec := content.specs[0]; spec.Config != was.Config || len(spec.Overlays) != 1 || spec.Overlays[0] != "77/v3" {
		t.Errorf("the host was asked with %+v", spec)
	}
}

func TestServerFileIsShownAndDownloaded(t *testing.T) {
	t.Parallel()
	s, content, me, srv := gameSite(t)
	content.files["logs/a.log"] = "line <1>\nse\x1b[31mcond\r\nümlaut\n"
	content.files["dump"] = "MDMP\x00\x01"
	content.files["large.log"] = strings.Repeat("x", maxShown+1)
	content.files["od\"d\r\nname"] = "x"
	b, files := s.browser(me), "/servers/"+srv.Instance+"/files"
	b.get(files+"/text?path=logs/a.log").want(t, 200, "line &lt;1&gt;\nsecond\nümlaut", "a.log</h2>", `href="`+files+`?path=logs"`)
	b.get(files+"/text?path=logs/a.log&view=all").want(t, 200, files+"?path=logs&amp;view=all", ">All files</a>")
	b.get(files+"/text?path=dump").want(t, 200, "It is not a text.")
	b.get(files+"/text?path=large.log").want(t, 200, "It is larger than 262 KB.")
	for _, way := range []string{"/text", "/download"} {
		b.get(files+way+"?path=shut.log").want(t, 409, "nobody but itself may read it")
		b.get(files+way+"?path=link").want(t, 409, "it is not opened")
		b.get(files+way+"?path=nothing").want(t, 404)
		b.get(files+way).want(t, 404)
	}
	got := b.get(files + "/download?path=logs/a.log")
	got.want(t, 200)
	h := got.Header
	if got.Text != content.files["logs/a.log"] || h.Get("Content-Type") != "application/octet-stream" || h.Get("Content-Disposition") != "attachment; filename=a.log" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%q with %v", got.Text, h)
	}
	content.files["\xff\xfe.log"] = "no text in its name"
	odd := gameFilePath("/servers/"+srv.Instance, "\xff\xfe.log")
	b.get(odd).want(t, 200, "no text in its name")
	b.get(strings.Replace(odd, "download", "text", 1)).want(t, 200, "no text in its name", "\ufffd")
	got = b.get(files + "/download?path=" + url.QueryEscape("od\"d\r\nname"))
	got.want(t, 200)
	if d := got.Header.Get("Content-Disposition"); !strings.HasPrefix(d, "attachment") || strings.ContainsAny(d, "\r\n") {
		t.Errorf("an odd name becomes %q", d)
	}
}

// A file that the game cuts off while it is sent must not look whole.
func TestServerFileThatShrinksBreaksOff(t *testing.T) {
	t.Parallel()
	s, _, me, srv := gameSite(t)
	s.Content = shrinking{}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.http.URL+"/servers/"+srv.Instance+"/files/download?path=x", nil)
	if err != nil {
		t.Fatal(err)
	}
	b := s.browser(me)
	req.AddCookie(&http.Cookie{Name: b.name, Value: b.token})
	res, err := b.client.Do(req)
	if err != nil {
		return // broken off before its headers came
	}
	defer func() { _ = res.Body.Close() }() // read whole
	if got, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("%q came without an error", got)
	}
}

// Another's server, and a path through one's own, lead nowhere.
func TestAttack14FilesOfAnotherServer(t *testing.T) {
	t.Parallel()
	s, content, _, srv := gameSite(t)
	content.files["logs/a.log"] = "theirs"
	other := modelstest.User(t, s.db, false)
	mine := modelstest.Server(t, s.db, s.key, other)
	b := s.browser(other)
	for _, below := range []string{"/files", "/files?view=all", "/files/text?path=logs/a.log", "/files/download?path=logs/a.log"} {
		b.get("/servers/"+srv.Instance+below).want(t, 404)
	}
	for _, path := range []string{"../../" + srv.Instance + "/upper/logs/a.log", "../" + srv.Instance} {
		b.get("/servers/"+mine.Instance+"/files/download?path="+url.QueryEscape(path)).want(t, 404)
	}
	for _, asked := range content.asked {
		if asked == srv.Instance {
			t.Error("the host was asked about somebody else's server")
		}
	}
}

// The RCON password is in nothing that is shown or downloaded.
func TestAttack24PasswordInServerFiles(t *testing.T) {
	t.Parallel()
	s, content, me, srv := gameSite(t)
	secret, err := s.key.Open(srv.RCONOwner(), srv.RCONPassword)
	if err != nil {
		t.Fatal(err)
	}
	content.files["cfg/server.cfg"] = "rcon_password \"" + secret + "\"\nrcon_password formerly\n"
	content.files["core.dump"] = strings.Repeat("\x00x", 30_000) + secret + strings.Repeat("\x01y", 30_000)
	b, files := s.browser(me), "/servers/"+srv.Instance+"/files"
	for path, text := range content.files {
		for _, way := range []string{"/text?path=", "/download?path="} {
			got := b.get(files + way + path)
			got.want(t, 200)
			if strings.Contains(got.Text, secret) || strings.Contains(got.Text, "formerly") {
				t.Errorf("%s%s shows the password", way, path)
			}
			if way == "/download?path=" && len(got.Text) != len(text) {
				t.Errorf("%s came with %d bytes, want %d", path, len(got.Text), len(text))
			}
		}
	}
}

// shrinking is a host whose files are shorter than they were a moment ago.
type shrinking struct{ Content }

type shrunk struct{ textFile }

func (shrunk) Size() int64 { return 100_000 }

func (shrinking) OpenSeen(string, ctl.Spec, string) (File, error) {
	return shrunk{textFile{strings.NewReader("short")}}, nil
}
