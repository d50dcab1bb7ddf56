package jobs

import (
	"context"

	"github.com/uptrace/bun"

	"left4me/models"
)

// ApplyBlueprint gives the host a server's definition as its blueprint says it
// now. What runs keeps running as it was; the next start uses it.
type ApplyBlueprint struct {
	ServerID string `json:"server_id"`
}

// Kind is stored; changing it orphans queued jobs.
func (ApplyBlueprint) Kind() string { return "blueprint.apply" }

func (a ApplyBlueprint) plan(ctx context.Context, tx bun.Tx, _ models.Actor) (*plan, error) {
	p, s, err := planServer(ctx, tx, a.ServerID, a.Kind())
	if err != nil {
		return nil, err
	}
	p.job.Title, p.job.MaxAttempts = "Apply the blueprint to "+s.Name, 3
	return p, needOverlays(ctx, tx, s, p)
}

// ApplyToAll makes the arguments of one job for each server that is linked to
// the user's blueprint: every server's outcome is its own.
func ApplyToAll(ctx context.Context, db bun.IDB, userID, blueprintID string) ([]Args, error) {
	linked, err := models.BlueprintServers(ctx, db, userID, blueprintID)
	if err != nil {
		return nil, err
	}
	list := make([]Args, 0, len(linked))
	for _, s := range linked {
		list = append(list, ApplyBlueprint{ServerID: s.ID})
	}
	return list, nil
}
