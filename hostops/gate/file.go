package gate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"left4me/hostops/charset"
	"left4me/hostops/ctl"
	"left4me/hostops/vpk"
)

// CheckFile looks at one VPK of size bytes, which is called at in findings. parts
// is nil for one that belongs to no set. Only its directory, its mission files and
// its addoninfo.txt are read, unless it is refused: then all of it, for its hash.
func CheckFile(ctx context.Context, at string, r io.ReaderAt, size int64, parts vpk.Part) (Report, error) {
	c := &check{ctx: ctx, admit: func(string) bool { return false }, maps: map[string]bool{}}
	if _, err := c.file(at, r, size, parts); err != nil {
		return Report{}, err
	}
	return c.report("this file")
}

// file checks one package. It reports whether the file stays.
func (c *check) file(at string, r io.ReaderAt, size int64, parts vpk.Part) (stays bool, err error) {
	a, err := vpk.Open(r, size, parts)
	in := inventory{}
	if err == nil {
		err = in.take(c.ctx, a)
	}
	var fault *vpk.Fault
	if err != nil && !errors.As(err, &fault) {
		return false, fmt.Errorf("check %s: %w", at, err)
	}
	if fault != nil {
		if stem, ok := vpk.PartOf(at); ok && fault.Problem == vpk.NoVPK {
			fault = &vpk.Fault{Problem: vpk.MissingPart, Detail: "its " + short(path.Base(stem)) + "_dir.vpk is missing"}
		}
		hash, err := hashOf(c.ctx, r, size)
		if err != nil {
			return false, fmt.Errorf("check %s: %w", at, err)
		}
		if !c.refuse(at, "vpk."+string(fault.Problem), refusal(fault), hash) {
			return false, nil
		}
	}
	if a != nil {
		c.contents(at, a, in)
	}
	if c.ctx.Err() != nil {
		return false, context.Cause(c.ctx)
	}
	return true, nil
}

// refuse adds the finding and reports whether an administrator let the file in.
func (c *check) refuse(at, code, sentence, hash string) (admitted bool) {
	admitted = hash != "" && c.admit(hash)
	c.add(ctl.Finding{Path: at, Verdict: ctl.VerdictRefused, Code: code, Sentence: sentence, SHA256: hash, Admitted: admitted})
	return admitted
}

func hashOf(ctx context.Context, r io.ReaderAt, size int64) (string, error) {
	h := sha256.New()
	source := io.NewSectionReader(r, 0, size)
	for {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if _, err := io.CopyN(h, source, 16<<20); errors.Is(err, io.EOF) {
			return hex.EncodeToString(h.Sum(nil)), nil
		} else if err != nil {
			return "", err
		}
	}
}

// Limits of what one package can make us remember.
const (
	maxMissionFiles = 100
	maxMapsOfFile   = 5000
	maxNames        = 3 // in a sentence
)

// inventory is what of a package's directory matters.
type inventory struct {
	maps     []string
	missions []vpk.Entry
	info     *vpk.Entry
	global   names
	stock    names
	encoded  names
	encoding charset.Encoding
	odd      names
	useful   bool // it has what a server reads
	more     bool // mission files that were left out
}

// names counts, and keeps the first for a sentence.
type names struct {
	first []string
	count int
}

func (n *names) add(name string) {
	if n.count++; len(n.first) < maxNames {
		n.first = append(n.first, short(name))
	}
}

