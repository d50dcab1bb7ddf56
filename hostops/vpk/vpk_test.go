package vpk_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"left4me/hostops/charset"
	"left4me/hostops/vpk"
	"left4me/hostops/vpk/vpktest"
)

// check opens data and goes through it.
func check(data []byte, parts vpk.Part) ([]vpk.Entry, error) {
	a, err := vpk.Open(bytes.NewReader(data), int64(len(data)), parts)
	if err != nil {
		return nil, err
	}
	var all []vpk.Entry
	for e, err := range a.Entries() {
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
	return all, nil
}

func paths(entries []vpk.Entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Path)
	}
	return all
}

func wantProblem(t *testing.T, what string, err error, want vpk.Problem) {
	t.Helper()
	var fault *vpk.Fault
	if !errors.As(err, &fault) || fault.Problem != want {
		t.Errorf("%s: error %v (%T), want the problem %s", what, err, err, want)
	}
}

func TestEntriesAndContent(t *testing.T) {
	files := []vpktest.File{
		{Path: "maps/uf1_boulevard.bsp", Data: strings.Repeat("map", 100)},
		{Path: "addoninfo.txt", Data: "\"AddonInfo\"{}", Preload: 5},
		{Path: "README", Data: "all in the tree", Preload: 15},
		{Path: "scripts/vscripts/a.b.nut", Data: ""},
	}
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprintf("version %d", version), func(t *testing.T) {
			data := vpktest.Package{Version: version, Files: files}.Bytes()
			a, err := vpk.Open(bytes.NewReader(data), int64(len(data)), nil)
			if err != nil || a.Version != version {
				t.Fatalf("Open: %+v, %v", a, err)
			}
			i := 0
			for e, err := range a.Entries() {
				if err != nil {
					t.Fatal(err)
				}
				want := files[i]
				i++
				if e.Path != want.Path || e.Size() != int64(len(want.Data)) {
					t.Errorf("entry %d is %q with %d bytes, want %q with %d", i, e.Path, e.Size(), want.Path, len(want.Data))
				}
				if got, err := a.Read(e, 1<<10); err != nil || string(got) != want.Data {
					t.Errorf("%s reads %q, %v; want %q", e.Path, got, err, want.Data)
				}
			}
			if i != len(files) {
				t.Errorf("%d entries, want %d", i, len(files))
			}
		})
	}
}

