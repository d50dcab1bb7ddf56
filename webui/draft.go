package webui

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"left4me/hostops/ctl"
	"left4me/models"
)

// addonsFolder is where a game looks for add-ons.
const addonsFolder = "left4dead2/addons"

// draftTree is the content of a files overlay as it will be when its draft is
// published: the current version with the draft's changes made in order. What the
// version has and the draft has not is in it as well, marked as gone.
type draftTree struct {
	root *draftNode
	// Faults are the changes that cannot be made, by their number, each with a
	// sentence. The host would end the build at the first of them.
	Faults map[int64]string
}

type draftNode struct {
	kids map[string]*draftNode // of a folder; nil for a file
	was  bool                  // the version has something of this name here
	gone bool                  // it is not there any more
	to   string                // of what is gone: where it was moved
	from string                // of what was moved: its path in the version

	// Of files.
	size   int64
	origin string // the version's path that has the content
	sum    string // of that content, in hex
	upload string // the upload that has the content, when origin has not

	unpacks []models.DraftChange // archives to be unpacked into this folder
}

func (n *draftNode) dir() bool { return n.kids != nil }

// newDraftTree makes the tree of a version, which may be empty, and makes the draft's
// changes to it.
func newDraftTree(base []ctl.ManifestFile, changes []models.DraftChange) *draftTree {
	t := &draftTree{root: &draftNode{kids: map[string]*draftNode{}, was: true}, Faults: map[int64]string{}}
	for _, f := range base {
		dir, name := t.root, f.Path
		for first, rest, deeper := strings.Cut(name, "/"); deeper; first, rest, deeper = strings.Cut(name, "/") {
			next := dir.kids[first]
			if next == nil || !next.dir() {
				next = &draftNode{kids: map[string]*draftNode{}, was: true}
				dir.kids[first] = next
			}
			dir, name = next, rest
		}
		n := &draftNode{was: true, size: f.Size, origin: f.Path, sum: f.SHA256}
		if f.Dir {
			n = &draftNode{was: true, kids: map[string]*draftNode{}}
		}
		dir.kids[name] = n
	}
	t.fill("", t.root)
	for _, c := range changes {
		if err := t.apply(c); err != nil {
			t.Faults[c.Seq] = err.Error()
			if bad, ok := models.AsInvalid(err); ok {
				t.Faults[c.Seq] = bad.Message
			}
		}
	}
	return t
}

// fill tells folders of the version where they are, so that a move can be told.
func (t *draftTree) fill(at string, n *draftNode) {
	n.origin = cmp.Or(n.origin, at)
	for name, kid := range n.kids {
		if kid.dir() {
			t.fill(within(at, name), kid)
		}
	}
}

// find is what lies at a path, "" for the top; nil when nothing does.
func (t *draftTree) find(p string) *draftNode {
	n := t.root
	if p == "" {
		return n
	}
	for name := range strings.SplitSeq(p, "/") {
		if n = n.kids[name]; n == nil || n.gone {
			return nil
		}
	}
	return n
}

// apply makes one change, or says in a sentence why it cannot be made.
func (t *draftTree) apply(c models.DraftChange) error {
	switch ctl.FileOp(c.Op) {
	case ctl.FilePut:
		return t.put(c)
	case ctl.FileUnpack:
		dir, err := t.mkdir(strings.TrimPrefix(c.Path, "."))
		if err == nil {
			dir.unpacks = append(dir.unpacks, c)
		}
		return err
	case ctl.FileMkdir:
		_, err := t.mkdir(c.Path)
		return err
	case ctl.FileMove:
		return t.move(c.Path, c.Target)
	case ctl.FileDelete:
		return t.remove(c.Path)
	}
	return fmt.Errorf("%q is no change", c.Op)
}

// putPath is where a change puts its file.
func putPath(c models.DraftChange) string {
	if c.Path == "" {
		return path.Join(addonsFolder, c.Name)
	}
	return c.Path
}

