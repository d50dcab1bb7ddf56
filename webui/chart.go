package webui

import (
	"fmt"
	"math"
	"strings"
	"time"

	"left4me/models"
)

// The drawing's own units; the page stretches it to its width.
const (
	chartWidth  = 600
	chartHeight = 100
)

// chart is one figure of a server over a span of time, drawn by the server: two paths
// of a picture that no script and no style is needed for.
type chart struct {
	Title string
	Words string // the same for who cannot see it: peak and average
	Line  string // path of the curve
	Area  string // path of what is below it
	Top   string // the figure at the upper edge
	Tone  string // a class that colours it
}

// newChart draws value over the points. Where there is no point there is no line.
func newChart(title, tone string, from, to time.Time, points []models.SamplePoint, value func(models.SamplePoint) float64, top float64, write func(float64) string) chart {
	c := chart{Title: title, Tone: tone}
	peak, sum, covered := 0.0, 0.0, 0.0
	for _, p := range points {
		v, seconds := value(p), p.To.Sub(p.From).Seconds()
		peak = math.Max(peak, v)
		sum += v * seconds
		covered += seconds
	}
	if covered == 0 {
		return c
	}
	top = math.Max(top, peak)
	c.Top = write(top)
	c.Words = fmt.Sprintf("at most %s, %s on average while it was up", write(peak), write(sum/covered))
	var line, area strings.Builder
	for i := 0; i < len(points); {
		j := i + 1
		for j < len(points) && points[j].From.Equal(points[j-1].To) {
			j++
		}
		drawRun(&line, &area, points[i:j], from, to, func(p models.SamplePoint) float64 { return value(p) / top })
		i = j
	}
	c.Line, c.Area = line.String(), area.String()
	return c
}

// drawRun draws steps: a figure holds until the next one.
func drawRun(line, area *strings.Builder, run []models.SamplePoint, from, to time.Time, part func(models.SamplePoint) float64) {
	x := func(t time.Time) float64 { return placeIn(t, from, to) * chartWidth }
	y := func(p models.SamplePoint) float64 { return (1-part(p))*(chartHeight-4) + 2 }
	fmt.Fprintf(line, "M%.1f %.1f", x(run[0].From), y(run[0]))
	fmt.Fprintf(area, "M%.1f %d", x(run[0].From), chartHeight)
	for i, p := range run {
		if i > 0 {
			fmt.Fprintf(line, "V%.1f", y(p))
		}
		fmt.Fprintf(line, "H%.1f", x(p.To))
		fmt.Fprintf(area, "V%.1fH%.1f", y(p), x(p.To))
	}
	fmt.Fprintf(area, "V%dZ", chartHeight)
}

// placeIn is where t lies between from and to, from 0 to 1.
func placeIn(t, from, to time.Time) float64 {
	return min(max(float64(t.Sub(from))/float64(to.Sub(from)), 0), 1)
}

// mapStretch is a time in which one map was played, as a part of the chart's width.
type mapStretch struct {
	Title, Name string
	Hue         string
	X, Width    string
	From, To    time.Time
}

// mapStretches joins the points of one map. Of very many only the longest are named by
// the page, which shows as many as fit.
func mapStretches(from, to time.Time, points []models.SamplePoint) []mapStretch {
	var list []mapStretch
	for _, p := range points {
		if p.Map == "" {
			continue
		}
		if n := len(list); n > 0 && list[n-1].Name == p.Map && list[n-1].To.Equal(p.From) {
			list[n-1].To = p.To
			continue
		}
		list = append(list, mapStretch{Name: p.Map, From: p.From, To: p.To})
	}
	for i := range list {
		m := &list[i]
		title, hue := mapTitle(m.Name)
		left, right := placeIn(m.From, from, to)*chartWidth, placeIn(m.To, from, to)*chartWidth
		m.Title, m.Hue = cleanText(title), fmt.Sprintf("h%d", hue)
		m.X, m.Width = fmt.Sprintf("%.1f", left), fmt.Sprintf("%.1f", max(right-left, 1))
	}
	return list
}
