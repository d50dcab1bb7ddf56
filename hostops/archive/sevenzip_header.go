package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// A 7z begins with 32 bytes: the signature, a version, a sum, and where behind them
// the header lies. The header lists packed streams, the folders that they unpack to
// (a folder is a chain of coders, such as LZMA behind a filter, and holds the bytes
// of many files), and the files. It may be packed itself, as one such folder.
//
// A number is 1 to 9 bytes: as many high bits as are set in the first one say how
// many follow, little endian; what is left of the first are the highest bits.

const (
	maxHeader = 32 << 20 // bytes, unpacked: 50,000 files with long names have 10 MiB
	maxCoders = 8        // of a folder; filters for programs need 4

	// maxCleared bounds the memory of all folders, in bytes: they are unpacked one
	// after the other, but each time it has to be cleared.
	maxCleared = 256 << 30
)

// The ids of the header's parts.
const (
	idEnd           = 0x00
	idHeader        = 0x01
	idMainStreams   = 0x04
	idFiles         = 0x05
	idPackInfo      = 0x06
	idUnpackInfo    = 0x07
	idSubStreams    = 0x08
	idSize          = 0x09
	idCRC           = 0x0a
	idFolder        = 0x0b
	idUnpackSize    = 0x0c
	idStreamCount   = 0x0d
	idEmptyStream   = 0x0e
	idEmptyFile     = 0x0f
	idNames         = 0x11
	idCreated       = 0x12
	idAccessed      = 0x13
	idModified      = 0x14
	idAttributes    = 0x15
	idEncodedHeader = 0x17
	idDummy         = 0x19
)

// The coders that are unpacked, and what they need in memory is in coderMemory.
const (
	coderCopy    = "\x00"
	coderDelta   = "\x03"
	coderLZMA2   = "\x21"
	coderLZMA    = "\x03\x01\x01"
	coderPPMD    = "\x03\x04\x01"
	coderBCJ     = "\x03\x03\x01\x03"
	coderBCJ2    = "\x03\x03\x01\x1b"
	coderDeflate = "\x04\x01\x08"
	coderBzip2   = "\x04\x02\x02"
	coderAES     = "\x06\xf1\x07\x01"
)

var errDamaged = errors.New("its header is damaged")

