package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
)

// attempt is one claimed run of a job: its log, its heartbeat and its end.
type attempt struct {
	w      *Worker
	job    *models.Job
	cancel context.CancelCauseFunc

	lines chan models.LogLine
	// ending is what was recorded of the attempt's end; its state is "" while nothing
	// is, and queued when the job is to be tried again.
	ending models.Ending
	began  time.Time

	mu       sync.Mutex
	progress models.JobProgress
	dirty    bool
	notices  []string
	mask     string // a secret that must not appear in the log
	// hear gets the events of l4d2ctl that belong to the job's kind; nil for none.
	// It is called one event at a time, and an error fails the job when l4d2ctl is
	// done.
	hear func(ctl.Event) error
	// atEnd runs in the transaction that records success, and again when that could
	// not be committed; afterEnd runs once it is. Both may be nil.
	atEnd    func(context.Context, bun.Tx) error
	afterEnd func(context.Context)
}

// failure is an ending that the handler has words for.
type failure struct {
	code    int
	message string
	retry   bool
	busy    bool // something else works on the same thing: it ends, and then this can be done
}

// busyPatience is how long a job waits for what else works on its thing. That may be
// what a killed worker left behind, which goes on to its end: a start takes minutes,
// an install an hour.
var busyPatience = map[models.Pool]time.Duration{models.PoolInteractive: 10 * time.Minute, models.PoolBulk: 3 * time.Hour}

// waits says whether the job is to be put off after this failure.
func (a *attempt) waits(f *failure) bool {
	return f.busy && models.Now().Sub(a.job.StartedAt) < busyPatience[a.job.Pool]
}

func (f *failure) Error() string { return f.message }

// carryOut runs the job's handler with log and heartbeat around it and records
// how it ended. It returns when nothing of the attempt is left.
func (a *attempt) carryOut(ctx context.Context) {
	a.lines = make(chan models.LogLine, 2*logBatch)
	a.progress = models.JobProgress{}
	a.changed()

	beating, stopBeat := context.WithCancel(context.Background())
	var side sync.WaitGroup
	side.Go(func() { a.beat(beating) })
	logged := make(chan struct{})
	go func() { defer close(logged); a.writeLog(ctx) }()

	err := a.handle(ctx)
	a.endStep()
	close(a.lines)
	<-logged
	stopBeat()
	side.Wait()
	a.finish(ctx, err)
}

// handle calls the kind's handler. A panic is a failed job, not a dead worker.
func (a *attempt) handle(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			a.w.Log.Error("a job's handler panicked", "job", a.job.ID, "panic", p, "stack", string(debug.Stack()))
			err = &failure{code: 70, message: "left4me made a mistake while it ran this job. Its log on the host says more."}
		}
	}()
	if context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	h, ok := handlers[a.job.Kind]
	if !ok {
		return &failure{code: 70, message: fmt.Sprintf("This worker does not know how to do %q. Is it older than the web app?", a.job.Kind)}
	}
	return h(ctx, a)
}

// handlers are exact: a kind that is not here is not run.
var handlers = map[string]func(context.Context, *attempt) error{
	jobs.InstallGame{}.Kind():      installGame,
	jobs.CheckGame{}.Kind():        checkGame,
	jobs.UpdateGame{}.Kind():       updateGame,
	jobs.StopForUpdate{}.Kind():    stopServer,
	jobs.CheckHost{}.Kind():        checkHost,
	jobs.RestartEmpty{}.Kind():     restartEmpty,
	jobs.ApplyBlueprint{}.Kind():   applyBlueprint,
	jobs.StartServer{}.Kind():      startServer,
	jobs.StopServer{}.Kind():       stopServer,
	jobs.RestartServer{}.Kind():    restartServer,
	jobs.ResetServer{}.Kind():      resetServer,
	jobs.DeleteServer{}.Kind():     deleteServer,
	jobs.DownloadWorkshop{}.Kind(): downloadWorkshop,
	jobs.RefreshOverlays{}.Kind():  refreshOverlays,
	jobs.BuildOverlay{}.Kind():     buildOverlay,
	jobs.DeleteOverlay{}.Kind():    deleteOverlay,
	jobs.CollectOverlays{}.Kind():  collectOverlays,
}

