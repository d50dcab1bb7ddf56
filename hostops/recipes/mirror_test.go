package recipes_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"left4me/hostops"
	"left4me/hostops/ctl"
	"left4me/hostops/fetch"
	"left4me/hostops/sandbox"
	"left4me/hostops/supervisor/suitetest"
	"left4me/hostops/vpk/vpktest"
)

// These tests run the recipes in the real sandbox, as an ordinary user, against a
// mirror on this machine that has what the sites have, in small.

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "build-exec" {
		syscall.Exit(sandbox.RunInside(os.Args[2:])) // os.Exit waits a second under the race detector
	}
	if files, err := filepath.Glob(seedFolder + "/*.sh"); err == nil { // what is missing is missed by the tests
		for _, f := range files {
			if b, err := os.ReadFile(f); err == nil {
				_ = os.Setenv(seedVariable+strings.TrimSuffix(filepath.Base(f), ".sh"), string(b)) // cannot fail for such a name
			}
		}
	}
	os.Exit(m.Run())
}

// mirror serves https/HOST/PATH and remembers what was asked for.
type mirror struct {
	*httptest.Server
	mu    sync.Mutex
	pages map[string][]byte // URL → content
	asked []string
}

// rig is a host with a mirror.
type rig struct {
	*hostops.Host
	*mirror
	t   *testing.T
	mu  sync.Mutex
	log []string
	got ctl.Version // of the last build
}

// Where the predecessor's scripts are, and how root gives them to nobody, who may
// not be able to look there.
const (
	seedFolder   = "../../deploy/share/recipes"
	seedVariable = "LEFT4ME_TEST_SEED_"
)

// newRig returns nil where the test is done, having run as nobody.
func newRig(t *testing.T) *rig {
	t.Helper()
	if suitetest.AsUser(t) {
		return nil
	}
	for _, program := range []string{"curl", "tar", "unzip", "7z"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("recipes need %s, and CI must test them", program)
			}
			t.Skipf("recipes need %s, which is not on this machine", program)
		}
	}
	m := &mirror{pages: map[string][]byte{}}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	r := &rig{mirror: m, t: t}
	root := t.TempDir()
	r.Host = &hostops.Host{
		Root: root, Mirror: m.URL, Emit: r.hear,
		Sandbox: &sandbox.Rootless{Root: root, Self: []string{"/proc/self/exe", "build-exec"}, Dialer: &fetch.Dialer{Trusted: []string{strings.TrimPrefix(m.URL, "http://")}}},
	}
	return r
}

func (r *rig) hear(e ctl.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Type {
	case ctl.EventLog:
		r.log = append(r.log, string(e.Stream)+": "+e.Text)
	case ctl.EventVersion:
		r.got = *e.Version
	}
}

func (r *rig) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.log, "\n")
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	url := strings.Replace(strings.TrimPrefix(req.URL.Path, "/"), "/", "://", 1)
	if err := req.ParseForm(); err == nil && req.Method == http.MethodPost {
		url += "?" + req.PostForm.Encode()
	}
	m.asked = append(m.asked, url)
	page, ok := m.pages[url]
	if !ok {
		http.Error(w, "<html>not here</html>", http.StatusNotFound)
		return
	}
	_, _ = w.Write(page) // a client that went away
}

// put makes the mirror have a page.
func (m *mirror) put(url string, page []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pages[url] = page
}

// requests returns what was asked for since the last call.
func (m *mirror) requests() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	asked := m.asked
	m.asked = nil
	return asked
}

// build builds overlay 5 and returns the version's files.
func (r *rig) build(spec ctl.OverlaySpec) (map[string]string, error) {
	r.t.Helper()
	r.mu.Lock()
	r.log, r.got = nil, ctl.Version{}
	r.mu.Unlock()
	if _, err := r.BuildOverlay(context.Background(), 5, spec); err != nil {
		return nil, err
	}
	files := map[string]string{}
	dir := filepath.Join(r.Root, "overlays/5", fmt.Sprintf("v%d", r.got.Number))
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		files[name] = string(text)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return files, nil
}

// must is build for one that works.
func (r *rig) must(spec ctl.OverlaySpec) map[string]string {
	r.t.Helper()
	files, err := r.build(spec)
	if err != nil {
		r.t.Fatalf("%v\n%s", err, r.text())
	}
	return files
}

