// Package worker carries jobs out. It claims rows, runs l4d2ctl as a child,
// streams what it prints back through package jobs, watches over its own
// attempts, and observes the servers of its host.
//
// It knows l4d2ctl only by package ctl: never a host file, never systemd. Start
// at Worker.Run; the life of one attempt is in attempt.go, what each kind does is
// in the file of its noun.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/uptrace/bun"

	"left4me/jobs"
	"left4me/models"
)

// Timing of the promises a job gets. They belong together: an attempt that
// cannot reach the database stops itself before a sweeper would give its job to
// somebody else.
const (
	beatEvery   = 1500 * time.Millisecond
	fenceAfter  = 6500 * time.Millisecond // without a heartbeat stored: stop the child
	staleAfter  = 10 * time.Second        // without a heartbeat seen: the job is taken back
	sweepEvery  = time.Second
	clockEvery  = 15 * time.Second // between two looks at the schedules
	stopGrace   = 10 * time.Second // between SIGTERM and SIGKILL of a child's group
	persistFor  = 30 * time.Second // how long something is offered to a database that takes other things
	logFlush    = 30 * time.Millisecond
	logBatch    = 500
	progressMin = 250 * time.Millisecond // between two stored progress values
)

var (
	errFenced   = errors.New("the job was taken over by another worker")
	errNoBeat   = errors.New("the database did not answer for too long")
	errCancel   = errors.New("somebody asked for its end")
	errShutdown = errors.New("the worker is stopping")
)

// Config is what a worker needs. Every field is required unless it says
// otherwise.
type Config struct {
	DB    *bun.DB
	Redis *redis.Client
	Key   *models.SecretKey
	Log   *slog.Logger
	Host  string // whose queues it serves, such as models.LocalHost

	// Ctl is the command that runs l4d2ctl: a path and leading arguments.
	Ctl []string
	// CtlEnv is l4d2ctl's whole environment.
	CtlEnv []string

	Interactive int // concurrent short jobs; 0 means 8
	Bulk        int // concurrent long jobs; 0 means 2
}

// Worker runs the jobs of one host.
type Worker struct {
	Config
	name  string
	queue *jobs.Client // for jobs that follow from others and from the clock
	tasks *asynq.Client
	in    *asynq.Inspector

	mu       sync.Mutex
	attempts map[int64]*attempt
	closing  bool
	done     sync.WaitGroup
	watch    chan string   // instances whose console somebody opened
	told     chan struct{} // somebody told a game something
	seen     *observer
}

// New makes a worker; Run starts it.
func New(c Config) *Worker {
	if c.Interactive == 0 {
		c.Interactive = 8
	}
	if c.Bulk == 0 {
		c.Bulk = 2
	}
	host, _ := os.Hostname() // only a label on the row
	w := &Worker{
		Config: c, name: fmt.Sprintf("%s/%d", host, os.Getpid()),
		queue: jobs.NewClient(c.DB, c.Redis, c.Log),
		tasks: asynq.NewClientFromRedisClient(c.Redis), in: asynq.NewInspectorFromRedisClient(c.Redis),
		attempts: map[int64]*attempt{}, watch: make(chan string, 64), told: make(chan struct{}, 1),
	}
	w.seen = newObserver(w)
	return w
}

// Run works until ctx ends, then gives its unfinished jobs back and returns when
// every child is gone.
func (w *Worker) Run(ctx context.Context) error {
	// asynq looks at an empty queue once a second unless told otherwise. 30 ms
	// lets a click start within 15 ms on average and costs a percent of a core;
	// nobody waits for a bulk job's first 250 ms.
	interactive := w.server(models.PoolInteractive, w.Interactive, 30*time.Millisecond)
	bulk := w.server(models.PoolBulk, w.Bulk, 250*time.Millisecond)
	for _, s := range []*asynq.Server{interactive, bulk} {
		if err := s.Start(asynq.HandlerFunc(w.process)); err != nil {
			return fmt.Errorf("start the queue: %w", err)
		}
	}
	var side sync.WaitGroup
	for _, run := range []func(context.Context){w.sweep, w.observe, w.seen.run, w.bringBack, w.prune, w.tailConsoles, w.tellGames, w.askProfiles, w.listen} {
		side.Go(func() { run(ctx) })
	}
	<-ctx.Done()
	interactive.Stop()
	bulk.Stop()
	w.giveBack()
	interactive.Shutdown()
	bulk.Shutdown()
	side.Wait()
	return nil
}

