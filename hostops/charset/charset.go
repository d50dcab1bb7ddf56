// Package charset reads text and file names of unknown encoding, as the tools of
// map makers leave them: UTF-8, UTF-16, GBK or latin-1, with nothing that says
// which. It guesses; what comes out is always valid UTF-8. Start at Decode.
package charset

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// Encoding is what a text was taken for.
type Encoding string

// The encodings that are told apart.
const (
	UTF8   Encoding = "UTF-8"
	UTF16  Encoding = "UTF-16"
	GBK    Encoding = "GBK"
	Latin1 Encoding = "latin-1"
)

// Text decodes a whole text file. A byte order mark decides and is dropped; UTF-16
// without one is recognised by the zeros of its first two characters, which are
// ASCII in every format of the game. The rest is for Decode.
func Text(raw []byte) (string, Encoding) {
	switch {
	case bytes.HasPrefix(raw, []byte("\xef\xbb\xbf")):
		raw = raw[3:]
	case bytes.HasPrefix(raw, []byte("\xff\xfe")):
		return decode16(raw[2:], false), UTF16
	case bytes.HasPrefix(raw, []byte("\xfe\xff")):
		return decode16(raw[2:], true), UTF16
	case len(raw) >= 4 && raw[0] != 0 && raw[1] == 0 && raw[2] != 0 && raw[3] == 0:
		return decode16(raw, false), UTF16
	case len(raw) >= 4 && raw[0] == 0 && raw[1] != 0 && raw[2] == 0 && raw[3] != 0:
		return decode16(raw, true), UTF16
	}
	return Decode(raw)
}

// Decode decodes a text or a name: as UTF-8 where it is valid, as GBK where that
// reads it whole and most of its double bytes look Chinese, and else as latin-1,
// which reads anything.
func Decode(raw []byte) (string, Encoding) {
	if utf8.Valid(raw) {
		return string(raw), UTF8
	}
	if looksChinese(raw) {
		if text, err := simplifiedchinese.GBK.NewDecoder().Bytes(raw); err == nil && !bytes.ContainsRune(text, utf8.RuneError) {
			return string(text), GBK
		}
	}
	var b strings.Builder
	for _, c := range raw {
		b.WriteRune(rune(c))
	}
	return b.String(), Latin1
}

// looksChinese reports whether raw is made of ASCII and pairs of GBK, most of them
// with both bytes high, as the characters in daily use have it: the é of "Café" and
// a letter behind it would be a pair as well.
func looksChinese(raw []byte) bool {
	pairs, high := 0, 0
	for i := 0; i < len(raw); i++ {
		if raw[i] < 0x80 {
			continue
		}
		if raw[i] == 0x80 || raw[i] == 0xff || i+1 == len(raw) || raw[i+1] < 0x40 || raw[i+1] == 0x7f || raw[i+1] == 0xff {
			return false
		}
		pairs++
		if raw[i] > 0xa0 && raw[i+1] > 0xa0 {
			high++
		}
		i++
	}
	return 2*high > pairs
}

func decode16(raw []byte, bigEndian bool) string {
	units := make([]uint16, 0, len(raw)/2)
	for i := 0; i+1 < len(raw); i += 2 {
		low, high := raw[i], raw[i+1]
		if bigEndian {
			low, high = high, low
		}
		units = append(units, uint16(high)<<8|uint16(low))
	}
	return string(utf16.Decode(units))
}