// checkSevenZip reads the header and refuses what the library must not see.
func checkSevenZip(src *source, limits Limits) error {
	start := make([]byte, 32)
	if _, err := src.ReadAt(start, 0); err != nil {
		return errDamaged
	}
	offset, size := binary.LittleEndian.Uint64(start[12:]), binary.LittleEndian.Uint64(start[20:])
	rest := uint64(src.size - 32)
	switch {
	case size == 0:
		return refuse("the archive is empty: pack it again")
	case offset > rest || size > rest-offset:
		return refuse("the archive is cut off, or the first of several parts: upload it again, or pack it as a single file")
	case size > maxHeader:
		return tooMany(limits)
	}
	data := make([]byte, size)
	if _, err := src.ReadAt(data, 32+int64(offset)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	h := &headerReader{data: data, packed: offset, limits: limits}
	id := h.byte()
	if id == idEncodedHeader {
		streams := h.streams()
		if err := h.done(); err != nil {
			return err
		}
		plain, err := unpackHeader(src, streams)
		if err != nil {
			return err
		}
		h = &headerReader{data: plain, packed: offset, limits: limits}
		id = h.byte()
	}
	if id != idHeader {
		return errDamaged
	}
	h.header()
	return h.done()
}

func tooMany(limits Limits) error {
	return refuse("the archive has more than %d files and folders: at most that are allowed, so pack fewer at once", limits.Members)
}

// unpackHeader unpacks a packed header.
func unpackHeader(src *source, s streamsInfo) ([]byte, error) {
	if len(s.folders) != 1 || len(s.folders[0].coders) != 1 || len(s.packSizes) != 1 {
		return nil, errDamaged
	}
	c := s.folders[0].coders[0]
	if c.size > maxHeader {
		return nil, refuse("the archive's list of files is larger than %s: pack fewer files at once", human(maxHeader))
	}
	var in io.Reader = io.NewSectionReader(src, 32+int64(s.position), int64(s.packSizes[0]))
	var err error
	switch c.id {
	case coderCopy:
	case coderLZMA:
		head := binary.LittleEndian.AppendUint64(bytes.Clone(c.properties), c.size)
		in, err = lzma.NewReader(io.MultiReader(bytes.NewReader(head), in))
	case coderLZMA2:
		in, err = lzma.Reader2Config{DictCap: max(int(c.size), lzma.MinDictCap)}.NewReader2(in)
	default:
		return nil, errDamaged
	}
	if err != nil {
		return nil, err
	}
	plain := make([]byte, c.size)
	_, err = io.ReadFull(in, plain)
	return plain, err
}

// headerReader reads a header. The first thing that is wrong stays in err, and
// everything reads as nothing from there on.
type headerReader struct {
	data   []byte
	packed uint64 // how many bytes the packed streams have in all
	limits Limits
	err    error
}

// done is what was wrong, or that something is left over.
func (h *headerReader) done() error {
	if h.err == nil && len(h.data) > 0 {
		h.fail(errDamaged)
	}
	return h.err
}

func (h *headerReader) fail(err error) {
	if h.err == nil {
		h.err, h.data = err, nil
	}
}

func (h *headerReader) take(n uint64) []byte {
	if n > uint64(len(h.data)) {
		h.fail(errDamaged)
		return nil
	}
	part := h.data[:n]
	h.data = h.data[n:]
	return part
}

func (h *headerReader) byte() byte {
	if b := h.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (h *headerReader) expect(id byte) {
	if h.byte() != id {
		h.fail(errDamaged)
	}
}

func (h *headerReader) number() uint64 {
	first := h.byte()
	var n uint64
	for i := range 8 {
		mask := byte(0x80) >> i
		if first&mask == 0 {
			return n | uint64(first&(mask-1))<<(8*i)
		}
		n |= uint64(h.byte()) << (8 * i)
	}
	return n
}

// amount is a number of things of which there may be so many.
func (h *headerReader) amount(most int) int {
	n := h.number()
	if n > uint64(most) {
		h.fail(tooMany(h.limits))
		return 0
	}
	return int(n)
}

// streamsInfo is where the packed bytes are and how they are unpacked.
type streamsInfo struct {
	position  uint64
	packSizes []uint64
	folders   []folderInfo
	files     int // how many the folders hold
}

type folderInfo struct {
	coders []coderInfo
	packed int // streams
	last   int // the coder that gives the folder's bytes
}

type coderInfo struct {
	id         string
	in         int // streams
	properties []byte
	size       uint64 // bytes that it gives
}

func (h *headerReader) header() {
	var s streamsInfo
	id := h.byte()
	if id == idMainStreams {
		s = h.streams()
		id = h.byte()
	}
	if id == idFiles {
		h.files(s)
		id = h.byte()
	}
	if id != idEnd {
		h.fail(errDamaged)
	}
}

func (h *headerReader) streams() (s streamsInfo) {
	id := h.byte()
	if id == idPackInfo {
		h.packInfo(&s)
		id = h.byte()
	}
	if id == idUnpackInfo {
		h.unpackInfo(&s)
		id = h.byte()
	}
	s.files = len(s.folders)
	if id == idSubStreams {
		h.subStreams(&s)
		id = h.byte()
	}
	if id != idEnd {
		h.fail(errDamaged)
	}
	return s
}

func (h *headerReader) packInfo(s *streamsInfo) {
	s.position = h.number()
	n := h.amount(4 * h.limits.Members)
	id := h.byte()
	if id != idSize || n == 0 {
		h.fail(errDamaged)
		return
	}
	end := s.position
	for range n {
		size := h.number()
		if end > h.packed || size > h.packed-end {
			h.fail(errDamaged)
			return
		}
		end += size
		s.packSizes = append(s.packSizes, size)
	}
	if id = h.byte(); id == idCRC {
		h.sums(n)
		id = h.byte()
	}
	if id != idEnd {
		h.fail(errDamaged)
	}
}

// bits reads n flags and says how many are set.
func (h *headerReader) bits(n int) (set int) {
	flags := h.take(uint64(n+7) / 8)
	for i := range n {
		if len(flags) > 0 && flags[i/8]&(0x80>>(i%8)) != 0 {
			set++
		}
	}
	return set
}

// optionalBits are flags that one byte replaces when all are set.
func (h *headerReader) optionalBits(n int) (set int) {
	if n == 0 {
		h.fail(errDamaged)
	}
	if h.byte() != 0 {
		return n
	}
	return h.bits(n)
}

func (h *headerReader) sums(n int) { h.take(4 * uint64(h.optionalBits(n))) }

func (h *headerReader) unpackInfo(s *streamsInfo) {
	h.expect(idFolder)
	n := h.amount(h.limits.Members)
	h.expect(0) // not elsewhere in the file
	packed := 0
	for range n {
		if h.err != nil {
			return
		}
		f := h.folder()
		packed += f.packed
		s.folders = append(s.folders, f)
	}
	if packed != len(s.packSizes) || n == 0 {
		h.fail(errDamaged)
	}
	h.expect(idUnpackSize)
	total := uint64(0)
	for _, f := range s.folders {
		for i := range f.coders {
			f.coders[i].size = h.number()
		}
		total += h.bounds(f)
	}
	if total > maxCleared {
		h.fail(refuse("the archive needs too much work to unpack: pack it as ZIP, or with a smaller dictionary"))
	}
	id := h.byte()
	if id == idCRC {
		h.sums(n)
		id = h.byte()
	}
	if id != idEnd {
		h.fail(errDamaged)
	}
}

// folder reads a chain of coders: which output of which coder goes where.
func (h *headerReader) folder() (f folderInfo) {
	n := h.number()
	if n == 0 || n > maxCoders {
		h.fail(errDamaged)
		return f
	}
	in := 0
	for range n {
		c := h.coder()
		in += c.in
		f.coders = append(f.coders, c)
	}
	if in < int(n) || in > 4*maxCoders {
		h.fail(errDamaged)
		return f
	}
	usedIn, usedOut := make([]bool, in), make([]bool, n)
	for range n - 1 {
		i, o := h.number(), h.number()
		if i >= uint64(in) || o >= n || usedIn[i] || usedOut[o] {
			h.fail(errDamaged)
			return f
		}
		usedIn[i], usedOut[o] = true, true
	}
	for i, used := range usedOut {
		if !used {
			f.last = i
		}
	}
	if f.packed = in - int(n) + 1; f.packed > 1 {
		for range f.packed {
			i := h.number()
			if i >= uint64(in) || usedIn[i] {
				h.fail(errDamaged)
				return f
			}
			usedIn[i] = true
		}
	}
	return f
}

func (h *headerReader) coder() (c coderInfo) {
	flags := h.byte()
	c.id, c.in = string(h.take(uint64(flags&0x0f))), 1
	if flags&0x10 != 0 {
		c.in = h.amount(4)
		if out := h.number(); out != 1 || c.in == 0 {
			h.fail(errDamaged)
		}
	}
	if flags&0x20 != 0 {
		n := h.number()
		if n == 0 || n > 64 {
			h.fail(errDamaged)
			return c
		}
		c.properties = h.take(n)
	}
	if flags&0xc0 != 0 {
		h.fail(errDamaged)
	}
	return c
}

// bounds refuses a folder that needs too much memory or grows on the way, and says
// how much memory it needs.
func (h *headerReader) bounds(f folderInfo) (memory uint64) {
	if h.err != nil {
		return 0
	}
	final := f.coders[f.last].size
	if final > uint64(h.limits.Size) {
		h.fail(refuse("the archive holds more than %s: at most that may be unpacked", human(h.limits.Size)))
		return 0
	}
	for _, c := range f.coders {
		if c.size > 2*final+1<<20 { // filters give as much as they take
			h.fail(errDamaged)
			return 0
		}
		need, err := coderMemory(c)
		if err != nil {
			h.fail(err)
			return 0
		}
		memory += need
	}
	if memory > maxMemory+maxCoders<<20 {
		h.fail(refuse("the archive needs %s of memory to unpack: pack it with a dictionary of at most %s, or as ZIP", human(int64(memory)), human(maxMemory)))
	}
	return memory
}

func coderMemory(c coderInfo) (uint64, error) {
	switch c.id {
	case coderCopy, coderDelta, coderBCJ, coderBCJ2, coderDeflate, coderBzip2:
		return 1 << 20, nil
	case coderLZMA, coderPPMD:
		if len(c.properties) != 5 {
			return 0, errDamaged
		}
		size := uint64(binary.LittleEndian.Uint32(c.properties[1:]))
		if c.id == coderLZMA {
			size = min(size, max(c.size, 1<<20)) // the library takes no more than the content has
		}
		return size, nil
	case coderLZMA2:
		if len(c.properties) != 1 || c.properties[0] > 40 {
			return 0, errDamaged
		}
		p := c.properties[0]
		return uint64(2|p&1) << (p/2 + 11), nil
	case coderAES:
		return 0, errEncrypted
	}
	return 0, refuse("the archive is compressed by a method (%x) that cannot be read: pack it as an ordinary 7z or as ZIP", c.id)
}

// subStreams reads how many files each folder holds and how long they are.
func (h *headerReader) subStreams(s *streamsInfo) {
	id := h.byte()
	counts := make([]int, len(s.folders))
	for i := range counts {
		counts[i] = 1
	}
	if id == idStreamCount {
		s.files = 0
		for i := range counts {
			counts[i] = h.amount(h.limits.Members)
			s.files += counts[i]
		}
		id = h.byte()
	}
	if s.files > h.limits.Members {
		h.fail(tooMany(h.limits))
		return
	}
	several := false
	for i, f := range s.folders {
		several = several || counts[i] > 1
		left := f.coders[f.last].size
		for range max(counts[i], 1) - 1 {
			if id != idSize {
				h.fail(errDamaged)
				return
			}
			size := h.number()
			if size > left {
				h.fail(errDamaged)
				return
			}
			left -= size
		}
	}
	if id == idSize {
		id = h.byte()
	}
	if id == idCRC {
		h.sums(s.files)
		id = h.byte()
	}
	if id != idEnd {
		h.fail(errDamaged)
	}
}

// files reads the list of files. Each of its parts may come once.
func (h *headerReader) files(s streamsInfo) {
	n := h.amount(h.limits.Members)
	if n == 0 {
		h.fail(refuse("the archive is empty: pack it again"))
	}
	seen := map[byte]bool{}
	empty := 0
	for h.err == nil {
		id := h.byte()
		if id == idEnd {
			break
		}
		size := h.number()
		if seen[id] && id != idDummy {
			h.fail(errDamaged)
		}
		seen[id] = true
		part := &headerReader{data: h.take(size), limits: h.limits}
		switch id {
		case idEmptyStream:
			empty = part.bits(n)
		case idEmptyFile:
			if empty == 0 {
				part.fail(errDamaged)
			}
			part.bits(empty)
		case idNames:
			part.names(n)
		case idCreated, idAccessed, idModified:
			part.values(n, 8)
		case idAttributes:
			part.values(n, 4)
		case idDummy:
			part.data = nil
		default:
			part.fail(errDamaged)
		}
		if err := part.done(); err != nil {
			h.fail(err)
		}
	}
	// Each file that is not empty takes one stream.
	if n-empty != s.files || !seen[idNames] {
		h.fail(errDamaged)
	}
}

// names are UTF-16, each with a zero behind it.
func (h *headerReader) names(n int) {
	h.expect(0) // not elsewhere in the file
	if len(h.data)%2 != 0 {
		h.fail(errDamaged)
	}
	ends, length := 0, 0
	for i := 0; i+1 < len(h.data); i += 2 {
		if length++; h.data[i] == 0 && h.data[i+1] == 0 {
			ends, length = ends+1, 0
		} else if length > maxPath {
			h.fail(refuse("the archive has a path of more than %d characters: at most that are allowed", maxPath))
			return
		}
	}
	if ends != n || length != 0 {
		h.fail(errDamaged)
	}
	h.data = nil
}

// values are times and attributes: which files have one, and then those.
func (h *headerReader) values(n, size int) {
	set := h.optionalBits(n)
	h.expect(0) // not elsewhere in the file
	h.take(uint64(set * size))
}
