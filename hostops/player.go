package hostops

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"left4me/hostops/ctl"
	"left4me/hostops/rcon"
)

// Players are told apart by their Steam id only. Their names are theirs to choose,
// twice the same one too, and come no further than to the screen.

// maxBan is the longest ban in minutes that ends; a year.
const maxBan = 60 * 24 * 366

// Kick sends a player away. Nobody with that Steam id on the server is
// ctl.ErrNoPlayer.
func (h *Host) Kick(ctx context.Context, name, steamID, reason string) error {
	id, err := playerID(steamID)
	if err != nil {
		return err
	}
	return h.withConsole(ctx, name, func(ctx context.Context, g *gameConsole) error {
		p, err := g.player(ctx, id)
		if err != nil {
			return err
		}
		if p == nil {
			return fail(ctl.ErrNoPlayer, "nobody with the Steam id %s is on %s: they may have left", steamID, name)
		}
		if err := g.kick(ctx, p, reason); err != nil {
			return err
		}
		h.say("Kicked %s (%s).", ctl.CleanLine([]byte(p.Name), false), p.SteamID)
		return nil
	})
}

// Ban keeps a player away for so many minutes, or for ever with 0, and sends them away
// if they are here. The game keeps a ban that ends in memory only; one for ever is
// written to cfg/banned_user.cfg of the server.
func (h *Host) Ban(ctx context.Context, name, steamID string, minutes int, reason string) error {
	id, err := playerID(steamID)
	if err != nil {
		return err
	}
	if minutes < 0 || minutes > maxBan {
		return fail(ctl.ErrUsage, "a ban lasts up to %d minutes, or for ever with 0", maxBan)
	}
	return h.withConsole(ctx, name, func(ctx context.Context, g *gameConsole) error {
		if _, err := g.tell(ctx, "banid", minutes, word(rcon.SteamID2(id))); err != nil {
			return err
		}
		if list, err := g.bans(ctx); err != nil {
			return err
		} else if _, ok := banOf(list, id); !ok {
			return fail(ctl.ErrConsole, "the game of %s did not take the ban", name)
		}
		if minutes == 0 {
			if _, err := g.tell(ctx, "writeid"); err != nil {
				return err
			}
		}
		p, err := g.player(ctx, id)
		if err != nil {
			return err
		}
		if p != nil {
			if err := g.kick(ctx, p, strings.TrimSpace("Banned. "+reason)); err != nil {
				return err
			}
		}
		h.say("Banned %s %s.", rcon.SteamID2(id), banLength(minutes))
		return nil
	})
}

// Unban lets a player come back. One who is not banned is success.
func (h *Host) Unban(ctx context.Context, name, steamID string) error {
	id, err := playerID(steamID)
	if err != nil {
		return err
	}
	return h.withConsole(ctx, name, func(ctx context.Context, g *gameConsole) error {
		list, err := g.bans(ctx)
		if err != nil {
			return err
		}
		ban, ok := banOf(list, id)
		if !ok {
			h.say("%s is not banned.", rcon.SteamID2(id))
			return nil
		}
		if _, err := g.tell(ctx, "removeid", word(ban.SteamID)); err != nil { // as the game wrote it
			return err
		}
		if _, err := g.tell(ctx, "writeid"); err != nil {
			return err
		}
		if list, err = g.bans(ctx); err != nil {
			return err
		}
		if _, still := banOf(list, id); still {
			return fail(ctl.ErrConsole, "the game of %s did not lift the ban", name)
		}
		h.say("Lifted the ban of %s.", rcon.SteamID2(id))
		return nil
	})
}

// Bans lists who is kept away from a running game.
func (h *Host) Bans(ctx context.Context, name string) (list []ctl.Ban, err error) {
	err = h.withConsole(ctx, name, func(ctx context.Context, g *gameConsole) (err error) {
		list, err = g.bans(ctx)
		return err
	})
	return list, err
}

func playerID(s string) (uint64, error) {
	id, err := rcon.SteamID64(s)
	if err != nil {
		return 0, fail(ctl.ErrUsage, "%q is not a Steam id: give one such as STEAM_1:0:12345678, [U:1:24691356] or 76561197984957084", clipText(s, 60))
	}
	return id, nil
}

// player asks who is on the server now and returns the one with the id, nil when
// nobody has it.
func (g *gameConsole) player(ctx context.Context, id uint64) (*rcon.Player, error) {
	reply, err := g.tell(ctx, "status")
	if err != nil {
		return nil, err
	}
	st, err := rcon.ParseStatus(reply)
	if err != nil {
		return nil, fail(ctl.ErrConsole, "the game of %s did not say who is on it", g.name)
	}
	for i := range st.Players {
		if n, err := rcon.SteamID64(st.Players[i].SteamID); err == nil && n == id {
			return &st.Players[i], nil
		}
	}
	return nil, nil
}

func (g *gameConsole) kick(ctx context.Context, p *rcon.Player, reason string) error {
	args := []any{p.UserID}
	if reason != "" {
		args = append(args, phrase(reason))
	}
	_, err := g.tell(ctx, "kickid", args...)
	return err
}

// bans reads the game's list:
//
//	ID filter list: 2 entries
//	1 STEAM_0:1:123 : permanent
//	2 [U:1:400] : 30.000 min
func (g *gameConsole) bans(ctx context.Context) ([]ctl.Ban, error) {
	reply, err := g.tell(ctx, "listid")
	if err != nil {
		return nil, err
	}
	list, ok := parseBans(reply)
	if !ok {
		return nil, fail(ctl.ErrConsole, "the game of %s did not show its list of bans", g.name)
	}
	return list, nil
}

var banRow = regexp.MustCompile(`\A\s*[0-9]+\s+(STEAM_[0-9]:[01]:[0-9]{1,10}|\[U:1:[0-9]{1,10}\])\s*:\s*(permanent|([0-9]+(?:\.[0-9]+)?) min)\s*\z`)

// parseBans is false for what is no list.
func parseBans(reply string) (list []ctl.Ban, ok bool) {
	for line := range strings.Lines(reply) {
		if strings.HasPrefix(line, "ID filter list:") {
			ok = true
			continue
		}
		found := banRow.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		if found == nil {
			continue
		}
		id, err := rcon.SteamID64(found[1])
		if err != nil {
			continue
		}
		ban := ctl.Ban{SteamID: found[1], Number: strconv.FormatUint(id, 10)}
		if found[3] != "" {
			ban.Minutes, _ = strconv.ParseFloat(found[3], 64) // digits by the pattern
		}
		list = append(list, ban)
	}
	return list, ok
}

func banOf(list []ctl.Ban, id uint64) (ctl.Ban, bool) {
	for _, b := range list {
		if b.Number == strconv.FormatUint(id, 10) {
			return b, true
		}
	}
	return ctl.Ban{}, false
}

func banLength(minutes int) string {
	switch minutes {
	case 0:
		return "for ever"
	case 1:
		return "for 1 minute"
	}
	return "for " + strconv.Itoa(minutes) + " minutes"
}
