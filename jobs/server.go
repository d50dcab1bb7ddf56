package jobs

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"left4me/models"
)

// StartServer brings the host up to date with the server's blueprint, mounts its
// overlays and runs the game.
type StartServer struct {
	ServerID string `json:"server_id"`
	Update   int64  `json:"update,omitempty"` // the job that leads the update that it ends
	Lane     int    `json:"lane,omitempty"`   // of an update: starts of one lane come one after the other
	Back     bool   `json:"back,omitempty"`   // it was to run, and a worker that began found it down
}

// Kind is stored; changing it orphans queued jobs.
func (StartServer) Kind() string { return "server.start" }

func (a StartServer) plan(ctx context.Context, tx bun.Tx, _ models.Actor) (*plan, error) {
	p, s, err := planServer(ctx, tx, a.ServerID, a.Kind())
	if err != nil {
		return nil, err
	}
	if err := models.SetDesired(ctx, tx, s.ID, models.ServerRunning); err != nil {
		return nil, err
	}
	p.job.Title, p.job.MaxAttempts = "Start "+s.Name, 3
	p.needs = append(p.needs, models.JobResource{Resource: gameResource})
	if a.Back {
		p.job.Title += " again: it was down when the worker began"
	}
	if a.Update != 0 {
		p.job.Title += " again after the update"
		p.needs = append(p.needs, models.JobResource{Resource: fmt.Sprintf("start:%d", a.Lane), Exclusive: true})
	}
	return p, needOverlays(ctx, tx, s, p)
}

// StopServer ends the game and takes its overlays down.
type StopServer struct {
	ServerID string `json:"server_id"`
}

// Kind is stored; changing it orphans queued jobs.
func (StopServer) Kind() string { return "server.stop" }

// A stop makes way for itself: what would start the server is cancelled, so a
// stop never waits behind a start that waits for a download.
func (a StopServer) plan(ctx context.Context, tx bun.Tx, by models.Actor) (*plan, error) {
	p, s, err := planServer(ctx, tx, a.ServerID, a.Kind())
	if err != nil {
		return nil, err
	}
	if err := models.SetDesired(ctx, tx, s.ID, models.ServerStopped); err != nil {
		return nil, err
	}
	p.job.Title, p.job.MaxAttempts = "Stop "+s.Name, 3
	waiting, err := models.UnfinishedJobs(ctx, tx, s.ID)
	if err != nil {
		return nil, err
	}
	return p, makeWay(ctx, tx, p, waiting, "Cancelled because "+actorName(by)+" stopped the server.", StartServer{}.Kind(), RestartServer{}.Kind())
}

// RestartServer gives a server its blueprint as it is now and starts its game anew.
// With IfEmpty it leaves a game alone on which somebody plays, or which was stopped;
// OrLater then has it started anew as soon as nobody plays.
type RestartServer struct {
	ServerID string `json:"server_id"`
	IfEmpty  bool   `json:"if_empty,omitempty"`
	OrLater  bool   `json:"or_later,omitempty"`
}

// Kind is stored; changing it orphans queued jobs.
func (RestartServer) Kind() string { return "server.restart" }

func (a RestartServer) plan(ctx context.Context, tx bun.Tx, _ models.Actor) (*plan, error) {
	p, s, err := planServer(ctx, tx, a.ServerID, a.Kind())
	if err != nil {
		return nil, err
	}
	if !a.IfEmpty {
		if err := models.SetDesired(ctx, tx, s.ID, models.ServerRunning); err != nil {
			return nil, err
		}
	}
	p.job.Title, p.job.MaxAttempts = "Restart "+s.Name, 3
	if a.IfEmpty {
		p.job.Title += " if nobody plays"
	}
	p.needs = append(p.needs, models.JobResource{Resource: gameResource})
	return p, needOverlays(ctx, tx, s, p)
}

// ResetServer stops a server and removes what its game wrote. Its settings stay.
type ResetServer struct {
	ServerID string `json:"server_id"`
}

