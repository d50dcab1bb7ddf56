package worker

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"sync"
	"time"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
)

// maxTails bounds how many consoles are followed at once.
const maxTails = 64

// tailConsoles follows the console of every server that somebody looks at: one
// tail a server, however many people look.
func (w *Worker) tailConsoles(ctx context.Context) {
	var (
		mu      sync.Mutex
		running = map[string]bool{}
		tails   sync.WaitGroup
	)
	begin := func(instance string) {
		mu.Lock()
		defer mu.Unlock()
		if running[instance] || len(running) >= maxTails || ctl.CheckName(instance) != nil {
			return
		}
		running[instance] = true
		tails.Go(func() {
			if err := w.tail(ctx, instance); err != nil && ctx.Err() == nil {
				w.Log.WarnContext(ctx, "stopped following a console", "server", instance, "err", err)
			}
			mu.Lock()
			delete(running, instance)
			mu.Unlock()
		})
	}
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	defer tails.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case instance := <-w.watch:
			begin(instance)
		case <-tick.C:
			list, err := jobs.WatchedConsoles(ctx, w.Redis)
			if err != nil {
				continue // Redis is away; the viewers are told by their own streams
			}
			for _, instance := range list {
				begin(instance)
			}
		}
	}
}

// tail follows one console until nobody has looked at it for a while.
func (w *Worker) tail(ctx context.Context, instance string) error {
	out, after, err := jobs.OpenConsole(ctx, w.Redis, instance)
	if err != nil {
		return err
	}
	mask, err := w.consoleMask(ctx, instance)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lines := make(chan jobs.ConsoleLine, logBatch)
	var writer sync.WaitGroup
	writer.Go(func() { w.writeConsole(ctx, out, lines, cancel) })
	writer.Go(func() { w.whileWatched(ctx, instance, cancel) })

	args := []string{"--events=json", "logs", instance, "--lines", "200", "--follow"}
	if after != "" {
		args = append(args, "--after", after)
	}
	each := &lineWriter{each: func(line []byte) {
		e := ctl.Parse(line)
		if e.Type != ctl.EventLog {
			return
		}
		text := e.Text
		if mask != "" {
			text = strings.ReplaceAll(text, mask, "********")
		}
		select {
		case lines <- jobs.ConsoleLine{Line: jobs.Line{At: e.At, Stream: string(e.Stream), Text: text}, Cursor: e.Cursor}:
		case <-ctx.Done():
		}
	}}
	cmd := w.command(ctx, args...)
	cmd.Stdout = each
	err = cmd.Run()
	reap(cmd)
	cancel(nil)
	writer.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && errors.Is(ctl.FromExitCode(exit.ExitCode()), ctl.ErrNotFound) {
		return nil // not set up on the host yet: there is nothing to follow
	}
	if errors.Is(context.Cause(ctx), errNobodyLooks) {
		return nil
	}
	return err
}

var errNobodyLooks = errors.New("nobody looks at it any more")

func (w *Worker) whileWatched(ctx context.Context, instance string, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if watched, err := jobs.ConsoleWatched(ctx, w.Redis, instance); err == nil && !watched {
				cancel(errNobodyLooks)
				return
			}
		}
	}
}

// writeConsole stores lines in batches. When Redis is away it gives up: the next
// tail goes on behind the last line that was stored.
func (w *Worker) writeConsole(ctx context.Context, out *jobs.ConsoleWriter, lines <-chan jobs.ConsoleLine, cancel context.CancelCauseFunc) {
	batch := make([]jobs.ConsoleLine, 0, logBatch)
	timer := time.NewTimer(logFlush)
	timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-lines:
			if batch = append(batch, l); len(batch) == 1 {
				timer.Reset(logFlush)
			}
			if len(batch) < logBatch {
				continue
			}
		case <-timer.C:
		}
		if len(batch) == 0 {
			continue
		}
		if err := out.Append(ctx, batch); err != nil {
			cancel(err)
			return
		}
		batch = batch[:0]
	}
}

// consoleMask is the secret that must not appear in a console's lines.
func (w *Worker) consoleMask(ctx context.Context, instance string) (string, error) {
	s := new(models.Server)
	err := w.DB.NewSelect().Model(s).Column("id", "rcon_password").Where("host = ? AND instance = ?", w.Host, instance).Scan(ctx)
	if err != nil {
		return "", err
	}
	return w.Key.Open(s.RCONOwner(), s.RCONPassword)
}
