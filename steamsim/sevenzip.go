package steamsim

import (
	"encoding/binary"
	"hash/crc32"
)

// sevenZip is a .7z file that holds one file, stored and not compressed (the
// method "copy").
//
// The format: a signature header of 32 bytes (magic, version 0.4, CRC of what
// follows, offset, size and CRC of the end header), the packed data, and the end
// header: properties, each a byte that says which and closed by 0.
func sevenZip(name string, content *blob) *blob {
	const (
		end, header, mainStreams, filesInfo     = 0x00, 0x01, 0x04, 0x05
		packInfo, unpackInfo, subStreams, sizes = 0x06, 0x07, 0x08, 0x09
		digests, folder, unpackSize, names      = 0x0A, 0x0B, 0x0C, 0x11
	)
	var h []byte
	h = append(h, header, mainStreams)
	h = append(h, packInfo, 0, 1, sizes) // at 0, one stream
	h = append(sevenZipNumber(h, uint64(content.size)), end)
	h = append(h, unpackInfo, folder, 1, 0) // one folder, described here
	h = append(h, 1, 0x01, 0x00)            // one coder, whose id has one byte: copy
	h = append(sevenZipNumber(append(h, unpackSize), uint64(content.size)), end)
	h = append(h, subStreams, digests, 1) // all of them are given
	h = binary.LittleEndian.AppendUint32(h, content.crc())
	h = append(h, end, end)
	encoded := utf16z(name)
	h = append(h, filesInfo, 1, names)
	h = append(sevenZipNumber(h, uint64(len(encoded)+1)), 0)
	h = append(append(h, encoded...), end, end)

	start := binary.LittleEndian.AppendUint64(nil, uint64(content.size))
	start = binary.LittleEndian.AppendUint64(start, uint64(len(h)))
	start = binary.LittleEndian.AppendUint32(start, crc32.ChecksumIEEE(h))
	first := []byte("7z\xBC\xAF\x27\x1C\x00\x04")
	first = binary.LittleEndian.AppendUint32(first, crc32.ChecksumIEEE(start))

	out := new(blob)
	out.add(append(first, start...))
	out.addBlob(content)
	out.add(h)
	return out
}

// sevenZipNumber appends n as 7z writes numbers: as many leading ones in the
// first byte as bytes follow, low byte first.
func sevenZipNumber(b []byte, n uint64) []byte {
	extra := 0
	for extra < 8 && n >= 1<<(7*(extra+1)) {
		extra++
	}
	first := byte(0)
	if extra < 8 {
		first = byte(0xFF<<(8-extra)) | byte(n>>(8*extra))
	} else {
		first = 0xFF
	}
	b = append(b, first)
	for i := range extra {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}
