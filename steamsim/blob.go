package steamsim

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"sort"
)

// blob is content that is computed where it is read, so that a catalogue of
// gigabytes needs no disk: literal bytes and noise, one after another.
type blob struct {
	parts []part
	size  int64
}

// part is a stretch of a blob.
type part struct {
	at, size int64  // in the blob
	data     []byte // literal; nil: noise
	noise    *noise
}

func (b *blob) add(data []byte) {
	if len(data) > 0 {
		b.parts = append(b.parts, part{at: b.size, size: int64(len(data)), data: data})
		b.size += int64(len(data))
	}
}

func (b *blob) addNoise(n *noise, size int64) {
	if size > 0 {
		b.parts = append(b.parts, part{at: b.size, size: size, noise: n})
		b.size += size
	}
}

func (b *blob) addBlob(other *blob) {
	for _, p := range other.parts {
		p.at = b.size
		b.parts = append(b.parts, p)
		b.size += p.size
	}
}

// ReadAt implements io.ReaderAt.
func (b *blob) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("read of a blob before its start")
	}
	i := sort.Search(len(b.parts), func(i int) bool { return b.parts[i].at+b.parts[i].size > off })
	n := 0
	for ; i < len(b.parts) && n < len(p); i++ {
		part := b.parts[i]
		from := off + int64(n) - part.at
		want := p[n:min(len(p), n+int(min(part.size-from, int64(len(p)))))]
		if part.noise != nil {
			part.noise.fill(want, from)
		} else {
			copy(want, part.data[from:])
		}
		n += len(want)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// reader reads the whole blob.
func (b *blob) reader() *io.SectionReader { return io.NewSectionReader(b, 0, b.size) }

// crc is the CRC-32 of the whole blob, computed without reading noise through.
func (b *blob) crc() uint32 {
	sum := uint32(0)
	for _, p := range b.parts {
		if p.noise != nil {
			sum = crcJoin(sum, p.noise.crc(p.size), p.size)
		} else {
			sum = crc32.Update(sum, crc32.IEEETable, p.data)
		}
	}
	return sum
}

// noiseBlock is the length of a block of noise. Each begins with a mark of 16
// bytes that says which block it is, so that no two stretches are alike and a
// piece that was put in the wrong place shows.
const (
	noiseBlock = 64 << 10
	noiseMark  = 16
)

// noise is an endless stretch of pseudo-random bytes, a function of its seed
// and the offset alone.
type noise struct {
	seed uint64
	body [noiseBlock - noiseMark]byte
	sum  uint32 // CRC-32 of body
}

func newNoise(seed uint64) *noise {
	n := &noise{seed: seed}
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	_, _ = rand.NewChaCha8(key).Read(n.body[:]) // never fails
	n.sum = crc32.ChecksumIEEE(n.body[:])
	return n
}

func (n *noise) mark(block int64) (m [noiseMark]byte) {
	binary.LittleEndian.PutUint64(m[:], n.seed)
	binary.LittleEndian.PutUint64(m[8:], uint64(block))
	return m
}

// fill puts the noise from offset off into p.
func (n *noise) fill(p []byte, off int64) {
	for len(p) > 0 {
		block, in := off/noiseBlock, off%noiseBlock
		var done int
		if in < noiseMark {
			m := n.mark(block)
			done = copy(p, m[in:])
		} else {
			done = copy(p, n.body[in-noiseMark:])
		}
		p, off = p[done:], off+int64(done)
	}
}

// crc is the CRC-32 of the first size bytes. A block costs its mark and two
// matrix products, whatever its length.
func (n *noise) crc(size int64) uint32 {
	sum := uint32(0)
	block := int64(0)
	for ; size-block*noiseBlock >= noiseBlock; block++ {
		m := n.mark(block)
		one := skipBody.apply(crc32.ChecksumIEEE(m[:])) ^ n.sum
		sum = skipBlock.apply(sum) ^ one
	}
	rest := make([]byte, size-block*noiseBlock)
	n.fill(rest, block*noiseBlock)
	return crc32.Update(sum, crc32.IEEETable, rest)
}

// crcSkip is what a run of zero bytes does to a CRC-32, as a matrix over GF(2):
// the CRC of A followed by B is skip(len B) applied to the CRC of A, xor the CRC
// of B.
type crcSkip [32]uint32

var (
	skipBlock = skipBytes(noiseBlock)
	skipBody  = skipBytes(noiseBlock - noiseMark)
)

func crcJoin(a, b uint32, sizeOfB int64) uint32 { return skipBytes(sizeOfB).apply(a) ^ b }

func (m *crcSkip) apply(v uint32) (out uint32) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			out ^= m[i]
		}
	}
	return out
}

// skipBytes squares its way up from one zero bit.
func skipBytes(n int64) *crcSkip {
	result, power := new(crcSkip), new(crcSkip)
	for i := range result {
		result[i] = 1 << i // the identity
	}
	power[0] = crc32.IEEE
	for i := 1; i < 32; i++ {
		power[i] = 1 << (i - 1)
	}
	for bits := n * 8; bits > 0; bits >>= 1 {
		if bits&1 != 0 {
			result = power.times(result)
		}
		power = power.times(power)
	}
	return result
}

func (m *crcSkip) times(other *crcSkip) *crcSkip {
	out := new(crcSkip)
	for i := range out {
		out[i] = m.apply(other[i])
	}
	return out
}
