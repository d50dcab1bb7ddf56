package gate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"left4me/hostops/ctl"
	"left4me/hostops/vpk"
	"left4me/hostops/vpk/vpktest"
)

// plant writes files below a new folder: path and content in turn. A content that
// begins with "-> " is a link, "/" at the end of a path makes a folder.
func plant(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i+1 < len(files); i += 2 {
		path := filepath.Join(dir, filepath.FromSlash(files[i]))
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			if target, link := strings.CutPrefix(files[i+1], "-> "); link {
				err = os.Symlink(target, path)
			} else if strings.HasSuffix(files[i], "/") {
				err = os.MkdirAll(path, 0o755)
			} else {
				err = os.WriteFile(path, []byte(files[i+1]), 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func checkDir(t *testing.T, dir string, admit ...string) (Report, error) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return Check(t.Context(), root, func(hash string) bool { return slices.Contains(admit, hash) })
}

func mustCheck(t *testing.T, dir string, admit ...string) Report {
	t.Helper()
	r, err := checkDir(t, dir, admit...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// codes is a report in short: verdict code path, one a line.
func codes(r Report) string {
	var all []string
	for _, f := range r.Findings {
		word := string(f.Verdict)
		if f.Admitted {
			word = "admitted"
		}
		all = append(all, fmt.Sprintf("%s %s %s", word, f.Code, strings.TrimPrefix(f.Path, addonsDir+"/")))
	}
	return strings.Join(all, "\n")
}

func mission(name string, maps ...string) string {
	text := fmt.Sprintf(`"mission" { "Name" %q "DisplayTitle" "The %s" "modes" { "coop" {`, name, name)
	for i, m := range maps {
		text += fmt.Sprintf(` "%d" { "Map" %q }`, i+1, m)
	}
	return text + " } } }"
}

// campaign is a good package with one campaign of two maps.
func campaign(name string) []byte {
	return vpktest.Of("missions/"+name+".txt", mission(name, name+"1", name+"2"), "maps/"+name+"1.bsp", "x", "maps/"+name+"2.bsp", "y")
}

func TestGoodContentPassesWithoutAWord(t *testing.T) {
	dir := plant(t,
		"left4dead2/addons/uf.vpk", string(campaign("uf")),
		"left4dead2/addons/two.VPK", string(vpktest.Package{Version: 2, Files: []vpktest.File{{Path: "scripts/x.nut", Data: "y"}}}.Bytes()),
		"left4dead2/cfg/server.cfg", "sv_alltalk 1",
		"left4dead2/missions/loose.txt", mission("loose", "lo1", "C1M1_Hotel"),
		"left4dead2/maps/LO1.bsp", "x",
	)
	r := mustCheck(t, dir)
	if len(r.Findings) != 0 || r.Refused() {
		t.Errorf("findings:\n%s", codes(r))
	}
	var got []string
	for _, c := range r.Campaigns {
		got = append(got, c.Name+"|"+c.Title+"|"+c.File)
	}
	if want := []string{"uf|The uf|left4dead2/addons/uf.vpk", "loose|The loose|left4dead2/missions/loose.txt"}; !slices.Equal(got, want) {
		t.Errorf("campaigns %q, want %q", got, want)
	}
	if r := mustCheck(t, t.TempDir()); len(r.Findings) != 0 || len(r.Campaigns) != 0 {
		t.Errorf("an empty tree: %+v", r)
	}
}

func TestWarnings(t *testing.T) {
	bsp := "maps/a.bsp"
	tests := map[string]struct {
		files []string
		want  string
	}{
		"in a subfolder": {
			[]string{"left4dead2/addons/workshop/1.vpk", string(campaign("uf"))},
			"warning vpk.subfolder workshop/1.vpk",
		},
		"elsewhere": {
			[]string{"uf.vpk", "PK\x03\x04"},
			"warning vpk.subfolder uf.vpk",
		},
		"over the game's own": {
			[]string{"left4dead2/pak01_dir.vpk", "x"},
			"warning vpk.overrides_stock left4dead2/pak01_dir.vpk",
		},
		"global scripts": {
			[]string{"left4dead2/addons/s.vpk", string(vpktest.Of("scripts/vscripts/mapspawn_addon.nut", "", "scripts/vscripts/ScriptedMode_Addon.nut", "", "scripts/vscripts/director_base_addon.nut", "", "scripts/gamemodes.txt", "", "scripts/weapon_rifle.txt", "", "scripts/vscripts/mine.nut", ""))},
			"warning vpk.global_script s.vpk",
		},
		"stock maps": {
			[]string{"left4dead2/addons/s.vpk", string(vpktest.Of("maps/c1m1_hotel.bsp", ""))},
			"warning vpk.overrides_stock s.vpk",
		},
		"stock campaign": {
			[]string{"left4dead2/addons/s.vpk", string(vpktest.Of("missions/campaign1.txt", mission("L4D2C1", "c1m1_hotel")))},
			"warning vpk.overrides_stock s.vpk!missions/campaign1.txt",
		},
		"GBK": {
			[]string{"left4dead2/addons/s.vpk", string(vpktest.Of(bsp, "", "materials/\xb5\xd8\xcd\xbc.vmt", ""))},
			"warning vpk.name_encoding s.vpk",
		},
		"odd names": {
			[]string{"left4dead2/addons/s.vpk", string(vpktest.Of(bsp, "", "../../x.cfg", "", `maps\b.bsp`, "", "a/\x1b.txt", ""))},
			"warning vpk.odd_names s.vpk",
		},
		"cosmetic": {
			[]string{"left4dead2/addons/s.vpk", string(vpktest.Of("models/hat.mdl", ""))},
			"ok vpk.no_maps s.vpk",
		},
		"mission with a fault": {
			[]string{"left4dead2/addons/s.vpk", string(vpktest.Of(bsp, "", "missions/a.txt", strings.Replace(mission("A", "a"), `"Map" `, `"Map"`, 1)))},
			"warning mission.malformed s.vpk!missions/a.txt",
		},
		"mission that is none": {
			[]string{"left4dead2/addons/s.vpk", string(vpktest.Of("missions/a.txt", "hello"))},
			"warning mission.malformed s.vpk!missions/a.txt",
		},
		"mission too large": {
			[]string{"left4dead2/addons/s.vpk", string(vpktest.Of("missions/a.txt", strings.Repeat(" ", 2<<20)))},
			"warning mission.malformed s.vpk!missions/a.txt",
		},
		"maps that are nowhere": {
			[]string{"left4dead2/addons/s.vpk", string(vpktest.Of(bsp, "", "missions/a.txt", mission("A", "a", "b", "c")))},
			"warning mission.map_missing s.vpk",
		},
		"maps in another file": {
			[]string{"left4dead2/addons/s.vpk", string(vpktest.Of(bsp, "", "missions/a.txt", mission("A", "a", "b"))), "left4dead2/addons/t.vpk", string(vpktest.Of("maps/B.bsp", ""))},
			"",
		},
		"one campaign twice": {
			[]string{"left4dead2/addons/s.vpk", string(campaign("uf")), "left4dead2/addons/t.vpk", string(campaign("uf"))},
			"warning campaign.duplicate t.vpk",
		},
		"addoninfo": {
			[]string{"left4dead2/addons/s.vpk", string(vpktest.Of(bsp, "", "addoninfo.txt", `"AddonInfo" { "addontitle" "x`))},
			"warning addoninfo.malformed s.vpk!addoninfo.txt",
		},
		"loose mission": {
			[]string{"left4dead2/missions/a.txt", "hello"},
			"warning mission.malformed left4dead2/missions/a.txt",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := mustCheck(t, plant(t, tt.files...))
			if got := codes(r); got != tt.want || r.Refused() {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			for _, f := range r.Findings {
				if !strings.HasSuffix(f.Sentence, ".") || f.Sentence[:1] != strings.ToUpper(f.Sentence[:1]) || strings.ContainsAny(f.Sentence, "\x1b\n") {
					t.Errorf("no sentence: %q", f.Sentence)
				}
			}
		})
	}
}

func TestSentencesNameWhatTheyMean(t *testing.T) {
	r := mustCheck(t, plant(t,
		"left4dead2/addons/a.vpk", "PK\x03\x04",
		"left4dead2/addons/b.vpk", string(vpktest.Of("scripts/gamemodes.txt", "", "scripts/weapon_a.txt", "", "scripts/weapon_b.txt", "", "scripts/weapon_c.txt", "")),
		"left4dead2/addons/c.vpk", string(vpktest.Of("maps/a.bsp", "", "missions/a.txt", "\n"+strings.Replace(mission("A", "a", "b"), `"Map" `, `"Map"`, 1))),
	))
	want := []string{
		"It is a ZIP archive and no VPK: unpack it and use what is inside.",
		"It has scripts that work on every map and not only on its own (scripts/gamemodes.txt, scripts/weapon_a.txt, scripts/weapon_b.txt and 1 more): take it out of the blueprint when another campaign plays oddly.",
		`The mission file is not as the game wants it, which may skip chapters: line 2: no space between the key "Map" and its value.`,
		`The campaign "The A" names maps that are neither in this overlay nor the game's own (b): add what brings them, or do not choose those chapters.`,
	}
	var got []string
	for _, f := range r.Findings {
		got = append(got, f.Sentence)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTitlesComeFromTheAddonWhereTheMissionHasNone(t *testing.T) {
	untitled := `mission { Name uf_x DisplayTitle "#UF" modes { coop { 1 { Map a } } } }`
	versus := `mission { Name UF_X DisplayTitle "#UF" modes { versus { 1 { Map a } } coop { 1 { Map other } } } }`
	info := `AddonInfo { addontitle "Urban Flight" addonauthor Nick }`
	r := mustCheck(t, plant(t, "left4dead2/addons/a.vpk", string(vpktest.Of("maps/a.bsp", "", "missions/a.txt", untitled, "missions/b.txt", versus, "addoninfo.txt", info))))
	if len(r.Campaigns) != 1 || len(r.Findings) != 0 {
		t.Fatalf("%+v", r)
	}
	c := r.Campaigns[0]
	if c.Title != "Urban Flight" || c.Author != "Nick" || len(c.Modes) != 2 || c.Modes[0].Chapters[0].Map != "a" || c.Modes[1].Name != "versus" {
		t.Errorf("%+v", c)
	}
}

func sum(data string) string {
	s := sha256.Sum256([]byte(data))
	return hex.EncodeToString(s[:])
}

func TestRefusedFilesMayBeAdmitted(t *testing.T) {
	// The last entry is out of bounds: what stands before it can be read.
	bad := string(vpktest.Package{Files: []vpktest.File{
		{Path: "missions/a.txt", Data: mission("A", "a")},
		{Path: "maps/a.bsp", Data: "x"},
		{Path: "z.txt", Data: "x", Mangle: func(e []byte) { e[12] = 200 }},
	}}.Bytes())
	dir := plant(t, "left4dead2/addons/a.vpk", bad)
	r := mustCheck(t, dir)
	if !r.Refused() || len(r.Findings) != 1 || r.Findings[0].SHA256 != sum(bad) || r.Findings[0].Code != "vpk.bounds" || len(r.Campaigns) != 0 {
		t.Errorf("not admitted: %+v", r)
	}
	r = mustCheck(t, dir, sum(bad))
	if r.Refused() || codes(r) != "admitted vpk.bounds a.vpk" || len(r.Campaigns) != 1 {
		t.Errorf("admitted: %+v", r)
	}
}

func TestSets(t *testing.T) {
	p := vpktest.Package{Files: []vpktest.File{{Path: "maps/a.bsp", Data: "first", Part: 1}, {Path: "maps/b.bsp", Data: "second", Part: 2}}}
	set := func(parts ...int) []string {
		files := []string{"left4dead2/addons/c_dir.vpk", string(p.Bytes())}
		for _, n := range parts {
			files = append(files, fmt.Sprintf("left4dead2/addons/c_%03d.vpk", n), string(p.Parts()[n]))
		}
		return files
	}
	tests := map[string]struct {
		files []string
		admit []string
		want  string
	}{
		"whole":                 {set(0, 1), nil, ""},
		"a part is missing":     {set(0), nil, "refused vpk.missing_part c_dir.vpk\nrefused vpk.missing_part c_000.vpk"},
		"admitted all the same": {set(0), []string{sum(string(p.Bytes()))}, "admitted vpk.missing_part c_dir.vpk"},
		"the directory is gone": {set(0, 1)[2:], nil, "refused vpk.missing_part c_000.vpk\nrefused vpk.missing_part c_001.vpk"},
		"a part nobody asks for is a file of its own": {
			append(set(0, 1), "left4dead2/addons/c_007.vpk", "PK\x03\x04"), nil, "refused vpk.disguised c_007.vpk",
		},
		"a whole file may be called like a part": {[]string{"left4dead2/addons/c_001.vpk", string(campaign("uf"))}, nil, ""},
		"a broken directory":                     {append(set(0, 1)[2:], "left4dead2/addons/c_dir.vpk", "PK\x03\x04"), nil, "refused vpk.disguised c_dir.vpk\nrefused vpk.missing_part c_000.vpk\nrefused vpk.missing_part c_001.vpk"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := mustCheck(t, plant(t, tt.files...), tt.admit...)
			if got := codes(r); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestAttack1LinksAndDevicesInAddons(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside.vpk")
	vpktest.Write(t, outside, campaign("secret"))
	dir := plant(t,
		"left4dead2/addons/dangling.vpk", "-> nowhere.vpk",
		"left4dead2/addons/out.vpk", "-> "+outside,
		"left4dead2/addons/folder.vpk/", "",
		"left4dead2/addons/inside.vpk", "-> ../../store/uf.bin",
		"store/uf.bin", string(campaign("uf")),
	)
	if err := syscall.Mkfifo(filepath.Join(dir, "left4dead2/addons/fifo.vpk"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := mustCheck(t, dir)
	want := "refused vpk.unreadable dangling.vpk\nrefused vpk.unreadable fifo.vpk\nrefused vpk.unreadable folder.vpk\nrefused vpk.unreadable out.vpk"
	if got := codes(r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if len(r.Campaigns) != 1 || r.Campaigns[0].Name != "uf" {
		t.Errorf("campaigns %+v, want the one inside", r.Campaigns)
	}
	// The folder itself may be a link: the engine follows it.
	linked := plant(t, "left4dead2/addons", "-> ../real", "real/bad.vpk", "PK\x03\x04")
	if got := codes(mustCheck(t, linked)); got != "refused vpk.disguised bad.vpk\nwarning vpk.subfolder real/bad.vpk" {
		t.Errorf("a linked folder: %s", got)
	}
}

func TestAttack4BombOfFindings(t *testing.T) {
	dir := plant(t, "left4dead2/addons/a/", "", "left4dead2/addons/zip.vpk", "PK\x03\x04")
	for i := range 3 * ctl.MaxFindings {
		vpktest.Write(t, filepath.Join(dir, "left4dead2/addons/a", fmt.Sprintf("%04d.vpk", i)), nil)
	}
	r := mustCheck(t, dir)
	if len(r.Findings) != ctl.MaxFindings || r.Findings[0].Code != "vpk.disguised" {
		t.Errorf("%d findings, the first %+v", len(r.Findings), r.Findings[0])
	}
	for i := range ctl.MaxFindings {
		vpktest.Write(t, filepath.Join(dir, "left4dead2/addons", fmt.Sprintf("%04d.vpk", i)), nil)
	}
	if _, err := checkDir(t, dir); !errors.Is(err, ctl.ErrContent) {
		t.Errorf("more refused files than a report holds: %v, want ErrContent", err)
	}
	campaigns := []string{}
	for i := range maxMissionFiles + 10 {
		campaigns = append(campaigns, fmt.Sprintf("missions/%d.txt", i), mission(fmt.Sprintf("m%d", i), "c1m1_hotel"))
	}
	r = mustCheck(t, plant(t, "left4dead2/addons/a.vpk", string(vpktest.Of(campaigns...))))
	if len(r.Campaigns) != maxMissionFiles || codes(r) != "warning mission.malformed a.vpk" {
		t.Errorf("%d campaigns\n%s", len(r.Campaigns), codes(r))
	}
}

// A report must not hold millions of chapters because a megabyte can name them.
func TestAttack4BombOfChapters(t *testing.T) {
	big := &strings.Builder{}
	big.WriteString("mission { Name big modes {")
	for mode := range 50 {
		fmt.Fprintf(big, " m%d {", mode)
		for i := range 200 {
			fmt.Fprintf(big, " %d { Map c1m1_hotel }", i)
		}
		big.WriteString(" }")
	}
	big.WriteString(" } }")
	var files []string
	for i := range 5 {
		files = append(files, fmt.Sprintf("missions/%d.txt", i), strings.Replace(big.String(), "big", fmt.Sprint("big", i), 1))
	}
	r := mustCheck(t, plant(t, "left4dead2/addons/a.vpk", string(vpktest.Of(files...))))
	if len(r.Campaigns) != maxChapters/10_000 || len(r.Findings) != 5-len(r.Campaigns) {
		t.Errorf("%d campaigns\n%s", len(r.Campaigns), codes(r))
	}
}

func TestAttack30EveryDisguiseIsRefused(t *testing.T) {
	good := string(campaign("uf"))
	tests := map[string]struct{ content, want string }{
		"empty":           {"", "vpk.empty"},
		"web page":        {"<!DOCTYPE html><html>Sign in to Steam", "vpk.disguised"},
		"RAR":             {"Rar!\x1a\x07\x00", "vpk.disguised"},
		"picture":         {"\x89PNG\r\n\x1a\n", "vpk.disguised"},
		"text":            {"404 not found, sorry", "vpk.no_vpk"},
		"next version":    {strings.Replace(good, "\x01", "\x03", 1), "vpk.version"},
		"half a download": {good[:len(good)/2], "vpk.cut_off"},
		"all but a byte":  {good[:len(good)-1], "vpk.bounds"},
		"broken tree":     {string(vpktest.Package{NoEnd: true}.Bytes()), "vpk.tree"},
		"elsewhere":       {string(vpktest.Package{Files: []vpktest.File{{Path: "a.b", Data: "x", Part: 3}}}.Bytes()), "vpk.missing_part"},
		"too many":        {string(vpktest.Many(vpk.MaxEntries + 1)), "vpk.too_many"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := mustCheck(t, plant(t, "left4dead2/addons/a.vpk", tt.content))
			if len(r.Findings) != 1 || !r.Refused() || r.Findings[0].Code != tt.want || r.Findings[0].SHA256 != sum(tt.content) || !strings.HasSuffix(r.Findings[0].Sentence, ".") {
				t.Errorf("got %+v, want %s", r.Findings, tt.want)
			}
		})
	}
}

func TestCheckFile(t *testing.T) {
	check := func(data []byte) Report {
		r, err := CheckFile(t.Context(), "uf.vpk", bytes.NewReader(data), int64(len(data)), nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := check(campaign("uf")); len(r.Findings) != 0 || len(r.Campaigns) != 1 || r.Campaigns[0].File != "uf.vpk" {
		t.Errorf("good: %+v", r)
	}
	if r := check([]byte("7z\xbc\xaf\x27\x1c")); !r.Refused() || r.Findings[0].Path != "uf.vpk" || r.Findings[0].SHA256 == "" {
		t.Errorf("bad: %+v", r)
	}
}

func TestCheckCanBeCancelled(t *testing.T) {
	stopped := errors.New("stopped by its author")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	data := vpktest.Many(10_000)
	if _, err := CheckFile(ctx, "a.vpk", bytes.NewReader(data), int64(len(data)), nil); !errors.Is(err, stopped) {
		t.Errorf("while reading: %v", err)
	}
	if _, err := CheckFile(ctx, "a.vpk", bytes.NewReader([]byte("PK\x03\x04")), 4, nil); !errors.Is(err, stopped) {
		t.Errorf("while hashing: %v", err)
	}
}

func TestDuplicates(t *testing.T) {
	c := func(name, file string) ctl.Campaign {
		return ctl.Campaign{Name: name, Title: "The " + name, File: file}
	}
	tests := map[string]struct {
		layers []LayerCampaigns
		want   []string
	}{
		"none":      {[]LayerCampaigns{{"1/v1", []ctl.Campaign{c("a", "a.vpk")}}, {"2/v1", []ctl.Campaign{c("b", "b.vpk")}}}, nil},
		"two":       {[]LayerCampaigns{{"1/v1", []ctl.Campaign{c("a", "a.vpk")}}, {"2/v3", []ctl.Campaign{c("A", "b.vpk")}}}, []string{`The overlays 1/v1 and 2/v3 both bring the campaign "The a": the game uses one of the two files, which need not be the upper one, so take one out.`}},
		"hidden":    {[]LayerCampaigns{{"1/v1", []ctl.Campaign{c("a", "a.vpk")}}, {"2/v3", []ctl.Campaign{c("a", "a.vpk")}}}, nil},
		"one layer": {[]LayerCampaigns{{"1/v1", []ctl.Campaign{c("a", "a.vpk"), c("a", "b.vpk")}}}, nil},
		"many of a pair": {
			[]LayerCampaigns{{"1/v1", []ctl.Campaign{c("a", "1"), c("b", "1"), c("c", "1"), c("d", "1")}}, {"2/v1", []ctl.Campaign{c("a", "2"), c("b", "2"), c("c", "2"), c("d", "2")}}},
			[]string{`The overlays 1/v1 and 2/v1 both bring the campaigns "The a", "The b", "The c" and 1 more: the game uses one of the two files, which need not be the upper one, so take one out.`},
		},
	}
	for name, tt := range tests {
		var got []string
		for _, f := range Duplicates(tt.layers) {
			if f.Code != "campaign.duplicate" || f.Verdict != ctl.VerdictWarning {
				t.Errorf("%s: %+v", name, f)
			}
			got = append(got, f.Sentence)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, tt.want)
		}
	}
}
