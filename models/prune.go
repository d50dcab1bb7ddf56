package models

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// How long what only grows is kept.
const (
	KeepSamples  = 90 * 24 * time.Hour
	KeepSessions = 180 * 24 * time.Hour // of players
	KeepProfiles = 180 * 24 * time.Hour // since somebody last was on a server
	KeepJobs     = 180 * 24 * time.Hour
	KeepJobCount = 100_000 // of all hosts: the newest
	KeepAudit    = 2 * 365 * 24 * time.Hour
	KeepSpecs    = 20 // a server: the newest, and the one that runs
)

// pruneBatch bounds one statement, so that nobody waits long for its locks. A job
// takes its log along, so jobs are also bounded by the lines that they have.
const (
	pruneBatch    = 1000
	pruneJobBatch = 50
	pruneJobLines = 20_000
)

// Prune removes one batch of everything that was kept long enough at now, and says
// whether there may be more. It is safe to run twice at once.
//
// A job stays, however old, while it is unfinished, and when it is the newest of its
// kind, of its server or of its overlay: pages show those.
func Prune(ctx context.Context, db bun.IDB, now time.Time) (more bool, err error) {
	now = now.UTC()
	for _, p := range []struct {
		what, query string
		args        []any
	}{
		{"samples", `DELETE FROM server_samples WHERE (server_id, at) IN (
			SELECT server_id, at FROM server_samples WHERE until < ? ORDER BY until LIMIT ?)`, []any{now.Add(-KeepSamples), pruneBatch}},
		{"stays of players", `DELETE FROM player_sessions WHERE id IN (
			SELECT id FROM player_sessions WHERE seen_at < ? AND left_at IS NOT NULL ORDER BY seen_at LIMIT ?)`, []any{now.Add(-KeepSessions), pruneBatch}},
		{"profiles", `DELETE FROM steam_profiles WHERE steam_id IN (
			SELECT steam_id FROM steam_profiles WHERE asked_at < ? ORDER BY asked_at LIMIT ?)`, []any{now.Add(-KeepProfiles), pruneBatch}},
		{"audit entries", `DELETE FROM audit_log WHERE id IN (
			SELECT id FROM audit_log WHERE at < ? ORDER BY at LIMIT ?)`, []any{now.Add(-KeepAudit), pruneBatch}},
		{"specs", `DELETE FROM server_specs WHERE (server_id, sum) IN (
			SELECT ranked.server_id, ranked.sum FROM (
				SELECT server_id, sum, ROW_NUMBER() OVER (PARTITION BY server_id ORDER BY created_at DESC, sum) AS place FROM server_specs
			) AS ranked JOIN servers ON servers.id = ranked.server_id
			WHERE ranked.place > ? AND COALESCE(servers.status ->> 'spec', '') <> ranked.sum LIMIT ?)`, []any{KeepSpecs, pruneBatch}},
	} {
		res, err := db.NewRaw(p.query, p.args...).Exec(ctx)
		if err != nil {
			return false, fmt.Errorf("remove old %s: %w", p.what, err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return false, fmt.Errorf("remove old %s: %w", p.what, err)
		}
		more = more || n >= pruneBatch
	}
	rest, err := pruneJobs(ctx, db, now)
	return more || rest, err
}

// pruneJobs removes the oldest jobs. Their numbers grow with time: the first one that
// is new enough ends the search.
func pruneJobs(ctx context.Context, db bun.IDB, now time.Time) (more bool, err error) {
	var newest int64
	err = db.NewSelect().Model((*Job)(nil)).ColumnExpr("COALESCE(MAX(id), 0)").Scan(ctx, &newest)
	if err != nil {
		return false, fmt.Errorf("find the newest job: %w", err)
	}
	var old []struct {
		ID, LastSeq int64
		CreatedAt   time.Time
	}
	err = db.NewSelect().Model((*Job)(nil)).Column("id", "last_seq", "created_at").Where("job.finished_at IS NOT NULL").
		Where("EXISTS (SELECT 1 FROM jobs AS n WHERE n.host = job.host AND n.kind = job.kind AND n.finished_at IS NOT NULL AND n.id > job.id)").
		Where("(job.server_id IS NULL OR EXISTS (SELECT 1 FROM jobs AS n WHERE n.server_id = job.server_id AND n.id > job.id))").
		Where("(job.overlay_id IS NULL OR EXISTS (SELECT 1 FROM jobs AS n WHERE n.overlay_id = job.overlay_id AND n.id > job.id))").
		OrderExpr("job.id").Limit(pruneJobBatch).Scan(ctx, &old)
	if err != nil {
		return false, fmt.Errorf("find old jobs: %w", err)
	}
	var ids []int64
	lines := int64(0)
	for _, j := range old {
		if j.ID > newest-KeepJobCount && j.CreatedAt.After(now.Add(-KeepJobs)) {
			break
		}
		if lines += j.LastSeq; lines > pruneJobLines && len(ids) > 0 {
			more = true
			break
		}
		ids = append(ids, j.ID)
	}
	if len(ids) == 0 {
		return false, nil
	}
	_, err = db.NewDelete().Model((*Job)(nil)).Where("id IN (?) AND finished_at IS NOT NULL", bun.List(ids)).Exec(ctx)
	if err != nil {
		return false, fmt.Errorf("remove old jobs: %w", violation(err))
	}
	return more || len(ids) == pruneJobBatch, nil
}
