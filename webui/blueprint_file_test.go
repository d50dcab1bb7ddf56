package webui

import (
	"bytes"
	"context"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"left4me/models"
	"left4me/models/modelstest"
)

// What is exported reads back as the same, whatever people wrote.
func TestExportRoundTrip(t *testing.T) {
	configs := map[string]string{
		"nothing": "", "plain": "sv_alltalk 1\nsv_region 255\n", "no newline at its end": "sv_alltalk 1",
		"blank lines": "\n\n  a\n\n", "blanks first": "   a 1\nb 2\n", "tabs and blanks behind": "a\t1  \n\tb \n",
		"YAML": "- a: &x [1]\n# no comment\n--- \n...\n%TAG\n{}\n", "unicode": "echo \u00fcber \U0001F9DF \u2028 \ufeff\n", "quotes": `echo "a'b" \n \\` + "\n",
		"long": strings.Repeat("sv_tags "+strings.Repeat("x", 500)+"\n", 500),
	}
	for name, config := range configs {
		t.Run(name, func(t *testing.T) {
			b := &models.Blueprint{
				Name: "- yes: " + name, Config: config,
				Arguments: []string{"-tickrate", "60", "+map", "c2m1_highway versus", "+x", "0x10", "yes", "null", "~", "- a", "# b", "1e3", "'", `\`, "2026-11-22"},
				Overlays:  []models.Overlay{{Name: "true", Kind: models.OverlayFiles, UserID: "me", Exec: true}, {Name: "007", Kind: models.OverlayManaged}},
			}
			data, err := encodeBlueprint(b)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decodeBlueprint(data)
			if err != nil {
				t.Fatalf("%v in\n%s", err, clip(string(data), 2000))
			}
			if got.Name != b.Name || got.Config != b.Config || !slices.Equal(got.Arguments, b.Arguments) {
				t.Errorf("%+v came back as %+v from\n%s", b, got, clip(string(data), 2000))
			}
			want := []overlayName{{models.OverlayFiles, "true", false, true}, {models.OverlayManaged, "007", true, false}}
			if !slices.Equal(got.Overlays, want) {
				t.Errorf("the overlays came back as %+v, want %+v", got.Overlays, want)
			}
		})
	}
}

func TestAttack24ExportHasNoSecrets(t *testing.T) {
	b := &models.Blueprint{
		Name:      "Mine",
		Arguments: []string{"+sv_password", "hunter2", "-tickrate", "60", "+map", "a", "+sv_setsteamaccount", "hunter2"},
		Config:    "sv_alltalk 1\nSV_Password \"hunter2\"; sv_lan 0\n// old tv_password hunter2\nalias x \"rcon_password hunter2\"\nsm_my_api_key hunter2\nsv_region 1\n",
	}
	data, err := encodeBlueprint(b)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "hunter2") {
		t.Errorf("a secret is in\n%s", data)
	}
	for _, part := range []string{`# Left out: the argument "sv_password".`, `# Left out: line 2 of the config, which names "sv_password".`, `line 5 of the config, which names "sm_my_api_key"`} {
		if !strings.Contains(string(data), part) {
			t.Errorf("it does not say %q:\n%s", part, data)
		}
	}
	got, err := decodeBlueprint(data)
	if err != nil || !slices.Equal(got.Arguments, []string{"-tickrate", "60", "+map", "a"}) || !strings.HasSuffix(got.Config, "\nsv_region 1\n") || strings.Count(got.Config, "\n") != 6 {
		t.Errorf("what is left is %+v (%v)", got, err)
	}
	again, err := encodeBlueprint(&models.Blueprint{Name: got.Name, Arguments: got.Arguments, Config: got.Config})
	if err != nil {
		t.Fatal(err)
	}
	if twice, err := decodeBlueprint(again); err != nil || twice.Config != got.Config {
		t.Errorf("exported again, the config is %q (%v), want %q", twice.Config, err, got.Config)
	}
}

func TestImportRefusals(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"nothing":              {"", "There is nothing in it."},
		"only a comment":       {"# x\n", "is nothing in it"},
		"no group":             {"- a\n", "this is no blueprint"},
		"an unknown field":     {"name: a\nconfig: b\noverlay: c\n", "Line 3: there is no field “overlay”."},
		"a field of a row":     {"name: a\nuser_id: x\n", "Line 2: there is no field “user_id”."},
		"an unknown one below": {"name: a\noverlays:\n  - kind: files\n    name: b\n    version: 3\n", "Line 5: there is no field “version”."},
		"twice":                {"name: a\nname: b\n", "Line 2: name is given twice"},
		"no name":              {"config: a\n", "needs a name"},
		"no YAML":              {"name: a\n\tb: c\n", "Line 2: this is not valid YAML"},
		"two documents":        {"name: a\n---\nname: b\n", "more than one document"},
		"a merge":              {"name: a\n<<: {config: b}\n", "no field “&lt;&lt;”"},
		"a list for text":      {"name: [a]\n", "Line 1: name must be text"},
		"yes for text":         {"name: yes\nconfig: true\n", "Line 2: config must be text"},
		"binary":               {"name: !!binary aGk=\n", "Line 1: name must be text"},
		"a tag of its own":     {"name: !x a\n", "Line 1: name must be text"},
		"an empty argument":    {"name: a\narguments: ['']\n", "Line 2: an argument is empty"},
		"a quote in one":       {"name: a\narguments: ['a\"b']\n", "Line 2: an argument holds a quotation mark"},
		"a newline in one":     {"name: a\narguments: [\"a\\nb\"]\n", "contains a control character"},
		"no list":              {"name: a\narguments: -x\n", "Line 2: arguments must be a list"},
		"many arguments":       {"name: a\narguments: [" + strings.Repeat("x, ", 200) + "]\n", "there are 200 arguments"},
		"many overlays":        {"name: a\noverlays: [" + strings.Repeat("{kind: files, name: x}, ", 101) + "]\n", "there are 101 overlays"},
		"another kind":         {"name: a\noverlays:\n  - {kind: '<b>', name: x}\n", "Line 3: “&lt;b&gt;” is no kind of overlay"},
		"exec is a word":       {"name: a\noverlays:\n  - {kind: files, name: x, exec: maybe}\n", "Line 3: exec must be true or false"},
		"NUL in the config":    {"name: a\nconfig: \"a\\0\"\n", "contains a NUL character"},
		"a long name":          {"name: " + strings.Repeat("x", 65) + "\n", "at most 64 characters"},
		"no UTF-8":             {"name: \xff\n", "no text in UTF-8"},
		"missing overlays":     {"name: a\noverlays:\n  - {kind: files, name: Rules}\n  - {kind: managed, name: '<SourceMod>'}\n", "Nothing was imported: the files overlay “Rules” and the managed overlay “&lt;SourceMod&gt;” are not here. Make them first"},
	}
	s := newSite(t)
	u := modelstest.User(t, s.db, false)
	b := s.browser(u)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b.post("/blueprints/import", url.Values{"text": {test.text}}).want(t, 422, test.want, "</textarea>")
		})
	}
	if list, err := models.Blueprints(context.Background(), s.db, u.ID); err != nil || len(list) != 0 {
		t.Errorf("refused imports made %d blueprints (%v)", len(list), err)
	}
}