func managed(recipe string, options map[string]string) ctl.OverlaySpec {
	return ctl.OverlaySpec{Kind: ctl.OverlayManaged, Recipe: recipe, Options: options}
}

// seed is one of the predecessor's scripts.
func seed(t *testing.T, name string) ctl.OverlaySpec {
	t.Helper()
	text := os.Getenv(seedVariable + name)
	if text == "" {
		b, err := os.ReadFile(filepath.Join(seedFolder, name+".sh"))
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	return ctl.OverlaySpec{Kind: ctl.OverlayScript, Script: text}
}

func tgz(files map[string]string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name]))})
		if err == nil {
			_, err = w.Write([]byte(files[name]))
		}
		if err != nil {
			panic(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func zipped(files map[string]string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write([]byte(files[name]))
		}
		if err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func seven(t *testing.T, name string, content []byte) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("7z", "a", "-bd", "x.7z", name)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	packed, err := os.ReadFile(filepath.Join(dir, "x.7z"))
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func sum(content []byte) string { return fmt.Sprintf("%x", md5.Sum(content)) }

// expect compares the names of files, and the contents that are given.
func expect(t *testing.T, files, want map[string]string) {
	t.Helper()
	if got, want := slices.Sorted(maps.Keys(files)), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
		t.Errorf("files %q\nwant %q", got, want)
	}
	for name, text := range want {
		if text != "" && !strings.Contains(files[name], text) {
			t.Errorf("%s is %q, want %q in it", name, files[name], text)
		}
	}
}

const (
	mmDrop = "https://mms.alliedmods.net/mmsdrop/1.12/"
	smDrop = "https://sm.alliedmods.net/smdrop/1.12/"
)

func (m *mirror) putSourceMod() {
	m.put(mmDrop+"mmsource-latest-linux", []byte("mmsource-1.12.0-git1219-linux.tar.gz\n"))
	m.put(mmDrop+"mmsource-1.12.0-git1219-linux.tar.gz", tgz(map[string]string{"addons/metamod/bin/server.so": "so"}))
	m.put(smDrop+"sourcemod-latest-linux", []byte("sourcemod-1.12.0-git7246-linux.tar.gz"))
	m.put(smDrop+"sourcemod-1.12.0-git7246-linux.tar.gz", tgz(map[string]string{
		"addons/sourcemod/bin/sourcemod_mm_i486.so": "so", "addons/sourcemod/configs/admins_simple.ini": "// admins\n", "cfg/sourcemod/sourcemod.cfg": "// cfg\n",
	}))
}

func TestSourceMod(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if r == nil {
		return
	}
	r.putSourceMod()
	files := r.must(managed("sourcemod", map[string]string{"admins": "STEAM_1:0:123 [U:1:5]"}))
	expect(t, files, map[string]string{
		"left4dead2/addons/metamod.vdf": `"addons/metamod/bin/server"`, "left4dead2/addons/metamod/bin/server.so": "so",
		"left4dead2/addons/sourcemod/bin/sourcemod_mm_i486.so": "so", "left4dead2/cfg/sourcemod/sourcemod.cfg": "",
		"left4dead2/addons/sourcemod/configs/admins_simple.ini": "// admins\n\"STEAM_1:0:123\" \"99:z\"\n\"[U:1:5]\" \"99:z\"\n",
	})
	if r.got.Release != "SourceMod 1.12.0-git7246, Metamod:Source 1.12.0-git1219" {
		t.Errorf("release %q", r.got.Release)
	}
	if _, err := r.build(managed("sourcemod", map[string]string{"admins": "somebody"})); !errors.Is(err, ctl.ErrBuild) || !strings.Contains(r.text(), "somebody is no Steam id") {
		t.Errorf("%v\n%s", err, r.text())
	}
	if _, err := r.build(managed("sourcemod", map[string]string{"branch": "9"})); !errors.Is(err, ctl.ErrBadSpec) {
		t.Errorf("%v", err)
	}
	if _, err := r.build(managed("no-such", nil)); !errors.Is(err, ctl.ErrBadSpec) || !strings.Contains(err.Error(), "sourcemod") {
		t.Errorf("%v", err)
	}
}

// Attack 30 of the list: a site that answers with HTML, half an archive, or
// something else, makes no version.
func TestAttack30SitesAnswerOddly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if r == nil {
		return
	}
	archive := tgz(map[string]string{"addons/sourcemod/x": strings.Repeat("x", 10000)})
	html := []byte("<html><body>Sign in to the hotel's network</body></html>")
	for name, tt := range map[string]struct {
		url  string
		page []byte
		want string
	}{
		"HTML as list":    {smDrop + "sourcemod-latest-linux", html, "does not name an archive"},
		"path as list":    {smDrop + "sourcemod-latest-linux", []byte("../../etc/passwd"), "does not name an archive"},
		"empty list":      {smDrop + "sourcemod-latest-linux", nil, "does not name an archive"},
		"HTML as archive": {smDrop + "sourcemod-1.12.0-git7246-linux.tar.gz", html, "is no whole archive"},
		"half an archive": {smDrop + "sourcemod-1.12.0-git7246-linux.tar.gz", archive[:len(archive)/2], "is no whole archive"},
		"another archive": {smDrop + "sourcemod-1.12.0-git7246-linux.tar.gz", tgz(map[string]string{"readme": "x"}), "has no addons/sourcemod in it"},
		"archive with a way out": {
			smDrop + "sourcemod-1.12.0-git7246-linux.tar.gz",
			tgz(map[string]string{"../../../tmp/x": "x", "/left4me/script.sh": "x", "addons/sourcemod/x": "x"}), "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r.putSourceMod()
			r.put(tt.url, tt.page)
			files, err := r.build(managed("sourcemod", nil))
			if tt.want == "" { // tar takes such names apart, or refuses them
				for name := range files {
					if !strings.HasPrefix(name, "left4dead2/") {
						t.Errorf("made %s", name)
					}
				}
				return
			}
			if !errors.Is(err, ctl.ErrBuild) || !strings.Contains(r.text(), tt.want) {
				t.Errorf("%v, want %q in\n%s", err, tt.want, r.text())
			}
			if !strings.Contains(err.Error(), "exit code 1") {
				t.Errorf("%v does not tell the script's own code", err)
			}
		})
	}
}

