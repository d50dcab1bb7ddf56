package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func open(t testing.TB, data []byte) (*Archive, error) {
	t.Helper()
	return Open(t.Context(), bytes.NewReader(data), int64(len(data)), Limits{Reserve: 1})
}

func mustOpen(t testing.TB, data []byte) *Archive {
	t.Helper()
	a, err := open(t, data)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newRoot(t testing.TB) (*os.Root, string) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root, dir
}

// tree is everything below dir: a folder's name ends with a slash, a file is its
// content.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		switch {
		case d.IsDir() && info.Mode().Perm() == 0o755:
			found[rel+"/"] = ""
		case info.Mode() == 0o644:
			data, err := os.ReadFile(p)
			found[rel] = string(data)
			return err
		default:
			found[rel] = info.Mode().String()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestEveryFormatUnpacksTheSame(t *testing.T) {
	entries := []entry{
		{name: "pack/"},
		{name: "pack/addons/"},
		{name: "pack/addons/x.vpk", text: "x"},
		{name: `pack\maps\b.bsp`, text: strings.Repeat("map", 1000)},
		{name: "pack/addons/empty.txt"},
		{name: "__MACOSX/pack/._x", text: "junk"},
		{name: "pack/addons/.DS_Store", text: "junk"},
		{name: "pack/set.so", text: "elf", mode: fs.ModeSetuid | 0o777},
		{name: "pack/left/"},
	}
	want := map[string]string{
		"pack/": "", "pack/addons/": "", "pack/addons/x.vpk": "x", "pack/addons/empty.txt": "",
		"pack/maps/": "", "pack/maps/b.bsp": strings.Repeat("map", 1000), "pack/set.so": "elf", "pack/left/": "",
	}
	for format, pack := range makers {
		t.Run(string(format), func(t *testing.T) {
			a := mustOpen(t, pack(t, entries))
			if a.Format != format || a.Size != 3004 {
				t.Errorf("format %s of %d bytes", a.Format, a.Size)
			}
			root, dir := newRoot(t)
			var last int64
			done, err := a.Unpack(t.Context(), root, Place{}, func(n int64) { last = n })
			if err != nil {
				t.Fatal(err)
			}
			if got := tree(t, dir); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			if done.Files != 4 || done.Size != 3004 || last != 3004 {
				t.Errorf("done %+v, told of %d bytes", done, last)
			}
			if !slices.Contains(a.Notices, "2 files that macOS or Windows had put into the archive were left out") {
				t.Errorf("notices %q", a.Notices)
			}
			if _, err := a.Unpack(t.Context(), root, Place{}, nil); err != nil {
				t.Errorf("the same again: %v", err)
			}
		})
	}
}

