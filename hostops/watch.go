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

// The pace of watching. Whether a process lives is looked at often, because that is
// cheap; the game is asked seldom, because it answers only a few queries a second to
// all, and a fifty of them must not cost a host what a player needs.
const (
	watchTick    = time.Second
	watchQuery   = 5 * time.Second        // between A2S queries of one game
	watchStart   = time.Second            // while it starts
	watchConsole = time.Minute            // between RCON calls while it is awake: of people, one may have replaced another
	watchIdle    = 5 * time.Minute        // while it sleeps: it may have lost Steam
	watchRules   = time.Minute            // between looks at mode and difficulty while people play
	watchLog     = 30 * time.Second       // between looks at the log of one that Steam does not answer
	watchBeat    = 15 * time.Second       // a whole look and a sign of life, whatever happens
	watchJitter  = 500 * time.Millisecond // so that games are not asked in step
	watchMisses  = 3                      // lost replies before a game counts as not answering
	hungAfter    = 45 * time.Second       // of silence; the change to a big map takes less
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

	told     string // what was said last, without what changes all the time
	toldAt   time.Time
	restless bool // the next tick may find something new although nothing shows it

	base baseLook // what is known without asking the game
	end  crash    // how it last ended by itself

	current runID  // the process that the rest belongs to
	stuck   string // why it does not come to its first map, when that was found out
	stuckAt time.Time
	seen    markers
	live    *ctl.Live
	public  bool      // Steam told its address once
	misses  int       // lost replies in a row
	silent  time.Time // since when, if any
	retryAt time.Time // RCON refused the password: not tried again before
	queryAt time.Time
	rulesAt time.Time
	rconAt  time.Time
	readAt  time.Time
}

// runID tells one run of a game from the next.
type runID struct {
	pid   int
	since int64
}

