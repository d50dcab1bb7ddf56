package webui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
)

// kindView is a kind of overlay as people know it.
type kindView struct {
	Kind        models.OverlayKind
	Icon        string
	Word, Title string
	Text        string
}

// kinds are in the order in which they are offered.
var kinds = []kindView{
	{models.OverlayWorkshop, "workshop", "Workshop", "From the Steam workshop", "Maps and add-ons by number or link, single or as collections. They are fetched, checked and kept current."},
	{models.OverlayFiles, "files", "Files", "Uploads", "Your own maps, plug-ins and configs: files, folders or archives from your computer."},
	{models.OverlayScript, "script", "Script", "A script", "A bash recipe that puts files together. It runs shut in, with its own folder and the public internet."},
	{models.OverlayManaged, "recipe", "Recipe", "A ready recipe", "SourceMod, tickrate, map packs and more, fetched from their makers. Shared with everybody on this host."},
}

func kindOf(k models.OverlayKind) kindView {
	for _, v := range kinds {
		if v.Kind == k {
			return v
		}
	}
	return kindView{Kind: k, Icon: "files", Word: string(k)}
}

// overlayView is an overlay with what its current version says and what is being
// done to it.
type overlayView struct {
	Overlay           *models.Overlay
	Report            ctl.Version
	Published         time.Time
	Refused, Warnings int
	Stacked           models.OverlayCount
	Job               *jobView // the first unfinished one
	See               bool     // this user may open it
	Change            bool     // this user may change the overlay
}

// Kind is the overlay's kind as people know it.
func (v overlayView) Kind() kindView { return kindOf(v.Overlay.Kind) }

// Path is the overlay's page.
func (v overlayView) Path() string { return overlayPath(v.Overlay.ID) }

func overlayPath(id int64) string { return "/overlays/" + strconv.FormatInt(id, 10) }

// State is the overlay in a word.
func (v overlayView) State() stateView {
	switch {
	case v.Job != nil && v.Job.Job.State == models.JobRunning:
		return stateView{map[string]string{
			jobs.DownloadWorkshop{}.Kind(): "Fetching", jobs.BuildOverlay{}.Kind(): "Building", jobs.DeleteOverlay{}.Kind(): "Being deleted",
		}[v.Job.Job.Kind], "busy"}
	case v.Job != nil:
		return v.Job.State()
	case v.Overlay.Version == 0:
		return stateView{"No content yet", "off"}
	case v.Refused > 0:
		return stateView{count(v.Refused, "file") + " refused", "bad"}
	case v.Warnings > 0:
		return stateView{count(v.Warnings, "warning"), "warn"}
	}
	return stateView{"Ready", "ok"}
}

func (v *overlayView) read(version *models.OverlayVersion) {
	if version == nil {
		return
	}
	v.Report, v.Published = reportOf(version), version.CreatedAt
	v.Refused, v.Warnings = verdicts(v.Report.Findings)
}

// verdicts counts what the gate refused and warned of.
func verdicts(findings []ctl.Finding) (refused, warnings int) {
	for _, f := range findings {
		switch {
		case f.Verdict == ctl.VerdictRefused && !f.Admitted:
			refused++
		case f.Verdict == ctl.VerdictWarning:
			warnings++
		}
	}
	return refused, warnings
}

func (s *Server) overlayView(ctx context.Context, u *models.User, o *models.Overlay) (overlayView, error) {
	v := overlayView{Overlay: o, Change: o.ChangeableBy(u)}
	current, err := models.CurrentVersions(ctx, s.DB, []int64{o.ID})
	if err != nil {
		return v, err
	}
	v.read(current[o.ID])
	waiting, err := models.UnfinishedOverlayJobs(ctx, s.DB, o.ID)
	if len(waiting) > 0 {
		v.Job = &jobView{Job: &waiting[0]}
		v.See = waiting[0].VisibleTo(u)
	}
	return v, err
}

// overlayList is every overlay that somebody may stack.
type overlayList struct{ Mine, Shared []overlayView }

func (overlayList) template() string  { return "overlay_list.html" }
func (overlayList) elementID() string { return "overlay-list" }

