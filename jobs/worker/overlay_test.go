package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/internal/testenv"
	"left4me/jobs"
	"left4me/models"
	"left4me/models/modelstest"
)

const soon = time.Minute

// version is what the host says of a version that it made.
func version(id, number int64, items ...ctl.VersionItem) act {
	return act{Events: []ctl.Event{{Type: ctl.EventVersion, Version: &ctl.Version{
		Overlay: id, Number: number, At: time.Now().UTC(), Files: 3, Size: 4096, Items: items,
	}}}}
}

// items is what the host says of workshop items.
func items(list ...ctl.Item) act {
	a := act{}
	for i := range list {
		a.Events = append(a.Events, ctl.Event{Type: ctl.EventItem, Item: &list[i]})
	}
	return a
}

func (w *world) overlay(kind models.OverlayKind) *models.Overlay {
	w.t.Helper()
	return modelstest.Overlay(w.t, w.s.DB, w.user, kind)
}

func (w *world) done(args jobs.Args) *models.Job {
	w.t.Helper()
	return w.until(w.ask(args).ID, soon, models.JobSucceeded)
}

// row reads an overlay again.
func (w *world) row(id int64) *models.Overlay {
	w.t.Helper()
	o, err := models.OverlayByID(context.Background(), w.s.DB, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// asked is the spec that l4d2ctl was given last.
func (w *world) spec(verb, name string, into any) {
	w.t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.dir, "stdin-"+verb+"-"+name))
	if err != nil {
		w.t.Fatal(err)
	}
	if text, ok := into.(*string); ok {
		*text = string(raw)
		return
	}
	if err := json.Unmarshal(raw, into); err != nil {
		w.t.Fatalf("%s: %v", raw, err)
	}
}

