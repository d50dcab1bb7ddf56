package jobs

import (
	"context"
	"time"

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

// applyStagger lies between the restarts of servers that were asked for together:
// games that load at the same time fight for the host's cores.
const applyStagger = 3 * time.Second

// Apply is how a server takes its blueprint now: a running one is started anew, any
// other one's definition is handed over.
func Apply(s *models.Server) Args {
	if s.Up() {
		return RestartServer{ServerID: s.ID}
	}
	return ApplyBlueprint{ServerID: s.ID}
}

// ApplyToAll makes the arguments of one job for each server that is linked to the
// user's blueprint and does not have it as it is now: every server's outcome is its
// own. Restarts begin one after another.
func ApplyToAll(ctx context.Context, db bun.IDB, userID, blueprintID string) ([]Args, error) {
	linked, err := models.BlueprintServers(ctx, db, userID, blueprintID)
	if err != nil {
		return nil, err
	}
	list, restarts := []Args{}, 0
	for i := range linked {
		s := &linked[i]
		switch {
		case !s.Outdated():
		case s.Up():
			list = append(list, Later{Apply(s), time.Duration(restarts) * applyStagger})
			restarts++
		default:
			list = append(list, Apply(s))
		}
	}
	return list, nil
}