const enabler = "https://github.com/accelerator74/Tickrate-Enabler/releases/download/build/Tickrate-Enabler-l4d2-linux-db72da3.zip"

func (m *mirror) putTickrate() {
	m.put("https://api.github.com/repos/accelerator74/Tickrate-Enabler/releases/tags/build", []byte(`{"tag_name":"build","assets":[
		{"name":"a","browser_download_url":"https://github.com/accelerator74/Tickrate-Enabler/releases/download/build/Tickrate-Enabler-l4d2-windows-db72da3.zip"},
		{"name":"b","browser_download_url": "https://github.com/accelerator74/Tickrate-Enabler/releases/download/build/Tickrate-Enabler-css-linux-db72da3.zip"},
		{"name":"c","browser_download_url": "`+enabler+`"}]}`))
	m.put(enabler, zipped(map[string]string{"addons/tickrate_enabler.so": "so", "addons/tickrate_enabler.vdf": "vdf"}))
}

func TestTickrate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if r == nil {
		return
	}
	r.putTickrate()
	want := map[string]string{"left4dead2/addons/tickrate_enabler.so": "so", "left4dead2/addons/tickrate_enabler.vdf": "vdf", "left4dead2/cfg/server.cfg": "sv_maxupdaterate 100\n"}
	expect(t, r.must(managed("tickrate", map[string]string{"tickrate": "100"})), want)
	if r.got.Release != "Tickrate Enabler linux-db72da3" || !r.got.ServerCfg {
		t.Errorf("%+v", r.got)
	}
	want["left4dead2/cfg/server.cfg"] = "sv_maxupdaterate 60\n"
	expect(t, r.must(seed(t, "tickrate")), want)
}

const rework = "https://github.com/SirPlease/L4D2-Competitive-Rework"

