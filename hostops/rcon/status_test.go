package rcon

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const sampleStatus = `hostname: 6
version : 2.2.4.3 10097 secure  (unknown)
udp/ip  : 127.0.1.1:27991 [ public 203.0.113.5:27991 ]
os      : Linux Dedicated
map     : c2m1_highway
players : 1 humans, 0 bots (12 max) (not hibernating) (unreserved)

# userid name uniqueid connected ping loss state rate adr
#  2 1 "Player" STEAM_1:0:12345678 00:48 29 0 active 100000 198.51.100.7:27005
#27 "Coach" BOT active
#end
`

func TestParseStatus(t *testing.T) {
	got, err := ParseStatus(sampleStatus)
	want := Status{
		Hostname: "6", Version: "2.2.4.3", Secure: true,
		Address: "127.0.1.1:27991", Public: "203.0.113.5:27991",
		Map: "c2m1_highway", Humans: 1, Max: 12,
		Players: []Player{
			{UserID: 2, Name: "Player", SteamID: "STEAM_1:0:12345678", Connected: 48 * time.Second, Ping: 29, State: "active", Addr: "198.51.100.7:27005"},
			{UserID: 27, Name: "Coach", State: "active", Bot: true},
		},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	crlf, err := ParseStatus(strings.ReplaceAll(sampleStatus, "\n", "\r\n"))
	if err != nil || !reflect.DeepEqual(crlf, want) {
		t.Errorf("with CR LF: got  %+v, %v\nwant %+v", crlf, err, want)
	}
}

func TestParseStatusHeaderVariants(t *testing.T) {
	const players = "players : 0 humans, 0 bots (8 max)\n"
	tests := map[string]struct {
		in   string
		want Status
	}{
		"hibernating":          {"players : 0 humans, 0 bots (4 max) (hibernating) (unreserved)", Status{Max: 4, Hibernating: true}},
		"reserved":             {"players : 3 humans, 1 bots (4 max) (not hibernating) (reserved 186000047cf0fd8)", Status{Humans: 3, Bots: 1, Max: 4, Reserved: true}},
		"old form of counts":   {"players : 5 (8 max)", Status{Humans: 5, Max: 8}},
		"only a count":         {"players : 5", Status{Humans: 5}},
		"insecure":             {players + "version : 2.2.4.3 10097 insecure  (unknown)", Status{Max: 8, Version: "2.2.4.3"}},
		"no public address":    {players + "udp/ip  : 127.0.1.1:27015 [ public n/a ]", Status{Max: 8, Address: "127.0.1.1:27015"}},
		"address alone":        {players + "udp/ip  : 10.0.0.1:27015", Status{Max: 8, Address: "10.0.0.1:27015"}},
		"listen server":        {players + "os      : Listen\nmap     : c1m1_hotel at ( 568, -5707, 2883 )", Status{Max: 8, Map: "c1m1_hotel"}},
		"position with colon":  {players + "map     : c1m1_hotel at: 568 x, 0 y, 0 z", Status{Max: 8, Map: "c1m1_hotel"}},
		"no map":               {players + "map     : ", Status{Max: 8}},
		"empty version":        {players + "version : ", Status{Max: 8}},
		"colons in a name":     {"hostname: [EU] a: b : \"c\" # d\n" + players, Status{Hostname: `[EU] a: b : "c" # d`, Max: 8}},
		"the first line wins":  {players + "players : 9 humans, 9 bots (9 max)\nmap : a\nmap : b", Status{Max: 8, Map: "a"}},
		"log lines in between": {"L 08/24/2016 - 16:13:57: \"A<2><STEAM_1:0:1><>\" say \"map : x\"\n" + players + "map : real\n[SM] map : y", Status{Max: 8, Map: "real"}},
		"counts unreadable":    {"players : many\n" + players, Status{Max: 8}},
		"not UTF-8":            {"hostname: caf\xe9\x00\n" + players, Status{Hostname: "caf\ufffd", Max: 8}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := ParseStatus(tt.in); err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("ParseStatus(%q)\n got %+v, %v\nwant %+v", tt.in, got, err, tt.want)
			}
		})
	}
}

