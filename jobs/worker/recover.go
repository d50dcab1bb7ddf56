package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
)

const (
	recoverEvery = 3 * time.Second  // between the starts of two servers, which share disk and cores
	recoverAgain = 10 * time.Minute // a start that ended less than this ago is not asked for again
	recoverLimit = 2 * time.Minute  // of one look at all servers
)

// bringBack asks, once a worker began, for the start of every server that is to run
// and does not: after a boot nothing else starts them, since their units are started
// by l4d2ctl only. It tries until it could look at the host.
func (w *Worker) bringBack(ctx context.Context) {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := w.bringBackOnce(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		w.Log.WarnContext(ctx, "could not look which servers are down; trying again", "err", err, "wait", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (w *Worker) bringBackOnce(ctx context.Context) error {
	began := w.now()
	host, err := w.snapshot(ctx)
	if err != nil {
		return err
	}
	if err := w.noteAbsent(ctx, host, began); err != nil {
		return err
	}
	wanted, err := models.ServersToRun(ctx, w.DB, w.Host)
	if err != nil {
		return err
	}
	wait := time.Duration(0)
	for _, s := range wanted {
		if !isDown(host, s.Instance) {
			continue
		}
		list, err := w.queue.EnqueueWith(ctx, models.Actor{}, func(ctx context.Context, tx bun.Tx) ([]jobs.Args, error) {
			if ok, err := mayBringBack(ctx, tx, s.ID, began); err != nil || !ok {
				return nil, err
			}
			return []jobs.Args{jobs.Later{Args: jobs.StartServer{ServerID: s.ID, Back: true}, Wait: wait}}, nil
		})
		if err != nil {
			return fmt.Errorf("ask for the start of %s: %w", s.Instance, err)
		}
		if len(list) > 0 {
			wait += recoverEvery
			w.Log.InfoContext(ctx, "starting a server that was down", "server", s.Instance, "job", list[0].ID)
		}
	}
	return nil
}

// snapshot asks l4d2ctl for all servers, by instance.
func (w *Worker) snapshot(ctx context.Context) (map[string]ctl.Status, error) {
	ctx, stop := context.WithTimeout(ctx, recoverLimit)
	defer stop()
	var out bytes.Buffer
	tail := &tailBuffer{}
	cmd := w.command(ctx, "status", "--json")
	cmd.Stdout, cmd.Stderr = &out, tail
	err := cmd.Run()
	reap(cmd)
	if err != nil {
		return nil, fmt.Errorf("l4d2ctl status: %w: %s", err, bytes.TrimSpace(tail.buf))
	}
	var list []ctl.Status
	if err := json.Unmarshal(out.Bytes(), &list); err != nil {
		return nil, fmt.Errorf("read what l4d2ctl status said: %w", err)
	}
	all := make(map[string]ctl.Status, len(list))
	for _, s := range list {
		all[s.Name] = s
	}
	return all, nil
}

// noteAbsent tells rows of servers that the host no longer has: watching tells only of
// those that it has.
func (w *Worker) noteAbsent(ctx context.Context, host map[string]ctl.Status, before time.Time) error {
	names := make([]string, 0, len(host))
	for name := range host {
		names = append(names, name)
	}
	gone, err := models.ObserveAbsent(ctx, w.DB, w.Host, names, before)
	if err != nil || len(gone) == 0 {
		return err
	}
	topics := make([]string, len(gone))
	for i, id := range gone {
		topics[i] = jobs.TopicServer(id)
	}
	w.publish(jobs.Message{Topics: topics, Change: true})
	return nil
}

// isDown says that an instance does not run and may be started: a game that crashed
// again and again is left alone, unless the host was booted since.
func isDown(host map[string]ctl.Status, instance string) bool {
	s, there := host[instance]
	switch {
	case !there, s.State == ctl.ServerAbsent, s.State == ctl.ServerStopped:
		return true
	case s.State == ctl.ServerFailed:
		return s.Lost
	}
	return false
}

// mayBringBack looks again, where nobody can change it meanwhile. A worker that begins
// again and again asks only now and then for a start that comes to nothing.
func mayBringBack(ctx context.Context, tx bun.Tx, serverID string, now time.Time) (bool, error) {
	wanted, err := models.HoldDesired(ctx, tx, serverID, models.ServerRunning)
	if err != nil || !wanted {
		return false, err
	}
	last, err := models.LastServerJob(ctx, tx, serverID)
	if err != nil || last == nil {
		return err == nil, err
	}
	if !last.Finished() {
		return false, nil
	}
	failed := last.Kind == (jobs.StartServer{}).Kind() && last.State != models.JobSucceeded
	return !failed || now.Sub(last.FinishedAt) > recoverAgain, nil
}