func (s *Server) overlayList(ctx context.Context, u *models.User) (overlayList, error) {
	all, err := models.Overlays(ctx, s.DB, u.ID)
	if err != nil {
		return overlayList{}, err
	}
	ids := make([]int64, len(all))
	for i, o := range all {
		ids[i] = o.ID
	}
	current, err := models.CurrentVersions(ctx, s.DB, ids)
	if err != nil {
		return overlayList{}, err
	}
	busy, err := models.OverlayJobs(ctx, s.DB, ids)
	if err != nil {
		return overlayList{}, err
	}
	stacked, err := models.OverlayCounts(ctx, s.DB, ids)
	if err != nil {
		return overlayList{}, err
	}
	var list overlayList
	for i := range all {
		v := overlayView{Overlay: &all[i], Stacked: stacked[all[i].ID], Change: all[i].ChangeableBy(u)}
		v.read(current[all[i].ID])
		if j := busy[all[i].ID]; j != nil {
			v.Job, v.See = &jobView{Job: j}, j.VisibleTo(u)
		}
		if all[i].UserID == "" {
			list.Shared = append(list.Shared, v)
		} else {
			list.Mine = append(list.Mine, v)
		}
	}
	return list, nil
}

type overlaysPage struct {
	Layout    layout
	List      overlayList
	Schedules []scheduleView // for administrators
}

func (overlaysPage) template() string { return "overlays.html" }

func (s *Server) listOverlays(c *gin.Context) error {
	ctx, u := c.Request.Context(), user(c)
	list, err := s.overlayList(ctx, u)
	if err != nil {
		return err
	}
	p := overlaysPage{List: list}
	if u.Admin {
		if p.Schedules, err = s.schedules(ctx, "overlay."); err != nil {
			return err
		}
	}
	if p.Layout, err = s.layout(c, "Overlays", "overlays", "overlays"); err != nil {
		return err
	}
	return s.show(c, http.StatusOK, p)
}

// enqueueAndShow asks for a job and goes to its page.
func (s *Server) enqueueAndShow(c *gin.Context, args jobs.Args) error {
	j, err := s.Jobs.Enqueue(c.Request.Context(), actor(c), args)
	if err != nil {
		return err
	}
	return goTo(c, jobView{Job: j}.Path())
}

// overlayHead is the top of an overlay's page: what it is and what goes on.
type overlayHead struct {
	overlayView
	Uses   []models.OverlayUse // of this user's blueprints
	Others int                 // blueprints of others that stack it
	Last   *jobView            // the last job, when it failed
}

func (overlayHead) template() string  { return "overlay_head.html" }
func (overlayHead) elementID() string { return "overlay-head" }

func (s *Server) overlayHead(ctx context.Context, u *models.User, id int64) (overlayHead, error) {
	o, err := models.OverlayFor(ctx, s.DB, u.ID, id)
	if err != nil {
		return overlayHead{}, err
	}
	h := overlayHead{}
	if h.overlayView, err = s.overlayView(ctx, u, o); err != nil {
		return h, err
	}
	uses, err := models.OverlayUses(ctx, s.DB, id)
	for _, use := range uses {
		if use.UserID == u.ID {
			h.Uses = append(h.Uses, use)
		} else {
			h.Others++
		}
	}
	if h.Job == nil && err == nil {
		var last *models.Job
		if last, err = models.LastOverlayJob(ctx, s.DB, id); last != nil && last.State == models.JobFailed {
			h.Last, h.See = &jobView{Job: last}, last.VisibleTo(u)
		}
	}
	return h, err
}

// overlayPage is one overlay. Of the panels only the one of its kind is set.
type overlayPage struct {
	Layout   layout
	Head     overlayHead
	Workshop *workshopPanel
	Managed  *managedPanel
	Script   *scriptPanel
	Files    *filesPanel
	Versions overlayVersions
	Rename   renameForm
}

func (overlayPage) template() string { return "overlay.html" }

// renameForm is the name of an overlay as its page lets it be changed.
type renameForm struct {
	Path, Name string
	Revision   int64
	Problem    string
}

// overlayID reads the number in the address.
func overlayID(c *gin.Context) (int64, error) {
	id, err := strconv.ParseInt(c.Param("overlay"), 10, 64)
	if err != nil || id <= 0 || strconv.FormatInt(id, 10) != c.Param("overlay") {
		return 0, models.ErrNotFound
	}
	return id, nil
}

