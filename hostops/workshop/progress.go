package workshop

import (
	"sync"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/steam"
)

// showInterval is how often progress is told: oftener nobody can see.
const showInterval = 200 * time.Millisecond

// progress adds up the bytes of everything that is fetched and tells them in one
// phase.
type progress struct {
	emit func(ctl.Event)
	stop chan struct{}
	done sync.WaitGroup

	mu    sync.Mutex
	phase ctl.Phase
	meter steam.Meter
	kept  int64 // of Done: what was there before, which says nothing of the rate
	sent  int64 // what the last event said
}

func newProgress(total int64, emit func(ctl.Event)) *progress {
	return &progress{emit: emit, stop: make(chan struct{}), phase: ctl.Phase{Key: "workshop.fetch", Total: total}}
}

// begin tells the phase, and then how far it is until end.
func (p *progress) begin(title string) {
	p.phase.Title = title
	begun := p.phase
	p.emit(ctl.Event{Type: ctl.EventPhase, Phase: &begun})
	p.done.Go(func() {
		tick := time.NewTicker(showInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.show()
			case <-p.stop:
				p.show()
				return
			}
		}
	})
}

func (p *progress) end() {
	close(p.stop)
	p.done.Wait()
}

// add counts bytes that arrived, and bytes that are to come beyond what was known.
func (p *progress) add(done, total int64) {
	p.mu.Lock()
	p.phase.Done += done
	p.phase.Total += total
	p.mu.Unlock()
}

// keep counts bytes that an earlier run fetched.
func (p *progress) keep(n int64) {
	p.mu.Lock()
	p.phase.Done += n
	p.kept += n
	p.mu.Unlock()
}

func (p *progress) show() {
	p.mu.Lock()
	now := time.Now().UTC()
	p.phase.Rate, p.phase.Left = p.meter.Measure(now, p.phase.Done-p.kept, p.phase.Total-p.kept)
	if p.phase.Total > 0 {
		p.phase.Percent = min(100*float64(p.phase.Done)/float64(p.phase.Total), 100)
	}
	shown, news := p.phase, p.phase.Done != p.sent
	p.sent = p.phase.Done
	p.mu.Unlock()
	if news {
		p.emit(ctl.Event{Type: ctl.EventProgress, At: now, Phase: &shown})
	}
}
