package webui

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"time"

	"left4me/jobs"
	"left4me/models"
)

const (
	renderEvery  = 200 * time.Millisecond // a feed that changes all the time is rendered this often
	lookEvery    = 2 * time.Second        // rows are read again, whatever was heard: a lost message costs no more
	watchAgain   = 8 * time.Second        // well within the lease of a watched console
	refreshEvery = 10 * time.Second       // everything is rendered again, and the session checked
)

// stream is one browser's live stream.
type stream struct {
	s     *Server
	user  *models.User
	token string
	feeds []*feed
	open  *openStream
	out   *eventWriter

	viewer  *jobs.Viewer
	topics  []string
	sent    map[string]uint64 // by element, the hash of what was sent last
	done    map[*feed]bool    // their logs have ended
	dirty   map[*feed]bool
	due     time.Time // when dirty feeds are rendered
	checked time.Time
}

var seed = maphash.MakeSeed()

// run sends until the browser leaves, the session ends or the process does.
func (st *stream) run(ctx context.Context) error {
	if err := st.out.write("retry: 2000\n\n", nil, ""); err != nil {
		return err
	}
	st.checked = time.Now()
	st.subscribe()
	defer func() { st.viewer.Close() }()
	if err := st.checkSession(ctx); err != nil { // it may have ended before anything was heard
		return st.end(err)
	}
	if err := st.everything(ctx); err != nil {
		return st.end(err)
	}
	look, refresh := time.NewTicker(lookEvery), time.NewTicker(refreshEvery)
	defer look.Stop()
	defer refresh.Stop()
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	for {
		err := st.once(ctx, look.C, refresh.C, due.C)
		if err == nil && len(st.dirty) > 0 {
			due.Reset(max(time.Until(st.due), 0))
		}
		if err != nil {
			return st.end(err)
		}
	}
}

var errStreamOver = errors.New("the stream is over")

// end turns the ways in which a stream ends into what the adapter knows.
func (st *stream) end(err error) error {
	if errors.Is(err, errStreamOver) {
		return nil
	}
	return err
}

// once waits for one thing to happen and deals with it.
func (st *stream) once(ctx context.Context, look, refresh, due <-chan time.Time) error {
	select {
	case <-ctx.Done():
		return errStreamOver
	case <-st.open.ended:
		return st.bye()
	case m := <-st.viewer.Messages():
		return st.take(ctx, m)
	case <-st.viewer.Gap():
		if err := st.checkSession(ctx); err != nil { // a word about it may have been lost
			return err
		}
		return st.everything(ctx)
	case <-due:
		return st.renderDirty(ctx)
	case <-look:
		if err := st.out.beat(); err != nil {
			return err
		}
		return st.readLogs(ctx)
	case <-refresh:
		if err := st.checkSession(ctx); err != nil {
			return err
		}
		return st.everything(ctx)
	}
}

func (st *stream) bye() error {
	if err := st.out.event("bye", "", struct{}{}); err != nil {
		return err
	}
	return errStreamOver
}

// subscribe registers with the hub for what the feeds are about now. It comes
// before rows are read: what happens in between is heard.
func (st *stream) subscribe() {
	topics := []string{jobs.TopicUser(st.user.ID)}
	for _, f := range st.feeds {
		topics = append(topics, f.topics...)
	}
	slices.Sort(topics)
	topics = slices.Compact(topics)
	if st.viewer != nil {
		if slices.Equal(topics, st.topics) {
			return
		}
		defer st.viewer.Close()
	}
	st.viewer, st.topics = st.s.Hub.Subscribe(topics...), topics
}

// everything renders all feeds and reads all logs. Topics that only a look at
// rows reveals are subscribed to, and then rows are looked at once more.
func (st *stream) everything(ctx context.Context) error {
	for range 3 {
		before := st.viewer
		for _, f := range st.feeds {
			if err := st.render(ctx, f); err != nil {
				return err
			}
		}
		st.subscribe()
		if st.viewer == before {
			break
		}
	}
	st.dirty = nil
	return st.readLogs(ctx)
}

// take deals with one message from the hub.
func (st *stream) take(ctx context.Context, m jobs.Message) error {
	if m.Topics[0] == jobs.TopicUser(st.user.ID) {
		return st.checkSession(ctx)
	}
	for _, f := range st.feeds {
		if !slices.Contains(f.topics, m.Topics[0]) {
			continue
		}
		if f.log != nil && m.Last > 0 && !st.done[f] {
			if err := st.takeLines(ctx, f, m); err != nil {
				return err
			}
		}
		if f.render != nil && m.Change {
			st.mark(f)
		}
	}
	return nil
}

// takeLines sends the lines of a message. Where they simply follow on, what goes out is
// the same for every viewer, and made once for all.
func (st *stream) takeLines(ctx context.Context, f *feed, m jobs.Message) error {
	lines, more, err := f.log.Take(ctx, m)
	if err == nil && !more && len(lines) > 0 && len(lines) == len(m.Lines) && &lines[0] == &m.Lines[0] {
		return st.writeEncoded(f, m.Encode(encodeLines))
	}
	_, err = st.sendLines(ctx, f, lines, more, err)
	return err
}

// mark renders f soon: at once when nothing was rendered lately, or people wait.
func (st *stream) mark(f *feed) {
	if st.dirty == nil {
		st.dirty = map[*feed]bool{}
	}
	if f.prompt || len(st.dirty) == 0 && time.Since(st.due) > renderEvery {
		st.due = time.Now()
	} else if len(st.dirty) == 0 {
		st.due = st.due.Add(renderEvery)
	}
	st.dirty[f] = true
}