func TestReadSaysWhatIsWrongWithContent(t *testing.T) {
	data := vpktest.Of("a.txt", "hello")
	data[len(data)-1]++
	entries, err := check(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := vpk.Open(bytes.NewReader(data), int64(len(data)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.Read(entries[0], 5); !errors.Is(err, vpk.ErrChecksum) || string(got) != "hellp" {
		t.Errorf("damaged: %q, %v; want ErrChecksum with the bytes", got, err)
	}
	if _, err := a.Read(entries[0], 4); !errors.Is(err, vpk.ErrLimit) {
		t.Errorf("larger than asked for: %v, want ErrLimit", err)
	}
}

func TestSets(t *testing.T) {
	dir := t.TempDir()
	p := vpktest.Package{Files: []vpktest.File{
		{Path: "maps/a.bsp", Data: "first", Part: 1},
		{Path: "maps/b.bsp", Data: "second", Part: 2, Preload: 2},
		{Path: "maps/c.bsp", Data: "third", Part: 2},
		{Path: "own.txt", Data: "here"},
	}}
	main := filepath.Join(dir, "camp_dir.vpk")
	vpktest.Write(t, main, p.Bytes())
	for i, part := range p.Parts() {
		vpktest.Write(t, filepath.Join(dir, fmt.Sprintf("camp_%03d.vpk", i)), part)
	}
	f, err := vpk.OpenFile(main)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	i := 0
	for e, err := range f.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.Read(e, 100); err != nil || string(got) != p.Files[i].Data {
			t.Errorf("%s reads %q, %v; want %q", e.Path, got, err, p.Files[i].Data)
		}
		i++
	}
	if err := os.Remove(filepath.Join(dir, "camp_001.vpk")); err != nil {
		t.Fatal(err)
	}
	g, err := vpk.OpenFile(main)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	_, err = g.Check()
	wantProblem(t, "a part is gone", err, vpk.MissingPart)
	vpktest.Write(t, filepath.Join(dir, "camp_001.vpk"), []byte("short"))
	h, err := vpk.OpenFile(main)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	_, err = h.Check()
	wantProblem(t, "a part is too short", err, vpk.OutOfBounds)
	_, err = check(p.Bytes(), nil)
	wantProblem(t, "an entry elsewhere in a file without a set", err, vpk.MissingPart)
	denied := errors.New("denied")
	_, err = check(p.Bytes(), func(int) (io.ReaderAt, int64, error) { return nil, 0, denied })
	if !errors.Is(err, denied) {
		t.Errorf("a part that cannot be opened: %v, want %v", err, denied)
	}
}

func TestNamesOfSets(t *testing.T) {
	for path, want := range map[string]string{"a/x_dir.vpk": "a/x", "x_DIR.VPK": "x", "_dir.vpk": "", "x.vpk": "", "dir.vpk": ""} {
		if got, _ := vpk.SetOf(path); got != want {
			t.Errorf("SetOf(%s) = %q, want %q", path, got, want)
		}
	}
	for path, want := range map[string]string{"a/x_000.vpk": "a/x", "x_123.VPK": "x", "x_12.vpk": "", "x_12a.vpk": "", "_000.vpk": "", "x000.vpk": "", "x_dir.vpk": ""} {
		if got, _ := vpk.PartOf(path); got != want {
			t.Errorf("PartOf(%s) = %q, want %q", path, got, want)
		}
	}
	if got := vpk.PartName("a/x", 7); got != "a/x_007.vpk" {
		t.Errorf("PartName: %s", got)
	}
}

func TestOpenFileRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "none.vpk"), "/dev/null"} {
		if f, err := vpk.OpenFile(path); err == nil {
			f.Close()
			t.Errorf("OpenFile(%s) succeeded", path)
		}
	}
}

// put32 is good with the 32-bit number at byte i replaced.
func put32(good []byte, i int, n uint32) []byte {
	bad := bytes.Clone(good)
	binary.LittleEndian.PutUint32(bad[i:], n)
	return bad
}

func mangled(i int, value ...byte) []byte {
	return vpktest.Package{Files: []vpktest.File{{Path: "maps/a.bsp", Data: "0123456789", Mangle: func(e []byte) { copy(e[i:], value) }}}}.Bytes()
}

func TestProblems(t *testing.T) {
	good := vpktest.Of("maps/a.bsp", "0123456789", "b.txt", "hello")
	good2 := vpktest.Package{Version: 2, Files: []vpktest.File{{Path: "a.txt", Data: "hello"}}}.Bytes()
	tests := map[string]struct {
		data []byte
		want vpk.Problem
	}{
		"empty":                    {nil, vpk.Empty},
		"three bytes":              {good[:3], vpk.NoVPK},
		"text":                     {[]byte("hello, this is a text of some length"), vpk.NoVPK},
		"version 0":                {put32(good, 4, 0), vpk.UnknownVersion},
		"version 3":                {put32(good, 4, 3), vpk.UnknownVersion},
		"cut in the header":        {good[:11], vpk.CutOff},
		"cut in the second header": {good2[:20], vpk.CutOff},
		"cut in the tree":          {good[:40], vpk.CutOff},
		"cut in the data of v2":    {good2[:len(good2)-1], vpk.CutOff},
		"tree too short":           {put32(good, 8, 20), vpk.BadTree},
		"tree of nothing":          {put32(good, 8, 0), vpk.BadTree},
		"tree into the data":       {put32(good, 8, uint32(len(good)-12)), vpk.OutOfBounds},
		"no end":                   {vpktest.Package{NoEnd: true, Files: []vpktest.File{{Path: "a.b", Data: "x", Preload: 1}}}.Bytes(), vpk.BadTree},
		"something behind the end": {vpktest.Package{Tail: "\x00x"}.Bytes(), vpk.BadTree},
		"entry without its end":    {mangled(16, 0xFE, 0xFF), vpk.BadTree},
		"long name":                {vpktest.Of(strings.Repeat("n", vpk.MaxName+1), ""), vpk.BadTree},
		"preload over the tree":    {mangled(4, 0xFF, 0xFF), vpk.BadTree},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := check(tt.data, nil)
			wantProblem(t, name, err, tt.want)
		})
	}
}

