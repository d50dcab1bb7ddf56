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
		{Name: "admins", Title: "Admins"},
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
	br.post(at+"/items", url.Values{"items": {"https://steamcommunity.com/sharedfiles/filedetails/?id=121086524\n777 non<b>sense"}}).want(t, 200, "2 items added", "non&lt;b&gt;sense", "was not understood", "<html")
	again := br.post(at+"/items", url.Values{"items": {"777"}}, hx("workshop-add")...)
	again.want(t, 200, "They were here already", `id="workshop-add"`)
	if strings.Contains(again.Text, "<html") || strings.Contains(again.Text, "777") {
		t.Errorf("a script gets the emptied form and nothing else:\n%s", again.Text)
	}
	br.post(at+"/items", url.Values{"items": {"777"}}).want(t, 303)
	br.post(at+"/items", url.Values{"items": {"poem"}}, hx("workshop-add")...).want(t, 200, "There is no workshop number or link in it", "poem")
	br.post(at+"/items", url.Values{"items": {numbers(models.MaxOverlayItems + 1)}}).want(t, 422, "at most 1000 items")
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
	br.post(at+"/items/remove", url.Values{"item": {"777"}}, hx("workshop-items")...).want(t, 200, "Urban Flight", `id="workshop-items"`)
	br.post(at+"/download", nil, hx("overlay-head")...).want(t, 200, `id="overlay-head"`, "Fetch the workshop items of Maps", "Waiting")
	if ids, err := models.OverlayItemIDs(ctx, s.db, list[0].ID); err != nil || !slices.Equal(ids, []string{"121086524"}) {
		t.Errorf("items %q, %v", ids, err)
	}
	if j := s.lastJob("overlay.build", me); j == nil {
		t.Error("taking an item out builds nothing")
	}
}

// numbers is a text with n workshop numbers.
func numbers(n int) string {
	var out strings.Builder
	for i := range n {
		_, _ = fmt.Fprintln(&out, 5000+i) // writing to memory does not fail
	}
	return out.String()
}