// ofKind lists the jobs of a kind, oldest first.
func (w *world) ofKind(kind string) []models.Job {
	w.t.Helper()
	var list []models.Job
	if err := w.s.DB.NewSelect().Model(&list).Where("kind = ?", kind).OrderExpr("id").Scan(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	return list
}

func (w *world) addItems(o *models.Overlay, ids ...string) {
	w.t.Helper()
	if _, err := models.AddOverlayItems(context.Background(), w.s.DB, o.ID, ids); err != nil {
		w.t.Fatal(err)
	}
}

// heard collects the topics that are told while a test runs.
func (w *world) heard(topics ...string) func() []string {
	ctx, stop := context.WithCancel(context.Background())
	hub := jobs.NewHub(w.s.Redis, testenv.Log())
	done := make(chan struct{})
	go func() { defer close(done); hub.Run(ctx) }()
	w.t.Cleanup(func() { stop(); <-done })
	viewer := hub.Subscribe(topics...)
	w.t.Cleanup(viewer.Close)
	got := map[string]bool{}
	return func() (list []string) {
		for len(viewer.Messages()) > 0 {
			m := <-viewer.Messages()
			for _, topic := range m.Topics {
				got[topic] = true
			}
		}
		for topic := range got {
			if slices.Contains(topics, topic) {
				list = append(list, topic)
			}
		}
		return list
	}
}

func TestScriptOverlayIsBuiltAndPublished(t *testing.T) {
	t.Parallel()
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		ctx := context.Background()
		w := newWorld(t, s)
		o, srv := w.overlay(models.OverlayScript), w.server()
		o.Definition.Script = "echo hello"
		if err := models.UpdateOverlay(ctx, s.DB, o); err != nil {
			t.Fatal(err)
		}
		if err := models.SetBlueprintOverlays(ctx, s.DB, w.user.ID, srv.BlueprintID, []models.Stacked{{ID: o.ID, Exec: true}}); err != nil {
			t.Fatal(err)
		}
		if err := models.AdmitFile(ctx, s.DB, &models.AdmittedFile{OverlayID: o.ID, SHA256: strings.Repeat("ab", 32), Path: "x", UserName: "mira"}); err != nil {
			t.Fatal(err)
		}
		a := version(o.ID, 1)
		a.Events = append(a.Events,
			ctl.Event{Type: ctl.EventVersion, Version: &ctl.Version{Overlay: o.ID + 1, Number: 9}}, // not ours
			ctl.Event{Type: ctl.EventFinding, Finding: &ctl.Finding{Verdict: ctl.VerdictRefused, Path: "addons/x.vpk", Sentence: "It is a ZIP."}})
		a.Events[0].Version.Release = "a\x00b \\u0000" // a stranger's text
		w.plan("overlay-build", a)
		heard := w.heard(jobs.TopicOverlay(o.ID), jobs.TopicOverlays(w.user.ID), jobs.TopicBlueprint(srv.BlueprintID), jobs.TopicServer(srv.ID))
		w.work()
		j := w.done(jobs.BuildOverlay{OverlayID: o.ID, Why: "Saved."})
		var spec ctl.OverlaySpec
		w.spec("overlay-build", fmt.Sprint(o.ID), &spec)
		if spec.Kind != ctl.OverlayScript || spec.Script != "echo hello" || spec.By != w.user.Name || spec.Why != "Saved." || len(spec.Admit) != 1 {
			t.Errorf("the spec is %+v", spec)
		}
		v, err := models.OverlayVersionByNumber(ctx, s.DB, o.ID, 1)
		if err != nil || v.UserName != w.user.Name || v.JobID != j.ID || v.Why != "Saved." || v.Files != 3 || v.Size != 4096 || w.row(o.ID).Version != 1 {
			t.Fatalf("the version is %+v, %v", v, err)
		}
		var report ctl.Version
		if err := json.Unmarshal(v.Report, &report); err != nil || report.Release != "a\uFFFDb \\u0000" {
			t.Errorf("the report says %q, %v", report.Release, err)
		}
		if log := strings.Join(w.lines(j.ID), "\n"); !strings.Contains(log, "refused: addons/x.vpk: It is a ZIP.") {
			t.Errorf("the log does not name what was refused:\n%s", log)
		}
		b, err := models.BlueprintByID(ctx, s.DB, w.user.ID, srv.BlueprintID)
		if err != nil || b.Revision != 2 {
			t.Errorf("the blueprint's revision is %d, %v; want 2: its server shows a change", b.Revision, err)
		}
		testenv.Eventually(t, soon, "pages of the overlay, its blueprint and its server are told", func() bool { return len(heard()) == 4 })

		// What the server gets then names the version, and that its server.cfg is executed.
		w.done(jobs.ApplyBlueprint{ServerID: srv.ID})
		var given ctl.Spec
		w.spec("initialize", srv.Instance, &given)
		if ref := w.row(o.ID).Ref(); !slices.Equal(given.Overlays, []string{ref}) || !slices.Equal(given.Exec, []string{ref}) {
			t.Errorf("the server got the overlays %v and executes those of %v", given.Overlays, given.Exec)
		}
	})
}