func (w *Worker) server(pool models.Pool, n int, check time.Duration) *asynq.Server {
	return asynq.NewServerFromRedisClient(w.Redis, asynq.Config{
		Concurrency:              n,
		Queues:                   map[string]int{jobs.QueueName(w.Host, pool): 1},
		TaskCheckInterval:        check,
		DelayedTaskCheckInterval: time.Minute, // we delay by rows, never by asynq
		ShutdownTimeout:          time.Second,
		Logger:                   asynqLog{w.Log},
		LogLevel:                 asynq.WarnLevel,
	})
}

// giveBack ends every running attempt and waits until all have put their jobs
// back into the queue.
func (w *Worker) giveBack() {
	w.mu.Lock()
	w.closing = true
	for _, a := range w.attempts {
		a.cancel(errShutdown)
	}
	w.mu.Unlock()
	w.done.Wait()
}

// process handles one task: a hint that a job may be due. Whatever asynq thinks
// of the task afterwards does not matter; it is told only which jobs failed.
func (w *Worker) process(ctx context.Context, t *asynq.Task) error {
	id, err := jobs.TaskJob(t)
	if err != nil {
		return err
	}
	job, err := models.ClaimJob(ctx, w.DB, id, w.name)
	if errors.Is(err, models.ErrConflict) {
		return nil // finished, blocked, not due, or somebody else's
	}
	if err != nil {
		w.Log.WarnContext(ctx, "could not claim a job; the reconciler will ask again", "job", id, "err", err)
		return nil
	}
	if job.Kind != t.Type() { // asynq matches prefixes; we do not
		w.Log.WarnContext(ctx, "a task had another kind than its job", "job", id, "task", t.Type(), "kind", job.Kind)
	}
	return outcome(w.run(job))
}

// outcome is what the queue is told of an attempt. A job that failed is an error,
// which puts its task with the job's message among the archived ones of the queue
// monitor; asynq never tries it again. That cannot wake the job either: its row has
// ended, and another attempt's task would have another id.
func outcome(e models.Ending) error {
	if e.State != models.JobFailed {
		return nil
	}
	return fmt.Errorf("%s: %w", strings.TrimSuffix(e.Message, "."), asynq.SkipRetry)
}

// run carries one claimed attempt out, on a context of its own: asynq's may end
// for reasons that are none of the job's.
func (w *Worker) run(job *models.Job) models.Ending {
	ctx, cancel := context.WithCancelCause(context.Background())
	a := &attempt{w: w, job: job, cancel: cancel, began: models.Now()}
	w.mu.Lock()
	if w.closing {
		cancel(errShutdown)
	}
	w.attempts[job.ID] = a
	w.done.Add(1)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.attempts, job.ID)
		w.mu.Unlock()
		cancel(nil)
		w.done.Done()
	}()
	a.carryOut(ctx)
	return a.ending
}

// listen obeys direct words from the web: cancels and opened consoles.
func (w *Worker) listen(ctx context.Context) {
	jobs.ListenControl(ctx, w.Redis, func(c jobs.Control) {
		if c.Cancel != 0 {
			w.mu.Lock()
			a := w.attempts[c.Cancel]
			w.mu.Unlock()
			if a != nil {
				a.cancel(errCancel)
			}
		}
		if c.Watch != "" {
			select {
			case w.watch <- c.Watch:
			default: // the tails look for themselves every few seconds
			}
		}
		if c.Command != "" {
			select {
			case w.told <- struct{}{}:
			default: // it is about to look already
			}
		}
	})
}

// publish announces something; pages that miss it read rows.
func (w *Worker) publish(m jobs.Message) {
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	if err := jobs.Publish(ctx, w.Redis, m); err != nil {
		w.Log.Warn("could not announce", "topics", m.Topics, "err", err)
	}
}

// asynqLog passes asynq's own words on.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) Debug(args ...any) { l.log.Debug("queue", "said", fmt.Sprint(args...)) }
func (l asynqLog) Info(args ...any)  { l.log.Info("queue", "said", fmt.Sprint(args...)) }
func (l asynqLog) Warn(args ...any)  { l.log.Warn("queue", "said", fmt.Sprint(args...)) }
func (l asynqLog) Error(args ...any) { l.log.Error("queue", "said", fmt.Sprint(args...)) }
func (l asynqLog) Fatal(args ...any) { l.log.Error("queue", "said", fmt.Sprint(args...)) }