func (m *mirror) putRework(tag string) {
	const api = "https://api.github.com/repos/SirPlease/L4D2-Competitive-Rework/releases/"
	for _, page := range []string{"latest", "tags/" + tag} {
		m.put(api+page, []byte(`{"url":"x","tag_name":"`+tag+`","assets":[],"tarball_url":"y"}`))
	}
	m.put(rework+"/archive/refs/tags/"+tag+".tar.gz", tgz(map[string]string{
		"L4D2-Competitive-Rework-" + tag + "/addons/sourcemod/plugins/confogl.smx": "smx", "L4D2-Competitive-Rework-" + tag + "/cfg/server.cfg": "// " + tag + "\n",
	}))
}

func TestCompetitiveRework(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if r == nil {
		return
	}
	r.putRework("v1.2")
	r.putRework("v1.3") // and now the latest
	want := map[string]string{"left4dead2/addons/sourcemod/plugins/confogl.smx": "smx", "left4dead2/cfg/server.cfg": "// v1.3\n"}
	expect(t, r.must(managed("competitive-rework", nil)), want)
	if r.got.Release != "Competitive Rework v1.3" {
		t.Errorf("release %q", r.got.Release)
	}
	want["left4dead2/cfg/server.cfg"] = "// v1.2\n"
	expect(t, r.must(managed("competitive-rework", map[string]string{"version": "v1.2"})), want)
	if _, err := r.build(managed("competitive-rework", map[string]string{"version": "../x"})); !errors.Is(err, ctl.ErrBuild) {
		t.Errorf("%v", err)
	}
	r.put("https://api.github.com/repos/SirPlease/L4D2-Competitive-Rework/releases/latest", []byte("<html>rate limit</html>"))
	if _, err := r.build(managed("competitive-rework", nil)); !errors.Is(err, ctl.ErrBuild) || !strings.Contains(r.text(), "names none") {
		t.Errorf("%v\n%s", err, r.text())
	}
}

func TestCompetitiveReworkAsScript(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if r == nil {
		return
	}
	r.putRework("v1.2")
	want := map[string]string{"left4dead2/addons/sourcemod/plugins/confogl.smx": "smx", "left4dead2/cfg/server.cfg": "// v1.2\n", "competitive_rework": "v1.2\n"}
	expect(t, r.must(seed(t, "competitive_rework")), want)
	r.requests()
	expect(t, r.must(seed(t, "competitive_rework")), want)
	if asked := r.requests(); len(asked) != 1 || !r.got.Same {
		t.Errorf("there was nothing newer, and it asked for %q (same: %v)", asked, r.got.Same)
	}
	r.putRework("v1.3")
	want["left4dead2/cfg/server.cfg"], want["competitive_rework"] = "// v1.3\n", "v1.3\n"
	expect(t, r.must(seed(t, "competitive_rework")), want)
}

// putMaps makes both forms of the index: name → content.
func (m *mirror) putMaps(t *testing.T, packed map[string][]byte, sums map[string]string) {
	t.Helper()
	var list []string
	csv := "Name;Size;md5;Download link\r\n"
	for _, name := range slices.Sorted(maps.Keys(packed)) {
		link := "https://l4d2center.com/maps/servers/" + strings.TrimSuffix(name, ".vpk") + ".7z"
		m.put(link, packed[name])
		list = append(list, fmt.Sprintf(`{"name": %q, "size": 5, "md5": %q, "download_link": %q}`, name, sums[name], strings.ReplaceAll(link, "/", `\/`)))
		csv += fmt.Sprintf("%s;%d;%s;%s\r\n", name, 5, strings.ToUpper(sums[name]), link)
	}
	m.put("https://l4d2center.com/maps/servers/index.json", []byte("[\n"+strings.ReplaceAll(strings.Join(list, ",\n"), `\\/`, `\/`)+"\n]\n"))
	m.put("https://l4d2center.com/maps/servers/index.csv", []byte(csv))
}

