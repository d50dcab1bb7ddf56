package overlay

import (
	"container/heap"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// The bounds of a stack as it is shown.
const (
	maxLayers  = 400   // as many as a spec may name
	maxEntries = 2_000 // of one folder
	maxShadows = 500
	maxLooked  = 128 << 20 // bytes of the lists of all layers together, by weight
	maxStock   = 20_000    // files that are looked for among the game's own
	maxNames   = 50_000    // of one folder of the game
)

// Stack says what a game with these refs, uppermost first, would see of the folder
// dir, which is "" for the top; and which files below it hide others. It reads
// manifests, and of the game only folders that are asked for. A layer that cannot
// be read says so and counts as empty. Refs or a folder that are no such thing are
// fs.ErrNotExist.
func (s *Store) Stack(refs []string, dir string) (*ctl.Stack, error) {
	st, l, err := s.folderOf(refs, dir)
	if err != nil {
		return nil, err
	}
	defer l.close()
	st.Shadows = shadows(l.trees, l.game, dir)
	return st, nil
}

// Folder is Stack without the files below dir that hide others.
func (s *Store) Folder(refs []string, dir string) (*ctl.Stack, error) {
	st, l, err := s.folderOf(refs, dir)
	if err != nil {
		return nil, err
	}
	l.close()
	return st, nil
}

// OpenIn opens the regular file path as a game with these refs, uppermost first,
// would see it. What is hidden by a file on the way, or is no file, is
// fs.ErrNotExist.
func (s *Store) OpenIn(refs []string, file string) (File, error) {
	if !fs.ValidPath(file) || file == "." || len(file) > MaxPath {
		return nil, missing(clip(file))
	}
	_, l, err := s.layersOf(refs)
	if err != nil {
		return nil, err
	}
	defer l.close()
	for i, tree := range l.trees {
		if fileOnTheWay(tree, path.Dir(file)) {
			return nil, missing(file)
		}
		if len(below(tree, file)) > 0 { // a folder
			return nil, missing(file)
		}
		if f := find(tree, file); f != nil {
			ref, err := ParseRef(refs[i])
			if err != nil || f.Dir {
				return nil, missing(file)
			}
			return s.Open(ref.Overlay, ref.Version, file)
		}
	}
	if l.game == nil {
		return nil, missing(file)
	}
	f, err := l.game.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return nil, err
		}
		return nil, missing(file)
	}
	return regular(f, file)
}

// layers are the lists of some versions and the game's own folder below them.
type layers struct {
	trees [][]ctl.ManifestFile // uppermost first; nil for one that cannot be read
	game  *os.Root             // nil when it is not installed
}

func (l layers) close() {
	if l.game != nil {
		_ = l.game.Close() // read only; nothing can be lost
	}
}

func (s *Store) folderOf(refs []string, dir string) (*ctl.Stack, layers, error) {
	if dir != "" && (!fs.ValidPath(dir) || dir == "." || len(dir) > MaxPath) {
		return nil, layers{}, missing(clip(dir))
	}
	st, l, err := s.layersOf(refs)
	if err != nil {
		return nil, l, err
	}
	st.Dir = dir
	all := entriesOf(l.trees, l.game, dir)
	if len(all) > maxEntries {
		st.More, all = len(all)-maxEntries, all[:maxEntries]
	}
	st.Entries = all
	return st, l, nil
}

func (s *Store) layersOf(refs []string) (*ctl.Stack, layers, error) {
	if len(refs) > maxLayers {
		return nil, layers{}, fmt.Errorf("%d overlays are too many: at most %d can be stacked", len(refs), maxLayers)
	}
	st := &ctl.Stack{Layers: make([]ctl.StackLayer, 0, len(refs)+1)}
	trees, looked := make([][]ctl.ManifestFile, 0, len(refs)), 0
	for _, text := range refs {
		ref, err := ParseRef(text)
		if err != nil {
			return nil, layers{}, missing(clip(text))
		}
		layer, tree := s.layer(ref)
		if looked += weight(tree); looked > maxLooked {
			layer.Fault, tree = "the layers above have too many files to look at these as well", nil
		}
		st.Layers, trees = append(st.Layers, layer), append(trees, tree)
		st.Size += layer.Size
	}
	game, err := os.OpenRoot(s.path(dirInstallation))
	st.Layers = append(st.Layers, ctl.StackLayer{})
	if err != nil {
		st.Layers[len(refs)].Fault = "the game is not installed"
	}
	return st, layers{trees, game}, nil
}

