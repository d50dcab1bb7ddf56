package models

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// JobState is a state of a job. A job ends exactly once:
//
//	          ┌──────── try again later ────────┐
//	          ▼                                 │
//	queued ──────claim──────▶ running ──────────┤
//	   │                         │              └─▶ succeeded
//	   └──cancel──▶ cancelled ◀──┴──────────────┴─▶ failed
//
// Every arrow is one guarded UPDATE, so two processes never take the same one.
type JobState string

// The states of a job.
const (
	JobQueued    JobState = "queued"
	JobRunning   JobState = "running"
	JobSucceeded JobState = "succeeded"
	JobFailed    JobState = "failed"
	JobCancelled JobState = "cancelled"
)

// Pool separates short work that somebody waits for from long downloads.
type Pool string

// The pools of workers.
const (
	PoolInteractive Pool = "interactive"
	PoolBulk        Pool = "bulk"
)

// Job is one piece of work. The row is the truth about it; the queue in Redis
// only wakes a worker up.
type Job struct {
	bun.BaseModel `bun:"table:jobs"`

	ID                int64           `bun:"id,pk"` // also the order in which jobs were asked for
	Kind              string          `bun:"kind"`
	Host              string          `bun:"host"`
	Pool              Pool            `bun:"pool"`
	Title             string          `bun:"title"`
	Args              json.RawMessage `bun:"args,type:jsonb"`
	ServerID          string          `bun:"server_id,nullzero"`
	OverlayID         int64           `bun:"overlay_id,nullzero"`
	UserID            string          `bun:"user_id,nullzero"`  // who asked; empty for the system
	OwnerID           string          `bun:"owner_id,nullzero"` // whose thing it works on
	State             JobState        `bun:"state"`
	Attempt           int             `bun:"attempt"` // counts claims; writes of an older one are refused
	MaxAttempts       int             `bun:"max_attempts"`
	RunAfter          time.Time       `bun:"run_after"`
	CreatedAt         time.Time       `bun:"created_at"`
	StartedAt         time.Time       `bun:"started_at,nullzero"`
	FinishedAt        time.Time       `bun:"finished_at,nullzero"`
	BeatAt            time.Time       `bun:"beat_at,nullzero"`
	Worker            string          `bun:"worker"`
	CancelRequestedAt time.Time       `bun:"cancel_requested_at,nullzero"`
	CancelReason      string          `bun:"cancel_reason"`
	ExitCode          *int            `bun:"exit_code"`
	Message           string          `bun:"message"` // one sentence for people
	Notices           []string        `bun:"notices,type:jsonb"`
	Progress          JobProgress     `bun:"progress,type:jsonb"`
	LastSeq           int64           `bun:"last_seq"`

	User    *User    `bun:"rel:belongs-to,join:user_id=id"`
	Server  *Server  `bun:"rel:belongs-to,join:server_id=id"`
	Overlay *Overlay `bun:"rel:belongs-to,join:overlay_id=id"`
}

// JobProgress is the last thing that is known of a running job: where it is now
// and which steps lie behind it. It is a value, not a history.
type JobProgress struct {
	Now   *JobStep  `json:"now,omitempty"`
	Steps []JobStep `json:"steps,omitempty"` // finished ones, oldest first, at most 40
}

// JobStep is one phase of a job.
type JobStep struct {
	Key     string    `json:"key"`
	Title   string    `json:"title"`
	Step    int       `json:"step,omitempty"`
	Steps   int       `json:"steps,omitempty"`
	Percent float64   `json:"percent,omitempty"`
	Done    int64     `json:"done,omitempty"`  // bytes
	Total   int64     `json:"total,omitempty"` // bytes
	Rate    int64     `json:"rate,omitempty"`  // bytes per second
	Left    int64     `json:"left,omitempty"`  // seconds
	Try     int       `json:"try,omitempty"`
	Tries   int       `json:"tries,omitempty"`
	Why     string    `json:"why,omitempty"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended,omitzero"`
}

