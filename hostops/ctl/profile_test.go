package ctl

import "testing"

// The predecessor had the low bit of an account's number in the wrong place.
func TestSteamID64(t *testing.T) {
	for text, want := range map[string]string{
		"STEAM_1:0:12345678":    "76561197984957084",
		"STEAM_1:1:12345678":    "76561197984957085",
		"STEAM_0:1:12345678":    "76561197984957085",
		"[U:1:24691357]":        "76561197984957085",
		"76561197984957085":     "76561197984957085",
		"":                      "",
		"BOT":                   "",
		"STEAM_ID_LAN":          "",
		"STEAM_ID_PENDING":      "",
		"STEAM_1:0:0":           "",
		"STEAM_1:2:5":           "",
		"STEAM_5:0:5":           "",
		"STEAM_1:0:5:1":         "",
		"STEAM_1:0:-5":          "",
		"STEAM_1:0:99999999999": "",
		"[U:1:5":                "",
		"[U:1:99999999999]":     "",
		"[G:1:5]":               "",
		"076561197984957085":    "",
		"12345":                 "",
		"103582791429521412":    "", // a group
		"99999999999999999999":  "",
	} {
		got, ok := SteamID64(text)
		if got != want || ok != (want != "") {
			t.Errorf("SteamID64(%q) = %q, %v; want %q", text, got, ok, want)
		}
	}
}
