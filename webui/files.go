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

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/models"
)

// entriesPerPage bounds how much of a folder is shown at once.
const entriesPerPage = 500

// filesPanel is a folder of a files overlay, and where files are dropped.
type filesPanel struct {
	Path    string
	Dir     string
	Folders []crumb
	Change  bool
	Bar     draftBar
	Tree    fileTree
	Faults  []faultView
	Fault   string // why the files cannot be shown
	Problem string // what was wrong with a form
	Waiting []models.Upload
	Limits  uploadLimits
}

// uploadLimits is what the page's script must know.
type uploadLimits struct{ File, Chunk int64 }

// fileTree is the list of a folder. The page's script fetches it anew when the draft
// bar shows that it is not current.
type fileTree struct {
	Path    string
	At      string // of which state of the overlay it is; see draftBar.At
	Dir     string
	Entries []fileEntry
	Total   int
	Page    int // from 1
	Pages   int
	Change  bool
}

// In is the address of a folder.
func (p filesPanel) In(dir string) string { return folderPath(p.Path, dir) }

// In is the address of a folder.
func (t fileTree) In(dir string) string { return folderPath(t.Path, dir) }

// Entry is the page of a file or folder.
func (t fileTree) Entry(p string) string { return entryPath(t.Path, p) }

// OnPage is the address of another page of the list.
func (t fileTree) OnPage(n int) string {
	return t.Path + "?" + url.Values{"dir": {t.Dir}, "page": {strconv.Itoa(n)}}.Encode() + "#files"
}

func folderPath(overlay, dir string) string {
	if dir == "" {
		return overlay + "#files"
	}
	return overlay + "?dir=" + url.QueryEscape(dir) + "#files"
}

func entryPath(overlay, p string) string { return overlay + "/files/entry?path=" + url.QueryEscape(p) }

// faultView is a change of the draft that cannot be made, and why.
type faultView struct {
	Change changeView
	Text   string
}

// filesPanel shows the folder in ?dir=. Who may not change the overlay sees what is
// published, without the draft.
func (s *Server) filesPanel(c *gin.Context, o *models.Overlay) (*filesPanel, error) {
	ctx, u := c.Request.Context(), user(c)
	p := &filesPanel{
		Path: overlayPath(o.ID), Dir: c.Query("dir"), Folders: crumbs(c.Query("dir")), Change: o.ChangeableBy(u),
		Limits: uploadLimits{maxUpload, maxChunk},
	}
	var err error
	if p.Bar, err = s.draftBar(ctx, u, o); err != nil {
		return nil, err
	}
	if s.Content == nil {
		p.Fault = noContent.text
		return p, nil
	}
	if p.Change {
		if p.Waiting, err = models.UploadsUnderWay(ctx, s.DB, u.ID, o.ID); err != nil {
			return nil, err
		}
	}
	tree, err := s.draftTree(ctx, s.DB, u, o)
	if errors.Is(err, fs.ErrNotExist) {
		p.Fault = fmt.Sprintf("The host does not have the files of version %d. Make another version the current one.", o.Version)
		return p, nil
	} else if err != nil {
		return nil, err
	}
	list, ok := tree.list(p.Dir)
	if !ok {
		return nil, models.ErrNotFound
	}
	for _, row := range p.Bar.all {
		if text := tree.Faults[row.Seq]; text != "" && len(p.Faults) < 10 {
			p.Faults = append(p.Faults, faultView{row, text})
		}
	}
	p.Tree = pageOf(list, c.Query("page"))
	p.Tree.Path, p.Tree.Dir, p.Tree.At, p.Tree.Change = p.Path, p.Dir, p.Bar.At(), p.Change
	return p, nil
}

// pageOf cuts a page out of a folder's list. What is no number is the first one.
func pageOf(list []fileEntry, page string) fileTree {
	n, _ := strconv.Atoi(page)
	t := fileTree{Total: len(list), Pages: max(1, (len(list)+entriesPerPage-1)/entriesPerPage)}
	t.Page = min(max(n, 1), t.Pages)
	t.Entries = list[(t.Page-1)*entriesPerPage : min(t.Page*entriesPerPage, len(list))]
	return t
}

// draftTree is the overlay's content as this user may see it. fs.ErrNotExist when the
// host does not have the current version.
func (s *Server) draftTree(ctx context.Context, db bun.IDB, u *models.User, o *models.Overlay) (*draftTree, error) {
	base, err := s.versionFiles(o)
	if err != nil {
		return nil, err
	}
	var changes []models.DraftChange
	if o.ChangeableBy(u) {
		if changes, err = models.DraftChanges(ctx, db, o.ID); err != nil {
			return nil, err
		}
	}
	return newDraftTree(base, changes), nil
}

// versionFiles lists the files of the overlay's current version.
func (s *Server) versionFiles(o *models.Overlay) ([]ctl.ManifestFile, error) {
	if s.Content == nil {
		return nil, noContent
	}
	if o.Version == 0 {
		return nil, nil
	}
	m, err := s.Content.Manifest(o.ID, o.Version)
	if err == nil && m.Collected {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("list the files of %s: %w", o.Ref(), err)
	}
	return m.Tree, nil
}