// Of a draft exactly what went into the version leaves it.
func TestPublishingADraftKeepsWhatCameMeanwhile(t *testing.T) {
	t.Parallel()
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		ctx := context.Background()
		w := newWorld(t, s)
		o := w.overlay(models.OverlayFiles)
		modelstest.Publish(t, s.DB, o, 4)
		up := &models.Upload{UserID: w.user.ID, OverlayID: o.ID, Name: "map.vpk", Size: 10}
		if err := models.CreateUpload(ctx, s.DB, up); err != nil {
			t.Fatal(err)
		}
		add := func(c models.DraftChange) {
			t.Helper()
			if err := models.AddDraftChanges(ctx, s.DB, o.ID, []models.DraftChange{c}); err != nil {
				t.Fatal(err)
			}
		}
		add(models.DraftChange{Op: "put", Path: "left4dead2/addons/map.vpk", UploadID: up.ID, Name: "map.vpk"})
		w.work()
		j := w.until(w.ask(jobs.BuildOverlay{OverlayID: o.ID}).ID, soon, models.JobFailed)
		if !strings.Contains(j.Message, "“map.vpk” is not complete") || w.runs("overlay-build", fmt.Sprint(o.ID)) != 0 {
			t.Errorf("with an upload under way it ended with %q", j.Message)
		}
		if err := models.UploadReceived(ctx, s.DB, up, 10); err != nil {
			t.Fatal(err)
		}
		a := version(o.ID, 5)
		a.Hold = true
		w.plan("overlay-build", a)
		j = w.ask(jobs.BuildOverlay{OverlayID: o.ID, Why: "Published."})
		testenv.Eventually(t, soon, "the build is under way", func() bool { return w.runs("overlay-build", fmt.Sprint(o.ID)) == 1 })
		add(models.DraftChange{Op: "delete", Path: "left4dead2/cfg"})
		w.release()
		w.until(j.ID, soon, models.JobSucceeded)
		var spec ctl.OverlaySpec
		w.spec("overlay-build", fmt.Sprint(o.ID), &spec)
		want := ctl.FileChange{Op: ctl.FilePut, Path: "left4dead2/addons/map.vpk", Upload: up.ID, Name: "map.vpk"}
		if spec.Base != 4 || len(spec.Changes) != 1 || spec.Changes[0] != want {
			t.Errorf("the spec is %+v", spec)
		}
		left, err := models.DraftChanges(ctx, s.DB, o.ID)
		if err != nil || len(left) != 1 || left[0].Op != "delete" {
			t.Errorf("left of the draft: %+v, %v", left, err)
		}
		if ids, err := models.UploadIDs(ctx, s.DB); err != nil || len(ids) != 0 {
			t.Errorf("uploads %v are still known, %v", ids, err)
		}
	})
}

// A worker that dies between the host's version and its row loses nothing: the next
// attempt is told the same version.
func TestBuildThatIsRepeatedIsRecordedOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t, testenv.EmbeddedPair(t))
	o := w.overlay(models.OverlayFiles)
	if err := models.AddDraftChanges(ctx, w.s.DB, o.ID, []models.DraftChange{{Op: "mkdir", Path: "left4dead2"}}); err != nil {
		t.Fatal(err)
	}
	first := version(o.ID, 1)
	first.Hold = true // the version is there, the worker never hears the end
	w.plan("overlay-build", first)
	stop := w.work()
	j := w.ask(jobs.BuildOverlay{OverlayID: o.ID})
	testenv.Eventually(t, soon, "the build is under way", func() bool { return w.runs("overlay-build", fmt.Sprint(o.ID)) == 1 })
	stop()
	again := version(o.ID, 1)
	again.Events[0].Version.Same = true
	w.plan("overlay-build", again)
	w.work()
	got := w.until(j.ID, soon, models.JobSucceeded)
	list, err := models.OverlayVersions(ctx, w.s.DB, o.ID, 0, 10)
	if err != nil || len(list) != 1 || w.row(o.ID).Version != 1 || len(got.Notices) != 1 {
		t.Errorf("versions %+v, notices %q, %v", list, got.Notices, err)
	}
	if left, err := models.DraftChanges(ctx, w.s.DB, o.ID); err != nil || len(left) != 0 {
		t.Errorf("left of the draft: %+v, %v", left, err)
	}
}

func TestBuildRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.EmbeddedPair(t))
	w.work()
	script := w.overlay(models.OverlayScript)
	j := w.until(w.ask(jobs.BuildOverlay{OverlayID: script.ID}).ID, soon, models.JobFailed)
	if !strings.Contains(j.Message, "no script yet") {
		t.Errorf("a script overlay without a script: %q", j.Message)
	}
	files := w.overlay(models.OverlayFiles)
	w.plan("overlay-build", act{Codes: []int{95}, Message: "The script ended with exit code 3."})
	j = w.until(w.ask(jobs.BuildOverlay{OverlayID: files.ID}).ID, soon, models.JobFailed)
	if j.ExitCode == nil || *j.ExitCode != 95 || j.Message != "The script ended with exit code 3." || j.Attempt != 1 {
		t.Errorf("a build that failed ended with %v, %q, attempt %d", j.ExitCode, j.Message, j.Attempt)
	}
	w.plan("overlay-build", act{})
	j = w.until(w.ask(jobs.BuildOverlay{OverlayID: files.ID}).ID, soon, models.JobFailed)
	if !strings.Contains(j.Message, "which version") || w.row(files.ID).Version != 0 {
		t.Errorf("a build without a version ended with %q", j.Message)
	}
}

