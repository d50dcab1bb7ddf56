package webui

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/gin-gonic/gin"

	"left4me/models"
)

const (
	maxZipFiles = 20_000 // files in one zip
	zipsAtOnce  = 2      // of one user
)

// downloadFiles sends a file, or a folder as a zip.
func (s *Server) downloadFiles(c *gin.Context) error {
	o, err := s.overlay(c)
	if err != nil {
		return err
	}
	if o.Kind != models.OverlayFiles {
		return models.ErrNotFound
	}
	if s.Content == nil {
		return noContent
	}
	at, u := c.Query("path"), user(c)
	if err := checkFolder(at); err != nil {
		return err
	}
	tree, err := s.draftTree(c.Request.Context(), s.DB, u, o)
	if errors.Is(err, fs.ErrNotExist) {
		return models.ErrNotFound
	} else if err != nil {
		return err
	}
	n := tree.find(at)
	switch {
	case n == nil:
		return models.ErrNotFound
	case n.dir():
		return s.sendZip(c, o, at, n)
	}
	f, err := s.openNode(o, n)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return models.ErrNotFound
	} else if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // read only; nothing can be lost
	sendFile(c, path.Base(at), f)
	return nil
}

// sendZip writes a zip while it is made. Content is stored as it is: what takes room
// in an overlay is compressed already.
func (s *Server) sendZip(c *gin.Context, o *models.Overlay, at string, n *draftNode) error {
	list, more := n.files(at, maxZipFiles)
	if more {
		return &failure{status: http.StatusUnprocessableEntity, title: "Too many files", text: fmt.Sprintf("The folder holds more than %d files. Download its folders one by one.", maxZipFiles)}
	}
	leave, ok := s.zipping.enter(user(c).ID)
	if !ok {
		return &failure{status: http.StatusTooManyRequests, title: "Too much at once", retryAfter: 10, text: "You are downloading other folders. Wait until one of them is there."}
	}
	defer leave()
	name := o.Name
	if at != "" {
		name = path.Base(at)
	}
	h := c.Writer.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name + ".zip"}))
	if h.Get("Content-Disposition") == "" { // a name that no header can carry
		h.Set("Content-Disposition", "attachment")
	}
	zw := zip.NewWriter(newPatientWriter(c))
	for _, f := range list {
		if err := s.addToZip(zw, o, at, f); err != nil {
			return s.breakOff(c, o, err)
		}
	}
	if err := zw.Close(); err != nil {
		return s.breakOff(c, o, err)
	}
	return nil
}

func (s *Server) addToZip(zw *zip.Writer, o *models.Overlay, at string, f treeFile) error {
	in, err := s.openNode(o, f.node)
	if err != nil {
		return fmt.Errorf("open %q: %w", f.Path, err)
	}
	defer func() { _ = in.Close() }() // read only; nothing can be lost
	w, err := zw.CreateHeader(&zip.FileHeader{Name: strings.TrimPrefix(strings.TrimPrefix(f.Path, at), "/"), Method: zip.Store})
	if err == nil {
		_, err = io.Copy(w, in)
	}
	return err
}

// breakOff ends a download so that the browser knows it is not whole: there is no
// other way to say so when its beginning was sent.
func (s *Server) breakOff(c *gin.Context, o *models.Overlay, err error) error {
	if !c.Writer.Written() {
		return err
	}
	s.Log.WarnContext(c.Request.Context(), "a download broke off", "overlay", o.ID, "err", err)
	panic(http.ErrAbortHandler)
}
