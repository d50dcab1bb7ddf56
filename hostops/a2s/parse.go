package a2s

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"
)

// ServerInfo is what a server tells about itself. All text is valid UTF-8 and chosen by the server's admin.
type ServerInfo struct {
	Protocol   int
	Name       string
	Map        string
	Folder     string // left4dead2
	Game       string
	AppID      int // 550
	Players    int // people and, on some servers, bots
	MaxPlayers int
	Bots       int    // survivor and infected bots
	Type       string // "dedicated", "listen", "proxy" or ""
	OS         string // "linux", "windows", "mac" or ""
	Password   bool
	VAC        bool
	Version    string

	// What follows is optional in the protocol and zero if the server leaves it out.
	Port     int
	SteamID  uint64
	TVPort   int
	TVName   string
	Keywords string
	GameID   uint64
}

// Player is one entry of the players query. A player who is still connecting has no name.
type Player struct {
	Name      string
	Score     int
	Connected time.Duration
}

// Bits of the byte that says which optional fields follow, in this order.
const (
	hasPort     = 0x80
	hasSteamID  = 0x10
	hasTV       = 0x40
	hasKeywords = 0x20
	hasGameID   = 0x01
)

// parseInfo reads, integers little endian:
//
//	u8 protocol, name\0, map\0, folder\0, game\0, u16 app, u8 players, u8 max, u8 bots, u8 type, u8 os,
//	u8 password, u8 vac, version\0, u8 flags, then the optional fields that the flags name
//
// The optional part may be cut off: what is there is used.
func parseInfo(b []byte) (ServerInfo, error) {
	r := reader{rest: b}
	info := ServerInfo{
		Protocol: int(r.uint8()),
		Name:     r.text(), Map: r.text(), Folder: r.text(), Game: r.text(),
		AppID:   int(r.uint16()),
		Players: int(r.uint8()), MaxPlayers: int(r.uint8()), Bots: int(r.uint8()),
		Type:     typeName(r.uint8()),
		OS:       osName(r.uint8()),
		Password: r.uint8() != 0,
		VAC:      r.uint8() != 0,
		Version:  r.text(),
	}
	if r.short {
		return ServerInfo{}, fmt.Errorf("%d bytes of server info: %w", len(b), ErrMalformed)
	}
	flags := r.uint8()
	if flags&hasPort != 0 {
		info.Port = int(r.uint16())
	}
	if flags&hasSteamID != 0 {
		info.SteamID = r.uint64()
	}
	if flags&hasTV != 0 {
		info.TVPort, info.TVName = int(r.uint16()), r.text()
	}
	if flags&hasKeywords != 0 {
		info.Keywords = r.text()
	}
	if flags&hasGameID != 0 {
		info.GameID = r.uint64()
	}
	return info, nil
}

func typeName(c byte) string {
	switch c {
	case 'd', 'D':
		return "dedicated"
	case 'l', 'L':
		return "listen"
	case 'p', 'P':
		return "proxy"
	}
	return ""
}

func osName(c byte) string {
	switch c {
	case 'l', 'L':
		return "linux"
	case 'w', 'W':
		return "windows"
	case 'm', 'M', 'o', 'O':
		return "mac"
	}
	return ""
}

// parsePlayers reads u8 count, then as often: u8 index, name\0, i32 score, f32 seconds. A last entry that is cut off
// is dropped. The index is 0 in all of them and of no use.
func parsePlayers(b []byte) ([]Player, error) {
	r := reader{rest: b}
	count := int(r.uint8())
	if r.short {
		return nil, fmt.Errorf("empty list of players: %w", ErrMalformed)
	}
	var players []Player
	for range count {
		r.uint8()
		p := Player{Name: r.text(), Score: int(int32(r.uint32())), Connected: seconds(r.uint32())}
		if r.short {
			break
		}
		players = append(players, p)
	}
	return players, nil
}

// seconds reads a float32. Servers send -1 for those who are not in the game yet.
func seconds(bits uint32) time.Duration {
	s := float64(math.Float32frombits(bits))
	const longest = 1e8 // three years; also keeps infinity out
	if s > 0 && s < longest {
		return time.Duration(s * float64(time.Second))
	}
	return 0
}

// parseRules reads u16 count, then as often: name\0, value\0. A last pair that is cut off is dropped.
func parseRules(b []byte) (map[string]string, error) {
	r := reader{rest: b}
	count := int(r.uint16())
	if r.short {
		return nil, fmt.Errorf("empty list of rules: %w", ErrMalformed)
	}
	rules := make(map[string]string)
	for range count {
		name, value := r.text(), r.text()
		if r.short {
			break
		}
		rules[name] = value
	}
	return rules, nil
}

// reader takes fields off the front. Once one is missing, short is true and every further field is zero.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if r.short || len(r.rest) < n {
		r.short = true
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint8() byte    { return r.take(1)[0] }
func (r *reader) uint16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *reader) uint32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) uint64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

func (r *reader) text() string {
	text, rest, ok := bytes.Cut(r.rest, []byte{0})
	if r.short || !ok {
		r.short = true
		return ""
	}
	r.rest = rest
	return strings.ToValidUTF8(string(text), "\ufffd")
}
