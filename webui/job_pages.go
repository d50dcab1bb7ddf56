package webui

import (
	"context"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"left4me/jobs"
	"left4me/models"
)

const (
	jobsPerPage = 50
	tailLines   = 400 // of a log that a page brings with it; the rest is a link away
)

type jobsPage struct {
	Layout layout
	Table  jobTable
	First  bool // the newest jobs are on this page
}

func (jobsPage) template() string { return "jobs.html" }

func (s *Server) listJobs(c *gin.Context) error {
	before, _ := strconv.ParseInt(c.Query("before"), 10, 64) // what is no number begins at the newest
	filter := ""
	if c.Query("state") == "unfinished" {
		filter = "unfinished"
	}
	table, err := s.jobTable(c.Request.Context(), user(c), filter, max(before, 0))
	if err != nil {
		return err
	}
	feeds := []string{}
	if before <= 0 {
		feeds = append(feeds, "jobs:"+filter)
	}
	l, err := s.layout(c, "Jobs", "jobs", feeds...)
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, jobsPage{Layout: l, Table: table, First: before <= 0})
}

func (s *Server) jobTable(ctx context.Context, u *models.User, filter string, before int64) (jobTable, error) {
	list, err := models.Jobs(ctx, s.DB, models.JobFilter{User: u, Unfinished: filter == "unfinished", Before: before, Limit: jobsPerPage + 1})
	if err != nil {
		return jobTable{}, err
	}
	t := jobTable{Filter: filter, Admin: u.Admin, ID: "job-table", Empty: "No jobs yet. Everything that is done on the host appears here, with its log."}
	if filter != "" {
		t.Empty = "Nothing is under way."
	}
	if len(list) > jobsPerPage {
		list = list[:jobsPerPage]
		t.Before = list[len(list)-1].ID
	}
	t.Jobs = jobViews(list)
	return t, nil
}

type jobPage struct {
	Layout   layout
	Head     jobHead
	Progress jobProgress
	Log      logView
}

func (jobPage) template() string { return "job.html" }

// logView is a log as a page brings it: its last lines, and where the live
// stream goes on.
type logView struct {
	Feed    string
	Label   string
	Cursor  string
	Lines   []logLine
	Earlier int64  // lines before the first one shown
	Path    string // of the whole log
	Empty   string
	Ended   bool
}

type logLine struct{ jobs.Line }

// Class colours a line by where it came from.
func (l logLine) Class() string { return streamClass(l.Stream) }

func streamClass(stream string) string {
	switch stream {
	case "err", "ctl":
		return stream
	}
	return "out"
}

func logLines(list []jobs.Line) []logLine {
	out := make([]logLine, len(list))
	for i, l := range list {
		out[i] = logLine{l}
	}
	return out
}

func jobNumber(c *gin.Context) (int64, error) {
	n, err := strconv.ParseInt(c.Param("number"), 10, 64)
	if err != nil || n <= 0 {
		return 0, models.ErrNotFound
	}
	return n, nil
}

func (s *Server) showJob(c *gin.Context) error {
	id, err := jobNumber(c)
	if err != nil {
		return err
	}
	head, err := s.jobHead(c.Request.Context(), user(c), id)
	if err != nil {
		return err
	}
	log, err := s.jobTail(c.Request.Context(), head.Job)
	if err != nil {
		return err
	}
	l, err := s.layout(c, head.Job.Title, "jobs", "job:"+c.Param("number"))
	if err != nil {
		return err
	}
	l.Scripts = []string{"log.js"}
	return s.show(c, http.StatusOK, jobPage{Layout: l, Head: head, Progress: jobProgress{head.jobView}, Log: log})
}

func (s *Server) jobTail(ctx context.Context, j *models.Job) (logView, error) {
	rows, err := models.LogAfter(ctx, s.DB, j.ID, max(j.LastSeq-tailLines, 0), 2*tailLines)
	if err != nil {
		return logView{}, err
	}
	lines := make([]jobs.Line, len(rows))
	for i, r := range rows {
		lines[i] = jobs.Line{N: r.Seq, At: r.At, Stream: r.Stream, Text: r.Text}
	}
	n := strconv.FormatInt(j.ID, 10)
	v := logView{
		Feed: "job:" + n, Label: "Log", Cursor: "0", Lines: logLines(lines), Path: "/jobs/" + n + "/log", Ended: j.Finished(),
		Empty: "No lines yet. They appear here as they are written.",
	}
	if j.Finished() {
		v.Empty = "This job wrote nothing."
	}
	if len(lines) > 0 {
		v.Cursor = strconv.FormatInt(lines[len(lines)-1].N, 10)
		v.Earlier = lines[0].N - 1
	}
	return v, nil
}

// consoleTail reads the last lines of a server's console, and asks for those to
// come: without a script nothing else would. That they cannot be read is no
// reason to show no page: the live stream tries again.
func (s *Server) consoleTail(ctx context.Context, instance string) logView {
	v := logView{Feed: "console:" + instance, Label: "Server log", Path: "/servers/" + instance + "/log", Empty: "Nothing yet. The game's own lines appear here when it runs."}
	if err := s.Jobs.WatchConsole(ctx, instance); err != nil {
		s.Log.WarnContext(ctx, "could not ask for a console", "server", instance, "err", err)
	}
	span, err := s.Jobs.ConsoleSpan(ctx, instance)
	var lines []jobs.Line
	from := max(span.First, span.Last-tailLines+1)
	if err == nil {
		lines, err = s.Jobs.ConsoleLines(ctx, span, from-1, tailLines)
	}
	if err != nil {
		s.Log.WarnContext(ctx, "could not read a console", "server", instance, "err", err)
		return v
	}
	if n := len(lines); n > 0 {
		v.Lines, v.Cursor, v.Earlier = logLines(lines), span.At(lines[n-1].N), from-span.First
	}
	return v
}

func (s *Server) cancelJob(c *gin.Context) error {
	j, err := s.jobHere(c)
	if err != nil {
		return err
	}
	if j.Kind == (jobs.StopForUpdate{}).Kind() { // it works on a server of theirs, and is the host's
		if err := mayAdminister(user(c)); err != nil {
			return err
		}
	}
	if err := s.Jobs.Cancel(c.Request.Context(), actor(c), j.ID); err != nil {
		return err
	}
	if !isHX(c) {
		return goTo(c, localBack(c, "/jobs/"+c.Param("number")))
	}
	head, err := s.jobHead(c.Request.Context(), user(c), j.ID)
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, head)
}

func (s *Server) retryJob(c *gin.Context) error {
	j, err := s.jobHere(c)
	if err != nil {
		return err
	}
	args, err := again(j, user(c))
	if err != nil {
		return err
	}
	fresh, err := s.Jobs.Enqueue(c.Request.Context(), actor(c), args)
	if err != nil {
		return err
	}
	return goTo(c, jobView{Job: fresh}.Path())
}
