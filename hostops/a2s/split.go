package a2s

import (
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net/netip"
)

// A long answer comes in parts, integers little endian:
//
//	FE FF FF FF, int32 id, u8 total, u8 number, u16 size of the largest part, bytes
//
// Put together the bytes are a whole message beginning with FF FF FF FF. If the highest bit of the id is set they are
// packed with bzip2, and part 0 has two more fields before its bytes: u32 unpacked size, u32 CRC-32.
const (
	splitMark   = "\xfe\xff\xff\xff"
	splitHeader = 12
	splitPacked = 1 << 31

	maxParts   = 128     // of 1248 bytes each as a rule
	maxMessage = 1 << 18 // put together and unpacked
	maxSplits  = 4       // answers in pieces at one time
)

// assembler puts split messages together. Parts may come in any order and more than once.
type assembler struct {
	splits []*split // oldest first
}

type split struct {
	from  netip.AddrPort
	id    uint32
	parts [][]byte
	left  int
	size  int
}

// add returns a whole message without its mark once datagram completes it. Anything that does not fit is dropped.
func (a *assembler) add(from netip.AddrPort, datagram []byte) ([]byte, bool) {
	if len(datagram) < splitHeader || string(datagram[:4]) != splitMark {
		return nil, false
	}
	id := binary.LittleEndian.Uint32(datagram[4:8])
	total, number, part := int(datagram[8]), int(datagram[9]), datagram[splitHeader:]
	if total == 0 || total > maxParts || number >= total {
		return nil, false
	}
	s := a.find(from, id, total)
	if len(s.parts) != total || s.parts[number] != nil || s.size+len(part) > maxMessage {
		return nil, false
	}
	s.parts[number] = append([]byte{}, part...) // not nil even if it is empty
	s.size += len(part)
	if s.left--; s.left > 0 {
		return nil, false
	}
	a.forget(s)
	return s.message()
}

func (a *assembler) find(from netip.AddrPort, id uint32, total int) *split {
	for _, s := range a.splits {
		if s.from == from && s.id == id {
			return s
		}
	}
	if len(a.splits) == maxSplits {
		a.splits = a.splits[1:]
	}
	s := &split{from: from, id: id, parts: make([][]byte, total), left: total}
	a.splits = append(a.splits, s)
	return s
}

func (a *assembler) forget(done *split) {
	var rest []*split
	for _, s := range a.splits {
		if s != done {
			rest = append(rest, s)
		}
	}
	a.splits = rest
}

func (s *split) message() ([]byte, bool) {
	whole := bytes.Join(s.parts, nil)
	if s.id&splitPacked != 0 {
		var ok bool
		if whole, ok = unpack(whole); !ok {
			return nil, false
		}
	}
	return bytes.CutPrefix(whole, []byte(single))
}

func unpack(packed []byte) ([]byte, bool) {
	if len(packed) < 8 {
		return nil, false
	}
	size, sum := binary.LittleEndian.Uint32(packed[0:4]), binary.LittleEndian.Uint32(packed[4:8])
	if size > maxMessage {
		return nil, false
	}
	whole, err := io.ReadAll(io.LimitReader(bzip2.NewReader(bytes.NewReader(packed[8:])), int64(size)+1))
	if err != nil || len(whole) != int(size) || crc32.ChecksumIEEE(whole) != sum {
		return nil, false
	}
	return whole, true
}
