package worker

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/models"
)

// The pace of history.
const (
	sampleGap    = 45 * time.Second // without a look for longer, nobody knows what was between
	sampleSettle = time.Minute      // CPU and memory make a new row this often at most
	sampleSave   = time.Minute      // a row that only grows is stored this often
)

// sampleRun is the row that a server's history grows at.
type sampleRun struct {
	models.ServerSample // zero: there is none
	savedAt             time.Time
}

// history adds a status to what is kept of the past: how the server was, and who was
// on it.
func (b *observation) history(ctx context.Context, tx bun.Tx, s ctl.Status) error {
	id, k := b.ids[s.Name], b.known[s.Name]
	if id == "" { // the operator's own, or deleted meanwhile
		b.known[s.Name] = nil
		return nil
	}
	if s.State != ctl.ServerRunning && s.State != ctl.ServerStarting {
		b.endRun(k)
		if s.State == ctl.ServerUnknown || k.ended {
			return nil
		}
		k.ended, k.names = true, time.Time{}
		if s.State == ctl.ServerAbsent { // it is not told of again
			b.known[s.Name] = nil
		}
		return models.EndPlayerSessions(ctx, tx, id, b.at)
	}
	k.ended = false
	b.grow(k, id, s)
	if s.Live == nil || s.Live.NamesAt.IsZero() || !s.Live.NamesAt.After(k.names) {
		return nil
	}
	k.names = s.Live.NamesAt
	return models.SeePlayers(ctx, tx, id, s.Live.NamesAt, seenPlayers(s.Live.Names))
}

// grow makes the present row longer or begins the next.
func (b *observation) grow(k *knownServer, id string, s ctl.Status) {
	now := models.ServerSample{ServerID: id, At: b.at, Until: b.at, CPU: s.CPU, Memory: s.Memory}
	if l := s.Live; l != nil {
		now.Players, now.Bots, now.Map = l.Players, l.Bots, l.Map
	}
	figures, now := figuresOf(s), now.Rounded()
	run := &k.run
	if run.At.IsZero() || b.at.Sub(run.Until) > sampleGap || b.at.Before(run.Until) {
		b.endRun(k)
		b.save(run, now)
		return
	}
	run.Until = b.at
	same := run.SameGame(now) && (run.near(figures) || b.at.Sub(run.At) < sampleSettle)
	switch {
	case !same || b.at.Sub(run.At) > models.MaxSampleRun-sampleGap:
		b.samples = append(b.samples, run.ServerSample)
		b.save(run, now)
	case b.at.Sub(run.savedAt) >= sampleSave:
		b.save(run, run.ServerSample)
	}
}

// near says that a server's figures are the row's.
func (r sampleRun) near(f figures) bool { return f.near(figures{r.CPU, r.Memory}) }

func (b *observation) save(run *sampleRun, s models.ServerSample) {
	*run = sampleRun{s, b.at}
	b.samples = append(b.samples, s)
}

// endRun stores how far the present row came.
func (b *observation) endRun(k *knownServer) {
	if !k.run.At.IsZero() && k.run.Until.After(k.run.savedAt) {
		b.samples = append(b.samples, k.run.ServerSample)
	}
	k.run = sampleRun{}
}

func seenPlayers(names []ctl.Player) []models.SeenPlayer {
	list := make([]models.SeenPlayer, 0, len(names))
	for _, p := range names {
		list = append(list, models.SeenPlayer{
			SteamID: p.SteamID, Name: p.Name, Connected: time.Duration(p.Connected) * time.Second, Ping: p.Ping,
		})
	}
	return list
}