func (s *Store) layer(ref Ref) (ctl.StackLayer, []ctl.ManifestFile) {
	layer := ctl.StackLayer{Ref: ref.String()}
	m, err := s.manifest(ref)
	switch {
	case !s.there(ref):
		layer.Fault = s.Missing(ref).Error()
	case errors.Is(err, fs.ErrNotExist):
		layer.Fault = "it has no list of its files: it was not made by l4d2ctl overlay build"
	case err != nil:
		layer.Fault = "the list of its files cannot be read: build the overlay again"
	default:
		layer.Files, layer.Size = m.Files, m.Size
		return layer, m.Tree
	}
	return layer, nil
}

// entriesOf lists one folder as overlayfs merges it: the uppermost layer of a name
// wins, folders of one name are one folder down to the first file of that name.
func entriesOf(trees [][]ctl.ManifestFile, game *os.Root, dir string) []ctl.StackEntry {
	byName := map[string]*ctl.StackEntry{}
	closed := map[string]bool{} // names whose lower layers are hidden by a file
	add := func(layer int, name string, isDir bool, size int64, link string) {
		e := byName[name]
		switch {
		case e == nil:
			byName[name] = &ctl.StackEntry{Path: path.Join(dir, name), Dir: isDir, Size: size, Link: link, Layers: []int{layer}}
		case !e.Dir: // a file hides everything below it
			e.Layers = append(e.Layers, layer)
		case !isDir:
			closed[name] = true
		case !closed[name]:
			e.Layers = append(e.Layers, layer)
		}
	}
	hidden := false
	for i, tree := range trees {
		if hidden = fileOnTheWay(tree, dir); hidden {
			break
		}
		eachName(below(tree, dir), dir, func(name string, f *ctl.ManifestFile) {
			if f == nil {
				add(i, name, true, 0, "")
			} else {
				add(i, name, f.Dir, f.Size, f.Link)
			}
		})
	}
	if !hidden {
		for _, e := range gameEntries(game, dir) {
			add(len(trees), e.name, e.dir, e.size(), "")
		}
	}
	list := make([]ctl.StackEntry, 0, len(byName))
	for _, e := range byName {
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b ctl.StackEntry) int {
		if a.Dir != b.Dir {
			if a.Dir {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Path, b.Path)
	})
	return list
}

// fileOnTheWay reports whether a layer has a file or link where dir or a folder
// above it would be: whatever lower layers have there is hidden.
func fileOnTheWay(tree []ctl.ManifestFile, dir string) bool {
	for at := dir; at != "" && at != "."; at = path.Dir(at) {
		if f := find(tree, at); f != nil && !f.Dir {
			return true
		}
	}
	return false
}

// find is the entry of an ordered tree with this path, nil for none.
func find(tree []ctl.ManifestFile, path string) *ctl.ManifestFile {
	i, found := slices.BinarySearchFunc(tree, path, func(f ctl.ManifestFile, p string) int { return strings.Compare(f.Path, p) })
	if !found {
		return nil
	}
	return &tree[i]
}

// below is the part of an ordered tree that lies in dir.
func below(tree []ctl.ManifestFile, dir string) []ctl.ManifestFile {
	if dir == "" {
		return tree
	}
	from := sort.Search(len(tree), func(i int) bool { return tree[i].Path >= dir+"/" })
	to := sort.Search(len(tree), func(i int) bool { return tree[i].Path >= dir+"0" }) // what follows '/'
	return tree[from:to]
}

