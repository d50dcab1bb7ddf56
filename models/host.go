package models

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// Host is a machine that a worker runs on. SeenAt is its observer's last sign of
// life; Game is what is installed there.
type Host struct {
	bun.BaseModel `bun:"table:hosts"`

	Name   string    `bun:"name,pk"`
	SeenAt time.Time `bun:"seen_at"`
	Game   Game      `bun:"game,type:jsonb"`
}

// Game is the installed game as its host reports it.
type Game struct {
	Installed bool      `json:"installed"`
	Build     string    `json:"build,omitempty"`   // Steam's build id
	Version   string    `json:"version,omitempty"` // such as 2.2.4.3
	Size      int64     `json:"size,omitempty"`    // bytes, as the manifest says
	Updated   time.Time `json:"updated,omitzero"`
	Message   string    `json:"message,omitempty"` // why it is not usable
}

// HostByName returns a host; one that never reported is a zero Host and no error.
func HostByName(ctx context.Context, db bun.IDB, name string) (Host, error) {
	h := Host{}
	err := found(db.NewSelect().Model(&h).Where("name = ?", name).Scan(ctx))
	if errors.Is(err, ErrNotFound) {
		return Host{Name: name}, nil
	}
	if err != nil {
		return Host{}, fmt.Errorf("host %s: %w", name, err)
	}
	return h, nil
}

// SeeHost records a host's sign of life. A nil game leaves what is known.
func SeeHost(ctx context.Context, db bun.IDB, name string, game *Game) error {
	h := &Host{Name: name, SeenAt: Now()}
	if game != nil {
		h.Game = *game
	}
	q := db.NewInsert().Model(h).On("CONFLICT (name) DO UPDATE").Set("seen_at = EXCLUDED.seen_at")
	if game != nil {
		q = q.Set("game = EXCLUDED.game")
	}
	_, err := q.Exec(ctx)
	return violation(err)
}
