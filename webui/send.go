package webui

import (
	"mime"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
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
	http.ServeContent(c.Writer, c.Request, "", time.Time{}, f)
}
