package webui

import (
	"context"
	"time"

	"github.com/gin-gonic/gin"

	"left4me/jobs"
	"left4me/models"
)

// scheduleView is work that comes by the clock, and the button that does it now.
type scheduleView struct {
	Title, Path string
	Enabled     bool
	Last, Next  time.Time
}

func (s *Server) schedules(ctx context.Context) ([]scheduleView, error) {
	list, err := models.Schedules(ctx, s.DB, models.LocalHost)
	if err != nil {
		return nil, err
	}
	var out []scheduleView
	for _, sch := range list {
		v := scheduleView{Enabled: sch.Enabled, Last: sch.LastAt, Next: sch.Next(time.Now())}
		switch sch.Name {
		case jobs.RefreshOverlays{}.Kind():
			v.Title, v.Path = "Look for new versions of all workshop items", "/overlays/refresh"
		case jobs.CollectOverlays{}.Kind():
			v.Title, v.Path = "Remove versions that nothing uses", "/overlays/collect"
		default:
			continue
		}
		out = append(out, v)
	}
	return out, nil
}

func (s *Server) refreshOverlays(c *gin.Context) error {
	return s.enqueueAndShow(c, jobs.RefreshOverlays{})
}

func (s *Server) collectOverlays(c *gin.Context) error {
	return s.enqueueAndShow(c, jobs.CollectOverlays{})
}
