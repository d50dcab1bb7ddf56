package webui

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"regexp"
	"time"

	"left4me/hostops/ctl"
	"left4me/models"
)

// banView is somebody who may not join a server.
type banView struct {
	person
	Until time.Time // zero: for ever
}

// The game keeps bans for ever in a file, and others in its memory only.
const (
	bannedFile = "left4dead2/cfg/banned_user.cfg"
	maxBans    = 500
)

var banLine = regexp.MustCompile(`\A\s*banid\s+0\s+"?(STEAM_[01]:[01]:[0-9]{1,10})"?\s*\z`)

// bans are those for ever, from the file that the game wrote, and those for a time that
// were asked for here since the game began; told is newest first. A file that cannot be
// read costs its part of the list only.
func (s *Server) bans(ctx context.Context, v serverView, told []models.ConsoleCommand) ([]banView, error) {
	list := s.writtenBans(ctx, v)
	seen := map[string]bool{} // what was said of them last counts
	for _, b := range list {
		seen[b.SteamID] = true
	}
	for _, c := range told {
		id, ok := ctl.SteamID64(c.Arguments.SteamID)
		if !ok || seen[id] || c.State != models.CommandDone || c.Verb != models.CommandBan && c.Verb != models.CommandUnban {
			continue
		}
		seen[id] = true
		until := c.FinishedAt.Add(time.Duration(c.Arguments.Minutes) * time.Minute)
		if c.Verb == models.CommandBan && c.Arguments.Minutes > 0 && until.After(models.Now()) && v.Up() && c.FinishedAt.After(v.Server.ObservedSince) {
			list = append(list, banView{person: person{SteamID: id}, Until: until})
		}
	}
	persons := make([]person, len(list))
	for i := range list {
		persons[i] = list[i].person
	}
	persons, err := s.people(ctx, persons)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].person = persons[i]
	}
	return list, nil
}

func (s *Server) writtenBans(ctx context.Context, v serverView) []banView {
	if s.Content == nil {
		return nil
	}
	f, err := s.Content.OpenSeen(v.Server.Instance, ctl.Spec{}, bannedFile)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.Log.WarnContext(ctx, "the list of bans cannot be read", "server", v.Server.Instance, "err", err)
		}
		return nil
	}
	defer func() { _ = f.Close() }() // read only; nothing can be lost
	var list []banView
	lines := bufio.NewScanner(io.LimitReader(f, 256<<10))
	for lines.Scan() && len(list) < maxBans {
		if m := banLine.FindStringSubmatch(lines.Text()); m != nil {
			if id, ok := ctl.SteamID64(m[1]); ok {
				list = append(list, banView{person: person{SteamID: id}})
			}
		}
	}
	return list
}
