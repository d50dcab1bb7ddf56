package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// outside is a folder that no test may change.
func outside(t *testing.T) (dir string, unchanged func()) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.vpk"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, func() {
		t.Helper()
		if got := tree(t, dir); !reflect.DeepEqual(got, map[string]string{"x.vpk": "mine"}) {
			t.Errorf("outside is now %q", got)
		}
	}
}

func TestAttack1LinkPlantedWhereItIsUnpacked(t *testing.T) {
	out, unchanged := outside(t)
	plants := map[string]func(dir string) error{
		"folder": func(dir string) error { return os.Symlink(out, filepath.Join(dir, "addons")) },
		"file": func(dir string) error {
			return errors.Join(os.Mkdir(filepath.Join(dir, "addons"), 0o755), os.Symlink(filepath.Join(out, "x.vpk"), filepath.Join(dir, "addons/x.vpk")))
		},
		"to nothing": func(dir string) error {
			return errors.Join(os.Mkdir(filepath.Join(dir, "addons"), 0o755), os.Symlink(filepath.Join(out, "new"), filepath.Join(dir, "addons/x.vpk")))
		},
		"up": func(dir string) error {
			rel, err := filepath.Rel(dir, out)
			return errors.Join(err, os.Symlink(rel, filepath.Join(dir, "addons")))
		},
	}
	for format, pack := range makers {
		for name, plant := range plants {
			t.Run(fmt.Sprintf("%s/%s", format, name), func(t *testing.T) {
				root, dir := newRoot(t)
				if err := plant(dir); err != nil {
					t.Fatal(err)
				}
				a := mustOpen(t, pack(t, []entry{{name: "addons/x.vpk", text: "theirs"}, {name: "addons/sub/y", text: "y"}}))
				_, err := a.Unpack(t.Context(), root, Place{}, nil)
				if viaFolder := name == "folder" || name == "up"; viaFolder != (err != nil) {
					t.Errorf("got %v", err)
				}
				unchanged()
			})
		}
	}
}

// A folder is swapped for a link to elsewhere, again and again, while files are
// unpacked into it.
func TestAttack2SwapWhileUnpacking(t *testing.T) {
	out, unchanged := outside(t)
	root, dir := newRoot(t)
	var entries []entry
	for i := range 50 {
		entries = append(entries, entry{name: fmt.Sprintf("addons/%d/x.vpk", i%5), text: "theirs"})
		entries[i].name = strings.Replace(entries[i].name, "x.vpk", fmt.Sprintf("x%d.vpk", i), 1)
	}
	a := mustOpen(t, makeZip(t, append(entries, entry{name: "addons/x.vpk", text: "theirs"})))
	stop := make(chan struct{})
	var swapper sync.WaitGroup
	swapper.Go(func() {
		addons, aside := filepath.Join(dir, "addons"), filepath.Join(dir, "aside")
		for {
			select {
			case <-stop:
				return
			default:
			}
			// Each of them fails now and then; that is the race.
			_ = os.Rename(addons, aside)
			_ = os.Symlink(out, addons)
			_ = os.Remove(addons)
			_ = os.Rename(aside, addons)
		}
	})
	for range 40 {
		_, _ = a.Unpack(t.Context(), root, Place{}, nil) // may fail; must not leave
	}
	close(stop)
	swapper.Wait()
	unchanged()
}

