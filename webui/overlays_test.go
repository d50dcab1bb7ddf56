package webui

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
	"left4me/models/modelstest"
)

// versionContent is a host with some versions and pictures.
type versionContent struct {
	Content
	manifests map[string]*ctl.Manifest
}

type memoryFile struct{ *bytes.Reader }

func (memoryFile) Close() error { return nil }

func (c *versionContent) Manifest(overlay, version int64) (*ctl.Manifest, error) {
	if m := c.manifests[fmt.Sprintf("%d/v%d", overlay, version)]; m != nil {
		return m, nil
	}
	return nil, fs.ErrNotExist
}

func (c *versionContent) Open(overlay, version int64, path string) (File, error) {
	m, err := c.Manifest(overlay, version)
	if err != nil {
		return nil, err
	}
	for _, f := range m.Tree {
		if f.Path == path {
			return memoryFile{bytes.NewReader([]byte("<script>content of " + path + "</script>"))}, nil
		}
	}
	return nil, fs.ErrNotExist
}

func (c *versionContent) Image(item string) (File, string, error) {
	if item != "121086524" {
		return nil, "", fs.ErrNotExist
	}
	return memoryFile{bytes.NewReader([]byte("picture"))}, "image/png", nil
}

func (c *versionContent) Recipes() []ctl.Recipe {
	return []ctl.Recipe{{Name: "sourcemod", Title: "SourceMod", Text: "Plug-ins.", From: "sm.example", Options: []ctl.RecipeOption{
		{Name: "branch", Title: "Branch", Default: "1.12", Choices: []string{"1.11", "1.12"}},
	}}}
}

func (s *site) lastJob(kind string, u *models.User) *models.Job {
	s.t.Helper()
	list, err := models.Jobs(context.Background(), s.db, models.JobFilter{User: u, Limit: 50})
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range list {
		if list[i].Kind == kind {
			return &list[i]
		}
	}
	return nil
}

