package models

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// SessionLife is how long a session lasts after it was last used.
const SessionLife = 30 * 24 * time.Hour

// Session is one signed-in browser. Its id is the hash of the token in the
// cookie; the token itself is stored nowhere.
type Session struct {
	bun.BaseModel `bun:"table:sessions"`

	ID        string    `bun:"id,pk"`
	UserID    string    `bun:"user_id"`
	CreatedAt time.Time `bun:"created_at"`
	SeenAt    time.Time `bun:"seen_at"`
	ExpiresAt time.Time `bun:"expires_at"`
	Address   string    `bun:"address"`
	Agent     string    `bun:"agent"`

	User *User `bun:"rel:belongs-to,join:user_id=id"`
}

// SessionID is the id under which a token's session is stored.
func SessionID(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// CreateSession signs userID in and returns the token for the cookie.
func CreateSession(ctx context.Context, db bun.IDB, userID, address, agent string) (string, error) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails: crypto/rand crashes the program instead
	token := base64.RawURLEncoding.EncodeToString(raw)
	now := Now()
	s := &Session{
		ID: SessionID(token), UserID: userID, CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(SessionLife),
		Address: clip(address, 64), Agent: clip(agent, 200),
	}
	if _, err := db.NewInsert().Model(s).Exec(ctx); err != nil {
		return "", fmt.Errorf("create session: %w", violation(err))
	}
	return token, nil
}

// FindSession returns the live session of a token with its active user, and
// renews it when it was last renewed over an hour ago. ErrNotFound otherwise.
func FindSession(ctx context.Context, db bun.IDB, token string) (*Session, error) {
	s, now := new(Session), Now()
	err := db.NewSelect().Model(s).Relation("User").Where("session.id = ? AND session.expires_at > ?", SessionID(token), now).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("find session: %w", found(err))
	}
	if s.User == nil || !s.User.Active {
		return nil, fmt.Errorf("find session: %w", ErrNotFound)
	}
	if now.Sub(s.SeenAt) > time.Hour {
		_, err := db.NewUpdate().Model((*Session)(nil)).Set("seen_at = ?", now).Set("expires_at = ?", now.Add(SessionLife)).
			Where("id = ?", s.ID).Exec(ctx)
		if err != nil {
			return nil, fmt.Errorf("renew session: %w", err)
		}
	}
	return s, nil
}

// DeleteSession signs one browser out; one that is gone already is success.
func DeleteSession(ctx context.Context, db bun.IDB, id string) error {
	_, err := db.NewDelete().Model((*Session)(nil)).Where("id = ?", id).Exec(ctx)
	return err
}

// Sessions lists the live sessions of a user, the one that was used last first, at
// most 100. When each was used is known to the hour.
func Sessions(ctx context.Context, db bun.IDB, userID string) ([]Session, error) {
	var list []Session
	err := db.NewSelect().Model(&list).Where("user_id = ? AND expires_at > ?", userID, Now()).OrderExpr("seen_at DESC, id").Limit(100).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return list, nil
}

// EndSession signs one browser of the user out. ErrNotFound when they have no such
// session.
func EndSession(ctx context.Context, db bun.IDB, userID, id string) error {
	res, err := db.NewDelete().Model((*Session)(nil)).Where("id = ? AND user_id = ?", id, userID).Exec(ctx)
	if err := oneRow(res, err); errors.Is(err, ErrConflict) {
		return fmt.Errorf("end a session: %w", ErrNotFound)
	} else if err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}

// EndSessions signs every browser of the user out but keep (a session id, or "" for
// none).
func EndSessions(ctx context.Context, db bun.IDB, userID, keep string) error {
	_, err := db.NewDelete().Model((*Session)(nil)).Where("user_id = ? AND id <> ?", userID, keep).Exec(ctx)
	if err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}

// DeleteExpiredSessions removes at most 1,000 sessions whose time is over.
func DeleteExpiredSessions(ctx context.Context, db bun.IDB) error {
	_, err := db.NewRaw("DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= ? LIMIT 1000)", Now()).Exec(ctx)
	return err
}