func TestParseStatusPlayerVariants(t *testing.T) {
	tests := map[string]struct {
		row  string
		want []Player
	}{
		"hours":              {`# 2 1 "A" STEAM_1:1:5 1:02:03 90 3 active 30000 192.0.2.1:27005`, []Player{{UserID: 2, Name: "A", SteamID: "STEAM_1:1:5", Connected: time.Hour + 2*time.Minute + 3*time.Second, Ping: 90, Loss: 3, State: "active", Addr: "192.0.2.1:27005"}}},
		"without an address": {`# 2 1 "A" STEAM_1:1:5 00:01 90 0 spawning 30000`, []Player{{UserID: 2, Name: "A", SteamID: "STEAM_1:1:5", Connected: time.Second, Ping: 90, State: "spawning"}}},
		"without a slot":     {`# 2 "A" STEAM_1:1:5 00:01 90 0 challenging 0 192.0.2.1:1`, []Player{{UserID: 2, Name: "A", SteamID: "STEAM_1:1:5", Connected: time.Second, Ping: 90, State: "challenging", Addr: "192.0.2.1:1"}}},
		"quotes in a name":   {`# 2 1 "a "b" c"" STEAM_1:1:5 00:01 1 0 active 1 192.0.2.1:1`, []Player{{UserID: 2, Name: `a "b" c"`, SteamID: "STEAM_1:1:5", Connected: time.Second, Ping: 1, State: "active", Addr: "192.0.2.1:1"}}},
		"a name like a row":  {`# 2 1 "x" STEAM_1:0:1 00:01 1 0 active 1 192.0.2.9:9" BOT active`, []Player{{UserID: 2, Name: `x" STEAM_1:0:1 00:01 1 0 active 1 192.0.2.9:9`, State: "active", Bot: true}}},
		"empty name":         {`# 2 1 "" STEAM_1:1:5 00:01 1 0 active 1 192.0.2.1:1`, []Player{{UserID: 2, SteamID: "STEAM_1:1:5", Connected: time.Second, Ping: 1, State: "active", Addr: "192.0.2.1:1"}}},
		"hash in a name":     {`#3 "# 1 #" BOT active`, []Player{{UserID: 3, Name: "# 1 #", State: "active", Bot: true}}},
		"pending id":         {`# 4 2 "A" STEAM_ID_PENDING 00:00 0 0 challenging 0 192.0.2.1:1`, []Player{{UserID: 4, Name: "A", SteamID: "STEAM_ID_PENDING", State: "challenging", Addr: "192.0.2.1:1"}}},
		"new style id":       {`# 4 2 "A" [U:1:24691356] 00:00 0 0 active 0`, []Player{{UserID: 4, Name: "A", SteamID: "[U:1:24691356]", State: "active"}}},
		"nothing but an id":  {`#5 "A" STEAM_1:1:5`, []Player{{UserID: 5, Name: "A", SteamID: "STEAM_1:1:5"}}},
		"negative numbers":   {`#5 "A" STEAM_1:1:5 00:01 -1 -1 active`, []Player{{UserID: 5, Name: "A", SteamID: "STEAM_1:1:5", Connected: time.Second, State: "active"}}},
		"absurd time":        {`#5 "A" STEAM_1:1:5 99999999999:00 1 2 active`, []Player{{UserID: 5, Name: "A", SteamID: "STEAM_1:1:5", Ping: 1, Loss: 2, State: "active"}}},
		"column names":       {`# userid name uniqueid connected ping loss state rate adr`, nil},
		"end":                {`#end`, nil},
		"no name":            {`# 2 1 STEAM_1:1:5`, nil},
		"one quote":          {`# 2 1 "A STEAM_1:1:5`, nil},
		"no id":              {`# "A" STEAM_1:1:5`, nil},
		"negative id":        {`#-2 "A" BOT active`, nil},
		"nothing behind":     {`# 2 1 "A"`, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseStatus("players : 1 humans, 0 bots (4 max)\n" + tt.row + "\n#end\n")
			if err != nil || !reflect.DeepEqual(got.Players, tt.want) {
				t.Errorf("row %s\n got %+v, %v\nwant %+v", tt.row, got.Players, err, tt.want)
			}
		})
	}
}