// Finished says whether the job has ended.
func (j *Job) Finished() bool { return !j.FinishedAt.IsZero() }

// JobResource is something a job needs for itself (exclusive) or together with
// others while it is unfinished.
type JobResource struct {
	bun.BaseModel `bun:"table:job_resources"`

	JobID     int64  `bun:"job_id,pk"`
	Resource  string `bun:"resource,pk"`
	Exclusive bool   `bun:"exclusive"`
}

// InsertJob stores a queued job with its resources, in the transaction of the
// change it belongs to, and gives it its number. A job without RunAfter may begin at
// once.
func InsertJob(ctx context.Context, tx bun.IDB, j *Job, needs []JobResource) error {
	id, err := nextNumber(ctx, tx, "job")
	if err != nil {
		return err
	}
	now := Now()
	j.ID, j.State, j.CreatedAt = id, JobQueued, now
	if j.RunAfter.IsZero() {
		j.RunAfter = now
	}
	if j.Notices == nil {
		j.Notices = []string{}
	}
	if _, err := tx.NewInsert().Model(j).Exec(ctx); err != nil {
		return fmt.Errorf("insert job: %w", violation(err))
	}
	if len(needs) == 0 {
		return nil
	}
	for i := range needs {
		needs[i].JobID = id
	}
	if _, err := tx.NewInsert().Model(&needs).Exec(ctx); err != nil {
		return fmt.Errorf("insert job resources: %w", violation(err))
	}
	return nil
}

// notBlocked is true for a job that no earlier unfinished job stands in the way
// of. Numbers commit in order and resource rows go only when a job ends, so once
// this is true for a job it stays true: there is no race to lose.
const notBlocked = `NOT EXISTS (
	SELECT 1 FROM job_resources AS mine
	JOIN job_resources AS theirs ON theirs.resource = mine.resource AND theirs.job_id < mine.job_id
	WHERE mine.job_id = job.id AND (mine.exclusive OR theirs.exclusive))`

// ClaimJob takes a queued job that is due and that nothing blocks. ErrConflict
// means that there is nothing to do now, which is no failure.
func ClaimJob(ctx context.Context, db bun.IDB, id int64, worker string) (*Job, error) {
	j, now := new(Job), Now()
	err := db.NewUpdate().Model(j).
		Set("state = ?", JobRunning).Set("attempt = attempt + 1").Set("worker = ?", worker).
		Set("beat_at = ?", now).Set("started_at = COALESCE(started_at, ?)", now).
		Where("job.id = ? AND job.state = ? AND job.run_after <= ?", id, JobQueued, now).
		Where(notBlocked).Returning("*").Scan(ctx)
	if err = found(err); err != nil {
		if err == ErrNotFound {
			return nil, ErrConflict
		}
		return nil, fmt.Errorf("claim job %d: %w", id, err)
	}
	return j, nil
}

// BeatJob says that the attempt is alive and stores its progress. It returns
// whether somebody asked for its end, and ErrFenced when the job is no longer
// this attempt's.
func BeatJob(ctx context.Context, db bun.IDB, j *Job) (cancel bool, err error) {
	var row struct {
		CancelRequestedAt *time.Time
		CancelReason      string
	}
	err = db.NewUpdate().Model(&Job{Progress: j.Progress}).Column("progress").Set("beat_at = ?", Now()).
		Where("id = ? AND attempt = ? AND state = ?", j.ID, j.Attempt, JobRunning).
		Returning("cancel_requested_at, cancel_reason").Scan(ctx, &row)
	if err = found(err); err == ErrNotFound {
		return false, ErrFenced
	} else if err != nil {
		return false, fmt.Errorf("beat job %d: %w", j.ID, err)
	}
	return row.CancelRequestedAt != nil, nil
}

// Ending is how an attempt ended.
type Ending struct {
	State    JobState
	ExitCode *int
	Message  string
	Notices  []string
	Progress JobProgress
}