func TestAttack3NamesInArchives(t *testing.T) {
	long := strings.Repeat("n", 256)
	names := map[string]string{ // name: what the sentence says; "" for names that are let in
		"../evil":                       "leads out of its folder",
		"a/../../evil":                  "leads out of its folder",
		"a/../b":                        "leads out of its folder",
		`..\evil`:                       "leads out of its folder",
		`a\..\..\evil`:                  "leads out of its folder",
		"..":                            "leads out of its folder",
		"/etc/evil":                     "is an absolute path",
		`\windows\evil`:                 "is an absolute path",
		`\\server\share`:                "is an absolute path",
		"C:/evil":                       "is an absolute path",
		`c:evil`:                        "is an absolute path",
		"a\nb":                          "contains a control character",
		"a\x1b[2Jb":                     "contains a control character",
		"a\u202eb":                      "contains a control character",
		"a./b":                          "ends with a dot or a blank",
		"a /b":                          "ends with a dot or a blank",
		"...":                           "ends with a dot or a blank",
		"b\u00a0":                       "ends with a dot or a blank",
		long:                            "has a name of 256 bytes",
		strings.Repeat("d/", 520) + "f": "a path of ",
		strings.Repeat("d/", 32) + "f":  "lies in more than 32 folders",
		"%2e%2e/x":                      "",
		"-rf":                           "",
		"$(id); x":                      "",
		"地图/Größe.vpk":                  "",
		strings.Repeat("d/", 31) + "f":  "",
	}
	for format, pack := range makers {
		for name, want := range names {
			t.Run(fmt.Sprintf("%s/%.20q", format, name), func(t *testing.T) {
				root, dir := newRoot(t)
				a, err := open(t, pack(t, []entry{{name: "good", text: "g"}, {name: name, text: "x"}}))
				if err == nil {
					_, err = a.Unpack(t.Context(), root, Place{}, nil)
				}
				if want == "" {
					if got, readErr := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != "x" {
						t.Errorf("got %q, %v, %v", got, err, readErr)
					}
					return
				}
				if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v\nwant %q", err, want)
				}
				if err != nil && strings.ContainsAny(err.Error(), "\n\x1b\u202e") {
					t.Errorf("the sentence carries the name's own characters: %q", err.Error())
				}
				if got := tree(t, dir); len(got) > 0 {
					t.Errorf("something was unpacked: %q", got)
				}
			})
		}
	}
}

func TestAttack3NULInNames(t *testing.T) {
	for format, pack := range makers {
		if format == Tar || format == TarGzip || format == SevenZip {
			continue // there a NUL ends the name
		}
		data := pack(t, []entry{{name: "aXb", text: "x"}})
		data = bytes.ReplaceAll(data, []byte("aXb"), []byte("a\x00b"))
		if format == RAR {
			data = editRAR(data, 0x74, func([]byte) {}) // its sum
		}
		a, err := open(t, data)
		if err == nil {
			if format == RAR && a.Members[0].Path == "a" {
				continue // what follows a NUL is the same name in another encoding
			}
			t.Errorf("%s: let in as %q", format, a.Members[0].Path)
		}
	}
}

func TestAttack4LinksAndDevices(t *testing.T) {
	for format, pack := range makers {
		for name, mode := range map[string]fs.FileMode{"a symbolic link": fs.ModeSymlink | 0o777, "a device": fs.ModeDevice | 0o666, "a named pipe": fs.ModeNamedPipe | 0o666} {
			if format == RAR && name != "a symbolic link" {
				continue // it has no others
			}
			t.Run(fmt.Sprintf("%s/%s", format, name), func(t *testing.T) {
				_, err := open(t, pack(t, []entry{{name: "good", text: "g"}, {name: "addons/x.vpk", text: "/etc/passwd", mode: mode}}))
				if want := `"addons/x.vpk" in the archive is ` + name + ": only files and folders are unpacked, so pack it without"; !errors.Is(err, ErrRefused) || err.Error() != want {
					t.Errorf("got %v\nwant %s", err, want)
				}
			})
		}
	}
}

func TestAttack4HardLinkInTar(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}), w.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, b.Bytes()); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), `"x" in the archive is a hard link`) {
		t.Errorf("got %v", err)
	}
}

func TestAttack4SetuidAndModes(t *testing.T) {
	for format, pack := range makers {
		root, dir := newRoot(t)
		a := mustOpen(t, pack(t, []entry{{name: "sh", text: "x", mode: fs.ModeSetuid | fs.ModeSetgid | 0o777}, {name: "none", text: "x", mode: 0o001}}))
		if _, err := a.Unpack(t.Context(), root, Place{}, nil); err != nil {
			t.Fatal(err)
		}
		if got := tree(t, dir); !reflect.DeepEqual(got, map[string]string{"sh": "x", "none": "x"}) {
			t.Errorf("%s: got %q", format, got)
		}
	}
}

