package archive

import (
	"bytes"
	"compress/gzip"
	"io"
	"strconv"
	"strings"
)

// Format is what a file is, by its first bytes.
type Format string

// The formats that are told apart. Those behind TarGzip are only recognised, to say
// what they are.
const (
	Zip      Format = "ZIP"
	SevenZip Format = "7z"
	RAR      Format = "RAR"
	Tar      Format = "tar"
	TarGzip  Format = "tar.gz"
	VPK      Format = "VPK"
	Gzip     Format = "gzip"
	Bzip2    Format = "bzip2"
	XZ       Format = "xz"
	Zstd     Format = "Zstandard"
	SplitZip Format = "split ZIP"
	Unknown  Format = ""
)

var magics = []struct {
	magic  string
	format Format
}{
	{"PK\x03\x04", Zip},
	{"PK\x05\x06", Zip},
	{"PK\x07\x08", SplitZip},
	{"7z\xbc\xaf\x27\x1c", SevenZip},
	{"Rar!\x1a\x07", RAR},
	{"\x34\x12\xaa\x55", VPK}, // 0x55AA1234, little endian
	{"\x1f\x8b", Gzip},
	{"BZh", Bzip2},
	{"\xfd7zXZ\x00", XZ},
	{"\x28\xb5\x2f\xfd", Zstd},
}

// Recognise says what the first size bytes of r are. Names say nothing: what people
// call .zip may be anything.
func Recognise(r io.ReaderAt, size int64) Format {
	head := make([]byte, 512)
	n, _ := r.ReadAt(head, 0) // a shorter file is one as well; what cannot be read is nothing
	head = head[:n]
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			if m.format == Gzip && tarInside(io.NewSectionReader(r, 0, size)) {
				return TarGzip
			}
			return m.format
		}
	}
	if isTar(head) {
		return Tar
	}
	return Unknown
}

func tarInside(r io.Reader) bool {
	z, err := gzip.NewReader(r)
	if err != nil {
		return false
	}
	head := make([]byte, 512)
	_, err = io.ReadFull(z, head)
	return err == nil && isTar(head)
}

// isTar looks at a tar's first block: its bytes, with blanks for the sum itself at
// 148, come to the octal number that stands there.
func isTar(head []byte) bool {
	if len(head) < 512 {
		return false
	}
	sum := int64(0)
	for i, b := range head {
		if i >= 148 && i < 156 {
			b = ' '
		}
		sum += int64(b)
	}
	want, err := strconv.ParseInt(strings.Trim(string(head[148:156]), " \x00"), 8, 64)
	return err == nil && want == sum
}

// unreadable says what to do with what is no archive that is unpacked here.
func unreadable(f Format) error {
	switch f {
	case VPK:
		return refuse("the file is a VPK and no archive: put it into left4dead2/addons as it is")
	case SplitZip:
		return refuse("the archive is one part of several: pack it again as a single file")
	case Gzip, Bzip2, XZ, Zstd:
		return refuse("%s files cannot be unpacked here: pack it as ZIP, 7z or tar.gz", f)
	}
	return refuse("the file is no archive that can be read: pack it as ZIP, 7z, RAR or tar.gz")
}