// The whole way of pasted ids: download, rows, and a build only when the version
// would hold something else.
func TestDownloadBuildsWhatChanged(t *testing.T) {
	t.Parallel()
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		ctx := context.Background()
		w := newWorld(t, s)
		o := w.overlay(models.OverlayWorkshop)
		w.addItems(o, "100", "7")
		refused := ctl.Item{ID: "3", State: ctl.ItemStored, Stamp: "s3", Findings: []ctl.Finding{{Verdict: ctl.VerdictRefused, SHA256: "bad", Sentence: "It is a ZIP."}}}
		collection := ctl.Item{ID: "100", State: ctl.ItemCollection, Title: "All \x00 <b>maps</b>", Children: []string{"1", "2", "3", "100", "200"}}
		nested := ctl.Item{ID: "200", State: ctl.ItemCollection, Children: []string{"100", "1"}} // a cycle
		w.plan("workshop-fetch", items(
			ctl.Item{ID: "1", State: ctl.ItemWanted}, collection, nested,
			ctl.Item{ID: "1", State: ctl.ItemStored, Stamp: "s1", Changed: true},
			ctl.Item{ID: "2", State: ctl.ItemFailed, Message: "Steam does not know this item."},
			refused, ctl.Item{ID: "7", State: ctl.ItemGone, Stamp: "old"},
		))
		w.plan("overlay-build", version(o.ID, 1, ctl.VersionItem{ID: "1", Stamp: "s1"}, ctl.VersionItem{ID: "7", Stamp: "old"}))
		heard := w.heard(jobs.TopicOverlay(o.ID))
		w.work()
		w.done(jobs.DownloadWorkshop{OverlayID: o.ID})
		var asked string
		w.spec("workshop-fetch", "", &asked)
		if asked != "100\n7\n" {
			t.Errorf("l4d2ctl was asked for %q", asked)
		}
		rows, err := models.WorkshopItems(ctx, s.DB, []string{"1", "2", "3", "7", "100", "200"})
		if err != nil || len(rows) != 6 || rows["1"].State != "stored" || rows["1"].Stamp != "s1" || strings.Contains(rows["100"].Title, "\x00") {
			t.Fatalf("known items: %+v, %v", rows, err)
		}
		builds := w.ofKind("overlay.build")
		if len(builds) != 1 || builds[0].UserID != w.user.ID {
			t.Fatalf("the download asked for the builds %+v, want one of the same user", builds)
		}
		w.until(builds[0].ID, soon, models.JobSucceeded)
		if w.row(o.ID).Version != 1 || len(heard()) == 0 {
			t.Error("the version is not current, or nobody was told")
		}
		// Nothing is new: nothing is built.
		w.done(jobs.DownloadWorkshop{OverlayID: o.ID})
		if n := len(w.ofKind("overlay.build")); n != 1 {
			t.Errorf("%d builds after a download that brought nothing, want 1", n)
		}
		// A refused file that an administrator let in, and one that was taken out.
		if err := models.AdmitFile(ctx, s.DB, &models.AdmittedFile{OverlayID: o.ID, SHA256: "bad", Path: "x", UserName: "mira"}); err != nil {
			t.Fatal(err)
		}
		w.done(jobs.DownloadWorkshop{OverlayID: o.ID})
		if n := len(w.ofKind("overlay.build")); n != 2 {
			t.Errorf("%d builds after a file was let in, want 2", n)
		}
	})
}

