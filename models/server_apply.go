package models

import (
	"context"
	"errors"
	"fmt"

	"github.com/uptrace/bun"
)

// Up says that the game's process is there.
func (s *Server) Up() bool {
	return s.Observed == ServerRunning || s.Observed == ServerStarting
}

// Outdated says that the server's next start brings something else than what its
// game has now or had last: its blueprint changed, or its own settings did, or the
// host was given newer ones than what runs. s.Blueprint must be there.
func (s *Server) Outdated() bool {
	if s.Observed == ServerAbsent {
		return false // its first start has nothing to differ from
	}
	return s.AppliedRevision != s.Blueprint.Revision || (s.Up() && s.Status.Pending)
}

// SetApplyWhenEmpty records whether a server is to be started anew as soon as nobody
// plays on it.
func SetApplyWhenEmpty(ctx context.Context, db bun.IDB, id string, wanted bool) error {
	res, err := db.NewUpdate().Model((*Server)(nil)).Set("apply_when_empty = ?, updated_at = ?", wanted, Now()).Where("id = ?", id).Exec(ctx)
	return oneRow(res, err)
}

// TakeApplyWhenEmpty settles that wish and says whether it was there: of two who ask,
// one takes it.
func TakeApplyWhenEmpty(ctx context.Context, db bun.IDB, id string) (bool, error) {
	res, err := db.NewUpdate().Model((*Server)(nil)).Set("apply_when_empty = ?", false).Where("id = ? AND apply_when_empty", id).Exec(ctx)
	if err = oneRow(res, err); errors.Is(err, ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

// ServersToApply lists the running servers of a host that are to be started anew as
// soon as nobody plays on them, at most 500.
func ServersToApply(ctx context.Context, db bun.IDB, host string) ([]Server, error) {
	var list []Server
	err := db.NewSelect().Model(&list).Where("host = ? AND apply_when_empty AND observed = ?", host, ServerRunning).
		OrderExpr("id").Limit(500).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list servers to apply: %w", err)
	}
	return list, nil
}
