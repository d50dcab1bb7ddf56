package hostops

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/rcon"
	"left4me/hostops/supervisor"
)

const (
	readyPoll = 100 * time.Millisecond // how often a starting game's process is looked at
	rconPause = 400 * time.Millisecond // between tries of an RCON port that does not answer
	authPause = 2 * time.Second        // after a rejected password
	authLimit = 3                      // rejections; the game bans an address after five
	blindRCON = 15 * time.Second       // a game whose log does not say that server.cfg was read is asked after this
	steamWait = 10 * time.Second       // a game that answers gets this long to connect to Steam
)

// readiness follows one start until the game answers, ends, or time is up.
type readiness struct {
	own      ownStatus
	h        *Host
	l        launched
	secrets  *masker
	began    time.Time
	seen     markers
	shown    ctl.Grade
	restarts int
	banners  int    // runs whose first line was seen
	last     string // the newest line

	asking   bool // an RCON try is under way
	nextTry  time.Time
	rejected int
	answers  chan reply
	answered time.Time // when RCON answered first, zero before
	notices  []string
}

// reply is the outcome of an RCON try.
type reply struct {
	live *ctl.Live
	err  error
}

// awaitReady reports each grade as a phase and the game's lines as they come.
func (h *Host) awaitReady(ctx context.Context, l launched, timeout time.Duration) ([]string, error) {
	r := &readiness{h: h, l: l, secrets: h.maskerOf(l.name), began: time.Now(), answers: make(chan reply, 1)}
	ctx, cancel := context.WithCancel(ctx)
	lines, ended := r.followLog(ctx)
	defer func() {
		cancel()
		<-ended
		if r.asking {
			<-r.answers
		}
	}()
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return r.notices, fail(ctl.ErrCancelled, "waiting for %s was cancelled", l.name)
		case line := <-lines:
			if err := r.line(ctx, line); err != nil {
				return r.notices, err
			}
		case got := <-r.answers:
			r.asking = false
			r.answer(got)
		case <-limit.C:
			if r.answered.IsZero() {
				return r.timeUp(ctx, timeout)
			}
			r.giveSteamUp()
			return r.notices, nil
		case <-tick.C:
			if err := r.process(ctx, lines); err != nil {
				return r.notices, err
			}
		}
		if r.done() {
			return r.notices, nil
		}
		r.ask(ctx)
	}
}