// The samples were packed by 7-Zip 26 from the same four files.
func TestSevenZipOf7Zip(t *testing.T) {
	for _, name := range []string{"lzma", "lzma2", "bcj", "bcj2", "ppmd", "bzip2", "deflate", "copy"} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile("testdata/" + name + ".7z")
			if err != nil {
				t.Fatal(err)
			}
			a := mustOpen(t, data)
			root, dir := newRoot(t)
			if _, err := a.Unpack(t.Context(), root, Place{}, nil); err != nil {
				t.Fatal(err)
			}
			got := tree(t, dir)
			plugin := got["pack/addons/plug.so"]
			if len(plugin) != 4+16*300 || !strings.HasPrefix(plugin, "\x7fELF\xe8") || plugin[4+16*299:7+16*299] != "\xe8\x25\x21" {
				t.Errorf("the plug-in has %d bytes", len(plugin))
			}
			delete(got, "pack/addons/plug.so")
			want := map[string]string{
				"pack/": "", "pack/addons/": "", "pack/addons/empty folder/": "", "pack/addons/empty.txt": "", "pack/cfg/": "",
				"pack/cfg/server.cfg": "sv_alltalk 1\n",
				"pack/addons/地图.vpk":  "\x34\x12\xaa\x55\x01\x00\x00\x00" + strings.Repeat("map", 500),
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			// Cut anywhere, it is refused or damaged, and never more than that.
			for n := range len(data) {
				short, err := open(t, data[:n])
				if err == nil {
					root, _ := newRoot(t)
					_, err = short.Unpack(t.Context(), root, Place{}, nil)
				}
				if !errors.Is(err, ErrRefused) {
					t.Fatalf("the first %d bytes: %v", n, err)
				}
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	sample := func(name string) []byte {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	good := makeZip(t, []entry{{name: "a", text: "a"}})
	part := bytes.Clone(good)
	part[len(part)-22+4] = 1
	encrypted := bytes.Clone(good)
	encrypted[bytes.Index(good, []byte("PK\x01\x02"))+8] |= 1
	parts := makeRAR(t, []entry{{name: "a", text: "a"}})
	parts = setRARFlag(setRARFlag(setRARFlag(parts, 0x73, 0x0001), 0x74, 0x0002), 0x7b, 0x0001)
	locked := setRARFlag(makeRAR(t, []entry{{name: "a", text: "a"}}), 0x74, 0x0004)
	tests := map[string]struct {
		data []byte
		want string
	}{
		"nothing":             {nil, "the file is no archive that can be read: pack it as ZIP, 7z, RAR or tar.gz"},
		"a text":              {[]byte("hello"), "the file is no archive"},
		"a VPK":               {[]byte("\x34\x12\xaa\x55rest"), "the file is a VPK and no archive: put it into left4dead2/addons as it is"},
		"xz":                  {[]byte("\xfd7zXZ\x00rest"), "xz files cannot be unpacked here: pack it as ZIP, 7z or tar.gz"},
		"a single gzip":       {[]byte("\x1f\x8b\x08\x00rest"), "gzip files cannot be unpacked here"},
		"empty ZIP":           {makeZip(t, nil), "the archive is empty"},
		"empty tar":           {makeTarGzip(t, nil), "gzip files cannot be unpacked here"},
		"empty 7z":            {frame7z(nil, nil), "the archive is empty"},
		"first part of ZIP":   {[]byte("PK\x07\x08PK\x03\x04"), "the archive is one part of several"},
		"last part of ZIP":    {part, "the archive is the last part of several"},
		"ZIP with password":   {encrypted, `"a" in the archive is encrypted: pack it again without a password`},
		"7z with password":    {sample("password.7z"), "the archive is encrypted: pack it again without a password"},
		"7z with hidden list": {sample("password_names.7z"), "the archive is encrypted"},
		"RAR with password":   {locked, "encrypted: pack it again without a password"},
		"part of RAR":         {parts, "the archive is one part of several"},
		"cut ZIP":             {good[:len(good)-10], "the archive is damaged or cut off"},
		"only a signature":    {[]byte("7z\xbc\xaf\x27\x1c"), "the archive is damaged or cut off"},
		"only a RAR's":        {[]byte("Rar!\x1a\x07\x00"), "the archive is damaged or cut off"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a, err := open(t, tt.data)
			if err == nil && name == "part of RAR" { // only its end says that more follows
				root, _ := newRoot(t)
				_, err = a.Unpack(t.Context(), root, Place{}, nil)
			}
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %q", err, tt.want)
			}
		})
	}
}

func TestDamagedMembers(t *testing.T) {
	random := make([]byte, 4<<10)
	if _, err := rand.NewChaCha8([32]byte{}).Read(random); err != nil {
		t.Fatal(err)
	}
	text := string(random)
	for format, pack := range makers {
		if format == Tar || format == SevenZip {
			continue // a tar has no sums, and our test's 7z has none
		}
		t.Run(string(format), func(t *testing.T) {
			data := pack(t, []entry{{name: "maps/a.bsp", text: text}})
			data[len(data)/2] ^= 0xff
			a, err := open(t, data)
			if err == nil {
				root, _ := newRoot(t)
				_, err = a.Unpack(t.Context(), root, Place{}, nil)
			}
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "damaged or cut off") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestZipNamesWithoutUTF8(t *testing.T) {
	raw := func(name string) []byte {
		data := makeZip(t, []entry{{name: strings.Repeat("x", len(name)), text: "t"}})
		data = bytes.ReplaceAll(data, bytes.Repeat([]byte("x"), len(name)), []byte(name))
		return data
	}
	tests := map[string]struct{ name, want, notice string }{
		"UTF-8": {"Größe.vpk", "Größe.vpk", ""},
		"GBK":   {"\xb5\xd8\xcd\xbc.vpk", "地图.vpk", "1 name of the archive did not say how they are written and were read as GBK"},
		"CP437": {"Gr\x94\xe1e.vpk", "Größe.vpk", "1 name of the archive did not say how they are written and were read as CP437"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := mustOpen(t, raw(tt.name))
			if a.Members[0].Path != tt.want || strings.Join(a.Notices, "|") != tt.notice {
				t.Errorf("got %q, %q", a.Members[0].Path, a.Notices)
			}
		})
	}
}

func TestUnpackReplacesAndKeepsOtherNames(t *testing.T) {
	root, dir := newRoot(t)
	published := filepath.Join(t.TempDir(), "published")
	if err := os.WriteFile(published, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "cfg"), 0o755), os.Link(published, filepath.Join(dir, "cfg/a.cfg"))); err != nil {
		t.Fatal(err)
	}
	a := mustOpen(t, makeZip(t, []entry{{name: "cfg/a.cfg", text: "new"}}))
	if _, err := a.Unpack(t.Context(), root, Place{}, nil); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(filepath.Join(dir, "cfg/a.cfg"))
	old, _ := os.ReadFile(published)
	if string(got) != "new" || string(old) != "old" {
		t.Errorf("the file is %q, its other name %q", got, old)
	}
	for _, e := range []entry{{name: "cfg", text: "x"}, {name: "cfg/a.cfg/b", text: "x"}, {name: "cfg/a.cfg/"}} {
		a := mustOpen(t, makeZip(t, []entry{e}))
		if _, err := a.Unpack(t.Context(), root, Place{}, nil); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "move one of them away") {
			t.Errorf("%s: %v", e.name, err)
		}
	}
}

