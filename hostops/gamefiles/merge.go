package gamefiles

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"left4me/hostops/ctl"
	"left4me/hostops/servercfg"
)

// generated are the files that are made from a spec, by their path.
type generated map[string]string

// generated makes the files of a spec as initialize does, with the password masked.
func (r *Reader) generated(spec ctl.Spec) (generated, error) {
	spec.RCONPassword = servercfg.Mask
	cfg, err := servercfg.Render(spec, r.Cfg)
	if err != nil {
		return nil, err
	}
	made := generated{}
	for _, f := range cfg.Files {
		made[path.Join(cfgDir, f.Name)] = f.Text
	}
	return made, nil
}

// in lists what of it lies directly in a folder.
func (g generated) in(dir string) []ctl.GameFile {
	byPath := map[string]ctl.GameFile{}
	for p, text := range g {
		rest, below := p, dir == ""
		if !below {
			rest, below = strings.CutPrefix(p, dir+"/")
		}
		if !below {
			continue
		}
		name, _, folder := strings.Cut(rest, "/")
		f := ctl.GameFile{Path: path.Join(dir, name), Kind: ctl.GamePlain, Size: int64(len(text))}
		if folder {
			f.Kind, f.Size = ctl.GameDir, 0
		}
		byPath[f.Path] = f
	}
	var list []ctl.GameFile
	for _, f := range byPath {
		list = append(list, f)
	}
	return list
}

// merge puts the layers of one folder over each other, as overlayfs does: the
// uppermost of a name is seen, folders of one name are one folder down to the first
// file of that name. A name that the game removed stays only where it hides one.
func merge(written upperList, made []ctl.GameFile, lower *ctl.Stack) []ctl.GameFile {
	byPath := map[string]*ctl.GameFile{}
	closed := map[string]bool{} // folders whose lower layers are hidden by a file
	add := func(f ctl.GameFile) {
		e := byPath[f.Path]
		switch {
		case e == nil:
			byPath[f.Path] = &f
		case e.Kind != ctl.GameDir: // it hides everything below it
			e.Layers = append(e.Layers, f.Layers...)
		case f.Kind != ctl.GameDir:
			closed[f.Path] = true
		case !closed[f.Path]:
			e.Layers = append(e.Layers, f.Layers...)
		}
	}
	for _, f := range written.entries {
		add(f)
	}
	if !written.hides {
		for _, f := range made {
			f.Layers = []int{1}
			add(f)
		}
		for _, e := range lower.Entries {
			f := ctl.GameFile{Path: e.Path, Kind: ctl.GamePlain, Size: e.Size, Link: e.Link, Layers: make([]int, len(e.Layers))}
			switch {
			case e.Dir:
				f.Kind = ctl.GameDir
			case e.Link != "":
				f.Kind = ctl.GameLink
			}
			for i, n := range e.Layers {
				f.Layers[i] = n + 2
			}
			add(f)
		}
	}
	list := make([]ctl.GameFile, 0, len(byPath))
	for _, f := range byPath {
		if f.Kind != ctl.GameRemoved || len(f.Layers) > 1 {
			list = append(list, *f)
		}
	}
	return list
}

// order sorts a folder as it is shown, and leaves out what is too much.
func order(g *ctl.GameFolder) {
	slices.SortFunc(g.Entries, func(a, b ctl.GameFile) int {
		if a.Kind == ctl.GameDir != (b.Kind == ctl.GameDir) {
			if a.Kind == ctl.GameDir {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Path, b.Path)
	})
	if len(g.Entries) > maxEntries {
		g.More, g.Entries = len(g.Entries)-maxEntries, g.Entries[:maxEntries]
	}
}
