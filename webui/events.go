package webui

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// The live stream of a page: GET /events?topics=strip,job:12&after=job:12=388
//
//	event: html      {"id":"server-head","html":"<div …"}          replace this element
//	event: log       {"topic":"job:12","lines":[[388,ms,"out","…"]]} append these lines; id: carries the cursors
//	event: missed    {"topic":"job:12","count":120}                these lines were passed over
//	event: reset     {"topic":"console:x"}                         the numbering began anew
//	event: finished  {"topic":"job:12"}                            no more lines will come
//	event: gone      {"to":"/servers"}                             what the page shows does not exist any more
//	event: bye       {}                                            the session ended: reload
//
// after may name the print of a list that the page shows, as servers=1f2e: the list is
// sent only if it is not like that any more.
//
// The names of topics are those of openFeed; what is rendered and sent there is
// exactly what the page includes.

const (
	writeTimeout = 15 * time.Second // for one event; a browser that reads nothing for so long is dropped
	heartbeat    = 15 * time.Second
)

func (s *Server) events(c *gin.Context) error {
	switch c.GetHeader("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return &failure{status: http.StatusForbidden, title: "Refused", text: "This request came from another site, so nothing was sent."}
	}
	u, v := user(c), visitOf(c.Request.Context())
	after := parseCursors(c.Query("after"))
	for feed, at := range parseCursors(c.GetHeader("Last-Event-ID")) {
		after[feed] = later(at, after[feed])
	}
	feeds, err := s.openFeeds(c.Request.Context(), u, s.publicHost(c.Request), c.Query("topics"), after)
	if err != nil {
		return err
	}
	open, err := s.streams.take(streamKey{session: v.session.ID, user: u.ID})
	if err != nil {
		return err
	}
	defer s.streams.release(open)
	h := c.Writer.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // a proxy must pass each event on at once
	st := &stream{
		s: s, user: u, token: s.token(c.Request), feeds: feeds, open: open, out: newEventWriter(c.Writer),
		sent: map[string]uint64{}, done: map[*feed]bool{},
	}
	err = st.run(c.Request.Context())
	if errors.Is(err, errStreamWrite) {
		return nil // the browser left, or reads nothing
	}
	return err
}

// errStreamWrite means that nobody reads any more.
var errStreamWrite = errors.New("the stream could not be written")

// eventWriter writes server-sent events, each with a deadline of its own.
type eventWriter struct {
	w    http.ResponseWriter
	ctl  *http.ResponseController
	last time.Time
}

func newEventWriter(w http.ResponseWriter) *eventWriter {
	return &eventWriter{w: w, ctl: http.NewResponseController(w)}
}

// event sends data as JSON, which never contains a line break.
func (e *eventWriter) event(name, id string, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode event %s: %w", name, err)
	}
	text := "event: " + name + "\n"
	if id != "" {
		text += "id: " + id + "\n"
	}
	return e.write(text+"data: ", raw, "\n\n")
}

// lines sends lines of a log that encodeLines wrote.
func (e *eventWriter) lines(topic, id string, lines []byte) error {
	name, err := json.Marshal(topic)
	if err != nil {
		return fmt.Errorf("encode the name of a log: %w", err)
	}
	return e.write("event: log\nid: "+id+"\ndata: {\"topic\":"+string(name)+",\"lines\":", lines, "}\n\n")
}

// beat keeps the connection, and what lies between, awake.
func (e *eventWriter) beat() error {
	if time.Since(e.last) < heartbeat {
		return nil
	}
	return e.write(": still here\n\n", nil, "")
}

// write sends an event: what comes before a part that is shared between viewers, that
// part, and what comes after it.
func (e *eventWriter) write(before string, shared []byte, after string) error {
	e.last = time.Now()
	if err := e.ctl.SetWriteDeadline(e.last.Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("%w: %w", errStreamWrite, err)
	}
	_, err := io.WriteString(e.w, before)
	if err == nil && len(shared) > 0 {
		_, err = e.w.Write(shared)
	}
	if err == nil && after != "" {
		_, err = io.WriteString(e.w, after)
	}
	if err == nil {
		err = e.ctl.Flush()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errStreamWrite, err)
	}
	return nil
}