// Some items can never be had: the job fails and says so, and the others are served.
func TestFailedDownloadServesTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.EmbeddedPair(t))
	o := w.overlay(models.OverlayWorkshop)
	w.addItems(o, "1", "2")
	a := items(ctl.Item{ID: "1", State: ctl.ItemStored, Stamp: "s1"}, ctl.Item{ID: "2", State: ctl.ItemFailed, Message: "Steam does not answer."})
	a.Codes, a.Message = []int{76}, "1 of 2 workshop items could not be had."
	w.plan("workshop-fetch", a)
	w.plan("overlay-build", version(o.ID, 1, ctl.VersionItem{ID: "1", Stamp: "s1"}))
	w.work()
	j := w.until(w.ask(jobs.DownloadWorkshop{OverlayID: o.ID}).ID, soon, models.JobFailed)
	if j.Message != a.Message {
		t.Errorf("it ended with %q", j.Message)
	}
	testenv.Eventually(t, soon, "the item that there is is served", func() bool { return w.row(o.ID).Version == 1 })
	w.until(w.ask(jobs.DownloadWorkshop{OverlayID: o.ID}).ID, soon, models.JobFailed)
	if n := len(w.ofKind("overlay.build")); n != 1 {
		t.Errorf("%d builds, although the second download brought nothing", n)
	}
}

// Collections that all list each other: looking for what is usable asked the database
// for every pair of them, level by level.
func TestAttack4BombOfCollections(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.EmbeddedPair(t))
	o := w.overlay(models.OverlayWorkshop)
	var all []string
	for i := range ctl.MaxWorkshopItems / 2 {
		all = append(all, fmt.Sprint(1000+i))
	}
	err := w.s.DB.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		for _, id := range all {
			report, err := json.Marshal(ctl.Item{ID: id, State: ctl.ItemCollection, Children: all})
			if err == nil {
				err = models.SaveWorkshopItem(ctx, tx, &models.WorkshopItem{ID: id, State: string(ctl.ItemCollection), Report: report})
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.addItems(o, all[0])
	w.plan("workshop-fetch", items())
	w.work()
	w.done(jobs.DownloadWorkshop{OverlayID: o.ID})
	if n := len(w.ofKind("overlay.build")); n != 0 {
		t.Errorf("%d builds of nothing", n)
	}
}

func TestDownloadOfAnOverlayWithoutItemsAsksNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.EmbeddedPair(t))
	w.work()
	o := w.overlay(models.OverlayWorkshop)
	w.done(jobs.DownloadWorkshop{OverlayID: o.ID})
	if w.runs("workshop-fetch", "") != 0 || len(w.ofKind("overlay.build")) != 0 {
		t.Error("l4d2ctl was asked for nothing")
	}
	files := w.overlay(models.OverlayFiles)
	j := w.until(w.ask(jobs.DownloadWorkshop{OverlayID: files.ID}).ID, soon, models.JobFailed)
	if !strings.Contains(j.Message, "Only overlays of workshop items") {
		t.Errorf("a files overlay: %q", j.Message)
	}
}

