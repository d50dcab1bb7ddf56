package webui

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"left4me/hostops/ctl"
	"left4me/models"
)

// change reads a change from a line such as "move a b".
func change(seq int, line string) models.DraftChange {
	f := strings.Fields(line)
	c := models.DraftChange{Seq: int64(seq), Op: f[0]}
	switch {
	case f[0] == "move":
		c.Path, c.Target = f[1], f[2]
	case f[0] == "put" && f[1] == "(place)":
		c.Name, c.UploadID = f[2], fmt.Sprint("u", seq)
	case f[0] == "put":
		c.Path, c.UploadID = f[1], fmt.Sprint("u", seq)
	case f[0] == "unpack":
		c.Path, c.Name, c.UploadID = strings.TrimPrefix(f[1], "(place)"), f[2], fmt.Sprint("u", seq)
	default:
		c.Path = f[1]
	}
	return c
}

func changesOf(lines []string) []models.DraftChange {
	var list []models.DraftChange
	for i, l := range lines {
		list = append(list, change(i+1, l))
	}
	return list
}

// flat lists a tree: a path, a slash behind folders, and what the draft does to it.
func flat(t *draftTree, dir string) []string {
	list, ok := t.list(dir)
	if !ok {
		return []string{"no folder " + dir}
	}
	var out []string
	for _, e := range list {
		line := e.Path
		if e.Path == "" {
			line = within(dir, e.Name)
		}
		if e.Dir {
			line += "/"
		}
		if e.Word != "" {
			line += ": " + e.Word
		}
		if e.Note != "" {
			line += " " + e.Note
		}
		out = append(out, line)
		if e.Dir && !e.Gone {
			out = append(out, flat(t, e.Path)...)
		}
	}
	return out
}