// FinishJob ends a running job and frees its resources. ErrFenced means that
// another attempt owns it now and this ending must be dropped.
func FinishJob(ctx context.Context, tx bun.IDB, id int64, attempt int, e Ending) error {
	if e.Notices == nil {
		e.Notices = []string{}
	}
	res, err := tx.NewUpdate().Model(&Job{ExitCode: e.ExitCode, Notices: e.Notices, Progress: e.Progress}).
		Column("exit_code", "notices", "progress").
		Set("state = ?", e.State).Set("finished_at = ?", Now()).Set("message = ?", e.Message).
		Where("id = ? AND attempt = ? AND state = ?", id, attempt, JobRunning).Exec(ctx)
	return endJob(ctx, tx, id, oneRow(res, err))
}

func endJob(ctx context.Context, tx bun.IDB, id int64, err error) error {
	if err == ErrConflict {
		return ErrFenced
	} else if err != nil {
		return fmt.Errorf("end job %d: %w", id, err)
	}
	if _, err := tx.NewDelete().Model((*JobResource)(nil)).Where("job_id = ?", id).Exec(ctx); err != nil {
		return fmt.Errorf("free what job %d held: %w", id, err)
	}
	return nil
}

// RetryJob puts a running job back into the queue for a time not before after.
// The reason is shown until the next attempt has one of its own.
func RetryJob(ctx context.Context, db bun.IDB, id int64, attempt int, after time.Time, reason string) error {
	return requeue(ctx, db, id, attempt, 0, after, reason)
}

// PostponeJob is RetryJob after an attempt that could do nothing yet: it is not counted.
func PostponeJob(ctx context.Context, db bun.IDB, id int64, attempt int, after time.Time, reason string) error {
	return requeue(ctx, db, id, attempt, 1, after, reason)
}

func requeue(ctx context.Context, db bun.IDB, id int64, attempt, more int, after time.Time, reason string) error {
	res, err := db.NewUpdate().Model((*Job)(nil)).Set("state = ?", JobQueued).Set("run_after = ?", after.UTC()).Set("message = ?", reason).
		Set("max_attempts = max_attempts + ?", more).Where("id = ? AND attempt = ? AND state = ?", id, attempt, JobRunning).Exec(ctx)
	if err := oneRow(res, err); err == ErrConflict {
		return ErrFenced
	} else if err != nil {
		return fmt.Errorf("retry job %d: %w", id, err)
	}
	return nil
}

// CancelJob ends a queued job at once and asks for the end of a running one. It
// says which: true when the job has ended. ErrConflict when it had ended before.
func CancelJob(ctx context.Context, tx bun.IDB, id int64, reason string) (ended bool, err error) {
	now := Now()
	res, err := tx.NewUpdate().Model((*Job)(nil)).Set("state = ?", JobCancelled).Set("finished_at = ?", now).
		Set("cancel_requested_at = ?", now).Set("cancel_reason = ?", reason).Set("message = ?", reason).
		Where("id = ? AND state = ?", id, JobQueued).Exec(ctx)
	switch err := endJob(ctx, tx, id, oneRow(res, err)); err {
	case nil:
		return true, nil
	case ErrFenced: // not queued: it may be running
	default:
		return false, err
	}
	res, err = tx.NewUpdate().Model((*Job)(nil)).Set("cancel_requested_at = COALESCE(cancel_requested_at, ?)", now).
		Set("cancel_reason = ?", reason).Where("id = ? AND state = ?", id, JobRunning).Exec(ctx)
	return false, oneRow(res, err)
}

// TakeBackStale queues again, or ends when it was its last attempt or somebody
// asked for its end, every job of the host whose worker has not been heard of
// since before. It returns the jobs it touched, at most 100.
func TakeBackStale(ctx context.Context, db bun.IDB, host string, before time.Time) ([]Job, error) {
	var stale []Job
	err := db.NewSelect().Model(&stale).Where("host = ? AND finished_at IS NULL AND state = ? AND beat_at < ?", host, JobRunning, before.UTC()).
		OrderExpr("id").Limit(100).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("find stale jobs: %w", err)
	}
	touched := stale[:0]
	for _, j := range stale {
		switch err := takeBack(ctx, db, &j, before); err {
		case nil:
			touched = append(touched, j)
		case ErrFenced: // its worker, or another sweeper, was faster
		default:
			return touched, err
		}
	}
	return touched, nil
}

