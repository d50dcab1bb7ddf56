package overlay

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// maxManifest bounds a manifest on disk: MaxPaths, of which each byte may take two,
// and what MaxFiles entries have beside it.
const maxManifest = 128 << 20

func (s *Store) manifestPath(r Ref) string {
	return filepath.Join(s.folder(r.Overlay), fmt.Sprintf("v%d.json", r.Version))
}

// pendingPath is where a manifest lies until its version has its name.
func (s *Store) pendingPath(r Ref) string {
	return filepath.Join(s.folder(r.Overlay), fmt.Sprintf(".v%d.json", r.Version))
}

// Manifest is a version with its list of files, also of a collected one. It is
// shared: nobody may change its lists. A version that never was is fs.ErrNotExist.
func (s *Store) Manifest(overlay, version int64) (*ctl.Manifest, error) {
	ref := Ref{overlay, version}
	m, err := s.manifest(ref)
	if err != nil {
		return nil, err
	}
	shown := *m
	shown.Collected = !s.there(ref)
	return &shown, nil
}

// there reports whether a version can be used.
func (s *Store) there(r Ref) bool {
	info, err := os.Lstat(s.tree(r))
	return err == nil && info.IsDir()
}

func (s *Store) manifest(r Ref) (*ctl.Manifest, error) {
	f, err := s.openManifest(r)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only; nothing can be lost
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if m := s.cache.get(r, info); m != nil {
		return m, nil
	}
	// One after another: to read a long one takes a multiple of its memory.
	s.cache.reading.Lock()
	defer s.cache.reading.Unlock()
	if m := s.cache.get(r, info); m != nil {
		return m, nil
	}
	m := new(ctl.Manifest)
	if err := json.NewDecoder(io.LimitReader(f, maxManifest)).Decode(m); err != nil {
		return nil, fmt.Errorf("read the manifest of overlay version %s: %w", r, err)
	}
	if m.Overlay != r.Overlay || m.Number != r.Version {
		return nil, fmt.Errorf("the manifest of overlay version %s says it is %d/v%d", r, m.Overlay, m.Number)
	}
	s.cache.put(r, info, m)
	return m, nil
}

func (s *Store) openManifest(r Ref) (*os.File, error) {
	if err := r.valid(); err != nil {
		return nil, err
	}
	f, err := openRegular(s.manifestPath(r))
	if errors.Is(err, fs.ErrNotExist) && s.there(r) {
		// Whoever publishes it was stopped before its very last step.
		return openRegular(s.pendingPath(r))
	}
	return f, err
}

// openRegular opens a file of ours for reading. Anything that is no regular file
// is fs.ErrNotExist.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close() // read only; nothing can be lost
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return f, nil
}

// version reads a manifest without its list of files, which comes last.
func (s *Store) version(r Ref) (ctl.Version, error) {
	var v ctl.Version
	f, err := s.openManifest(r)
	if err != nil {
		return v, err
	}
	defer f.Close() // read only; nothing can be lost
	dec := json.NewDecoder(io.LimitReader(f, maxManifest))
	fields := map[string]json.RawMessage{}
	if _, err := dec.Token(); err != nil {
		return v, fmt.Errorf("read the manifest of overlay version %s: %w", r, err)
	}
	for dec.More() {
		key, err := dec.Token()
		if name, ok := key.(string); err == nil && ok && name != "tree" {
			var value json.RawMessage
			if err := dec.Decode(&value); err != nil {
				return v, fmt.Errorf("read the manifest of overlay version %s: %w", r, err)
			}
			fields[name] = value
			continue
		}
		break
	}
	data, err := json.Marshal(fields)
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	if err == nil && (v.Overlay != r.Overlay || v.Number != r.Version) {
		err = fmt.Errorf("it says it is %d/v%d", v.Overlay, v.Number)
	}
	if err != nil {
		return v, fmt.Errorf("read the manifest of overlay version %s: %w", r, err)
	}
	v.Collected = !s.there(r)
	return v, nil
}

// entryOf reads the names in an overlay's folder: v3, v3.json and .v3.json.
var entryOf = regexp.MustCompile(`\A(\.?)v([1-9][0-9]{0,8})(\.json)?\z`)

