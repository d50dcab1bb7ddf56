package workshop

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// Store is the folder of workshop files:
//
//	ITEM/STAMP/ITEM.vpk    one version of an item, never changed again
//	ITEM/STAMP/item.json   what was known of it (a Stored)
//	ITEM/item.json         what is known of the item or collection now (a record)
//	ITEM/image             its picture: JPEG, PNG or WebP
//	ITEM/STAMP.part        half a download, and STAMP.part.json which half
//
// ITEM is a number. STAMP is Steam's time of the last change, a dash and a hash of
// Steam's name for the content, so that it also tells versions of one second.
// Names inside it never come from outside.
type Store struct {
	Dir string // absolute; made when it is first written to

	recording sync.Mutex // held while a record is changed
}

// Stored is one version of an item in the store.
type Stored struct {
	ID        string         `json:"id"`
	Stamp     string         `json:"stamp"`
	Title     string         `json:"title,omitempty"`
	Size      int64          `json:"size"`
	SHA256    string         `json:"sha256"` // hex
	Updated   time.Time      `json:"updated,omitzero"`
	Fetched   time.Time      `json:"fetched"`
	Findings  []ctl.Finding  `json:"findings,omitempty"`
	Campaigns []ctl.Campaign `json:"campaigns,omitempty"`
}

// Refused reports whether the gate refuses the file.
func (s Stored) Refused() bool {
	return slices.ContainsFunc(s.Findings, func(f ctl.Finding) bool { return f.Verdict == ctl.VerdictRefused })
}

// record is what is known of an item now.
type record struct {
	ctl.Item
	ImageURL string    `json:"image_url,omitempty"` // where the picture came from
	Asked    time.Time `json:"asked"`               // when Steam last told
}

const (
	recordName = "item.json"
	imageName  = "image"
	partSuffix = ".part"
	lockName   = ".lock"
	maxRecord  = 4 << 20
)

// ErrNotStored means that the store has no version of an item.
var ErrNotStored = errors.New("not in the store")

// stampOf names a version: 1350000000-9f86d081.
func stampOf(d detail) string {
	sum := sha256.Sum256([]byte(d.Handle))
	if d.Handle == "" {
		sum = sha256.Sum256(fmt.Appendf(nil, "%d bytes", d.Size))
	}
	return fmt.Sprintf("%d-%s", d.Updated, hex.EncodeToString(sum[:4]))
}

// isStamp reports whether name is one, and the time in it.
func isStamp(name string) (moment int64, ok bool) {
	seconds, hash, found := strings.Cut(name, "-")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if !found || err != nil || n < 0 || strconv.FormatInt(n, 10) != seconds || len(hash) != 8 {
		return 0, false
	}
	return n, strings.Trim(hash, "0123456789abcdef") == ""
}

func (s *Store) item(id string) string                { return filepath.Join(s.Dir, id) }
func (s *Store) inItem(id, name string) string        { return filepath.Join(s.Dir, id, name) }
func (s *Store) inVersion(id, stamp, n string) string { return filepath.Join(s.Dir, id, stamp, n) }

// File is where a version's file lies.
func (s *Store) File(id, stamp string) string { return s.inVersion(id, stamp, id+".vpk") }

// Version returns one version of an item. One whose file is not as it was stored
// is ErrNotStored, like one that is not there.
func (s *Store) Version(id, stamp string) (Stored, error) {
	var v Stored
	if _, ok := isStamp(stamp); !ok || !ctl.IsWorkshopID(id) {
		return v, ErrNotStored
	}
	if err := readJSON(s.inVersion(id, stamp, recordName), &v); err != nil {
		return v, err
	}
	info, err := os.Lstat(s.File(id, stamp))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return v, err
	}
	if err != nil || !info.Mode().IsRegular() || info.Size() != v.Size || v.ID != id || v.Stamp != stamp || len(v.SHA256) != 64 {
		return v, ErrNotStored
	}
	return v, nil
}

// Newest returns the newest version of an item: the one that Steam named last, or
// else the one that changed last. None is ErrNotStored.
func (s *Store) Newest(id string) (Stored, error) {
	if !ctl.IsWorkshopID(id) {
		return Stored{}, ErrNotStored
	}
	stamps, err := s.stamps(id)
	if err != nil {
		return Stored{}, err
	}
	if r, err := s.record(id); err == nil && slices.Contains(stamps, r.Stamp) {
		stamps = append(stamps, r.Stamp)
	}
	for _, stamp := range slices.Backward(stamps) {
		v, err := s.Version(id, stamp)
		if !errors.Is(err, ErrNotStored) {
			return v, err
		}
	}
	return Stored{}, ErrNotStored
}

// stamps lists an item's versions, the oldest first.
func (s *Store) stamps(id string) ([]string, error) {
	entries, err := os.ReadDir(s.item(id))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the workshop store: %w", err)
	}
	var list []string
	for _, e := range entries {
		if _, ok := isStamp(e.Name()); ok && e.IsDir() {
			list = append(list, e.Name())
		}
	}
	slices.SortFunc(list, func(a, b string) int {
		first, _ := isStamp(a)
		second, _ := isStamp(b)
		return int(max(min(first-second, 1), -1))
	})
	return list, nil
}

// Item returns what is known of an item or collection; ErrNotStored when nothing is.
func (s *Store) Item(id string) (ctl.Item, error) {
	r, err := s.record(id)
	return r.Item, err
}

func (s *Store) record(id string) (record, error) {
	var r record
	if !ctl.IsWorkshopID(id) {
		return r, ErrNotStored
	}
	if err := readJSON(s.inItem(id, recordName), &r); err != nil {
		return r, err
	}
	if r.ID != id {
		return r, ErrNotStored
	}
	return r, nil
}

