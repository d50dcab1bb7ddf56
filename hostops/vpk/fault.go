package vpk

import (
	"bytes"
	"strings"
)

// Problem is why the engine cannot mount a file. The words are kept with versions
// of overlays and never change.
type Problem string

// The problems.
const (
	Empty          Problem = "empty"
	Disguised      Problem = "disguised"    // another kind of file by its first bytes
	NoVPK          Problem = "no_vpk"       // not a package, and nothing else that is known
	UnknownVersion Problem = "version"      // a package of a version the game does not read
	CutOff         Problem = "cut_off"      // shorter than its header says
	BadTree        Problem = "tree"         // the directory cannot be read to its end
	OutOfBounds    Problem = "bounds"       // an entry lies outside of its file
	TooMany        Problem = "too_many"     // more entries than the engine mounts
	MissingPart    Problem = "missing_part" // of a set
)

// Fault is the first thing that is wrong with a file. Detail is half a sentence
// about it, such as "it is a ZIP archive".
type Fault struct {
	Problem Problem
	Detail  string
}

func (f *Fault) Error() string { return f.Detail }

// disguises are what people and servers put in place of a package.
var disguises = []struct{ magic, name string }{
	{"PK\x03\x04", "a ZIP archive"},
	{"PK\x05\x06", "an empty ZIP archive"},
	{"Rar!", "a RAR archive"},
	{"7z\xbc\xaf\x27\x1c", "a 7z archive"},
	{"\x1f\x8b", "a gzip archive"},
	{"\xfd7zXZ\x00", "an xz archive"},
	{"VBSP", "a map (.bsp)"},
	{"\xff\xd8\xff", "a JPEG picture"},
	{"\x89PNG\r\n\x1a\n", "a PNG picture"},
	{"MZ", "a Windows program"},
}

// Disguise says what a file is by its first bytes, at least 16 of them, such as "a
// ZIP archive"; "" when it is nothing that is known here.
func Disguise(first []byte) string {
	for _, d := range disguises {
		if strings.HasPrefix(string(first), d.magic) {
			return d.name
		}
	}
	text := bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(first, []byte("\xef\xbb\xbf")), " \t\r\n"))
	for _, begin := range []string{"<!doctype", "<html", "<head", "<?xml"} {
		if bytes.HasPrefix(text, []byte(begin)) {
			return "a web page"
		}
	}
	return ""
}
