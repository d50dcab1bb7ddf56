package webui

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"left4me/hostops/ctl"
	"left4me/models"
	"left4me/models/modelstest"
)

func TestArgumentRows(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"none":                  {"", ""},
		"options and values":    {`-tickrate 60 -insecure +map "c2m1_highway versus"`, `-tickrate=60|-insecure=|+map="c2m1_highway versus"`},
		"two values":            {"+map c2m1 versus", "+map=c2m1 versus"},
		"a number with a sign":  {"+sv_region -1 +x +.5", "+sv_region=-1|+x=+.5"},
		"a value before all":    {"foo bar -x", "=foo bar|-x="},
		"an option in quotes":   {`"-tickrate 60" 7`, `"-tickrate 60"=7`},
		"only a sign":           {"-x - +", "-x=- +"},
		"written as text again": {`+a "b c"d ""e`, `+a="b cd" e`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			argv, err := models.SplitArguments(test.text)
			if err != nil {
				t.Fatal(err)
			}
			var rows, texts []string
			for _, r := range argumentRows(argv) {
				rows = append(rows, r.OptionText()+"="+r.ValueText())
				texts = append(texts, r.Text())
			}
			if got := strings.Join(rows, "|"); got != test.want {
				t.Errorf("%q has the rows %s, want %s", test.text, got, test.want)
			}
			// What the page writes back is the same argv.
			again, err := models.SplitArguments(strings.Join(texts, " "))
			if err != nil || fmt.Sprintf("%q", again) != fmt.Sprintf("%q", argv) {
				t.Errorf("%q became %q (%v), want %q", test.text, again, err, argv)
			}
		})
	}
}

func TestArgumentsHaveHelpAndWarnings(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Content = &stackContent{} })
	ctx, u := context.Background(), modelstest.User(t, s.db, false)
	bp, o := modelstest.Blueprint(t, s.db, u), modelstest.Overlay(t, s.db, u, models.OverlayFiles)
	modelstest.Publish(t, s.db, o, 1)
	b := s.browser(u)
	ask := func(text, blueprint string) answer {
		return b.post("/arguments", url.Values{"arguments": {text}, "blueprint": {blueprint}}, "HX-Request", "true")
	}
	ask("-TickRate 60", "").want(t, 200, `data-arg="-TickRate"`, ctl.OptionNamed("-tickrate").Help)
	ask("-insecure -tickrate 60", bp.ID).want(t, 200, "No overlay brings the Tickrate Enabler.")
	ask(`+map "x`, bp.ID).want(t, 200, "data-problem", "never closed")
	ask(strings.Repeat("x ", models.MaxArguments+1), "").want(t, 200, "at most 128 can be used")
	if err := models.SetBlueprintOverlays(ctx, s.db, u.ID, bp.ID, []models.Stacked{{ID: o.ID}}); err != nil {
		t.Fatal(err)
	}
	if got := ask("-tickrate 60", bp.ID); strings.Contains(got.Text, "Tickrate Enabler.") {
		t.Errorf("it warns although there is an overlay:\n%s", got.Text)
	}
	got := b.post("/blueprints/"+bp.ID, url.Values{"name": {bp.Name}, "edits": {"1"}, "arguments": {"-port 1"}, "config": {"a\nsv_tags b"}}, hx("blueprint-form")...)
	got.want(t, 200, "Saved.", `class="note bad"`, "No server starts with it.", `data-lines="2"`, "The game hides sv_tags.")
	if i, j := strings.Index(got.Text, `data-arg="-port"`), strings.Index(got.Text, "No server starts with it."); i < 0 || j < i {
		t.Error("the refusal does not stand at its argument")
	}
}

