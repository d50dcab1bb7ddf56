// Package gamefiles looks at the files of a server: what its game wrote, and what
// it sees of all its layers together. It only reads, and never through the mount:
// an open file there would keep the server from being stopped.
//
// The game is hostile and changes its files while they are looked at. Every path is
// followed name by name and through no link; pipes and devices are not waited for;
// folders are read up to a bound. Start at Reader.
//
// Below the state root: runtime/NAME/upper is what the game wrote. The generated
// files are made anew from the spec, with the password masked; those on the disk are
// never opened.
package gamefiles

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"left4me/hostops/ctl"
	"left4me/hostops/overlay"
	"left4me/hostops/servercfg"
)

// The bounds of what is shown.
const (
	maxEntries = 2_000  // of one folder
	maxNames   = 20_000 // that are read of one folder to find them
	maxPath    = 4_096  // bytes
	maxDepth   = 64     // folders
)

// cfgDir is where generated files lie.
const cfgDir = "left4dead2/cfg"

// Reader looks at the servers of one state root. Its fields are set once; the
// methods may then be called at the same time.
type Reader struct {
	Root     string // absolute path of the state root
	Overlays *overlay.Store
	Cfg      servercfg.Reader // reads the server.cfg of overlays
}

// checkPath refuses what is no path below a folder. Names are whatever the game
// made of them, so they need not be text. An empty path is the folder itself.
func checkPath(p string) error {
	if p == "" {
		return nil
	}
	if len(p) > maxPath || strings.Count(p, "/") >= maxDepth || strings.ContainsRune(p, 0) {
		return missing(p)
	}
	for name := range strings.SplitSeq(p, "/") {
		if name == "" || name == "." || name == ".." {
			return missing(p)
		}
	}
	return nil
}

func missing(p string) error {
	return &fs.PathError{Op: "open", Path: p[:min(len(p), 120)], Err: fs.ErrNotExist}
}

// Written lists what the game of an instance wrote into dir, which is "" for the
// top. A folder that is not there is fs.ErrNotExist, except the top: a server that
// never ran wrote nothing. One that may not be read is fs.ErrPermission.
func (r *Reader) Written(instance, dir string) (*ctl.GameFolder, error) {
	if err := checkPath(dir); err != nil {
		return nil, err
	}
	g := &ctl.GameFolder{Dir: dir, Layers: []ctl.GameLayer{{Kind: ctl.LayerWritten}}}
	u, err := r.openUpper(instance)
	if errors.Is(err, fs.ErrNotExist) && dir == "" {
		return g, nil
	} else if err != nil {
		return nil, err
	}
	defer u.close()
	list, err := u.folder(dir)
	if err != nil {
		return nil, err
	}
	g.Entries, g.Cut = list.entries, list.cut
	order(g)
	u.describe(dir, g.Entries)
	return g, nil
}

// Seen lists what the game of an instance with this spec sees in dir. Of the spec
// only the overlays and what server.cfg is made from matter; its password is not
// used. A layer that cannot be read says so and counts as empty. Errors are those
// of Written.
func (r *Reader) Seen(instance string, spec ctl.Spec, dir string) (*ctl.GameFolder, error) {
	if err := checkPath(dir); err != nil {
		return nil, err
	}
	g := &ctl.GameFolder{Dir: dir, Layers: []ctl.GameLayer{{Kind: ctl.LayerWritten}, {Kind: ctl.LayerGenerated}}}
	var written upperList
	u, err := r.openUpper(instance)
	switch {
	case err == nil:
		defer u.close()
		if written, err = u.merged(dir); err != nil {
			return nil, err
		}
	case errors.Is(err, fs.ErrPermission):
		written.closed = true
	case !errors.Is(err, fs.ErrNotExist): // it never ran
		return nil, err
	}
	if written.closed { // what may not be looked into may hide anything: it is said, not guessed
		g.Layers[0].Fault = "what the game wrote in this folder may not be read by left4me"
	}
	made, err := r.generated(spec)
	if err != nil {
		g.Layers[1].Fault = err.Error()
	}
	lower, err := r.lower(spec.Overlays, dir)
	if err != nil {
		return nil, err
	}
	for _, l := range lower.Layers {
		kind := ctl.LayerOverlay
		if l.Ref == "" {
			kind = ctl.LayerGame
		}
		g.Layers = append(g.Layers, ctl.GameLayer{Kind: kind, Ref: l.Ref, Fault: l.Fault})
	}
	g.Cut = written.cut
	g.Entries = merge(written, made.in(dir), lower)
	if dir != "" && len(g.Entries) == 0 && !written.there {
		return nil, missing(dir)
	}
	order(g)
	g.More += lower.More
	if u != nil {
		u.describe(dir, g.Entries)
	}
	return g, nil
}

// lower is a folder of the overlays and of the game. Those have no names that are
// not text, so one that is not is in none of them.
func (r *Reader) lower(refs []string, dir string) (*ctl.Stack, error) {
	if dir != "" && !fs.ValidPath(dir) || len(dir) > overlay.MaxPath {
		return &ctl.Stack{}, nil
	}
	return r.Overlays.Folder(refs, dir)
}

// Open opens the file that the game of an instance with this spec sees at a path:
// what it wrote itself as it is now, up to its present size; a generated file with
// its password masked. Links and whatever else is no file are fs.ErrInvalid, what
// may not be read fs.ErrPermission, what is not there or removed fs.ErrNotExist.
func (r *Reader) Open(instance string, spec ctl.Spec, p string) (overlay.File, error) {
	if err := checkPath(p); err != nil || p == "" {
		return nil, missing(p)
	}
	u, err := r.openUpper(instance)
	switch {
	case err == nil:
		defer u.close()
		way, err := u.way(path.Dir("/" + p)[1:])
		if err != nil {
			return nil, err
		}
		f, err := u.open(p)
		if err == nil {
			return bounded(f)
		}
		if way.hides || errors.Is(err, errRemoved) || !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist): // it never ran
		return nil, err
	}
	if path.Dir(p) == cfgDir {
		made, err := r.generated(spec)
		if err != nil {
			return nil, err
		}
		if text, ok := made[p]; ok {
			return textFile{strings.NewReader(text)}, nil
		}
	}
	return r.Overlays.OpenIn(spec.Overlays, p)
}

// liveFile is a file that may grow while it is read: it ends where it ended when it
// was opened.
type liveFile struct {
	*io.SectionReader
	file *os.File
}

func (f liveFile) Close() error { return f.file.Close() }

func bounded(f *os.File) (overlay.File, error) {
	info, err := f.Stat()
	if err != nil {
		_ = f.Close() // read only; nothing can be lost
		return nil, err
	}
	return liveFile{io.NewSectionReader(f, 0, info.Size()), f}, nil
}

// textFile is a file that is made anew whenever somebody looks.
type textFile struct{ *strings.Reader }

func (textFile) Close() error { return nil }