// A refresh fetches what changed, keeps what did not, and drops what left the list;
// a map that cannot be had is told and does not spoil the others.
func TestMapsOfL4D2Center(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if r == nil {
		return
	}
	content := func(s string) []byte { return vpktest.Of("maps/"+s+".bsp", s) }
	packed, sums := map[string][]byte{}, map[string]string{}
	set := func(name string, c []byte) { packed[name], sums[name] = seven(t, name, c), sum(c) }
	set("one.vpk", content("one"))
	set("two maps.vpk", content("two"))
	set("three.vpk", content("three"))
	spec := managed("l4d2center", nil)
	for _, spec := range []ctl.OverlaySpec{spec, seed(t, "l4d2center_maps")} {
		set("one.vpk", content("one"))
		set("two maps.vpk", content("two"))
		set("three.vpk", content("three"))
		r.putMaps(t, packed, sums)
		first := r.must(spec)
		for name, c := range map[string]string{"one.vpk": "one", "two maps.vpk": "two", "three.vpk": "three"} {
			if first["left4dead2/addons/"+name] != string(content(c)) {
				t.Errorf("%s is not what it was packed from", name)
			}
		}
		set("one.vpk", content("one-again"))
		delete(packed, "three.vpk")
		r.putMaps(t, packed, sums)
		before := filepath.Join(r.Root, fmt.Sprintf("overlays/5/v%d/left4dead2/addons/two maps.vpk", r.got.Number))
		r.requests()
		second := r.must(spec)
		asked := strings.Join(r.requests(), "\n")
		if strings.Contains(asked, "two") || !strings.Contains(asked, "one.7z") {
			t.Errorf("asked for\n%s", asked)
		}
		if second["left4dead2/addons/one.vpk"] != string(content("one-again")) || second["left4dead2/addons/three.vpk"] != "" {
			t.Errorf("%q", slices.Sorted(maps.Keys(second)))
		}
		a, err1 := os.Stat(before)
		b, err2 := os.Stat(filepath.Join(r.Root, fmt.Sprintf("overlays/5/v%d/left4dead2/addons/two maps.vpk", r.got.Number)))
		if err1 != nil || err2 != nil || !os.SameFile(a, b) {
			t.Errorf("a map that did not change was copied (%v, %v)", err1, err2)
		}
	}
	if _, err := os.Stat(filepath.Join(r.Root, "builds/5")); err == nil {
		t.Error("builds/5 is left")
	}
}

// Attack 30 of the list: maps with a wrong sum, half an archive, or no archive are
// left out or kept as they were; an index that is none changes nothing.
func TestAttack30Maps(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if r == nil {
		return
	}
	good := vpktest.Of("maps/good.bsp", "map")
	packed := map[string][]byte{"good.vpk": seven(t, "good.vpk", good), "bad.vpk": seven(t, "bad.vpk", good)}
	sums := map[string]string{"good.vpk": sum(good), "bad.vpk": sum(good)}
	r.putMaps(t, packed, sums)
	spec := managed("l4d2center", nil)
	r.must(spec)
	for name, tt := range map[string]struct {
		page []byte
		want string
	}{
		"half":  {packed["bad.vpk"][:40], "bad.vpk stays as it is: its archive is damaged"},
		"HTML":  {[]byte("<html>"), "bad.vpk stays as it is: its archive is damaged"},
		"wrong": {packed["bad.vpk"], "bad.vpk stays as it is: its MD5 sum is not"},
		"other": {seven(t, "other.vpk", good), "bad.vpk stays as it is: it is not in its archive"},
	} {
		t.Run(name, func(t *testing.T) {
			r.putMaps(t, map[string][]byte{"good.vpk": packed["good.vpk"], "bad.vpk": tt.page}, map[string]string{"good.vpk": sum(good), "bad.vpk": strings.Repeat("0", 32)})
			files := r.must(spec)
			if !strings.Contains(r.text(), tt.want) || files["left4dead2/addons/bad.vpk"] != string(good) {
				t.Errorf("want %q in\n%s", tt.want, r.text())
			}
		})
	}
	for name, index := range map[string]string{
		"HTML": "<html>[{}]</html>", "nothing": "", "no list": `{"name":"x.vpk"}`, "no map": "[]",
		"a way out": `[{"name":"../../x.vpk","md5":"` + sum(good) + `","download_link":"https://l4d2center.com/maps/servers/good.7z"}]`,
		"an option": `[{"name":"-x.vpk","md5":"` + sum(good) + `","download_link":"https://l4d2center.com/maps/servers/good.7z"}]`,
		"a command": `[{"name":"$(id).vpk","md5":"` + sum(good) + `","download_link":"https://l4d2center.com/maps/servers/good.7z"}]`,
		"a file":    `[{"name":"x.vpk","md5":"` + sum(good) + `","download_link":"file:///etc/passwd.7z"}]`,
		"no sum":    `[{"name":"x.vpk","md5":"","download_link":"https://l4d2center.com/maps/servers/good.7z"}]`,
	} {
		t.Run("index: "+name, func(t *testing.T) {
			r.put("https://l4d2center.com/maps/servers/index.json", []byte(index))
			if files, err := r.build(spec); !errors.Is(err, ctl.ErrBuild) {
				t.Errorf("%v, %q\n%s", err, slices.Sorted(maps.Keys(files)), r.text())
			}
		})
	}
}