// The nightly refresh says what changed, for whom and when it takes effect.
func TestRefreshNamesItemsOverlaysAndServers(t *testing.T) {
	t.Parallel()
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		ctx := context.Background()
		w := newWorld(t, s)
		changed, same, srv := w.overlay(models.OverlayWorkshop), w.overlay(models.OverlayWorkshop), w.server()
		w.addItems(changed, "1", "2")
		w.addItems(same, "2")
		if err := models.SetBlueprintOverlays(ctx, s.DB, w.user.ID, srv.BlueprintID, []models.Stacked{{ID: changed.ID}}); err != nil {
			t.Fatal(err)
		}
		for o, list := range map[*models.Overlay][]ctl.VersionItem{changed: {{ID: "1", Stamp: "a"}, {ID: "2", Stamp: "b"}}, same: {{ID: "2", Stamp: "b"}}} {
			raw, err := json.Marshal(ctl.Version{Items: list})
			if err != nil {
				t.Fatal(err)
			}
			if err := models.PublishVersion(ctx, s.DB, &models.OverlayVersion{OverlayID: o.ID, Number: 1, CreatedAt: models.Now(), Report: raw}); err != nil {
				t.Fatal(err)
			}
		}
		w.plan("workshop-fetch", items(ctl.Item{ID: "1", Title: "Suicide Blitz 2", State: ctl.ItemStored, Stamp: "new", Changed: true}, ctl.Item{ID: "2", State: ctl.ItemStored, Stamp: "b"}))
		w.plan("overlay-build", version(changed.ID, 2, ctl.VersionItem{ID: "1", Stamp: "new"}, ctl.VersionItem{ID: "2", Stamp: "b"}))
		w.work()
		j := w.done(jobs.RefreshOverlays{})
		var asked string
		if w.spec("workshop-fetch", "", &asked); asked != "1\n2\n" {
			t.Errorf("l4d2ctl was asked for %q, want each item once", asked)
		}
		want := "The overlay “" + changed.Name + "” is built again because “Suicide Blitz 2” (1) changed. It takes effect at the next start of " + srv.Name + "."
		if !slices.Equal(j.Notices, []string{want}) {
			t.Errorf("notices %q, want %q", j.Notices, want)
		}
		builds := w.ofKind("overlay.build")
		if len(builds) != 1 || builds[0].OverlayID != changed.ID {
			t.Fatalf("builds: %+v", builds)
		}
		w.until(builds[0].ID, soon, models.JobSucceeded)
		if w.row(changed.ID).Version != 2 || w.row(same.ID).Version != 1 {
			t.Error("the wrong overlay got a version")
		}
	})
}

func TestCollectingTellsTheHostWhatIsNeeded(t *testing.T) {
	t.Parallel()
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		ctx := context.Background()
		w := newWorld(t, s)
		o, empty := w.overlay(models.OverlayFiles), w.overlay(models.OverlayFiles)
		modelstest.Publish(t, s.DB, o, 1)
		modelstest.Publish(t, s.DB, o, 2)
		var ups [3]*models.Upload
		for i := range ups {
			ups[i] = &models.Upload{UserID: w.user.ID, OverlayID: empty.ID, Name: "a", Size: 1}
			if err := models.CreateUpload(ctx, s.DB, ups[i]); err != nil {
				t.Fatal(err)
			}
		}
		if err := models.AddDraftChanges(ctx, s.DB, empty.ID, []models.DraftChange{{Op: "put", Path: "a", UploadID: ups[0].ID}}); err != nil {
			t.Fatal(err)
		}
		age := models.Now().Add(-8 * 24 * time.Hour)
		for _, u := range ups[:2] { // one of them is held by the draft
			if _, err := s.DB.NewUpdate().Model((*models.Upload)(nil)).Set("updated_at = ?", age).Where("id = ?", u.ID).Exec(ctx); err != nil {
				t.Fatal(err)
			}
		}
		w.plan("overlay-gc", act{Events: []ctl.Event{
			{Type: ctl.EventVersion, Version: &ctl.Version{Overlay: o.ID, Number: 1, Collected: true}},
			{Type: ctl.EventVersion, Version: &ctl.Version{Overlay: 999, Number: 1, Collected: true}}, // an operator's own
		}})
		heard := w.heard(jobs.TopicOverlay(o.ID))
		w.work()
		w.done(jobs.CollectOverlays{})
		var needed string
		w.spec("overlay-gc", "", &needed)
		want := fmt.Sprintf("uploads\npin %d/v2\nupload %s\nupload %s\n", o.ID, ups[0].ID, ups[2].ID)
		if needed != want {
			t.Errorf("the host was told:\n%s\nwant:\n%s", needed, want)
		}
		v, err := models.OverlayVersionByNumber(ctx, s.DB, o.ID, 1)
		if err != nil || v.CollectedAt.IsZero() {
			t.Errorf("version 1: %+v, %v; want it collected", v, err)
		}
		testenv.Eventually(t, soon, "pages of the overlay are told", func() bool { return len(heard()) == 1 })
	})
}

