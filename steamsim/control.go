package steamsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"
)

// ControlName is the file name of a control file, beside steamcmd.sh.
const ControlName = "steamsim.json"

// ControlEnv names the environment variable that points to another control file.
const ControlEnv = "STEAMSIM_CONTROL"

// exitControl is the status for a control file that cannot be understood
// (EX_CONFIG). No imitated program uses it.
const exitControl = 78

// Control is the content of a control file. The zero value means: demo speed,
// nothing goes wrong, nobody plays.
type Control struct {
	Speed    Speed           `json:"speed"`
	Steamcmd SteamcmdControl `json:"steamcmd"`
	Srcds    SrcdsControl    `json:"srcds"`
	Workshop WorkshopControl `json:"workshop,omitzero"`
	Mirror   MirrorControl   `json:"mirror,omitzero"`
}

// SteamcmdControl chooses what an install meets.
type SteamcmdControl struct {
	// Scenario is a name from Scenarios; empty means "ok".
	Scenario string `json:"scenario"`
	// Count limits the scenario to the first Count runs that meet it, counted
	// in the Steam home; 0 means every run.
	Count int `json:"count,omitempty"`
	// Build is the public build that Steam has; empty means the usual one. A
	// change of it is an update of the game.
	Build string `json:"build,omitempty"`
}

// SrcdsControl chooses how a game server behaves.
type SrcdsControl struct {
	Players      bool    `json:"players"`                  // people come, talk and go
	Seed         uint64  `json:"seed,omitempty"`           // of those people; 0 means the port
	CrashAfter   float64 `json:"crash_after,omitempty"`    // seconds after the map has loaded
	CrashAtStart bool    `json:"crash_at_start,omitempty"` // after "Server is hibernating"
	Hang         bool    `json:"hang,omitempty"`           // never loads the map
	ExecStack    bool    `json:"exec_stack,omitempty"`     // the C library refuses a library of the game, as glibc 2.41 did
	LAN          bool    `json:"lan,omitempty"`            // Steam's library does not start: LAN mode only
	NoSteam      bool    `json:"no_steam,omitempty"`       // Steam never answers
	IgnoreTerm   bool    `json:"ignore_term,omitempty"`    // SIGTERM and SIGINT do nothing
	ForkChild    bool    `json:"fork_child,omitempty"`     // leaves a process in a session of its own behind
	Quiet        bool    `json:"quiet,omitempty"`          // prints nothing
	LineBuffered bool    `json:"line_buffered,omitempty"`  // the real one buffers blocks when stdout is no terminal
	A2SLoopback  bool    `json:"a2s_loopback,omitempty"`   // the real one never answers on 127.0.0.1
}

// Speed divides every pause: 1 is made for watching, 20 is quick, infinity
// does not wait at all. In JSON it is a number or one of the names that
// ParseSpeed knows.
type Speed float64

// The named speeds.
const (
	SpeedDemo Speed = 1
	SpeedFast Speed = 20
)

// SpeedInstant does not wait at all.
var SpeedInstant = Speed(math.Inf(1))

// ParseSpeed reads demo, fast, instant or a factor above 0.
func ParseSpeed(s string) (Speed, error) {
	switch s {
	case "demo":
		return SpeedDemo, nil
	case "fast":
		return SpeedFast, nil
	case "instant":
		return SpeedInstant, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || f <= 0 {
		return 0, fmt.Errorf("speed %q: want demo, fast, instant or a factor above 0", s)
	}
	return Speed(f), nil
}

// UnmarshalJSON takes a name or a number.
func (s *Speed) UnmarshalJSON(b []byte) error {
	text := string(b)
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &text); err != nil {
			return fmt.Errorf("speed: %w", err)
		}
	}
	v, err := ParseSpeed(text)
	if err != nil {
		return err
	}
	*s = v
	return nil
}

// MarshalJSON writes the name of a speed that has one.
func (s Speed) MarshalJSON() ([]byte, error) {
	switch s {
	case SpeedInstant:
		return []byte(`"instant"`), nil
	case SpeedFast:
		return []byte(`"fast"`), nil
	case SpeedDemo, 0:
		return []byte(`"demo"`), nil
	}
	return []byte(strconv.FormatFloat(float64(s), 'g', -1, 64)), nil
}

// scale returns d at this speed.
func (s Speed) scale(d time.Duration) time.Duration {
	if s == 0 {
		return d
	}
	return time.Duration(float64(d) / float64(s))
}

// wait pauses for d at this speed.
func (s Speed) wait(d time.Duration) {
	if d = s.scale(d); d > 0 {
		time.Sleep(d)
	}
}

// parseControl reads a control file's content. Unknown fields and scenarios are
// errors: a typing mistake would otherwise be a test that tests nothing.
func parseControl(b []byte) (Control, error) {
	var c Control
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return Control{}, err
	}
	if _, ok := scenarios[c.Steamcmd.Scenario]; !ok && c.Steamcmd.Scenario != "" {
		return Control{}, fmt.Errorf("unknown scenario %q (known: %s)", c.Steamcmd.Scenario, scenarioNames())
	}
	if c.Steamcmd.Count < 0 {
		return Control{}, fmt.Errorf("steamcmd.count is %d: want 0 (every run) or more", c.Steamcmd.Count)
	}
	if err := c.Workshop.check(); err != nil {
		return Control{}, err
	}
	return c, nil
}

// readControl reads the control file at path. A file that does not exist is the
// zero Control.
func readControl(path string) (Control, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return Control{}, nil
	}
	if err != nil {
		return Control{}, fmt.Errorf("control file: %w", err)
	}
	c, err := parseControl(b)
	if err != nil {
		return Control{}, fmt.Errorf("control file %s: %w", path, err)
	}
	return c, nil
}

// Write stores the control file at path, all of it or nothing.
func (c Control) Write(path string) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("encode control file: %w", err)
	}
	return writeFile(path, append(b, '\n'), 0o644)
}

// installedSettings is steamsim.json inside an installed game: how a game
// server finds the control file of the steamcmd that installed it. The game may
// run where that file cannot be seen; then the copy made at install time counts.
type installedSettings struct {
	Control  string  `json:"control"`
	Embedded Control `json:"embedded"`
}

// installedControl returns the control settings for a game started in dir.
func installedControl(dir string, getenv func(string) string) (Control, error) {
	if path := getenv(ControlEnv); path != "" {
		return readControl(path)
	}
	b, err := os.ReadFile(filepath.Join(dir, ControlName))
	if err != nil {
		return Control{}, nil // not made by our install: defaults
	}
	var in installedSettings
	if err := json.Unmarshal(b, &in); err != nil {
		return Control{}, fmt.Errorf("%s in the game's directory: %w", ControlName, err)
	}
	live, err := os.ReadFile(in.Control)
	if err != nil {
		return in.Embedded, nil // hidden from the game, or gone
	}
	c, err := parseControl(live)
	if err != nil {
		return Control{}, fmt.Errorf("control file %s: %w", in.Control, err)
	}
	return c, nil
}

func passwdHome() (string, error) {
	u, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("HOME is not set and the user has no entry: %w", err)
	}
	return u.HomeDir, nil
}