// beat keeps the row's heartbeat and progress fresh. It ends the attempt when
// the row is no longer ours, when its end was asked for, or when the database
// has been silent for so long that somebody may take the job over.
func (a *attempt) beat(ctx context.Context) {
	tick := time.NewTicker(progressMin)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		a.mu.Lock()
		due := a.dirty || time.Since(last) >= beatEvery
		snapshot, dirty := *a.job, a.dirty
		snapshot.Progress, a.dirty = copyOf(a.progress), false
		a.mu.Unlock()
		if !due {
			continue
		}
		one, stop := context.WithTimeout(ctx, 2*time.Second)
		cancelled, err := models.BeatJob(one, a.w.DB, &snapshot)
		stop()
		switch {
		case errors.Is(err, models.ErrFenced):
			a.cancel(errFenced)
			return
		case err != nil && ctx.Err() == nil:
			a.mu.Lock()
			a.dirty = a.dirty || dirty
			a.mu.Unlock()
			if time.Since(last) > fenceAfter {
				a.cancel(errNoBeat)
				return
			}
		case err == nil:
			last = time.Now()
			if cancelled {
				a.cancel(errCancel)
			}
			if dirty {
				a.changed()
			}
		}
	}
}

// writeLog numbers and stores lines in batches, then publishes each batch. While
// the database is away it keeps trying and the child is held back by its full
// pipe; only the end of the attempt gives up.
func (a *attempt) writeLog(ctx context.Context) {
	batch := make([]models.LogLine, 0, logBatch)
	timer := time.NewTimer(logFlush)
	timer.Stop()
	for {
		select {
		case l, ok := <-a.lines:
			if !ok {
				a.flush(ctx, batch)
				return
			}
			if batch = append(batch, l); len(batch) == 1 {
				timer.Reset(logFlush)
			}
			if len(batch) < logBatch {
				continue
			}
		case <-timer.C:
		}
		a.flush(ctx, batch)
		batch = batch[:0]
	}
}

func (a *attempt) flush(ctx context.Context, batch []models.LogLine) {
	if len(batch) == 0 {
		return
	}
	err := a.persist(ctx, "a job's log", func(ctx context.Context) error {
		return models.AppendLog(ctx, a.w.DB, a.job.ID, a.job.Attempt, batch)
	})
	if err != nil {
		return
	}
	m := jobs.Message{Topics: []string{jobs.TopicJob(a.job.ID)}, First: batch[0].Seq, Last: batch[len(batch)-1].Seq}
	for _, l := range batch {
		m.Lines = append(m.Lines, jobs.Line{N: l.Seq, At: l.At, Stream: l.Stream, Text: l.Text})
	}
	a.w.publish(m)
}

// persist stores something that l4d2ctl said, again and again until the database
// answers. It gives up when the job is no longer ours to write to, and when the
// database takes everything but this for so long that trying is of no use.
func (a *attempt) persist(ctx context.Context, what string, store func(context.Context) error) error {
	began := time.Now()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		one, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		err := store(one)
		stop()
		if err == nil {
			return nil
		}
		if errors.Is(err, models.ErrFenced) || errors.Is(context.Cause(ctx), errFenced) || errors.Is(context.Cause(ctx), errNoBeat) {
			return err
		}
		if time.Since(began) > persistFor {
			a.w.Log.Error("could not store "+what, "job", a.job.ID, "err", err)
			return fmt.Errorf("store %s: %w", what, err)
		}
		a.w.Log.Warn("could not store "+what+"; trying again", "job", a.job.ID, "err", err)
		time.Sleep(wait) // bounded: the heartbeat gives up before long
	}
}

