package worker

import (
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
	lookEvery  = 2 * time.Second        // between two looks at who plays
	sayLimit   = 10 * time.Second       // for telling one server's players
	startApart = 5 * time.Second        // between restarts of empty servers
	tellEvery  = 500 * time.Millisecond // between two updates of a countdown
)

// warnings are when players are told how long they have, in seconds before the stop.
var warnings = []int{300, 60, 30, 10}

// updateGame waits until nobody plays if it is to, warns those who do, and asks for
// the rest of the update together with its own success. Nothing was stopped when it
// is cancelled. A worker that is restarted meanwhile waits on; only the warning
// begins anew.
func updateGame(ctx context.Context, a *attempt) error {
	var args jobs.UpdateGame
	if err := json.Unmarshal(a.job.Args, &args); err != nil {
		return fmt.Errorf("read the job's arguments: %w", err)
	}
	if args.Hours > 0 {
		if err := a.waitUntilEmpty(ctx, a.job.CreatedAt.Add(time.Duration(args.Hours)*time.Hour)); err != nil {
			return err
		}
	}
	if err := a.warnPlayers(ctx, time.Duration(args.Warn)*time.Second); err != nil {
		return err
	}
	a.phase("hand on", "Handing on to the stops, the install and the starts", 0)
	by, err := a.asker(ctx)
	if err != nil {
		return err
	}
	announce := func(context.Context) {}
	a.atEnd = func(ctx context.Context, tx bun.Tx) error {
		steps, err := jobs.UpdateSteps(ctx, tx, a.job.ID)
		if err != nil {
			return err
		}
		announce, err = a.w.queue.EnqueueIn(ctx, tx, by, steps...)
		return err
	}
	a.afterEnd = func(ctx context.Context) { announce(ctx) }
	return nil
}

// playing lists the servers on which somebody may play: those where the game told of
// players, and those that run and told nothing for a while.
func (a *attempt) playing(ctx context.Context) (list []models.Server, players int, err error) {
	up, err := models.ServersUp(ctx, a.w.DB, a.w.Host)
	if err != nil {
		return nil, 0, err
	}
	for _, s := range up {
		live := s.Status.Live
		switch {
		case s.Observed != models.ServerRunning:
		case live == nil || a.w.now().Sub(s.ObservedAt) > time.Minute:
			list = append(list, s)
		case live.Players > 0:
			list, players = append(list, s), players+live.Players
		}
	}
	return list, players, nil
}

// waitUntilEmpty returns when nobody plays, or at the deadline.
func (a *attempt) waitUntilEmpty(ctx context.Context, deadline time.Time) error {
	said := ""
	for {
		list, players, err := a.playing(ctx)
		if err != nil {
			return err
		}
		left := deadline.Sub(a.w.now())
		switch {
		case len(list) == 0:
			return nil
		case left <= 0:
			a.addNotices([]string{"Somebody still played when the time to wait was over, so the players are warned and then the update begins."})
			return nil
		}
		title := fmt.Sprintf("Waiting until nobody plays: %s on %s", counted(players, "player"), counted(len(list), "server"))
		if title != said {
			said = title
			a.log(a.w.now(), ctl.StreamCtl, title)
		}
		a.phase("wait", title, left)
		if err := pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// warnPlayers tells the players of every server how long they have, several times,
// and returns when that is over or the last of them has left.
func (a *attempt) warnPlayers(ctx context.Context, warn time.Duration) error {
	end := a.w.now().Add(warn)
	var said time.Duration // what was said last
	var look time.Time
	for {
		left := end.Sub(a.w.now())
		if left <= 0 {
			return nil
		}
		next := dueWarning(left, said)
		if now := time.Now(); next > 0 || now.Sub(look) >= lookEvery {
			look = now
			list, _, err := a.playing(ctx)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				return nil
			}
			if next > 0 {
				said = next
				a.sayUpdate(ctx, list, left)
			}
		}
		a.phase("warn", "Players were told; giving them time to end", left)
		if err := pause(ctx, min(left, tellEvery)); err != nil {
			return err
		}
	}
}

// dueWarning is what is to be said with so much left, when the last thing said was
// that it was said; 0 for nothing. The first word is always due.
func dueWarning(left, said time.Duration) time.Duration {
	if said == 0 {
		return left
	}
	due := time.Duration(0)
	for _, seconds := range warnings {
		if at := time.Duration(seconds) * time.Second; left <= at && at < said {
			due = at
		}
	}
	return due
}

// sayUpdate tells the players of each server. One that cannot be told is stopped all
// the same.
func (a *attempt) sayUpdate(ctx context.Context, list []models.Server, left time.Duration) {
	text := fmt.Sprintf("This server stops in %s for an update of the game and comes back afterwards.", inWords(left))
	for _, s := range list {
		one, stop := context.WithTimeout(ctx, sayLimit)
		err := a.ctl(one, []byte(text+"\n"), "say", s.Instance)
		stop()
		if err != nil && ctx.Err() == nil {
			a.log(a.w.now(), ctl.StreamErr, fmt.Sprintf("The players of %s could not be told: %v", s.Name, err))
		}
	}
}

// inWords writes a time as people say it, rounded up.
func inWords(d time.Duration) string {
	seconds := int((d + time.Second - 1) / time.Second)
	if seconds > 90 {
		return counted((seconds+59)/60, "minute")
	}
	return counted(seconds, "second")
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// phase shows what the job is at, and how long that still takes; 0 is unknown.
func (a *attempt) phase(key, title string, left time.Duration) {
	a.step(ctl.Event{Type: ctl.EventPhase, At: a.w.now(), Phase: &ctl.Phase{Key: key, Title: title, Left: int64((left + time.Second - 1) / time.Second)}})
}

// pause waits, and fails when the attempt is to end.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// restartEmpty asks for the restart of every running server on which nobody plays.
// Each looks again when its turn comes.
func restartEmpty(ctx context.Context, a *attempt) error {
	up, err := models.ServersUp(ctx, a.w.DB, a.w.Host)
	if err != nil {
		return err
	}
	var list []jobs.Args
	for i := range up {
		if s := &up[i]; s.Desired != models.ServerRunning || s.Observed != models.ServerRunning {
			continue
		} else if why := notEmpty(s, a.w.now()); why != "" {
			a.log(a.w.now(), ctl.StreamCtl, s.Name+": "+why)
		} else {
			a.log(a.w.now(), ctl.StreamCtl, s.Name+": nobody plays, so it is restarted.")
			list = append(list, jobs.Later{Args: jobs.RestartServer{ServerID: s.ID, IfEmpty: true}, Wait: time.Duration(len(list)) * startApart})
		}
	}
	if len(list) == 0 {
		a.addNotices([]string{"There was no server to restart."})
		return nil
	}
	a.addNotices([]string{fmt.Sprintf("%s to restart.", counted(len(list), "server"))})
	announce := func(context.Context) {}
	a.atEnd = func(ctx context.Context, tx bun.Tx) (err error) {
		announce, err = a.w.queue.EnqueueIn(ctx, tx, models.Actor{}, list...)
		return err
	}
	a.afterEnd = func(ctx context.Context) { announce(ctx) }
	return nil
}
