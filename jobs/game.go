package jobs

import (
	"context"

	"github.com/uptrace/bun"

	"left4me/models"
)

// gameResource is the installation: servers share it, an install has it alone.
const gameResource = "game"

// InstallGame installs the game, or brings it up to date. It fails while a server
// runs: UpdateGame stops them first.
type InstallGame struct {
	Update int64 `json:"update,omitempty"` // the job that leads the update it is part of
}

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
	if a.Update != 0 {
		p.job.Title = "Update the game"
	}
	if n := len(waiting); n > 0 && waiting[n-1].CancelRequestedAt.IsZero() {
		p.same = &waiting[n-1]
	}
	return p, nil
}

// CheckGame asks Steam which build is the newest. It changes nothing, and servers may
// run meanwhile.
type CheckGame struct{}

// Kind is stored; changing it orphans queued jobs.
func (CheckGame) Kind() string { return "game.check" }

func (a CheckGame) plan(ctx context.Context, tx bun.Tx, _ models.Actor) (*plan, error) {
	p, err := planAlone(ctx, tx, a.Kind(), "Ask Steam for the newest build of the game", 3)
	if err == nil { // an install under way has Steam's folder for itself
		p.needs = append(p.needs, models.JobResource{Resource: gameResource})
	}
	return p, err
}
