package webui

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"left4me/jobs"
	"left4me/models"
	"left4me/models/modelstest"
)

// startedServer is a server of the user's that was started with what its blueprint
// says now.
func (s *site) startedServer(t *testing.T, u *models.User, b *models.Blueprint, live *models.Live) *models.Server {
	t.Helper()
	ctx := context.Background()
	list, err := models.Servers(ctx, s.db, u.ID)
	if err != nil {
		t.Fatal(err)
	}
	made := &models.Server{UserID: u.ID, BlueprintID: b.ID, Name: fmt.Sprintf("Night %d", len(list)+1)}
	if err := models.CreateServer(ctx, s.db, s.key, made); err != nil {
		t.Fatal(err)
	}
	srv, err := models.ServerByID(ctx, s.db, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := models.SpecOf(ctx, s.db, srv)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		models.RememberSpec(ctx, s.db, srv.ID, "the-sum", spec),
		models.SetApplied(ctx, s.db, srv.ID, srv.Blueprint.Revision),
		models.SetDesired(ctx, s.db, srv.ID, models.ServerRunning),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.seen(t, srv, models.ServerRunning, models.ServerStatus{Spec: "the-sum", Live: live})
	return srv
}

func (s *site) seen(t *testing.T, srv *models.Server, state models.ServerState, status models.ServerStatus) {
	t.Helper()
	if _, _, err := models.Observe(context.Background(), s.db, models.Observation{Host: srv.Host, Instance: srv.Instance, State: state, Status: status}); err != nil {
		t.Fatal(err)
	}
}

// jobsOf are the kinds of a server's unfinished jobs, and ends them.
func (s *site) jobsOf(t *testing.T, srv *models.Server) string {
	t.Helper()
	ctx := context.Background()
	list, err := models.UnfinishedJobs(ctx, s.db, srv.ID)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, j := range list {
		kinds = append(kinds, j.Kind+string(j.Args[strings.LastIndex(string(j.Args), srv.ID)+len(srv.ID)+1:]))
		if _, err := models.CancelJob(ctx, s.db, j.ID, "test"); err != nil {
			t.Fatal(err)
		}
	}
	return strings.Join(kinds, " ")
}

// A change of a blueprint is shown for each server as what runs against what would
// run, and one button restarts it with that.
func TestChangesAreShownAndApplied(t *testing.T) {
	s := newSite(t)
	ctx, u := context.Background(), modelstest.User(t, s.db, false)
	bp := modelstest.Blueprint(t, s.db, u)
	rules, maps := modelstest.Overlay(t, s.db, u, models.OverlayFiles), modelstest.Overlay(t, s.db, u, models.OverlayWorkshop)
	modelstest.Publish(t, s.db, rules, 1)
	modelstest.Publish(t, s.db, maps, 4)
	bp.Arguments, bp.Config = []string{"-tickrate", "30", "+map", "c1m1_hotel"}, "sv_alltalk 1\nsv_gametypes coop\nmotdfile a.txt\n"
	if err := models.UpdateBlueprint(ctx, s.db, bp); err != nil {
		t.Fatal(err)
	}
	if err := models.SetBlueprintOverlays(ctx, s.db, u.ID, bp.ID, []models.Stacked{{ID: rules.ID}}); err != nil {
		t.Fatal(err)
	}
	busy := s.startedServer(t, u, bp, &models.Live{Players: 2, Names: []models.Player{{Name: "Zoey<b>"}, {Name: "Nick"}}})
	path, at := "/blueprints/"+bp.ID, "/servers/"+busy.Instance
	b := s.browser(u)
	b.get(path).want(t, 200, "Has it as it is now.")
	b.get(at).want(t, 200, `" hidden></div>`)

	modelstest.Publish(t, s.db, rules, 2)
	b.post(path+"/overlays", url.Values{"do": {"add"}, "overlay": {fmt.Sprint(maps.ID)}}).want(t, 303)
	b.post(path, url.Values{"name": {bp.Name}, "edits": {fmt.Sprint(bp.Edits)}, "arguments": {"-tickrate 60 +map c1m1_hotel"}, "config": {"sv_alltalk 1\nsv_gametypes <i>versus\nmotdfile a.txt\n"}}).want(t, 303)
	b.post(at, url.Values{"name": {busy.Name}, "hostname": {"Nights"}, "port": {"27099"}, "blueprint": {bp.ID}}).want(t, 303)
	s.jobsOf(t, busy) // changed settings are handed to the host at once
	for _, page := range []string{path, at} {
		got := b.get(page)
		got.want(t, 200, rules.Name+" v1 → v2", "comes: </span><span>"+maps.Name+" v4", "goes: </span><span>-tickrate 30", "comes: </span><span>-tickrate 60",
			"goes: </span><span>sv_gametypes coop", "comes: </span><span>sv_gametypes &lt;i&gt;versus", "Host name: "+busy.Name+" → Nights", "→ 27099",
			"2 players will be thrown out: Zoey&lt;b&gt;, Nick.", "When empty")
		if strings.Contains(got.Text, "+map c1m1_hotel</span></li>") {
			t.Errorf("%s shows an argument that did not change", page)
		}
	}

	// Who plays is named before a restart throws them out.
	b.post(at+"/apply", url.Values{"back": {path}}).want(t, 200, "Restart the server", "thrown out: Zoey&lt;b&gt;, Nick", `name="back" value="`+path)
	b.post(at+"/apply", nil, hx("blueprint-linked")...).want(t, 422, "Click again")
	if got := s.jobsOf(t, busy); got != "" {
		t.Errorf("before the answer there are the jobs %s", got)
	}
	sure := url.Values{"sure": {"yes"}, "back": {path}}
	if got := b.post(at+"/apply", sure); got.Header.Get("Location") != path {
		t.Errorf("it leads to %q, want back to the blueprint", got.Header.Get("Location"))
	}
	if got, want := s.jobsOf(t, busy), "server.restart}"; got != want {
		t.Errorf("applying now asked for %s, want %s", got, want)
	}
	b.post(at+"/apply", sure, hx("changes-"+busy.ID)...).want(t, 200, `id="changes-`+busy.ID)
	s.jobsOf(t, busy)
	b.post(at+"/apply", url.Values{"when": {"empty"}}, hx("blueprint-linked")...).want(t, 200, `id="blueprint-linked"`)
	if got, want := s.jobsOf(t, busy), `server.restart,"if_empty":true,"or_later":true}`; got != want {
		t.Errorf("applying when it is empty asked for %s, want %s", got, want)
	}
	if err := models.SetApplyWhenEmpty(ctx, s.db, busy.ID, true); err != nil {
		t.Fatal(err)
	}
	b.get(at).want(t, 200, "It restarts as soon as nobody plays.")
	b.post(at+"/apply", url.Values{"when": {"never"}}).want(t, 303)
	if now, err := models.ServerByID(ctx, s.db, busy.ID); err != nil || now.ApplyWhenEmpty {
		t.Errorf("it is still wanted (%v)", err)
	}
	b.post(at+"/apply", url.Values{"when": {"<b>"}}).want(t, 422, "This page is old")

	// A stopped one takes it when it starts; its definition can be handed over before.
	s.seen(t, busy, models.ServerStopped, models.ServerStatus{})
	b.get(path).want(t, 200, "Takes the changes when it starts.")
	b.post(at+"/apply", nil).want(t, 303)
	if got, want := s.jobsOf(t, busy), "blueprint.apply}"; got != want {
		t.Errorf("applying to a stopped server asked for %s, want %s", got, want)
	}
}

// A change that was taken back is none, and what is not known is said not to be.
func TestChangesThatAreNone(t *testing.T) {
	s := newSite(t)
	ctx, u := context.Background(), modelstest.User(t, s.db, false)
	bp, o := modelstest.Blueprint(t, s.db, u), modelstest.Overlay(t, s.db, u, models.OverlayFiles)
	modelstest.Publish(t, s.db, o, 3)
	srv := s.startedServer(t, u, bp, nil)
	b, path := s.browser(u), "/blueprints/"+bp.ID
	for range 2 {
		if err := models.UpdateBlueprint(ctx, s.db, bp); err != nil {
			t.Fatal(err)
		}
	}
	b.get(path).want(t, 200, "Has it as it is now.")
	b.get("/servers/"+srv.Instance).want(t, 200, `" hidden></div>`)
	s.seen(t, srv, models.ServerRunning, models.ServerStatus{Spec: "by hand", Overlays: []string{o.Ref(), "77/v1"}})
	b.get(path).want(t, 200, "is not known any more", "goes: </span><span>"+o.Name+" v3", "Overlay 77 v1", "It is not known whether somebody plays on it.")
	if err := models.SetBlueprintOverlays(ctx, s.db, u.ID, bp.ID, []models.Stacked{{ID: modelstest.Overlay(t, s.db, u, models.OverlayScript).ID}}); err != nil {
		t.Fatal(err)
	}
	b.get(path).want(t, 200, "has no content yet, so the server cannot start")
}

// Applying to all restarts those that run one after another, and leaves alone what
// has everything already.
func TestApplyToAllIsStaggered(t *testing.T) {
	s := newSite(t)
	ctx, u := context.Background(), modelstest.User(t, s.db, false)
	bp := modelstest.Blueprint(t, s.db, u)
	one, two := s.startedServer(t, u, bp, &models.Live{}), s.startedServer(t, u, bp, &models.Live{Players: 1, Names: []models.Player{{Name: "Ellis"}}})
	off := s.startedServer(t, u, bp, nil)
	s.seen(t, off, models.ServerStopped, models.ServerStatus{})
	bp.Config = "sv_alltalk 0\n"
	if err := models.UpdateBlueprint(ctx, s.db, bp); err != nil {
		t.Fatal(err)
	}
	current := s.startedServer(t, u, bp, nil)
	b, path := s.browser(u), "/blueprints/"+bp.ID
	b.get(path).want(t, 200, "3 servers</b> do not have it", "Apply to all", "To each when it is empty")
	b.post(path+"/apply", nil).want(t, 200, "Restart 2 servers?", "1 player will be thrown out: Ellis.", "Nobody plays on it.")
	b.post(path+"/apply", url.Values{"sure": {"yes"}}, hx("blueprint-linked")...).want(t, 200, `id="blueprint-linked"`)
	first, second := s.onlyJob(t, one), s.onlyJob(t, two)
	if wait := second.RunAfter.Sub(first.RunAfter).Abs(); first.Kind != (jobs.RestartServer{}).Kind() || wait < 2e9 {
		t.Errorf("%s and %s begin %s apart, want two restarts some seconds apart", first.Kind, second.Kind, wait)
	}
	if got := s.onlyJob(t, off); got.Kind != (jobs.ApplyBlueprint{}).Kind() {
		t.Errorf("the stopped one got %s", got.Kind)
	}
	if got := s.jobsOf(t, current); got != "" {
		t.Errorf("the one that has it already got %s", got)
	}
	for _, srv := range []*models.Server{one, two, off} {
		s.jobsOf(t, srv)
	}
	b.post(path+"/apply", url.Values{"when": {"empty"}}).want(t, 303)
	if got, want := s.jobsOf(t, two), `server.restart,"if_empty":true,"or_later":true}`; got != want {
		t.Errorf("when empty asked for %s, want %s", got, want)
	}
}

func (s *site) onlyJob(t *testing.T, srv *models.Server) models.Job {
	t.Helper()
	list, err := models.UnfinishedJobs(context.Background(), s.db, srv.ID)
	if err != nil || len(list) != 1 {
		t.Fatalf("%s has %d jobs (%v), want one", srv.Name, len(list), err)
	}
	return list[0]
}

func TestSpecDiff(t *testing.T) {
	rules, sm, maps := models.SpecOverlay{ID: 1, Version: 3, Name: "Rules"}, models.SpecOverlay{ID: 2, Version: 7, Name: "SourceMod", Exec: true}, models.SpecOverlay{ID: 3, Version: 1, Name: "Maps"}
	changed := func(o models.SpecOverlay, change func(*models.SpecOverlay)) models.SpecOverlay { change(&o); return o }
	all := []models.SpecOverlay{rules, sm, maps}
	tests := map[string]struct {
		runs, next models.Spec
		want       string
	}{
		"the same":         {models.Spec{Overlays: all, Config: "a"}, models.Spec{Overlays: all, Config: "a"}, ""},
		"a version":        {models.Spec{Overlays: all}, models.Spec{Overlays: []models.SpecOverlay{changed(rules, func(o *models.SpecOverlay) { o.Version = 4 }), sm, maps}}, "~Rules v3 → v4"},
		"comes and goes":   {models.Spec{Overlays: []models.SpecOverlay{rules}}, models.Spec{Overlays: []models.SpecOverlay{sm}}, "+SourceMod v7|+SourceMod: its server.cfg is executed|−Rules v3"},
		"the order":        {models.Spec{Overlays: all}, models.Spec{Overlays: []models.SpecOverlay{maps, rules, sm}}, "~Maps is now number 1 of 3"},
		"executed":         {models.Spec{Overlays: all}, models.Spec{Overlays: []models.SpecOverlay{rules, changed(sm, func(o *models.SpecOverlay) { o.Exec = false }), maps}}, "~SourceMod: its server.cfg is not executed any more"},
		"only a new name":  {models.Spec{Overlays: all}, models.Spec{Overlays: []models.SpecOverlay{changed(rules, func(o *models.SpecOverlay) { o.Name = "x" }), sm, maps}}, ""},
		"arguments":        {models.Spec{Arguments: []string{"-a", "1", "-b"}}, models.Spec{Arguments: []string{"-b", "-a", "2 3"}}, "−-a 1|+-a \"2 3\""},
		"lines and around": {models.Spec{Config: "1\n2\n3\n4\n5\n6\n7\n8"}, models.Spec{Config: "1\n2\nx\n4\n5\n6\n7\n8\n9\n"}, "2|−3|+x|4|…|8|+9"},
		"only the end":     {models.Spec{Config: "a"}, models.Spec{Config: "a\n"}, ""},
		"settings":         {models.Spec{Hostname: "a", Port: 1}, models.Spec{Hostname: "b", Port: 2}, "~Host name: a → b|~Port: 1 → 2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := diffSpecs(test.runs, test.next)
			var lines []string
			for _, p := range d.Parts() {
				for _, l := range p.Lines {
					lines = append(lines, l.Mark()+l.Text)
				}
			}
			if got := strings.Join(lines, "|"); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if d.Empty() != (test.want == "") {
				t.Errorf("empty is %t", d.Empty())
			}
		})
	}
	long := diffSpecs(models.Spec{}, models.Spec{Config: strings.Repeat("x\n", 100_000)})
	if n := len(long.Config); n > maxDiffLines+2 {
		t.Errorf("%d lines of a difference are shown", n)
	}
}