// overlay finds the overlay in the address among those the user may see.
func (s *Server) overlay(c *gin.Context) (*models.Overlay, error) {
	id, err := overlayID(c)
	if err != nil {
		return nil, err
	}
	return models.OverlayFor(c.Request.Context(), s.DB, user(c).ID, id)
}

// ownOverlay finds the overlay in the address if the user may change it and it is
// of one of the kinds, when some are named.
func (s *Server) ownOverlay(c *gin.Context, of ...models.OverlayKind) (*models.Overlay, error) {
	o, err := s.overlay(c)
	if err != nil {
		return nil, err
	}
	for _, k := range of {
		if o.Kind == k {
			of = nil
			break
		}
	}
	if len(of) > 0 {
		return nil, models.ErrNotFound
	}
	return o, mayUseOverlay(user(c), o, changeOverlay)
}

func (s *Server) showOverlay(c *gin.Context) error {
	o, err := s.overlay(c)
	if err != nil {
		return err
	}
	return s.renderOverlay(c, http.StatusOK, o, func(*overlayPage) {})
}

// renderOverlay shows the page; change puts in what a refused form said.
func (s *Server) renderOverlay(c *gin.Context, status int, o *models.Overlay, change func(*overlayPage)) error {
	ctx, u := c.Request.Context(), user(c)
	head, err := s.overlayHead(ctx, u, o.ID)
	if err != nil {
		return err
	}
	p := overlayPage{Head: head, Rename: renameForm{Path: overlayPath(o.ID), Name: o.Name, Revision: o.Revision}}
	feeds := []string{"overlay:" + strconv.FormatInt(o.ID, 10)}
	switch o.Kind {
	case models.OverlayWorkshop:
		p.Workshop, err = s.workshopPanel(ctx, u, o)
	case models.OverlayManaged:
		p.Managed = s.managedPanel(u, o)
	case models.OverlayScript:
		p.Script, err = s.scriptPanel(ctx, u, o)
	case models.OverlayFiles:
		p.Files, err = s.filesPanel(c, o)
	}
	if err != nil {
		return err
	}
	if p.Script != nil && p.Script.Log != nil {
		feeds = append(feeds, p.Script.Log.Feed)
	}
	if p.Versions, err = s.overlayVersions(ctx, u, o); err != nil {
		return err
	}
	if p.Layout, err = s.layout(c, o.Name, "overlays", feeds...); err != nil {
		return err
	}
	if p.Files != nil {
		p.Layout.Scripts = []string{"upload.js"}
	}
	if p.Script != nil {
		p.Layout.Scripts = []string{"editor.js", "log.js"}
	}
	change(&p)
	return s.show(c, status, p)
}

func (s *Server) renameOverlay(c *gin.Context) error {
	o, err := s.ownOverlay(c)
	if err != nil {
		return err
	}
	stored := *o
	o.Name = c.PostForm("name")
	o.Revision, _ = strconv.ParseInt(c.PostForm("revision"), 10, 64) // 0 is no revision: it conflicts
	err = s.saveOverlay(c, o, "overlay.rename")
	if bad, ok := models.AsInvalid(err); ok {
		return s.renderOverlay(c, http.StatusUnprocessableEntity, &stored, func(p *overlayPage) { p.Rename.Name, p.Rename.Problem = o.Name, bad.Message })
	} else if err != nil {
		return err
	}
	s.flash(c, "saved")
	return goTo(c, overlayPath(o.ID))
}

func (s *Server) saveOverlay(c *gin.Context, o *models.Overlay, action string) error {
	return s.DB.RunInTx(c.Request.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		if err := models.UpdateOverlay(ctx, tx, o); err != nil {
			return err
		}
		return models.Audit(ctx, tx, actor(c), action, o.Subject(), o.Name)
	})
}

