package webui

import (
	"fmt"
	"strings"
	"time"

	"left4me/models"
)

// lateAfter is the silence after which what is shown of a server is old: the host
// tells of each every 15 seconds, whatever happens.
const lateAfter = 45 * time.Second

// crashShown is how long a crash is told that the game came back from.
const crashShown = time.Hour

// observedWords are the observed states as people read them, and their tones.
var observedWords = map[models.ServerState]stateView{
	models.ServerRunning:  {"Running", "ok"},
	models.ServerStarting: {"Starting", "busy"},
	models.ServerStopping: {"Stopping", "busy"},
	models.ServerFailed:   {"Failed", "bad"},
	models.ServerUnknown:  {"Unknown", "warn"},
	models.ServerAbsent:   {"Never started", "off"},
	models.ServerStopped:  {"Stopped", "off"},
}

// observed is the state that the host told, and how good that knowledge is.
func (v serverView) observed() stateView {
	s := v.Server
	is := observedWords[s.Observed]
	switch {
	case v.Late() && s.Observed != models.ServerUnknown:
		return stateView{"Last seen " + strings.ToLower(is.Word), "warn"}
	case v.Up() && s.Status.Hung:
		return stateView{"Not answering", "warn"}
	case s.Observed == models.ServerRunning && s.Status.LAN:
		return stateView{"Running, LAN only", "ok"}
	}
	return is
}

// SinceKnown says that the state shown began when the host's did. A game that hangs
// went on running as far as the host can tell.
func (v serverView) SinceKnown() bool {
	return v.Server.Observed != models.ServerAbsent && !v.Late() && (!v.Up() || !v.Server.Status.Hung)
}

// Late says that the host has not told of the server for too long: what is shown is
// what was true then. A host does not tell of servers that were never set up there.
func (v serverView) Late() bool {
	return v.Server.Observed != models.ServerAbsent && time.Since(v.Server.ObservedAt) > lateAfter
}

// Crash is how the game last ended by itself, nil when it did not, or when that is long
// over. A server that is not up again says so as its trouble.
func (v serverView) Crash() *models.GameExit {
	e := v.Server.Status.Exit
	if !v.Up() || v.Server.Status.Restarts == 0 || e == nil || time.Since(e.At) > crashShown {
		return nil
	}
	return e
}

// CrashedHow names the crash's signal or exit code.
func (v serverView) CrashedHow() string {
	e := v.Server.Status.Exit
	switch {
	case e == nil:
		return ""
	case e.Signal != "":
		return e.Signal
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// gameModes are the modes as the game's menu names them.
var gameModes = map[string]string{
	"coop": "Campaign", "realism": "Realism", "versus": "Versus", "survival": "Survival", "scavenge": "Scavenge", "holdout": "Holdout",
}

// Mode is what is played, such as "Campaign, Hard"; "" when the game does not tell.
// Only people against the game alone choose how hard it is.
func (v serverView) Mode() string {
	live := v.Live()
	if live == nil || live.Mode == "" {
		return ""
	}
	word := modeWord(live.Mode)
	if live.Difficulty != "" && (live.Mode == "coop" || live.Mode == "realism") {
		word += ", " + cleanText(difficultyWord(live.Difficulty))
	}
	return word
}

// modeWord is the menu's name of a mode; of a mutation, or a mod's, its own.
func modeWord(mode string) string {
	if word := gameModes[mode]; word != "" {
		return word
	}
	return cleanText(mode)
}

// difficultyWord is the menu's name of a value of z_difficulty.
func difficultyWord(value string) string {
	switch value {
	case "Hard":
		return "Advanced"
	case "Impossible":
		return "Expert"
	}
	return value
}

// CPU is how much of a core the server uses, in whole percent; "" when nobody measured.
func (v serverView) CPU() string {
	if v.Server.Status.CPU == 0 {
		return ""
	}
	return fmt.Sprintf("%d %%", (v.Server.Status.CPU+5)/10)
}