// Whatever is typed as an argument or as the config stays that: one argument, one
// text, and nothing that a page or a host would carry out.
func TestAttack8ArgumentsAndConfigStayText(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Content = &stackContent{} })
	ctx, u := context.Background(), modelstest.User(t, s.db, false)
	b := s.browser(u)
	config := "echo \"$(id)\"; `id` ${HOME} {{.Key}} <script>alert(1)</script> </textarea><b>\n"
	args := `+a "$(id); quit" +exec` + " `id` <img/src=x> {{.}} ' \\ %s"
	made := b.post("/blueprints", url.Values{"name": {"Hostile"}, "arguments": {args}, "config": {config}})
	made.want(t, 303)
	id := strings.TrimPrefix(made.Header.Get("Location"), "/blueprints/")
	got, err := models.BlueprintByID(ctx, s.db, u.ID, id)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"+a", "$(id); quit", "+exec", "`id`", "<img/src=x>", "{{.}}", "'", `\`, "%s"}
	if fmt.Sprintf("%q", got.Arguments) != fmt.Sprintf("%q", want) || got.Config != config {
		t.Errorf("stored were %q and %q", got.Arguments, got.Config)
	}
	page := b.get("/blueprints/" + id)
	page.want(t, 200, "{{.Key}}", "&lt;img/src=x&gt;")
	for _, bad := range []string{"<script>alert", "<img/src", "</textarea><b>"} {
		if strings.Contains(page.Text, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	for _, control := range []string{"a\x1b[31m", "a\x00", "a\x7f"} {
		b.post("/blueprints", url.Values{"name": {"C"}, "arguments": {control}}).want(t, 422, "control character")
	}
}

// What a config names like a template's field or an environment variable reaches
// nothing of the platform: the preview knows no server, no password and no setting.
func TestAttack9ConfigReachesNoSettings(t *testing.T) {
	t.Setenv("LEFT4ME_SECRET_KEY", "the-platforms-own")
	content := &specContent{}
	s := newSite(t, func(c *Config) { c.Content = content })
	u := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	password, err := s.key.Open(srv.RCONOwner(), srv.RCONPassword)
	if err != nil {
		t.Fatal(err)
	}
	config := "echo {{.Config.Key}} ${LEFT4ME_SECRET_KEY} $LEFT4ME_SECRET_KEY %LEFT4ME_SECRET_KEY% {{env \"LEFT4ME_SECRET_KEY\"}} {rcon_password}\n"
	got := s.browser(u).post("/blueprints/"+srv.BlueprintID+"/preview", url.Values{"config": {config}})
	got.want(t, 200, "{{.Config.Key}} ${LEFT4ME_SECRET_KEY} $LEFT4ME_SECRET_KEY %LEFT4ME_SECRET_KEY%")
	for _, bad := range []string{"the-platforms-own", password, srv.Name} {
		if strings.Contains(got.Text, bad) {
			t.Errorf("the preview tells %q", bad)
		}
	}
	if content.asked.Config != config || strings.Contains(fmt.Sprint(content.asked), password) {
		t.Errorf("the host was asked about %+v", content.asked)
	}
}

// specContent notes what it was asked and renders the config as it is.
type specContent struct {
	stackContent
	asked ctl.Spec
}

func (c *specContent) ServerCfg(spec ctl.Spec) (string, []string, error) {
	c.asked = spec
	return spec.Config, nil, nil
}

func TestAttack14ArgumentsOfSomebodyElsesBlueprint(t *testing.T) {
	s := newSite(t)
	owner, other := modelstest.User(t, s.db, false), modelstest.User(t, s.db, false)
	bp := modelstest.Blueprint(t, s.db, owner)
	form := url.Values{"arguments": {"-x"}, "blueprint": {bp.ID}}
	s.browser(owner).post("/arguments", form).want(t, 200)
	s.browser(other).post("/arguments", form).want(t, 404)
}

func TestAttack15ImportTakesNoOtherFields(t *testing.T) {
	s := newSite(t)
	ctx, u, other := context.Background(), modelstest.User(t, s.db, false), modelstest.User(t, s.db, false)
	form := url.Values{"text": {"name: Mine\n"}, "user_id": {other.ID}, "UserID": {other.ID}, "id": {"chosen"}, "revision": {"99"}, "edits": {"99"}}
	made := s.browser(u).post("/blueprints/import", form)
	made.want(t, 303)
	got, err := models.BlueprintByID(ctx, s.db, u.ID, strings.TrimPrefix(made.Header.Get("Location"), "/blueprints/"))
	if err != nil || got.ID == "chosen" || got.Revision != 1 || got.Edits != 1 {
		t.Errorf("got %+v (%v)", got, err)
	}
	if list, err := models.Blueprints(ctx, s.db, other.ID); err != nil || len(list) != 0 {
		t.Errorf("the other one got %d blueprints (%v)", len(list), err)
	}
}
