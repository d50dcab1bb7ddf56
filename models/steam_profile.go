package models

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/uptrace/bun"
)

// ProfileLife is how long what Steam told of a player is good for.
const ProfileLife = 24 * time.Hour

// SteamProfile is what Steam tells of a player. Name is a stranger's text.
type SteamProfile struct {
	bun.BaseModel `bun:"table:steam_profiles"`

	SteamID   string    `bun:"steam_id,pk"` // 17 digits
	Name      string    `bun:"name"`
	Avatar    string    `bun:"avatar"` // SHA-256 of a picture that the host has, hex; "" for none
	AskedAt   time.Time `bun:"asked_at"`
	FetchedAt time.Time `bun:"fetched_at,nullzero"` // zero: Steam does not know them
}

var avatarName = regexp.MustCompile(`\A[0-9a-f]{64}\z`)

// ProfilesDue lists the Steam ids of those who were on a server in the last day and of
// whom Steam was not asked for a day, newest first, at most limit.
func ProfilesDue(ctx context.Context, db bun.IDB, limit int) ([]string, error) {
	since := Now().Add(-ProfileLife)
	var ids []string
	err := db.NewSelect().Model((*PlayerSession)(nil)).Column("player_session.steam_id").
		Join("LEFT JOIN steam_profiles AS p ON p.steam_id = player_session.steam_id").
		Where("player_session.seen_at > ? AND player_session.steam_id <> ''", since).
		Where("p.steam_id IS NULL OR p.asked_at < ?", since).
		Group("player_session.steam_id").OrderExpr("max(player_session.seen_at) DESC").Limit(int64(limit)).Scan(ctx, &ids)
	if err != nil {
		return nil, fmt.Errorf("look for players whom nobody asked about: %w", err)
	}
	return ids, nil
}

// StoreProfiles records that Steam was asked about the players asked, and what it told
// of some of them. A picture of the others that is known stays.
func StoreProfiles(ctx context.Context, db *bun.DB, asked []string, told []SteamProfile) error {
	now := Now()
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		rows := make([]SteamProfile, 0, len(asked))
		at := map[string]int{}
		for _, id := range asked {
			if _, twice := at[id]; isSteamID(id) && !twice {
				at[id] = len(rows)
				rows = append(rows, SteamProfile{SteamID: id, AskedAt: now})
			}
		}
		for _, p := range told {
			if i, ok := at[p.SteamID]; ok {
				rows[i].Name, rows[i].FetchedAt = storable(p.Name, 128), now
				if avatarName.MatchString(p.Avatar) {
					rows[i].Avatar = p.Avatar
				}
			}
		}
		if len(rows) == 0 {
			return nil
		}
		// A column that another row has too is the old one without EXCLUDED.
		_, err := tx.NewInsert().Model(&rows).On("CONFLICT (steam_id) DO UPDATE").Set("asked_at = EXCLUDED.asked_at").
			Set("name = CASE WHEN EXCLUDED.fetched_at IS NULL THEN steam_profile.name ELSE EXCLUDED.name END").
			Set("avatar = CASE WHEN EXCLUDED.fetched_at IS NULL OR EXCLUDED.avatar = '' THEN steam_profile.avatar ELSE EXCLUDED.avatar END").
			Set("fetched_at = COALESCE(EXCLUDED.fetched_at, steam_profile.fetched_at)").Exec(ctx)
		if err != nil {
			return fmt.Errorf("store what Steam told of players: %w", violation(err))
		}
		return nil
	})
}

// SteamProfiles returns what is known of players, by id. Those of whom nothing is
// known are not in it. At most 1,000 are looked at.
func SteamProfiles(ctx context.Context, db bun.IDB, ids []string) (map[string]SteamProfile, error) {
	known := map[string]SteamProfile{}
	ids = ids[:min(len(ids), 1000)]
	if len(ids) == 0 {
		return known, nil
	}
	var rows []SteamProfile
	err := db.NewSelect().Model(&rows).Where("steam_id IN (?)", bun.List(ids)).Where("fetched_at IS NOT NULL").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("read what Steam told of players: %w", err)
	}
	for _, p := range rows {
		known[p.SteamID] = p
	}
	return known, nil
}

// AvatarFor is the picture of a player who is or was on one of the user's servers.
// Anybody else's is ErrNotFound, as is one that is not there.
func AvatarFor(ctx context.Context, db bun.IDB, userID, steamID string) (sum string, err error) {
	err = db.NewSelect().Model((*SteamProfile)(nil)).Column("avatar").Where("steam_id = ? AND avatar <> ''", steamID).
		Where("EXISTS (SELECT 1 FROM player_sessions AS s JOIN servers ON servers.id = s.server_id WHERE s.steam_id = steam_profile.steam_id AND servers.user_id = ?)", userID).
		Scan(ctx, &sum)
	if err != nil {
		return "", fmt.Errorf("avatar: %w", found(err))
	}
	return sum, nil
}

const steamWebKey = "steam.web_api_key"

// SteamWebKey is the key for Steam's Web API and what Steam last thought of it.
type SteamWebKey struct {
	Key       string    `json:"key"` // sealed in the database, plain in memory
	Problem   string    `json:"problem,omitempty"`
	ProblemAt time.Time `json:"problem_at,omitzero"`
}

var webKeyPattern = regexp.MustCompile(`\A[0-9A-Fa-f]{32}\z`)

// SteamWebKeyOf returns the key, or nil when there is none.
func SteamWebKeyOf(ctx context.Context, db bun.IDB, key *SecretKey) (*SteamWebKey, error) {
	k := new(SteamWebKey)
	err := readSetting(ctx, db, steamWebKey, k)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err == nil {
		k.Key, err = key.Open(steamWebKey, k.Key)
	}
	if err != nil {
		return nil, fmt.Errorf("read the Steam Web API key: %w", err)
	}
	return k, nil
}

// SetSteamWebKey stores the key. What Steam thought of the one before is forgotten.
func SetSteamWebKey(ctx context.Context, db bun.IDB, key *SecretKey, webKey string) error {
	if !webKeyPattern.MatchString(webKey) {
		return Invalid("key", "A Steam Web API key has 32 digits and letters from A to F. Yours is at https://steamcommunity.com/dev/apikey.")
	}
	return writeSetting(ctx, db, steamWebKey, SteamWebKey{Key: key.Seal(steamWebKey, webKey)})
}

// ForgetSteamWebKey removes the key; none is success.
func ForgetSteamWebKey(ctx context.Context, db bun.IDB) error {
	_, err := db.NewDelete().Model((*setting)(nil)).Where("name = ?", steamWebKey).Exec(ctx)
	return err
}

// NoteSteamWebKey records what Steam thought of the key, "" for nothing bad. A key
// that was changed meanwhile is left alone.
func NoteSteamWebKey(ctx context.Context, db *bun.DB, key *SecretKey, used, problem string) error {
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		now, err := SteamWebKeyOf(ctx, tx, key)
		if err != nil || now == nil || now.Key != used || now.Problem == problem && problem == "" {
			return err
		}
		k := SteamWebKey{Key: key.Seal(steamWebKey, used), Problem: storable(problem, 300)}
		if problem != "" {
			k.ProblemAt = Now()
		}
		return writeSetting(ctx, tx, steamWebKey, k)
	})
}
