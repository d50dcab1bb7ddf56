package ctl

import "time"

// ServerState is what the host sees of an instance.
type ServerState string

// The states. Absent means that no instance of that name is initialised.
const (
	ServerAbsent   ServerState = "absent"
	ServerStopped  ServerState = "stopped"
	ServerStarting ServerState = "starting" // process up, RCON does not answer yet
	ServerRunning  ServerState = "running"
	ServerStopping ServerState = "stopping"
	ServerFailed   ServerState = "failed" // ended by itself and is not restarted again
	ServerUnknown  ServerState = "unknown"
)

// Grade is how far a started server has come. Each includes those before it.
type Grade string

// The grades of readiness, in order.
const (
	GradeProcess Grade = "process" // the game process is up
	GradePort    Grade = "port"    // it has bound its port
	GradeMap     Grade = "map"     // it began to load a map
	GradeRCON    Grade = "rcon"    // server.cfg was executed and RCON answers
	GradeSteam   Grade = "steam"   // connected to Steam: listed
)

// Status is what `status NAME --json` prints: one instance as the host sees it.
type Status struct {
	Name     string      `json:"name"`
	State    ServerState `json:"state"`
	Since    time.Time   `json:"since"`             // when it came into this state
	Message  string      `json:"message,omitempty"` // one sentence: why it is so
	Port     int         `json:"port,omitempty"`
	Grade    Grade       `json:"grade,omitempty"`
	LAN      bool        `json:"lan,omitempty"`      // it came up without Steam and cannot be found from outside; Message says why
	PID      int         `json:"pid,omitempty"`      // the game's, in the host's numbering
	Restarts int         `json:"restarts,omitempty"` // by the supervisor, since the last start
	Exit     *Exit       `json:"exit,omitempty"`     // how the game last ended
	Pending  bool        `json:"pending,omitempty"`  // it runs with an older definition than the host has now
	Applied  *Applied    `json:"applied,omitempty"`  // what the running game was started with
	Live     *Live       `json:"live,omitempty"`     // what the game says, absent when it does not answer
	Memory   int64       `json:"memory,omitempty"`   // bytes resident, whole instance
	CPU      int         `json:"cpu,omitempty"`      // thousandths of a core, whole instance, since the look before; only watch has one
	Hung     bool        `json:"hung,omitempty"`     // its process is there and the game answers nothing; only watch looks long enough
	Lost     bool        `json:"lost,omitempty"`     // it is down since the host was booted or its keeper was killed, which is not its game's fault
}

// Exit is how the game process ended.
type Exit struct {
	At     time.Time `json:"at"`
	Code   int       `json:"code"`             // exit code; 128+signal when a signal ended it
	Signal string    `json:"signal,omitempty"` // such as SIGSEGV
	Cause  string    `json:"cause,omitempty"`  // one sentence, where the log or the files tell it of a game that runs again
}

// Applied records what a start used: it may differ from what the next one would.
type Applied struct {
	Spec     string    `json:"spec"` // SHA-256 of the spec, hex
	Overlays []string  `json:"overlays,omitempty"`
	Argv     []string  `json:"argv"`
	Layer    string    `json:"layer,omitempty"` // the generated topmost layer, relative to the state root
	At       time.Time `json:"at"`
}

// Live is what the game itself answered.
type Live struct {
	At          time.Time `json:"at"`
	Hostname    string    `json:"hostname"`
	Map         string    `json:"map"`
	Players     int       `json:"players"` // humans
	Bots        int       `json:"bots"`
	Max         int       `json:"max"`
	Mode        string    `json:"mode,omitempty"`       // such as coop or versus; "" when the game does not tell
	Difficulty  string    `json:"difficulty,omitempty"` // Easy, Normal, Hard or Impossible; "" when the game does not tell
	Hibernating bool      `json:"hibernating,omitempty"`
	Public      string    `json:"public,omitempty"`  // its address as Steam sees it; absent while it is not connected
	Names       []Player  `json:"names,omitempty"`   // at most 32
	NamesAt     time.Time `json:"names_at,omitzero"` // when Names was the whole list; zero when it never was asked for
}

// Player is one human on a server. Name is a stranger's text: escape it always.
type Player struct {
	UserID    int    `json:"user_id,omitempty"` // what kickid takes
	Name      string `json:"name"`
	SteamID   string `json:"steam_id,omitempty"` // the 64-bit number, 17 digits; "" where the game tells none, as on a LAN
	Connected int64  `json:"connected"`          // seconds
	Ping      int    `json:"ping"`               // milliseconds
	Loss      int    `json:"loss,omitempty"`     // percent
}