func TestServerDefaults(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if r == nil {
		return
	}
	files := r.must(managed("server-defaults", map[string]string{"region": "3", "gametypes": "versus"}))
	expect(t, files, map[string]string{"left4dead2/cfg/server.cfg": "sv_gametypes \"versus\"\n"})
	for _, odd := range []string{`x"; rcon_password y`, "$(id)", "a b"} {
		if _, err := r.build(managed("server-defaults", map[string]string{"gametypes": odd})); !errors.Is(err, ctl.ErrBuild) {
			t.Errorf("%q: %v", odd, err)
		}
	}
	if asked := r.requests(); len(asked) > 0 {
		t.Errorf("asked for %q", asked)
	}
}

// The predecessor's two recipes that ask Steam.
func TestWorkshopScripts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if r == nil {
		return
	}
	const api = "https://api.steampowered.com/ISteamRemoteStorage/"
	file := func(id string) string { return "https://cdn.steamusercontent.com/ugc/" + id + "/HASH/" }
	detail := func(id string) string {
		return `{"publishedfileid":"` + id + `","result":1,"consumer_app_id":550,"file_url":"` + strings.ReplaceAll(file(id), "/", `\/`) + `","title":"T"}`
	}
	details := func(list ...string) []byte {
		return []byte(`{"response":{"result":1,"resultcount":1,"publishedfiledetails":[` + strings.Join(list, ",") + `]}}`)
	}
	for _, id := range []string{"698857882", "2524204971", "111", "222"} {
		r.put(file(id), vpktest.Of("maps/m"+id+".bsp", "map"))
		r.put(api+"GetPublishedFileDetails/v1/?itemcount=1&publishedfileids%5B0%5D="+id, details(detail(id)))
	}
	r.put(api+"GetPublishedFileDetails/v1/?itemcount=2&publishedfileids%5B0%5D=698857882&publishedfileids%5B1%5D=2524204971", details(detail("2524204971"), detail("698857882")))
	files := r.must(seed(t, "standard"))
	expect(t, files, map[string]string{"left4dead2/addons/698857882.vpk": "", "left4dead2/addons/2524204971.vpk": "", "left4dead2/ems/admin system/admins.txt": ""})
	if files["left4dead2/addons/698857882.vpk"] != string(vpktest.Of("maps/m698857882.bsp", "map")) {
		t.Error("an item got the file of another")
	}

	r.put(api+"GetCollectionDetails/v1/?collectioncount=1&publishedfileids%5B0%5D=1626503425", []byte(`{"response":{"collectiondetails":[{"publishedfileid":"1626503425","result":1,"children":[{"publishedfileid":"111","sortorder":0,"filetype":0},{"publishedfileid":"222","sortorder":1,"filetype":0},{"publishedfileid":"333","sortorder":2,"filetype":0}]}]}}`))
	r.put(api+"GetPublishedFileDetails/v1/?itemcount=1&publishedfileids%5B0%5D=333", details(`{"publishedfileid":"333","result":9}`))
	want := map[string]string{"left4dead2/addons/111.vpk": "", "left4dead2/addons/222.vpk": "", "workshop/111": "", "workshop/222": ""}
	expect(t, r.must(seed(t, "workshop_maps")), want)
	if !strings.Contains(r.text(), "no file for the item 333; it is left out") {
		t.Errorf("%s", r.text())
	}
	r.requests()
	expect(t, r.must(seed(t, "workshop_maps")), want)
	if asked := strings.Join(r.requests(), "\n"); strings.Contains(asked, "ugc") || !r.got.Same {
		t.Errorf("nothing changed, and it asked for\n%s", asked)
	}
}
