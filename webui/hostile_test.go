package webui

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
	"left4me/models/modelstest"
)

var update = flag.Bool("update", false, "write the golden files")

// hostile are texts that strangers choose: names, log lines, messages.
var hostile = []string{
	`<script>alert(1)</script>`,
	`"><img src=x onerror=alert(1)>`,
	`' autofocus onfocus='alert(1)`,
	`Coach<2><STEAM_1:0:1>`,
	"\x1b[31mred\x1b[0m\x1b]0;title\x07",
	"\u202egpj.exe\u2066",
	`</textarea><svg onload=alert(1)>`,
	`{{.User.PasswordHash}}`,
	`javascript:alert(1)`,
}

// TestHostileTexts puts strangers' texts wherever they can get and looks at every
// page for markup that came out of them.
func TestHostileTexts(t *testing.T) {
	content := &versionContent{Content: &stackContent{}, manifests: map[string]*ctl.Manifest{}}
	s := newSite(t, func(c *Config) { c.Content = content })
	ctx := context.Background()
	u := modelstest.User(t, s.db, true)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	paths := []string{"/servers", "/servers/new", "/blueprints", "/jobs", "/game", "/account", "/overlays"}
	for i, text := range hostile {
		name := strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x202e || r == 0x2066 {
				return -1 // refused in a name; our own tests of models say so
			}
			return r
		}, text)
		b := &models.Blueprint{UserID: u.ID, Name: name, Arguments: []string{name}, Config: name}
		must(models.CreateBlueprint(ctx, s.db, b))
		srv := &models.Server{UserID: u.ID, BlueprintID: b.ID, Name: name, Hostname: name}
		must(models.CreateServer(ctx, s.db, s.key, srv))
		status := models.ServerStatus{
			Message: text, Grade: text, Argv: []string{text}, Exit: &models.GameExit{Signal: name, At: time.Now()},
			Live: &models.Live{Hostname: text, Map: text, Players: 1, Names: []models.Player{{Name: text, SteamID: text}}},
		}
		_, _, err := models.Observe(ctx, s.db, models.Observation{Host: srv.Host, Instance: srv.Instance, State: models.ServerRunning, Status: status})
		must(err)
		job, err := s.Jobs.Enqueue(ctx, models.Actor{ID: u.ID, Name: u.Name}, jobs.StopServer{ServerID: srv.ID})
		must(err)
		claimed, err := models.ClaimJob(ctx, s.db, job.ID, "test")
		must(err)
		claimed.Progress.Now = &models.JobStep{Title: text, Why: text, Try: 2, Tries: 3, Percent: 5, Total: 9}
		_, err = models.BeatJob(ctx, s.db, claimed)
		must(err)
		must(models.AppendLog(ctx, s.db, job.ID, 1, []models.LogLine{{At: models.Now(), Stream: text, Text: text}}))
		w, _, err := jobs.OpenConsole(ctx, s.rdb, srv.Instance)
		must(err)
		must(w.Append(ctx, []jobs.ConsoleLine{{Line: jobs.Line{At: models.Now(), Stream: text, Text: text}}}))
		finding := ctl.Finding{Path: text, Verdict: ctl.VerdictRefused, Code: text, Sentence: text, SHA256: text}
		campaigns := []ctl.Campaign{{Name: text, Title: text, Author: text, File: text, Modes: []ctl.Mode{{Name: text, Chapters: []ctl.Chapter{{Map: text, Title: text}}}}}}
		o := &models.Overlay{UserID: u.ID, Name: name, Kind: models.OverlayWorkshop}
		must(models.CreateOverlay(ctx, s.db, o))
		report := ctl.Version{Overlay: o.ID, Number: 1, Release: text, Campaigns: campaigns, Findings: []ctl.Finding{finding}}
		raw, err := json.Marshal(report)
		must(err)
		must(models.PublishVersion(ctx, s.db, &models.OverlayVersion{OverlayID: o.ID, Number: 1, CreatedAt: models.Now(), UserName: text, Why: text, Report: raw}))
		content.manifests[fmt.Sprintf("%d/v1", o.ID)] = &ctl.Manifest{Version: report, Tree: []ctl.ManifestFile{{Path: text}, {Path: text, Link: text}, {Path: text, Dir: true}}}
		raw, err = json.Marshal(ctl.Item{Title: text, State: ctl.ItemFailed, Message: text, Filename: text, Stamp: text, Tags: []string{text}, Findings: []ctl.Finding{finding}, Campaigns: campaigns, Image: true})
		must(err)
		must(models.SaveWorkshopItem(ctx, s.db, &models.WorkshopItem{ID: fmt.Sprint(1 + i), State: string(ctl.ItemFailed), Title: text, Stamp: text, Report: raw}))
		_, err = models.AddOverlayItems(ctx, s.db, o.ID, []string{fmt.Sprint(1 + i)})
		must(err)
		must(models.AdmitFile(ctx, s.db, &models.AdmittedFile{OverlayID: o.ID, SHA256: text, Path: text, UserName: text}))
		paths = append(paths, overlayPath(o.ID), overlayPath(o.ID)+"/versions", overlayPath(o.ID)+"/versions/1?"+url.Values{"filter": {text}}.Encode(), overlayPath(o.ID)+"/versions/1")
		paths = append(paths, "/servers/"+srv.Instance, "/blueprints/"+b.ID, jobView{Job: job}.Path())
		if text == hostile[0] {
			must(models.FinishJob(ctx, s.db, job.ID, 1, models.Ending{State: models.JobFailed, Message: text, Notices: []string{text}}))
		}
	}
	must(models.SeeHost(ctx, s.db, models.LocalHost, &models.Game{Message: hostile[0], Version: hostile[1], Build: hostile[1], Installed: true}))
	b := s.browser(u)
	for _, path := range paths {
		got := b.get(path)
		got.want(t, 200)
		for _, bad := range []string{"<script>alert", "<img src=x", "<svg onload", "onfocus='", "onerror=alert(1)>\"", "\x1b", "\u202e", "\u2066", `href="javascript:`, u.PasswordHash + "<"} {
			if i := strings.Index(got.Text, bad); i >= 0 {
				t.Errorf("%s contains %q: …%s…", path, bad, got.Text[max(0, i-100):min(len(got.Text), i+60)])
			}
		}
	}
	b.get(paths[7]).want(t, 200, "&lt;script&gt;alert(1)&lt;/script&gt;")
}

