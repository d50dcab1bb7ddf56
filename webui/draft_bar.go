package webui

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
)

// changesShown bounds the list of a draft's changes, refusedShown that of refused
// files; maxWhy is how long the note of a version may be, in characters.
const (
	changesShown = 100
	refusedShown = 20
	maxWhy       = 200
)

// draftBar is what waits to be published, and what the gate refused last time.
type draftBar struct {
	Path       string
	Change     bool
	Version    int64
	Rows       []changeView // the newest first
	Count      int
	More       int // changes that are not in Rows
	Bytes      int64
	Publishing bool
	Refused    []ctl.Finding // of the current version
	RefusedAll int
	Last       int64 // number of the last change that the draft ever had

	all []changeView
}

func (draftBar) template() string  { return "overlay_draft.html" }
func (draftBar) elementID() string { return "draft-bar" }

// At names the state that the bar shows: the page's script looks at the list of files
// again when it is another one than the list's.
func (b draftBar) At() string { return fmt.Sprintf("%d-%d-%d", b.Version, b.Last, b.Count) }

// changeView is one change in words.
type changeView struct{ models.DraftChange }

// Text is what the change does.
func (v changeView) Text() string {
	switch ctl.FileOp(v.Op) {
	case ctl.FilePut:
		return "Put " + putPath(v.DraftChange)
	case ctl.FileUnpack:
		switch v.Path {
		case "":
			return "Unpack " + v.Name + " where its content belongs"
		case ".":
			return "Unpack " + v.Name + " at the top"
		}
		return "Unpack " + v.Name + " into " + v.Path
	case ctl.FileMkdir:
		return "Make the folder " + v.Path
	case ctl.FileMove:
		return "Move " + v.Path + " to " + v.Target
	case ctl.FileDelete:
		return "Delete " + v.Path
	}
	return v.Op
}

func (s *Server) draftBar(ctx context.Context, u *models.User, o *models.Overlay) (draftBar, error) {
	b := draftBar{Path: overlayPath(o.ID), Change: o.ChangeableBy(u), Version: o.Version}
	if !b.Change {
		return b, nil // a draft is its makers' own until it is published
	}
	b.Last = o.DraftSeq
	changes, err := models.DraftChanges(ctx, s.DB, o.ID)
	if err != nil {
		return b, err
	}
	b.Count, b.More = len(changes), max(0, len(changes)-changesShown)
	for i := range changes {
		b.all = append(b.all, changeView{changes[i]})
		b.Bytes += changes[i].Size
	}
	for i := len(b.all) - 1; i >= b.More; i-- {
		b.Rows = append(b.Rows, b.all[i])
	}
	if b.Publishing, err = publishing(ctx, s.DB, o); err != nil {
		return b, err
	}
	current, err := models.CurrentVersions(ctx, s.DB, []int64{o.ID})
	if err != nil || current[o.ID] == nil {
		return b, err
	}
	for _, f := range reportOf(current[o.ID]).Findings {
		if f.Verdict == ctl.VerdictRefused && !f.Admitted {
			b.RefusedAll++
			if len(b.Refused) < refusedShown {
				b.Refused = append(b.Refused, f)
			}
		}
	}
	return b, nil
}

// publishing says whether a version is being made of the draft.
func publishing(ctx context.Context, db bun.IDB, o *models.Overlay) (bool, error) {
	waiting, err := models.UnfinishedOverlayJobs(ctx, db, o.ID)
	for i := range waiting {
		if waiting[i].Kind == (jobs.BuildOverlay{}).Kind() {
			return true, err
		}
	}
	return false, err
}

