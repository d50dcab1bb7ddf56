package webui

import (
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"left4me/models"
)

// sendFile sends a stranger's file to be saved, in parts where a browser asks for
// them. Its type is always the one that no browser shows.
func sendFile(c *gin.Context, name string, f File) {
	h := c.Writer.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	if h.Get("Content-Disposition") == "" { // a name that no header can carry
		h.Set("Content-Disposition", "attachment")
	}
	http.ServeContent(newPatientWriter(c), c.Request, "", time.Time{}, f)
}

// writePause is how long who downloads something may take nothing of it: a connection
// and an open file are held for them.
const writePause = time.Minute

// patientWriter gives a reader a while for each part.
type patientWriter struct {
	http.ResponseWriter
	conn *http.ResponseController
}

func newPatientWriter(c *gin.Context) *patientWriter {
	return &patientWriter{c.Writer, http.NewResponseController(c.Writer)}
}

func (w *patientWriter) Write(b []byte) (int, error) {
	_ = w.conn.SetWriteDeadline(time.Now().Add(writePause)) // a connection that knows no deadlines has its proxy's
	return w.ResponseWriter.Write(b)
}

// sendPicture sends what Content opened: a picture that was looked at before it was
// stored. A browser may keep it for a day.
func sendPicture(c *gin.Context, f File, kind string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return models.ErrNotFound
	} else if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // read only; nothing can be lost
	c.Header("Content-Type", kind)
	c.Header("Cache-Control", "private, max-age=86400")
	http.ServeContent(c.Writer, c.Request, "", time.Time{}, f)
	return nil
}
