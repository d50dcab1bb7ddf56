package steamsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// steamHome is HOME/Steam: what steamcmd keeps between runs.
type steamHome struct {
	dir  string
	lock *os.File
}

var errHomeInUse = errors.New("another steamcmd uses this Steam home")

// openSteamHome makes the directory and takes it for this process. The lock
// goes when the process does, however it ends.
func openSteamHome(home string) (*steamHome, error) {
	h := &steamHome{dir: filepath.Join(home, "Steam")}
	for _, d := range []string{"logs", "appcache", "config", "package"} {
		if err := os.MkdirAll(filepath.Join(h.dir, d), 0o755); err != nil {
			return nil, fmt.Errorf("steam home: %w", err)
		}
	}
	f, err := os.OpenFile(filepath.Join(h.dir, "steam.lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("steam home: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // the lock is the other process's
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errHomeInUse
		}
		return nil, fmt.Errorf("lock steam home: %w", err)
	}
	h.lock = f
	return h, nil
}

func (h *steamHome) close() { _ = h.lock.Close() } // gives the lock back; nothing was written through it

// path returns a path below the Steam home.
func (h *steamHome) path(elem ...string) string {
	return filepath.Join(append([]string{h.dir}, elem...)...)
}

// log appends one line, dated as Steam dates them, to logs/name. A log that
// cannot be written stops nobody, as with the real one.
func (h *steamHome) log(name, line string) {
	f, err := os.OpenFile(h.path("logs", name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }() // see above
	_, _ = fmt.Fprintf(f, "[%s] %s\n", time.Now().Format("2006-01-02 15:04:05"), line)
}

// updated says whether the client has updated itself in this home; setUpdated
// records that it has.
func (h *steamHome) updated() bool {
	_, err := os.Stat(h.path("package", "steam_cmd_linux.installed"))
	return err == nil
}

func (h *steamHome) setUpdated() error {
	return writeFile(h.path("package", "steam_cmd_linux.installed"), []byte(clientVersion+"\n"), 0o644)
}

// meet counts one more run that met the named scenario and says how many have,
// this one included. The count lives in the home, so that deleting the home
// starts again, as it does with the real causes.
func (h *steamHome) meet(name string) (int, error) {
	path := h.path("config", "scenarios.json")
	counts := map[string]int{}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("read scenario counts: %w", err)
	}
	if err == nil {
		if err := json.Unmarshal(b, &counts); err != nil {
			return 0, fmt.Errorf("read scenario counts in %s: %w", path, err)
		}
	}
	counts[name]++
	if b, err = json.Marshal(counts); err != nil {
		return 0, fmt.Errorf("write scenario counts: %w", err)
	}
	return counts[name], writeFile(path, append(b, '\n'), 0o644)
}
