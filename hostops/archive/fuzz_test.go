package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func FuzzNames(f *testing.F) {
	for _, name := range []string{
		"", ".", "..", "a/b", `a\b`, "./a//b/", "/a", `\a`, "C:a", "c:/a", "a/../b", "a/..", "...", "a.", "a ", "\x00", "a\nb",
		"\xb5\xd8\xcd\xbc.vpk", "Caf\xe9", "地图.vpk", "__MACOSX/._a", "%2e%2e/a", "//a", "~", "a:b", "a\u202eb", strings.Repeat("a/", 40),
	} {
		f.Add([]byte(name))
	}
	f.Fuzz(func(t *testing.T, stored []byte) {
		name, _ := decodeName(raw{name: stored, fallback: cp437})
		if !utf8.ValidString(name) {
			t.Fatalf("%q was decoded to %q", stored, name)
		}
		clean, dir, err := cleanName(name)
		if err != nil {
			if clean != "" || !errors.Is(err, ErrRefused) || !utf8.ValidString(err.Error()) || strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Fatalf("%q gave %q with %v", stored, clean, err)
			}
			return
		}
		if clean == "" {
			if !dir {
				t.Fatalf("%q is a file without a name", stored)
			}
			return
		}
		if !filepath.IsLocal(clean) || path.Clean(clean) != clean || strings.ContainsAny(clean, "\\\x00\n") || len(clean) > maxPath || strings.Count(clean, "/") >= maxDepth {
			t.Fatalf("%q became %q", stored, clean)
		}
		for part := range strings.SplitSeq(clean, "/") {
			if part == "" || part == "." || part == ".." || len(part) > maxName {
				t.Fatalf("%q became %q", stored, clean)
			}
		}
		if again, _, err := cleanName(clean); err != nil || again != clean {
			t.Fatalf("%q became %q, and that %q, %v", stored, clean, again, err)
		}
	})
}

// fuzzUnpack opens and unpacks whatever data is, with small limits, and looks at
// what came out.
func fuzzUnpack(t *testing.T, data []byte) {
	if len(data) > 1<<20 {
		return
	}
	limits := Limits{Members: 50, Size: 1 << 20, Reserve: 1}
	a, err := Open(t.Context(), bytes.NewReader(data), int64(len(data)), limits)
	if err != nil {
		if !errors.Is(err, ErrRefused) {
			t.Fatalf("open: %v", err)
		}
		return
	}
	if len(a.Members) > limits.Members {
		t.Fatalf("%d members", len(a.Members))
	}
	above := t.TempDir()
	dir := filepath.Join(above, "in")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	place, _ := a.Place()
	done, err := a.Unpack(t.Context(), root, place, nil)
	if err != nil && !errors.Is(err, ErrRefused) {
		t.Fatalf("unpack: %v", err)
	}
	total, files := int64(0), 0
	err = filepath.WalkDir(above, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode() != 0o644 || !strings.HasPrefix(p, dir+"/") {
			t.Errorf("%s has mode %s", p, info.Mode())
		}
		total += info.Size()
		files++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if total > limits.Size || files > limits.Members || files < done.Files {
		t.Fatalf("%d files with %d bytes; it says %+v", files, total, done)
	}
}

// seeds are small archives of a format.
func seeds(f *testing.F, format Format) {
	pack := makers[format]
	f.Add(pack(f, []entry{{name: "addons/x.vpk", text: "x"}, {name: "cfg/"}, {name: "cfg/empty"}}))
	f.Add(pack(f, []entry{{name: "a", text: strings.Repeat("abc", 100)}, {name: `b\c`, text: "c", mode: fs.ModeSetuid | 0o777}}))
}

func FuzzZip(f *testing.F) {
	seeds(f, Zip)
	f.Fuzz(fuzzUnpack)
}

func FuzzTar(f *testing.F) {
	seeds(f, Tar)
	seeds(f, TarGzip)
	f.Fuzz(fuzzUnpack)
}

func FuzzRAR(f *testing.F) {
	seeds(f, RAR)
	f.Add([]byte("Rar!\x1a\x07\x01\x00"))
	f.Fuzz(fuzzUnpack)
}

// FuzzSevenZip mends the sums of the header, or nothing would come past them.
func FuzzSevenZip(f *testing.F) {
	seeds(f, SevenZip)
	samples, err := filepath.Glob("testdata/*.7z")
	if err != nil || len(samples) == 0 {
		f.Fatalf("no samples: %v", err)
	}
	for _, name := range samples {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { fuzzUnpack(t, mend7z(data)) })
}

func mend7z(data []byte) []byte {
	if len(data) < 32 {
		return data
	}
	data = bytes.Clone(data)
	offset, size := binary.LittleEndian.Uint64(data[12:]), binary.LittleEndian.Uint64(data[20:])
	rest := uint64(len(data) - 32)
	if offset <= rest && size <= rest-offset {
		binary.LittleEndian.PutUint32(data[28:], crc32.ChecksumIEEE(data[32+offset:32+offset+size]))
	}
	binary.LittleEndian.PutUint32(data[8:], crc32.ChecksumIEEE(data[12:32]))
	return data
}