func (st *stream) renderDirty(ctx context.Context) error {
	if time.Since(st.checked) > time.Second {
		if err := st.checkSession(ctx); err != nil {
			return err
		}
	}
	dirty := st.dirty
	st.dirty = nil
	for _, f := range st.feeds { // in their order, which a map does not keep
		if !dirty[f] {
			continue
		}
		if err := st.render(ctx, f); err != nil {
			return err
		}
		if err := st.readLog(ctx, f); err != nil { // a change may be its end
			return err
		}
	}
	before := st.viewer
	if st.subscribe(); st.viewer != before {
		return st.everything(ctx)
	}
	return nil
}

// render sends the fragments of f that differ from what was sent. A database
// that does not answer is not the end: the next look tries again.
func (st *stream) render(ctx context.Context, f *feed) error {
	if f.render == nil {
		return nil
	}
	frags, topics, err := f.render(ctx)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return errStreamOver
	case errors.Is(err, models.ErrNotFound) && f.gone != "":
		if err := st.out.event("gone", "", map[string]string{"to": f.gone}); err != nil {
			return err
		}
		return errStreamOver
	default:
		st.s.Log.WarnContext(ctx, "a live page could not be renewed", "feed", f.name, "user", st.user.ID, "err", err)
		return nil
	}
	f.topics = topics
	for _, frag := range frags {
		html, err := st.s.templates.render(frag)
		if err != nil {
			return err
		}
		hash := maphash.Bytes(seed, html)
		if st.sent[frag.elementID()] == hash {
			continue
		}
		st.sent[frag.elementID()] = hash
		if f.has {
			continue
		}
		if err := st.out.event("html", "", map[string]string{"id": frag.elementID(), "html": string(html)}); err != nil {
			return err
		}
	}
	return nil
}

func (st *stream) readLogs(ctx context.Context) error {
	for _, f := range st.feeds {
		if err := st.readLog(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// readLog sends the stored lines that the page does not have. A job that had
// ended before they were read has no others.
func (st *stream) readLog(ctx context.Context, f *feed) error {
	if f.log == nil || st.done[f] {
		return nil
	}
	if f.watch != "" && time.Since(f.watched) > watchAgain {
		f.watched = time.Now()
		if err := st.s.Jobs.WatchConsole(ctx, f.watch); err != nil && ctx.Err() == nil {
			st.s.Log.WarnContext(ctx, "could not ask for a console", "server", f.watch, "err", err)
		}
	}
	ended := false
	if f.ended != nil {
		var err error
		if ended, err = f.ended(ctx); err != nil && ctx.Err() == nil {
			st.s.Log.WarnContext(ctx, "could not look whether a job has ended", "feed", f.name, "err", err)
		}
	}
	lines, more, err := f.log.Replay(ctx)
	all, err := st.sendLines(ctx, f, lines, more, err)
	if err != nil || !all || !ended {
		return err
	}
	st.done[f] = true
	return st.out.event("finished", "", map[string]string{"topic": f.name})
}

// sendLines sends what a follower returned, and reads on while there is more.
// all says that every stored line is out; false when they could not be read,
// which the next look tries again.
func (st *stream) sendLines(ctx context.Context, f *feed, lines []jobs.Line, more bool, err error) (all bool, _ error) {
	for {
		if err != nil {
			if ctx.Err() != nil {
				return false, errStreamOver
			}
			st.s.Log.WarnContext(ctx, "a log could not be read", "feed", f.name, "err", err)
			return false, nil
		}
		if err := st.writeLines(f, lines); err != nil {
			return false, err
		}
		if !more {
			return true, nil
		}
		lines, more, err = f.log.Replay(ctx)
	}
}

func (st *stream) writeLines(f *feed, lines []jobs.Line) error {
	if len(lines) == 0 {
		return st.notices(f)
	}
	return st.writeEncoded(f, encodeLines(lines))
}

// notices tells what has to be known before the next lines.
func (st *stream) notices(f *feed) error {
	if f.log.begunAnew() {
		if err := st.out.event("reset", "", map[string]string{"topic": f.name}); err != nil {
			return err
		}
	}
	if n := f.log.Missed(); n > 0 {
		st.s.meters.missed.Add(float64(n))
		if err := st.out.event("missed", "", map[string]any{"topic": f.name, "count": n}); err != nil {
			return err
		}
	}
	return nil
}

// writeEncoded sends lines that encodeLines wrote.
func (st *stream) writeEncoded(f *feed, lines []byte) error {
	if err := st.notices(f); err != nil {
		return err
	}
	at := cursors{}
	for _, other := range st.feeds {
		if other.log != nil {
			at[other.name] = other.log.at()
		}
	}
	return st.out.lines(f.name, at.String(), lines)
}

// checkSession ends the stream when its session has ended, or its user is not
// who they were.
func (st *stream) checkSession(ctx context.Context) error {
	st.checked = time.Now()
	sess, err := models.FindSession(ctx, st.s.DB, st.token)
	switch {
	case errors.Is(err, models.ErrNotFound):
		return st.bye()
	case err != nil:
		return nil // the database is away: ask again later
	case sess.User.Admin != st.user.Admin || sess.User.ID != st.user.ID:
		return st.bye()
	}
	return nil
}