// What a server would get and what is gone are two things; the sentence says which.
func TestServerWithACollectedVersionIsToldTheWayOut(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t, testenv.EmbeddedPair(t))
	o, srv := w.overlay(models.OverlayFiles), w.server()
	modelstest.Publish(t, w.s.DB, o, 1)
	if err := models.SetBlueprintOverlays(ctx, w.s.DB, w.user.ID, srv.BlueprintID, []models.Stacked{{ID: o.ID}}); err != nil {
		t.Fatal(err)
	}
	// Its only version: nothing is left to fall back to.
	if _, err := w.s.DB.NewUpdate().Model((*models.OverlayVersion)(nil)).Set("collected_at = ?", models.Now()).Where("overlay_id = ?", o.ID).Exec(ctx); err != nil {
		t.Fatal(err)
	}
	w.work()
	j := w.until(w.ask(jobs.StartServer{ServerID: srv.ID}).ID, soon, models.JobFailed)
	if j.ExitCode == nil || *j.ExitCode != 97 || !strings.Contains(j.Message, "“"+o.Name+"” were collected") {
		t.Errorf("it ended with %v, %q", j.ExitCode, j.Message)
	}
}

// An operator collected with l4d2ctl, and no row knew: pages went on offering the
// version, and the advice was to take the current one, which it was.
func TestWhatAnOperatorCollectedIsLearned(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t, testenv.EmbeddedPair(t))
	o, srv := w.overlay(models.OverlayFiles), w.server()
	modelstest.Publish(t, w.s.DB, o, 1)
	modelstest.Publish(t, w.s.DB, o, 2)
	if err := w.s.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error { return models.UseVersion(ctx, tx, o.ID, 1) }); err != nil {
		t.Fatal(err)
	}
	if err := models.SetBlueprintOverlays(ctx, w.s.DB, w.user.ID, srv.BlueprintID, []models.Stacked{{ID: o.ID}}); err != nil {
		t.Fatal(err)
	}
	w.plan("initialize", act{Codes: []int{97, 0}, Message: "The host's sentence."})
	w.plan("overlay-list", act{Events: []ctl.Event{
		{Type: ctl.EventVersion, Version: &ctl.Version{Overlay: o.ID, Number: 2}},
		{Type: ctl.EventVersion, Version: &ctl.Version{Overlay: o.ID, Number: 1, Collected: true}},
	}})
	w.work()
	j := w.until(w.ask(jobs.StartServer{ServerID: srv.ID}).ID, soon, models.JobFailed)
	if j.ExitCode == nil || *j.ExitCode != 97 || !strings.Contains(j.Message, "Version 2 is the current one now") {
		t.Errorf("it ended with %v, %q", j.ExitCode, j.Message)
	}
	if v, err := models.OverlayVersionByNumber(ctx, w.s.DB, o.ID, 1); err != nil || v.CollectedAt.IsZero() {
		t.Errorf("version 1: %+v, %v; want it collected", v, err)
	}
	w.done(jobs.StartServer{ServerID: srv.ID})
}