func TestUnpackInPlace(t *testing.T) {
	entries := []entry{{name: "My Pack/"}, {name: "My Pack/addons/x.vpk", text: "x"}, {name: "My Pack/readme.txt", text: "r"}, {name: "My Pack/addons/y.VPK", text: "y"}}
	tests := map[string]struct {
		place Place
		want  map[string]string
		left  string
	}{
		"as it is":  {Place{}, map[string]string{"My Pack/": "", "My Pack/addons/": "", "My Pack/addons/x.vpk": "x", "My Pack/addons/y.VPK": "y", "My Pack/readme.txt": "r"}, ""},
		"in folder": {Place{Folder: "left4dead2", Strip: 1}, map[string]string{"left4dead2/": "", "left4dead2/addons/": "", "left4dead2/addons/x.vpk": "x", "left4dead2/addons/y.VPK": "y", "left4dead2/readme.txt": "r"}, ""},
		"flat":      {Place{Folder: "left4dead2/addons", Flat: true}, map[string]string{"left4dead2/": "", "left4dead2/addons/": "", "left4dead2/addons/x.vpk": "x", "left4dead2/addons/y.VPK": "y"}, "My Pack/readme.txt"},
	}
	for format, pack := range makers {
		for name, tt := range tests {
			t.Run(fmt.Sprintf("%s/%s", format, name), func(t *testing.T) {
				root, dir := newRoot(t)
				done, err := mustOpen(t, pack(t, entries)).Unpack(t.Context(), root, tt.place, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got := tree(t, dir); !reflect.DeepEqual(got, tt.want) || done.LeftOutText() != tt.left {
					t.Errorf("got %q, left out %q", got, done.LeftOut)
				}
			})
		}
	}
	twice := mustOpen(t, makeZip(t, []entry{{name: "a/x.vpk", text: "1"}, {name: "b/x.vpk", text: "2"}}))
	root, _ := newRoot(t)
	if _, err := twice.Unpack(t.Context(), root, Place{Folder: "addons", Flat: true}, nil); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), `are called "x.vpk"`) {
		t.Errorf("got %v", err)
	}
}