func TestWorkshopOverlayPage(t *testing.T) {
	content := &versionContent{}
	s := newSite(t, func(c *Config) { c.Content = content })
	ctx, me := context.Background(), modelstest.User(t, s.db, false)
	br := s.browser(me)
	br.get("/overlays").want(t, 200, "Nothing to stack yet")
	if got := br.get("/overlays/new"); strings.Contains(got.Text, "A ready recipe") || strings.Contains(got.Text, "For everybody") {
		t.Error("an ordinary user is offered what administrators do")
	}
	br.post("/overlays", url.Values{"name": {"Maps"}, "kind": {"workshop"}, "shared": {"yes"}}).want(t, 422, "Only an administrator")
	br.post("/overlays", url.Values{"name": {"Maps"}, "kind": {"poem"}}).want(t, 422, "Choose what it is made of")
	br.post("/overlays", url.Values{"name": {"Maps"}, "kind": {"workshop"}}).want(t, 303)
	br.post("/overlays", url.Values{"name": {"maps"}, "kind": {"files"}}).want(t, 422, "an overlay of this name already")
	list, err := models.Overlays(ctx, s.db, me.ID)
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	at := overlayPath(list[0].ID)
	br.post(at+"/items", url.Values{"items": {"hello there"}}).want(t, 422, "There is no workshop number or link in it", "hello there")
	br.post(at+"/items", url.Values{"items": {"https://steamcommunity.com/sharedfiles/filedetails/?id=121086524\n777 nonsense"}}).want(t, 422, "2 items added", "nonsense")
	if j := s.lastJob("workshop.download", me); j == nil || j.OverlayID != list[0].ID {
		t.Fatalf("no job fetches the items: %+v", j)
	}
	known := func(i ctl.Item) {
		raw, err := json.Marshal(i)
		if err == nil {
			err = models.SaveWorkshopItem(ctx, s.db, &models.WorkshopItem{ID: i.ID, State: string(i.State), Title: i.Title, Stamp: i.Stamp, Report: raw})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	known(ctl.Item{ID: "777", Title: "All <maps>", State: ctl.ItemCollection, Children: []string{"888", "777", "999"}})
	known(ctl.Item{ID: "888", Title: "Dead Air 2", State: ctl.ItemStored, Stamp: "1", Size: 5_000_000, Image: true})
	known(ctl.Item{ID: "999", State: ctl.ItemGone, Message: "Steam has no such item."})
	known(ctl.Item{ID: "121086524", Title: "Urban Flight", State: ctl.ItemStored, Stamp: "1", Findings: []ctl.Finding{{Verdict: ctl.VerdictRefused, Sentence: "it is a ZIP archive"}}})
	page := br.get(at)
	page.want(t, 200, "All &lt;maps&gt;", "3 items", "Dead Air 2", "5 MB", "Ready", "Gone from Steam", "Steam has no such item.", "Refused", "It is a ZIP archive.", "/workshop/888/image")
	if strings.Count(page.Text, "Take out") != 2 {
		t.Errorf("only what the overlay asks for itself can be taken out; the page has %d such buttons", strings.Count(page.Text, "Take out"))
	}
	br.get("/workshop/121086524/image").want(t, 200, "picture")
	br.get("/workshop/1/image").want(t, 404)
	br.get("/workshop/..%2f1/image").want(t, 404)
	br.post(at+"/items/remove", url.Values{"item": {"888"}}).want(t, 404)
	br.post(at+"/items/remove", url.Values{"item": {"777"}}).want(t, 303)
	if ids, err := models.OverlayItemIDs(ctx, s.db, list[0].ID); err != nil || !slices.Equal(ids, []string{"121086524"}) {
		t.Errorf("items %q, %v", ids, err)
	}
	if j := s.lastJob("overlay.build", me); j == nil {
		t.Error("taking an item out builds nothing")
	}
}

func TestVersionsOfAnOverlay(t *testing.T) {
	content := &versionContent{manifests: map[string]*ctl.Manifest{}}
	s := newSite(t, func(c *Config) { c.Content = content })
	ctx, me, admin := context.Background(), modelstest.User(t, s.db, false), modelstest.User(t, s.db, true)
	o, another := modelstest.Overlay(t, s.db, nil, models.OverlayScript), modelstest.Overlay(t, s.db, nil, models.OverlayScript)
	bad := ctl.Finding{Path: "left4dead2/addons/<x>.vpk", Verdict: ctl.VerdictRefused, Sentence: "it is a ZIP archive", SHA256: strings.Repeat("ab", 32)}
	for n := int64(1); n <= 2; n++ {
		report := ctl.Version{Overlay: o.ID, Number: n, Files: 2, Previous: n - 1, Findings: []ctl.Finding{bad}}
		raw, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		if err := models.PublishVersion(ctx, s.db, &models.OverlayVersion{OverlayID: o.ID, Number: n, CreatedAt: models.Now(), UserName: "mira", Why: "because", Report: raw}); err != nil {
			t.Fatal(err)
		}
		content.manifests[fmt.Sprintf("%d/v%d", o.ID, n)] = &ctl.Manifest{Version: report, Tree: []ctl.ManifestFile{
			{Path: "cfg/a.cfg", SHA256: fmt.Sprint(n), Size: 10}, {Path: fmt.Sprintf("cfg/only%d.cfg", n), SHA256: "x"},
		}}
	}
	at, br := overlayPath(o.ID), s.browser(me)
	br.get(at).want(t, 200, "Version 2", "current", "1 file refused", "Because. By mira")
	br.get(at+"/versions").want(t, 200, "Version 1")
	page := br.get(at + "/versions/2")
	page.want(t, 200, "&lt;x&gt;.vpk", "It is a ZIP archive.", "+ cfg/only2.cfg", "~ cfg/a.cfg", "− cfg/only1.cfg", "cfg%2Fa.cfg")
	if strings.Contains(page.Text, "Let it in") || strings.Contains(page.Text, "Use this one") {
		t.Error("a visitor of a shared overlay is offered to change it")
	}
	br.get(at+"/versions/2?filter=ONLY").want(t, 200, "cfg/only2.cfg")
	br.get(at+"/versions/3").want(t, 404)
	br.get(overlayPath(another.ID)+"/versions/1").want(t, 404)
	file := br.get(at + "/versions/2/file?path=cfg/a.cfg")
	file.want(t, 200, "content of cfg/a.cfg")
	if h := file.Header; h.Get("Content-Type") != "application/octet-stream" || h.Get("Content-Disposition") != `attachment; filename=a.cfg` || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("a stranger's file is sent with %v", h)
	}
	br.get(at+"/versions/2/file?path=../../x").want(t, 404)
	br.post(at+"/versions/1/use", nil).want(t, 403, "only an administrator may change it")
	br.post(at+"/versions/2/admit", url.Values{"sha256": {bad.SHA256}}).want(t, 403)
	boss := s.browser(admin)
	boss.post(at+"/versions/1/use", nil).want(t, 303)
	if now, err := models.OverlayByID(ctx, s.db, o.ID); err != nil || now.Version != 1 {
		t.Errorf("current %+v, %v; want 1", now, err)
	}
	if err := s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error { return models.VersionCollected(ctx, tx, o.ID, 2) }); err != nil {
		t.Fatal(err)
	}
	boss.post(at+"/versions/2/use", nil).want(t, 409, "Version 2 was removed")
	boss.post(at+"/versions/1/admit", url.Values{"sha256": {"00"}}).want(t, 404)
	boss.post(at+"/versions/1/admit", url.Values{"sha256": {bad.SHA256}}).want(t, 200, "Let &lt;x&gt;.vpk in?")
	boss.post(at+"/versions/1/admit", url.Values{"sha256": {bad.SHA256}, "sure": {"yes"}}).want(t, 303)
	if list, err := models.AdmittedFiles(ctx, s.db, o.ID); err != nil || len(list) != 1 || list[0].SHA256 != bad.SHA256 {
		t.Errorf("admitted %+v, %v", list, err)
	}
	if j := s.lastJob(jobs.BuildOverlay{}.Kind(), admin); j == nil || !strings.Contains(string(j.Args), "was let in") {
		t.Errorf("letting a file in builds nothing: %+v", j)
	}
	b := modelstest.Blueprint(t, s.db, me)
	if err := models.SetBlueprintOverlays(ctx, s.db, me.ID, b.ID, []models.Stacked{{ID: o.ID}}); err != nil {
		t.Fatal(err)
	}
	boss.post(at+"/delete", url.Values{"sure": {"yes"}}).want(t, 422, b.Name)
	if got := boss.get(at); strings.Contains(got.Text, b.Name) {
		t.Error("an administrator reads the name of somebody else's blueprint on the overlay's page")
	}
	br.get(at).want(t, 200, b.Name)
}

