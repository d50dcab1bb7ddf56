// Package jobs is how work is asked for and how its progress is heard: typed
// arguments, enqueueing, and the live stream of log lines and changes.
//
// The row decides, the queue only wakes. A job is written together with the
// change it belongs to, in one transaction; the task in Redis carries nothing
// but its number, so a task that is lost, doubled or late does no harm. Who runs
// jobs is package worker's affair. Start at Client.Enqueue; the streaming side
// starts at Hub.
package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/uptrace/bun"

	"left4me/models"
)

// Args is one kind of work with its arguments: ids, never rows (they go stale)
// and never secrets (Redis and the database keep them).
type Args interface {
	// Kind is stored: changing it orphans queued jobs.
	Kind() string
	// plan carries out the change that belongs to the job, inside its
	// transaction, and says what the job is.
	plan(ctx context.Context, tx bun.Tx, by models.Actor) (*plan, error)
}

// Later asks for a job that does not begin before Wait is over: many servers that
// start at once would fight for the host. What it needs is kept for it meanwhile.
type Later struct {
	Args
	Wait time.Duration
}

// plan is what enqueueing one job comes to.
type plan struct {
	job     models.Job
	needs   []models.JobResource
	same    *models.Job  // an unfinished job that already does this: nothing to add
	touched []models.Job // jobs that were cancelled to make way
}

// Client asks for work. It is safe for concurrent use.
type Client struct {
	db    *bun.DB
	rdb   *redis.Client
	tasks *asynq.Client
	log   *slog.Logger
}

// NewClient makes a client on stores that stay the caller's. Without a Redis (nil)
// it only writes rows and can do nothing but Enqueue: a worker finds them within a
// second.
func NewClient(db *bun.DB, rdb *redis.Client, log *slog.Logger) *Client {
	c := &Client{db: db, rdb: rdb, log: log}
	if rdb != nil {
		c.tasks = asynq.NewClientFromRedisClient(rdb)
	}
	return c
}

// Enqueue records args as a job in one transaction with the change it stands
// for, then wakes a worker. Asking twice for the same thing returns the job that
// is under way. Redis being away delays the job and fails nothing.
func (c *Client) Enqueue(ctx context.Context, by models.Actor, args Args) (*models.Job, error) {
	list, err := c.EnqueueWith(ctx, by, func(context.Context, bun.Tx) ([]Args, error) { return []Args{args}, nil })
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// EnqueueWith runs change first, in the same transaction as the jobs that it
// asks for: either all of it happens or nothing.
func (c *Client) EnqueueWith(ctx context.Context, by models.Actor, change func(context.Context, bun.Tx) ([]Args, error)) ([]*models.Job, error) {
	var b batch
	err := c.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		b = batch{}
		list, err := change(ctx, tx)
		if err != nil {
			return err
		}
		return b.add(ctx, tx, by, list)
	})
	if err != nil {
		return nil, err
	}
	c.announce(ctx, b)
	return b.asked, nil
}

// EnqueueIn records jobs in a transaction that is the caller's, who calls announce
// once it is committed.
func (c *Client) EnqueueIn(ctx context.Context, tx bun.Tx, by models.Actor, list ...Args) (announce func(context.Context), err error) {
	var b batch
	if err := b.add(ctx, tx, by, list); err != nil {
		return nil, err
	}
	return func(ctx context.Context) { c.announce(ctx, b) }, nil
}

// batch is what one transaction asked for.
type batch struct {
	asked []*models.Job // in the order of asking
	fresh []*models.Job // those that were not under way already
	moved []models.Job  // those that were cancelled to make way
}

func (b *batch) add(ctx context.Context, tx bun.Tx, by models.Actor, list []Args) error {
	for _, args := range list {
		var wait time.Duration
		if later, ok := args.(Later); ok {
			args, wait = later.Args, later.Wait
		}
		p, err := args.plan(ctx, tx, by)
		if err != nil {
			return err
		}
		b.moved = append(b.moved, p.touched...)
		if p.same != nil {
			b.asked = append(b.asked, p.same)
			continue
		}
		p.job.RunAfter = models.Now().Add(wait)
		if err := insert(ctx, tx, by, args, p); err != nil {
			return err
		}
		b.asked, b.fresh = append(b.asked, &p.job), append(b.fresh, &p.job)
	}
	return nil
}

func insert(ctx context.Context, tx bun.Tx, by models.Actor, args Args, p *plan) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("encode %s: %w", args.Kind(), err)
	}
	p.job.Kind, p.job.Args, p.job.UserID = args.Kind(), raw, by.ID
	if p.job.Host == "" {
		p.job.Host = models.LocalHost
	}
	if err := models.InsertJob(ctx, tx, &p.job, p.needs); err != nil {
		return err
	}
	subject := "job:" + strconv.FormatInt(p.job.ID, 10)
	return models.Audit(ctx, tx, by, args.Kind(), subject, p.job.Title)
}