// golden compares what a view renders with the file of that name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; if that is meant, run the test with -update.\ngot:\n%s\nwant:\n%s", name, got, want)
	}
}

func TestGoldenFragments(t *testing.T) {
	st, err := loadStatic()
	if err != nil {
		t.Fatal(err)
	}
	set, err := loadTemplates(st.url)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 21, 20, 14, 2, 0, time.UTC)
	mira := &models.User{ID: "u1", Name: "mira"}
	srv := func(state models.ServerState, status models.ServerStatus) *models.Server {
		return &models.Server{
			ID: "s1", UserID: "u1", Instance: "friday-versus-k3x9", Name: "Friday <versus>", Port: 27015, Observed: state, Desired: models.ServerStopped,
			ObservedSince: at, ObservedAt: models.Now(), Status: status, AppliedRevision: 3, Blueprint: &models.Blueprint{ID: "b1", Name: "Competitive", Revision: 3},
		}
	}
	job := func(kind string, state models.JobState) jobView {
		return jobView{Job: &models.Job{ID: 42, Kind: kind, Title: "Start Friday <versus>", State: state, CreatedAt: at, StartedAt: at, Attempt: 1, MaxAttempts: 3, User: mira}}
	}
	running := srv(models.ServerRunning, models.ServerStatus{
		Grade: "rcon", PID: 4711, Memory: 912_000_000, Argv: []string{"srcds_linux", "+map", "c2m1_highway versus"},
		Live: &models.Live{At: at, Map: "c2m2_fairgrounds", Players: 1, Bots: 3, Max: 8, Hostname: `Friday "versus" ; $(id)`, Names: []models.Player{{Name: "Coach<2><STEAM_1:0:1>", SteamID: "STEAM_1:0:1234567", Connected: 725, Ping: 34}}},
	})
	pending := srv(models.ServerRunning, models.ServerStatus{})
	pending.AppliedRevision = 2
	failed := srv(models.ServerFailed, models.ServerStatus{Message: "urban_flight.vpk cannot be read by the game.", Restarts: 3, Exit: &models.GameExit{At: at, Code: 139, Signal: "SIGSEGV"}})
	install := job("game.install", models.JobRunning)
	install.Job.Title = "Install the game"
	install.Job.Progress = models.JobProgress{
		Steps: []models.JobStep{{Title: "Steam client updated", Began: at, Ended: at.Add(12 * time.Second)}},
		Now:   &models.JobStep{Title: "Linux files: downloading", Step: 2, Steps: 4, Percent: 66.3, Done: 128_000_000, Total: 193_000_000, Rate: 31_000_000, Left: 2, Try: 2, Tries: 3, Why: "Steam had not cached the app information yet"},
	}
	fetching := job("workshop.download", models.JobRunning)
	fetching.Job.Title = "Fetch the workshop items of Maps <b>"
	fetching.Job.Progress.Now = &models.JobStep{Title: "Items: downloading", Step: 2, Steps: 3, Percent: 25, Done: 30_000_000, Total: 120_000_000, Rate: 9_000_000, Left: 10}
	maps := &models.Overlay{ID: 12, UserID: "u1", Name: "Maps <b>", Kind: models.OverlayWorkshop, Version: 3}
	zip := ctl.Finding{Path: "left4dead2/addons/777.vpk", Verdict: ctl.VerdictRefused, Sentence: "it is a ZIP archive", SHA256: "ab"}
	report := ctl.Version{Files: 2, Size: 5_000_000, Previous: 2, Added: 1, Changed: 2, Removed: 3, Findings: []ctl.Finding{zip}, Campaigns: make([]ctl.Campaign, 2)}
	busy := overlayView{Overlay: maps, Report: report, Published: at, Refused: 1, Stacked: models.OverlayCount{Blueprints: 1, Servers: 2}, Job: &fetching, See: true, Change: true}
	shared := overlayView{Overlay: &models.Overlay{ID: 13, Name: "SourceMod", Kind: models.OverlayManaged}}
	version := func(n int64, collected time.Time) versionRow {
		return versionRow{Version: models.OverlayVersion{OverlayID: 12, Number: n, CreatedAt: at, UserName: "mira", Why: "because", Size: 5_000_000, CollectedAt: collected}, Report: report, Refused: 1, Current: n == 3}
	}
	for name, v := range map[string]view{
		"overlay_fetching.html": overlayHead{overlayView: busy, Uses: []models.OverlayUse{{BlueprintID: "b1", Blueprint: "Competitive", Servers: 2}}, Others: 1},
		"overlay_rows.html":     overlayList{Mine: []overlayView{busy}, Shared: []overlayView{shared}},
		"overlay_history.html":  overlayVersions{Path: "/overlays/12", Change: true, Older: 1, Rows: []versionRow{version(3, time.Time{}), version(2, time.Time{}), version(1, at)}},
		"overlay_items.html": workshopItems{Path: "/overlays/12", Change: true, Ready: 1, Open: 1, Size: 5_000_000, Rows: []itemView{
			{Item: ctl.Item{ID: "777", Title: "All <maps>", State: ctl.ItemCollection, Children: []string{"888"}}, Own: true, Below: 1},
			{Item: ctl.Item{ID: "888", Title: "Dead Air 2", State: ctl.ItemStored, Stamp: "1", Size: 5_000_000, Updated: at, Image: true}, Level: 1},
			{Item: ctl.Item{ID: "999", State: ctl.ItemGone, Message: "Steam has no such item."}, Own: true},
		}},
		"card_running.html":  cardOf(serverView{Server: running, Host: "left4.example"}),
		"card_pending.html":  cardOf(serverView{Server: pending, Host: "left4.example"}),
		"card_failed.html":   cardOf(serverView{Server: failed, Host: "left4.example"}),
		"card_starting.html": cardOf(serverView{Server: srv(models.ServerStopped, models.ServerStatus{}), Host: "left4.example", Jobs: []jobView{job("server.start", models.JobRunning)}}),
		"head_held.html":     serverHead{serverView{Server: running, Host: "left4.example", Jobs: []jobView{job("server.stop", models.JobRunning), job("server.start", models.JobQueued)}}},
		"now_running.html":   serverNow{serverView{Server: running}},
		"strip_install.html": stripView{Jobs: []jobView{install}},
		"strip_empty.html":   stripView{},
		"progress.html":      jobProgress{install},
		"game_absent.html":   gameCard{Host: models.Host{Name: "local"}, Admin: true},
		"toast.html":         toastView{Tone: "bad", Text: "Port <27015> is taken."},
	} {
		got, err := set.render(v)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, got)
	}
}

