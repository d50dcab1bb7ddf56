package gate

import (
	"strings"
	"unicode"

	"left4me/hostops/vpk"
)

// refusal is the sentence for a file that the engine cannot mount.
func refusal(f *vpk.Fault) string {
	switch f.Problem {
	case vpk.Empty:
		return "The file is empty: fetch or upload it again."
	case vpk.Disguised:
		if strings.Contains(f.Detail, "archive") {
			return upper(f.Detail) + " and no VPK: unpack it and use what is inside."
		}
		return upper(f.Detail) + " and no VPK: look where it came from and get the right file."
	case vpk.NoVPK:
		return upper(f.Detail) + ", and the game would crash on it: get the right file."
	case vpk.UnknownVersion:
		return upper(f.Detail) + ": pack it again with the game's own vpk tool."
	case vpk.CutOff:
		return upper(f.Detail) + ": it is cut off, so fetch or upload it again."
	case vpk.BadTree, vpk.OutOfBounds:
		return upper(f.Detail) + ": it is damaged and the game would crash on it, so fetch or upload it again."
	case vpk.TooMany:
		return upper(f.Detail) + ", and the game silently leaves such a file out: pack it as several files."
	}
	return upper(f.Detail) + ": put all files of the set (x_dir.vpk, x_000.vpk and so on) into " + addonsDir + "."
}

func upper(clause string) string { return strings.ToUpper(clause[:1]) + clause[1:] }

// short bounds a name in a sentence.
func short(name string) string {
	if runes := []rune(name); len(runes) > 80 {
		return string(runes[:80]) + "…"
	}
	return name
}

// printable keeps a stranger's text from being anything but text.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsGraphic(c) {
			return unicode.ReplacementChar
		}
		return c
	}, text)
}
