package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

const (
	fileMount = "mount"     // read by left4me-overlay
	fileUnit  = "unit.json" // ours
)

// unitRecord is what systemd does not remember of an instance.
type unitRecord struct {
	record
	Started  time.Time `json:"started"`   // the last start
	LogSince time.Time `json:"log_since"` // the journal's lines before it are of a server that was purged
}

// unitDir is instances/NAME. It belongs to the user that l4d2ctl runs as.
type unitDir string

func (s *Systemd) dir(name string) unitDir {
	return unitDir(filepath.Join(s.Root, "instances", name))
}

var (
	overlayLayer   = regexp.MustCompile(`^overlays/([0-9]+/v[0-9]+)$`)
	generatedLayer = regexp.MustCompile(`^instances/([a-z0-9][a-z0-9_-]*)/layers/([0-9a-f]{12})$`)
)

// mountList is the file that left4me-overlay reads: one layer a line, uppermost
// first, "ID/vN" or "@HASH" of the instance's own. The installation is below all
// of them by itself.
func mountList(l Launch) (string, error) {
	var b strings.Builder
	for i, layer := range l.Layers {
		if layer == "installation" && i == len(l.Layers)-1 {
			return b.String(), nil
		}
		if m := overlayLayer.FindStringSubmatch(layer); m != nil {
			b.WriteString(m[1] + "\n")
		} else if m := generatedLayer.FindStringSubmatch(layer); m != nil && m[1] == l.Name {
			b.WriteString("@" + m[2] + "\n")
		} else {
			return "", fail(ctl.ErrBadSpec, "%q cannot be a layer of %s under systemd", layer, l.Name)
		}
	}
	return "", fail(ctl.ErrBadSpec, "the lowest layer of %s has to be the installation", l.Name)
}

// begin is the record of a start that is about to happen.
func (d unitDir) begin(l Launch) unitRecord {
	now := time.Now().UTC()
	r := unitRecord{LogSince: now, Started: now}
	if old, err := d.read(); err == nil && !old.LogSince.IsZero() {
		r.LogSince = old.LogSince
	}
	applied := l.Applied
	r.State, r.Since, r.Applied = ctl.ServerStarting, now, &applied
	return r
}

// read returns fs.ErrNotExist for an instance that was never started.
func (d unitDir) read() (unitRecord, error) {
	var r unitRecord
	b, err := os.ReadFile(filepath.Join(string(d), fileUnit))
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return unitRecord{}, fmt.Errorf("read the server's record: %w", err)
	}
	return r, nil
}

func (d unitDir) write(r unitRecord) error {
	r.BootID = bootID()
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the server's record: %w", err)
	}
	if err := os.MkdirAll(string(d), 0o755); err != nil {
		return diskFailure("the server's folder", err)
	}
	return d.replace(fileUnit, b)
}

// writeLaunch writes what the unit needs: the helper's list and the init's orders.
func (d unitDir) writeLaunch(l Launch, list string) error {
	b, err := json.Marshal(launchFile{Argv: l.Argv, Env: l.Env, StopGrace: l.StopGrace})
	if err != nil {
		return fmt.Errorf("encode the launch: %w", err)
	}
	if err := d.replace(fileMount, []byte(list)); err != nil {
		return err
	}
	return d.replace(fileLaunch, b)
}

// replace exchanges a whole file. Its reader may be another user: the game's.
func (d unitDir) replace(name string, content []byte) error {
	f, err := os.CreateTemp(string(d), "."+name+"-")
	if err != nil {
		return diskFailure(name, err)
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(string(d), name))
	}
	if err != nil {
		_ = os.Remove(f.Name()) // half of a file is of no use
		return diskFailure(name, err)
	}
	return nil
}

func diskFailure(what string, err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fail(ctl.ErrDiskFull, "the disk that holds the state folder is full: %s could not be written (%w); free some space and try again", what, err)
	}
	return fmt.Errorf("write %s: %w", what, err)
}

// remove forgets the instance; its spec and layers are not ours.
func (d unitDir) remove() error {
	for _, name := range []string{fileUnit, fileLaunch, fileMount} {
		if err := os.Remove(filepath.Join(string(d), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the server's record: %w", err)
		}
	}
	return nil
}