func takeBack(ctx context.Context, db bun.IDB, j *Job, before time.Time) error {
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		guard := func(q *bun.UpdateQuery) *bun.UpdateQuery {
			return q.Where("id = ? AND attempt = ? AND state = ? AND beat_at < ?", j.ID, j.Attempt, JobRunning, before.UTC())
		}
		const died = "The worker that ran this job stopped without a word."
		switch {
		case !j.CancelRequestedAt.IsZero():
			j.State, j.Message = JobCancelled, j.CancelReason
		case j.Attempt >= j.MaxAttempts:
			j.State, j.Message = JobFailed, fmt.Sprintf("%s It was tried %d times. Look at the worker's log, then try again.", died, j.Attempt)
		default:
			j.State, j.Message = JobQueued, died+" It is tried again."
			res, err := guard(tx.NewUpdate().Model((*Job)(nil))).Set("state = ?", JobQueued).Set("run_after = ?", Now()).Set("message = ?", j.Message).Exec(ctx)
			if err := oneRow(res, err); err == ErrConflict {
				return ErrFenced
			} else {
				return err
			}
		}
		res, err := guard(tx.NewUpdate().Model((*Job)(nil))).Set("state = ?", j.State).Set("finished_at = ?", Now()).Set("message = ?", j.Message).Exec(ctx)
		return endJob(ctx, tx, j.ID, oneRow(res, err))
	})
}

// Wake is what is needed to wake a worker for a job.
type Wake struct {
	ID      int64
	Kind    string
	Host    string
	Pool    Pool
	Attempt int
}

// RunnableJobs lists the host's queued jobs that are due and blocked by nothing,
// oldest first, at most limit.
func RunnableJobs(ctx context.Context, db bun.IDB, host string, limit int) ([]Wake, error) {
	var list []Wake
	err := db.NewSelect().Model((*Job)(nil)).Column("id", "kind", "host", "pool", "attempt").
		Where("job.host = ? AND job.finished_at IS NULL AND job.state = ? AND job.run_after <= ?", host, JobQueued, Now()).
		Where(notBlocked).OrderExpr("job.id").Limit(int64(limit)).Scan(ctx, &list)
	if err != nil {
		return nil, fmt.Errorf("list runnable jobs: %w", err)
	}
	return list, nil
}

// JobBlockers lists the unfinished earlier jobs that a job waits for, at most 10.
func JobBlockers(ctx context.Context, db bun.IDB, id int64) ([]Job, error) {
	var list []Job
	err := db.NewSelect().Model(&list).Where(`id IN (
		SELECT theirs.job_id FROM job_resources AS mine
		JOIN job_resources AS theirs ON theirs.resource = mine.resource AND theirs.job_id < mine.job_id
		WHERE mine.job_id = ? AND (mine.exclusive OR theirs.exclusive))`, id).OrderExpr("id").Limit(10).Scan(ctx)
	return list, err
}

// UnfinishedJobs lists a server's unfinished jobs, oldest first: the first one
// that runs holds the server.
func UnfinishedJobs(ctx context.Context, db bun.IDB, serverID string) ([]Job, error) {
	var list []Job
	err := db.NewSelect().Model(&list).Relation("User").Where("job.server_id = ? AND job.finished_at IS NULL", serverID).
		OrderExpr("job.id").Limit(50).Scan(ctx)
	return list, err
}

// UnfinishedOverlayJobs lists the unfinished jobs of an overlay, oldest first.
func UnfinishedOverlayJobs(ctx context.Context, db bun.IDB, overlayID int64) ([]Job, error) {
	var list []Job
	err := db.NewSelect().Model(&list).Relation("User").Where("job.overlay_id = ? AND job.finished_at IS NULL", overlayID).
		OrderExpr("job.id").Limit(50).Scan(ctx)
	return list, err
}

