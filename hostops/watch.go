package hostops

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/rcon"
	"left4me/hostops/supervisor"
)

// The pace of watching. A process is looked at often, because that is cheap; the
// game is asked seldom, because it answers only a few queries a second to all.
const (
	watchTick    = time.Second
	watchQuery   = 5 * time.Second        // between A2S queries of one game
	watchStart   = time.Second            // while it starts
	watchConsole = time.Minute            // between RCON calls while people play: one may have replaced another
	watchBeat    = 15 * time.Second       // a sign of life, whatever happens
	watchJitter  = 500 * time.Millisecond // so that games are not asked in step
	watchMisses  = 3                      // lost replies before a game counts as not answering
)

// Watch emits what is installed and the state of every known server now, at each
// change, and at least every 15 seconds, until ctx ends. A server that vanishes is told as absent once.
func (h *Host) Watch(ctx context.Context) error {
	slots := make(chan struct{}, statusAtOnce)
	watched := map[string]chan struct{}{}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	var game gameWatch
	for {
		game.look(h)
		names, err := h.known()
		if err != nil {
			return err
		}
		for name, gone := range watched {
			select {
			case <-gone:
				delete(watched, name)
			default:
			}
		}
		for _, name := range names {
			if watched[name] == nil {
				gone := make(chan struct{})
				watched[name] = gone
				wg.Go(func() {
					defer close(gone)
					(&watcher{h: h, name: name, slots: slots}).run(ctx)
				})
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// watcher follows one server.
type watcher struct {
	h     *Host
	name  string
	slots chan struct{} // shared: how many games are asked at once

	told   string // what was said last, without what changes all the time
	toldAt time.Time

	failedAt time.Time // the failure that why explains
	why      string

	current runID  // the process that the rest belongs to
	stuck   string // why it does not come to its first map, when that was found out
	stuckAt time.Time
	seen    markers
	live    *ctl.Live
	misses  int
	retryAt time.Time // RCON refused the password: not tried again before
	queryAt time.Time
	rconAt  time.Time
	readAt  time.Time
}

// runID tells one run of a game from the next.
type runID struct {
	pid   int
	since int64
}

func (w *watcher) run(ctx context.Context) {
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	for {
		st, ok := w.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if ok {
			w.tell(st)
			if st.State == ctl.ServerAbsent {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look is the server's status; not ok when nothing could be learned.
func (w *watcher) look(ctx context.Context) (ctl.Status, bool) {
	st, inst, err := w.h.seen(ctx, w.name)
	if err != nil {
		return ctl.Status{Name: w.name, State: ctl.ServerUnknown, Since: now(), Message: err.Error()}, true
	}
	if st.State != ctl.ServerStarting && st.State != ctl.ServerRunning || inst.PID == 0 { // waiting for its restart
		w.current = runID{}
		w.explain(ctx, &st, inst)
		return st, true
	}
	if id := (runID{inst.PID, inst.Since.UnixNano()}); id != w.current {
		*w = watcher{h: w.h, name: w.name, slots: w.slots, told: w.told, toldAt: w.toldAt, current: id}
		w.seen.grade = ctl.GradeProcess
	}
	w.ask(ctx, st.Port, inst)
	st.Live = w.live
	if time.Since(w.stuckAt) < watchBeat { // files are not looked through every second
		st.Message = w.stuck
	}
	w.h.settle(&st, inst, w.seen)
	if st.State == ctl.ServerStarting && st.Message != w.stuck {
		w.stuck, w.stuckAt = st.Message, time.Now()
	}
	return st, true
}

// explain looks once for the reason of a failure.
func (w *watcher) explain(ctx context.Context, st *ctl.Status, inst supervisor.Instance) {
	if st.State != ctl.ServerFailed {
		return
	}
	if !w.failedAt.Equal(inst.Since) {
		w.h.sayWhy(ctx, st, inst)
		w.failedAt, w.why = inst.Since, st.Message
	}
	st.Message = w.why
}

// ask does what is due: the log while it starts, A2S now and then, RCON when
// players came or went, A2S is silent, or for names after a while.
func (w *watcher) ask(ctx context.Context, port int, inst supervisor.Instance) {
	t := time.Now()
	if gradeOrder[w.seen.grade] < gradeOrder[ctl.GradeRCON] || (!w.seen.steam && t.Sub(w.readAt) > watchQuery) {
		w.readAt = t
		if m, err := w.h.readMarkers(ctx, w.name, inst.Since.Add(-sinceSlack)); err == nil {
			m.raise(w.seen.grade)
			w.seen = m
		}
	}
	if t.Before(w.queryAt) {
		return
	}
	w.slots <- struct{}{}
	defer func() { <-w.slots }()
	pause := watchQuery
	if gradeOrder[w.seen.grade] < gradeOrder[ctl.GradeRCON] {
		pause = watchStart
	}
	w.queryAt = t.Add(pause + rand.N(watchJitter) - watchJitter/2)
	live, err := query(ctx, port)
	switch {
	case err != nil:
		w.misses++
	case w.changed(live):
		w.misses, w.rconAt = 0, time.Time{}
	default:
		w.misses = 0
	}
	if err == nil {
		w.seen.raise(ctl.GradeMap)
		w.keep(live)
	}
	w.console(ctx, port, inst)
}

// changed reports whether the A2S answer differs in what RCON knows better.
func (w *watcher) changed(live *ctl.Live) bool {
	return w.live == nil || live.Map != w.live.Map || live.Players != w.live.Players || live.Bots != w.live.Bots
}

// keep takes an A2S answer over without forgetting what only RCON tells.
func (w *watcher) keep(live *ctl.Live) {
	if w.live != nil {
		live.Names, live.Hibernating, live.Public = w.live.Names, w.live.Hibernating, w.live.Public
	}
	w.live = live
}

func (w *watcher) console(ctx context.Context, port int, inst supervisor.Instance) {
	silent := w.misses > 0
	played := w.live != nil && w.live.Players > 0
	due := w.rconAt.IsZero() || silent || (played && time.Since(w.rconAt) > watchConsole)
	if !due || !w.seen.executed || time.Now().Before(w.retryAt) || w.h.rconRefused(w.name, inst) {
		w.forget()
		return
	}
	live, err := console(ctx, port, w.h.gamePassword(w.name, inst))
	switch {
	case err == nil:
		w.rconAt, w.misses, w.live = time.Now(), 0, live
		w.seen.raise(ctl.GradeRCON)
	case errors.Is(err, rcon.ErrAuth):
		w.retryAt = time.Now().Add(refusedAfter)
		w.h.noteRefused(w.name, inst)
	}
	w.forget()
}

// forget drops what the game said once it has been silent for a while. The
// process still decides whether it runs.
func (w *watcher) forget() {
	if w.misses >= watchMisses {
		w.live = nil
	}
}

// tell emits st when it differs from what was said, or as a sign of life.
func (w *watcher) tell(st ctl.Status) {
	essence := essenceOf(st)
	if essence == w.told && time.Since(w.toldAt) < watchBeat-watchTick {
		return
	}
	w.told, w.toldAt = essence, time.Now()
	w.h.Emit(ctl.Event{Type: ctl.EventState, At: now(), Status: &st})
}

// essenceOf leaves out what changes with every look.
func essenceOf(st ctl.Status) string {
	st.Memory = 0
	if st.State == ctl.ServerAbsent || st.State == ctl.ServerUnknown {
		st.Since = time.Time{}
	}
	if st.Live != nil {
		live := *st.Live
		live.At = time.Time{}
		live.Names = append([]ctl.Player(nil), live.Names...)
		for i := range live.Names {
			live.Names[i].Connected, live.Names[i].Ping = 0, 0
		}
		st.Live = &live
	}
	text, err := json.Marshal(st)
	if err != nil { // no NaN is in a status
		return st.Name
	}
	return string(text)
}
