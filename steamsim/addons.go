package steamsim

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// addons is how mounting the add-ons ended.
type addons int

const (
	addonsMounted addons = iota
	addonsHang           // one cannot be read: the start goes no further
	addonsCrash          // one is no VPK
)

// mountAddons reads the tree of every VPK directly in addons/, as the engine
// mounts them all, and learns their maps.
func (s *server) mountAddons() addons {
	paths, err := filepath.Glob(filepath.Join(s.game, "addons", "*.vpk"))
	if err != nil {
		return addonsMounted // cannot happen: the pattern is ours
	}
	found := map[string]bool{}
	for _, p := range paths {
		files, err := listVPK(p)
		switch {
		case errors.Is(err, errNotVPK):
			s.printf("CPackedStore: %s is not a valid VPK\n", filepath.Base(p))
			return addonsCrash
		case err != nil:
			s.printf("Unable to open %s\n", p)
			return addonsHang
		}
		for _, name := range files {
			if m, ok := mapName(name); ok {
				found[m] = true
			}
		}
	}
	s.addonMaps = found
	return addonsMounted
}

// mapName is x for maps/x.bsp.
func mapName(path string) (string, bool) {
	name, ok := strings.CutPrefix(path, "maps/")
	name, isMap := strings.CutSuffix(name, ".bsp")
	return name, ok && isMap && !strings.Contains(name, "/")
}

// cmdUpdateAddonPaths mounts what lies in addons/ now. A file that is no VPK
// kills a running server as it kills one that starts.
func (s *server) cmdUpdateAddonPaths(command) {
	if s.mountAddons() == addonsCrash {
		s.crash()
	}
}

// mapExists says whether a map can be loaded: from a file below maps/, of any
// layer, or from a mounted VPK.
func (s *server) mapExists(name string) bool {
	if name == "" || strings.ContainsAny(name, "/\\") {
		return false
	}
	if s.addonMaps[strings.ToLower(name)] {
		return true
	}
	st, err := os.Stat(filepath.Join(s.game, "maps", name+".bsp"))
	return err == nil && st.Mode().IsRegular()
}

// cmdMaps lists the maps with a word in their name; * is all.
func (s *server) cmdMaps(c command) {
	paths, err := filepath.Glob(filepath.Join(s.game, "maps", "*.bsp"))
	if err != nil {
		return // cannot happen: the pattern is ours
	}
	var names []string
	for _, p := range paths {
		names = append(names, filepath.Base(p))
	}
	for name := range s.addonMaps {
		names = append(names, name+".bsp")
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if c.arg(0) == "*" || strings.Contains(name, c.arg(0)) {
			s.printf("PENDING:   (fs) %s\n", name)
		}
	}
}