func TestAttack4Duplicates(t *testing.T) {
	tests := map[string]struct {
		entries []entry
		want    string // "" when it is let in
	}{
		"file":             {[]entry{{name: "a", text: "1"}, {name: "a", text: "2"}}, "is in the archive twice"},
		"after cleaning":   {[]entry{{name: "d/a", text: "1"}, {name: `./d\\a`, text: "2"}}, "is in the archive twice"},
		"folder":           {[]entry{{name: "d/"}, {name: "d/"}}, "is in the archive twice"},
		"folder then file": {[]entry{{name: "d/"}, {name: "d", text: "1"}}, "as a file and as a folder"},
		"file then folder": {[]entry{{name: "d", text: "1"}, {name: "d/"}}, "as a file and as a folder"},
		"file as parent":   {[]entry{{name: "d", text: "1"}, {name: "d/a", text: "1"}}, "as a file and as a folder"},
		"parent as file":   {[]entry{{name: "d/a", text: "1"}, {name: "d", text: "1"}}, "as a file and as a folder"},
		"other case":       {[]entry{{name: "a", text: "1"}, {name: "A", text: "2"}}, ""},
		"folder later":     {[]entry{{name: "d/a", text: "1"}, {name: "d/"}}, ""},
	}
	for format, pack := range makers {
		for name, tt := range tests {
			t.Run(fmt.Sprintf("%s/%s", format, name), func(t *testing.T) {
				_, err := open(t, pack(t, tt.entries))
				if (tt.want == "") != (err == nil) || err != nil && (!errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("got %v\nwant %q", err, tt.want)
				}
			})
		}
	}
}

// A ZIP of a million files: the list alone must not fill the memory.
func TestAttack4BombOfAMillionFiles(t *testing.T) {
	const files = 1_000_000
	record := make([]byte, 46+6)
	copy(record, "PK\x01\x02")
	binary.LittleEndian.PutUint16(record[28:], 6)
	data := []byte("PK\x03\x04")
	data = append(data, make([]byte, 26)...)
	start := len(data)
	for i := range files {
		copy(record[46:], fmt.Sprintf("%06d", i))
		data = append(data, record...)
	}
	end := make([]byte, 22)
	copy(end, "PK\x05\x06")
	binary.LittleEndian.PutUint16(end[8:], files&0xffff)
	binary.LittleEndian.PutUint16(end[10:], files&0xffff)
	binary.LittleEndian.PutUint32(end[12:], uint32(len(data)-start))
	binary.LittleEndian.PutUint32(end[16:], uint32(start))
	data = append(data, end...)

	refusedCheaply(t, data, 256<<20)
}

// refusedCheaply opens an archive with too many members and looks how much memory
// that took in all, what was freed again included.
func refusedCheaply(t *testing.T, data []byte, most uint64) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := open(t, data)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "the archive has more than 50000 files and folders") {
		t.Errorf("got %v", err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > most {
		t.Errorf("to refuse it took %d MiB", used>>20)
	}
}

func TestAttack4BombOfManyFilesInTar(t *testing.T) {
	one := makeTar(t, []entry{{name: "x"}})[:512]
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	for i := range 60_000 {
		copy(one, fmt.Sprintf("%06d", i))
		sum := 0
		for j, c := range one {
			if j >= 148 && j < 156 {
				c = ' '
			}
			sum += int(c)
		}
		copy(one[148:], fmt.Sprintf("%06o\x00 ", sum))
		if _, err := w.Write(one); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	refusedCheaply(t, b.Bytes(), 256<<20)
}

// Few members can name a great many folders.
func TestAttack4BombOfFolders(t *testing.T) {
	var entries []entry
	for i := range 2000 {
		entries = append(entries, entry{name: fmt.Sprintf("%d/%sf", i, strings.Repeat("d/", 30)), text: "x"})
	}
	refusedCheaply(t, makeZip(t, entries), 256<<20)
}

// bombZip holds n bytes of zeros in one file.
func bombZip(t *testing.T, n int64) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("maps/zeros.bsp")
	if err == nil {
		_, err = io.CopyN(f, zeros{}, n)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestAttack4BombOfSize(t *testing.T) {
	bomb := bombZip(t, 150<<20)
	_, err := open(t, bomb)
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "grows more than 200 times") {
		t.Errorf("got %v", err)
	}

	// One that lies about its size, in the list and beside the content.
	const claimed = 1000
	size := binary.LittleEndian.AppendUint32(nil, 150<<20)
	liar := bytes.ReplaceAll(bomb, size, binary.LittleEndian.AppendUint32(nil, claimed))
	a := mustOpen(t, liar)
	root, dir := newRoot(t)
	_, err = a.Unpack(t.Context(), root, Place{}, nil)
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "damaged or cut off") {
		t.Errorf("got %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "maps/zeros.bsp")); err != nil || info.Size() > 1<<20 {
		t.Errorf("it grew to %v, %v", info, err)
	}

	// The limit counts all files together.
	var entries []entry
	for i := range 11 {
		entries = append(entries, entry{name: fmt.Sprint(i), text: strings.Repeat("x", 100)})
	}
	for format, pack := range makers {
		data := pack(t, entries)
		if _, err := Open(t.Context(), bytes.NewReader(data), int64(len(data)), Limits{Size: 1000}); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "holds more than 1000 bytes") {
			t.Errorf("%s: got %v", format, err)
		}
	}
}

func TestAttack4BombInTar(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	err := w.WriteHeader(&tar.Header{Name: "zeros", Mode: 0o644, Size: 150 << 20, Typeflag: tar.TypeReg})
	if err == nil {
		_, err = io.CopyN(w, zeros{}, 150<<20)
	}
	if err = errors.Join(err, w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, b.Bytes()); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "grows more than 200 times") {
		t.Errorf("got %v", err)
	}
	// Behind its end, where nobody counts files.
	b.Reset()
	z.Reset(&b)
	_, err = z.Write(makeTar(t, []entry{{name: "a", text: "a"}}))
	if err == nil {
		_, err = io.CopyN(z, zeros{}, 10<<20)
	}
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, b.Bytes()); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "something follows its end") {
		t.Errorf("got %v", err)
	}
}

