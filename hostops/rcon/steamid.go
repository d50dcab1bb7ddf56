package rcon

import (
	"fmt"
	"strconv"
	"strings"
)

// individual is the 64-bit id of account 0 in the public universe.
const individual uint64 = 0x0110000100000000

// SteamID64 turns the id that a server prints for a person into the 64-bit one of profiles and the Steam Web API. It
// reads STEAM_X:Y:Z, whose account number is Z*2+Y, [U:1:account], and the 64-bit number itself. Bots and people who
// are still being checked have no such id: that is an error.
func SteamID64(id string) (uint64, error) {
	account, ok := accountNumber(id)
	if !ok || account == 0 {
		return 0, fmt.Errorf("%q is not a Steam id", id)
	}
	return individual + uint64(account), nil
}

// SteamID2 is the form of a 64-bit id that this game prints and takes: STEAM_1:Y:Z.
func SteamID2(id uint64) string {
	account := uint32(id)
	return fmt.Sprintf("STEAM_1:%d:%d", account%2, account/2)
}

func accountNumber(id string) (uint32, bool) {
	if inner, ok := strings.CutPrefix(id, "[U:1:"); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		n, err := parseDigits(inner, 32)
		return n, ok && err == nil
	}
	if n, err := strconv.ParseUint(id, 10, 64); err == nil && len(id) == 17 {
		return uint32(n), n>>32 == individual>>32
	}
	rest, ok := strings.CutPrefix(id, "STEAM_")
	parts := strings.Split(rest, ":")
	// The universe is 1, which older engines print as 0.
	if !ok || len(parts) != 3 || parts[0] != "0" && parts[0] != "1" || parts[1] != "0" && parts[1] != "1" {
		return 0, false
	}
	z, err := parseDigits(parts[2], 31)
	return z*2 + uint32(parts[1][0]-'0'), err == nil
}

func parseDigits(s string, bits int) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, bits)
	return uint32(n), err
}