func (t *draftTree) put(c models.DraftChange) error {
	p := putPath(c)
	dir, err := t.mkdir(folderOf(p))
	if err != nil {
		return err
	}
	old := dir.kids[path.Base(p)]
	if old != nil && !old.gone && old.dir() {
		return models.Invalid("path", fmt.Sprintf("There is a folder called “%s”. Rename or delete it first.", p))
	}
	dir.kids[path.Base(p)] = &draftNode{was: old != nil && old.was, size: c.Size, upload: c.UploadID}
	return nil
}

// mkdir finds a folder and makes it, and those above it, where there is none.
func (t *draftTree) mkdir(p string) (*draftNode, error) {
	n := t.root
	if p == "" {
		return n, nil
	}
	at := ""
	for name := range strings.SplitSeq(p, "/") {
		at = within(at, name)
		next := n.kids[name]
		switch {
		case next == nil:
			next = &draftNode{kids: map[string]*draftNode{}}
		case next.gone && next.dir():
			next.gone, next.to, next.origin = false, "", "" // made anew; what was in it stays gone
		case next.gone:
			next = &draftNode{kids: map[string]*draftNode{}, was: true}
		case !next.dir():
			return nil, models.Invalid("path", fmt.Sprintf("There is a file called “%s” where a folder is needed. Rename or delete it first.", at))
		}
		n.kids[name] = next
		n = next
	}
	return n, nil
}

func (t *draftTree) missing(p string) error {
	return models.Invalid("path", fmt.Sprintf("There is no “%s” any more. Look at the files as they are now.", p))
}

func (t *draftTree) remove(p string) error {
	if t.find(p) == nil {
		return t.missing(p)
	}
	t.bury(p, "")
	return nil
}

func (t *draftTree) move(from, to string) error {
	n := t.find(from)
	switch {
	case n == nil:
		return t.missing(from)
	case from == to:
		return nil
	case strings.HasPrefix(to, from+"/"):
		return models.Invalid("target", "A folder cannot be moved into itself.")
	case t.find(to) != nil:
		return models.Invalid("target", fmt.Sprintf("There is a “%s” already. Rename or delete it first.", to))
	}
	dir, err := t.mkdir(folderOf(to))
	if err != nil {
		return err
	}
	moved := lift(n, from)
	t.bury(from, to)
	if old := dir.kids[path.Base(to)]; old != nil {
		over(moved, old)
	}
	dir.kids[path.Base(to)] = moved
	return nil
}

// lift copies what is there, as something that comes from elsewhere.
func lift(n *draftNode, at string) *draftNode {
	up := &draftNode{size: n.size, origin: n.origin, sum: n.sum, upload: n.upload, unpacks: n.unpacks, from: n.from}
	if n.was && n.from == "" && n.upload == "" && n.origin != "" {
		up.from = at
	}
	if n.dir() {
		up.kids = make(map[string]*draftNode, len(n.kids))
		for name, kid := range n.kids {
			if !kid.gone {
				up.kids[name] = lift(kid, within(at, name))
			}
		}
	}
	return up
}

// over puts n where the version had old, which is gone.
func over(n, old *draftNode) {
	n.was = old.was
	if !n.dir() {
		return
	}
	for name, gone := range old.kids {
		if kid := n.kids[name]; kid != nil {
			over(kid, gone)
		} else {
			n.kids[name] = gone
		}
	}
}

// bury takes away what is at a path. Of what the version has a mark stays, with where
// it went, "" for nowhere.
func (t *draftTree) bury(p, to string) {
	dir := t.find(folderOf(p))
	if name := path.Base(p); !dir.kids[name].bury(to) {
		delete(dir.kids, name)
	}
}

