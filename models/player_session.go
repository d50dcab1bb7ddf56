package models

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// A stay is believed to go on over this much silence: the game's list of people is
// asked for once a minute, and a worker that is restarted looks away for a moment.
const sessionSlack = 5 * time.Minute

// StaleSession is the silence after which nobody is believed to be on a server still.
const StaleSession = 10 * time.Minute

// PlayerSession is somebody's stay on a server. Names are strangers' texts.
type PlayerSession struct {
	bun.BaseModel `bun:"table:player_sessions"`

	ID       string    `bun:"id,pk"` // in the order in which stays were noticed
	ServerID string    `bun:"server_id"`
	SteamID  string    `bun:"steam_id"` // 17 digits; "" where the game told none
	Name     string    `bun:"name"`     // the last one they had
	JoinedAt time.Time `bun:"joined_at"`
	SeenAt   time.Time `bun:"seen_at"`
	LeftAt   time.Time `bun:"left_at,nullzero"` // zero while they are on it
	PingMin  int       `bun:"ping_min"`         // milliseconds
	PingMax  int       `bun:"ping_max"`
}

// Here says that they are on the server still.
func (p PlayerSession) Here() bool { return p.LeftAt.IsZero() }

// Last is when they left, or when they were seen last.
func (p PlayerSession) Last() time.Time {
	if p.Here() {
		return p.SeenAt
	}
	return p.LeftAt
}

// SeenPlayer is one human on a server's list.
type SeenPlayer struct {
	SteamID   string
	Name      string
	Connected time.Duration // since they connected; 0 when it is not known
	Ping      int           // milliseconds
}

// key tells people apart: by their Steam id, else by their name.
func (p SeenPlayer) key() string { return sessionKey(p.SteamID, p.Name) }

func sessionKey(steamID, name string) string {
	if steamID != "" {
		return steamID
	}
	return "name " + name
}

// SeePlayers takes the whole list of people that a server had at a time: who is new on
// it begins a stay, who is on it no more ends theirs. Call it in a transaction.
func SeePlayers(ctx context.Context, tx bun.IDB, serverID string, at time.Time, list []SeenPlayer) error {
	at = at.UTC().Truncate(time.Microsecond)
	var open []PlayerSession
	err := tx.NewSelect().Model(&open).Where("server_id = ? AND left_at IS NULL", serverID).OrderExpr("id").Limit(500).Scan(ctx)
	if err != nil {
		return fmt.Errorf("read who is on a server: %w", err)
	}
	here := make(map[string]SeenPlayer, len(list))
	for _, p := range list {
		p.Name = storable(p.Name, 128)
		if !isSteamID(p.SteamID) {
			p.SteamID = ""
		}
		here[p.key()] = p
	}
	for _, s := range open {
		key := sessionKey(s.SteamID, s.Name)
		p, on := here[key]
		if on && s.goesOn(p, at) {
			delete(here, key)
			err = s.see(ctx, tx, p, at)
		} else {
			err = s.end(ctx, tx, at)
		}
		if err != nil {
			return err
		}
	}
	return beginSessions(ctx, tx, serverID, at, here)
}

// goesOn says whether p, seen at a time, is this stay and not a later one.
func (p PlayerSession) goesOn(seen SeenPlayer, at time.Time) bool {
	silence := at.Sub(p.SeenAt)
	return silence <= sessionSlack || seen.Connected >= silence
}

func (p PlayerSession) see(ctx context.Context, tx bun.IDB, seen SeenPlayer, at time.Time) error {
	_, err := tx.NewUpdate().Model((*PlayerSession)(nil)).Set("seen_at = ?", at).Set("name = ?", seen.Name).
		Set("ping_min = ?", min(p.PingMin, seen.Ping)).Set("ping_max = ?", max(p.PingMax, seen.Ping)).
		Where("id = ? AND left_at IS NULL", p.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("note a player: %w", violation(err))
	}
	return nil
}

// end closes the stay: now, or when they were seen last if that is too long ago.
func (p PlayerSession) end(ctx context.Context, tx bun.IDB, at time.Time) error {
	if at.Sub(p.SeenAt) > sessionSlack {
		at = p.SeenAt
	}
	_, err := tx.NewUpdate().Model((*PlayerSession)(nil)).Set("left_at = ?", later(at, p.JoinedAt)).
		Where("id = ? AND left_at IS NULL", p.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("end a player's stay: %w", violation(err))
	}
	return nil
}

func beginSessions(ctx context.Context, tx bun.IDB, serverID string, at time.Time, here map[string]SeenPlayer) error {
	var fresh []PlayerSession
	for _, p := range here {
		fresh = append(fresh, PlayerSession{
			ServerID: serverID, SteamID: p.SteamID, Name: p.Name,
			JoinedAt: at.Add(-min(max(p.Connected, 0), 30*24*time.Hour)).Truncate(time.Microsecond),
			SeenAt:   at, PingMin: p.Ping, PingMax: p.Ping,
		})
	}
	if len(fresh) == 0 {
		return nil
	}
	slices.SortFunc(fresh, func(a, b PlayerSession) int { // ids in the order of joining
		return cmp.Or(a.JoinedAt.Compare(b.JoinedAt), cmp.Compare(a.Name, b.Name))
	})
	for i := range fresh {
		fresh[i].ID = NewID()
	}
	// Another worker of the same host may have noticed them as well.
	_, err := tx.NewInsert().Model(&fresh).On("CONFLICT DO NOTHING").Exec(ctx)
	if err != nil {
		return fmt.Errorf("note new players: %w", violation(err))
	}
	return nil
}

