package jobs

import (
	"context"

	"github.com/uptrace/bun"

	"left4me/models"
)

// CheckHost looks at everything that servers need of the host.
type CheckHost struct{}

// Kind is stored; changing it orphans queued jobs.
func (CheckHost) Kind() string { return "host.doctor" }

func (a CheckHost) plan(ctx context.Context, tx bun.Tx, _ models.Actor) (*plan, error) {
	p, err := planAlone(ctx, tx, a.Kind(), "Check the host", 3)
	if err == nil {
		p.job.Pool = models.PoolInteractive // it takes seconds, and somebody waits for it
	}
	return p, err
}

// RestartEmpty asks for a restart of every running server on which nobody plays, one
// a little after the other.
type RestartEmpty struct{}

// Kind is stored; changing it orphans queued jobs.
func (RestartEmpty) Kind() string { return "server.restart_empty" }

func (a RestartEmpty) plan(ctx context.Context, tx bun.Tx, _ models.Actor) (*plan, error) {
	p, err := planAlone(ctx, tx, a.Kind(), "Restart the servers that are empty", 3)
	if err == nil {
		p.job.Pool = models.PoolInteractive // it only asks
	}
	return p, err
}
