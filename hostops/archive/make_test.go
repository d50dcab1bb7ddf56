package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"io/fs"
	"strings"
	"testing"
	"unicode/utf16"
)

// entry is a member of an archive that a test makes. A name that ends with a slash
// is a folder.
type entry struct {
	name, text string
	mode       fs.FileMode // type bits and others; 0 is a plain file
}

func (e entry) dir() bool { return strings.HasSuffix(e.name, "/") }

// makers make the same archive in every format. What a format cannot express is
// left to tests of its own.
var makers = map[Format]func(t testing.TB, entries []entry) []byte{
	Zip: makeZip, Tar: makeTar, TarGzip: makeTarGzip, SevenZip: makeSevenZip, RAR: makeRAR,
}

func makeZip(t testing.TB, entries []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.mode != 0 {
			h.SetMode(e.mode)
		}
		if e.dir() {
			h.Method = zip.Store
		}
		f, err := w.CreateHeader(h)
		if err == nil && !e.dir() {
			_, err = f.Write([]byte(e.text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func makeTar(t testing.TB, entries []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.text)), Typeflag: tar.TypeReg}
		switch {
		case e.dir():
			h.Typeflag = tar.TypeDir
		case e.mode&fs.ModeSymlink != 0:
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, e.text, 0
		case e.mode&fs.ModeNamedPipe != 0:
			h.Typeflag, h.Size = tar.TypeFifo, 0
		case e.mode&fs.ModeDevice != 0:
			h.Typeflag, h.Size = tar.TypeBlock, 0
		case e.mode&fs.ModeSetuid != 0:
			h.Mode = 0o6777
		}
		err := w.WriteHeader(h)
		if err == nil && h.Size > 0 {
			_, err = w.Write([]byte(e.text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func makeTarGzip(t testing.TB, entries []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(makeTar(t, entries))
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unixBits is a mode as Unix and 7z know it.
func unixBits(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	switch {
	case m&fs.ModeSymlink != 0:
		bits |= 0xa000
	case m&fs.ModeNamedPipe != 0:
		bits |= 0x1000
	case m&fs.ModeDevice != 0:
		bits |= 0x6000
	case m&fs.ModeDir != 0:
		bits |= 0x4000
	default:
		bits |= 0x8000
	}
	if m&fs.ModeSetuid != 0 {
		bits |= 0x800
	}
	return bits
}

// number7z writes a number of a 7z header in its longest form.
func number7z(b []byte, n uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(b, 0xff), n)
}

// makeSevenZip packs without compression: one folder for all files.
func makeSevenZip(t testing.TB, entries []entry) []byte {
	t.Helper()
	var content, names, attributes []byte
	var sizes []int
	empty := make([]byte, (len(entries)+7)/8)
	for i, e := range entries {
		mode := e.mode
		if mode == 0 {
			mode = 0o644
		}
		if e.dir() {
			mode = fs.ModeDir | 0o755
		}
		attributes = binary.LittleEndian.AppendUint32(attributes, unixBits(mode)<<16|0x8000)
		for _, u := range utf16.Encode([]rune(strings.TrimSuffix(e.name, "/"))) {
			names = binary.LittleEndian.AppendUint16(names, u)
		}
		names = append(names, 0, 0)
		if e.text == "" {
			empty[i/8] |= 0x80 >> (i % 8)
			continue
		}
		content = append(content, e.text...)
		sizes = append(sizes, len(e.text))
	}
	var h []byte
	h = append(h, idHeader)
	if len(sizes) > 0 {
		h = append(h, idMainStreams, idPackInfo)
		h = number7z(h, 0)
		h = number7z(h, 1)
		h = append(h, idSize)
		h = number7z(h, uint64(len(content)))
		h = append(h, idEnd, idUnpackInfo, idFolder)
		h = number7z(h, 1)
		h = append(h, 0, 1, 1, 0) // here; one coder, whose id has one byte: copy
		h = append(h, idUnpackSize)
		h = number7z(h, uint64(len(content)))
		h = append(h, idEnd, idSubStreams, idStreamCount)
		h = number7z(h, uint64(len(sizes)))
		if len(sizes) > 1 {
			h = append(h, idSize)
		}
		for _, n := range sizes[:len(sizes)-1] {
			h = number7z(h, uint64(n))
		}
		h = append(h, idEnd, idEnd)
	}
	h = append(h, idFiles)
	h = number7z(h, uint64(len(entries)))
	part := func(id byte, data []byte) {
		h = append(number7z(append(h, id), uint64(len(data))), data...)
	}
	if len(sizes) < len(entries) {
		part(idEmptyStream, empty)
	}
	part(idNames, append([]byte{0}, names...))
	part(idAttributes, append([]byte{1, 0}, attributes...))
	h = append(h, idEnd, idEnd)
	return append(frame7z(content, h), h...)
}

// frame7z is everything of a 7z but its header.
func frame7z(content, header []byte) []byte {
	var start []byte
	start = binary.LittleEndian.AppendUint64(start, uint64(len(content)))
	start = binary.LittleEndian.AppendUint64(start, uint64(len(header)))
	start = binary.LittleEndian.AppendUint32(start, crc32.ChecksumIEEE(header))
	out := []byte("7z\xbc\xaf\x27\x1c\x00\x04")
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(start))
	return append(append(out, start...), content...)
}

// makeRAR packs without compression, in the format of RAR 2 to 4.
func makeRAR(t testing.TB, entries []entry) []byte {
	t.Helper()
	out := []byte("Rar!\x1a\x07\x00")
	block := func(kind byte, flags uint16, body []byte) {
		head := []byte{kind}
		head = binary.LittleEndian.AppendUint16(head, flags)
		head = binary.LittleEndian.AppendUint16(head, uint16(7+len(body)))
		head = append(head, body...)
		out = binary.LittleEndian.AppendUint16(out, uint16(crc32.ChecksumIEEE(head)))
		out = append(out, head...)
	}
	block(0x73, 0, make([]byte, 6))
	for _, e := range entries {
		flags, mode := uint16(0x8000), e.mode
		if e.dir() {
			flags, mode = flags|0xe0, fs.ModeDir|0o755
		}
		body := binary.LittleEndian.AppendUint32(nil, uint32(len(e.text)))
		body = binary.LittleEndian.AppendUint32(body, uint32(len(e.text)))
		body = append(body, 3) // Unix
		body = binary.LittleEndian.AppendUint32(body, crc32.ChecksumIEEE([]byte(e.text)))
		body = append(body, 0, 0, 0x21, 0x50, 20, 0x30) // a time, version 2.0, stored
		name := strings.TrimSuffix(e.name, "/")
		body = binary.LittleEndian.AppendUint16(body, uint16(len(name)))
		body = binary.LittleEndian.AppendUint32(body, unixBits(mode))
		block(0x74, flags, append(body, name...))
		out = append(out, e.text...)
	}
	block(0x7b, 0x4000, nil)
	return out
}

// editRAR changes the header of the first block of a kind and mends its sum.
func editRAR(data []byte, kind byte, edit func(block []byte)) []byte {
	data = bytes.Clone(data)
	for at := 7; at+7 <= len(data); {
		size := int(binary.LittleEndian.Uint16(data[at+5:]))
		block := data[at : at+size]
		if block[2] == kind {
			edit(block)
			binary.LittleEndian.PutUint16(block, uint16(crc32.ChecksumIEEE(block[2:])))
			return data
		}
		if at += size; block[4]&0x80 != 0 { // followed by data
			at += int(binary.LittleEndian.Uint32(block[7:]))
		}
	}
	panic("no such block")
}