// Headers of a few bytes that ask for any amount of memory.
func TestAttack4MemoryBombIn7z(t *testing.T) {
	coder := func(id string, properties ...byte) []byte {
		c := append([]byte{byte(len(id)) | 0x20}, id...)
		return append(append(c, byte(len(properties))), properties...)
	}
	header := func(coders ...[]byte) []byte {
		h := []byte{idHeader, idMainStreams, idPackInfo, 0, 1, idSize, 1, idEnd, idUnpackInfo, idFolder, 1, 0, byte(len(coders))}
		for _, c := range coders {
			h = append(h, c...)
		}
		for i := range len(coders) - 1 {
			h = append(h, byte(i+1), byte(i))
		}
		h = append(h, idUnpackSize)
		for range coders {
			h = number7z(h, 10<<30)
		}
		h = append(h, idEnd, idSubStreams, idEnd, idEnd, idFiles, 1, idNames, 5, 0, 'a', 0, 0, 0, idEnd, idEnd)
		return append(frame7z([]byte("x"), h), h...)
	}
	files := number7z([]byte{idHeader, idFiles}, math.MaxUint32)
	streams := number7z([]byte{idHeader, idMainStreams, idPackInfo, 0}, math.MaxUint32)
	tests := map[string]struct {
		data []byte
		want string
	}{
		"dictionary of LZMA2":   {header(coder(coderLZMA2, 40)), "of memory to unpack"},
		"dictionary of LZMA":    {header(coder(coderLZMA, 0x5d, 0xff, 0xff, 0xff, 0xff)), "of memory to unpack"},
		"model of PPMd":         {header(coder(coderPPMD, 6, 0xff, 0xff, 0xff, 0xff)), "of memory to unpack"},
		"many dictionaries":     {header(coder(coderLZMA2, 31), coder(coderLZMA2, 31), coder(coderLZMA2, 31)), "of memory to unpack"},
		"Zstandard":             {header(coder("\x04\xf7\x11\x01", 1, 4, 3, 0, 0)), "compressed by a method (04f71101) that cannot be read"},
		"files":                 {append(frame7z(nil, files), files...), "more than 50000 files"},
		"packed streams":        {append(frame7z(nil, streams), streams...), "more than 50000 files"},
		"many coders":           {header(coder(coderCopy, 0), coder(coderCopy, 0), coder(coderCopy, 0), coder(coderCopy, 0), coder(coderCopy, 0), coder(coderCopy, 0), coder(coderCopy, 0), coder(coderCopy, 0), coder(coderCopy, 0)), "damaged or cut off"},
		"list of another place": {frame7z(nil, make([]byte, 33<<20)), "cut off, or the first of several parts"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := open(t, tt.data)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %q", err, tt.want)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
				t.Errorf("to refuse it took %d MiB", used>>20)
			}
		})
	}
}

