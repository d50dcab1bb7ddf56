package ctl

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// EventType says what an event line carries.
type EventType string

// The event types. `result` is always the last line of a run that got so far.
const (
	EventLog      EventType = "log"      // one line of output
	EventPhase    EventType = "phase"    // a named step began
	EventProgress EventType = "progress" // how far the current phase is: a last value, not history
	EventState    EventType = "state"    // a server's status
	EventGame     EventType = "game"     // what is installed
	EventVersion  EventType = "version"  // a version of an overlay: published, found or collected
	EventItem     EventType = "item"     // a workshop item
	EventFinding  EventType = "finding"  // what the gate says of a file
	EventCheck    EventType = "check"    // what doctor found of one thing
	EventProfile  EventType = "profile"  // what Steam tells of a player
	EventResult   EventType = "result"   // how it ended
)

// Stream names where a log line came from.
type Stream string

// The streams of log lines.
const (
	StreamOut  Stream = "out"  // the child's standard output
	StreamErr  Stream = "err"  // the child's standard error, or a failure of ours
	StreamCtl  Stream = "ctl"  // l4d2ctl speaking
	StreamGame Stream = "game" // the game server's console
)

// Event is one line of `--events=json`: exactly one JSON object, no line breaks
// inside. Fields that do not belong to its type are absent. New fields may be
// added; none is ever renamed.
type Event struct {
	Type EventType `json:"type"`
	At   time.Time `json:"at"`

	// log
	Stream Stream `json:"stream,omitempty"`
	Text   string `json:"text,omitempty"`
	Cursor string `json:"cursor,omitempty"` // logs: give it to --after to go on behind this line

	// phase and progress
	Phase *Phase `json:"phase,omitempty"`

	// state
	Status *Status `json:"status,omitempty"`

	// game
	Game *Game `json:"game,omitempty"`

	// check
	Check *Check `json:"check,omitempty"`

	// profile
	Profile *Profile `json:"profile,omitempty"`

	// version, item and finding
	Version *Version `json:"version,omitempty"`
	Item    *Item    `json:"item,omitempty"`
	Finding *Finding `json:"finding,omitempty"`

	// result
	Result *Result `json:"result,omitempty"`
}

// Phase is a step of an operation and how far it is. A percentage belongs to one
// phase and starts at zero again in the next: there is no honest global bar.
type Phase struct {
	Key     string  `json:"key"`             // stable, such as "linux.download"
	Title   string  `json:"title"`           // for people, such as "Linux files: downloading"
	Step    int     `json:"step,omitempty"`  // 1-based, when the number of steps is known
	Steps   int     `json:"steps,omitempty"` //
	Percent float64 `json:"percent,omitempty"`
	Done    int64   `json:"done,omitempty"`  // bytes
	Total   int64   `json:"total,omitempty"` // bytes; 0 when unknown
	Rate    int64   `json:"rate,omitempty"`  // bytes per second, smoothed; 0 when unknown
	Left    int64   `json:"left,omitempty"`  // seconds left in this phase; 0 when unknown
	Try     int     `json:"try,omitempty"`   // which attempt this is, from 1
	Tries   int     `json:"tries,omitempty"` // how many there may be
	Why     string  `json:"why,omitempty"`   // why there was another attempt
}

// Game is what is installed on the host: `install` prints it when it is done and
// `watch` when it begins and whenever it changes.
type Game struct {
	Installed bool      `json:"installed"`
	Build     string    `json:"build,omitempty"`   // Steam's build id
	Latest    string    `json:"latest,omitempty"`  // the newest build that Steam was heard of; "" when it was not asked
	Checked   time.Time `json:"checked,omitzero"`  // when Steam last named the newest build
	Method    string    `json:"method,omitempty"`  // the way of installing that worked last
	Version   string    `json:"version,omitempty"` // PatchVersion of steam.inf
	Size      int64     `json:"size,omitempty"`    // bytes, as the manifest says
	Updated   time.Time `json:"updated,omitzero"`
	Changing  bool      `json:"changing,omitempty"` // an install is under way at this moment
	Message   string    `json:"message,omitempty"`  // why it is not usable
}

// Outdated reports whether Steam has another build than the installed one.
func (g Game) Outdated() bool { return g.Installed && g.Latest != "" && g.Latest != g.Build }

// Result is how the run ended.
type Result struct {
	Code    int      `json:"code"`              // the exit code
	Message string   `json:"message,omitempty"` // one sentence for people when it failed
	Retry   bool     `json:"retry,omitempty"`   // the same again, a little later, may well succeed
	Notices []string `json:"notices,omitempty"` // what was decided on the way and the user should know
}

// maxText bounds one log line; a game server may print anything.
const maxText = 8 << 10

// Encode renders e as one line with its newline. Text is made valid UTF-8 and
// cut at 8 KiB, so that a reader's buffer has a bound.
func Encode(e Event) []byte {
	if !utf8.ValidString(e.Text) {
		e.Text = string(bytes.ToValidUTF8([]byte(e.Text), []byte("\uFFFD")))
	}
	e.Text = clip(e.Text, maxText)
	line, err := json.Marshal(e)
	if err != nil { // a NaN percentage is the only way here
		line, _ = json.Marshal(Event{Type: EventLog, At: e.At, Stream: StreamCtl, Text: "an event could not be encoded: " + err.Error()})
	}
	return append(line, '\n')
}

// Parse reads one line of l4d2ctl's standard output. A line that is not an event
// becomes a log event: nothing a program says is lost.
func Parse(line []byte) Event {
	line = bytes.TrimRight(line, "\r\n")
	var e Event
	if len(line) > 0 && line[0] == '{' {
		if err := json.Unmarshal(line, &e); err == nil && e.Type != "" {
			return e
		}
	}
	text := string(bytes.ToValidUTF8(line, []byte("\uFFFD")))
	return Event{Type: EventLog, At: time.Now().UTC(), Stream: StreamOut, Text: clip(text, maxText)}
}

// CleanLine makes text of what a program printed: valid UTF-8, and no control
// characters, which could move the cursor of an operator's terminal. A line that was
// cut ends in "…".
func CleanLine(b []byte, cut bool) string {
	s := strings.Map(func(r rune) rune {
		if r != '\t' && (r < 0x20 || r >= 0x7F && r < 0xA0) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(b), string(utf8.RuneError)))
	if cut {
		s += "…"
	}
	return s
}
