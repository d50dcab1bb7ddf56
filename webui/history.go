package webui

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"left4me/models"
)

// historySpan is how much of the past a page of history shows.
type historySpan struct {
	Key, Word string
	Length    time.Duration
	Marks     int // parts of the axis
	Points    int
}

var historySpans = []historySpan{
	{"hour", "Hour", time.Hour, 4, 120},
	{"day", "Day", 24 * time.Hour, 6, 288},
	{"month", "Month", 30 * 24 * time.Hour, 6, 360},
}

// historyView is what a server was like over a span of time.
type historyView struct {
	Path     string
	Span     historySpan
	From, To time.Time
	Charts   []chart
	Maps     []mapStretch
	Played   []mapPlayed
	Axis     []time.Time
}

// mapPlayed is how long a map was played in all.
type mapPlayed struct {
	Title, Name string
	For         time.Duration
}

type historyPage struct {
	serverFrame
	historyView
	Spans []spanLink
}

func (historyPage) template() string { return "history.html" }

func (s *Server) showHistory(c *gin.Context) error {
	v, err := s.tabView(c)
	if err != nil {
		return err
	}
	span := historySpans[1]
	for _, other := range historySpans {
		if other.Key == c.Query("span") {
			span = other
		}
	}
	leave, err := s.enterHeavy(c)
	if err != nil {
		return err
	}
	defer leave()
	history, err := s.history(c.Request.Context(), v.Server.ID, span)
	if err != nil {
		return err
	}
	history.Path = v.Path() + "/history"
	frame, err := s.serverFrame(c, v, "/history")
	if err != nil {
		return err
	}
	page := historyPage{serverFrame: frame, historyView: history}
	for _, other := range historySpans {
		page.Spans = append(page.Spans, spanLink{other.Word, other.Key, other.Key == span.Key})
	}
	return s.show(c, http.StatusOK, page)
}

func (s *Server) history(ctx context.Context, serverID string, span historySpan) (historyView, error) {
	to := models.Now()
	from := to.Add(-span.Length)
	v := historyView{Span: span, From: from, To: to}
	points, err := models.SamplesBetween(ctx, s.DB, serverID, from, to, span.Points)
	if err != nil || len(points) == 0 {
		return v, err
	}
	v.Charts = []chart{
		playersChart(from, to, points),
		newChart("CPU", "cpu", from, to, points, func(p models.SamplePoint) float64 { return float64(p.CPU) }, 1000,
			func(f float64) string { return fmt.Sprintf("%.0f %% of a core", f/10) }),
		newChart("Memory", "memory", from, to, points, func(p models.SamplePoint) float64 { return float64(p.Memory) }, 512<<20,
			func(f float64) string { return formatBytes(int64(f)) }),
	}
	v.Maps, v.Played = mapStretches(from, to, points), mapsPlayed(points)
	for i := range span.Marks + 1 {
		v.Axis = append(v.Axis, from.Add(span.Length*time.Duration(i)/time.Duration(span.Marks)))
	}
	return v, nil
}

func playersChart(from, to time.Time, points []models.SamplePoint) chart {
	return newChart("Players", "players", from, to, points, func(p models.SamplePoint) float64 { return float64(p.Players) }, 4,
		func(f float64) string {
			if f == float64(int(f)) {
				return count(int(f), "player")
			}
			return fmt.Sprintf("%.1f players", f)
		})
}

// mapsPlayed adds up the maps, longest first, at most ten.
func mapsPlayed(points []models.SamplePoint) []mapPlayed {
	took := map[string]time.Duration{}
	for _, p := range points {
		if p.Map != "" && p.Players > 0 {
			took[p.Map] += p.To.Sub(p.From)
		}
	}
	var list []mapPlayed
	for name, d := range took {
		title, _ := mapTitle(name)
		list = append(list, mapPlayed{cleanText(title), name, d})
	}
	slices.SortFunc(list, func(a, b mapPlayed) int {
		if a.For != b.For {
			return cmp.Compare(b.For, a.For)
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list[:min(len(list), 10)]
}

// tonightView is the small chart beside a server's log.
type tonightView struct {
	chart
	From, To time.Time
	Path     string
}

// tonight is who was there in the last six hours. Without history there is nothing to
// draw.
func (s *Server) tonight(ctx context.Context, v serverView) (*tonightView, error) {
	to := models.Now()
	from := to.Add(-6 * time.Hour)
	points, err := models.SamplesBetween(ctx, s.DB, v.Server.ID, from, to, 120)
	if err != nil || len(points) == 0 {
		return nil, err
	}
	return &tonightView{playersChart(from, to, points), from, to, v.Path() + "/history"}, nil
}
