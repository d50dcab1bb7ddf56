package overlayhelper

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strings"
)

// The list of an instance's layers is `instances/NAME/mount`, written by the
// service user: one layer per line, uppermost first, each line ended by \n.
//
//	@3f9c0a1b2c3d
//	12/v3
//	4/v17
//
// @HASH is the generated layer `instances/NAME/layers/HASH`, ID/vN a version
// below `overlays/`. The installation is always the lowest and never written
// down; an empty list is the installation alone.
//
// What is mounted is recorded by root in `runtime/NAME/applied`: the source of
// the mount on the first line, then the same lines.

// Bounds on the list.
const (
	MaxListBytes = 64 << 10
	MaxLayers    = 498 // the kernel's 500, less the installation and one to spare
)

// isLayer reports whether a line is @HASH with 12 hexadecimal digits, or ID/vN
// with one to nine decimal digits each.
func isLayer(line string) bool {
	if hash, ok := strings.CutPrefix(line, "@"); ok {
		return madeOf(hash, hexDigits, 12, 12)
	}
	id, version, ok := strings.Cut(line, "/v")
	return ok && madeOf(id, digits, 1, 9) && madeOf(version, digits, 1, 9)
}

// Layer is one line of the list, valid once it went through ParseLayers.
type Layer string

// Place is the folder that a layer's path is relative to.
type Place int

// The places of layers below the state root.
const (
	PlaceInstance Place = iota // instances/NAME
	PlaceOverlays              // overlays
)

// Where says below which folder the layer is, and how it is called there.
func (l Layer) Where() (Place, string) {
	if hash, ok := strings.CutPrefix(string(l), "@"); ok {
		return PlaceInstance, path.Join("layers", hash)
	}
	return PlaceOverlays, string(l)
}

// ParseLayers reads a list of layers. Its errors are ErrRefused and quote no
// more of the list than the line number: the list may turn out to be a file that
// its writer must not read.
func ParseLayers(list []byte) ([]Layer, error) {
	if len(list) > MaxListBytes {
		return nil, Fail(ErrRefused, "the list of layers is longer than %d bytes", MaxListBytes)
	}
	if len(list) == 0 {
		return nil, nil
	}
	lines := strings.Split(strings.TrimSuffix(string(list), "\n"), "\n")
	if len(lines) > MaxLayers {
		return nil, Fail(ErrRefused, "the list has %d layers, and %d is the most", len(lines), MaxLayers)
	}
	layers := make([]Layer, 0, len(lines))
	seen := make(map[string]bool, len(lines))
	for i, line := range lines {
		if !isLayer(line) {
			return nil, Fail(ErrRefused, "line %d of the list of layers is neither ID/vN nor @HASH", i+1)
		}
		if seen[line] {
			return nil, Fail(ErrRefused, "line %d of the list of layers is there twice", i+1)
		}
		seen[line] = true
		layers = append(layers, Layer(line))
	}
	return layers, nil
}

// EncodeLayers is the inverse of ParseLayers.
func EncodeLayers(layers []Layer) []byte {
	var b bytes.Buffer
	for _, l := range layers {
		b.WriteString(string(l))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// Source names a mount of the instance with these layers: left4me:NAME:HASH. It
// stands in the mount table, which is the only record of what is mounted.
func Source(name string, layers []Layer) string {
	sum := sha256.Sum256(EncodeLayers(layers))
	return SourcePrefix(name) + hex.EncodeToString(sum[:6])
}

// SourcePrefix is what the source of every mount of the instance begins with.
// A name holds no colon, so no other instance's source begins so.
func SourcePrefix(name string) string { return "left4me:" + name + ":" }

// EncodeApplied is the record of a mount.
func EncodeApplied(name string, layers []Layer) []byte {
	return append([]byte(Source(name, layers)+"\n"), EncodeLayers(layers)...)
}

// ParseApplied reads the record of a mount of the instance and returns its
// layers. A record that does not fit its own first line is ErrRefused.
func ParseApplied(name string, record []byte) ([]Layer, error) {
	first, rest, _ := bytes.Cut(record, []byte("\n"))
	layers, err := ParseLayers(rest)
	if err != nil {
		return nil, err
	}
	if string(first) != Source(name, layers) {
		return nil, Fail(ErrRefused, "the record of what is mounted for %s is damaged", name)
	}
	return layers, nil
}
