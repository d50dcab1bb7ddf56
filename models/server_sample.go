package models

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// The steps that a sample's figures are rounded to, so that a quiet server makes one
// long row and not one for each look.
const (
	SampleCPU    = 50       // thousandths of a core
	SampleMemory = 16 << 20 // bytes
)

// MaxSamplePoints bounds what SamplesBetween returns.
const MaxSamplePoints = 500

// MaxSampleRun is the longest that one row may cover: whoever looks for what touches
// an hour need not read what began long before it.
const MaxSampleRun = 6 * time.Hour

// maxSampleSpan bounds how much of the past is read at once.
const maxSampleSpan = 93 * 24 * time.Hour

// ServerSample is a time in which a server did not change: the same people, map and
// rounded figures from At to Until.
type ServerSample struct {
	bun.BaseModel `bun:"table:server_samples"`

	ServerID string    `bun:"server_id,pk"`
	At       time.Time `bun:"at,pk"`
	Until    time.Time `bun:"until"`
	Players  int       `bun:"players"`
	Bots     int       `bun:"bots"`
	Map      string    `bun:"map"`
	CPU      int       `bun:"cpu"`    // thousandths of a core
	Memory   int64     `bun:"memory"` // bytes
}

// Rounded is s with its figures in whole steps and its text as databases take it.
func (s ServerSample) Rounded() ServerSample {
	s.Players, s.Bots, s.Map = max(s.Players, 0), max(s.Bots, 0), storable(s.Map, 128)
	s.CPU = (max(s.CPU, 0) + SampleCPU/2) / SampleCPU * SampleCPU
	s.Memory = (max(s.Memory, 0) + SampleMemory/2) / SampleMemory * SampleMemory
	return s
}

// Same says that nothing but the time differs.
func (s ServerSample) Same(o ServerSample) bool {
	return s.SameGame(o) && s.CPU == o.CPU && s.Memory == o.Memory
}

// SameGame says that players, bots and map are the same.
func (s ServerSample) SameGame(o ServerSample) bool {
	return s.Players == o.Players && s.Bots == o.Bots && s.Map == o.Map
}

// SaveSamples stores runs, each at most once: one that is there already, by its server
// and beginning, takes the new end and figures.
func SaveSamples(ctx context.Context, db bun.IDB, list []ServerSample) error {
	if len(list) == 0 {
		return nil
	}
	_, err := db.NewInsert().Model(&list).On("CONFLICT (server_id, at) DO UPDATE").
		Set("until = EXCLUDED.until").Set("players = EXCLUDED.players").Set("bots = EXCLUDED.bots").
		Set("map = EXCLUDED.map").Set("cpu = EXCLUDED.cpu").Set("memory = EXCLUDED.memory").Exec(ctx)
	if err != nil {
		return fmt.Errorf("store samples: %w", violation(err))
	}
	return nil
}

// SamplePoint is one stretch of a chart: the most players and memory, the mean of the
// CPU and the map that was played longest between From and To. Between two points
// that do not touch the server was not up, or nobody looked.
type SamplePoint struct {
	From, To time.Time
	Players  int
	Bots     int
	CPU      int   // thousandths of a core, mean
	CPUPeak  int   // thousandths of a core
	Memory   int64 // bytes
	Map      string
}

// SamplesBetween is a server's history from one time to another, oldest first, in at
// most points (at most MaxSamplePoints) stretches. Neighbours that are alike are one.
// Who may see the server is the caller's affair. A span that is empty or longer than
// 93 days is ErrConflict.
func SamplesBetween(ctx context.Context, db bun.IDB, serverID string, from, to time.Time, points int) ([]SamplePoint, error) {
	points = min(max(points, 1), MaxSamplePoints)
	from, to = from.UTC(), to.UTC()
	if !from.Before(to) || to.Sub(from) > maxSampleSpan {
		return nil, fmt.Errorf("samples from %s to %s: %w", from, to, ErrConflict)
	}
	rows, err := db.NewSelect().Model((*ServerSample)(nil)).Column("at", "until", "players", "bots", "map", "cpu", "memory").
		Where("server_id = ? AND at >= ? AND at < ? AND until > ?", serverID, from.Add(-MaxSampleRun), to, from).OrderExpr("at").Rows(ctx)
	if err != nil {
		return nil, fmt.Errorf("read samples: %w", err)
	}
	defer rows.Close() // its error is rows.Err's
	c := newSampleChart(from, to, points)
	for rows.Next() {
		var s ServerSample
		var at, until bun.NullTime // SQLite's driver gives text
		if err := rows.Scan(&at, &until, &s.Players, &s.Bots, &s.Map, &s.CPU, &s.Memory); err != nil {
			return nil, fmt.Errorf("read a sample: %w", err)
		}
		s.At, s.Until = at.Time, until.Time
		c.add(s)
	}
	return c.points(), rows.Err()
}

// sampleChart collects runs into stretches of one length.
type sampleChart struct {
	from   time.Time
	width  time.Duration
	boxes  []sampleBox
	longer map[string]string // each map's name once, however many rows tell it
}

type sampleBox struct {
	from, to time.Time // the part of the stretch that was covered
	covered  time.Duration
	work     float64 // thousandths of a core × seconds
	point    SamplePoint
	maps     map[string]time.Duration
}

func newSampleChart(from, to time.Time, points int) *sampleChart {
	width := (to.Sub(from) + time.Duration(points) - 1) / time.Duration(points)
	return &sampleChart{from: from, width: max(width, time.Second), boxes: make([]sampleBox, points), longer: map[string]string{}}
}

func (c *sampleChart) add(s ServerSample) {
	name, known := c.longer[s.Map]
	if !known {
		name = s.Map
		c.longer[name] = name
	}
	for i := max(int(s.At.Sub(c.from)/c.width), 0); i < len(c.boxes); i++ {
		begin := c.from.Add(time.Duration(i) * c.width)
		end := begin.Add(c.width)
		if !begin.Before(s.Until) {
			return
		}
		from, to := later(begin, s.At), earlier(end, s.Until)
		if !from.Before(to) {
			continue
		}
		c.boxes[i].add(s, name, from, to)
	}
}

func (b *sampleBox) add(s ServerSample, name string, from, to time.Time) {
	if b.covered == 0 {
		b.from, b.maps = from, map[string]time.Duration{}
	}
	took := to.Sub(from)
	b.to = later(b.to, to)
	b.covered += took
	b.work += float64(s.CPU) * took.Seconds()
	b.maps[name] += took
	p := &b.point
	p.Players, p.Bots = max(p.Players, s.Players), max(p.Bots, s.Bots)
	p.CPUPeak, p.Memory = max(p.CPUPeak, s.CPU), max(p.Memory, s.Memory)
}

// points closes the stretches. Two that touch and are alike become one.
func (c *sampleChart) points() []SamplePoint {
	var list []SamplePoint
	for i := range c.boxes {
		b := &c.boxes[i]
		if b.covered == 0 {
			continue
		}
		p := b.point
		p.From, p.To = b.from, b.to
		p.CPU = int(b.work/b.covered.Seconds() + 0.5)
		var longest time.Duration
		for name, took := range b.maps {
			if took > longest || took == longest && name < p.Map {
				p.Map, longest = name, took
			}
		}
		if n := len(list); n > 0 && list[n-1].To.Equal(p.From) && alike(list[n-1], p) {
			list[n-1].To = p.To
			continue
		}
		list = append(list, p)
	}
	return list
}

func alike(a, b SamplePoint) bool {
	a.From, a.To, b.From, b.To = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return a == b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
