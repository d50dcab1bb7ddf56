package ctl

import (
	"slices"
	"strings"
	"testing"
)

func TestParseWorkshopIDs(t *testing.T) {
	tests := map[string]struct{ text, ids, bad string }{
		"nothing":          {" \n\t", "", ""},
		"numbers":          {"121086524 222,333;444\n555\r\n", "121086524 222 333 444 555", ""},
		"twice":            {"222 0222 222\nhttps://steamcommunity.com/sharedfiles/filedetails/?id=222", "222", ""},
		"page":             {"https://steamcommunity.com/sharedfiles/filedetails/?id=121086524&searchtext=x", "121086524", ""},
		"workshop page":    {"http://www.SteamCommunity.com/workshop/filedetails/?l=english&id=7#comments", "7", ""},
		"without a scheme": {"steamcommunity.com/sharedfiles/filedetails?id=7", "7", ""},
		"client link":      {"steam://url/CommunityFilePage/77 steam://openurl/https://steamcommunity.com/sharedfiles/filedetails/?id=78", "77 78", ""},
		"in brackets":      {`<https://steamcommunity.com/sharedfiles/filedetails/?id=9> ("10") [11]`, "9 10 11", ""},
		"remarks":          {"Yama: https://steamcommunity.com/sharedfiles/filedetails/?id=9 (by its author)\n10 # ours\n# all of them", "9 10", ""},
		"words":            {"12 monkeys", "12", "monkeys"},
		"another site":     {"https://steamcommunity.com.evil.example/sharedfiles/filedetails/?id=9", "", "https://steamcommunity.com.evil.example/sharedfiles/filedetails/?id=9"},
		"another site too": {"https://steamcommunity.com/sharedfiles/filedetails/?id=9 https://evil.example/?id=8", "9", "https://evil.example/?id=8"},
		"another page":     {"https://steamcommunity.com/profiles/?id=9", "", "https://steamcommunity.com/profiles/?id=9"},
		"no number":        {"https://steamcommunity.com/sharedfiles/filedetails/?id=../../x", "", "https://steamcommunity.com/sharedfiles/filedetails/?id=../../x"},
		"zero and minus":   {"0 -1 1e5 0x10 ١٢", "", "0 -1 1e5 0x10 ١٢"},
		"64 bits":          {"18446744073709551615 18446744073709551616", "18446744073709551615", "18446744073709551616"},
		"wide commas":      {"1，2；3\u30004\u00a05\ufeff6", "1 2 3 4 5 6", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ids, bad := ParseWorkshopIDs(tt.text)
			if got := strings.Join(ids, " "); got != tt.ids {
				t.Errorf("ids of %q: %q, want %q", tt.text, got, tt.ids)
			}
			if got := strings.Join(bad, " "); got != tt.bad {
				t.Errorf("bad of %q: %q, want %q", tt.text, got, tt.bad)
			}
		})
	}
}

func TestParseWorkshopIDsIsBounded(t *testing.T) {
	_, bad := ParseWorkshopIDs(strings.Repeat(strings.Repeat("é", 500)+"\n", 500))
	if len(bad) != maxBadWords || slices.ContainsFunc(bad, func(s string) bool { return len(s) > maxBadWord+3 }) {
		t.Errorf("%d bad words, the first of %d bytes", len(bad), len(bad[0]))
	}
}
