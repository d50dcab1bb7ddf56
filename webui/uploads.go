package webui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/models"
)

const (
	maxUpload = 8 << 30 // bytes of one file
	maxChunk  = 8 << 20 // bytes of one request of the page's script

	// uploadsAtOnce bounds the requests with which one user sends files at the same
	// time: each holds a connection and a file of the host.
	uploadsAtOnce = 10

	// A chunk may take chunkTime, and no part of it longer than chunkPause: who sends
	// nothing holds a connection of everybody's.
	chunkTime  = 15 * time.Minute
	chunkPause = time.Minute
)

// atOnce counts what each user, or each of something else, has under way in this
// process.
type atOnce struct {
	most int
	mu   sync.Mutex
	now  map[string]int
}

func newAtOnce(most int) *atOnce { return &atOnce{most: most, now: map[string]int{}} }

// enter is false when the user has as many under way as may be; else leave ends it.
func (a *atOnce) enter(user string) (leave func(), ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.now[user] >= a.most {
		return nil, false
	}
	a.now[user]++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.now[user]--; a.now[user] == 0 {
			delete(a.now, user)
		}
	}, true
}

var tooManyAtOnce = &failure{
	status: http.StatusTooManyRequests, title: "Too much at once", retryAfter: 5,
	text: fmt.Sprintf("You are sending %d files at the same time; more are not possible. Wait for one of them.", uploadsAtOnce),
}

// uploadState is what the page's script learns of an upload.
type uploadState struct {
	ID       string `json:"id,omitempty"`
	Received int64  `json:"received"`
	Size     int64  `json:"size"`
	Done     bool   `json:"done"`
	Error    string `json:"error,omitempty"`
	Again    bool   `json:"again,omitempty"` // the same may work in a moment
}

func stateOf(u *models.Upload) *uploadState {
	return &uploadState{ID: u.ID, Received: u.Received, Size: u.Size, Done: u.Done()}
}

// uploadAnswer adapts a handler of the script's: it answers with JSON, failures too.
// A state beside an error is how far the upload has come all the same.
func (s *Server) uploadAnswer(h func(*gin.Context) (*uploadState, error)) func(*gin.Context) error {
	return func(c *gin.Context) error {
		state, err := h(c)
		if err == nil {
			c.JSON(http.StatusOK, state)
			return nil
		}
		if errors.Is(err, context.Canceled) {
			return err
		}
		if state == nil {
			state = &uploadState{}
		}
		id := visitOf(c.Request.Context()).id
		f := publicFailure(err, id)
		if f.status == http.StatusInternalServerError {
			s.Log.ErrorContext(c.Request.Context(), "an upload failed", "request", id, "err", err)
		}
		if f.retryAfter > 0 {
			c.Header("Retry-After", strconv.Itoa(f.retryAfter))
			state.Again = true
		}
		state.Error = f.text
		c.JSON(f.status, state)
		return nil
	}
}

// beginUpload checks the limits and creates the row.
func (s *Server) beginUpload(ctx context.Context, up *models.Upload) error {
	if s.Content == nil {
		return noContent
	}
	if up.Size > maxUpload {
		return &failure{
			status: http.StatusRequestEntityTooLarge, title: "Too large",
			text: fmt.Sprintf("“%s” has %s; one file may have %s at most. Split it, or leave out what a server does not need.", cleanText(clip(up.Name, 80)), formatBytes(up.Size), formatBytes(maxUpload)),
		}
	}
	room, err := s.Content.Room()
	if err != nil {
		return err
	}
	coming, err := models.UploadsToCome(ctx, s.DB)
	if err != nil {
		return err
	}
	if room -= coming; up.Size > room {
		return noRoom(fmt.Sprintf("The host has room for %s more, and “%s” has %s.", formatBytes(max(room, 0)), cleanText(clip(up.Name, 80)), formatBytes(up.Size)))
	}
	return models.BeginUpload(ctx, s.DB, up)
}

func noRoom(what string) error {
	return &failure{status: http.StatusInsufficientStorage, title: "No room", text: what + " Whoever runs the host can remove versions that nothing uses, or files beside left4me."}
}