// TestServerButtons: what can be done in each state, and what it is called.
func TestServerButtons(t *testing.T) {
	start, stop, del, apply := jobs.StartServer{}.Kind(), jobs.StopServer{}.Kind(), jobs.DeleteServer{}.Kind(), jobs.ApplyBlueprint{}.Kind()
	type held struct {
		kind  string
		state models.JobState
	}
	tests := map[string]struct {
		observed models.ServerState
		jobs     []held
		word     string
		canStart bool
		canStop  bool
	}{
		"fresh":                {models.ServerAbsent, nil, "Never started", true, false},
		"stopped":              {models.ServerStopped, nil, "Stopped", true, false},
		"running":              {models.ServerRunning, nil, "Running", false, true},
		"starting":             {models.ServerStarting, nil, "Starting", false, true},
		"stopping":             {models.ServerStopping, nil, "Stopping", true, false},
		"failed":               {models.ServerFailed, nil, "Failed", true, false},
		"unknown":              {models.ServerUnknown, nil, "Unknown", true, false},
		"start waits":          {models.ServerStopped, []held{{start, models.JobQueued}}, "Stopped", false, true},
		"start runs":           {models.ServerStopped, []held{{start, models.JobRunning}}, "Starting", false, true},
		"stop runs":            {models.ServerRunning, []held{{stop, models.JobRunning}}, "Stopping", true, false},
		"stop, then start":     {models.ServerRunning, []held{{stop, models.JobRunning}, {start, models.JobQueued}}, "Stopping", false, true},
		"start, then stop":     {models.ServerStarting, []held{{start, models.JobRunning}, {stop, models.JobQueued}}, "Starting", true, false},
		"apply while running":  {models.ServerRunning, []held{{apply, models.JobRunning}}, "Running", false, true},
		"delete":               {models.ServerRunning, []held{{del, models.JobRunning}}, "Being deleted", false, false},
		"delete waits":         {models.ServerStopped, []held{{del, models.JobQueued}}, "Stopped", false, false},
		"apply before a start": {models.ServerAbsent, []held{{apply, models.JobRunning}, {start, models.JobQueued}}, "Never started", false, true},
	}
	for name, tt := range tests {
		v := serverView{Server: &models.Server{Observed: tt.observed, ObservedAt: models.Now()}}
		for _, h := range tt.jobs {
			v.Jobs = append(v.Jobs, jobView{Job: &models.Job{Kind: h.kind, State: h.state}})
		}
		if got := v.State().Word; got != tt.word || v.CanStart() != tt.canStart || v.CanStop() != tt.canStop {
			t.Errorf("%s: %q, start %v, stop %v; want %q, %v, %v", name, got, v.CanStart(), v.CanStop(), tt.word, tt.canStart, tt.canStop)
		}
	}
}

// TestEveryViewRenders: html/template finds some mistakes only when it runs.
func TestEveryViewRenders(t *testing.T) {
	st, err := loadStatic()
	if err != nil {
		t.Fatal(err)
	}
	set, err := loadTemplates(st.url)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"toast.html", "strip.html", "message.html", "argv.html", "server_summary.html"} {
		for _, v := range views {
			if v.template() != name {
				continue
			}
			if _, err := set.render(v); err != nil {
				t.Errorf("%T: %v", v, err)
			}
		}
	}
	if _, err := loadTemplates(func(name string) (string, error) { return "", os.ErrNotExist }); err == nil {
		t.Error("an asset that does not exist was not noticed at start-up")
	}
}