// OverlayJobs returns the oldest unfinished job of each of the given overlays.
func OverlayJobs(ctx context.Context, db bun.IDB, overlayIDs []int64) (map[int64]*Job, error) {
	if len(overlayIDs) == 0 {
		return nil, nil
	}
	var list []*Job
	err := db.NewSelect().Model(&list).Where("overlay_id IN (?) AND finished_at IS NULL", bun.List(overlayIDs)).OrderExpr("id DESC").Limit(1000).Scan(ctx)
	byID := make(map[int64]*Job, len(list))
	for _, j := range list {
		byID[j.OverlayID] = j
	}
	return byID, err
}

// LastOverlayJob returns an overlay's newest job, nil for none.
func LastOverlayJob(ctx context.Context, db bun.IDB, overlayID int64) (*Job, error) {
	j := new(Job)
	err := found(db.NewSelect().Model(j).Where("overlay_id = ?", overlayID).OrderExpr("id DESC").Limit(1).Scan(ctx))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return j, err
}

// LastServerJob returns a server's newest job, nil for none.
func LastServerJob(ctx context.Context, db bun.IDB, serverID string) (*Job, error) {
	j := new(Job)
	err := found(db.NewSelect().Model(j).Where("server_id = ?", serverID).OrderExpr("id DESC").Limit(1).Scan(ctx))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("last job of a server: %w", err)
	}
	return j, nil
}

// NewestServerJobs returns the newest job of each of the given servers that has one.
func NewestServerJobs(ctx context.Context, db bun.IDB, serverIDs []string) (map[string]*Job, error) {
	if len(serverIDs) == 0 {
		return nil, nil
	}
	var list []*Job
	newest := db.NewSelect().Model((*Job)(nil)).ColumnExpr("MAX(id)").Where("server_id IN (?)", bun.List(serverIDs)).GroupExpr("server_id")
	if err := db.NewSelect().Model(&list).Where("id IN (?)", newest).Scan(ctx); err != nil {
		return nil, fmt.Errorf("newest jobs of servers: %w", err)
	}
	byID := make(map[string]*Job, len(list))
	for _, j := range list {
		byID[j.ServerID] = j
	}
	return byID, nil
}

// UnfinishedByKind lists the host's unfinished jobs of a kind, oldest first.
func UnfinishedByKind(ctx context.Context, db bun.IDB, host, kind string) ([]Job, error) {
	var list []Job
	err := db.NewSelect().Model(&list).Where("host = ? AND finished_at IS NULL AND kind = ?", host, kind).OrderExpr("id").Limit(50).Scan(ctx)
	return list, err
}

// withoutDefinition leaves a script out of the overlay that a job names.
func withoutDefinition(q *bun.SelectQuery) *bun.SelectQuery { return q.ExcludeColumn("definition") }

// JobByID returns a job with who asked for it, its server and its overlay (without
// its definition), whoever may see it.
func JobByID(ctx context.Context, db bun.IDB, id int64) (*Job, error) {
	j := new(Job)
	if err := db.NewSelect().Model(j).Relation("User").Relation("Server").Relation("Overlay", withoutDefinition).Where("job.id = ?", id).Scan(ctx); err != nil {
		return nil, fmt.Errorf("job %d: %w", id, found(err))
	}
	return j, nil
}

// VisibleTo says whether a user may see the job: who asked for it, who owns what
// it works on, and every admin. A shared overlay has no owner: its jobs are for
// admins and for whoever asked, as their logs may name other users' things.
func (j *Job) VisibleTo(u *User) bool {
	return u.Admin || j.UserID == u.ID || (j.OwnerID != "" && j.OwnerID == u.ID)
}

// JobFilter selects jobs for a list.
type JobFilter struct {
	User       *User  // only what this user may see
	ServerID   string // only of this server
	OverlayID  int64  // only of this overlay
	Unfinished bool
	Before     int64 // only jobs with a smaller number; 0 for the newest
	Limit      int
}

