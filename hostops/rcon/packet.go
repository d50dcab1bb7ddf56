package rcon

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
)

// A packet on the wire, integers little endian:
//
//	int32 size of what follows, int32 id, int32 type, body, 00, 00
//
// The type 2 means "run this" in one direction and "your sign-in" in the other.
const (
	typeReply     int32 = 0
	typeExec      int32 = 2
	typeAuthReply int32 = 2
	typeAuth      int32 = 3

	rejected int32 = -1 // the id of the answer to a wrong password
)

const (
	minSize = 10
	// maxSize is above the documented 4096: bodies alone can have that length.
	maxSize = 16 << 10
)

type packet struct {
	id, kind int32
	body     string
}

func encode(p packet) []byte {
	b := make([]byte, 0, 4+minSize+len(p.body))
	b = binary.LittleEndian.AppendUint32(b, uint32(minSize+len(p.body)))
	b = binary.LittleEndian.AppendUint32(b, uint32(p.id))
	b = binary.LittleEndian.AppendUint32(b, uint32(p.kind))
	b = append(b, p.body...)
	return append(b, 0, 0)
}

// readPacket returns [io.EOF] only between packets. Bodies are C strings: what stands behind a NUL is dropped.
func readPacket(r io.Reader) (packet, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return packet{}, err
	}
	size := int32(binary.LittleEndian.Uint32(head[:]))
	if size < minSize || size > maxSize {
		return packet{}, fmt.Errorf("a packet of %d bytes: %w", size, ErrReply)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return packet{}, err
	}
	body, _, _ := strings.Cut(string(b[8:]), "\x00")
	return packet{
		id:   int32(binary.LittleEndian.Uint32(b[0:4])),
		kind: int32(binary.LittleEndian.Uint32(b[4:8])),
		body: body,
	}, nil
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
