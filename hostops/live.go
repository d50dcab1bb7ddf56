package hostops

import (
	"context"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"left4me/hostops/a2s"
	"left4me/hostops/ctl"
	"left4me/hostops/rcon"
)

// The game never answers A2S on 127.0.0.1, whatever it is bound to, but does on
// every other address of this host, and 127.0.1.1 always is one. RCON has no such
// quirk.
const (
	queryHost = "127.0.1.1"
	rconHost  = "127.0.0.1"
)

const (
	queryTimeout = 800 * time.Millisecond
	rconTimeout  = 3 * time.Second
	maxNames     = 32 // players named in a status
)

func onPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// query asks the game by A2S. Hibernation and names it does not tell.
func query(ctx context.Context, port int) (*ctl.Live, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	info, err := a2s.Info(ctx, onPort(queryHost, port))
	if err != nil {
		return nil, err
	}
	return &ctl.Live{
		At:       now(),
		Hostname: info.Name,
		Map:      info.Map,
		Players:  max(info.Players-info.Bots, 0),
		Bots:     info.Bots,
		Max:      info.MaxPlayers,
	}, nil
}

// gameModeForm is the form of the game's modes, such as coop or mutation12.
var gameModeForm = regexp.MustCompile(`^[a-z0-9_]{1,20}$`)

// difficulties are the values of z_difficulty.
var difficulties = []string{"Easy", "Normal", "Hard", "Impossible"}

// playing asks for mode and difficulty, which are among the public cvars that A2S
// tells although the console hides the first. What is not told, or has no such
// value, is "".
func playing(ctx context.Context, port int) (mode, difficulty string, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rules, err := a2s.Rules(ctx, onPort(queryHost, port))
	if err != nil {
		return "", "", err
	}
	if m := rules["mp_gamemode"]; gameModeForm.MatchString(m) {
		mode = m
	}
	for _, d := range difficulties {
		if strings.EqualFold(rules["z_difficulty"], d) {
			difficulty = d
		}
	}
	return mode, difficulty, nil
}

// console asks the game by RCON. Errors: rcon.ErrAuth must not be followed by
// another try with the same password.
func console(ctx context.Context, port int, password string) (*ctl.Live, error) {
	ctx, cancel := context.WithTimeout(ctx, rconTimeout)
	defer cancel()
	conn, err := rcon.Dial(ctx, onPort(rconHost, port), password)
	if err != nil {
		return nil, err
	}
	defer conn.Close() // everything it had to say was read
	text, err := conn.Exec(ctx, "status")
	if err != nil {
		return nil, err
	}
	s, err := rcon.ParseStatus(text)
	if err != nil {
		return nil, err
	}
	live := &ctl.Live{
		At: now(), Hostname: s.Hostname, Map: s.Map,
		Players: s.Humans, Bots: s.Bots, Max: s.Max, Hibernating: s.Hibernating,
		Public: s.Public,
	}
	live.NamesAt = live.At
	for _, p := range s.Players {
		if p.Bot || p.SteamID == pendingID || len(live.Names) == maxNames {
			continue
		}
		live.Names = append(live.Names, ctl.Player{
			UserID: p.UserID, Name: p.Name, SteamID: steamID(p.SteamID),
			Connected: int64(p.Connected / time.Second), Ping: p.Ping, Loss: p.Loss,
		})
	}
	return live, nil
}

// pendingID is what somebody has who is still being checked: not on the server yet.
const pendingID = "STEAM_ID_PENDING"

// steamID is the number of profiles and of the Web API as text, "" for who has none.
func steamID(printed string) string {
	id, err := rcon.SteamID64(printed)
	if err != nil {
		return ""
	}
	return strconv.FormatUint(id, 10)
}