func TestHarmlessOddities(t *testing.T) {
	for name, data := range map[string][]byte{
		"no entries":            vpktest.Of(),
		"zeros behind the end":  vpktest.Package{Tail: "\x00\x00\x00"}.Bytes(),
		"bytes behind the data": append(vpktest.Of("a.b", "x"), 1, 2, 3),
		"nothing, anywhere":     vpktest.Package{Files: []vpktest.File{{Path: "a.b", Mangle: func(e []byte) { copy(e[6:], "\x05\x00\xff\xff\xff\xff") }}}}.Bytes(),
		"longest name":          vpktest.Of(strings.Repeat("n", vpk.MaxName), ""),
		"the same name twice":   vpktest.Of("a.b", "x", "a.b", "y"),
	} {
		if _, err := check(data, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPassesReadErrorsOn(t *testing.T) {
	data := vpktest.Of("a.txt", "hello")
	gone := errors.New("disk gone")
	for _, from := range []int64{0, 12} {
		a, err := vpk.Open(failing{bytes.NewReader(data), from, gone}, int64(len(data)), nil)
		if err == nil {
			_, err = a.Check()
		}
		if !errors.Is(err, gone) {
			t.Errorf("reading fails from %d on: %v, want %v", from, err, gone)
		}
	}
}

type failing struct {
	io.ReaderAt
	from int64
	err  error
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off >= f.from {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off)
}

func TestEntriesMayBeLeftEarly(t *testing.T) {
	data := vpktest.Of("a.txt", "x", "b.txt", "y")
	a, err := vpk.Open(bytes.NewReader(data), int64(len(data)), nil)
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range a.Entries() {
		if err != nil || e.Path != "a.txt" {
			t.Fatalf("%q, %v", e.Path, err)
		}
		break
	}
}

func TestAttack3NamesInVPK(t *testing.T) {
	tests := map[string]struct {
		raw, want string
		encoding  charset.Encoding
	}{
		"way out":   {"../../etc/passwd", "../../etc/passwd", charset.UTF8},
		"absolute":  {"//etc/passwd", "//etc/passwd", charset.UTF8},
		"backslash": {`maps\..\x.bsp`, `maps\..\x.bsp`, charset.UTF8},
		"newline":   {"maps/a\nb.bsp", "maps/a\nb.bsp", charset.UTF8},
		"escape":    {"maps/\x1b[2J.bsp", "maps/\x1b[2J.bsp", charset.UTF8},
		"GBK":       {"maps/\xb5\xd8\xcd\xbc.bsp", "maps/地图.bsp", charset.GBK},
		"latin-1":   {"maps/caf\xe9.bsp", "maps/café.bsp", charset.Latin1},
		"UTF-8":     {"maps/地图.bsp", "maps/地图.bsp", charset.UTF8},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			entries, err := check(vpktest.Of(tt.raw, "x"), nil)
			if err != nil || len(entries) != 1 {
				t.Fatalf("%d entries, %v", len(entries), err)
			}
			if e := entries[0]; e.Raw != tt.raw || e.Path != tt.want || e.Encoding != tt.encoding {
				t.Errorf("got %q as %q (%s), want %q (%s)", e.Raw, e.Path, e.Encoding, tt.want, tt.encoding)
			}
		})
	}
}

func TestAttack4BombOfEntries(t *testing.T) {
	data := vpktest.Many(vpk.MaxEntries)
	if n, err := mustOpen(t, data).Check(); err != nil || n != vpk.MaxEntries {
		t.Errorf("the most entries: %d, %v", n, err)
	}
	n, err := mustOpen(t, vpktest.Many(vpk.MaxEntries+1)).Check()
	wantProblem(t, "one more", err, vpk.TooMany)
	if n != vpk.MaxEntries {
		t.Errorf("it went on for %d entries", n)
	}
	// Folders without entries cost time as well.
	folders := append([]byte("e\x00"), bytes.Repeat([]byte("d\x00\x00"), 3*vpk.MaxEntries)...)
	header := vpktest.Of()[:12]
	_, err = mustOpen(t, append(put32(header, 8, uint32(len(folders))), folders...)).Check()
	wantProblem(t, "folders of nothing", err, vpk.TooMany)
	// A directory that is too long is not even begun.
	_, err = vpk.Open(bytes.NewReader(put32(header, 8, vpk.MaxTree+1)), 1<<40, nil)
	wantProblem(t, "a directory of 64 MB", err, vpk.TooMany)
}

func mustOpen(t *testing.T, data []byte) *vpk.Archive {
	t.Helper()
	a, err := vpk.Open(bytes.NewReader(data), int64(len(data)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAttack28OverflowInVPK(t *testing.T) {
	const most = "\xff\xff\xff\xff"
	tests := map[string]struct {
		data []byte
		want vpk.Problem
	}{
		"tree of 4 GB":             {put32(vpktest.Of("a.b", "x"), 8, 0xFFFFFFFF), vpk.CutOff},
		"every size of v2":         {append(append([]byte("\x34\x12\xaa\x55\x02\x00\x00\x00"), bytes.Repeat([]byte{0xFF}, 20)...), make([]byte, 64)...), vpk.CutOff},
		"offset":                   {mangled(8, []byte(most)...), vpk.OutOfBounds},
		"length":                   {mangled(12, []byte(most)...), vpk.OutOfBounds},
		"offset and length":        {mangled(8, []byte(most+most)...), vpk.OutOfBounds},
		"one byte behind":          {mangled(12, 11), vpk.OutOfBounds},
		"a sum of 2^32":            {mangled(8, 0x01, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF), vpk.OutOfBounds},
		"part 32766 of a lone one": {mangled(6, 0xFE, 0x7F), vpk.MissingPart},
		"part 65535":               {mangled(6, 0xFF, 0xFF), vpk.MissingPart},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := check(tt.data, nil)
			wantProblem(t, name, err, tt.want)
		})
	}
}

func TestAttack30Disguised(t *testing.T) {
	for first, want := range map[string]string{
		"PK\x03\x04rest of the archive":                    "it is a ZIP archive",
		"Rar!\x1a\x07\x01\x00 and more":                    "it is a RAR archive",
		"7z\xbc\xaf\x27\x1c\x00\x04":                       "it is a 7z archive",
		"\x1f\x8b\x08\x00":                                 "it is a gzip archive",
		"<!DOCTYPE html><html><title>Sign in":              "it is a web page",
		"\xef\xbb\xbf \r\n<HTML lang=\"en\">":              "it is a web page",
		"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR":              "it is a PNG picture",
		"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00": "it is a JPEG picture",
		"VBSP\x15\x00\x00\x00":                             "it is a map (.bsp)",
	} {
		_, err := check([]byte(first), nil)
		wantProblem(t, want, err, vpk.Disguised)
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", first, err, want)
		}
	}
}

// Whatever is missing of a file must show, but for what lies behind all content.
func TestAttack30Truncated(t *testing.T) {
	data := vpktest.Of("maps/a.bsp", "0123456789", "missions/a.txt", "\"mission\"{}")
	for n := range len(data) {
		if entries, err := check(data[:n], nil); err == nil {
			t.Errorf("cut to %d of %d bytes it passes with %q", n, len(data), paths(entries))
		}
	}
}

// counting counts the bytes that are read.
type counting struct {
	io.ReaderAt
	bytes int64
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.bytes += int64(n)
	return n, err
}

// A campaign of gigabytes must not be read to be checked, nor held.
func TestCheckReadsTheDirectoryOnly(t *testing.T) {
	const size = 3 << 30
	f, err := os.Create(filepath.Join(t.TempDir(), "big.vpk"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	many := vpktest.Many(200_000)
	if _, err := f.Write(many); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil { // sparse
		t.Fatal(err)
	}
	c := &counting{ReaderAt: f}
	a, err := vpk.Open(c, size, nil)
	if err != nil {
		t.Fatal(err)
	}
	n, held := 0, uint64(0)
	for _, err := range a.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n%20_000 == 0 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			held = max(held, m.HeapAlloc)
		}
	}
	if n != 200_000 || c.bytes > int64(len(many))+1<<20 {
		t.Errorf("%d entries; %d bytes were read, and the directory has %d", n, c.bytes, len(many))
	}
	if held > uint64(len(many))+8<<20 { // the test itself holds the directory
		t.Errorf("%d MB are held, of which the test's own are %d", held>>20, len(many)>>20)
	}
}

func FuzzVPK(f *testing.F) {
	f.Add(vpktest.Of())
	f.Add(vpktest.Of("maps/a.bsp", "0123456789", "missions/a.txt", "x"))
	f.Add(vpktest.Package{Version: 2, Files: []vpktest.File{{Path: "a.txt", Data: "hello", Preload: 2}}}.Bytes())
	f.Add(vpktest.Package{Files: []vpktest.File{{Path: "a.txt", Data: "hello", Part: 1}}}.Bytes())
	f.Add(mangled(4, 0xFF, 0xFF))
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(t *testing.T, data []byte) {
		part := bytes.NewReader([]byte("the first part"))
		a, err := vpk.Open(bytes.NewReader(data), int64(len(data)), func(n int) (io.ReaderAt, int64, error) {
			if n == 0 {
				return part, part.Size(), nil
			}
			return nil, 0, os.ErrNotExist
		})
		seen := 0
		if err == nil {
			for e, wrong := range a.Entries() {
				if wrong != nil {
					err = wrong
					break
				}
				seen++
				if strings.ToValidUTF8(e.Path, "") != e.Path {
					t.Fatalf("%q reads as %q, which is no UTF-8", e.Raw, e.Path)
				}
				// What passed the check can be read, whole.
				r, err := a.Content(e)
				if err != nil {
					t.Fatalf("%q: %v", e.Raw, err)
				}
				if n, err := io.Copy(io.Discard, r); err != nil || n != e.Size() {
					t.Fatalf("%q: %d of %d bytes, %v", e.Raw, n, e.Size(), err)
				}
				if seen == 1000 { // enough of reading
					return
				}
			}
		}
		var fault *vpk.Fault
		if err != nil && !errors.As(err, &fault) {
			t.Fatalf("%v (%T) is no fault of the file", err, err)
		}
		if problems := []vpk.Problem{
			vpk.Empty, vpk.Disguised, vpk.NoVPK, vpk.UnknownVersion, vpk.CutOff, vpk.BadTree, vpk.OutOfBounds, vpk.TooMany, vpk.MissingPart,
		}; fault != nil && (!slices.Contains(problems, fault.Problem) || fault.Detail == "") {
			t.Fatalf("unknown problem %q (%s)", fault.Problem, fault.Detail)
		}
	})
}