func TestParseStatusRefusesOtherText(t *testing.T) {
	for _, text := range []string{"", "Unknown command \"status\"\n", "hostname: x\nmap : y\n", "#end"} {
		if got, err := ParseStatus(text); !errors.Is(err, ErrStatus) || !reflect.DeepEqual(got, Status{}) {
			t.Errorf("ParseStatus(%q) = %+v, %v; want ErrStatus", text, got, err)
		}
	}
}

func TestSteamID64(t *testing.T) {
	tests := map[string]uint64{
		"STEAM_1:0:12345678":   76561197984957084,
		"STEAM_0:1:12345678":   76561197984957085,
		"[U:1:24691356]":       76561197984957084,
		"STEAM_1:1:0":          76561197960265729,
		"STEAM_1:1:2147483647": 76561202255233023,
		"[U:1:4294967295]":     76561202255233023,
	}
	for id, want := range tests {
		if got, err := SteamID64(id); err != nil || got != want {
			t.Errorf("SteamID64(%q) = %d, %v; want %d", id, got, err, want)
		}
	}
	for _, id := range []string{
		"", "BOT", "STEAM_ID_PENDING", "STEAM_1:0:0", "STEAM_1:2:5", "STEAM_2:0:5", "STEAM_1:0:2147483648",
		"STEAM_1:0:-5", "STEAM_1:0:5:6", "STEAM_1:0", "1:0:5", "[U:1:5", "[U:1:]", "[U:1:4294967296]", "[G:1:5]",
	} {
		if got, err := SteamID64(id); err == nil {
			t.Errorf("SteamID64(%q) = %d, want an error", id, got)
		}
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add(sampleStatus)
	f.Add("players : 1 humans, 0 bots (12 max) (hibernating) (reserved 1)\nmap : a at ( 1, 2, 3 )\nudp/ip : [ public n/a ]\n# 1 2 \"a \"b\" [U:1:2] 1:02:03\n")
	f.Add("players : 1 (4 max)\n#1\"\xff\"BOT")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseStatus(text)
		if err != nil {
			if !errors.Is(err, ErrStatus) {
				t.Errorf("ParseStatus(%q): error %v", text, err)
			}
			return
		}
		if s.Humans < 0 || s.Bots < 0 || s.Max < 0 || !utf8.ValidString(s.Hostname) {
			t.Errorf("ParseStatus(%q) = %+v", text, s)
		}
		for _, p := range s.Players {
			if p.UserID < 0 || p.Ping < 0 || p.Loss < 0 || p.Connected < 0 || !utf8.ValidString(p.Name) || p.Bot && p.SteamID != "" {
				t.Errorf("ParseStatus(%q): player %+v", text, p)
			}
			if id, err := SteamID64(p.SteamID); err == nil && id <= individual {
				t.Errorf("SteamID64(%q) = %d", p.SteamID, id)
			}
		}
	})
}

func TestSteamID2(t *testing.T) {
	for _, form := range []string{"STEAM_1:0:12345678", "STEAM_0:0:12345678", "[U:1:24691356]", "76561197984957084"} {
		id, err := SteamID64(form)
		if got := SteamID2(id); err != nil || got != "STEAM_1:0:12345678" {
			t.Errorf("%s is %s, %v", form, got, err)
		}
	}
	for _, bad := range []string{"7656119798495708", "86561197984957084", "76561197960265728", "+7656119798495708"} {
		if id, err := SteamID64(bad); err == nil {
			t.Errorf("%s was taken for %d", bad, id)
		}
	}
}
