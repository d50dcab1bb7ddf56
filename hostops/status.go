package hostops

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/rcon"
	"left4me/hostops/supervisor"
)

// statusAtOnce bounds how many games are asked at the same time.
const statusAtOnce = 8

// Status is one instance as the host sees it. A name that nothing is known of is
// absent, which is no error.
func (h *Host) Status(ctx context.Context, name string) (ctl.Status, error) {
	if err := ctl.CheckName(name); err != nil {
		return ctl.Status{}, err
	}
	st, inst, err := h.seen(ctx, name)
	if err != nil {
		return st, err
	}
	up := st.State == ctl.ServerStarting || st.State == ctl.ServerRunning
	if up && inst.PID != 0 { // else it waits for its restart, and the log is of the run that ended
		h.probe(ctx, &st, inst)
	}
	new(crash).explain(ctx, h, &st, inst)
	return st, nil
}

// StatusAll is every known instance in order of names.
func (h *Host) StatusAll(ctx context.Context) ([]ctl.Status, error) {
	names, err := h.known()
	if err != nil {
		return nil, err
	}
	all := make([]ctl.Status, len(names))
	failed := make([]error, len(names))
	slots := make(chan struct{}, statusAtOnce)
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			all[i], failed[i] = h.Status(ctx, name)
		})
	}
	wg.Wait()
	return all, errors.Join(failed...)
}

// seen is what can be said without asking the game.
func (h *Host) seen(ctx context.Context, name string) (ctl.Status, supervisor.Instance, error) {
	st := ctl.Status{Name: name, State: ctl.ServerAbsent, Since: now()}
	spec, specErr := h.readSpec(name)
	if specErr != nil && h.nothingOf(name) {
		return st, supervisor.Instance{}, nil
	}
	inst, err := h.Supervisor.Status(ctx, name)
	if err != nil {
		return st, inst, err
	}
	if errors.Is(specErr, ctl.ErrNotFound) && !up(inst) {
		return st, inst, nil // half made or half deleted: not a server
	}
	st.State, st.Since, st.Message = inst.State, inst.Since, inst.Message
	st.PID, st.Restarts, st.Exit, st.Applied, st.Memory = inst.PID, inst.Restarts, inst.Exit, inst.Applied, inst.Memory
	st.Lost = inst.Lost
	st.Port = spec.Port
	if up(inst) && inst.Applied != nil {
		st.Port = portOf(inst.Applied.Argv, st.Port)
		st.Pending = specErr == nil && inst.Applied.Spec != spec.Sum()
	}
	if specErr != nil && st.Message == "" {
		st.Message = specErr.Error()
	}
	if st.Since.IsZero() {
		st.Since = h.initialisedAt(name)
	}
	return st, inst, nil
}

// initialisedAt is since when an instance that never ran is stopped.
func (h *Host) initialisedAt(name string) time.Time {
	info, err := os.Lstat(h.path(dirInstances, name, specFile))
	if err != nil {
		return now()
	}
	return info.ModTime().UTC()
}

// probe asks the log and the game how far a running process is. It is starting
// until the map loads or the game answers.
func (h *Host) probe(ctx context.Context, st *ctl.Status, inst supervisor.Instance) {
	m, err := h.readMarkers(ctx, st.Name, inst.Since.Add(-sinceSlack))
	if err != nil {
		m.executed = false // without the log nobody knows whether the password holds yet
	}
	live, rconErr := (*ctl.Live)(nil), error(nil)
	if m.executed && !h.rconRefused(st.Name, inst) {
		live, rconErr = console(ctx, st.Port, h.gamePassword(st.Name, inst))
		switch {
		case rconErr == nil:
			m.raise(ctl.GradeRCON)
		case errors.Is(rconErr, rcon.ErrAuth):
			h.noteRefused(st.Name, inst)
		}
	}
	if live == nil {
		if live, err = query(ctx, st.Port); err == nil {
			m.raise(ctl.GradeMap)
		}
	}
	if live != nil {
		live.Mode, live.Difficulty, _ = playing(ctx, st.Port) // an extra: without it they are not told
	}
	st.Live = live
	h.settle(st, inst, m)
}

// stuckAfter is how long a game may stand before its first map until its status
// says so. Big campaigns take this long on slow disks.
const stuckAfter = 45 * time.Second

// slowAfter is the same for a game that has not even mounted its add-ons.
const slowAfter = 2 * time.Minute

// settle puts grade, state and message together.
func (h *Host) settle(st *ctl.Status, inst supervisor.Instance, m markers) {
	if live := st.Live; live != nil && live.Public != "" {
		m.steam, m.lost = true, false
	}
	if m.grade == ctl.GradeRCON && m.steam {
		m.raise(ctl.GradeSteam)
	}
	st.Grade = m.grade
	st.State = ctl.ServerStarting
	if gradeOrder[m.grade] >= gradeOrder[ctl.GradeMap] {
		st.State = ctl.ServerRunning
	} else if m.hibernated && !m.loaded && time.Since(inst.Since) > stuckAfter && st.Message == "" {
		st.Message = sentenceOf(h.stuckBefore(st.Name, inst, m))
	} else if !m.loaded && time.Since(inst.Since) > slowAfter && st.Message == "" {
		st.Message = "Its process runs for more than two minutes and has not begun to load a map. Its log shows how far it came."
	}
	h.sayReach(st, m)
}
