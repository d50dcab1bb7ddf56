// Package vpktest writes VPKs for tests: good ones, and ones with any field wrong.
package vpktest

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path"
	"strings"
	"testing"
)

// File is an entry.
type File struct {
	Path    string // "maps/x.bsp"
	Data    string
	Preload int // how many bytes of Data stand in the tree
	Part    int // 0: in the file itself; n: in part n-1 of the set
	// Mangle changes the 18 bytes of the entry before they are written.
	Mangle func(entry []byte)
}

// Package is what to write.
type Package struct {
	Version int // 0 is 1
	Files   []File
	Tail    string // behind the tree's end, counted as part of it
	NoEnd   bool   // leaves the tree's last terminator out
}

// Of is a package of version 1 of these files, path and content in turn.
func Of(files ...string) []byte {
	p := Package{}
	for i := 0; i+1 < len(files); i += 2 {
		p.Files = append(p.Files, File{Path: files[i], Data: files[i+1]})
	}
	return p.Bytes()
}

// Bytes is the package, or the directory of a set.
func (p Package) Bytes() []byte {
	main, _ := p.build()
	return main
}

// Parts are the other files of a set.
func (p Package) Parts() [][]byte {
	_, parts := p.build()
	return parts
}

func (p Package) build() (main []byte, parts [][]byte) {
	tree, data := &bytes.Buffer{}, &bytes.Buffer{}
	for _, f := range p.Files {
		dir, name, ext := split(f.Path)
		rest := f.Data[f.Preload:]
		entry := make([]byte, 18)
		binary.LittleEndian.PutUint32(entry[0:], crc32.ChecksumIEEE([]byte(f.Data)))
		binary.LittleEndian.PutUint16(entry[4:], uint16(f.Preload))
		binary.LittleEndian.PutUint16(entry[16:], 0xFFFF)
		binary.LittleEndian.PutUint32(entry[12:], uint32(len(rest)))
		if f.Part == 0 {
			binary.LittleEndian.PutUint16(entry[6:], 0x7FFF)
			binary.LittleEndian.PutUint32(entry[8:], uint32(data.Len()))
			data.WriteString(rest)
		} else {
			for len(parts) < f.Part {
				parts = append(parts, nil)
			}
			at := &parts[f.Part-1]
			binary.LittleEndian.PutUint16(entry[6:], uint16(f.Part-1))
			binary.LittleEndian.PutUint32(entry[8:], uint32(len(*at)))
			*at = append(*at, rest...)
		}
		if f.Mangle != nil {
			f.Mangle(entry)
		}
		// A group of its own for each entry: the format allows it, and order stays.
		tree.WriteString(ext + "\x00" + dir + "\x00" + name + "\x00")
		tree.Write(entry)
		tree.WriteString(f.Data[:f.Preload] + "\x00\x00")
	}
	if !p.NoEnd {
		tree.WriteByte(0)
	}
	tree.WriteString(p.Tail)
	version := max(p.Version, 1)
	header := binary.LittleEndian.AppendUint32(nil, 0x55AA1234)
	header = binary.LittleEndian.AppendUint32(header, uint32(version))
	header = binary.LittleEndian.AppendUint32(header, uint32(tree.Len()))
	if version == 2 {
		for _, n := range []int{data.Len(), 0, 48, 0} {
			header = binary.LittleEndian.AppendUint32(header, uint32(n))
		}
		data.Write(make([]byte, 48))
	}
	return append(append(header, tree.Bytes()...), data.Bytes()...), parts
}

func split(p string) (dir, name, ext string) {
	dir, name, ext = " ", p, " "
	if d, base := path.Split(p); d != "" {
		dir, name = strings.TrimSuffix(d, "/"), base
	}
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		name, ext = name[:i], name[i+1:]
	}
	return dir, name, ext
}

// Many is a package of n empty entries.
func Many(n int) []byte {
	tree := []byte("vmt\x00m\x00")
	entry := make([]byte, 18)
	binary.LittleEndian.PutUint16(entry[6:], 0x7FFF)
	binary.LittleEndian.PutUint16(entry[16:], 0xFFFF)
	for i := range n {
		for ; i > 0; i /= 26 {
			tree = append(tree, byte('a'+i%26))
		}
		tree = append(append(tree, '_', 0), entry...)
	}
	tree = append(tree, 0, 0, 0)
	header := binary.LittleEndian.AppendUint32(nil, 0x55AA1234)
	header = binary.LittleEndian.AppendUint32(header, 1)
	header = binary.LittleEndian.AppendUint32(header, uint32(len(tree)))
	return append(header, tree...)
}

// Write puts data at file.
func Write(t testing.TB, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