// eachName calls f for every name directly in dir: with its entry, or with nil for
// a folder that has something in it.
func eachName(tree []ctl.ManifestFile, dir string, f func(name string, e *ctl.ManifestFile)) {
	skip := 0
	if dir != "" {
		skip = len(dir) + 1
	}
	for len(tree) > 0 {
		name, _, folder := strings.Cut(tree[0].Path[skip:], "/")
		if !folder {
			f(name, &tree[0])
			tree = tree[1:]
			continue
		}
		f(name, nil)
		end := tree[0].Path[:skip+len(name)] + "0"
		tree = tree[sort.Search(len(tree), func(i int) bool { return tree[i].Path >= end }):]
	}
}

type gameEntry struct {
	name string
	dir  bool
	info func() (fs.FileInfo, error)
}

func (e gameEntry) size() int64 {
	if e.dir {
		return 0
	}
	info, err := e.info()
	if err != nil {
		return 0 // gone again
	}
	return info.Size()
}

func gameEntries(game *os.Root, dir string) []gameEntry {
	if game == nil {
		return nil
	}
	f, err := game.Open(path.Join(".", dir))
	if err != nil {
		return nil // the game has no such folder
	}
	defer f.Close() // read only; nothing can be lost
	entries, err := f.ReadDir(maxNames)
	if err != nil {
		return nil // empty, or no folder
	}
	list := make([]gameEntry, len(entries))
	for i, e := range entries {
		list[i] = gameEntry{e.Name(), e.IsDir(), e.Info}
	}
	return list
}

// shadows finds the files below dir that hide files of lower layers, in order of
// their paths: of overlays always, of the game among the first ones.
func shadows(trees [][]ctl.ManifestFile, game *os.Root, dir string) []ctl.StackEntry {
	var rest layerHeap
	for i, tree := range trees {
		if tree = below(tree, dir); len(tree) > 0 {
			rest = append(rest, layerRest{i, tree})
		}
	}
	heap.Init(&rest)
	stock := stockFiles{root: game}
	defer stock.close()
	var list []ctl.StackEntry
	for len(rest) > 0 && len(list) < maxShadows {
		e := ctl.StackEntry{Path: rest[0].tree[0].Path}
		for len(rest) > 0 && rest[0].tree[0].Path == e.Path {
			if f := rest[0].tree[0]; !f.Dir {
				if len(e.Layers) == 0 {
					e.Size = f.Size
				}
				e.Layers = append(e.Layers, rest[0].layer)
			}
			if rest[0].tree = rest[0].tree[1:]; len(rest[0].tree) == 0 {
				heap.Pop(&rest)
			} else {
				heap.Fix(&rest, 0)
			}
		}
		if len(e.Layers) > 0 && stock.has(e.Path) {
			e.Layers = append(e.Layers, len(trees))
		}
		if len(e.Layers) > 1 {
			list = append(list, e)
		}
	}
	return list
}

// layerRest is what is left to be looked at of a layer.
type layerRest struct {
	layer int
	tree  []ctl.ManifestFile
}

// layerHeap has the lowest path first, and of one path the uppermost layer.
type layerHeap []layerRest

func (h layerHeap) Len() int      { return len(h) }
func (h layerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h layerHeap) Less(i, j int) bool {
	if a, b := h[i].tree[0].Path, h[j].tree[0].Path; a != b {
		return a < b
	}
	return h[i].layer < h[j].layer
}
func (h *layerHeap) Push(x any) { *h = append(*h, x.(layerRest)) }
func (h *layerHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// stockFiles looks for files of the game. Paths come in order, so the folder of
// the last one is usually that of the next.
type stockFiles struct {
	root   *os.Root
	looked int
	dir    string
	at     *os.Root // nil where the game has no such folder
}

func (s *stockFiles) has(file string) bool {
	if s.root == nil || s.looked >= maxStock {
		return false
	}
	if dir := path.Dir(file); s.looked == 0 || dir != s.dir {
		s.close()
		s.dir = dir
		s.at, _ = s.root.OpenRoot(dir) // nil: the game has no such folder
	}
	s.looked++
	if s.at == nil {
		return false
	}
	info, err := s.at.Lstat(path.Base(file))
	return err == nil && !info.IsDir()
}

func (s *stockFiles) close() {
	if s.at != nil {
		_ = s.at.Close() // read only; nothing can be lost
		s.at = nil
	}
}