// changeRecord changes what is known of an item. It is not synced: what a crash
// takes is asked for again.
func (s *Store) changeRecord(id string, change func(*record)) error {
	s.recording.Lock()
	defer s.recording.Unlock()
	r, err := s.record(id)
	if err != nil && !errors.Is(err, ErrNotStored) {
		return err
	}
	change(&r)
	r.ID = id
	if err := os.MkdirAll(s.item(id), 0o755); err != nil {
		return err
	}
	return writeJSON(s.inItem(id, recordName), r)
}

// hasImage reports whether there is a picture of the item.
func (s *Store) hasImage(id string) bool {
	info, err := os.Lstat(s.inItem(id, imageName))
	return err == nil && info.Mode().IsRegular()
}

// publish makes the file at path a version of its item, all of it or nothing. The
// file may stay where it is as well: whoever is killed in the middle finds it
// there again.
func (s *Store) publish(v Stored, path string) (err error) {
	next := s.inItem(v.ID, ".new-"+v.Stamp)
	if err := os.RemoveAll(next); err != nil {
		return err
	}
	if err := os.Mkdir(next, 0o755); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(next) // the first error matters more
		}
	}()
	file := filepath.Join(next, v.ID+".vpk")
	if err := os.Link(path, file); err != nil { // not every file system has links
		if err := os.Rename(path, file); err != nil {
			return err
		}
	}
	if err := settle(file); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(next, recordName), v); err != nil {
		return err
	}
	if err := settle(filepath.Join(next, recordName)); err != nil {
		return err
	}
	if err := settle(next); err != nil {
		return err
	}
	place := filepath.Join(s.item(v.ID), v.Stamp)
	if err := os.RemoveAll(place); err != nil { // it was not a version, or we would not be here
		return err
	}
	if err := os.Rename(next, place); err != nil {
		return err
	}
	return settle(s.item(v.ID))
}

// settle gives a file or folder its mode and makes it durable.
func settle(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // read only; nothing can be lost
	info, err := f.Stat()
	if err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if info.IsDir() {
		mode = 0o755
	}
	if info.Mode().Perm() != mode {
		if err := f.Chmod(mode); err != nil {
			return err
		}
	}
	return f.Sync()
}

// sweep removes what unfinished work on an item left, but for the half download of
// the wanted version; "" wants none. The item must be locked.
func (s *Store) sweep(id, wanted string) {
	entries, err := os.ReadDir(s.item(id))
	if err != nil {
		return // the next run sweeps
	}
	for _, e := range entries {
		name := e.Name()
		half := strings.HasSuffix(name, partSuffix) || strings.HasSuffix(name, partSuffix+".json")
		if strings.HasPrefix(name, ".new-") || half && (wanted == "" || !strings.HasPrefix(name, wanted+partSuffix)) {
			_ = os.RemoveAll(s.inItem(id, name)) // as above
		}
	}
}

// tidy sweeps an item that is stored, unless somebody is at it.
func (s *Store) tidy(id string) {
	f, err := s.openLock(id)
	if err != nil {
		return // the next run tidies
	}
	defer f.Close() // unlocks
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		s.sweep(id, "")
	}
}

// sweepAbandoned removes half downloads that nobody went on with since before.
func (s *Store) sweepAbandoned(before time.Time) {
	parts, _ := filepath.Glob(filepath.Join(s.Dir, "*", "*"+partSuffix)) // the pattern is a good one
	for _, path := range parts {
		id := filepath.Base(filepath.Dir(path))
		if info, err := os.Lstat(path); err == nil && info.ModTime().Before(before) && ctl.IsWorkshopID(id) {
			s.tidy(id)
		}
	}
}

// lockPoll is how often the lock of an item is tried: flock has no timeout.
const lockPoll = 50 * time.Millisecond

// lock takes an item for fetching, waiting for another process as long as ctx
// lasts; waiting is called once when it has to. The lock ends with the process.
func (s *Store) lock(ctx context.Context, id string, waiting func()) (release func(), err error) {
	if err := os.MkdirAll(s.item(id), 0o755); err != nil {
		return nil, err
	}
	f, err := s.openLock(id)
	if err != nil {
		return nil, err
	}
	for told := false; ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { _ = f.Close() }, nil // unlocks
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			_ = f.Close() // the first error matters more
			return nil, fmt.Errorf("lock workshop item %s: %w", id, err)
		case !told:
			told = true
			waiting()
		}
		if err := sleep(ctx, lockPoll); err != nil {
			_ = f.Close() // as above
			return nil, err
		}
	}
}

// openLock opens the lock file of an item. It stays: to remove it would let two
// processes hold two locks of one item.
func (s *Store) openLock(id string) (*os.File, error) {
	return os.OpenFile(s.inItem(id, lockName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
}

// readJSON reads a small file; one that is missing or no JSON is ErrNotStored.
func readJSON(path string, into any) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotStored
	}
	if err != nil {
		return err
	}
	defer f.Close() // read only; nothing can be lost
	data, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return err
	}
	if json.Unmarshal(data, into) != nil {
		return ErrNotStored
	}
	return nil
}

// writeJSON replaces a small file at once.
func writeJSON(path string, from any) error {
	data, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return replaceFile(path, data)
}

func replaceFile(path string, data []byte) error {
	next := path + ".tmp"
	if err := os.WriteFile(next, data, 0o644); err != nil {
		_ = os.Remove(next) // the first error matters more
		return err
	}
	return os.Rename(next, path)
}