// TestItemsInOneStep: what an overlay asks for and the job that fetches it come
// together or not at all.
func TestItemsInOneStep(t *testing.T) {
	s := newSite(t)
	ctx, me := context.Background(), modelstest.User(t, s.db, false)
	o := modelstest.Overlay(t, s.db, me, models.OverlayWorkshop)
	if _, err := s.db.ExecContext(ctx, "CREATE TRIGGER no_jobs BEFORE INSERT ON jobs BEGIN SELECT RAISE(FAIL, 'no'); END"); err != nil {
		t.Fatal(err)
	}
	s.browser(me).post(overlayPath(o.ID)+"/items", url.Values{"items": {"121086524"}}).want(t, 409)
	if ids, err := models.OverlayItemIDs(ctx, s.db, o.ID); err != nil || len(ids) != 0 {
		t.Errorf("without a job the overlay asks for %q, %v", ids, err)
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
	page.want(t, 200, "send an administrator the address of this page", `<option selected>1</option>`)
	br.get(at+"/versions/1?against=2").want(t, 200, "Against version 2", "+ cfg/only1.cfg", "− cfg/only2.cfg")
	br.get(at+"/versions/1").want(t, 200, "It is the first one.")
	br.get(at+"/versions/2?against=99").want(t, 200, "The host knows no version 99.")
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
	boss.get(at+"/versions/1").want(t, 200, admin.Name+" let it in", "Let in from the next version on")
	boss.post(at+"/versions/1/use", nil, hx("overlay-versions")...).want(t, 200, `id="overlay-versions"`, "files removed")
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
	boss.post("/overlays", url.Values{"name": {"SM"}, "kind": {"managed"}, "recipe": {"sourcemod"}, "sourcemod.branch": {"9"}}).want(t, 422, "cannot be")
	boss.post("/overlays", url.Values{"name": {"SM"}, "kind": {"managed"}, "recipe": {"sourcemod"}, "sourcemod.admins": {"<b>\x01"}}).want(t, 422, "cannot be shown")
	s.browser(me).post("/overlays", url.Values{"name": {"SM"}, "kind": {"managed"}, "recipe": {"sourcemod"}}).want(t, 422, "Only an administrator")
	boss.post("/overlays", url.Values{"name": {"SM"}, "kind": {"managed"}, "recipe": {"sourcemod"}, "sourcemod.admins": {"STEAM_1:0:1"}}).want(t, 303)
	list, err := models.OverlaysOfKind(context.Background(), s.db, models.OverlayManaged)
	if err != nil || len(list) != 1 || list[0].UserID != "" || list[0].Definition.Options["branch"] != "1.12" || list[0].Definition.Options["admins"] != "STEAM_1:0:1" {
		t.Fatalf("%+v, %v", list, err)
	}
	if j := s.lastJob(jobs.BuildOverlay{}.Kind(), admin); j == nil || j.OverlayID != list[0].ID {
		t.Errorf("making it builds nothing: %+v", j)
	}
	at := overlayPath(list[0].ID)
	boss.get(at).want(t, 200, "Fetch the newest", "<option selected>1.12</option>")
	boss.post(at+"/recipe", url.Values{"revision": {"1"}, "sourcemod.branch": {"$(id)"}}).want(t, 422, "cannot be")
	boss.post(at+"/recipe", url.Values{"revision": {"1"}, "sourcemod.branch": {"1.11"}}).want(t, 303)
	boss.post(at+"/recipe", url.Values{"revision": {"1"}, "sourcemod.branch": {"1.12"}}).want(t, 422, "Somebody changed this overlay in between")
	mine := s.browser(me)
	if page := mine.get(at); strings.Contains(page.Text, "Fetch the newest") {
		t.Error("an ordinary user may refresh a recipe")
	}
	mine.post(at+"/recipe", url.Values{"revision": {"2"}, "sourcemod.branch": {"1.12"}}).want(t, 403)
}

// TestRefusedFileOfAUser: its owner cannot let it in and is told who can; an
// administrator sees that version, and nothing else of the overlay.
func TestRefusedFileOfAUser(t *testing.T) {
	content := &versionContent{manifests: map[string]*ctl.Manifest{}}
	s := newSite(t, func(c *Config) { c.Content = content })
	ctx, me, admin, other := context.Background(), modelstest.User(t, s.db, false), modelstest.User(t, s.db, true), modelstest.User(t, s.db, false)
	o := modelstest.Overlay(t, s.db, me, models.OverlayWorkshop)
	bad := ctl.Finding{Path: "left4dead2/addons/x.vpk", Verdict: ctl.VerdictRefused, Sentence: "it is a ZIP archive", SHA256: strings.Repeat("cd", 32)}
	publish(t, s, o, ctl.Version{Files: 1, Findings: []ctl.Finding{bad}})
	content.manifests[fmt.Sprintf("%d/v1", o.ID)] = &ctl.Manifest{Tree: []ctl.ManifestFile{{Path: "a.cfg"}}}
	version := overlayPath(o.ID) + "/versions/1"
	s.browser(me).get(version).want(t, 200, "send an administrator the address of this page")
	s.browser(me).post(version+"/admit", url.Values{"sha256": {bad.SHA256}, "sure": {"yes"}}).want(t, 403)
	s.browser(other).get(version).want(t, 404)
	boss := s.browser(admin)
	boss.get(overlayPath(o.ID)).want(t, 404)
	boss.get(version+"/file?path=a.cfg").want(t, 404)
	boss.post(version+"/use", nil).want(t, 404)
	page := boss.get(version)
	page.want(t, 200, "an overlay of another user", "Let it in")
	if strings.Contains(page.Text, fmt.Sprintf(`href="/overlays/%d"`, o.ID)) {
		t.Error("the page leads an administrator to an address that is not theirs")
	}
	boss.post(version+"/admit", url.Values{"sha256": {bad.SHA256}}).want(t, 200, "Let x.vpk in?", `name="sha256" value="`+bad.SHA256)
	boss.post(version+"/admit", url.Values{"sha256": {bad.SHA256}, "sure": {"yes"}}).want(t, 303)
	if j := s.lastJob(jobs.BuildOverlay{}.Kind(), me); j == nil || j.OverlayID != o.ID {
		t.Errorf("the owner does not see the job that builds it: %+v", j)
	}
	s.browser(me).get(version).want(t, 200, admin.Name+" let it in")
	if list, err := models.AdmittedFiles(ctx, s.db, o.ID); err != nil || len(list) != 1 {
		t.Errorf("admitted %+v, %v", list, err)
	}
}

// TestOverlaysAtNight: administrators see when work comes by the clock and may have
// it now.
func TestOverlaysAtNight(t *testing.T) {
	s := newSite(t)
	admin, me := modelstest.User(t, s.db, true), modelstest.User(t, s.db, false)
	boss := s.browser(admin)
	boss.get("/overlays").want(t, 200, "Look for new versions of all workshop items", "Remove versions that nothing uses", "Next", "it has not run yet")
	if got := s.browser(me).get("/overlays"); strings.Contains(got.Text, "Do it now") {
		t.Error("an ordinary user is offered the work of administrators")
	}
	for path, kind := range map[string]string{"/admin/schedules/overlay.refresh/run": "overlay.refresh", "/admin/schedules/overlay.gc/run": "overlay.gc"} {
		got := boss.post(path, nil)
		got.want(t, 303)
		j := s.lastJob(kind, admin)
		if j == nil || got.Header.Get("Location") != (jobView{Job: j}).Path() {
			t.Errorf("%s leads to %q, the job is %+v", path, got.Header.Get("Location"), j)
		}
		boss.get("/overlays").want(t, 200, `<a href="`+jobView{Job: j}.Path()+`"><span class="state off"><i></i>Waiting`)
		if _, err := models.ClaimJob(context.Background(), s.db, j.ID, "test"); err != nil {
			t.Fatal(err)
		}
		if err := models.FinishJob(context.Background(), s.db, j.ID, 1, models.Ending{State: models.JobFailed}); err != nil {
			t.Fatal(err)
		}
		boss.get("/overlays").want(t, 200, `last <a href="`+jobView{Job: j}.Path(), "(Failed)")
	}
}

// TestOverlayList counts what stacks each overlay, and leads from a job to its
// overlay whoever may see that.
func TestOverlayList(t *testing.T) {
	s := newSite(t)
	ctx, me, admin := context.Background(), modelstest.User(t, s.db, false), modelstest.User(t, s.db, true)
	srv := modelstest.Server(t, s.db, s.key, me)
	o := modelstest.Overlay(t, s.db, me, models.OverlayFiles)
	if err := models.SetBlueprintOverlays(ctx, s.db, me.ID, srv.BlueprintID, []models.Stacked{{ID: o.ID}}); err != nil {
		t.Fatal(err)
	}
	modelstest.Overlay(t, s.db, nil, models.OverlayScript)
	j, err := s.Jobs.Enqueue(ctx, models.Actor{ID: me.ID, Name: me.Name}, jobs.BuildOverlay{OverlayID: o.ID})
	if err != nil {
		t.Fatal(err)
	}
	br, link := s.browser(me), fmt.Sprintf(`href="/overlays/%d"`, o.ID)
	br.get("/overlays").want(t, 200, link, "in 1 blueprint, 1 server", "not stacked", "Waiting", "For everybody")
	br.get(jobView{Job: j}.Path()).want(t, 200, link)
	if got := s.browser(admin).get(jobView{Job: j}.Path()); got.StatusCode != 200 || strings.Contains(got.Text, link) {
		t.Errorf("an administrator's page of somebody else's job: %d, with a link that leads nowhere", got.StatusCode)
	}
}

// TestOverlayPageIsLive: what changes on the host appears on the page, and a page
// whose overlay is gone leaves.
func TestOverlayPageIsLive(t *testing.T) {
	s := newSite(t)
	ctx, me := context.Background(), modelstest.User(t, s.db, false)
	o := modelstest.Overlay(t, s.db, me, models.OverlayWorkshop)
	live, list := s.browser(me).listen(fmt.Sprintf("topics=overlay:%d", o.ID)), s.browser(me).listen("topics=overlays")
	live.html("overlay-head", "No content yet")
	list.html("overlay-list", o.Name)
	if _, err := models.AddOverlayItems(ctx, s.db, o.ID, []string{"777"}); err != nil {
		t.Fatal(err)
	}
	s.Jobs.OverlayChanged(ctx, o.ID)
	live.html("workshop-items", "Item 777")
	modelstest.Publish(t, s.db, o, 1)
	s.Jobs.OverlayChanged(ctx, o.ID)
	live.html("overlay-head", "v1")
	live.html("overlay-versions", "Version 1", "current")
	list.html("overlay-list", "v1")
	if err := models.DeleteOverlay(ctx, s.db, o.ID); err != nil {
		t.Fatal(err)
	}
	if err := jobs.Publish(ctx, s.rdb, jobs.Message{Topics: []string{jobs.TopicOverlay(o.ID)}, Change: true}); err != nil {
		t.Fatal(err)
	}
	if e, ok := live.next("gone"); !ok || e.data != `{"to":"/overlays"}` {
		t.Errorf("the page of a deleted overlay is told %q, %v", e.data, ok)
	}
}