// followLog delivers the lines of this run. A log that cannot be read does not
// keep a game from starting; RCON tells as well.
func (r *readiness) followLog(ctx context.Context) (<-chan supervisor.LogLine, <-chan struct{}) {
	lines, ended := make(chan supervisor.LogLine, 64), make(chan struct{})
	options := supervisor.LogOptions{After: r.l.cursor, Follow: true}
	if r.l.cursor == "" {
		options.Lines = scanLines
	}
	go func() {
		defer close(ended)
		err := r.h.Supervisor.Logs(ctx, r.l.name, options, func(l supervisor.LogLine) error {
			select {
			case lines <- l:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil && ctx.Err() == nil {
			r.h.say("The game's log cannot be read: %v.", err)
		}
	}()
	return lines, ended
}

func (r *readiness) line(ctx context.Context, l supervisor.LogLine) error {
	if r.l.cursor == "" && l.At.Before(r.l.since.Add(-sinceSlack)) {
		return nil // of an earlier run
	}
	text := r.secrets.mask(l.Text)
	if !r.own.hides(text) && !r.l.already {
		r.h.Emit(ctl.Event{Type: ctl.EventLog, At: l.At, Stream: ctl.StreamGame, Text: text, Cursor: l.Cursor})
	}
	if !strings.HasPrefix(text, supervisorNote) {
		r.last = text
	}
	if strings.HasPrefix(l.Text, bannerLine) {
		r.newRun()
		r.banners++
	}
	if r.seen.take(l.Text) {
		r.show(r.seen.grade)
	}
	if r.seen.port != 0 && r.seen.port != r.l.port {
		return r.stopped(ctx, fail(ctl.ErrPortTaken, "the game took port %d although it was told %d, so somebody else has that one", r.seen.port, r.l.port))
	}
	if c := r.seen.cause; c != nil && c.key == "map" && !r.seen.loaded {
		return r.stopped(ctx, fail(ctl.ErrGameFailed, "the game cannot load its first map: %s", c.sentence))
	}
	return nil
}

// supervisorNote begins the lines of a log that are not the game's.
const supervisorNote = "[left4me] "

// newRun forgets what was seen of an earlier process, but not why that ended.
func (r *readiness) newRun() {
	r.seen, r.shown, r.nextTry = markers{cause: r.seen.cause}, "", time.Time{}
}

// sinceSlack allows for the log's clock being read a moment before ours.
const sinceSlack = time.Second

var gradePhases = map[ctl.Grade]struct {
	title string
	step  int
}{
	ctl.GradePort:  {"The port is open; waiting for the map", 3},
	ctl.GradeMap:   {"Loading the map", 4},
	ctl.GradeRCON:  {"The game answers; waiting for Steam", 5},
	ctl.GradeSteam: {"Connected to Steam: the server can be found", 6},
}

func (r *readiness) show(g ctl.Grade) {
	phase, known := gradePhases[g]
	if !known || gradeOrder[g] <= gradeOrder[r.shown] {
		return
	}
	r.shown = g
	r.h.step(string(g), phase.title, phase.step)
}

// stopped ends a game that would never be what players look for, and returns why.
// One that ran before this start is left to whoever started it.
func (r *readiness) stopped(ctx context.Context, why error) error {
	if r.l.already {
		return why
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace+10*time.Second)
	defer cancel()
	if err := r.h.Stop(stopCtx, r.l.name); err != nil {
		return errors.Join(why, err)
	}
	return fail(errors.Unwrap(why), "%s; it was stopped", why)
}

// process looks whether the game still lives. The lines that it printed before
// it died are taken first.
func (r *readiness) process(ctx context.Context, lines <-chan supervisor.LogLine) error {
	inst, err := r.h.Supervisor.Status(ctx, r.l.name)
	if err != nil {
		return nil // asked again in a moment; the time limit bounds it
	}
	if inst.Restarts > r.restarts {
		r.restarts = inst.Restarts
		if r.banners < r.restarts+1 { // else its first lines are here already
			r.newRun()
		}
		r.h.say("The game ended %s and is started again (restart %d).", describeExit(inst.Exit), inst.Restarts)
	}
	switch inst.State {
	case ctl.ServerFailed, ctl.ServerStopped:
	default:
		return nil
	}
	for more := true; more; {
		select {
		case l := <-lines:
			if err := r.line(ctx, l); err != nil {
				return err
			}
		case <-time.After(readyPoll):
			more = false
		}
	}
	return r.died(inst)
}

func (r *readiness) died(inst supervisor.Instance) error {
	if inst.State == ctl.ServerStopped && inst.Message == "" {
		return fail(ctl.ErrCancelled, "server %s was stopped while it was starting", r.l.name)
	}
	text := fmt.Sprintf("the game ended before it was ready, %s", describeExit(inst.Exit))
	if r.restarts > 0 {
		text += fmt.Sprintf(", after %d restarts", r.restarts)
	}
	if c := r.h.diagnose(r.l.name, inst, r.seen); c != nil {
		text += ": " + c.sentence
	} else if inst.Message != "" {
		text += ": " + strings.TrimSuffix(inst.Message, ".")
	}
	if r.last != "" {
		text += fmt.Sprintf(". Its last line was %q", short(r.last))
	}
	return fail(ctl.ErrGameFailed, "%s", text)
}

func describeExit(e *ctl.Exit) string {
	switch {
	case e == nil:
		return "in a way that is not known"
	case e.Signal != "":
		return "by the signal " + e.Signal
	}
	return fmt.Sprintf("with exit code %d", e.Code)
}

// ask tries RCON when that can succeed: not before server.cfg was read, because
// the password is wrong until then and the game counts failures.
func (r *readiness) ask(ctx context.Context) {
	ready := r.seen.executed || time.Since(r.began) > blindRCON
	if r.asking || !ready || !r.answered.IsZero() || r.rejected >= authLimit || time.Now().Before(r.nextTry) {
		return
	}
	inst, err := r.h.Supervisor.Status(ctx, r.l.name)
	if err != nil {
		return
	}
	r.asking = true
	password := r.h.gamePassword(r.l.name, inst)
	go func() {
		live, err := console(ctx, r.l.port, password)
		r.answers <- reply{live, err}
	}()
}

// answer takes the outcome of a try.
func (r *readiness) answer(got reply) {
	switch {
	case got.err == nil:
		r.answered = time.Now()
		r.show(ctl.GradeRCON)
		r.h.say("Server %s is running on port %d.", r.l.name, r.l.port)
		r.seen.steam = r.seen.steam || got.live.Public != ""
	case errors.Is(got.err, rcon.ErrAuth):
		r.rejected++
		r.nextTry = time.Now().Add(authPause)
		if r.rejected == authLimit {
			r.note("the game rejects its own RCON password: something in its configuration changes rcon_password after server.cfg")
		}
	default:
		r.nextTry = time.Now().Add(rconPause)
	}
}

// done reports whether there is nothing more to wait for: the game answers, and
// it is clear whether it is connected to Steam.
func (r *readiness) done() bool {
	if r.answered.IsZero() {
		return r.rejected >= authLimit && r.seen.executed
	}
	if lan := r.h.lanReason(r.l.applied, r.seen); lan != "" {
		r.h.step("lan", "LAN only: "+lan, startSteps)
		r.note("the server is on the local network only: " + lan)
		return true
	}
	if r.seen.steam {
		r.show(ctl.GradeSteam)
		return true
	}
	if time.Since(r.answered) < steamWait {
		return false
	}
	r.giveSteamUp()
	return true
}

func (r *readiness) giveSteamUp() {
	r.note("the server answers but is not connected to Steam yet, so it cannot be found: if that lasts, see that this host may send UDP to the Internet")
}

func (r *readiness) note(text string) {
	r.notices = append(r.notices, text)
	r.h.say("Note: %s.", text)
}

// timeUp is no failure unless the game keeps dying: a slow map is only slow.
func (r *readiness) timeUp(ctx context.Context, timeout time.Duration) ([]string, error) {
	inst, err := r.h.Supervisor.Status(ctx, r.l.name)
	if err != nil {
		inst = supervisor.Instance{}
	}
	if r.restarts > 0 {
		why := ""
		if c := r.h.diagnose(r.l.name, inst, r.seen); c != nil {
			why = ": " + c.sentence
		}
		return r.notices, fail(ctl.ErrGameFailed, "the game ended and was started again %d times within %s and never became ready%s; it is still being tried", r.restarts, timeout, why)
	}
	text := fmt.Sprintf("the game runs but did not answer RCON within %s; it may only be slow", timeout)
	if r.seen.hibernated && !r.seen.loaded {
		text += ". If it stays so: " + r.h.stuckBefore(r.l.name, inst, r.seen)
	}
	r.note(text)
	return r.notices, nil
}
