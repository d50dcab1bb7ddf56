package steamsim

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// The VPK format, little endian: a header (magic, version, length of the tree;
// version 2 has four more lengths), the tree, the data. The tree is extension\0,
// folder\0 (" " is the root), name\0, entry; an empty string closes each level.
const (
	vpkMagic    = 0x55AA1234
	vpkHere     = 0x7FFF // archive index: the data is in this file, behind the tree
	vpkEntryEnd = 0xFFFF
	// vpkMaxEntries is how many entries the engine takes; it mounts nothing of a
	// file with more, and says nothing.
	vpkMaxEntries = 220_000
)

// packed is one file to be packed.
type packed struct {
	path    string
	content *blob
	archive uint16 // 0: in the file itself; n: in part n-1, which does not exist
	offset  uint32 // added to where the data is: a lie for tests
}

// literal is a packed file whose content is given.
func literal(name, content string) packed {
	b := new(blob)
	b.add([]byte(content))
	return packed{path: name, content: b}
}

// vpkPath splits a path the way the tree does.
func vpkPath(name string) (ext, dir, base string) {
	dir, base = path.Split(name)
	if dir = strings.TrimSuffix(dir, "/"); dir == "" {
		dir = " "
	}
	if i := strings.LastIndexByte(base, '.'); i >= 0 {
		base, ext = base[:i], base[i+1:]
	} else {
		ext = " "
	}
	return ext, dir, base
}

// packVPK makes a VPK of version 1 or 2.
func packVPK(version uint32, files []packed) *blob {
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b packed) int {
		ea, da, _ := vpkPath(a.path)
		eb, db, _ := vpkPath(b.path)
		if c := strings.Compare(ea, eb); c != 0 {
			return c
		}
		return strings.Compare(da, db)
	})
	var tree bytes.Buffer
	data := new(blob)
	var lastExt, lastDir string
	for i, f := range files {
		ext, dir, base := vpkPath(f.path)
		if i > 0 && (ext != lastExt || dir != lastDir) {
			tree.WriteByte(0)
			if ext != lastExt {
				tree.WriteByte(0)
			}
		}
		if i == 0 || ext != lastExt {
			tree.WriteString(ext + "\x00")
		}
		if i == 0 || ext != lastExt || dir != lastDir {
			tree.WriteString(dir + "\x00")
		}
		tree.WriteString(base + "\x00")
		var e [18]byte
		binary.LittleEndian.PutUint32(e[0:], f.content.crc())
		index := uint16(vpkHere)
		if f.archive > 0 {
			index = f.archive - 1
		}
		binary.LittleEndian.PutUint16(e[6:], index)
		binary.LittleEndian.PutUint32(e[8:], uint32(data.size)+f.offset)
		binary.LittleEndian.PutUint32(e[12:], uint32(f.content.size))
		binary.LittleEndian.PutUint16(e[16:], vpkEntryEnd)
		tree.Write(e[:])
		if f.archive == 0 {
			data.addBlob(f.content)
		}
		lastExt, lastDir = ext, dir
	}
	if len(files) > 0 {
		tree.Write([]byte{0, 0})
	}
	tree.WriteByte(0)

	head := binary.LittleEndian.AppendUint32(nil, vpkMagic)
	head = binary.LittleEndian.AppendUint32(head, version)
	head = binary.LittleEndian.AppendUint32(head, uint32(tree.Len()))
	if version == 2 { // no checksums: the game does not ask for them in add-ons
		head = binary.LittleEndian.AppendUint32(head, uint32(data.size))
		head = append(head, make([]byte, 12)...)
	}
	out := new(blob)
	out.add(append(head, tree.Bytes()...))
	out.addBlob(data)
	return out
}

var errNotVPK = errors.New("not a VPK")

// listVPK returns the paths in a VPK as the engine sees them: in lower case. It
// is errNotVPK for what the engine crashes on. A file with more entries than it
// takes has none.
func listVPK(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var head [28]byte
	n, err := io.ReadFull(f, head[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errNotVPK
	}
	version := binary.LittleEndian.Uint32(head[4:])
	size := int64(binary.LittleEndian.Uint32(head[8:]))
	start := int64(12)
	if version == 2 {
		start = 28
	}
	if n < 12 || binary.LittleEndian.Uint32(head[:]) != vpkMagic || version < 1 || version > 2 || start+size > st.Size() {
		return nil, errNotVPK
	}
	return listTree(bufio.NewReader(io.NewSectionReader(f, start, size)))
}

func listTree(r *bufio.Reader) ([]string, error) {
	var out []string
	entries := 0
	word := func() (string, error) {
		s, err := r.ReadString(0)
		if err != nil {
			return "", fmt.Errorf("%w: its tree ends early", errNotVPK)
		}
		return s[:len(s)-1], nil
	}
	for {
		ext, err := word()
		if err != nil || ext == "" {
			return out, err
		}
		for {
			dir, err := word()
			if err != nil {
				return nil, err
			}
			if dir == "" {
				break
			}
			for {
				base, err := word()
				if err != nil {
					return nil, err
				}
				if base == "" {
					break
				}
				var e [18]byte
				if _, err := io.ReadFull(r, e[:]); err != nil || binary.LittleEndian.Uint16(e[16:]) != vpkEntryEnd {
					return nil, fmt.Errorf("%w: an entry is damaged", errNotVPK)
				}
				if _, err := r.Discard(int(binary.LittleEndian.Uint16(e[4:]))); err != nil {
					return nil, fmt.Errorf("%w: its tree ends early", errNotVPK)
				}
				if entries++; entries > vpkMaxEntries {
					return nil, nil
				}
				if binary.LittleEndian.Uint16(e[6:]) != vpkHere {
					continue // in a part, of which add-ons have none
				}
				name := base
				if ext != " " {
					name += "." + ext
				}
				if dir != " " {
					name = dir + "/" + name
				}
				out = append(out, strings.ToLower(name))
			}
		}
	}
}
