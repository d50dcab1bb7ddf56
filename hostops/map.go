package hostops

import (
	"context"
	"regexp"
	"strings"

	"left4me/hostops/ctl"
)

// ChangeMap makes a running game play another map. Without a mode, or with the one
// that is played, the players stay (changelevel); another mode begins a new game
// (map NAME MODE), to which they have to connect again.
func (h *Host) ChangeMap(ctx context.Context, name, mapName, mode string) error {
	if err := ctl.CheckMap(mapName); err != nil {
		return err
	}
	if err := ctl.CheckMode(mode); err != nil {
		return err
	}
	return h.withConsole(ctx, name, func(ctx context.Context, g *gameConsole) error {
		reply, err := "", error(nil)
		if mode == "" || g.mode(ctx) == mode {
			reply, err = g.tell(ctx, "changelevel", word(mapName))
		} else {
			reply, err = g.tell(ctx, "map", word(mapName), word(mode))
		}
		if err != nil {
			return err
		}
		if noMap.MatchString(reply) {
			return fail(ctl.ErrUsage, "server %s has no map %s: choose one that the game or an overlay brings", name, mapName)
		}
		h.say("Changing to %s.", strings.TrimSpace(mapName+" "+mode))
		return nil
	})
}

// noMap is what the engine says of a map that it does not have.
var noMap = regexp.MustCompile(`(?m)^(changelevel failed|map load failed|CModelLoader::Map_IsValid: +No such map)`)

// gameMode finds the mode in what the game, or SourceMod, says of mp_gamemode. It is
// hidden in the game, so that only the latter answers.
var gameMode = regexp.MustCompile(`"mp_gamemode"(?: =|:) "([a-z0-9]{1,20})"`)

// mode is what is played, "" when the game does not tell.
func (g *gameConsole) mode(ctx context.Context) string {
	for _, command := range [][]any{{}, {word("mp_gamemode")}} {
		name := word("mp_gamemode")
		if len(command) > 0 {
			name = "sm_cvar"
		}
		reply, err := g.tell(ctx, name, command...)
		if err != nil {
			return ""
		}
		if found := gameMode.FindStringSubmatch(reply); found != nil {
			return found[1]
		}
	}
	return ""
}