func TestSuggest(t *testing.T) {
	tests := map[string]struct {
		files string
		want  Place
		ok    bool
	}{
		"whole tree":          {"left4dead2/addons/x.vpk left4dead2/cfg/server.cfg", Place{}, true},
		"a DLC":               {"left4dead2_dlc3/maps/x.bsp", Place{}, true},
		"inside left4dead2":   {"addons/sourcemod/plugins/x.smx cfg/sourcemod.cfg", Place{Folder: "left4dead2"}, true},
		"maps":                {"maps/a.bsp", Place{Folder: "left4dead2"}, true},
		"one add-on":          {"x.vpk", Place{Folder: "left4dead2/addons", Flat: true}, true},
		"add-ons anywhere":    {"My Map/part 1/a.VPK My Map/part 2/b.vpk My Map/Read Me.TXT My Map/a.jpg", Place{Folder: "left4dead2/addons", Flat: true}, true},
		"add-ons in addons":   {"addons/x.vpk addons/y.vpk", Place{Folder: "left4dead2"}, true},
		"one folder around":   {"Pack v2/left4dead2/addons/x.smx Pack v2/readme.txt", Place{Strip: 1}, true},
		"around game files":   {"Pack v2/addons/x.smx Pack v2/cfg/a.cfg", Place{Folder: "left4dead2", Strip: 1}, true},
		"two folders around":  {"a/b/addons/x.smx", Place{}, false},
		"only a read-me":      {"readme.txt", Place{}, false},
		"something else":      {"x.smx y.cfg", Place{}, false},
		"a file by that name": {"addons", Place{}, false},
		"nothing":             {"", Place{}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var files []string
			for _, f := range strings.SplitAfter(tt.files, " ") {
				files = append(files, strings.TrimSpace(f))
			}
			if strings.Contains(tt.files, "My ") || strings.Contains(tt.files, "Pack") { // names with blanks
				files = splitNames(tt.files)
			}
			if got, ok := Suggest(files); got != tt.want || ok != tt.ok {
				t.Errorf("Suggest(%q) = %+v, %v; want %+v", files, got, ok, tt.want)
			}
		})
	}
}

// splitNames cuts behind each extension.
func splitNames(text string) []string {
	var files []string
	for text != "" {
		dot := strings.IndexByte(text, '.')
		end := strings.IndexByte(text[dot:], ' ')
		if end < 0 {
			return append(files, text)
		}
		files, text = append(files, text[:dot+end]), text[dot+end+1:]
	}
	return files
}

func TestCancel(t *testing.T) {
	why := errors.New("the operator went home")
	for format, pack := range makers {
		t.Run(string(format), func(t *testing.T) {
			data := pack(t, []entry{{name: "a", text: strings.Repeat("x", 1<<20)}, {name: "b", text: "b"}})
			a := mustOpen(t, data)
			ctx, cancel := context.WithCancelCause(t.Context())
			root, dir := newRoot(t)
			_, err := a.Unpack(ctx, root, Place{}, func(int64) { cancel(why) })
			if !errors.Is(err, why) {
				t.Errorf("got %v", err)
			}
			if _, err := os.Lstat(filepath.Join(dir, "b")); err == nil {
				t.Error("it went on after the cancel")
			}
			if _, err := Open(ctx, bytes.NewReader(data), int64(len(data)), Limits{}); !errors.Is(err, why) {
				t.Errorf("open with a cancelled context: %v", err)
			}
		})
	}
}

func TestNoRoom(t *testing.T) {
	data := makeZip(t, []entry{{name: "a", text: "a"}})
	a, err := Open(t.Context(), bytes.NewReader(data), int64(len(data)), Limits{Reserve: 1 << 60})
	if err != nil {
		t.Fatal(err)
	}
	root, dir := newRoot(t)
	_, err = a.Unpack(t.Context(), root, Place{}, nil)
	if !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), "make room and try again") || len(tree(t, dir)) > 0 {
		t.Errorf("got %v, %q", err, tree(t, dir))
	}
}

// A disk that fails is not the archive's fault.
func TestReadErrorsAreNoRefusal(t *testing.T) {
	broken := errors.New("input/output error")
	for format, pack := range makers {
		t.Run(string(format), func(t *testing.T) {
			data := pack(t, []entry{{name: "a", text: strings.Repeat("abcdefg", 40000)}})
			r := &failing{r: bytes.NewReader(data), err: broken, after: 1}
			if _, err := Open(t.Context(), r, int64(len(data)), Limits{}); !errors.Is(err, broken) || errors.Is(err, ErrRefused) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// failing reads the beginning so often, and then nothing more.
type failing struct {
	r     io.ReaderAt
	err   error
	after int
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.after--; f.after < 0 {
		return 0, f.err
	}
	return f.r.ReadAt(p, off)
}

// setRARFlag sets a flag of the first block of a kind and mends the block's sum.
func setRARFlag(data []byte, kind byte, flag uint16) []byte {
	return editRAR(data, kind, func(block []byte) {
		block[3] |= byte(flag)
		block[4] |= byte(flag >> 8)
	})
}