// Bombs are refused before anything is expanded, and texts of any size are bounded.
func TestAttack28Imports(t *testing.T) {
	bomb := "name: &a0 x\n"
	for i := 1; i < 30; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [*a%d, *a%d]\n", i, i, i-1, i-1)
	}
	tests := map[string]struct{ text, want string }{
		"aliases":       {bomb, "anchors and aliases"},
		"deep":          {"name: " + strings.Repeat("[", 200_000), "not valid YAML"},
		"deep and flat": {"name: a\nconfig: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "\n", "config must be text"},
		"a large text":  {"name: a\nconfig: |\n  " + strings.Repeat("x", maxBlueprintFile), "larger than 1 MB"},
		"a large value": {"name: a\nconfig: " + strings.Repeat("x", 300<<10), "The config is 300 KB"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := decodeBlueprint([]byte(test.text))
			if err == nil {
				s := newSite(t)
				s.browser(modelstest.User(t, s.db, false)).post("/blueprints/import", url.Values{"text": {test.text}}).want(t, 422, test.want)
				return
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v and a config of %d bytes, want %q", err, len(f.Config), test.want)
			}
		})
	}
	s := newSite(t)
	b := s.browser(modelstest.User(t, s.db, false))
	b.post("/blueprints/import", url.Values{"text": {strings.Repeat("x", importBody)}}).want(t, 413)
}

// A file of many little entries takes 200 MB while it is read: some at once took all the
// memory that the web app may have.
func TestAttack28ImportsAtOnce(t *testing.T) {
	s := newSite(t)
	u, other := modelstest.User(t, s.db, false), modelstest.User(t, s.db, false)
	form := url.Values{"text": {"name: Small\n"}}
	leave, _ := s.importing.enter(u.ID)
	s.browser(u).post("/blueprints/import", form).want(t, 429, "importing a blueprint already")
	s.browser(other).post("/blueprints/import", form).want(t, 303)
	leave()
	s.decoding <- struct{}{} // somebody else's is read
	done := make(chan answer, 1)
	b := s.browser(u)
	go func() { done <- b.post("/blueprints/import", form) }()
	select {
	case got := <-done:
		t.Errorf("two were read at once: status %d", got.StatusCode)
	case <-time.After(100 * time.Millisecond):
	}
	<-s.decoding
	got := <-done
	got.want(t, 303)
}