// publishDraft asks for a version of the draft.
func (s *Server) publishDraft(c *gin.Context) error {
	o, err := s.ownOverlay(c, models.OverlayFiles)
	if err != nil {
		return err
	}
	why := strings.TrimSpace(cleanText(c.PostForm("why")))
	if len([]rune(why)) > maxWhy {
		return s.refusedInFolder(c, o, "", models.Invalid("why", fmt.Sprintf("The note has more than %d characters. Shorten it.", maxWhy)))
	}
	_, err = s.Jobs.EnqueueWith(c.Request.Context(), actor(c), func(ctx context.Context, tx bun.Tx) ([]jobs.Args, error) {
		changes, err := models.DraftChanges(ctx, tx, o.ID)
		if err != nil {
			return nil, err
		}
		if len(changes) == 0 {
			return nil, models.Invalid("draft", "There is nothing to publish. Upload, edit or delete something first.")
		}
		detail := fmt.Sprintf("%s: %s", o.Name, count(len(changes), "change"))
		return []jobs.Args{jobs.BuildOverlay{OverlayID: o.ID, Why: why}}, models.Audit(ctx, tx, actor(c), "overlay.publish", o.Subject(), detail)
	})
	if err != nil {
		return s.refusedInFolder(c, o, "", err)
	}
	return goTo(c, overlayPath(o.ID))
}

// busyPublishing is a failure while a version is made: what it is made of must not
// vanish under it.
func busyPublishing(ctx context.Context, db bun.IDB, o *models.Overlay) error {
	busy, err := publishing(ctx, db, o)
	if err == nil && busy {
		return &failure{status: http.StatusConflict, title: "Being published", text: "The draft is being published right now. Cancel that job, or wait for its end."}
	}
	return err
}

// dropDraft throws the whole draft away.
func (s *Server) dropDraft(c *gin.Context) error {
	o, err := s.ownOverlay(c, models.OverlayFiles)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	if err := busyPublishing(ctx, s.DB, o); err != nil {
		return err
	}
	changes, err := models.DraftChanges(ctx, s.DB, o.ID)
	if err != nil {
		return err
	}
	ok, err := s.sure(c, "overlays", confirmPage{
		Heading: "Throw the draft away?", Button: "Throw it away", Back: overlayPath(o.ID),
		Text: count(len(changes), "change") + " and the files that were uploaded for them are gone then. What is published stays.",
	})
	if !ok || err != nil || len(changes) == 0 {
		if ok && err == nil {
			return goTo(c, overlayPath(o.ID))
		}
		return err
	}
	err = s.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := busyPublishing(ctx, tx, o); err != nil {
			return err
		}
		if err := models.DropDraft(ctx, tx, o.ID, changes[len(changes)-1].Seq); err != nil {
			return err
		}
		return models.Audit(ctx, tx, actor(c), "overlay.drop", o.Subject(), o.Name+": "+count(len(changes), "change"))
	})
	if err != nil {
		return err
	}
	for _, ch := range changes {
		s.forgetBytes(ctx, ch.UploadID)
	}
	s.Jobs.OverlayChanged(ctx, o.ID)
	return goTo(c, overlayPath(o.ID))
}

// takeOut takes one change out of the draft.
func (s *Server) takeOut(c *gin.Context) error {
	o, err := s.ownOverlay(c, models.OverlayFiles)
	if err != nil {
		return err
	}
	seq, err := strconv.ParseInt(c.PostForm("change"), 10, 64)
	if err != nil {
		return models.ErrNotFound
	}
	ctx, upload := c.Request.Context(), ""
	err = s.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := busyPublishing(ctx, tx, o); err != nil {
			return err
		}
		var err error
		if upload, err = models.DropDraftChange(ctx, tx, o.ID, seq); err != nil {
			return err
		}
		return models.Audit(ctx, tx, actor(c), "overlay.draft", o.Subject(), o.Name+": a change taken out")
	})
	if err != nil {
		return err
	}
	s.forgetBytes(ctx, upload)
	s.Jobs.OverlayChanged(ctx, o.ID)
	return goTo(c, overlayPath(o.ID))
}

// forgetBytes removes what the host has of an upload whose row is gone. What cannot
// be removed now is collected later.
func (s *Server) forgetBytes(ctx context.Context, upload string) {
	if upload == "" || s.Content == nil {
		return
	}
	if err := s.Content.RemoveUpload(upload); err != nil {
		s.Log.WarnContext(ctx, "could not remove an upload", "upload", upload, "err", err)
	}
}