// EndPlayerSessions ends every stay on a server that stopped.
func EndPlayerSessions(ctx context.Context, tx bun.IDB, serverID string, at time.Time) error {
	return SeePlayers(ctx, tx, serverID, at, nil)
}

// EndStaleSessions ends at most 1,000 stays of people who were not seen since before,
// at the time when they were.
func EndStaleSessions(ctx context.Context, db bun.IDB, before time.Time) error {
	_, err := db.NewRaw(`UPDATE player_sessions SET left_at = seen_at WHERE id IN (
		SELECT id FROM player_sessions WHERE left_at IS NULL AND seen_at < ? LIMIT 1000)`, before.UTC()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("end stale stays: %w", err)
	}
	return nil
}

// PlayerFilter selects stays. Zero fields select nothing away.
type PlayerFilter struct {
	ServerID string
	SteamID  string
	From, To time.Time // stays that touch this time
	Here     bool      // only people who are on it still
}

// PlayerSessions lists stays, newest first, at most limit (at most 500). Pages go on
// with the id of the last one as before. Who may see them is the caller's affair:
// a filter without a server lists everybody's.
func PlayerSessions(ctx context.Context, db bun.IDB, f PlayerFilter, limit int, before string) ([]PlayerSession, error) {
	var list []PlayerSession
	q := db.NewSelect().Model(&list).OrderExpr("id DESC").Limit(int64(min(max(limit, 1), 500)))
	if f.ServerID != "" {
		q = q.Where("server_id = ?", f.ServerID)
	}
	if f.SteamID != "" {
		q = q.Where("steam_id = ?", f.SteamID)
	}
	if !f.From.IsZero() {
		q = q.Where("seen_at >= ?", f.From.UTC())
	}
	if !f.To.IsZero() {
		q = q.Where("joined_at < ?", f.To.UTC())
	}
	if f.Here {
		q = q.Where("left_at IS NULL")
	}
	if before != "" {
		q = q.Where("id < ?", before)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list stays: %w", err)
	}
	return list, nil
}

// PlayerVisit is what somebody did on a server within a span of time.
type PlayerVisit struct {
	SteamID  string // "" where the game told none: told apart by name then
	Name     string // the last one
	From, To time.Time
	Played   time.Duration // within the span
	Visits   int
	PingMin  int // milliseconds
	PingMax  int
	Here     bool // still on it
}

// maxVisitRows bounds how many stays are added up.
const maxVisitRows = 5000

// PlayersBetween says who was on a server from one time to another: who played most
// first, at most limit people. Of a very busy span the newest 5,000 stays count.
func PlayersBetween(ctx context.Context, db bun.IDB, serverID string, from, to time.Time, limit int) ([]PlayerVisit, error) {
	from, to = from.UTC(), to.UTC()
	var stays []PlayerSession
	err := db.NewSelect().Model(&stays).Where("server_id = ? AND seen_at >= ? AND joined_at < ?", serverID, from, to).
		OrderExpr("id DESC").Limit(maxVisitRows).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("read who played: %w", err)
	}
	byKey := map[string]*PlayerVisit{}
	for _, s := range stays { // newest first: the first name is the last one they had
		key := sessionKey(s.SteamID, s.Name)
		v := byKey[key]
		if v == nil {
			v = &PlayerVisit{SteamID: s.SteamID, Name: s.Name, From: s.JoinedAt, To: s.Last(), PingMin: s.PingMin, PingMax: s.PingMax}
			byKey[key] = v
		}
		v.From, v.To = earlier(v.From, s.JoinedAt), later(v.To, s.Last())
		v.PingMin, v.PingMax = min(v.PingMin, s.PingMin), max(v.PingMax, s.PingMax)
		v.Played += max(earlier(s.Last(), to).Sub(later(s.JoinedAt, from)), 0)
		v.Visits++
		v.Here = v.Here || s.Here()
	}
	list := make([]PlayerVisit, 0, len(byKey))
	for _, v := range byKey {
		list = append(list, *v)
	}
	slices.SortFunc(list, func(a, b PlayerVisit) int {
		return cmp.Or(cmp.Compare(b.Played, a.Played), b.To.Compare(a.To), cmp.Compare(a.SteamID, b.SteamID), cmp.Compare(a.Name, b.Name))
	})
	return list[:min(len(list), max(limit, 0))], nil
}

// PlayersOnDay says who was on a server on the day that a time lies in, in that time's
// location: it may have 23 or 25 hours.
func PlayersOnDay(ctx context.Context, db bun.IDB, serverID string, day time.Time, limit int) ([]PlayerVisit, error) {
	y, m, d := day.Date()
	from := time.Date(y, m, d, 0, 0, 0, 0, day.Location())
	return PlayersBetween(ctx, db, serverID, from, time.Date(y, m, d+1, 0, 0, 0, 0, day.Location()), limit)
}

// isSteamID knows the 64-bit number of a person, which has 17 digits.
func isSteamID(s string) bool {
	return len(s) == 17 && strings.Trim(s, "0123456789") == ""
}

// storable is a stranger's text as both databases take it: valid, without NUL, and at
// most n bytes long.
func storable(s string, n int) string {
	return clip(strings.ReplaceAll(s, "\x00", "\uFFFD"), n)
}
