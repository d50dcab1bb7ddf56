package webui

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"left4me/hostops/ctl"
	"left4me/models"
	"left4me/models/modelstest"
)

// stackContent answers what the blueprint's pages ask of a host.
type stackContent struct {
	Content
	asked []string
}

func (c *stackContent) Stack(refs []string, dir string) (*ctl.Stack, error) {
	c.asked = append(refs, dir)
	if dir != "" && dir != "left4dead2" {
		return nil, fs.ErrNotExist
	}
	file := ctl.StackEntry{Path: "left4dead2/a.cfg", Size: 10, Layers: []int{0, len(refs)}}
	return &ctl.Stack{
		Dir: dir, Size: 1234, Entries: []ctl.StackEntry{{Path: "left4dead2", Dir: true, Layers: []int{0, len(refs)}}, file},
		Shadows: []ctl.StackEntry{file},
	}, nil
}

func (c *stackContent) ServerCfg(spec ctl.Spec) (string, []string, error) {
	return fmt.Sprintf("exec %v\n%s", spec.Exec, spec.Config), []string{"line 1 loses"}, nil
}

func publish(t *testing.T, s *site, o *models.Overlay, report ctl.Version) {
	t.Helper()
	raw, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	v := &models.OverlayVersion{OverlayID: o.ID, Number: 1, CreatedAt: models.Now(), Report: raw}
	if err := models.PublishVersion(context.Background(), s.db, v); err != nil {
		t.Fatal(err)
	}
}