// Kind is stored; changing it orphans queued jobs.
func (ResetServer) Kind() string { return "server.reset" }

func (a ResetServer) plan(ctx context.Context, tx bun.Tx, by models.Actor) (*plan, error) {
	p, s, err := planServer(ctx, tx, a.ServerID, a.Kind())
	if err != nil {
		return nil, err
	}
	if err := models.SetDesired(ctx, tx, s.ID, models.ServerStopped); err != nil {
		return nil, err
	}
	p.job.Title, p.job.MaxAttempts = "Reset "+s.Name, 3
	waiting, err := models.UnfinishedJobs(ctx, tx, s.ID)
	if err != nil {
		return nil, err
	}
	return p, makeWay(ctx, tx, p, waiting, "Cancelled because "+actorName(by)+" reset the server.", StartServer{}.Kind(), RestartServer{}.Kind())
}

// DeleteServer stops the server, removes everything the host keeps of it and
// then its row.
type DeleteServer struct {
	ServerID string `json:"server_id"`
}

// Kind is stored; changing it orphans queued jobs.
func (DeleteServer) Kind() string { return "server.delete" }

func (a DeleteServer) plan(ctx context.Context, tx bun.Tx, by models.Actor) (*plan, error) {
	p, s, err := planServer(ctx, tx, a.ServerID, a.Kind())
	if err != nil {
		return nil, err
	}
	if err := models.SetDesired(ctx, tx, s.ID, models.ServerStopped); err != nil {
		return nil, err
	}
	p.job.Title, p.job.MaxAttempts = "Delete "+s.Name, 3
	waiting, err := models.UnfinishedJobs(ctx, tx, s.ID)
	if err != nil {
		return nil, err
	}
	return p, makeWay(ctx, tx, p, waiting, "Cancelled because "+actorName(by)+" deleted the server.",
		StartServer{}.Kind(), RestartServer{}.Kind(), StopServer{}.Kind(), ResetServer{}.Kind(), ApplyBlueprint{}.Kind())
}

// planServer begins the plan of a job that needs a server for itself.
func planServer(ctx context.Context, tx bun.Tx, id, kind string) (*plan, *models.Server, error) {
	s, err := models.ServerByID(ctx, tx, id)
	if err != nil {
		return nil, nil, err
	}
	p := &plan{
		job:   models.Job{Pool: models.PoolInteractive, Host: s.Host, ServerID: s.ID, OwnerID: s.UserID},
		needs: []models.JobResource{{Resource: "server:" + s.Instance, Exclusive: true}},
	}
	waiting, err := models.UnfinishedJobs(ctx, tx, id)
	if err != nil {
		return nil, nil, err
	}
	if n := len(waiting); n > 0 {
		if last := waiting[n-1]; last.Kind == kind && last.CancelRequestedAt.IsZero() {
			p.same = &last
		}
	}
	return p, s, nil
}

// makeWay cancels those of the unfinished jobs that are of the given kinds.
func makeWay(ctx context.Context, tx bun.Tx, p *plan, waiting []models.Job, reason string, kinds ...string) error {
	for _, j := range waiting {
		for _, kind := range kinds {
			if j.Kind != kind || !j.CancelRequestedAt.IsZero() {
				continue
			}
			ended, err := models.CancelJob(ctx, tx, j.ID, reason)
			if err != nil && err != models.ErrConflict {
				return fmt.Errorf("make way: %w", err)
			}
			if ended {
				j.FinishedAt = models.Now()
			}
			p.touched = append(p.touched, j)
		}
	}
	return nil
}

func needOverlays(ctx context.Context, tx bun.Tx, s *models.Server, p *plan) error {
	overlays, err := models.BlueprintOverlays(ctx, tx, s.BlueprintID)
	if err != nil {
		return err
	}
	for _, o := range overlays {
		p.needs = append(p.needs, models.JobResource{Resource: fmt.Sprintf("overlay:%d", o.ID)})
	}
	return nil
}

func actorName(by models.Actor) string {
	if by.Name == "" {
		return "the system"
	}
	return by.Name
}
