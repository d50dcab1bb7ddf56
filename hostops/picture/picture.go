// Package picture says whether a stranger's file is a picture that a browser shows
// without harm.
package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // pictures are one of these,
	_ "image/png"  // or WebP
)

const (
	maxSide   = 8192 // pixels
	maxPixels = 32 << 20
)

// Check refuses what is not a JPEG, PNG or WebP by its first bytes, and of a sane
// size.
func Check(data []byte) error {
	var width, height int
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")), bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		config, _, err := image.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return fmt.Errorf("it is damaged (%w)", err)
		}
		width, height = config.Width, config.Height
	case len(data) > 30 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		width, height = sizeOfWebP(data)
	default:
		return errors.New("it is neither JPEG, PNG nor WebP")
	}
	if width < 1 || height < 1 || width > maxSide || height > maxSide || width*height > maxPixels {
		return fmt.Errorf("it has %d × %d pixels", width, height)
	}
	return nil
}

// sizeOfWebP reads the first chunk of a WebP file, which must be longer than 30
// bytes: "VP8 " (lossy), "VP8L" (lossless) or "VP8X" (extended). 0 is unknown.
func sizeOfWebP(data []byte) (width, height int) {
	little := binary.LittleEndian
	switch kind := string(data[12:16]); {
	case kind == "VP8 " && string(data[23:26]) == "\x9d\x01\x2a":
		return int(little.Uint16(data[26:]) & 0x3fff), int(little.Uint16(data[28:]) & 0x3fff)
	case kind == "VP8L" && data[20] == 0x2f:
		bits := little.Uint32(data[21:])
		return int(bits&0x3fff) + 1, int(bits>>14&0x3fff) + 1
	case kind == "VP8X":
		triple := func(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }
		return triple(data[24:]) + 1, triple(data[27:]) + 1
	}
	return 0, 0
}
