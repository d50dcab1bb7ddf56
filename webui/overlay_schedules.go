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
	Next        time.Time
	Job         *jobView // the one that is under way, nil for none
	Last        *jobView // the last one that ended, nil for none
}

func (s *Server) schedules(ctx context.Context) ([]scheduleView, error) {
	list, err := models.Schedules(ctx, s.DB, models.LocalHost)
	if err != nil {
		return nil, err
	}
	var out []scheduleView
	for _, sch := range list {
		v := scheduleView{Enabled: sch.Enabled, Next: sch.Next(time.Now())}
		switch sch.Name {
		case jobs.RefreshOverlays{}.Kind():
			v.Title, v.Path = "Look for new versions of all workshop items", "/overlays/refresh"
		case jobs.CollectOverlays{}.Kind():
			v.Title, v.Path = "Remove versions that nothing uses", "/overlays/collect"
		default:
			continue
		}
		if v.Job, v.Last, err = s.jobsOfKind(ctx, sch.Name); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// jobsOfKind finds the host's first unfinished job of a kind and the last one that
// ended, each nil when there is none.
func (s *Server) jobsOfKind(ctx context.Context, kind string) (running, last *jobView, err error) {
	waiting, err := models.UnfinishedByKind(ctx, s.DB, models.LocalHost, kind)
	if err != nil {
		return nil, nil, err
	}
	if len(waiting) > 0 {
		running = &jobView{Job: &waiting[0]}
	}
	ended, err := models.LastJobByKind(ctx, s.DB, models.LocalHost, kind)
	if ended != nil {
		last = &jobView{Job: ended}
	}
	return running, last, err
}

func (s *Server) refreshOverlays(c *gin.Context) error {
	return s.enqueueAndShow(c, jobs.RefreshOverlays{})
}

func (s *Server) collectOverlays(c *gin.Context) error {
	return s.enqueueAndShow(c, jobs.CollectOverlays{})
}
