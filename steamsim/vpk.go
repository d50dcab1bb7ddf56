package steamsim

import (
	"bufio"
	"bytes"
	"cmp"
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

// placed is a packed file with its place in the tree.
type placed struct {
	packed
	ext, dir, base string
}

// packVPK makes a VPK of version 1 or 2.
func packVPK(version uint32, files []packed) *blob {
	list := make([]placed, len(files))
	for i, f := range files {
		list[i].packed = f
		list[i].ext, list[i].dir, list[i].base = vpkPath(f.path)
	}
	slices.SortStableFunc(list, func(a, b placed) int {
		return cmp.Or(strings.Compare(a.ext, b.ext), strings.Compare(a.dir, b.dir))
	})
	var tree bytes.Buffer
	data := new(blob)
	for i, f := range list {
		newExt := i == 0 || f.ext != list[i-1].ext
		newDir := newExt || f.dir != list[i-1].dir
		if i > 0 && newDir {
			tree.WriteByte(0)
		}
		if i > 0 && newExt {
			tree.WriteByte(0)
		}
		if newExt {
			tree.WriteString(f.ext + "\x00")
		}
		if newDir {
			tree.WriteString(f.dir + "\x00")
		}
		tree.WriteString(f.base + "\x00")
		index := uint16(vpkHere)
		if f.archive > 0 {
			index = f.archive - 1
		}
		e := binary.LittleEndian.AppendUint32(nil, f.content.crc())
		e = binary.LittleEndian.AppendUint16(e, 0) // nothing is preloaded
		e = binary.LittleEndian.AppendUint16(e, index)
		e = binary.LittleEndian.AppendUint32(e, uint32(data.size)+f.offset)
		e = binary.LittleEndian.AppendUint32(e, uint32(f.content.size))
		tree.Write(binary.LittleEndian.AppendUint16(e, vpkEntryEnd))
		if f.archive == 0 {
			data.addBlob(f.content)
		}
	}
	if len(list) > 0 {
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