// log adds one line. NUL and broken UTF-8 never reach the database, and the
// job's secret never reaches anybody.
func (a *attempt) log(at time.Time, stream ctl.Stream, text string) {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	a.mu.Lock()
	mask := a.mask
	a.mu.Unlock()
	if mask != "" {
		text = strings.ReplaceAll(text, mask, "********")
	}
	if at.IsZero() {
		at = models.Now()
	}
	a.lines <- models.LogLine{At: at.UTC().Truncate(time.Microsecond), Stream: string(stream), Text: text}
}

// changed tells pages to look at the job again.
func (a *attempt) changed() {
	a.w.publish(jobs.Message{Topics: jobs.JobTopics(a.job), Change: true})
}

// finish records the end, which outlives whatever ended the attempt, and is
// repeated until the database answers or the job must be somebody else's.
func (a *attempt) finish(ctx context.Context, err error) {
	cause := context.Cause(ctx)
	if errors.Is(cause, errFenced) || errors.Is(cause, errNoBeat) {
		a.w.Log.Warn("left a job to whoever takes it over", "job", a.job.ID, "err", cause)
		return
	}
	deadline := time.Now().Add(staleAfter)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		one, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		dbErr := a.record(one, cause, err)
		if dbErr == nil {
			a.w.Log.InfoContext(ctx, "a job's attempt ended", "job", a.job.ID, "kind", a.job.Kind, "state", string(a.ending.State), "attempt", a.job.Attempt,
				"ms", models.Now().Sub(a.began).Milliseconds())
			a.changed()
			if err == nil && a.afterEnd != nil {
				a.afterEnd(one)
			}
			if wakeErr := a.w.wake(one); wakeErr != nil {
				a.w.Log.Warn("could not wake what waited for this job; the sweep will", "job", a.job.ID, "err", wakeErr)
			}
		}
		stop()
		if dbErr == nil || errors.Is(dbErr, models.ErrFenced) || time.Now().After(deadline) {
			if dbErr != nil {
				a.w.Log.Warn("could not record a job's end", "job", a.job.ID, "err", dbErr)
			}
			return
		}
		time.Sleep(wait)
	}
}

func (a *attempt) record(ctx context.Context, cause, err error) (failed error) {
	e := models.Ending{State: models.JobSucceeded, Notices: a.notices, Progress: a.progress}
	zero := 0
	defer func() {
		if failed == nil {
			a.ending = e
		}
	}()
	var f *failure
	switch {
	case err == nil: // done, even if its end was asked for too late
		e.ExitCode = &zero
	case errors.Is(cause, errShutdown):
		e.State = models.JobQueued
		return models.RetryJob(ctx, a.w.DB, a.job.ID, a.job.Attempt, models.Now(), "The worker was restarted. The job goes on.")
	case errors.Is(cause, errCancel):
		e.State, e.Message = models.JobCancelled, "Cancelled."
		if j, err := models.JobByID(ctx, a.w.DB, a.job.ID); err == nil && j.CancelReason != "" {
			e.Message = j.CancelReason
		}
	case errors.As(err, &f):
		if a.waits(f) {
			e.State = models.JobQueued
			after := models.Now().Add(time.Duration(min(a.job.Attempt, 15)) * time.Second)
			return models.PostponeJob(ctx, a.w.DB, a.job.ID, a.job.Attempt, after, f.message)
		}
		if f.retry && a.job.Attempt < a.job.MaxAttempts {
			e.State = models.JobQueued
			after := models.Now().Add(time.Duration(a.job.Attempt) * 3 * time.Second)
			return models.RetryJob(ctx, a.w.DB, a.job.ID, a.job.Attempt, after, f.message)
		}
		e.State, e.Message = models.JobFailed, f.message
		e.ExitCode = &f.code
	default:
		a.w.Log.Error("a job failed for a reason of ours", "job", a.job.ID, "err", err)
		e.State, e.Message = models.JobFailed, "left4me could not run this job: "+err.Error()
	}
	return a.w.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := models.FinishJob(ctx, tx, a.job.ID, a.job.Attempt, e); err != nil {
			return err
		}
		if e.State == models.JobSucceeded && a.atEnd != nil {
			return a.atEnd(ctx, tx)
		}
		return nil
	})
}
