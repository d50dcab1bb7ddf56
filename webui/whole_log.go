package webui

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"left4me/jobs"
	"left4me/models"
)

// The bounds of a log that is read page by page, and searched.
const (
	linesPerPage = 1_000
	maxFound     = 500     // lines that one search shows: the newest
	maxSearched  = 200_000 // lines that one search looks at: the newest
	maxSought    = 200     // bytes of the text that is looked for
	searchTime   = 3 * time.Second
)

// logSource is the stored lines of a log. Numbers have no gaps.
type logSource struct {
	first, last int64 // numbers of the first and last stored line; last is first-1 for none
	// read returns at most limit lines with numbers above after.
	read func(ctx context.Context, after int64, limit int) ([]jobs.Line, error)
}

// jobSource is a job's log as far as it is written now.
func (s *Server) jobSource(j *models.Job) logSource {
	return logSource{1, j.LastSeq, func(ctx context.Context, after int64, limit int) ([]jobs.Line, error) {
		rows, err := models.LogAfter(ctx, s.DB, j.ID, after, int(min(int64(limit), max(j.LastSeq-after, 0))))
		lines := make([]jobs.Line, len(rows))
		for i, r := range rows {
			lines[i] = jobs.Line{N: r.Seq, At: r.At, Stream: r.Stream, Text: r.Text}
		}
		return lines, err
	}}
}

// consoleSource is what is stored of a server's console now.
func (s *Server) consoleSource(ctx context.Context, instance string) (logSource, error) {
	span, err := s.Jobs.ConsoleSpan(ctx, instance)
	return logSource{span.First, span.Last, func(ctx context.Context, after int64, limit int) ([]jobs.Line, error) {
		return s.Jobs.ConsoleLines(ctx, span, after, limit)
	}}, err
}

// wholeLog is one page of a log, or what a search found in all of it.
type wholeLog struct {
	Path     string // of the log
	Download string
	Label    string
	Query    string
	Lines    []wholeLine
	First    int64 // stored
	Last     int64
	Found    int  // by a search, of which Lines are the newest
	Unread   bool // the search did not look at all of it
	Problem  string
}

// wholeLine is a line with what was found in it.
type wholeLine struct {
	logLine
	Parts []logPart
	Path  string // where it stands between its neighbours
}

// logPart is a piece of a line.
type logPart struct {
	Text string
	Hit  bool
}

// Total is how many lines are stored.
func (w wholeLog) Total() int { return int(w.Last - w.First + 1) }

// From is the number of the first line that is shown.
func (w wholeLog) From() int64 { return w.Lines[0].N }

// To is the number of the last line that is shown.
func (w wholeLog) To() int64 { return w.Lines[len(w.Lines)-1].N }

// Earlier is the page before this one, "" for none.
func (w wholeLog) Earlier() string {
	if w.Query != "" || len(w.Lines) == 0 || w.From() <= w.First {
		return ""
	}
	return w.page(max(w.From()-linesPerPage, w.First))
}

// Later is the page behind this one, "" for none.
func (w wholeLog) Later() string {
	if w.Query != "" || len(w.Lines) == 0 || w.To() >= w.Last {
		return ""
	}
	return w.page(w.To() + 1)
}

func (w wholeLog) page(first int64) string {
	return w.Path + "?from=" + strconv.FormatInt(first, 10)
}

// at is the address of a line between its neighbours.
func (w wholeLog) at(n int64) string {
	return fmt.Sprintf("%s?line=%d#L%d", w.Path, n, n)
}

// wholeLog reads the page that the address asks for: ?q= is a search, ?line= is a
// line in the middle of a page, ?from= begins one; otherwise it is the last page.
func (s *Server) wholeLog(c *gin.Context, w wholeLog, src logSource) (wholeLog, error) {
	ctx := c.Request.Context()
	w.First, w.Last = src.first, src.last
	w.Query = c.Query("q")
	if w.Query != "" {
		leave, err := s.enterHeavy(c)
		if err != nil {
			return w, err
		}
		defer leave()
		return w, w.search(ctx, src)
	}
	from := w.Last - linesPerPage + 1
	if n, err := strconv.ParseInt(c.Query("from"), 10, 64); err == nil {
		from = n
	}
	if n, err := strconv.ParseInt(c.Query("line"), 10, 64); err == nil && n > 0 {
		from = n - linesPerPage/2
		if n < w.First || n > w.Last {
			w.Problem = fmt.Sprintf("Line %d is not stored any more, or not yet.", n)
		}
	}
	from = min(max(from, w.First), max(w.Last, w.First))
	if w.Total() == 0 {
		return w, nil
	}
	lines, err := src.read(ctx, from-1, linesPerPage)
	for _, l := range lines {
		w.Lines = append(w.Lines, wholeLine{logLine: logLine{l}, Parts: []logPart{{Text: cleanText(l.Text)}}, Path: fmt.Sprintf("#L%d", l.N)})
	}
	return w, err
}

