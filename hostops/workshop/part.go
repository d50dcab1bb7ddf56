package workshop

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// part is a file that is being fetched: its bytes lie at their places, and the
// journal beside it says how much of each piece is there, so that whoever is killed
// fetches at most a quarter of the pieces under way again.
//
// The journal is not synced, and holds only until the machine is started again: a
// crash of the machine costs the download, not its correctness.
type part struct {
	path string
	file *os.File

	mu      sync.Mutex
	journal journal
}

// journal is STAMP.part.json.
type journal struct {
	Size      int64   `json:"size"`
	Piece     int64   `json:"piece"` // bytes; the last one may be shorter
	Validator string  `json:"validator,omitempty"`
	Boot      string  `json:"boot"`
	Have      []int64 `json:"have"` // bytes of each piece, from its beginning
}

// fits reports whether a journal is of the same pieces as fresh, and can be true.
func (j journal) fits(fresh journal) bool {
	if j.Size != fresh.Size || j.Piece != fresh.Piece || len(j.Have) != len(fresh.Have) {
		return false
	}
	for i, have := range j.Have {
		if have < 0 || have > min(j.Piece, j.Size-int64(i)*j.Piece) {
			return false
		}
	}
	return true
}

// openPart opens path for a file of size bytes, with what an earlier run left of
// it when that can be trusted.
func openPart(path string, size, piece int64) (*part, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	// One that was published just before a kill is the published file itself.
	if info, err := os.Lstat(path); err == nil && !soleRegular(info) {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	p := &part{path: path, file: f}
	fresh := journal{Size: size, Piece: piece, Boot: boot, Have: make([]int64, (size+piece-1)/piece)}
	info, err := f.Stat()
	var old journal
	if err == nil {
		err = readJSON(p.journalPath(), &old)
	}
	switch {
	case err == nil && info.Size() == size && old.Boot == boot && old.fits(fresh):
		p.journal = old
		return p, nil
	case err != nil && !errors.Is(err, ErrNotStored):
		_ = f.Close() // the first error matters more
		return nil, err
	}
	p.journal = fresh
	if err := p.reset(); err != nil {
		_ = f.Close() // as above
		return nil, err
	}
	return p, nil
}

// soleRegular reports whether a file is regular and has no other name.
func soleRegular(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode().IsRegular() && st.Nlink == 1
}

func (p *part) journalPath() string { return p.path + ".json" }

// reset forgets everything that was fetched.
func (p *part) reset() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.journal.Validator = ""
	clear(p.journal.Have)
	if err := writeJSON(p.journalPath(), p.journal); err != nil { // before the bytes: it may claim less, never more
		return err
	}
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	return p.file.Truncate(p.journal.Size)
}

// bind notes which content the pieces are of. It reports whether it is the same
// as before; the first to come decides.
func (p *part) bind(validator string) (same bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if validator == "" || p.journal.Validator == validator {
		return true, nil
	}
	if p.journal.Validator != "" {
		return false, nil
	}
	p.journal.Validator = validator
	return true, writeJSON(p.journalPath(), p.journal)
}

func (p *part) validator() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.journal.Validator
}

// advance notes that a piece has its first have bytes. It is written down when a
// quarter of a piece came since the last time, or when the piece is whole or last
// says so.
func (p *part) advance(piece int, have int64, last bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, length := p.span(piece)
	if grown := have - p.journal.Have[piece]; grown == 0 || !last && have < length && grown < p.journal.Piece/4 {
		return nil
	}
	p.journal.Have[piece] = have
	return writeJSON(p.journalPath(), p.journal)
}

// finish notes that a piece is whole. The disk begins with it at once, so that
// little is left to wait for when the file is complete.
func (p *part) finish(piece int) error {
	at, length := p.span(piece)
	_ = unix.SyncFileRange(int(p.file.Fd()), at, length, unix.SYNC_FILE_RANGE_WRITE) // where there is no such call, the end takes longer
	return p.advance(piece, length, true)
}

// missing lists the pieces that are not whole.
func (p *part) missing() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []int
	for i, have := range p.journal.Have {
		if _, length := p.span(i); have < length {
			list = append(list, i)
		}
	}
	return list
}

// has is how many bytes of a piece are there.
func (p *part) has(piece int) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.journal.Have[piece]
}

// span is where a piece begins and how long it is.
func (p *part) span(piece int) (at, length int64) {
	at = int64(piece) * p.journal.Piece
	return at, min(p.journal.Piece, p.journal.Size-at)
}

// have is how many bytes are there.
func (p *part) have() (sum int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.journal.Have {
		sum += n
	}
	return sum
}

// close keeps what is there for the next run.
func (p *part) close() { _ = p.file.Close() } // what is not on the disk is not in the journal, or fetched again

// remove takes both files away. It is for what was published, or is of no use.
func (p *part) remove() {
	p.close()
	_ = os.Remove(p.path) // a leftover is swept by the next run
	_ = os.Remove(p.journalPath())
}

// bootID changes when the machine is started again.
func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the id of this boot: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}
