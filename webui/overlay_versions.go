package webui

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
)

const (
	versionsShown = 20
	filesPerPage  = 500
)

// overlayVersions is the history of an overlay, newest first.
type overlayVersions struct {
	Path   string
	Rows   []versionRow
	Older  int64 // the next page begins below this number; 0 when there is none
	Change bool
}

func (overlayVersions) template() string  { return "overlay_versions.html" }
func (overlayVersions) elementID() string { return "overlay-versions" }

type versionRow struct {
	Version           models.OverlayVersion
	Report            ctl.Version
	Refused, Warnings int
	Current           bool
}

// Path is the version's page.
func (r versionRow) Path() string {
	return fmt.Sprintf("%s/versions/%d", overlayPath(r.Version.OverlayID), r.Version.Number)
}

// Gone says that its files were collected.
func (r versionRow) Gone() bool { return !r.Version.CollectedAt.IsZero() }

func versionRowOf(o *models.Overlay, v models.OverlayVersion) versionRow {
	r := versionRow{Version: v, Report: reportOf(&v), Current: v.Number == o.Version}
	r.Refused, r.Warnings = verdicts(r.Report.Findings)
	return r
}

func (s *Server) overlayVersions(ctx context.Context, u *models.User, o *models.Overlay) (overlayVersions, error) {
	return s.versionsBefore(ctx, u, o, 0)
}

func (s *Server) versionsBefore(ctx context.Context, u *models.User, o *models.Overlay, before int64) (overlayVersions, error) {
	list, err := models.OverlayVersions(ctx, s.DB, o.ID, before, versionsShown+1)
	v := overlayVersions{Path: overlayPath(o.ID), Change: o.ChangeableBy(u)}
	if len(list) > versionsShown {
		list = list[:versionsShown]
		v.Older = list[len(list)-1].Number
	}
	for _, one := range list {
		v.Rows = append(v.Rows, versionRowOf(o, one))
	}
	return v, err
}

// versionsPage is older history.
type versionsPage struct {
	Layout  layout
	Overlay *models.Overlay
	List    overlayVersions
}

func (versionsPage) template() string { return "overlay_history.html" }

func (s *Server) listVersions(c *gin.Context) error {
	o, err := s.overlay(c)
	if err != nil {
		return err
	}
	before, _ := strconv.ParseInt(c.Query("before"), 10, 64) // what is no number begins at the newest
	list, err := s.versionsBefore(c.Request.Context(), user(c), o, max(before, 0))
	if err != nil {
		return err
	}
	l, err := s.layout(c, "Versions of "+o.Name, "overlays")
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, versionsPage{l, o, list})
}

// collected says whether a version's files are gone. An operator may have had the
// host collect them, of which no row knows: then it does from now on.
func (s *Server) collected(ctx context.Context, v *models.OverlayVersion) (bool, error) {
	if !v.CollectedAt.IsZero() || s.Content == nil {
		return !v.CollectedAt.IsZero(), nil
	}
	m, err := s.Content.Manifest(v.OverlayID, v.Number)
	if err != nil || !m.Collected {
		return false, nil // what cannot be read is for the host to judge, at the next start
	}
	err = s.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		return models.VersionCollected(ctx, tx, v.OverlayID, v.Number)
	})
	return err == nil, err
}

// useVersion makes an older version the current one again.
func (s *Server) useVersion(c *gin.Context) error {
	o, err := s.ownOverlay(c)
	if err != nil {
		return err
	}
	v, err := s.version(c, o)
	if err != nil {
		return err
	}
	gone, err := s.collected(c.Request.Context(), v)
	if err != nil {
		return err
	}
	if gone {
		return &failure{status: http.StatusConflict, title: "Its files are gone", text: fmt.Sprintf("Version %d was removed because nothing used it. Build a new version instead.", v.Number)}
	}
	err = s.DB.RunInTx(c.Request.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		if err := models.UseVersion(ctx, tx, o.ID, v.Number); err != nil {
			return err
		}
		return models.Audit(ctx, tx, actor(c), "overlay.use", o.Subject(), fmt.Sprintf("%s, version %d", o.Name, v.Number))
	})
	if err != nil {
		return err
	}
	s.Jobs.OverlayChanged(c.Request.Context(), o.ID)
	if isHX(c) {
		list, err := s.freshVersions(c, o.ID)
		if err != nil {
			return err
		}
		return s.show(c, http.StatusOK, list)
	}
	s.flash(c, "version")
	return goTo(c, overlayPath(o.ID))
}

// freshVersions reads the history again after something changed.
func (s *Server) freshVersions(c *gin.Context, id int64) (overlayVersions, error) {
	o, err := models.OverlayByID(c.Request.Context(), s.DB, id)
	if err != nil {
		return overlayVersions{}, err
	}
	return s.overlayVersions(c.Request.Context(), user(c), o)
}

// admitFile lets a refused file in: the next version has it. Administrators do that
// for everybody's overlays.
func (s *Server) admitFile(c *gin.Context) error {
	o, err := s.judgedOverlay(c)
	if err != nil {
		return err
	}
	v, err := s.version(c, o)
	if err != nil {
		return err
	}
	var finding *ctl.Finding
	for _, f := range reportOf(v).Findings {
		if f.SHA256 != "" && f.SHA256 == c.PostForm("sha256") && f.Verdict == ctl.VerdictRefused {
			finding = &f
			break
		}
	}
	if finding == nil {
		return models.ErrNotFound
	}
	ok, err := s.sure(c, "overlays", confirmPage{
		Heading: "Let " + cleanText(path.Base(finding.Path)) + " in?", Button: "Let it in all the same",
		Text: finding.Sentence + " If the game crashes over it, every server with this overlay does, at each start.",
		Back: versionRowOf(o, *v).Path(),
	})
	if !ok || err != nil {
		return err
	}
	list, err := s.Jobs.EnqueueWith(c.Request.Context(), actor(c), func(ctx context.Context, tx bun.Tx) ([]jobs.Args, error) {
		err := models.AdmitFile(ctx, tx, &models.AdmittedFile{OverlayID: o.ID, SHA256: finding.SHA256, Path: finding.Path, UserName: actor(c).Name})
		if err == nil {
			err = models.Audit(ctx, tx, actor(c), "overlay.admit", o.Subject(), finding.Path)
		}
		return []jobs.Args{jobs.BuildOverlay{OverlayID: o.ID, Why: clip(finding.Path, 200) + " was let in."}}, err
	})
	if err != nil {
		return err
	}
	return goTo(c, jobView{Job: list[0]}.Path())
}