// addToDraft adds a change to the draft and writes down who did. It returns the
// change with its number.
func addToDraft(ctx context.Context, tx bun.Tx, o *models.Overlay, change models.DraftChange) (models.DraftChange, error) {
	list := []models.DraftChange{change}
	if err := models.AddDraftChanges(ctx, tx, o.ID, list); err != nil {
		return change, err
	}
	return list[0], models.Audit(ctx, tx, actorIn(ctx), "overlay.draft", o.Subject(), o.Name+": "+changeView{change}.Text())
}

// changeDraft adds a change to the draft if it can be made, with what goes before it
// in the same transaction; one that cannot is an InvalidError.
func (s *Server) changeDraft(c *gin.Context, o *models.Overlay, change models.DraftChange, before func(context.Context, bun.Tx, *draftTree) error) error {
	base, err := s.versionFiles(o)
	if errors.Is(err, fs.ErrNotExist) {
		return models.ErrConflict
	} else if err != nil {
		return err
	}
	err = s.DB.RunInTx(c.Request.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		change, err := addToDraft(ctx, tx, o, change) // which locks the draft
		if err != nil {
			return err
		}
		changes, err := models.DraftChanges(ctx, tx, o.ID)
		if err != nil {
			return err
		}
		tree := newDraftTree(base, changes[:len(changes)-1])
		if before != nil {
			if err := before(ctx, tx, tree); err != nil {
				return err
			}
		}
		return tree.apply(change)
	})
	if err == nil {
		s.Jobs.OverlayChanged(c.Request.Context(), o.ID)
	}
	return err
}

// refusedInFolder shows the folder again with what was wrong, unless err is not about
// that.
func (s *Server) refusedInFolder(c *gin.Context, o *models.Overlay, dir string, err error) error {
	bad, ok := models.AsInvalid(err)
	if !ok {
		return err
	}
	if checkFolder(dir) != nil {
		dir = ""
	}
	c.Request.URL.RawQuery = url.Values{"dir": {dir}}.Encode()
	return s.renderOverlay(c, http.StatusUnprocessableEntity, o, func(p *overlayPage) { p.Files.Problem = bad.Message })
}

// makeFolder adds a folder, or sends to the page of a new text file.
func (s *Server) makeFolder(c *gin.Context) error {
	o, err := s.ownOverlay(c, models.OverlayFiles)
	if err != nil {
		return err
	}
	dir := c.PostForm("dir")
	p := within(dir, c.PostForm("name"))
	if err = checkFolder(dir); err == nil {
		err = checkPath(p)
	}
	if err == nil && c.PostForm("kind") == "file" {
		return goTo(c, entryPath(overlayPath(o.ID), p))
	}
	if err == nil {
		err = s.changeDraft(c, o, models.DraftChange{Op: string(ctl.FileMkdir), Path: p}, func(_ context.Context, _ bun.Tx, t *draftTree) error {
			if t.find(p) != nil {
				return models.Invalid("name", fmt.Sprintf("There is a “%s” already.", p))
			}
			return nil
		})
	}
	if err != nil {
		return s.refusedInFolder(c, o, dir, err)
	}
	return goTo(c, folderPath(overlayPath(o.ID), p))
}

// moveFile renames a file or folder, or moves it elsewhere.
func (s *Server) moveFile(c *gin.Context) error {
	o, err := s.ownOverlay(c, models.OverlayFiles)
	if err != nil {
		return err
	}
	from, to := c.PostForm("path"), c.PostForm("target")
	if err := checkPath(from); err != nil {
		return err
	}
	if from == to {
		return goTo(c, entryPath(overlayPath(o.ID), from))
	}
	err = checkPath(to)
	if err == nil {
		err = s.changeDraft(c, o, models.DraftChange{Op: string(ctl.FileMove), Path: from, Target: to}, nil)
	}
	if bad, ok := models.AsInvalid(err); ok {
		return s.renderEntry(c, http.StatusUnprocessableEntity, o, from, func(p *entryPage) { p.Target, p.Problem = to, bad.Message })
	} else if err != nil {
		return err
	}
	return goTo(c, folderPath(overlayPath(o.ID), folderOf(to)))
}

// deleteFile takes a file or folder away.
func (s *Server) deleteFile(c *gin.Context) error {
	o, err := s.ownOverlay(c, models.OverlayFiles)
	if err != nil {
		return err
	}
	p := c.PostForm("path")
	if err := checkPath(p); err != nil {
		return err
	}
	ok, err := s.sure(c, "overlays", confirmPage{
		Heading: "Delete “" + cleanText(path.Base(p)) + "”?", Button: "Delete it",
		Text: "It leaves the next version. Versions that are published keep it.", Back: entryPath(overlayPath(o.ID), p),
	})
	if !ok || err != nil {
		return err
	}
	if err := s.changeDraft(c, o, models.DraftChange{Op: string(ctl.FileDelete), Path: p}, nil); err != nil {
		return s.refusedInFolder(c, o, folderOf(p), err)
	}
	return goTo(c, folderPath(overlayPath(o.ID), folderOf(p)))
}