// uploadProblem gives the host's refusals their status and sentence.
func uploadProblem(err error) error {
	switch {
	case errors.Is(err, ctl.ErrDiskFull):
		return noRoom("The host's disk is full.")
	case errors.Is(err, ctl.ErrBusy):
		return &failure{status: http.StatusConflict, title: "Busy", text: "Another part of this file is just being written. Wait for it.", retryAfter: 1, cause: err}
	}
	return err
}

// abandonUpload forgets an upload that came to nothing, also when its sender left.
func (s *Server) abandonUpload(ctx context.Context, id string) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	if err := models.DeleteUpload(ctx, s.DB, id); err != nil {
		s.Log.WarnContext(ctx, "could not forget an upload", "upload", id, "err", err)
		return
	}
	s.forgetBytes(ctx, id)
}

// createUpload announces a file. An empty one is complete with that.
func (s *Server) createUpload(c *gin.Context) (*uploadState, error) {
	o, err := s.ownOverlay(c, models.OverlayFiles)
	if err != nil {
		return nil, err
	}
	size, err := strconv.ParseInt(c.PostForm("size"), 10, 64)
	if err != nil || size < 0 {
		return nil, models.Invalid("size", "The size of the file is not known. Choose it again.")
	}
	name := c.PostForm("name")
	op, target, err := placement(c.PostForm("dir"), name, c.PostForm("archives"))
	if err != nil {
		return nil, err
	}
	ctx := c.Request.Context()
	up := &models.Upload{UserID: user(c).ID, OverlayID: o.ID, Name: path.Base(name), Size: size, Op: string(op), Path: target}
	if err := s.beginUpload(ctx, up); err != nil {
		return nil, err
	}
	if size > 0 {
		return stateOf(up), nil
	}
	if _, err = s.Content.Append(up.ID, 0, strings.NewReader("")); err == nil {
		err = s.received(ctx, o, up, 0)
	}
	if err != nil {
		s.abandonUpload(ctx, up.ID)
		return nil, uploadProblem(err)
	}
	return stateOf(up), nil
}

// upload finds the upload in the address: of this user and this overlay.
func (s *Server) upload(c *gin.Context) (*models.Overlay, *models.Upload, error) {
	o, err := s.ownOverlay(c, models.OverlayFiles)
	if err != nil {
		return nil, nil, err
	}
	up, err := models.UploadOf(c.Request.Context(), s.DB, user(c).ID, o.ID, c.Param("upload"))
	if errors.Is(err, models.ErrNotFound) {
		err = &failure{status: http.StatusNotFound, title: "Gone", text: "This upload is not known any more: it was cancelled, or it waited for more than a week. Begin it anew.", cause: err}
	}
	return o, up, err
}

// showUpload says how far an upload has come, so that a browser can go on with it.
func (s *Server) showUpload(c *gin.Context) (*uploadState, error) {
	_, up, err := s.upload(c)
	if err != nil {
		return nil, err
	}
	return stateOf(up), nil
}

