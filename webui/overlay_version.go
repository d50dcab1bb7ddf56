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

	"left4me/hostops/ctl"
	"left4me/models"
)

// versionPage is one version: what the gate says, what it plays, its files, and
// what it has otherwise than another one.
type versionPage struct {
	Layout   layout
	Overlay  *models.Overlay
	Row      versionRow
	Change   bool
	Admin    bool
	Guest    bool // an administrator who looks at somebody else's
	Findings []findingView
	Files    []ctl.ManifestFile
	Total    int    // files that match the filter
	Filter   string // part of a path
	Page     int    // from 1
	Pages    int
	Others   []int64 // versions it can be compared with, newest first
	Against  int64   // the one that Diff compares with; 0 for none
	Diff     diffView
	Unknown  int64  // a version that was asked for and that the host does not know
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

// findingView is one thing that the gate said. LetIn is set when an administrator
// let the file in since.
type findingView struct {
	ctl.Finding
	LetIn *models.AdmittedFile
}

// State is the verdict in a word.
func (v findingView) State() stateView {
	switch {
	case v.Admitted:
		return stateView{"Let in", "warn"}
	case v.Verdict == ctl.VerdictRefused && v.LetIn != nil:
		return stateView{"Let in from the next version on", "warn"}
	case v.Verdict == ctl.VerdictRefused:
		return stateView{"Refused", "bad"}
	case v.Verdict == ctl.VerdictWarning:
		return stateView{"Warning", "warn"}
	}
	return stateView{"Fine", "ok"}
}

// Open says that somebody may still decide to let the file in.
func (v findingView) Open() bool {
	return v.Verdict == ctl.VerdictRefused && v.SHA256 != "" && !v.Admitted && v.LetIn == nil
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

// judgedOverlay finds the overlay in the address among those the user may see. An
// administrator finds everybody's: whether a refused file is let in is theirs to
// decide, and the owner of an overlay can only send them the address.
func (s *Server) judgedOverlay(c *gin.Context) (*models.Overlay, error) {
	id, err := overlayID(c)
	if err != nil {
		return nil, err
	}
	o, err := models.OverlayByID(c.Request.Context(), s.DB, id)
	if err != nil {
		return nil, err
	}
	return o, mayUseOverlay(user(c), o, judgeOverlay)
}

func (s *Server) showVersion(c *gin.Context) error {
	ctx, u := c.Request.Context(), user(c)
	o, err := s.judgedOverlay(c)
	if err != nil {
		return err
	}
	v, err := s.version(c, o)
	if err != nil {
		return err
	}
	p := versionPage{Overlay: o, Row: versionRowOf(o, *v), Change: o.ChangeableBy(u), Admin: u.Admin, Filter: clip(cleanText(c.Query("filter")), 200)}
	p.Guest = o.UserID != "" && o.UserID != u.ID
	if err := s.fillFindings(ctx, &p); err != nil {
		return err
	}
	if err := s.fillOthers(ctx, &p); err != nil {
		return err
	}
	if err := s.fillFiles(c, &p); err != nil {
		return err
	}
	if p.Layout, err = s.layout(c, fmt.Sprintf("%s, version %d", o.Name, v.Number), "overlays"); err != nil {
		return err
	}
	return s.show(c, http.StatusOK, p)
}

func (s *Server) fillFindings(ctx context.Context, p *versionPage) error {
	list, err := models.AdmittedFiles(ctx, s.DB, p.Overlay.ID)
	if err != nil {
		return err
	}
	let := make(map[string]*models.AdmittedFile, len(list))
	for i := range list {
		let[list[i].SHA256] = &list[i]
	}
	for _, f := range p.Row.Report.Findings {
		p.Findings = append(p.Findings, findingView{f, let[f.SHA256]})
	}
	return nil
}

// fillOthers lists the versions around: as many as the select of a form can bear.
func (s *Server) fillOthers(ctx context.Context, p *versionPage) error {
	list, err := models.OverlayVersions(ctx, s.DB, p.Overlay.ID, 0, 100)
	for _, v := range list {
		if v.Number != p.Row.Version.Number {
			p.Others = append(p.Others, v.Number)
		}
	}
	return err
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
	asked, _ := strconv.ParseInt(c.Query("against"), 10, 64) // what is no number is the version before
	against := asked
	if against <= 0 {
		against = m.Previous
	}
	if against == 0 {
		return nil
	}
	old, err := s.Content.Manifest(p.Overlay.ID, against)
	if errors.Is(err, fs.ErrNotExist) {
		p.Unknown = max(asked, 0)
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
