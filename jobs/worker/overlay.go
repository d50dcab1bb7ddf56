package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
)

// overlayArgs is what every kind that works on one overlay carries.
type overlayArgs struct {
	OverlayID int64  `json:"overlay_id"`
	Why       string `json:"why"`
}

// overlay loads the row that the job works on.
func (a *attempt) overlay(ctx context.Context) (*models.Overlay, overlayArgs, error) {
	var args overlayArgs
	if err := json.Unmarshal(a.job.Args, &args); err != nil {
		return nil, args, fmt.Errorf("read the job's arguments: %w", err)
	}
	o, err := models.OverlayByID(ctx, a.w.DB, args.OverlayID)
	if errors.Is(err, models.ErrNotFound) {
		return nil, args, &failure{code: 66, message: "The overlay was deleted before this job began."}
	}
	return o, args, err
}

// asker is who the job is done for.
func (a *attempt) asker(ctx context.Context) (models.Actor, error) {
	j, err := models.JobByID(ctx, a.w.DB, a.job.ID)
	if err != nil {
		return models.Actor{}, err
	}
	if j.User == nil {
		return models.Actor{Name: "system"}, nil
	}
	return models.Actor{ID: j.User.ID, Name: j.User.Name}, nil
}

// tellOverlay makes pages look at an overlay again, and at the servers that would
// get its new version.
func (a *attempt) tellOverlay(ctx context.Context, id int64) { a.w.queue.OverlayChanged(ctx, id) }

// buildOverlay makes the overlay's next version and, together with the job's
// success, its row. Of a files overlay exactly those changes leave the draft that
// went into the version: what was added meanwhile waits for the next one.
//
// A worker that dies between the two has lost nothing: the next attempt builds from
// the same rows, and the host says that it has that version already.
func buildOverlay(ctx context.Context, a *attempt) error {
	o, args, err := a.overlay(ctx)
	if err != nil {
		return err
	}
	by, err := a.asker(ctx)
	if err != nil {
		return err
	}
	spec, seq, err := a.overlaySpec(ctx, o)
	if err != nil {
		return err
	}
	spec.By, spec.Why = by.Name, args.Why
	raw, err := spec.Encode()
	if err != nil {
		return fmt.Errorf("encode the overlay's spec: %w", err)
	}
	var made *ctl.Version
	a.hear = func(e ctl.Event) error {
		if v := e.Version; e.Type == ctl.EventVersion && v != nil && v.Overlay == o.ID && !v.Collected {
			made = v
		}
		return nil
	}
	if err := a.ctl(ctx, raw, "overlay", "build", strconv.FormatInt(o.ID, 10), "-f", "-"); err != nil {
		return err
	}
	if made == nil || made.Number <= 0 {
		return &failure{code: 70, message: "l4d2ctl did not say which version it made. Is it older than the worker?"}
	}
	report, err := json.Marshal(made)
	if err != nil {
		return fmt.Errorf("encode what the host said of a version: %w", err)
	}
	if made.Same {
		a.addNotices([]string{fmt.Sprintf("Nothing changed: version %d is what this build came to.", made.Number)})
	}
	row := &models.OverlayVersion{
		OverlayID: o.ID, Number: made.Number, CreatedAt: made.At.UTC(), UserID: by.ID, UserName: by.Name, JobID: a.job.ID,
		Why: args.Why, Size: made.Size, Files: int64(made.Files), Report: report,
	}
	a.atEnd = func(ctx context.Context, tx bun.Tx) error {
		if err := models.PublishVersion(ctx, tx, row); err != nil {
			return err
		}
		return models.DropDraft(ctx, tx, o.ID, seq)
	}
	a.afterEnd = func(ctx context.Context) { a.tellOverlay(ctx, o.ID) }
	return nil
}

// overlaySpec says what the next version is made of, and the number of the last
// change of the draft that is in it.
func (a *attempt) overlaySpec(ctx context.Context, o *models.Overlay) (spec ctl.OverlaySpec, seq int64, err error) {
	spec = ctl.OverlaySpec{Kind: ctl.OverlayKind(o.Kind)}
	admitted, err := models.AdmittedFiles(ctx, a.w.DB, o.ID)
	if err != nil {
		return spec, 0, err
	}
	for _, f := range admitted {
		spec.Admit = append(spec.Admit, f.SHA256)
	}
	switch o.Kind {
	case models.OverlayWorkshop:
		spec.Items, err = models.OverlayItemIDs(ctx, a.w.DB, o.ID)
	case models.OverlayScript:
		spec.Script = o.Definition.Script
		if strings.TrimSpace(spec.Script) == "" {
			err = &failure{code: 65, message: "The overlay has no script yet. Write one, then build it."}
		}
	case models.OverlayManaged:
		spec.Recipe, spec.Options = o.Definition.Recipe, o.Definition.Options
	case models.OverlayFiles:
		spec.Base = o.Version
		spec.Changes, seq, err = a.draft(ctx, o)
	}
	return spec, seq, err
}

// draft is an overlay's unpublished changes as the host takes them.
func (a *attempt) draft(ctx context.Context, o *models.Overlay) (changes []ctl.FileChange, seq int64, err error) {
	list, err := models.DraftChanges(ctx, a.w.DB, o.ID)
	if err != nil {
		return nil, 0, err
	}
	coming, err := models.UnfinishedUploads(ctx, a.w.DB, o.ID)
	if err != nil {
		return nil, 0, err
	}
	for _, c := range list {
		if coming[c.UploadID] {
			return nil, 0, &failure{code: 65, message: fmt.Sprintf("The upload of “%s” is not complete. Finish it or take it out of the draft, then publish again.", c.Name)}
		}
		changes = append(changes, ctl.FileChange{Op: ctl.FileOp(c.Op), Path: c.Path, Target: c.Target, Upload: c.UploadID, Name: c.Name})
		seq = c.Seq
	}
	return changes, seq, nil
}

// deleteOverlay removes what the host keeps of an overlay and then, together with
// the job's success, the row. Since the job was asked for nobody can have stacked
// it; one who was at it then is looked for once more.
func deleteOverlay(ctx context.Context, a *attempt) error {
	o, _, err := a.overlay(ctx)
	if err != nil {
		return err
	}
	err = models.RefuseStacked(ctx, a.w.DB, o.ID)
	if bad, stacked := models.AsInvalid(err); stacked {
		return &failure{code: ctl.ExitCode(ctl.ErrInUse), message: bad.Message}
	} else if err != nil {
		return err
	}
	if err := a.ctl(ctx, nil, "overlay", "delete", strconv.FormatInt(o.ID, 10)); err != nil {
		return err
	}
	a.atEnd = func(ctx context.Context, tx bun.Tx) error { return models.DeleteOverlay(ctx, tx, o.ID) }
	a.afterEnd = func(context.Context) {
		a.w.publish(jobs.Message{Topics: []string{jobs.TopicOverlay(o.ID), jobs.TopicOverlays(o.UserID)}, Change: true})
	}
	return nil
}

// findingLine is a finding as a line of the job's log.
func findingLine(f ctl.Finding) string {
	line := string(f.Verdict) + ": "
	if f.Path != "" {
		line += f.Path + ": "
	}
	if f.Admitted {
		return line + f.Sentence + " (let in by an administrator)"
	}
	return line + f.Sentence
}