func (s *Server) deleteOverlay(c *gin.Context) error {
	o, err := s.ownOverlay(c)
	if err != nil {
		return err
	}
	if err := models.RefuseStacked(c.Request.Context(), s.DB, o.ID); err != nil {
		return err
	}
	ok, err := s.sure(c, "overlays", confirmPage{
		Heading: "Delete the overlay “" + o.Name + "”?", Button: "Delete the overlay",
		Text: "All its versions and their files are gone then. This cannot be undone.", Back: overlayPath(o.ID),
	})
	if !ok || err != nil {
		return err
	}
	return s.enqueueAndShow(c, jobs.DeleteOverlay{OverlayID: o.ID})
}

func (s *Server) overlaysFeed(u *models.User) *feed {
	return &feed{render: func(ctx context.Context) ([]fragment, []string, error) {
		v, err := s.overlayList(ctx, u)
		return []fragment{v}, []string{jobs.TopicOverlays(u.ID), jobs.TopicOverlays("")}, err
	}}
}

// itemsPace bounds what part of its time a viewer's stream spends on reading items
// while a job runs: one in so many.
const itemsPace = 40

func (s *Server) overlayFeed(ctx context.Context, u *models.User, arg string) (*feed, error) {
	id, err := strconv.ParseInt(arg, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("feed of overlay %q: %w", clip(arg, 30), models.ErrNotFound)
	}
	if _, err := models.OverlayFor(ctx, s.DB, u.ID, id); err != nil {
		return nil, err
	}
	var items workshopItems
	var readAt time.Time
	var took time.Duration
	return &feed{gone: "/overlays", render: func(ctx context.Context) ([]fragment, []string, error) {
		head, err := s.overlayHead(ctx, u, id)
		if err != nil {
			return nil, nil, err
		}
		frags := []fragment{head}
		versions, err := s.overlayVersions(ctx, u, head.Overlay)
		if err != nil {
			return nil, nil, err
		}
		frags = append(frags, versions)
		switch head.Overlay.Kind {
		case models.OverlayWorkshop:
			// A thousand items take a tenth of a second: while a job runs, which
			// changes the page five times a second, they are read less often.
			if head.Job == nil || time.Since(readAt) > itemsPace*took {
				began := time.Now()
				if items, err = s.workshopItems(ctx, u, head.Overlay); err != nil {
					return nil, nil, err
				}
				readAt, took = time.Now(), time.Since(began)
			}
			frags = append(frags, items)
		case models.OverlayFiles:
			bar, err := s.draftBar(ctx, u, head.Overlay)
			if err != nil {
				return nil, nil, err
			}
			frags = append(frags, bar)
		case models.OverlayScript:
			build, err := s.scriptBuild(ctx, u, head.Overlay)
			if err != nil {
				return nil, nil, err
			}
			frags = append(frags, build)
		}
		return frags, []string{jobs.TopicOverlay(id)}, nil
	}}, nil
}

// againOverlay makes the arguments of an overlay's job once more.
func againOverlay(j *models.Job, u *models.User) (jobs.Args, error) {
	gone := &failure{status: http.StatusConflict, title: "Not possible now", text: "What this job worked on does not exist any more."}
	switch j.Kind {
	case jobs.RefreshOverlays{}.Kind(), jobs.CollectOverlays{}.Kind():
		if err := mayAdminister(u); err != nil {
			return nil, err
		}
		if j.Kind == (jobs.RefreshOverlays{}).Kind() {
			return jobs.RefreshOverlays{}, nil
		}
		return jobs.CollectOverlays{}, nil
	}
	if j.Overlay == nil || !j.Overlay.ChangeableBy(u) {
		return nil, gone
	}
	var args struct {
		OverlayID int64  `json:"overlay_id"`
		Why       string `json:"why"`
	}
	if err := json.Unmarshal(j.Args, &args); err != nil || args.OverlayID != j.OverlayID {
		return nil, errors.Join(models.ErrNotFound, err)
	}
	switch j.Kind {
	case jobs.DownloadWorkshop{}.Kind():
		return jobs.DownloadWorkshop{OverlayID: args.OverlayID}, nil
	case jobs.BuildOverlay{}.Kind():
		return jobs.BuildOverlay{OverlayID: args.OverlayID, Why: args.Why}, nil
	case jobs.DeleteOverlay{}.Kind():
		return jobs.DeleteOverlay{OverlayID: args.OverlayID}, nil
	}
	return nil, gone
}