func (w *watcher) run(ctx context.Context) {
	defer w.base.close()
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	for {
		if w.due() {
			st := w.look(ctx)
			if ctx.Err() != nil {
				return
			}
			w.tell(st)
			if st.State == ctl.ServerAbsent {
				return
			}
			w.restless = w.misses > 0 || st.State == ctl.ServerStarting
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// due says whether a look could find anything new.
func (w *watcher) due() bool {
	asked := w.current != runID{} && !time.Now().Before(w.queryAt)
	return asked || w.restless || w.base.due(w.h, w.name)
}

// look is the server's status.
func (w *watcher) look(ctx context.Context) ctl.Status {
	if err := w.base.renew(ctx, w.h, w.name); err != nil {
		return ctl.Status{Name: w.name, State: ctl.ServerUnknown, Since: now(), Message: err.Error()}
	}
	st, inst := w.base.st, w.base.inst
	w.end.explain(ctx, w.h, &st, inst)
	if st.State != ctl.ServerStarting && st.State != ctl.ServerRunning || inst.PID == 0 { // waiting for its restart
		w.current = runID{}
		return st
	}
	if id := (runID{inst.PID, inst.Since.UnixNano()}); id != w.current {
		*w = watcher{h: w.h, name: w.name, slots: w.slots, told: w.told, toldAt: w.toldAt, base: w.base, end: w.end, current: id}
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
	if w.hung() {
		st.Hung, st.Message = true, hungMessage
	}
	return st
}

const hungMessage = "Its process runs, but the game has answered nothing for more than 45 seconds. Look at its log, and restart it if that lasts."

// hung says that the game is silent although it had come to its first map.
func (w *watcher) hung() bool {
	return w.misses >= watchMisses && time.Since(w.silent) > hungAfter && gradeOrder[w.seen.grade] >= gradeOrder[ctl.GradeMap]
}

// ask does what is due: the log while it starts, A2S now and then, RCON when
// players came or went, A2S is silent, or for names after a while.
func (w *watcher) ask(ctx context.Context, port int, inst supervisor.Instance) {
	w.readLog(ctx, inst)
	t := time.Now()
	if t.Before(w.queryAt) {
		return
	}
	w.slots <- struct{}{}
	defer func() { <-w.slots }()
	pause := watchQuery
	if gradeOrder[w.seen.grade] < gradeOrder[ctl.GradeRCON] && time.Since(inst.Since) < settledAfter {
		pause = watchStart
	}
	w.queryAt = t.Add(pause + rand.N(watchJitter) - watchJitter/2)
	live, err := query(ctx, port)
	if err != nil {
		w.miss()
	} else {
		if w.changed(live) {
			w.rconAt = time.Time{}
		}
		w.misses = 0
		w.seen.raise(ctl.GradeMap)
		w.keep(live)
		w.rules(ctx, port)
	}
	w.console(ctx, port, inst)
}

// readLog looks for the lines that tell how far it is: each second until it answers,
// and seldom when it does not come to Steam.
func (w *watcher) readLog(ctx context.Context, inst supervisor.Instance) {
	pause := time.Duration(0)
	switch starting := gradeOrder[w.seen.grade] < gradeOrder[ctl.GradeRCON]; {
	case !starting && (w.public || w.seen.steam && !w.seen.lost): // RCON tells from now on
		return
	case !starting, time.Since(inst.Since) > settledAfter:
		pause = watchLog
	}
	if time.Since(w.readAt) < pause {
		return
	}
	w.readAt = time.Now()
	if m, err := w.h.readMarkers(ctx, w.name, inst.Since.Add(-sinceSlack)); err == nil {
		m.raise(w.seen.grade)
		w.seen = m
	}
}

func (w *watcher) miss() {
	if w.misses++; w.misses == 1 {
		w.silent = time.Now()
	}
}

// changed reports whether the A2S answer differs in what RCON knows better.
func (w *watcher) changed(live *ctl.Live) bool {
	return w.live == nil || live.Map != w.live.Map || live.Players != w.live.Players || live.Bots != w.live.Bots
}

// keep takes an A2S answer over without forgetting what only others tell.
func (w *watcher) keep(live *ctl.Live) {
	if old := w.live; old != nil {
		live.Names, live.NamesAt, live.Public = old.Names, old.NamesAt, old.Public
		live.Mode, live.Difficulty = old.Mode, old.Difficulty
		live.Hibernating = old.Hibernating && live.Players == 0
		if live.Map != old.Map {
			w.rulesAt = time.Time{}
		}
	}
	w.live = live
}

// rules asks for mode and difficulty: after a change of map, and now and then.
func (w *watcher) rules(ctx context.Context, port int) {
	pause := watchRules
	if w.live.Players == 0 {
		pause = watchIdle
	}
	if time.Since(w.rulesAt) < pause {
		return
	}
	w.rulesAt = time.Now()
	if mode, difficulty, err := playing(ctx, port); err == nil {
		w.live.Mode, w.live.Difficulty = mode, difficulty
	}
}

func (w *watcher) console(ctx context.Context, port int, inst supervisor.Instance) {
	if !w.consoleDue() || !w.seen.executed || time.Now().Before(w.retryAt) || w.h.rconRefused(w.name, inst) {
		w.forget()
		return
	}
	live, err := console(ctx, port, w.h.gamePassword(w.name, inst))
	switch {
	case err == nil:
		if w.live != nil {
			live.Mode, live.Difficulty = w.live.Mode, w.live.Difficulty
		}
		w.rconAt, w.misses, w.live = time.Now(), 0, live
		w.seen.raise(ctl.GradeRCON)
		w.reach(live.Public != "")
	case errors.Is(err, rcon.ErrAuth):
		w.retryAt = time.Now().Add(refusedAfter)
		w.h.noteRefused(w.name, inst)
	}
	w.forget()
}

func (w *watcher) consoleDue() bool {
	asleep := w.live != nil && w.live.Hibernating
	since := time.Since(w.rconAt)
	return w.misses > 0 || since > watchIdle || (since > watchConsole && !asleep)
}

// reach notes whether Steam knows the game's address. A game that had one and has
// none has lost its connection, which it may do after a long sleep.
func (w *watcher) reach(public bool) {
	switch {
	case public:
		w.public, w.seen.steam, w.seen.lost = true, true, false
	case w.public:
		w.seen.steam, w.seen.lost = false, true
	}
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
	st.Memory, st.CPU = 0, 0
	if st.State == ctl.ServerAbsent || st.State == ctl.ServerUnknown {
		st.Since = time.Time{}
	}
	if st.Live != nil {
		live := *st.Live
		live.At, live.NamesAt = time.Time{}, time.Time{}
		live.Names = append([]ctl.Player(nil), live.Names...)
		for i := range live.Names {
			live.Names[i].Connected, live.Names[i].Ping, live.Names[i].Loss = 0, 0, 0
		}
		st.Live = &live
	}
	text, err := json.Marshal(st)
	if err != nil { // no NaN is in a status
		return st.Name
	}
	return string(text)
}
