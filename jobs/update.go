package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"left4me/models"
)

// An update of the game is a job that leads and those that follow from it:
//
//	game.update ──▶ game.stop (each server that runs) ──▶ game.install ──▶ server.start (the same servers)
//
// The first waits and warns, and can be cancelled with nothing done. At its end it
// asks for all others in one transaction; from then on each waits for those before
// it by what it needs, and the starts come whatever became of the rest.

// UpdateGame leads an update: it waits until nobody plays if it is to, warns those
// who do, and then asks for what UpdateSteps lists.
type UpdateGame struct {
	Warn  int `json:"warn"`            // seconds between the first word to the players and the stop
	Hours int `json:"hours,omitempty"` // how long to wait until nobody plays; 0 does not wait
}

// Kind is stored; changing it orphans queued jobs.
func (UpdateGame) Kind() string { return "game.update" }

// Bounds of what UpdateGame is asked for.
const (
	MaxUpdateWarn  = 600 // seconds
	MaxUpdateHours = 48
)

func (a UpdateGame) plan(ctx context.Context, tx bun.Tx, _ models.Actor) (*plan, error) {
	if a.Warn < 0 || a.Warn > MaxUpdateWarn {
		return nil, models.Invalid("warn", fmt.Sprintf("Players can be warned up to %d minutes before.", MaxUpdateWarn/60))
	}
	if a.Hours < 0 || a.Hours > MaxUpdateHours {
		return nil, models.Invalid("hours", fmt.Sprintf("It can wait up to %d hours.", MaxUpdateHours))
	}
	installing, err := models.UnfinishedByKind(ctx, tx, models.LocalHost, InstallGame{}.Kind())
	if err != nil {
		return nil, err
	}
	if len(installing) > 0 {
		return nil, models.Invalid("", "The game is being installed or updated already. Its page shows how far that is.")
	}
	p, err := planAlone(ctx, tx, a.Kind(), "Update the game: prepare", 10)
	if err == nil {
		p.job.Pool = models.PoolInteractive // it may wait for hours, and does nothing meanwhile
	}
	return p, err
}

// StopForUpdate ends a server's game for an update. What is wanted of the server
// stays: it is to run.
type StopForUpdate struct {
	ServerID string `json:"server_id"`
	Update   int64  `json:"update"`
}

// Kind is stored; changing it orphans queued jobs.
func (StopForUpdate) Kind() string { return "game.stop" }

// The installation is shared until the game has ended, so that the install waits.
// What would start the server meanwhile is cancelled: it starts after the update.
func (a StopForUpdate) plan(ctx context.Context, tx bun.Tx, _ models.Actor) (*plan, error) {
	p, s, err := planServer(ctx, tx, a.ServerID, a.Kind())
	if err != nil {
		return nil, err
	}
	p.job.Title, p.job.MaxAttempts = "Stop "+s.Name+" for the update", 3
	p.needs = append(p.needs, models.JobResource{Resource: gameResource})
	waiting, err := models.UnfinishedJobs(ctx, tx, s.ID)
	if err != nil {
		return nil, err
	}
	return p, makeWay(ctx, tx, p, waiting, "Cancelled for an update of the game, after which the server starts.", StartServer{}.Kind(), RestartServer{}.Kind())
}

// startLanes is how many servers start at the same time after an update: each reads
// its maps and much of the game from the disk.
const startLanes = 2

// UpdateSteps lists what update, the job that leads, asks for at its end: a stop of
// every server that runs or is to run, the install, and a start of each that is to
// run.
func UpdateSteps(ctx context.Context, tx bun.Tx, update int64) ([]Args, error) {
	servers, err := models.ServersUp(ctx, tx, models.LocalHost)
	if err != nil {
		return nil, err
	}
	var stops, starts []Args
	for _, s := range servers {
		stops = append(stops, StopForUpdate{ServerID: s.ID, Update: update})
		if s.Desired == models.ServerRunning {
			starts = append(starts, StartServer{ServerID: s.ID, Update: update, Lane: len(starts) % startLanes})
		}
	}
	return append(append(stops, InstallGame{Update: update}), starts...), nil
}

// UpdateOf says which update a job is part of: the number of the job that leads it,
// 0 for none.
func UpdateOf(j *models.Job) int64 {
	if j.Kind == (UpdateGame{}).Kind() {
		return j.ID
	}
	var args struct {
		Update int64 `json:"update"`
	}
	if json.Unmarshal(j.Args, &args) != nil { // whatever it is, it is no part of one
		return 0
	}
	return args.Update
}

// LastUpdate returns the newest update of the host whose lead has not ended, or ended
// after since: the job that leads first, then its steps in their order. nil for none.
func LastUpdate(ctx context.Context, db bun.IDB, host string, since time.Time) ([]models.Job, error) {
	lead, err := models.NewestJobByKind(ctx, db, host, UpdateGame{}.Kind())
	if err != nil || lead == nil || lead.Finished() && lead.FinishedAt.Before(since) {
		return nil, err
	}
	after, err := models.JobsAfter(ctx, db, host, lead.ID, StopForUpdate{}.Kind(), InstallGame{}.Kind(), StartServer{}.Kind())
	if err != nil {
		return nil, err
	}
	list := []models.Job{*lead}
	for _, j := range after {
		if UpdateOf(&j) == lead.ID {
			list = append(list, j)
		}
	}
	return list, nil
}