func (n *draftNode) bury(to string) (mark bool) {
	if n.gone {
		return true
	}
	for name, kid := range n.kids {
		below := ""
		if to != "" {
			below = within(to, name)
		}
		if !kid.bury(below) {
			delete(n.kids, name)
		}
	}
	n.gone, n.to, n.upload, n.unpacks, n.from = true, to, "", nil, ""
	return n.was
}

// fileEntry is one line of a folder's list.
type fileEntry struct {
	Path, Name string
	Dir, Gone  bool
	Size       int64
	Word       string // what the draft does to it, "" for nothing
	Tone, Icon string
	Note       string
}

// list is what a folder holds, folders first. ok is false when there is no such
// folder.
func (t *draftTree) list(dir string) (list []fileEntry, ok bool) {
	n := t.find(dir)
	if n == nil || !n.dir() {
		return nil, false
	}
	for name, kid := range n.kids {
		list = append(list, kid.entry(within(dir, name)))
	}
	slices.SortFunc(list, func(a, b fileEntry) int {
		if a.Dir != b.Dir {
			if a.Dir {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	for i := len(n.unpacks) - 1; i >= 0; i-- {
		list = slices.Insert(list, 0, unpackEntry(n.unpacks[i]))
	}
	return list, true
}

func unpackEntry(c models.DraftChange) fileEntry {
	e := fileEntry{Name: c.Name, Size: c.Size, Word: "Unpacks", Tone: "ok", Icon: "down", Note: "will be unpacked into this folder"}
	if c.Path == "" {
		e.Note = "will be unpacked where its content belongs"
	}
	return e
}

func (n *draftNode) entry(at string) fileEntry {
	e := fileEntry{Path: at, Name: path.Base(at), Dir: n.dir(), Gone: n.gone, Size: n.size}
	moved := n.from != "" && n.from != at
	switch {
	case n.gone && n.to != "":
		e.Word, e.Tone, e.Icon, e.Note = "Moved away", "", "up", "to "+n.to
	case n.gone:
		e.Word, e.Tone, e.Icon = "Deleted", "bad", "trash"
	case moved:
		e.Word, e.Tone, e.Icon, e.Note = "Moved", "info", "down", "from "+n.from
	case !n.was:
		e.Word, e.Tone, e.Icon = "New", "ok", "plus"
	case !n.dir() && n.from == "" && n.upload != "":
		e.Word, e.Tone, e.Icon = "Changed", "busy", "again"
	case n.dir() && n.changed(at):
		e.Word, e.Tone, e.Icon = "Changed inside", "busy", "again"
	}
	return e
}

// changed says whether anything below a folder is not as the version has it.
func (n *draftNode) changed(at string) bool {
	if len(n.unpacks) > 0 {
		return true
	}
	for name, kid := range n.kids {
		p := within(at, name)
		if kid.gone || !kid.was || kid.upload != "" || kid.from != "" && kid.from != p || kid.dir() && kid.changed(p) {
			return true
		}
	}
	return false
}

// token names a file's content: an editor that was opened on other content must not
// replace it unasked. "" is no file.
func (n *draftNode) token() string {
	switch {
	case n == nil || n.gone || n.dir():
		return ""
	case n.upload != "":
		return "upload:" + n.upload
	}
	return "sum:" + n.sum
}

// files lists the files below a folder with their paths, ordered, at most limit; more
// says that there are others.
func (n *draftNode) files(at string, limit int) (list []treeFile, more bool) {
	names := make([]string, 0, len(n.kids))
	for name, kid := range n.kids {
		if !kid.gone {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		kid, p := n.kids[name], within(at, name)
		if !kid.dir() {
			list = append(list, treeFile{p, kid})
		} else {
			below, cut := kid.files(p, limit-len(list))
			list, more = append(list, below...), more || cut
		}
		if len(list) > limit {
			return list[:limit], true
		}
	}
	return list, more
}

// treeFile is a file of the tree with where it lies.
type treeFile struct {
	Path string
	node *draftNode
}