func TestBlueprintOverlaysAreStacked(t *testing.T) {
	content := &stackContent{}
	s := newSite(t, func(c *Config) { c.Content = content })
	ctx, me, other := context.Background(), modelstest.User(t, s.db, false), modelstest.User(t, s.db, false)
	b := modelstest.Blueprint(t, s.db, me)
	make := func(u *models.User, name string) *models.Overlay {
		o := &models.Overlay{UserID: u.ID, Name: name, Kind: models.OverlayFiles}
		if err := models.CreateOverlay(ctx, s.db, o); err != nil {
			t.Fatal(err)
		}
		return o
	}
	maps, rules, theirs := make(me, "Maps <b> 地图"), make(me, "Rules"), make(other, "Theirs")
	same := []ctl.Campaign{{Name: "x", Title: "Urban Flight", Modes: []ctl.Mode{{Name: "coop", Chapters: []ctl.Chapter{{Map: "uf1", Title: "1: Start"}}}}}}
	publish(t, s, maps, ctl.Version{Size: 5000, Files: 2, Campaigns: same, Findings: []ctl.Finding{{Verdict: ctl.VerdictRefused}, {Verdict: ctl.VerdictWarning}}})
	publish(t, s, rules, ctl.Version{ServerCfg: true, Campaigns: same})
	br, at := s.browser(me), "/blueprints/"+b.ID
	do := func(what string, o *models.Overlay, more ...string) answer {
		form := url.Values{"do": {what}, "overlay": {fmt.Sprint(o.ID)}}
		for i := 0; i < len(more); i += 2 {
			form.Add(more[i], more[i+1])
		}
		return br.post(at+"/overlays", form, hx("blueprint-overlays")...)
	}
	stored := func() (names []string) {
		list, err := models.BlueprintOverlays(ctx, s.db, b.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list {
			if o.Exec {
				o.Name += "!"
			}
			names = append(names, o.Name)
		}
		return names
	}
	expect := func(want ...string) {
		t.Helper()
		if got := stored(); !slices.Equal(got, want) {
			t.Errorf("stacked %q, want %q", got, want)
		}
	}
	said := func(a answer, want string) {
		t.Helper()
		if got := a.Header.Get("HX-Trigger"); got != `{"said":"`+want+`"}` {
			t.Errorf("said %s, want %s", got, want)
		}
	}
	added := do("add", maps)
	said(added, `Maps \u003cb\u003e \u5730\u56fe is now the uppermost.`)
	added.want(t, 200, "1 file refused", "1 warning", "1 campaign")
	do("add", rules).want(t, 200, "Urban Flight", "Keep one of them")
	expect("Rules", "Maps <b> 地图")
	said(do("down", rules), "Rules is now number 2 of 2.")
	expect("Maps <b> 地图", "Rules")
	said(do("up", maps), `Maps \u003cb\u003e \u5730\u56fe is there already.`)
	do("exec", rules, "exec", "yes").want(t, 200, "executed before yours")
	expect("Maps <b> 地图", "Rules!")
	do("order", maps, "order", fmt.Sprint(rules.ID), "order", fmt.Sprint(maps.ID)).want(t, 200)
	expect("Rules!", "Maps <b> 地图")
	do("order", maps, "order", fmt.Sprint(rules.ID)).want(t, 200, "The list changed in between")
	do("order", maps, "order", fmt.Sprint(rules.ID), "order", fmt.Sprint(rules.ID)).want(t, 200, "The list changed in between")
	do("add", theirs).want(t, 200, "does not exist any more")
	br.post(at+"/overlays", url.Values{"do": {"add"}, "overlay": {fmt.Sprint(theirs.ID)}}).want(t, 422, "does not exist any more")
	expect("Rules!", "Maps <b> 地图")
	page := br.get(at)
	page.want(t, 200, "Rules", "Maps &lt;b&gt;", "exec [")
	if strings.Contains(page.Text, "Maps <b> 地图") || strings.Contains(page.Text, "Theirs") {
		t.Error("the page shows markup of a name, or somebody else's overlay")
	}
	br.get(at+"/stack").want(t, 200, "Files that hide others", "The game", "1 KB above the game", "a.cfg")
	if want := []string{fmt.Sprintf("%d/v1", rules.ID), fmt.Sprintf("%d/v1", maps.ID), ""}; !slices.Equal(content.asked, want) {
		t.Errorf("asked for the stack of %q, want %q", content.asked, want)
	}
	br.get(at+"/stack?dir=nowhere").want(t, 404)
	br.get(at+"/maps").want(t, 200, "Urban Flight", "1: Start", `value="uf1 coop"`, "Dead Center", "<form")
	if list := br.get(at+"/maps", hx("x")...); strings.Contains(list.Text, "<html") {
		t.Error("a script got the whole page")
	}
	br.post(at+"/map", url.Values{"map": {"uf1 coop"}}).want(t, 303)
	if got, err := models.BlueprintByID(ctx, s.db, me.ID, b.ID); err != nil || !slices.Equal(got.Arguments, []string{"+map", "uf1 coop"}) {
		t.Errorf("arguments %q, %v", got.Arguments, err)
	}
	br.post(at+"/preview", url.Values{"config": {"sv_alltalk 1"}}).want(t, 200, "sv_alltalk 1", "Line 1 loses.")
	said(do("remove", maps), `Maps \u003cb\u003e \u5730\u56fe is taken out.`)
	expect("Rules!")
}

func TestMapReplacesMap(t *testing.T) {
	for _, c := range []struct{ argv, want []string }{
		{nil, []string{"+map", "c2m1 versus"}},
		{[]string{"-tickrate", "60"}, []string{"-tickrate", "60", "+map", "c2m1 versus"}},
		{[]string{"+map", "c1m1", "-tickrate", "60"}, []string{"+map", "c2m1 versus", "-tickrate", "60"}},
		{[]string{"+MAP", "c1m1", "coop", "+exec", "a"}, []string{"+map", "c2m1 versus", "+exec", "a"}},
		{[]string{"+map c1m1 coop", "+exec", "a"}, []string{"+map", "c2m1 versus", "+exec", "a"}},
		{[]string{"+map", "c1m1 coop", "+exec", "a"}, []string{"+map", "c2m1 versus", "+exec", "a"}},
		{[]string{"+map", "-x", "+map", "b"}, []string{"+map", "c2m1 versus", "-x"}},
		{[]string{"+mapcycle", "a"}, []string{"+mapcycle", "a", "+map", "c2m1 versus"}},
	} {
		if got := withMap(c.argv, "c2m1 versus"); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q became %q, want %q", c.argv, got, c.want)
		}
	}
	if got := withMap([]string{"+map", "a", "-x"}, ""); !slices.Equal(got, []string{"-x"}) {
		t.Errorf("taken away: %q", got)
	}
}