// announce wakes workers and tells pages. Nothing here may fail the click: the
// reconciler finds a job that was never pushed, and pages re-read rows.
func (c *Client) announce(ctx context.Context, b batch) {
	if c.rdb == nil {
		return
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	for _, j := range b.fresh {
		if err := Push(ctx, c.tasks, models.Wake{ID: j.ID, Kind: j.Kind, Host: j.Host, Pool: j.Pool, Attempt: j.Attempt}, ""); err != nil {
			c.log.WarnContext(ctx, "could not wake a worker; the reconciler will", "job", j.ID, "err", err)
		}
		c.changed(ctx, j)
	}
	for i := range b.moved {
		c.changed(ctx, &b.moved[i])
		if !b.moved[i].Finished() {
			c.control(ctx, Control{Cancel: b.moved[i].ID})
		}
	}
}

func (c *Client) changed(ctx context.Context, j *models.Job) {
	if err := c.publish(ctx, Message{Topics: JobTopics(j), Change: true}); err != nil {
		c.log.WarnContext(ctx, "could not announce a job", "job", j.ID, "err", err)
	}
}

func (c *Client) publish(ctx context.Context, m Message) error {
	if c.rdb == nil {
		return nil
	}
	return Publish(ctx, c.rdb, m)
}

func (c *Client) control(ctx context.Context, m Control) {
	if err := sendControl(ctx, c.rdb, m); err != nil {
		c.log.WarnContext(ctx, "could not reach the workers directly; they will read it", "err", err)
	}
}

// Cancel ends a queued job and asks for the end of a running one.
// models.ErrConflict when it had ended before.
func (c *Client) Cancel(ctx context.Context, by models.Actor, id int64) error {
	ended := false
	err := c.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) (err error) {
		if ended, err = models.CancelJob(ctx, tx, id, "Cancelled by "+by.Name+"."); err != nil {
			return err
		}
		return models.Audit(ctx, tx, by, "job.cancel", "job:"+strconv.FormatInt(id, 10), "")
	})
	if err != nil {
		return err
	}
	after, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	if !ended {
		c.control(after, Control{Cancel: id})
	}
	if j, err := models.JobByID(after, c.db, id); err == nil {
		c.changed(after, j)
		if ended {
			c.wakeUnblocked(after, j.Host)
		}
	}
	return nil
}

// wakeUnblocked pushes what a job's end may have freed.
func (c *Client) wakeUnblocked(ctx context.Context, host string) {
	list, err := models.RunnableJobs(ctx, c.db, host, 20)
	if err != nil {
		c.log.WarnContext(ctx, "could not look for jobs that may run now; the reconciler will", "err", err)
		return
	}
	for _, w := range list {
		_ = Push(ctx, c.tasks, w, "") // the reconciler pushes it again within a second
	}
}

// QueueName is the asynq queue of a host's pool: a second host is a worker that
// listens to other queues.
func QueueName(host string, pool models.Pool) string { return host + ":" + string(pool) }

// taskPayload is all that a task carries.
type taskPayload struct {
	Job int64 `json:"job"`
}

// TaskJob reads the job's number from a task.
func TaskJob(t *asynq.Task) (int64, error) {
	var p taskPayload
	if err := json.Unmarshal(t.Payload(), &p); err != nil || p.Job <= 0 {
		return 0, fmt.Errorf("task %s carries no job number: %w", t.Type(), asynq.SkipRetry)
	}
	return p.Job, nil
}

// ErrPushed means that this job has a task in the queue already.
var ErrPushed = errors.New("already in the queue")

// Push puts a task for the job into its queue. The task's id comes from the row,
// so pushing again is harmless; suffix makes a second id for a task that is
// stuck. MaxRetry is 0 because retries are rows' affair; the long timeout keeps
// asynq from giving a job's slot away while it works.
func Push(ctx context.Context, tasks *asynq.Client, w models.Wake, suffix string) error {
	payload, err := json.Marshal(taskPayload{Job: w.ID})
	if err != nil {
		return err
	}
	_, err = tasks.EnqueueContext(ctx, asynq.NewTask(w.Kind, payload),
		asynq.TaskID(TaskID(w)+suffix), asynq.Queue(QueueName(w.Host, w.Pool)),
		asynq.MaxRetry(0), asynq.Timeout(24*time.Hour))
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return ErrPushed
	}
	return err
}

// TaskID names the task of a job's next attempt.
func TaskID(w models.Wake) string { return fmt.Sprintf("%d.%d", w.ID, w.Attempt+1) }
