package archive

import (
	"path"
	"strings"
)

// Place says where the members of an archive go.
type Place struct {
	Folder string // "" is the top
	Strip  int    // how many folders of each path are left away
	Flat   bool   // only .vpk files, without their folders
}

// The folders that a game's files begin with, at the top and inside left4dead2.
var (
	topFolders  = set("left4dead2", "left4dead2_dlc1", "left4dead2_dlc2", "left4dead2_dlc3", "update", "bin", "platform")
	gameFolders = set("addons", "cfg", "maps", "materials", "media", "missions", "models", "particles", "resource", "scripts", "sound", "ems", "expressions", "scenes", "shaders")
	// What people put beside their add-ons: worth nothing to a game server.
	companions = set(".txt", ".md", ".url", ".nfo", ".jpg", ".jpeg", ".png", ".gif", ".pdf", ".htm", ".html", ".rtf", ".doc", ".docx")
)

func set(words ...string) map[string]bool {
	m := make(map[string]bool, len(words))
	for _, w := range words {
		m[w] = true
	}
	return m
}

// Suggest says where an archive with these files belongs in a server's tree: at the
// top when they begin with left4dead2 or another folder of the game's, below
// left4dead2 when they begin with addons, cfg, maps and the like, and into
// left4dead2/addons without their folders when there are only add-ons (.vpk) and
// what comes with them. One folder around all of that is left away. ok is false
// when nothing is recognised; the place is the top then.
func Suggest(files []string) (place Place, ok bool) {
	if onlyAddons(files) {
		return Place{Folder: "left4dead2/addons", Flat: true}, true
	}
	for strip := range 2 {
		if strip > 0 && !oneFolder(files) {
			break
		}
		switch {
		case anyBegins(files, strip, topFolders):
			return Place{Strip: strip}, true
		case anyBegins(files, strip, gameFolders):
			return Place{Folder: "left4dead2", Strip: strip}, true
		}
	}
	return Place{}, false
}

func onlyAddons(files []string) bool {
	addons := false
	for _, f := range files {
		switch ext := strings.ToLower(path.Ext(f)); {
		case ext == ".vpk":
			addons = true
			first, _, inside := strings.Cut(f, "/")
			if inside && (topFolders[first] || gameFolders[first]) {
				return false // it says itself where it belongs
			}
		case !companions[ext]:
			return false
		}
	}
	return addons
}

// oneFolder reports whether all files lie in the same folder at the top.
func oneFolder(files []string) bool {
	top := ""
	for _, f := range files {
		first, _, inside := strings.Cut(f, "/")
		if !inside || top != "" && first != top {
			return false
		}
		top = first
	}
	return top != ""
}

func anyBegins(files []string, strip int, folders map[string]bool) bool {
	for _, f := range files {
		parts := strings.SplitN(f, "/", strip+2)
		if len(parts) > strip+1 && folders[parts[strip]] {
			return true
		}
	}
	return false
}

// target is where a member goes; "" when it is left out.
func (p Place) target(m Member) string {
	name := m.Path
	if p.Flat {
		if m.Dir || !strings.EqualFold(path.Ext(name), ".vpk") {
			return ""
		}
		return path.Join(p.Folder, path.Base(name))
	}
	for range p.Strip {
		_, rest, inside := strings.Cut(name, "/")
		if !inside {
			return ""
		}
		name = rest
	}
	return path.Join(p.Folder, name)
}

// Place is where the archive belongs; see Suggest.
func (a *Archive) Place() (place Place, ok bool) {
	var files []string
	for _, m := range a.Members {
		if m.Path != "" && !m.Dir {
			files = append(files, m.Path)
		}
	}
	return Suggest(files)
}