// putChunk takes the next bytes of an upload. They must begin where it ends: a 409
// says where that is. Whatever arrived of a chunk that breaks off stays.
func (s *Server) putChunk(c *gin.Context) (*uploadState, error) {
	// Before the row is read: whoever read it too early would begin the last part
	// again, and cut off what is complete and in a draft by then.
	written, ok := s.writing.enter(c.Param("upload"))
	if !ok {
		return nil, uploadProblem(ctl.ErrBusy)
	}
	defer written()
	o, up, err := s.upload(c)
	if err != nil {
		return nil, err
	}
	if s.Content == nil {
		return nil, noContent
	}
	offset, err := strconv.ParseInt(c.Query("offset"), 10, 64)
	left := up.Size - up.Received
	switch {
	case err != nil || offset < 0:
		return stateOf(up), models.Invalid("offset", "It is not known which part of the file this is.")
	case up.Done() && offset == up.Size:
		return stateOf(up), nil // its last answer was lost
	case offset != up.Received:
		return stateOf(up), &failure{status: http.StatusConflict, title: "Not the next part", text: fmt.Sprintf("The host has %s of this file. Go on from there.", formatBytes(up.Received))}
	case c.Request.ContentLength > left:
		return stateOf(up), models.Invalid("size", "The file has more bytes than were announced. It was changed meanwhile: upload it anew.")
	}
	leave, ok := s.uploading.enter(up.UserID)
	if !ok {
		return stateOf(up), tooManyAtOnce
	}
	defer leave()
	body := newPatientReader(c, chunkTime, chunkPause)
	n, sent := s.Content.Append(up.ID, offset, io.LimitReader(body, left))
	switch {
	case errors.Is(sent, ctl.ErrBusy):
		return stateOf(up), uploadProblem(sent)
	case errors.Is(sent, ctl.ErrUsage): // the host has less than the row says
		sent = &failure{status: http.StatusConflict, title: "Parts are gone", text: fmt.Sprintf("The host has %s of this file. Go on from there.", formatBytes(n)), cause: sent}
	case sent != nil && n < offset:
		return stateOf(up), uploadProblem(sent) // it did not come as far as writing
	}
	if err := s.received(c.Request.Context(), o, up, n); err != nil {
		return nil, err
	}
	return stateOf(up), uploadProblem(body.explain(sent, maxChunk))
}

// received notes how much of an upload the host has. With the last byte it goes into
// the draft, in the same transaction. A sender who has left changes nothing of that.
func (s *Server) received(ctx context.Context, o *models.Overlay, up *models.Upload, n int64) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer stop()
	err := s.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := models.UploadReceived(ctx, tx, up, n); err != nil || !up.Done() {
			return err
		}
		_, err := addToDraft(ctx, tx, o, models.DraftChange{Op: up.Op, Path: up.Path, UploadID: up.ID, Name: up.Name, Size: up.Size})
		return err
	})
	if err == nil && up.Done() {
		s.Jobs.OverlayChanged(ctx, o.ID)
	}
	return err
}

// cancelUpload forgets an upload that is not complete.
func (s *Server) cancelUpload(c *gin.Context) error {
	o, up, err := s.upload(c)
	if err != nil {
		return err
	}
	if up.Done() {
		return &failure{status: http.StatusConflict, title: "It is complete", text: "This upload is complete and in the draft. Take it out there."}
	}
	if err := models.DeleteUpload(c.Request.Context(), s.DB, up.ID); err != nil {
		return err
	}
	s.forgetBytes(c.Request.Context(), up.ID)
	return goTo(c, overlayPath(o.ID))
}

// patientReader reads a request's body and gives its sender a while for each part.
type patientReader struct {
	body  io.Reader
	conn  *http.ResponseController
	until time.Time
	pause time.Duration
	err   error // why it could not be read to its end
}

func newPatientReader(c *gin.Context, most, pause time.Duration) *patientReader {
	return &patientReader{body: c.Request.Body, conn: http.NewResponseController(c.Writer), until: time.Now().Add(most), pause: pause}
}

func (r *patientReader) Read(b []byte) (int, error) {
	next := time.Now().Add(r.pause)
	if next.After(r.until) {
		next = r.until
	}
	_ = r.conn.SetReadDeadline(next) // a connection that knows no deadlines has its proxy's
	n, err := r.body.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// explain tells an error of the sender's from one of the host's. most is how many
// bytes they may send.
func (r *patientReader) explain(err error, most int64) error {
	var tooMuch *http.MaxBytesError
	switch {
	case err == nil || r.err == nil:
		return err
	case errors.As(r.err, &tooMuch):
		return &failure{status: http.StatusRequestEntityTooLarge, title: "Too much at once", text: fmt.Sprintf("One request may have %s at most. Send less at once.", formatBytes(most)), cause: err}
	}
	return &failure{status: http.StatusRequestTimeout, title: "Cut off", text: "The connection was lost or too slow, so not everything arrived. Send it again.", retryAfter: 1, cause: err}
}
