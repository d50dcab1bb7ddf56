package ctl

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Ban is one player who is kept away from a game.
type Ban struct {
	SteamID string  `json:"steam_id"`          // as the game writes it
	Number  string  `json:"number"`            // the 64-bit id
	Minutes float64 `json:"minutes,omitempty"` // what is left of it; absent for ever
}

var mapForm = regexp.MustCompile(`\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}\z`)

// CheckMap refuses what cannot be the name of a map: ErrUsage.
func CheckMap(name string) error {
	if !mapForm.MatchString(name) || strings.Contains(name, "..") {
		return fmt.Errorf("%q is not the name of a map, such as c2m1_highway: %w", clip(name, 60), ErrUsage)
	}
	return nil
}

// modes are the game's; campaigns of others bring no new ones.
var modes = []string{"coop", "realism", "versus", "teamversus", "survival", "scavenge", "teamscavenge", "holdout", "dash", "shootzones"}

var numberedMode = regexp.MustCompile(`\A(mutation([1-9]|1[0-9]|20)|community[1-6])\z`)

// CheckMode refuses what is not a mode of the game: ErrUsage. "" is none, which is
// fine.
func CheckMode(mode string) error {
	if mode == "" || slices.Contains(modes, mode) || numberedMode.MatchString(mode) {
		return nil
	}
	return fmt.Errorf("%q is not a mode of the game: use one of %s, mutation1 to mutation20 or community1 to community6: %w",
		clip(mode, 60), strings.Join(modes, ", "), ErrUsage)
}