func TestDeletingAnOverlay(t *testing.T) {
	t.Parallel()
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		ctx := context.Background()
		w := newWorld(t, s)
		o, b := w.overlay(models.OverlayFiles), modelstest.Blueprint(t, s.DB, w.user)
		if err := models.SetBlueprintOverlays(ctx, s.DB, w.user.ID, b.ID, []models.Stacked{{ID: o.ID}}); err != nil {
			t.Fatal(err)
		}
		_, err := w.queue.Enqueue(ctx, models.Actor{ID: w.user.ID, Name: "mira"}, jobs.DeleteOverlay{OverlayID: o.ID})
		if _, refused := models.AsInvalid(err); !refused || !strings.Contains(err.Error(), b.Name) {
			t.Fatalf("deleting a stacked overlay: %v, want a refusal that names %s", err, b.Name)
		}
		if err := models.SetBlueprintOverlays(ctx, s.DB, w.user.ID, b.ID, nil); err != nil {
			t.Fatal(err)
		}
		a := version(o.ID, 1)
		a.Hold = true
		w.plan("overlay-build", a)
		w.work()
		build := w.ask(jobs.BuildOverlay{OverlayID: o.ID})
		testenv.Eventually(t, soon, "the build is under way", func() bool { return w.runs("overlay-build", fmt.Sprint(o.ID)) == 1 })
		del := w.done(jobs.DeleteOverlay{OverlayID: o.ID})
		if j := w.job(build.ID); j.State != models.JobCancelled {
			t.Errorf("the build of a deleted overlay is %s", j.State)
		}
		if n := w.runs("overlay-delete", fmt.Sprint(o.ID)); n != 1 || del.OverlayID != 0 {
			t.Errorf("overlay delete ran %d times, the job names overlay %d", n, del.OverlayID)
		}
		if n, err := s.DB.NewSelect().Model((*models.Overlay)(nil)).Count(ctx); err != nil || n != 0 {
			t.Errorf("%d overlays are left, %v", n, err)
		}
	})
}

// Somebody stacked it in the moment between the click and the job.
func TestDeletingLooksOnceMore(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t, testenv.EmbeddedPair(t))
	o, b := w.overlay(models.OverlayFiles), modelstest.Blueprint(t, w.s.DB, w.user)
	del := w.ask(jobs.DeleteOverlay{OverlayID: o.ID})
	if _, err := w.s.DB.NewRaw("INSERT INTO blueprint_overlays (blueprint_id, position, overlay_id) VALUES (?, 0, ?)", b.ID, o.ID).Exec(ctx); err != nil {
		t.Fatal(err)
	}
	w.work()
	j := w.until(del.ID, soon, models.JobFailed)
	if !strings.Contains(j.Message, b.Name) || w.runs("overlay-delete", fmt.Sprint(o.ID)) != 0 {
		t.Errorf("it ended with %q, and the host was asked %d times", j.Message, w.runs("overlay-delete", fmt.Sprint(o.ID)))
	}
}

// After a downtime each schedule is caught up with once, by one of two workers; a
// new installation has nothing to catch up with.
func TestScheduleIsServedOnce(t *testing.T) {
	t.Parallel()
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		ctx := context.Background()
		w := newWorld(t, s)
		served := func() bool {
			list, err := models.Schedules(ctx, s.DB, models.LocalHost)
			if err != nil {
				t.Fatal(err)
			}
			return !slices.ContainsFunc(list, func(s models.Schedule) bool { return s.Enabled && s.LastAt.Before(s.Tick(time.Now())) })
		}
		stop := w.work()
		testenv.Eventually(t, 2*soon, "the ticks were taken", served)
		stop()
		if n, err := s.DB.NewSelect().Model((*models.Job)(nil)).Count(ctx); err != nil || n != 0 {
			t.Fatalf("a new installation began with %d jobs, %v", n, err)
		}
		down := models.Now().Add(-72 * time.Hour)
		err := s.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewUpdate().Model((*models.Schedule)(nil)).Set("last_at = ?", down).Where("name <> ''").Exec(ctx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		w.work()
		w.work()
		testenv.Eventually(t, 2*soon, "the ticks were taken", served)
		for _, kind := range []string{"overlay.refresh", "overlay.gc", "game.check"} {
			list := w.ofKind(kind)
			if len(list) != 1 || list[0].UserID != "" {
				t.Fatalf("%s was asked for as %+v, want once and by nobody", kind, list)
			}
			w.until(list[0].ID, soon, models.JobSucceeded)
		}
	})
}
