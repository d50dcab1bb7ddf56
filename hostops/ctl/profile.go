package ctl

import (
	"strconv"
	"strings"
)

// Profile is what Steam tells of a player. Name is a stranger's text: escape it
// always.
type Profile struct {
	SteamID string `json:"steam_id"`         // the 64-bit number, decimal
	Name    string `json:"name"`             // at most 128 bytes
	Avatar  string `json:"avatar,omitempty"` // SHA-256 of a picture in avatars/, hex; "" for none
}

// firstAccount is the 64-bit id of account 0: an individual's account in the public
// universe.
const firstAccount = 76561197960265728

// SteamID64 reads a player's id as the game prints it, STEAM_1:Y:Z or [U:1:N], or as
// Steam's Web API does, and returns the 64-bit number as text. The account's number is
// 2·Z+Y. Bots, LAN ids, pending ones and everything else are refused.
func SteamID64(text string) (id string, ok bool) {
	account, ok := accountOf(text)
	if !ok || account == 0 {
		return "", false
	}
	return strconv.FormatUint(firstAccount+account, 10), true
}

func accountOf(text string) (uint64, bool) {
	if rest, is := strings.CutPrefix(text, "STEAM_"); is {
		universe, rest, _ := strings.Cut(rest, ":")
		y, z, _ := strings.Cut(rest, ":")
		n, err := strconv.ParseUint(z, 10, 31)
		if err != nil || universe != "0" && universe != "1" || y != "0" && y != "1" {
			return 0, false
		}
		return 2*n + uint64(y[0]-'0'), true
	}
	if rest, is := strings.CutPrefix(text, "[U:1:"); is {
		n, err := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 32)
		return n, err == nil && strings.HasSuffix(rest, "]")
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < firstAccount || n-firstAccount > 1<<32-1 || strconv.FormatUint(n, 10) != text {
		return 0, false
	}
	return n - firstAccount, true
}