func TestAttack4BombIn7z(t *testing.T) {
	data := makeSevenZip(t, []entry{{name: "a", text: "x"}})
	// The claim alone is enough: one byte that becomes 10 GiB.
	size := bytes.Index(data, append([]byte{idUnpackSize}, number7z(nil, 1)...))
	if size < 0 {
		t.Fatal("the test's own archive has changed")
	}
	header := bytes.Clone(data[33:])
	binary.LittleEndian.PutUint64(header[size-33+2:], 10<<30)
	_, err := open(t, append(frame7z([]byte("x"), header), header...))
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "grows more than 200 times") {
		t.Errorf("got %v", err)
	}
}

func TestAttack28SizesThatOverflow(t *testing.T) {
	good := makeZip(t, []entry{{name: "a", text: "a"}})
	central := bytes.Index(good, []byte("PK\x01\x02"))
	zip64 := bytes.Clone(good[:central+46+1])
	binary.LittleEndian.PutUint32(zip64[central+24:], math.MaxUint32) // see the extra field
	binary.LittleEndian.PutUint16(zip64[central+30:], 12)
	zip64 = append(zip64, 1, 0, 8, 0)
	zip64 = binary.LittleEndian.AppendUint64(zip64, math.MaxUint64)
	end := bytes.Clone(good[len(good)-22:])
	binary.LittleEndian.PutUint32(end[12:], uint32(len(zip64)-central))
	zip64 = append(zip64, end...)

	negative := makeTar(t, []entry{{name: "a", text: "a"}})
	copy(negative[124:136], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00") // -256
	huge := bytes.Clone(negative)
	copy(huge[124:136], "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff") // 2^63-1
	for _, h := range [][]byte{negative, huge} {
		sum := 0
		for j, c := range h[:512] {
			if j >= 148 && j < 156 {
				c = ' '
			}
			sum += int(c)
		}
		copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	}
	rar := editRAR(makeRAR(t, []entry{{name: "a", text: "a"}}), 0x74, func(b []byte) { copy(b[11:], "\xfe\xff\xff\xff") })

	offsets := frame7z(nil, []byte{1})
	binary.LittleEndian.PutUint64(offsets[12:], math.MaxUint64)
	binary.LittleEndian.PutUint64(offsets[20:], math.MaxUint64-31)

	for name, data := range map[string][]byte{"ZIP": zip64, "tar, negative": negative, "tar, huge": huge, "RAR": rar, "7z": offsets} {
		t.Run(name, func(t *testing.T) {
			a, err := open(t, data)
			if err == nil {
				root, _ := newRoot(t)
				_, err = a.Unpack(t.Context(), root, Place{}, nil)
			}
			if !errors.Is(err, ErrRefused) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A page instead of the file, or a part of it: nothing that is cut off anywhere is
// taken for the whole archive.
func TestAttack30PagesAndCutArchives(t *testing.T) {
	for _, page := range []string{"<!DOCTYPE html><title>Sign in</title>", "HTTP/1.1 404 Not Found\r\n\r\n", `{"error":"gone"}`, "version https://git-lfs.github.com/spec/v1\n"} {
		if _, err := open(t, []byte(page+strings.Repeat(" ", 2000))); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "is no archive") {
			t.Errorf("%q: %v", page, err)
		}
	}
	members := []entry{{name: "maps/a.bsp", text: strings.Repeat("a", 600)}, {name: "maps/b.bsp", text: strings.Repeat("b", 600)}}
	for format, pack := range makers {
		data := pack(t, members)
		step := max(1, len(data)/64)
		if format == Tar {
			step, data = 512, data[:bytes.LastIndexByte(data, 'b')/512*512+512] // what follows is its end
		}
		for n := 0; n <= len(data)-1; n += step {
			root, _ := newRoot(t)
			a, err := open(t, data[:n])
			if err == nil {
				_, err = a.Unpack(t.Context(), root, Place{}, nil)
			}
			if !errors.Is(err, ErrRefused) {
				t.Errorf("%s: the first %d of %d bytes: %v, want a refusal", format, n, len(data), err)
			}
		}
	}
}
