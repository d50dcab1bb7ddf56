package models

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// LogLine is one numbered line of a job's log. Numbers begin at 1 and have no
// gaps; only the attempt that owns the job writes.
type LogLine struct {
	bun.BaseModel `bun:"table:job_log"`

	JobID  int64     `bun:"job_id,pk" json:"-"`
	Seq    int64     `bun:"seq,pk" json:"n"`
	At     time.Time `bun:"at" json:"at"`
	Stream string    `bun:"stream" json:"stream"`
	Text   string    `bun:"text" json:"text"`
}

// AppendLog stores lines behind the job's last one and numbers them in place.
// ErrFenced when the job is no longer this attempt's.
func AppendLog(ctx context.Context, db bun.IDB, id int64, attempt int, lines []LogLine) error {
	if len(lines) == 0 {
		return nil
	}
	err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		var last int64
		err := tx.NewUpdate().Model((*Job)(nil)).Set("last_seq = last_seq + ?", len(lines)).
			Where("id = ? AND attempt = ? AND state = ?", id, attempt, JobRunning).Returning("last_seq").Scan(ctx, &last)
		if err = found(err); err == ErrNotFound {
			return ErrFenced
		} else if err != nil {
			return err
		}
		for i := range lines {
			lines[i].JobID, lines[i].Seq = id, last-int64(len(lines))+int64(i)+1
		}
		_, err = tx.NewInsert().Model(&lines).Exec(ctx)
		return err
	})
	if err != nil && err != ErrFenced {
		return fmt.Errorf("append to the log of job %d: %w", id, violation(err))
	}
	return err
}

// LogAfter returns the job's lines with numbers above after, in order, at most
// limit.
func LogAfter(ctx context.Context, db bun.IDB, id, after int64, limit int) ([]LogLine, error) {
	var lines []LogLine
	err := db.NewSelect().Model(&lines).Where("job_id = ? AND seq > ?", id, after).OrderExpr("seq").Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the log of job %d: %w", id, err)
	}
	return lines, nil
}
