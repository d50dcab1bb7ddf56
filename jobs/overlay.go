package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"left4me/models"
)

// Overlay jobs never hold up a server: a version that is built changes nothing
// that runs, so a build excludes other builds of its overlay (build:12) and not
// the starts that share overlay:12. Only deleting an overlay excludes those.

// DownloadWorkshop asks Steam about the items of a workshop overlay, fetches what
// the host does not have, and then builds the overlay if that changed anything.
type DownloadWorkshop struct {
	OverlayID int64 `json:"overlay_id"`
}

// Kind is stored; changing it orphans queued jobs.
func (DownloadWorkshop) Kind() string { return "workshop.download" }

func (a DownloadWorkshop) plan(ctx context.Context, tx bun.Tx, _ models.Actor) (*plan, error) {
	p, o, err := planOverlay(ctx, tx, a.OverlayID, a.Kind())
	if err != nil {
		return nil, err
	}
	p.job.Title, p.job.MaxAttempts = "Fetch the workshop items of "+o.Name, 5
	return p, nil
}

// BuildOverlay makes an overlay's next version: of stored workshop items, by its
// script or recipe, or from its draft.
type BuildOverlay struct {
	OverlayID int64  `json:"overlay_id"`
	Why       string `json:"why,omitempty"`
}

// Kind is stored; changing it orphans queued jobs.
func (BuildOverlay) Kind() string { return "overlay.build" }

func (a BuildOverlay) plan(ctx context.Context, tx bun.Tx, _ models.Actor) (*plan, error) {
	p, o, err := planOverlay(ctx, tx, a.OverlayID, a.Kind())
	if err != nil {
		return nil, err
	}
	p.job.Title, p.job.MaxAttempts = "Build "+o.Name, 3
	return p, nil
}

// DeleteOverlay removes everything the host keeps of an overlay and then its row.
type DeleteOverlay struct {
	OverlayID int64 `json:"overlay_id"`
}

// Kind is stored; changing it orphans queued jobs.
func (DeleteOverlay) Kind() string { return models.KindDeleteOverlay }

// While blueprints stack the overlay that is an InvalidError that names them. What
// is being built for it is cancelled: nobody will use it.
func (a DeleteOverlay) plan(ctx context.Context, tx bun.Tx, by models.Actor) (*plan, error) {
	p, o, err := planOverlay(ctx, tx, a.OverlayID, a.Kind())
	if err != nil {
		return nil, err
	}
	if err := models.RefuseStacked(ctx, tx, o.ID); err != nil {
		return nil, err
	}
	waiting, err := models.UnfinishedOverlayJobs(ctx, tx, o.ID)
	if err != nil {
		return nil, err
	}
	reason := "Cancelled because " + actorName(by) + " deleted the overlay."
	if err := makeWay(ctx, tx, p, waiting, reason, DownloadWorkshop{}.Kind(), BuildOverlay{}.Kind()); err != nil {
		return nil, err
	}
	p.job.Title, p.job.MaxAttempts = "Delete "+o.Name, 3
	p.needs = append(p.needs, models.JobResource{Resource: fmt.Sprintf("overlay:%d", o.ID), Exclusive: true})
	return p, nil
}

// RefreshOverlays asks Steam what became of every workshop item that an overlay
// uses and fetches what changed; the overlays concerned are built again.
type RefreshOverlays struct{}

// Kind is stored; changing it orphans queued jobs.
func (RefreshOverlays) Kind() string { return "overlay.refresh" }

func (a RefreshOverlays) plan(ctx context.Context, tx bun.Tx, _ models.Actor) (*plan, error) {
	return planAlone(ctx, tx, a.Kind(), "Refresh the workshop items", 5)
}

// CollectOverlays removes versions of overlays, workshop items and uploads that
// nothing uses any more.
type CollectOverlays struct{}

// Kind is stored; changing it orphans queued jobs.
func (CollectOverlays) Kind() string { return "overlay.gc" }

func (a CollectOverlays) plan(ctx context.Context, tx bun.Tx, _ models.Actor) (*plan, error) {
	return planAlone(ctx, tx, a.Kind(), "Collect versions that nothing uses", 3)
}

// planOverlay begins the plan of a job that needs the building of an overlay for
// itself. Asking again for what waits is the same job.
func planOverlay(ctx context.Context, tx bun.Tx, id int64, kind string) (*plan, *models.Overlay, error) {
	o, err := models.OverlayByID(ctx, tx, id)
	if err != nil {
		return nil, nil, err
	}
	p := &plan{
		job:   models.Job{Pool: models.PoolBulk, OverlayID: o.ID, OwnerID: o.UserID},
		needs: []models.JobResource{{Resource: fmt.Sprintf("build:%d", o.ID), Exclusive: true}},
	}
	waiting, err := models.UnfinishedOverlayJobs(ctx, tx, id)
	if err != nil {
		return nil, nil, err
	}
	// One that runs may have read what was changed since: only one that waits does
	// the same.
	for i := range waiting {
		if j := &waiting[i]; j.Kind == kind && j.State == models.JobQueued && j.CancelRequestedAt.IsZero() {
			p.same = j
		}
	}
	return p, o, nil
}

// planAlone is the plan of work on the whole host of which one at a time is enough.
func planAlone(ctx context.Context, tx bun.Tx, kind, title string, tries int) (*plan, error) {
	p := &plan{
		job:   models.Job{Pool: models.PoolBulk, Title: title, MaxAttempts: tries},
		needs: []models.JobResource{{Resource: kind, Exclusive: true}},
	}
	waiting, err := models.UnfinishedByKind(ctx, tx, models.LocalHost, kind)
	if err != nil {
		return nil, err
	}
	if n := len(waiting); n > 0 && waiting[n-1].CancelRequestedAt.IsZero() {
		p.same = &waiting[n-1]
	}
	return p, nil
}

// OverlayTopics are the topics that a change of an overlay's content concerns:
// its own page, the lists, and the blueprints and servers that take its new
// version at their next start.
func OverlayTopics(ctx context.Context, db bun.IDB, o *models.Overlay) ([]string, error) {
	topics := []string{TopicOverlay(o.ID), TopicOverlays(o.UserID)}
	blueprints, servers, err := models.OverlayReach(ctx, db, o.ID)
	if err != nil {
		return topics, err
	}
	for _, id := range blueprints {
		topics = append(topics, TopicBlueprint(id))
	}
	for _, id := range servers {
		topics = append(topics, TopicServer(id))
	}
	return topics, nil
}

// OverlayChanged tells pages that an overlay's definition, items, draft or current
// version changed. It is called after the commit and fails nothing: pages that
// miss it read rows.
func (c *Client) OverlayChanged(ctx context.Context, id int64) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	o, err := models.OverlayByID(ctx, c.db, id)
	if err != nil {
		return // deleted meanwhile
	}
	topics, err := OverlayTopics(ctx, c.db, o)
	if err == nil {
		err = c.publish(ctx, Message{Topics: topics, Change: true})
	}
	if err != nil {
		c.log.WarnContext(ctx, "could not announce an overlay", "overlay", id, "err", err)
	}
}
