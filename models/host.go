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

	Name     string    `bun:"name,pk"`
	SeenAt   time.Time `bun:"seen_at"`
	Game     Game      `bun:"game,type:jsonb"`
	Doctor   Doctor    `bun:"doctor,type:jsonb"`
	DoctorAt time.Time `bun:"doctor_at,nullzero"` // zero: nobody looked yet
}

// Doctor is what was found when the host was checked.
type Doctor struct {
	Checks []HostCheck `json:"checks,omitempty"`
}

// HostCheck is one thing that servers need of a host, and how it is there.
type HostCheck struct {
	Key   string `json:"key"`
	Level string `json:"level"` // ok, warning or problem
	Title string `json:"title"`
	Text  string `json:"text"`          // a clause about the title, without its stop
	Fix   string `json:"fix,omitempty"` // the command that mends it
}

// The levels of a check.
const (
	CheckOK      = "ok"
	CheckWarning = "warning"
	CheckProblem = "problem"
)

// Count is how many checks came out so.
func (d Doctor) Count(level string) int {
	n := 0
	for _, c := range d.Checks {
		if c.Level == level {
			n++
		}
	}
	return n
}

// Game is the installed game as its host reports it.
type Game struct {
	Installed bool      `json:"installed"`
	Build     string    `json:"build,omitempty"`   // Steam's build id
	Latest    string    `json:"latest,omitempty"`  // the newest build that Steam was heard of
	CheckedAt time.Time `json:"checked,omitzero"`  // when Steam last named it
	Method    string    `json:"method,omitempty"`  // the way of installing that worked last
	Version   string    `json:"version,omitempty"` // such as 2.2.4.3
	Size      int64     `json:"size,omitempty"`    // bytes, as the manifest says
	Updated   time.Time `json:"updated,omitzero"`
	Changing  bool      `json:"changing,omitempty"` // somebody installs it at this moment
	Message   string    `json:"message,omitempty"`  // why it is not usable
}

// Outdated says that Steam has another build than the installed one.
func (g Game) Outdated() bool { return g.Installed && g.Latest != "" && g.Latest != g.Build }

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

// SetDoctor records what was found when the host was checked.
func SetDoctor(ctx context.Context, db bun.IDB, name string, d Doctor) error {
	h := &Host{Name: name, SeenAt: Now(), Doctor: d, DoctorAt: Now()}
	_, err := db.NewInsert().Model(h).On("CONFLICT (name) DO UPDATE").
		Set("doctor = EXCLUDED.doctor").Set("doctor_at = EXCLUDED.doctor_at").Exec(ctx)
	return violation(err)
}
