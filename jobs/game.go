package jobs

import (
	"context"

	"github.com/uptrace/bun"

	"left4me/models"
)

// gameResource is the installation: servers share it, an install has it alone.
const gameResource = "game"

// InstallGame installs the game, or brings it up to date.
type InstallGame struct{}

// Kind is stored; changing it orphans queued jobs.
func (InstallGame) Kind() string { return "game.install" }

func (a InstallGame) plan(ctx context.Context, tx bun.Tx, _ models.Actor) (*plan, error) {
	waiting, err := models.UnfinishedByKind(ctx, tx, models.LocalHost, a.Kind())
	if err != nil {
		return nil, err
	}
	p := &plan{
		job:   models.Job{Pool: models.PoolBulk, Title: "Install the game", MaxAttempts: 3},
		needs: []models.JobResource{{Resource: gameResource, Exclusive: true}},
	}
	if n := len(waiting); n > 0 && waiting[n-1].CancelRequestedAt.IsZero() {
		p.same = &waiting[n-1]
	}
	return p, nil
}