// search looks through the lines as they are shown, the newest last.
func (w *wholeLog) search(ctx context.Context, src logSource) error {
	if len(w.Query) > maxSought {
		w.Problem = fmt.Sprintf("Look for less: a text of at most %d bytes.", maxSought)
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, searchTime)
	defer stop()
	after := max(src.first, src.last-maxSearched+1) - 1
	w.Unread = after >= src.first
	for after < src.last {
		lines, err := src.read(ctx, after, linesPerPage)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			w.Unread = true
			return nil
		}
		if err != nil {
			return err
		}
		if len(lines) == 0 {
			return nil
		}
		for _, l := range lines {
			if parts, ok := findIn(cleanText(l.Text), w.Query); ok {
				w.Found++
				w.Lines = append(w.Lines, wholeLine{logLine{l}, parts, w.at(l.N)})
			}
		}
		w.Lines = w.Lines[max(0, len(w.Lines)-maxFound):]
		after = lines[len(lines)-1].N
	}
	return nil
}

// findIn takes a line apart where it has a text, whichever case it is written in.
func findIn(text, what string) ([]logPart, bool) {
	low, sought := strings.ToLower(text), strings.ToLower(what)
	if !strings.Contains(low, sought) {
		return nil, false
	}
	if len(low) != len(text) { // a letter whose other case is longer: where it is cannot be said
		return []logPart{{text, true}}, true
	}
	var parts []logPart
	for {
		i := strings.Index(low, sought)
		if i < 0 || len(parts) > 100 {
			break
		}
		if i > 0 {
			parts = append(parts, logPart{text[:i], false})
		}
		parts = append(parts, logPart{text[i : i+len(sought)], true})
		text, low = text[i+len(sought):], low[i+len(sought):]
	}
	if text != "" {
		parts = append(parts, logPart{text, false})
	}
	return parts, true
}

// sendLog writes all stored lines of a log as text, to be saved.
func (s *Server) sendLog(c *gin.Context, name string, src logSource) error {
	leave, err := s.enterDownload(c)
	if err != nil {
		return err
	}
	defer leave()
	c.Header("Content-Type", "text/plain; charset=utf-8")
	c.Header("Content-Disposition", attachment(name))
	out := bufio.NewWriter(newPatientWriter(c))
	defer func() { _ = out.Flush() }() // a visitor who left is not an error
	for after := src.first - 1; after < src.last; {
		lines, err := src.read(c.Request.Context(), after, linesPerPage)
		if err != nil || len(lines) == 0 {
			return err
		}
		for _, l := range lines {
			if _, err := fmt.Fprintf(out, "%6d  %s  %s\n", l.N, l.At.UTC().Format("2006-01-02 15:04:05"), cleanText(l.Text)); err != nil {
				return nil //nolint:nilerr // the visitor left
			}
			after = l.N
		}
	}
	return nil
}

// serverLogPage is the whole stored log of a server.
type serverLogPage struct {
	serverFrame
	Log wholeLog
}

func (serverLogPage) template() string { return "server_log.html" }

func (s *Server) showServerLog(c *gin.Context) error {
	v, err := s.tabView(c)
	if err != nil {
		return err
	}
	src, err := s.consoleSource(c.Request.Context(), v.Server.Instance)
	if err != nil {
		return err
	}
	p := serverLogPage{}
	p.Log, err = s.wholeLog(c, wholeLog{Path: v.Path() + "/log", Download: v.Path() + "/log.txt", Label: "Server log"}, src)
	if err != nil {
		return err
	}
	if p.serverFrame, err = s.serverFrame(c, v, ""); err != nil {
		return err
	}
	p.Layout.Scripts = []string{"log.js"}
	return s.show(c, http.StatusOK, p)
}

func (s *Server) downloadServerLog(c *gin.Context) error {
	v, err := s.tabView(c)
	if err != nil {
		return err
	}
	src, err := s.consoleSource(c.Request.Context(), v.Server.Instance)
	if err != nil {
		return err
	}
	return s.sendLog(c, v.Server.Instance+".log", src)
}

// jobLogPage is the whole log of a job.
type jobLogPage struct {
	Layout layout
	Head   jobHead
	Log    wholeLog
}

func (jobLogPage) template() string { return "job_log.html" }

func (s *Server) showJobLog(c *gin.Context) error {
	id, err := jobNumber(c)
	if err != nil {
		return err
	}
	head, err := s.jobHead(c.Request.Context(), user(c), id)
	if err != nil {
		return err
	}
	path := "/jobs/" + strconv.FormatInt(id, 10) + "/log"
	p := jobLogPage{Head: head}
	if p.Log, err = s.wholeLog(c, wholeLog{Path: path, Download: path + ".txt", Label: "Log"}, s.jobSource(head.Job)); err != nil {
		return err
	}
	if p.Layout, err = s.layout(c, "Log of "+head.Job.Title, "jobs"); err != nil {
		return err
	}
	p.Layout.Scripts = []string{"log.js"}
	return s.show(c, http.StatusOK, p)
}

func (s *Server) downloadLog(c *gin.Context) error {
	j, err := s.jobHere(c)
	if err != nil {
		return err
	}
	return s.sendLog(c, fmt.Sprintf("job-%d.log", j.ID), s.jobSource(j))
}
