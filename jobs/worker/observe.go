package worker

import (
	"context"
	"errors"
	"time"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
)

// observe keeps one long-lived `l4d2ctl watch` and gives what it says to the
// observer. A watch that ends is started again, later each time.
func (w *Worker) observe(ctx context.Context) {
	if err := models.SeeHost(ctx, w.DB, w.Host, nil); err != nil {
		w.Log.WarnContext(ctx, "could not store the host's sign of life", "err", err)
	}
	wait := time.Second
	for ctx.Err() == nil {
		began := time.Now()
		err := w.watchOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			wait = time.Second
		}
		w.Log.WarnContext(ctx, "l4d2ctl watch ended; starting it again", "err", err, "wait", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, 30*time.Second)
	}
}

func (w *Worker) watchOnce(ctx context.Context) error {
	seen := time.Time{}
	out := &lineWriter{each: func(line []byte) {
		e := ctl.Parse(line)
		switch {
		case e.Type == ctl.EventState && e.Status != nil:
			w.seen.take(*e.Status)
		case e.Type == ctl.EventGame && e.Game != nil:
			w.observedGame(ctx, *e.Game)
		}
		if time.Since(seen) > 5*time.Second {
			seen = time.Now()
			if err := models.SeeHost(ctx, w.DB, w.Host, nil); err != nil && ctx.Err() == nil {
				w.Log.WarnContext(ctx, "could not store the host's sign of life", "err", err)
			}
		}
	}}
	tail := &tailBuffer{}
	cmd := w.command(ctx, "watch", "--json")
	cmd.Stdout, cmd.Stderr = out, tail
	err := cmd.Run()
	reap(cmd)
	if err != nil && len(tail.buf) > 0 {
		err = errors.Join(err, errors.New(string(tail.buf)))
	}
	return err
}

// observed stores a status that a job was told, before the job goes on.
func (w *Worker) observed(ctx context.Context, s ctl.Status) {
	w.seen.take(s)
	if err := w.seen.store(context.WithoutCancel(ctx)); err != nil {
		w.Log.WarnContext(ctx, "could not store what was observed; trying again", "server", s.Name, "err", err)
	}
}

func (w *Worker) observedGame(ctx context.Context, g ctl.Game) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	row := models.Game{Installed: g.Installed, Build: g.Build, Latest: g.Latest, CheckedAt: g.Checked, Method: g.Method, Version: g.Version, Size: g.Size, Updated: g.Updated, Changing: g.Changing, Message: g.Message}
	if err := models.SeeHost(ctx, w.DB, w.Host, &row); err != nil {
		w.Log.WarnContext(ctx, "could not store what is installed", "err", err)
		return
	}
	w.publish(jobs.Message{Topics: []string{jobs.TopicGame()}, Change: true})
}

// rowStatus is the part of a status that pages show.
func rowStatus(s ctl.Status) models.ServerStatus {
	out := models.ServerStatus{Message: s.Message, Grade: string(s.Grade), PID: s.PID, Restarts: s.Restarts, Memory: s.Memory, CPU: s.CPU, LAN: s.LAN, Hung: s.Hung, Pending: s.Pending}
	if s.Applied != nil {
		out.Argv, out.Overlays, out.Spec = s.Applied.Argv, s.Applied.Overlays, s.Applied.Spec
	}
	if s.Exit != nil {
		out.Exit = &models.GameExit{At: s.Exit.At, Code: s.Exit.Code, Signal: s.Exit.Signal, Cause: s.Exit.Cause}
	}
	if l := s.Live; l != nil {
		out.Live = &models.Live{
			At: l.At, Hostname: l.Hostname, Map: l.Map, Players: l.Players, Bots: l.Bots, Max: l.Max,
			Mode: l.Mode, Difficulty: l.Difficulty, Hibernating: l.Hibernating, Public: l.Public,
		}
		for _, p := range l.Names {
			out.Live.Names = append(out.Live.Names, models.Player{UserID: p.UserID, Name: p.Name, SteamID: p.SteamID, Connected: p.Connected, Ping: p.Ping, Loss: p.Loss})
		}
	}
	return out
}

func (w *Worker) now() time.Time { return models.Now() }