func FuzzDecodeBlueprint(f *testing.F) {
	f.Add([]byte("name: a\noverlays:\n  - {kind: files, name: b, exec: true}\narguments: [-x, '60']\nconfig: |\n  a\n"))
	f.Add([]byte("name: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decodeBlueprint(data)
		if _, ok := models.AsInvalid(err); err != nil && !ok {
			t.Fatalf("%v is no sentence for people", err)
		}
		if err == nil && strings.TrimSpace(got.Name) == "" {
			t.Fatal("a blueprint without a name")
		}
	})
}

func TestCopyExportAndImport(t *testing.T) {
	s := newSite(t)
	ctx, u, other := context.Background(), modelstest.User(t, s.db, false), modelstest.User(t, s.db, false)
	mine, shared := modelstest.Overlay(t, s.db, u, models.OverlayFiles), modelstest.Overlay(t, s.db, nil, models.OverlayFiles)
	twin := &models.Overlay{UserID: u.ID, Name: strings.ToUpper(shared.Name), Kind: models.OverlayFiles} // called as the shared one
	if err := models.CreateOverlay(ctx, s.db, twin); err != nil {
		t.Fatal(err)
	}
	bp := modelstest.Blueprint(t, s.db, u)
	bp.Name, bp.Arguments, bp.Config = "Friday / versus", []string{"+map", "c2m1_highway versus"}, "sv_alltalk 1\n"
	if err := models.UpdateBlueprint(ctx, s.db, bp); err != nil {
		t.Fatal(err)
	}
	if err := models.SetBlueprintOverlays(ctx, s.db, u.ID, bp.ID, []models.Stacked{{ID: shared.ID, Exec: true}, {ID: mine.ID}, {ID: twin.ID}}); err != nil {
		t.Fatal(err)
	}
	b := s.browser(u)
	same := func(made answer, name string) {
		t.Helper()
		made.want(t, 303)
		got, err := models.BlueprintByID(ctx, s.db, u.ID, strings.TrimPrefix(made.Header.Get("Location"), "/blueprints/"))
		if err != nil {
			t.Fatal(err)
		}
		stack := ""
		for _, o := range got.Overlays {
			stack += fmt.Sprint(o.ID, o.Exec, " ")
		}
		want := fmt.Sprint(shared.ID, true, " ") + fmt.Sprint(mine.ID, false, " ") + fmt.Sprint(twin.ID, false, " ")
		if got.Name != name || got.Config != bp.Config || !slices.Equal(got.Arguments, bp.Arguments) || stack != want {
			t.Errorf("got %q, %q, %q, %q; want %q, %q, %q, %q", got.Name, got.Arguments, got.Config, stack, name, bp.Arguments, bp.Config, want)
		}
	}
	same(b.post("/blueprints/"+bp.ID+"/copy", nil), "Friday / versus copy")
	same(b.post("/blueprints/"+bp.ID+"/copy", nil), "Friday / versus copy 2")

	file := b.get("/blueprints/" + bp.ID + "/export")
	file.want(t, 200, "# A blueprint of left4me", "name: Friday / versus\n", "shared: true", "sv_alltalk 1")
	if got := file.Header.Get("Content-Disposition"); got != "attachment; filename=friday-versus.yaml" {
		t.Errorf("the file is offered as %s", got)
	}
	b.get("/blueprints/import").want(t, 200, "Import a blueprint")
	b.post("/blueprints/import", url.Values{"text": {file.Text}}).want(t, 422, "You already have a blueprint called", `name="name"`)
	same(b.post("/blueprints/import", url.Values{"text": {file.Text}, "name": {"Saturday"}}), "Saturday")
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	_ = w.WriteField("text", " ")
	_ = w.WriteField("name", "Sunday")
	part, err := w.CreateFormFile("file", "x.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = part.Write([]byte(strings.ReplaceAll(file.Text, "\n", "\r\n"))) // an editor on Windows
	_ = w.Close()
	same(b.postBody("/blueprints/import", w.FormDataContentType(), &form), "Sunday")

	// Others' overlays are not found by their names, and others' blueprints not at all.
	theirs := s.browser(other)
	theirs.post("/blueprints/import", url.Values{"text": {file.Text}}).want(t, 422, "the files overlay “"+mine.Name+"”")
	theirs.get("/blueprints/"+bp.ID+"/export").want(t, 404)
	theirs.post("/blueprints/"+bp.ID+"/copy", nil).want(t, 404)
}

func (b *browser) postBody(path, contentType string, body *bytes.Buffer) answer {
	b.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, b.base+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.AddCookie(&http.Cookie{Name: b.name, Value: b.token})
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var text bytes.Buffer
	if _, err := text.ReadFrom(res.Body); err != nil {
		b.t.Fatal(err)
	}
	return answer{res, text.String()}
}