// numbers lists every version of an overlay that has a folder or a manifest.
func (s *Store) numbers(id int64) ([]int64, error) {
	entries, err := os.ReadDir(s.folder(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the versions of overlay %d: %w", id, err)
	}
	var all []int64
	for _, e := range entries {
		m := entryOf.FindStringSubmatch(e.Name())
		if m == nil || m[1] != "" { // whatever has the name of a version takes its number
			continue
		}
		n, _ := strconv.ParseInt(m[2], 10, 64) // digits by the pattern
		all = append(all, n)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// IDs lists the overlays that have a folder, in order.
func (s *Store) IDs() ([]int64, error) {
	entries, err := os.ReadDir(s.path(dirOverlays))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the overlays: %w", err)
	}
	var ids []int64
	for _, e := range entries {
		n, err := strconv.ParseInt(e.Name(), 10, 64)
		if err == nil && e.IsDir() && n >= 1 && n <= MaxNumber && strconv.FormatInt(n, 10) == e.Name() {
			ids = append(ids, n)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Newest is the highest version that is there, 0 when none is.
func (s *Store) Newest(id int64) (int64, error) {
	all, err := s.numbers(id)
	for _, n := range slices.Backward(all) {
		if s.there(Ref{id, n}) {
			return n, err
		}
	}
	return 0, err
}

// Versions lists what is known of an overlay's versions, the newest first,
// collected ones too. One whose manifest is missing or damaged has a Fault.
func (s *Store) Versions(id int64) ([]ctl.Version, error) {
	all, err := s.numbers(id)
	if err != nil {
		return nil, err
	}
	var list []ctl.Version
	for _, n := range slices.Backward(all) {
		list = append(list, s.Version(Ref{id, n}))
	}
	return list, nil
}

// Version is what is known of one version; see Versions.
func (s *Store) Version(r Ref) ctl.Version {
	v, err := s.version(r)
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.there(r):
		return ctl.Version{Overlay: r.Overlay, Number: r.Version, Fault: "it has no manifest: it was not made by l4d2ctl overlay build"}
	case err != nil:
		return ctl.Version{Overlay: r.Overlay, Number: r.Version, Collected: !s.there(r), Fault: "its manifest is damaged: build the overlay again (" + err.Error() + ")"}
	}
	return v
}

// Missing explains why a version cannot be used, and what can be. It is
// ctl.ErrNoOverlay.
func (s *Store) Missing(r Ref) error {
	numbers, _ := s.numbers(r.Overlay) // a folder that cannot be read has no versions to offer
	what := "does not exist on this host"
	var there []string
	for _, n := range slices.Backward(numbers) {
		switch {
		case n == r.Version:
			what = "was collected and is no longer on this host"
		case s.there(Ref{r.Overlay, n}):
			there = append(there, fmt.Sprintf("v%d", n))
		}
	}
	if len(there) == 0 {
		return fail(ctl.ErrNoOverlay, "overlay %s %s: build it first", r, what)
	}
	more := ""
	if len(there) > 5 {
		more = fmt.Sprintf(" and %d more", len(there)-5)
		there = there[:5]
	}
	return fail(ctl.ErrNoOverlay, "overlay %s %s; there is %s%s (l4d2ctl overlay list %d)", r, what, strings.Join(there, ", "), more, r.Overlay)
}

// The bounds of manifests that are kept in memory.
const (
	maxCached   = 200
	maxCachedAt = 96 << 20 // bytes of all lists, by weight; the longest has two thirds of it
)

// weight is about how many bytes of memory a list of files takes.
func weight(tree []ctl.ManifestFile) (n int) {
	const one = 160 // an entry, its sum and the heads of its texts
	for i := range tree {
		n += one + len(tree[i].Path) + len(tree[i].Link)
	}
	return n
}

// manifests remembers what was read, as long as the file is the same.
type manifests struct {
	reading sync.Mutex // held while one is read

	mu     sync.Mutex
	weight int
	all    map[Ref]cached
}

type cached struct {
	at     time.Time
	size   int64
	used   time.Time
	weight int
	m      *ctl.Manifest
}

func (c *manifests) get(r Ref, info fs.FileInfo) *ctl.Manifest {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.all[r]
	if !ok || !e.at.Equal(info.ModTime()) || e.size != info.Size() {
		return nil
	}
	e.used = time.Now()
	c.all[r] = e
	return e.m
}

func (c *manifests) put(r Ref, info fs.FileInfo, m *ctl.Manifest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(r)
	heavy := weight(m.Tree)
	for len(c.all) > 0 && (len(c.all) >= maxCached || c.weight+heavy > maxCachedAt) {
		oldest, first := Ref{}, true
		for ref, e := range c.all {
			if first || e.used.Before(c.all[oldest].used) {
				oldest, first = ref, false
			}
		}
		c.drop(oldest)
	}
	if c.all == nil {
		c.all = map[Ref]cached{}
	}
	c.all[r] = cached{info.ModTime(), info.Size(), time.Now(), heavy, m}
	c.weight += heavy
}

func (c *manifests) drop(r Ref) {
	if e, ok := c.all[r]; ok {
		c.weight -= e.weight
		delete(c.all, r)
	}
}
