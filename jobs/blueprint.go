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

// ApplyWhenEmpty is Apply for those who would not throw anybody out.
func ApplyWhenEmpty(s *models.Server) Args {
	if s.Up() {
		return RestartServer{ServerID: s.ID, IfEmpty: true, OrLater: true}
	}
	return Apply(s)
}

// ApplyToAll makes the arguments of one job for each server that is linked to the
// user's blueprint and does not have it as it is now: every server's outcome is its
// own. Restarts begin one after another.
func ApplyToAll(ctx context.Context, db bun.IDB, userID, blueprintID string) ([]Args, error) {
	return applyToAll(ctx, db, userID, blueprintID, Apply)
}

// ApplyToAllWhenEmpty is ApplyToAll for those who would not throw anybody out: a
// server on which somebody plays is restarted as soon as nobody does.
func ApplyToAllWhenEmpty(ctx context.Context, db bun.IDB, userID, blueprintID string) ([]Args, error) {
	return applyToAll(ctx, db, userID, blueprintID, ApplyWhenEmpty)
}

func applyToAll(ctx context.Context, db bun.IDB, userID, blueprintID string, apply func(*models.Server) Args) ([]Args, error) {
	linked, err := models.BlueprintServers(ctx, db, userID, blueprintID)
	if err != nil {
		return nil, err
	}
	list, restarts := []Args{}, 0
	for i := range linked {
		switch s := &linked[i]; {
		case s.Observed != models.ServerAbsent && !s.Outdated():
		case s.Up():
			list = append(list, Later{apply(s), time.Duration(restarts) * applyStagger})
			restarts++
		default:
			list = append(list, apply(s))
		}
	}
	return list, nil
}

// BlueprintChanged tells pages that one of the user's blueprints is not as it was,
// and that its servers have something to take. Nothing here may fail the change.
func (c *Client) BlueprintChanged(ctx context.Context, userID, id string) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	topics := []string{TopicBlueprint(id)}
	linked, err := models.BlueprintServers(ctx, c.db, userID, id)
	for _, s := range linked {
		topics = append(topics, TopicServer(s.ID))
	}
	if err == nil {
		err = c.publish(ctx, Message{Topics: topics, Change: true})
	}
	if err != nil {
		c.log.WarnContext(ctx, "could not announce a change of a blueprint", "blueprint", id, "err", err)
	}
}
