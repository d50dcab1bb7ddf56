package webui

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

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
	r.Refused, r.Warnings = verdicts(r.Report)
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

// versionPage is one version: what the gate says, what it plays, its files, and
// what it has otherwise than another one.
type versionPage struct {
	Layout   layout
	Overlay  *models.Overlay
	Row      versionRow
	Change   bool
	Admin    bool
	Findings []ctl.Finding
	Files    []ctl.ManifestFile
	Total    int    // files that match the filter
	Filter   string // part of a path
	Page     int    // from 1
	Pages    int
	Against  int64 // the version that Diff compares with; 0 for none
	Diff     diffView
	Fault    string // why the list of files cannot be shown
}

func (versionPage) template() string { return "overlay_version.html" }

// File is the address of a file of the version.
func (p versionPage) File(f ctl.ManifestFile) string {
	return p.Row.Path() + "/file?path=" + url.QueryEscape(f.Path)
}

// At is the address of another page of the list.
func (p versionPage) At(page int) string {
	return p.Row.Path() + "?" + url.Values{"filter": {p.Filter}, "page": {strconv.Itoa(page)}}.Encode() + "#files"
}

// diffView lists what one version has otherwise than another; each list holds at
// most filesPerPage paths.
type diffView struct {
	Added, Changed, Removed []string
	More                    int
}

// version finds the version in the address; one of another overlay is not found.
func (s *Server) version(c *gin.Context, o *models.Overlay) (*models.OverlayVersion, error) {
	n, err := strconv.ParseInt(c.Param("number"), 10, 64)
	if err != nil || n <= 0 {
		return nil, models.ErrNotFound
	}
	return models.OverlayVersionByNumber(c.Request.Context(), s.DB, o.ID, n)
}

func (s *Server) showVersion(c *gin.Context) error {
	o, err := s.overlay(c)
	if err != nil {
		return err
	}
	v, err := s.version(c, o)
	if err != nil {
		return err
	}
	u := user(c)
	p := versionPage{Overlay: o, Row: versionRowOf(o, *v), Change: o.ChangeableBy(u), Admin: u.Admin, Filter: c.Query("filter")}
	p.Findings = p.Row.Report.Findings
	if err := s.fillFiles(c, &p); err != nil {
		return err
	}
	if p.Layout, err = s.layout(c, fmt.Sprintf("%s, version %d", o.Name, v.Number), "overlays"); err != nil {
		return err
	}
	return s.show(c, http.StatusOK, p)
}

// fillFiles reads the version's manifest from the host, as far as it is there.
func (s *Server) fillFiles(c *gin.Context, p *versionPage) error {
	if s.Content == nil {
		p.Fault = noContent.text
		return nil
	}
	m, err := s.Content.Manifest(p.Overlay.ID, p.Row.Version.Number)
	if errors.Is(err, fs.ErrNotExist) {
		p.Fault = "The host does not know this version. It may have been removed by hand."
		return nil
	} else if err != nil {
		return err
	}
	p.Findings = m.Findings
	matching := m.Tree
	if p.Filter != "" {
		matching = nil
		for _, f := range m.Tree {
			if strings.Contains(strings.ToLower(f.Path), strings.ToLower(p.Filter)) {
				matching = append(matching, f)
			}
		}
	}
	page, _ := strconv.Atoi(c.Query("page")) // what is no number is the first page
	p.Total, p.Pages = len(matching), max(1, (len(matching)+filesPerPage-1)/filesPerPage)
	p.Page = min(max(page, 1), p.Pages)
	p.Files = matching[(p.Page-1)*filesPerPage : min(p.Page*filesPerPage, len(matching))]
	against, _ := strconv.ParseInt(c.Query("against"), 10, 64) // what is no number is the version before
	if against <= 0 {
		against = m.Previous
	}
	if against == 0 {
		return nil
	}
	old, err := s.Content.Manifest(p.Overlay.ID, against)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	p.Against, p.Diff = against, difference(old, m)
	return nil
}

// difference compares two versions by their files' content.
func difference(old, now *ctl.Manifest) diffView {
	before := make(map[string]ctl.ManifestFile, len(old.Tree))
	for _, f := range old.Tree {
		before[f.Path] = f
	}
	var d diffView
	put := func(list *[]string, p string) {
		if len(*list) < filesPerPage {
			*list = append(*list, p)
		} else {
			d.More++
		}
	}
	for _, f := range now.Tree {
		was, there := before[f.Path]
		delete(before, f.Path)
		switch {
		case !there:
			put(&d.Added, f.Path)
		case was.SHA256 != f.SHA256 || was.Link != f.Link || was.Dir != f.Dir:
			put(&d.Changed, f.Path)
		}
	}
	for _, f := range old.Tree {
		if _, gone := before[f.Path]; gone {
			put(&d.Removed, f.Path)
		}
	}
	return d
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
	if !v.CollectedAt.IsZero() {
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
	s.flash(c, "version")
	return goTo(c, overlayPath(o.ID))
}

// admitFile lets a refused file in: the next version has it.
func (s *Server) admitFile(c *gin.Context) error {
	o, err := s.ownOverlay(c)
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
		Heading: "Let " + cleanText(path.Base(finding.Path)) + " in?", Button: "Let it in",
		Text: finding.Sentence + " If the game crashes over it, every server with this overlay does, at each start.",
		Back: overlayPath(o.ID),
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

// downloadVersionFile sends one file of a version. It is never shown in the
// browser: a stranger made it.
func (s *Server) downloadVersionFile(c *gin.Context) error {
	o, err := s.overlay(c)
	if err != nil {
		return err
	}
	v, err := s.version(c, o)
	if err != nil {
		return err
	}
	if s.Content == nil {
		return noContent
	}
	f, err := s.Content.Open(o.ID, v.Number, c.Query("path"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return models.ErrNotFound
	} else if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // read only; nothing can be lost
	sendFile(c, path.Base(c.Query("path")), f)
	return nil
}
