package ctl

import "time"

// Level is how one check of `doctor` came out.
type Level string

// The levels, the worst last. With a problem servers cannot run here; with a
// warning they can, and something is less than it could be.
const (
	LevelOK      Level = "ok"
	LevelWarning Level = "warning"
	LevelProblem Level = "problem"
)

// Check is one line of `doctor`.
type Check struct {
	Key   string `json:"key"`           // stable, such as "space"
	Level Level  `json:"level"`         //
	Title string `json:"title"`         // for people, such as "Free space"
	Text  string `json:"text"`          // what was found: a clause without its stop
	Fix   string `json:"fix,omitempty"` // the command that mends it, for a root shell unless it is l4d2ctl's
}

// Doctor is what `doctor --json` prints.
type Doctor struct {
	At     time.Time `json:"at"`
	Level  Level     `json:"level"` // of the worst check
	Checks []Check   `json:"checks"`
}