func TestDraftTree(t *testing.T) {
	base := []ctl.ManifestFile{
		{Path: "cfg/server.cfg", Size: 3, SHA256: "s1"},
		{Path: "cfg/motd.txt", SHA256: "s2"},
		{Path: "maps/a.bsp", SHA256: "s3"},
		{Path: "empty", Dir: true},
	}
	const rest = "cfg/motd.txt|cfg/server.cfg"
	tests := map[string]struct {
		changes []string
		want    string // joined by |
		faults  []int64
	}{
		"nothing":                       {nil, "cfg/|cfg/motd.txt|cfg/server.cfg|empty/|maps/|maps/a.bsp", nil},
		"put anew":                      {[]string{"put cfg/x.cfg"}, "cfg/: Changed inside|cfg/motd.txt|cfg/server.cfg|cfg/x.cfg: New|empty/|maps/|maps/a.bsp", nil},
		"put over":                      {[]string{"put cfg/motd.txt"}, "cfg/: Changed inside|cfg/motd.txt: Changed|cfg/server.cfg|empty/|maps/|maps/a.bsp", nil},
		"put with new folders":          {[]string{"put a/b/c"}, "a/: New|a/b/: New|a/b/c: New|cfg/|" + rest + "|empty/|maps/|maps/a.bsp", nil},
		"put over a folder":             {[]string{"put cfg"}, "cfg/|" + rest + "|empty/|maps/|maps/a.bsp", []int64{1}},
		"put below a file":              {[]string{"put maps/a.bsp/x"}, "cfg/|" + rest + "|empty/|maps/|maps/a.bsp", []int64{1}},
		"an add-on finds its place":     {[]string{"put (place) x.vpk"}, "cfg/|" + rest + "|empty/|left4dead2/: New|left4dead2/addons/: New|left4dead2/addons/x.vpk: New|maps/|maps/a.bsp", nil},
		"delete":                        {[]string{"delete cfg/motd.txt"}, "cfg/: Changed inside|cfg/motd.txt: Deleted|cfg/server.cfg|empty/|maps/|maps/a.bsp", nil},
		"delete a folder":               {[]string{"delete cfg"}, "cfg/: Deleted|empty/|maps/|maps/a.bsp", nil},
		"delete what is new":            {[]string{"put n", "delete n"}, "cfg/|" + rest + "|empty/|maps/|maps/a.bsp", nil},
		"delete twice":                  {[]string{"delete cfg", "delete cfg"}, "cfg/: Deleted|empty/|maps/|maps/a.bsp", []int64{2}},
		"put over what is deleted":      {[]string{"delete cfg/motd.txt", "put cfg/motd.txt"}, "cfg/: Changed inside|cfg/motd.txt: Changed|cfg/server.cfg|empty/|maps/|maps/a.bsp", nil},
		"put into a deleted folder":     {[]string{"delete cfg", "put cfg/x"}, "cfg/: Changed inside|cfg/motd.txt: Deleted|cfg/server.cfg: Deleted|cfg/x: New|empty/|maps/|maps/a.bsp", nil},
		"a file where a folder was":     {[]string{"delete cfg", "put cfg"}, "empty/|maps/|maps/a.bsp|cfg: Changed", nil},
		"a folder where a file was":     {[]string{"delete maps/a.bsp", "put maps/a.bsp/x"}, "cfg/|" + rest + "|empty/|maps/: Changed inside|maps/a.bsp/: Changed inside|maps/a.bsp/x: New", nil},
		"mkdir":                         {[]string{"mkdir d/e"}, "cfg/|" + rest + "|d/: New|d/e/: New|empty/|maps/|maps/a.bsp", nil},
		"mkdir that is there":           {[]string{"mkdir cfg"}, "cfg/|" + rest + "|empty/|maps/|maps/a.bsp", nil},
		"mkdir over a file":             {[]string{"mkdir maps/a.bsp"}, "cfg/|" + rest + "|empty/|maps/|maps/a.bsp", []int64{1}},
		"move a file":                   {[]string{"move maps/a.bsp maps/b.bsp"}, "cfg/|" + rest + "|empty/|maps/: Changed inside|maps/a.bsp: Moved away to maps/b.bsp|maps/b.bsp: Moved from maps/a.bsp", nil},
		"move there and back":           {[]string{"move maps/a.bsp b", "move b maps/a.bsp"}, "cfg/|" + rest + "|empty/|maps/|maps/a.bsp", nil},
		"move a folder":                 {[]string{"move maps more/maps"}, "cfg/|" + rest + "|empty/|maps/: Moved away to more/maps|more/: New|more/maps/: Moved from maps|more/maps/a.bsp: Moved from maps/a.bsp", nil},
		"move a folder there and back":  {[]string{"move cfg x", "move x cfg"}, "cfg/|" + rest + "|empty/|maps/|maps/a.bsp", nil},
		"move twice":                    {[]string{"move maps/a.bsp x", "move x y"}, "cfg/|" + rest + "|empty/|maps/: Changed inside|maps/a.bsp: Moved away to x|y: Moved from maps/a.bsp", nil},
		"move what is new":              {[]string{"put n", "move n m"}, "cfg/|" + rest + "|empty/|maps/|maps/a.bsp|m: New", nil},
		"move a folder with a new file": {[]string{"put maps/n", "move maps m"}, "cfg/|" + rest + "|empty/|m/: Moved from maps|m/a.bsp: Moved from maps/a.bsp|m/n: New|maps/: Moved away to m", nil},
		"move over something":           {[]string{"move maps/a.bsp cfg/motd.txt"}, "cfg/|" + rest + "|empty/|maps/|maps/a.bsp", []int64{1}},
		"move into itself":              {[]string{"move cfg cfg/sub"}, "cfg/|" + rest + "|empty/|maps/|maps/a.bsp", []int64{1}},
		"move what is not there":        {[]string{"move gone x"}, "cfg/|" + rest + "|empty/|maps/|maps/a.bsp", []int64{1}},
		"move over what is deleted":     {[]string{"delete cfg/motd.txt", "move maps/a.bsp cfg/motd.txt"}, "cfg/: Changed inside|cfg/motd.txt: Moved from maps/a.bsp|cfg/server.cfg|empty/|maps/: Changed inside|maps/a.bsp: Moved away to cfg/motd.txt", nil},
		"a folder over a deleted one":   {[]string{"delete cfg", "move maps cfg"}, "cfg/: Moved from maps|cfg/a.bsp: Moved from maps/a.bsp|cfg/motd.txt: Deleted|cfg/server.cfg: Deleted|empty/|maps/: Moved away to cfg", nil},
		"unpack at its place":           {[]string{"unpack (place) a.zip"}, "a.zip: Unpacks will be unpacked where its content belongs|cfg/|" + rest + "|empty/|maps/|maps/a.bsp", nil},
		"unpack at the top":             {[]string{"unpack . a.zip"}, "a.zip: Unpacks will be unpacked into this folder|cfg/|" + rest + "|empty/|maps/|maps/a.bsp", nil},
		"unpack into a folder":          {[]string{"unpack empty a.zip"}, "cfg/|" + rest + "|empty/: Changed inside|empty/a.zip: Unpacks will be unpacked into this folder|maps/|maps/a.bsp", nil},
		"unpack into a file":            {[]string{"unpack maps/a.bsp a.zip"}, "cfg/|" + rest + "|empty/|maps/|maps/a.bsp", []int64{1}},
		"an archive moves with it":      {[]string{"unpack d a.zip", "move d e"}, "cfg/|" + rest + "|e/: New|e/a.zip: Unpacks will be unpacked into this folder|empty/|maps/|maps/a.bsp", nil},
		"what is no change":             {[]string{"chmod cfg"}, "cfg/|" + rest + "|empty/|maps/|maps/a.bsp", []int64{1}},
		"a fault stops nothing else":    {[]string{"delete gone", "delete empty"}, "cfg/|" + rest + "|empty/: Deleted|maps/|maps/a.bsp", []int64{1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tree := newDraftTree(base, changesOf(tt.changes))
			if got := strings.Join(flat(tree, ""), "|"); got != tt.want {
				t.Errorf("%q makes\n%s\nwant\n%s", tt.changes, got, tt.want)
			}
			if got := slices.Sorted(maps.Keys(tree.Faults)); !slices.Equal(got, tt.faults) {
				t.Errorf("%q cannot be made: %v (%v); want %v", tt.changes, got, tree.Faults, tt.faults)
			}
		})
	}
}