// Jobs lists jobs, newest first. Pages go on with Before, so a list costs the
// same with a million rows.
func Jobs(ctx context.Context, db bun.IDB, f JobFilter) ([]Job, error) {
	if f.User == nil {
		return nil, fmt.Errorf("list jobs: %w", ErrNotFound)
	}
	var list []Job
	err := db.NewSelect().Model(&list).Relation("User").Relation("Server").Relation("Overlay", withoutDefinition).
		Where("job.id IN (?)", f.numbers(db)).OrderExpr("job.id DESC").Limit(int64(f.Limit)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	return list, nil
}

// numbers selects the numbers of the jobs, and of as many again for somebody who is no
// administrator. An OR between "asked for by them" and "on what is theirs" would make a
// database read all jobs there are, or all of theirs: so the two are looked for apart,
// each along an index of its own that has them in order, and where an index finds a few
// whosever they are, those are chosen from afterwards.
func (f JobFilter) numbers(db bun.IDB) *bun.SelectQuery {
	among := func(q *bun.SelectQuery) *bun.SelectQuery {
		return db.NewSelect().TableExpr("(?) AS found", q).Column("id")
	}
	switch {
	case f.User.Admin:
		return f.newest(db, f.Limit)
	case f.Unfinished || f.ServerID != "" || f.OverlayID != 0:
		some := f.newest(db, max(20*f.Limit, 5000)).Column("user_id", "owner_id")
		return among(some).Where("user_id = ? OR owner_id = ?", f.User.ID, f.User.ID).OrderExpr("id DESC").Limit(int64(f.Limit))
	}
	asked, own := f.newest(db, f.Limit).Where("user_id = ?", f.User.ID), f.newest(db, f.Limit).Where("owner_id = ?", f.User.ID)
	return among(asked).Union(among(own))
}

// newest selects the numbers of the newest jobs, whosever they are.
func (f JobFilter) newest(db bun.IDB, limit int) *bun.SelectQuery {
	q := db.NewSelect().Table("jobs").Column("id").OrderExpr("id DESC").Limit(int64(limit))
	if f.ServerID != "" {
		q = q.Where("server_id = ?", f.ServerID)
	}
	if f.OverlayID != 0 {
		q = q.Where("overlay_id = ?", f.OverlayID)
	}
	if f.Unfinished {
		q = q.Where("finished_at IS NULL")
	}
	if f.Before > 0 {
		q = q.Where("id < ?", f.Before)
	}
	return q
}

// NewestJobByKind returns the host's newest job of a kind, ended or not, nil for none.
func NewestJobByKind(ctx context.Context, db bun.IDB, host, kind string) (*Job, error) {
	j := new(Job)
	err := found(db.NewSelect().Model(j).Relation("User").Where("host = ? AND kind = ?", host, kind).OrderExpr("job.id DESC").Limit(1).Scan(ctx))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("newest job of kind %s: %w", kind, err)
	}
	return j, nil
}

// JobsAfter lists the host's jobs of the kinds with larger numbers than id, oldest
// first, at most 1000.
func JobsAfter(ctx context.Context, db bun.IDB, host string, id int64, kinds ...string) ([]Job, error) {
	var list []Job
	err := db.NewSelect().Model(&list).Where("host = ? AND kind IN (?) AND id > ?", host, bun.List(kinds), id).OrderExpr("id").Limit(1000).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("jobs after %d: %w", id, err)
	}
	return list, nil
}

// LastJobByKind returns the host's newest finished job of a kind, nil for none.
func LastJobByKind(ctx context.Context, db bun.IDB, host, kind string) (*Job, error) {
	j := new(Job)
	err := found(db.NewSelect().Model(j).Where("host = ? AND kind = ? AND finished_at IS NOT NULL", host, kind).OrderExpr("id DESC").Limit(1).Scan(ctx))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("last job of kind %s: %w", kind, err)
	}
	return j, nil
}
