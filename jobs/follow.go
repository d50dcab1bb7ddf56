package jobs

import (
	"context"

	"github.com/uptrace/bun"

	"left4me/models"
)

const (
	replayChunk = 500  // lines of one Replay
	maxBehind   = 5000 // lines a reader may lie behind before it is moved ahead
)

// JobFollower turns a job's stored lines and the live messages about them into
// one sequence in which nothing is lost and nothing comes twice.
//
// Subscribe to TopicJob first, then call Replay until it says there is no more,
// then Take for each message; after a gap, Replay again.
type JobFollower struct {
	db     bun.IDB
	id     int64
	cursor int64
	missed int64
}

// FollowJob follows the job's log behind line after.
func FollowJob(db bun.IDB, id, after int64) *JobFollower {
	return &JobFollower{db: db, id: id, cursor: max(after, 0)}
}

// Cursor is the number of the last line that was handed out.
func (f *JobFollower) Cursor() int64 { return f.cursor }

// Missed says how many lines were passed over because the reader lay too far
// behind, and forgets them.
func (f *JobFollower) Missed() int64 {
	n := f.missed
	f.missed = 0
	return n
}

// Replay reads the next stored lines; more says that there are further ones.
func (f *JobFollower) Replay(ctx context.Context) (lines []Line, more bool, err error) {
	var last int64
	err = f.db.NewSelect().Model((*models.Job)(nil)).Column("last_seq").Where("id = ?", f.id).Scan(ctx, &last)
	if err != nil {
		return nil, false, err
	}
	if last-f.cursor > maxBehind {
		f.missed += last - maxBehind - f.cursor
		f.cursor = last - maxBehind
	}
	rows, err := models.LogAfter(ctx, f.db, f.id, f.cursor, replayChunk)
	if err != nil {
		return nil, false, err
	}
	for _, r := range rows {
		lines = append(lines, Line{N: r.Seq, At: r.At, Stream: r.Stream, Text: r.Text})
	}
	if n := len(lines); n > 0 {
		f.cursor = lines[n-1].N
	}
	return lines, f.cursor < last, nil
}

// Take handles a live message: its lines when they follow on, nothing when they
// were seen, and stored ones when something lies between. more asks for Replay.
func (f *JobFollower) Take(ctx context.Context, m Message) (lines []Line, more bool, err error) {
	switch {
	case m.Last <= f.cursor:
		return nil, false, nil
	case m.First <= f.cursor+1 && len(m.Lines) > 0:
		fresh := m.Lines[f.cursor+1-m.First:]
		f.cursor = m.Last
		return fresh, false, nil
	}
	return f.Replay(ctx)
}
