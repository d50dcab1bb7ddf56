package charset

import (
	"testing"
	"unicode/utf8"
)

func TestDecode(t *testing.T) {
	tests := map[string]struct {
		raw, want string
		encoding  Encoding
	}{
		"nothing":                  {"", "", UTF8},
		"ASCII":                    {"maps/c1m1.bsp", "maps/c1m1.bsp", UTF8},
		"UTF-8":                    {"Größe 地图", "Größe 地图", UTF8},
		"GBK":                      {"\xb5\xd8\xcd\xbc.vmt", "地图.vmt", GBK},
		"GBK with a rare one":      {"\xb5\xd8\xcd\xbc\x81\x40", "地图丂", GBK},
		"latin-1":                  {"Caf\xe9 Noir", "Café Noir", Latin1},
		"latin-1 before a letter":  {"Caf\xe9s", "Cafés", Latin1},
		"latin-1 at the end":       {"\xb5\xd8caf\xe9", "µØcafé", Latin1},
		"bytes that mean nothing":  {"\xff\xff\xfe", "ÿÿþ", Latin1},
		"a hole in the GBK table":  {"\xa1\xa1\xaa\xfe\xfe\xfe", "¡¡ªþþþ", Latin1},
		"surrogates are no UTF-8":  {"\xed\xa0\x80", "í\u00a0\u0080", Latin1},
		"a lone lead byte in GBK":  {"\xb5\xd8\xcd\xbc\xb5", "µØÍ¼µ", Latin1},
		"UTF-16 is not for a name": {"\xff\xfea\x00", "ÿþa\x00", Latin1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, encoding := Decode([]byte(tt.raw))
			if got != tt.want || encoding != tt.encoding {
				t.Errorf("Decode(%q) = %q, %s; want %q, %s", tt.raw, got, encoding, tt.want, tt.encoding)
			}
		})
	}
}

func TestText(t *testing.T) {
	tests := map[string]struct {
		raw, want string
		encoding  Encoding
	}{
		"UTF-8 with its mark":     {"\xef\xbb\xbfmission", "mission", UTF8},
		"latin-1 behind the mark": {"\xef\xbb\xbfcaf\xe9", "café", Latin1},
		"UTF-16 LE":               {"\xff\xfem\x00\x30\x57", "m地", UTF16},
		"UTF-16 BE":               {"\xfe\xff\x00m\x57\x30", "m地", UTF16},
		"UTF-16 LE without mark":  {"\"\x00m\x00", "\"m", UTF16},
		"UTF-16 BE without mark":  {"\x00\"\x00m", "\"m", UTF16},
		"half a character":        {"\xff\xfem\x00x", "m", UTF16},
		"half a surrogate":        {"\xff\xfe\x00\xd8", "\uFFFD", UTF16},
		"NULs at the end":         {"a b\x00\x00\x00", "a b\x00\x00\x00", UTF8},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, encoding := Text([]byte(tt.raw))
			if got != tt.want || encoding != tt.encoding {
				t.Errorf("Text(%q) = %q, %s; want %q, %s", tt.raw, got, encoding, tt.want, tt.encoding)
			}
		})
	}
}

func FuzzText(f *testing.F) {
	for _, raw := range []string{"", "\xef\xbb\xbfa", "\xff\xfea\x00", "\xb5\xd8\xcd\xbc", "caf\xe9", "\xaa\xa1"} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if text, encoding := Text(raw); !utf8.ValidString(text) || len(text) > 3*len(raw) {
			t.Fatalf("Text(%q) = %q, %s", raw, text, encoding)
		}
	})
}
