package worker

import (
	"time"

	"left4me/hostops/ctl"
	"left4me/models"
)

// maxSteps bounds the list of finished steps on the row.
const maxSteps = 40

// step takes a phase or progress event over into what the row shows. A phase
// with another key, or another try, ends the one before it.
func (a *attempt) step(e ctl.Event) {
	if e.Phase == nil {
		return
	}
	p, at := e.Phase, e.At
	if at.IsZero() {
		at = models.Now()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dirty = true
	began := at
	if now := a.progress.Now; now != nil {
		if now.Key == p.Key && now.Try == p.Try {
			began = now.Began
		} else {
			a.progress.Steps = append(a.progress.Steps, ended(*now, at))
		}
	}
	if n := len(a.progress.Steps); n > maxSteps {
		a.progress.Steps = append(a.progress.Steps[:0:0], a.progress.Steps[n-maxSteps:]...)
	}
	a.progress.Now = &models.JobStep{
		Key: p.Key, Title: p.Title, Step: p.Step, Steps: p.Steps, Percent: p.Percent,
		Done: p.Done, Total: p.Total, Rate: p.Rate, Left: p.Left, Try: p.Try, Tries: p.Tries, Why: p.Why, Began: began,
	}
}

// endStep closes the step that was under way when the attempt ended. What it had
// reached stays visible.
func (a *attempt) endStep() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.progress.Now == nil {
		return
	}
	a.progress.Steps = append(a.progress.Steps, ended(*a.progress.Now, models.Now()))
	a.progress.Now = nil
}

func ended(s models.JobStep, at time.Time) models.JobStep {
	s.Ended, s.Rate, s.Left = at, 0, 0
	return s
}

// copyOf detaches a progress value from the attempt that goes on changing it.
func copyOf(p models.JobProgress) models.JobProgress {
	p.Steps = append([]models.JobStep(nil), p.Steps...)
	if p.Now != nil {
		now := *p.Now
		p.Now = &now
	}
	return p
}
