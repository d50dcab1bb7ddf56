package webui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/models"
)

const (
	maxFormFiles = 100       // files in one form
	maxFormField = 4 << 10   // bytes of a field that is no file
	maxForm      = maxUpload // bytes of the whole form
	formTime     = 6 * time.Hour
)

// uploadFiles takes the files of an ordinary form, for browsers without scripts. They
// are written to the host as they arrive; what arrived whole is in the draft, also when
// a later one breaks off. The fields come before the files.
func (s *Server) uploadFiles(c *gin.Context) error {
	o, err := s.ownOverlay(c, models.OverlayFiles)
	if err != nil {
		return err
	}
	if s.Content == nil {
		return noContent
	}
	leave, ok := s.uploading.enter(user(c).ID)
	if !ok {
		return tooManyAtOnce
	}
	defer leave()
	body := newPatientReader(c, formTime, chunkPause)
	c.Request.Body = io.NopCloser(body)
	dir, err := s.takeForm(c, o)
	if err = body.explain(err, maxForm); err != nil {
		return s.refusedInFolder(c, o, dir, err)
	}
	return goTo(c, folderPath(overlayPath(o.ID), dir))
}

func (s *Server) takeForm(c *gin.Context, o *models.Overlay) (dir string, err error) {
	length := c.Request.ContentLength
	form, err := c.Request.MultipartReader()
	if err != nil {
		return "", &failure{status: http.StatusBadRequest, title: "That could not be read", text: "The form arrived broken. Send it again.", cause: err}
	}
	archives, files := "", 0
	for {
		part, err := form.NextPart()
		switch {
		case errors.Is(err, io.EOF) && files == 0:
			return dir, models.Invalid("file", "Choose a file first.")
		case errors.Is(err, io.EOF):
			return dir, nil
		case err != nil:
			return dir, err
		case part.FormName() == "dir":
			dir, err = field(part)
		case part.FormName() == "archives":
			archives, err = field(part)
		case part.FormName() == "file" && part.FileName() != "":
			if files++; files > maxFormFiles {
				return dir, models.Invalid("file", fmt.Sprintf("One form takes %d files; those were uploaded and the others were not. Send them in another one.", maxFormFiles))
			}
			err = s.takeFile(c.Request.Context(), user(c), o, part, dir, archives, length)
		}
		if err != nil {
			return dir, err
		}
	}
}

func field(part *multipart.Part) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(part, maxFormField+1))
	if err == nil && len(raw) > maxFormField {
		err = models.Invalid("path", "The path is too long. Shorten it.")
	}
	return string(raw), err
}

// takeFile brings one file of a form to the host and into the draft. Its size is not
// known before its end; announced bounds it.
func (s *Server) takeFile(ctx context.Context, u *models.User, o *models.Overlay, part *multipart.Part, dir, archives string, announced int64) error {
	// Some browsers send a path; Windows' with backslashes.
	name := path.Base(strings.ReplaceAll(part.FileName(), `\`, "/"))
	op, target, err := placement(dir, name, archives)
	if err != nil {
		return err
	}
	if announced < 0 || announced > maxUpload {
		announced = maxUpload
	}
	up := &models.Upload{UserID: u.ID, OverlayID: o.ID, Name: name, Size: max(announced, 1), Op: string(op), Path: target}
	if err := s.beginUpload(ctx, up); err != nil {
		return err
	}
	n, err := s.Content.Append(up.ID, 0, part)
	if err == nil {
		err = s.DB.RunInTx(context.WithoutCancel(ctx), nil, func(ctx context.Context, tx bun.Tx) error {
			if err := models.FinishUpload(ctx, tx, up, n); err != nil {
				return err
			}
			_, err := addToDraft(ctx, tx, o, models.DraftChange{Op: up.Op, Path: up.Path, UploadID: up.ID, Name: up.Name, Size: n})
			return err
		})
	}
	if err != nil {
		s.abandonUpload(ctx, up.ID)
		return uploadProblem(err)
	}
	s.Jobs.OverlayChanged(ctx, o.ID)
	return nil
}