// An editor knows by a token whether a file has still the content it opened.
func TestDraftTokens(t *testing.T) {
	base := []ctl.ManifestFile{{Path: "a", SHA256: "s1"}, {Path: "d/b", SHA256: "s2"}}
	tests := map[string]struct{ changes []string }{
		"sum:s1":    {nil},
		"upload:u1": {[]string{"put a"}},
		"sum:s2":    {[]string{"delete a", "move d/b a"}},
		"":          {[]string{"delete a"}},
	}
	for want, tt := range tests {
		if got := newDraftTree(base, changesOf(tt.changes)).find("a").token(); got != want {
			t.Errorf("after %q the token is %q, want %q", tt.changes, got, want)
		}
	}
	if got := newDraftTree(base, nil).find("d").token(); got != "" {
		t.Errorf("a folder has the token %q", got)
	}
}

func TestFilesOfAFolderAreBounded(t *testing.T) {
	var base []ctl.ManifestFile
	for i := range 30 {
		base = append(base, ctl.ManifestFile{Path: fmt.Sprintf("d%d/f%02d", i%3, i)})
	}
	tree := newDraftTree(base, changesOf([]string{"delete d0/f00"}))
	if list, more := tree.root.files("", 29); len(list) != 29 || more || list[0].Path != "d0/f03" {
		t.Errorf("%d files, more %v, first %v", len(list), more, list[0])
	}
	if list, more := tree.root.files("", 28); len(list) != 28 || !more {
		t.Errorf("%d files, more %v", len(list), more)
	}
	if list, more := tree.find("d1").files("d1", 10); len(list) != 10 || more {
		t.Errorf("%d files, more %v", len(list), more)
	}
}

func TestAttack3UploadNames(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, p := range []string{
		"", ".", "..", "../x", "a/../b", "a/..", "/etc/passwd", "a//b", "a/", "./a", `a\b`, `..\..\x`, "a\x00b", "a\nb", "a\rb", "a\x7f", "\x1b[31m",
		"a\u202eb", "a\u0085b", "a\xffb", long, strings.Repeat("d/", 32) + "f", strings.Repeat("abcdefghi/", 101) + "f",
	} {
		if err := checkPath(p); err == nil {
			t.Errorf("%q is taken for a path", clip(p, 80))
		} else if bad, ok := models.AsInvalid(err); !ok || strings.Contains(bad.Message, "\x1b") {
			t.Errorf("%q is refused with %v, which is no sentence", clip(p, 80), err)
		}
	}
	for _, p := range []string{"a", "left4dead2/cfg/server.cfg", "%2e%2e/x", "...", "-rf", "地图/生还者.vpk", " a b ", "a;$(id)", "<img src=x>", strings.Repeat("d/", 31) + "f", long[:255]} {
		if err := checkPath(p); err != nil {
			t.Errorf("%q: %v", clip(p, 80), err)
		}
	}
}

func TestPlacement(t *testing.T) {
	tests := []struct{ dir, name, archives, want string }{
		{"", "x.vpk", "place", "put "},
		{"", "X.VPK", "keep", "put "},
		{"maps", "x.vpk", "place", "put maps/x.vpk"},
		{"", "pack/x.vpk", "place", "put pack/x.vpk"},
		{"", "a.cfg", "place", "put a.cfg"},
		{"cfg", "a.cfg", "here", "put cfg/a.cfg"},
		{"", "a.zip", "place", "unpack "},
		{"", "a.zip", "", "unpack "},
		{"", "a.tar.gz", "here", "unpack ."},
		{"d", "a.7z", "here", "unpack d"},
		{"d", "a.rar", "place", "unpack "},
		{"d", "a.rar", "keep", "put d/a.rar"},
		{"d", "sub/a.zip", "place", "put d/sub/a.zip"},
		{"..", "a", "", "refused"},
		{"", "../a.zip", "", "refused"},
		{"d", "", "", "refused"},
		{"d/", "a", "", "refused"},
	}
	for _, tt := range tests {
		op, target, err := placement(tt.dir, tt.name, tt.archives)
		got := string(op) + " " + target
		if err != nil {
			got = "refused"
		}
		if got != tt.want {
			t.Errorf("%q into %q with %q: %q, want %q", tt.name, tt.dir, tt.archives, got, tt.want)
		}
	}
}
