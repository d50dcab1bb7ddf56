// Package vpk reads Valve's package files, the form in which campaigns and other
// add-ons come: what is inside, and whether the engine can mount it. A file it
// cannot mount crashes the game at every start, so everything is checked that the
// engine relies on, by reading the directory only: a campaign of a gigabyte is
// checked as fast as a small one.
//
// Package vpk writes nothing and unpacks nothing. Names of entries are a stranger's
// text, for looking up and for showing, and never paths of a file system. What an
// entry means for a server is hostops/gate's business. Start at Open.
package vpk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The format, little endian throughout. Version 1, which the game itself uses, has
// a header of 12 bytes; version 2 has 16 more:
//
//	u32 0x55AA1234, u32 version, u32 length of the tree
//	u32 length of the data in this file, u32 of the MD5s, u32 of other MD5s, u32 of the signature
//
// The tree follows: extension NUL (folder NUL (name NUL entry)* NUL)* NUL, where an
// empty string ends each level and " " stands for no extension and for the root.
// An entry has 18 bytes and then its preloaded bytes:
//
//	u32 CRC-32, u16 preloaded bytes, u16 part, u32 offset, u32 length, u16 0xFFFF
//
// A part of 0x7FFF means this file, with the offset counted from the end of the
// tree; n means the sibling x_00n.vpk of x_dir.vpk.
const (
	magic       = 0x55AA1234
	headerSize1 = 12
	headerSize2 = 28
	entrySize   = 18
	ownFile     = 0x7FFF
	entryEnd    = 0xFFFF
)

// Limits of a package. The engine silently mounts none with more entries; no tree
// of so many real names is as long as MaxTree.
const (
	MaxEntries = 220_000
	MaxTree    = 64 << 20 // bytes
	MaxName    = 1024     // bytes of an extension, a folder or a name
)

// Part opens part n of a set, the file x_00n.vpk, and says how long it is. A part
// that is not there is fs.ErrNotExist. Who made the function closes what it opened.
type Part func(n int) (io.ReaderAt, int64, error)

// Archive is a package whose header was read.
type Archive struct {
	Version int

	r     io.ReaderAt
	size  int64
	tree  int64 // where it begins
	data  int64 // where it ends
	open  Part
	parts map[int]part
}

type part struct {
	r    io.ReaderAt
	size int64
}

// Open reads the header of the package that r holds in size bytes. parts is nil for
// a file that belongs to no set. The error is a *Fault where the file is no package
// that the engine mounts, and else what r answered.
func Open(r io.ReaderAt, size int64, parts Part) (*Archive, error) {
	header := make([]byte, min(headerSize2, size))
	if _, err := r.ReadAt(header, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the header: %w", err)
	}
	if size == 0 {
		return nil, &Fault{Empty, "it is empty"}
	}
	field := func(i int) int64 { return int64(binary.LittleEndian.Uint32(header[4*i:])) }
	if len(header) < 4 || field(0) != magic {
		if what := Disguise(header); what != "" {
			return nil, &Fault{Disguised, "it is " + what}
		}
		return nil, &Fault{NoVPK, "it does not begin as a VPK does"}
	}
	if len(header) < headerSize1 {
		return nil, &Fault{CutOff, fmt.Sprintf("it ends after %d bytes, in the middle of its header", size)}
	}
	a := &Archive{Version: int(field(1)), r: r, size: size, tree: headerSize1, open: parts, parts: map[int]part{}}
	end := int64(0)
	switch a.Version {
	case 1:
	case 2:
		if len(header) < headerSize2 {
			return nil, &Fault{CutOff, fmt.Sprintf("it ends after %d bytes, in the middle of its header", size)}
		}
		a.tree = headerSize2
		end = field(3) + field(4) + field(5) + field(6)
	default:
		return nil, &Fault{UnknownVersion, fmt.Sprintf("it has version %d of the format, and the game reads 1 and 2", field(1))}
	}
	a.data = a.tree + field(2)
	if a.data > size || a.data+end > size {
		return nil, &Fault{CutOff, fmt.Sprintf("it has %d bytes and announces %d", size, a.data+end)}
	}
	if field(2) > MaxTree {
		return nil, &Fault{TooMany, fmt.Sprintf("its directory alone has %d MB", field(2)>>20)}
	}
	return a, nil
}
