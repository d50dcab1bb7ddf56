package rcon

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// ErrStatus says that a text is not what the command status prints.
var ErrStatus = errors.New("not the output of status")

// Status is what a server says about itself. All text is valid UTF-8; a name may still hold anything a player typed.
type Status struct {
	Hostname    string
	Version     string // 2.2.4.3
	Secure      bool   // protected by VAC
	Address     string // the address it is bound to, which A2S answers on
	Public      string // as Steam sees it; "" if it is not known
	Map         string // "" before the first one is loaded
	Humans      int
	Bots        int // survivor and infected bots
	Max         int
	Hibernating bool
	Reserved    bool // held by a lobby
	Players     []Player
}

// Player is one row of status. Bots have nothing but an id, a name and a state.
type Player struct {
	UserID    int // what kickid takes
	Name      string
	SteamID   string // as printed, see [SteamID64]; "" for bots
	Connected time.Duration
	Ping      int // milliseconds
	Loss      int // percent
	State     string
	Addr      string // ip:port, "" where the server does not show it
	Bot       bool
}

// ParseStatus reads the reply to status, in which lines of other origin may be mixed:
//
//	hostname: 6
//	version : 2.2.4.3 10097 secure  (unknown)
//	udp/ip  : 127.0.1.1:27991 [ public 203.0.113.5:27991 ]
//	os      : Linux Dedicated
//	map     : c2m1_highway at ( 0, 0, 0 )
//	players : 1 humans, 0 bots (12 max) (not hibernating) (reserved 186000047cf0fd8)
//
//	# userid name uniqueid connected ping loss state rate adr
//	#  2 1 "Player" STEAM_1:0:12345678 1:00:48 29 0 active 100000 198.51.100.7:27005
//	#27 "Coach" BOT active
//	#end
//
// What is missing or unreadable stays zero; without a line of players it is [ErrStatus], since every count would be
// wrong. Of two lines for one thing the first counts: later ones are not the server's header.
func ParseStatus(text string) (Status, error) {
	var s Status
	seen := make(map[string]bool)
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if row, ok := strings.CutPrefix(line, "#"); ok {
			if p, ok := parsePlayer(row); ok {
				s.Players = append(s.Players, p)
			}
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		key = strings.TrimSpace(key)
		if ok && !seen[key] && s.set(key, strings.TrimSpace(value)) {
			seen[key] = true
		}
	}
	if !seen["players"] {
		return Status{}, ErrStatus
	}
	return s, nil
}

// set fills in one line of the header and tells whether it was one.
func (s *Status) set(key, value string) bool {
	switch key {
	case "hostname":
		s.Hostname = value
	case "version":
		fields := strings.Fields(value)
		for _, f := range fields {
			s.Secure = s.Secure || f == "secure"
		}
		if len(fields) > 0 {
			s.Version = fields[0]
		}
	case "udp/ip":
		local, public, _ := strings.Cut(value, "[")
		s.Address = strings.TrimSpace(local)
		public = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(strings.TrimSuffix(public, "]")), "public"))
		if public != "n/a" {
			s.Public = public
		}
	case "map":
		s.Map, _, _ = strings.Cut(value, " at ")
		s.Map, _, _ = strings.Cut(s.Map, " at:")
	case "players":
		return s.setPlayers(value)
	default:
		return false
	}
	return true
}

func (s *Status) setPlayers(value string) bool {
	counts, notes, _ := strings.Cut(value, "(")
	humans, bots, _ := strings.Cut(counts, ",")
	var ok bool
	if s.Humans, ok = leadingInt(humans); !ok {
		return false
	}
	s.Bots, _ = leadingInt(bots)
	for note := range strings.SplitSeq(notes, "(") {
		note = strings.TrimSpace(note)
		switch {
		case strings.HasPrefix(note, "hibernating"):
			s.Hibernating = true
		case strings.HasPrefix(note, "reserved"):
			s.Reserved = true
		case strings.HasSuffix(note, "max)"):
			s.Max, _ = leadingInt(note)
		}
	}
	return true
}

// parsePlayer reads a row from both ends, because a name may hold quotes and anything that looks like another column:
// it is what stands between the first and the last quote.
func parsePlayer(row string) (Player, bool) {
	first, last := strings.IndexByte(row, '"'), strings.LastIndexByte(row, '"')
	if first < 0 || last == first {
		return Player{}, false
	}
	head, rest := strings.Fields(row[:first]), strings.Fields(row[last+1:])
	if len(head) == 0 || len(rest) == 0 {
		return Player{}, false
	}
	id, err := strconv.Atoi(head[0]) // people have a slot number behind it
	if err != nil || id < 0 {
		return Player{}, false
	}
	p := Player{UserID: id, Name: row[first+1 : last]}
	if p.Bot = rest[0] == "BOT"; !p.Bot {
		p.SteamID = rest[0]
	}
	rest = rest[1:]
	if len(rest) > 0 && strings.Contains(rest[0], ":") {
		p.Connected, rest = parseConnected(rest[0]), rest[1:]
	}
	p.Ping, rest = takeInt(rest)
	p.Loss, rest = takeInt(rest)
	if len(rest) > 0 {
		p.State, rest = rest[0], rest[1:]
	}
	_, rest = takeInt(rest) // the rate
	if len(rest) > 0 {
		p.Addr = rest[len(rest)-1]
	}
	return p, true
}

// parseConnected reads mm:ss and h:mm:ss; anything else is 0.
func parseConnected(s string) time.Duration {
	parts := strings.Split(s, ":")
	if len(parts) > 3 {
		return 0
	}
	var seconds time.Duration
	for _, part := range parts {
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return 0
		}
		seconds = seconds*60 + time.Duration(n)
	}
	return seconds * time.Second
}

// takeInt removes a number from the front of fields. Without one it takes nothing and returns 0.
func takeInt(fields []string) (int, []string) {
	if len(fields) == 0 {
		return 0, fields
	}
	n, err := strconv.Atoi(fields[0])
	if err != nil {
		return 0, fields
	}
	return max(n, 0), fields[1:]
}

// leadingInt reads the number that s begins with, up to 9 digits.
func leadingInt(s string) (int, bool) {
	s = strings.TrimSpace(s)
	end := 0
	for end < len(s) && end < 9 && '0' <= s[end] && s[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(s[:end])
	return n, err == nil
}