func (n names) String() string {
	text := strings.Join(n.first, ", ")
	if more := n.count - len(n.first); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// take goes through the directory. What it saw before a fault is kept.
func (in *inventory) take(ctx context.Context, a *vpk.Archive) error {
	n := 0
	for e, err := range a.Entries() {
		if err != nil {
			return err
		}
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		in.entry(e)
	}
	return nil
}

func (in *inventory) entry(e vpk.Entry) {
	if e.Encoding != charset.UTF8 {
		in.encoded.add(e.Path)
		in.encoding = e.Encoding
	}
	if oddName(e.Path) {
		in.odd.add(e.Path)
	}
	name := strings.ToLower(e.Path) // the engine knows no case inside of packages
	dir, base := path.Split(name)
	if dir == "maps/" || dir == "missions/" || strings.HasPrefix(dir, "scripts/") || strings.HasPrefix(dir, "cfg/") {
		in.useful = true
	}
	switch {
	case dir == "maps/" && strings.HasSuffix(base, ".bsp"):
		if ctl.IsBuiltInMap(mapKey(base)) {
			in.stock.add(e.Path)
		}
		if len(in.maps) < maxMapsOfFile {
			in.maps = append(in.maps, base)
		}
	case dir == "missions/" && strings.HasSuffix(base, ".txt"):
		if len(in.missions) == maxMissionFiles {
			in.more = true
			return
		}
		in.missions = append(in.missions, e)
	case name == "addoninfo.txt":
		in.info = &e
	case globalScript(dir, base):
		in.global.add(e.Path)
	}
}

// globalScript knows the files that work on every map, whichever package they are
// in: since the game's update of 2020 these three scripts of all packages run, and
// these texts replace the game's own.
func globalScript(dir, base string) bool {
	switch dir {
	case "scripts/vscripts/":
		return base == "mapspawn_addon.nut" || base == "scriptedmode_addon.nut" || base == "director_base_addon.nut"
	case "scripts/":
		return base == "gamemodes.txt" || strings.HasPrefix(base, "weapon_") && strings.HasSuffix(base, ".txt")
	}
	return false
}

// oddName finds what the game's own tools never write.
func oddName(name string) bool {
	if strings.HasPrefix(name, "/") || strings.Contains(name, `\`) || printable(name) != name {
		return true
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." || part == "." {
			return true
		}
	}
	return false
}

// contents says what there is to say of a package that can be read.
func (c *check) contents(at string, a *vpk.Archive, in inventory) {
	for _, m := range in.maps {
		c.addMap(m)
	}
	c.missions(at, a, in)
	if in.global.count > 0 {
		c.warn(at, "vpk.global_script", "It has scripts that work on every map and not only on its own (%s): take it out of the blueprint when another campaign plays oddly.", in.global)
	}
	if in.stock.count > 0 {
		c.warn(at, "vpk.overrides_stock", "It replaces maps of the game itself (%s): players without it cannot join those.", in.stock)
	}
	if in.encoded.count > 0 {
		c.warn(at, "vpk.name_encoding", "It has names that are not in UTF-8 but in %s (%s): the game may not find those files.", in.encoding, in.encoded)
	}
	if in.odd.count > 0 {
		c.warn(at, "vpk.odd_names", "It has names that the game's own tools never write (%s): the game will not find those files.", in.odd)
	}
	if !in.useful {
		c.add(ctl.Finding{
			Path: at, Verdict: ctl.VerdictOK, Code: "vpk.no_maps",
			Sentence: "It has neither maps nor scripts: it changes what players see who have it themselves, and a server hardly needs it.",
		})
	}
}

// openFile opens a file of the tree that a stranger made: it never waits for a FIFO
// and opens no device.
func (t *tree) openFile(name string) (*os.File, int64, error) {
	f, err := t.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNoFile
	}
	if err != nil {
		_ = f.Close() // read only; nothing can be lost
		return nil, 0, err
	}
	return f, info.Size(), nil
}

var errNoFile = errors.New("it is no regular file")

// addons checks every package that the engine would mount: sets first, since they
// say which of the other files are their parts.
func (t *tree) addons() error {
	entries, err := t.list(addonsDir)
	if err != nil {
		return err
	}
	var sets, others []string
	for _, e := range entries {
		if _, ok := vpk.SetOf(e.Name()); ok {
			sets = append(sets, e.Name())
		} else if hasSuffixFold(e.Name(), ".vpk") {
			others = append(others, e.Name())
		}
	}
	parts, out := map[string]bool{}, map[string]string{} // files in use, and refused sets by their stem
	for _, name := range sets {
		stem, _ := vpk.SetOf(name)
		stays, err := t.addon(name, stem, parts)
		if err != nil {
			return err
		}
		if !stays {
			out[stem] = name
		}
		if err := t.overfull(); err != nil {
			return err
		}
	}
	for _, name := range others {
		if parts[name] {
			continue
		}
		if stem, ok := vpk.PartOf(name); ok && out[stem] != "" {
			err = t.orphan(name, out[stem])
		} else {
			_, err = t.addon(name, "", nil)
		}
		if err == nil {
			err = t.overfull()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addon checks one file of addons. With a stem it is the directory of a set, whose
// parts are added to used.
func (t *tree) addon(name, stem string, used map[string]bool) (stays bool, err error) {
	at := path.Join(addonsDir, name)
	f, size, err := t.openFile(at)
	if err != nil {
		return false, t.unreadable(at, err)
	}
	opened := []*os.File{f}
	defer func() {
		for _, f := range opened {
			_ = f.Close() // read only; nothing can be lost
		}
	}()
	var parts vpk.Part
	if stem != "" {
		parts = func(n int) (io.ReaderAt, int64, error) {
			part := vpk.PartName(stem, n)
			f, size, err := t.openFile(path.Join(addonsDir, part))
			if err != nil {
				return nil, 0, fs.ErrNotExist // whatever it is, the engine cannot read it either
			}
			opened = append(opened, f)
			used[part] = true
			return f, size, nil
		}
	}
	stays, err = t.file(at, f, size, parts)
	if !stays {
		for n := range used {
			if s, _ := vpk.PartOf(n); s == stem {
				delete(used, n)
			}
		}
	}
	return stays, err
}

// unreadable refuses what is a file by its name only.
func (t *tree) unreadable(at string, err error) error {
	sentence := ""
	switch {
	case errors.Is(err, fs.ErrNotExist):
		sentence = "It is a link that leads nowhere: put the file itself there."
	case errors.Is(err, errNoFile):
		sentence = "It is a folder or another thing that is no file, and the game would take it for an add-on: give it another name."
	case errors.Is(err, fs.ErrPermission):
		sentence = "It cannot be read: give everybody the right to read it."
	default:
		if link, e := t.root.Lstat(at); e != nil || link.Mode()&fs.ModeSymlink == 0 {
			return fmt.Errorf("check %s: %w", at, err)
		}
		sentence = "It is a link that leads out of the overlay: put the file itself there."
	}
	t.refuse(at, "vpk.unreadable", sentence, "")
	return nil
}

// orphan refuses a part of a set that was refused: alone it is no package.
func (t *tree) orphan(name, set string) error {
	at := path.Join(addonsDir, name)
	f, size, err := t.openFile(at)
	if err != nil {
		return t.unreadable(at, err)
	}
	defer f.Close() // read only; nothing can be lost
	hash, err := hashOf(t.ctx, f, size)
	if err != nil {
		return fmt.Errorf("check %s: %w", at, err)
	}
	t.refuse(at, "vpk.missing_part", fmt.Sprintf("It belongs to the set of %s, which was refused: mend that first.", short(set)), hash)
	return nil
}