func TestManagedOverlay(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Content = &versionContent{} })
	admin, me := modelstest.User(t, s.db, true), modelstest.User(t, s.db, false)
	boss := s.browser(admin)
	boss.get("/overlays/new").want(t, 200, "A ready recipe", "SourceMod")
	boss.post("/overlays", url.Values{"name": {"SM"}, "kind": {"managed"}}).want(t, 422, "Choose a recipe.")
	boss.post("/overlays", url.Values{"name": {"SM"}, "kind": {"managed"}, "recipe": {"sourcemod"}}).want(t, 303)
	list, err := models.OverlaysOfKind(context.Background(), s.db, models.OverlayManaged)
	if err != nil || len(list) != 1 || list[0].UserID != "" || list[0].Definition.Options["branch"] != "1.12" {
		t.Fatalf("%+v, %v", list, err)
	}
	at := overlayPath(list[0].ID)
	boss.get(at).want(t, 200, "Fetch the newest", "<option selected>1.12</option>")
	boss.post(at+"/recipe", url.Values{"revision": {"1"}, "option_branch": {"$(id)"}}).want(t, 422, "cannot be")
	boss.post(at+"/recipe", url.Values{"revision": {"1"}, "option_branch": {"1.11"}}).want(t, 303)
	boss.post(at+"/recipe", url.Values{"revision": {"1"}, "option_branch": {"1.12"}}).want(t, 409)
	mine := s.browser(me)
	if page := mine.get(at); strings.Contains(page.Text, "Fetch the newest") {
		t.Error("an ordinary user may refresh a recipe")
	}
	mine.post(at+"/recipe", url.Values{"revision": {"2"}, "option_branch": {"1.12"}}).want(t, 403)
}
