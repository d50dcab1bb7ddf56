package webui

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/jobs"
	"left4me/models"
)

// scheduleView is work that comes by the clock, and the button that does it now.
type scheduleView struct {
	models.Schedule
	Title, Text string
	Job         *jobView // the one that is under way, nil for none
	Last        *jobView // the last one that ended, nil for none
}

// scheduleWords say what a schedule does.
var scheduleWords = map[string]struct{ title, text string }{
	jobs.RefreshOverlays{}.Kind(): {"Look for new versions of all workshop items", "Fetches what changed and builds the overlays concerned again. Servers take that at their next start."},
	jobs.CollectOverlays{}.Kind(): {"Remove versions that nothing uses", "Frees the disk of old versions of overlays and of workshop items. What a server uses stays."},
	jobs.CheckGame{}.Kind():       {"Ask Steam for a new build of the game", "Only asks: the game's page and this one say what came of it."},
	jobs.RestartEmpty{}.Kind():    {"Restart the servers that are empty", "Gives each running server its blueprint as it is now, one a little after the other. One on which somebody plays is left alone."},
}

// Path is below what the schedule is changed and done at.
func (v scheduleView) Path() string { return "/admin/schedules/" + v.Name }

// Next is when it comes next; zero when it is switched off.
func (v scheduleView) Next() time.Time { return v.Schedule.Next(time.Now()) }

// scheduleLate says that no worker has looked at the clock since seen, though it does
// several times a minute.
func scheduleLate(seen time.Time) bool { return models.Now().Sub(seen) > 2*time.Minute }

// Late says so of the schedule.
func (v scheduleView) Late() bool { return v.Enabled && scheduleLate(v.SeenAt) }

// LateState is the word for that.
func (scheduleView) LateState() stateView { return stateView{"Late", "bad"} }

func (s *Server) scheduleView(ctx context.Context, sch models.Schedule) (v scheduleView, err error) {
	words := scheduleWords[sch.Name]
	v = scheduleView{Schedule: sch, Title: words.title, Text: words.text}
	v.Job, v.Last, err = s.jobsOfKind(ctx, sch.Name)
	return v, err
}

// schedules lists the host's schedules that this site has words for; with a prefix
// only those whose name begins so.
func (s *Server) schedules(ctx context.Context, prefix string) ([]scheduleView, error) {
	list, err := models.Schedules(ctx, s.DB, models.LocalHost)
	if err != nil {
		return nil, err
	}
	var out []scheduleView
	for _, sch := range list {
		if _, known := scheduleWords[sch.Name]; !known || !strings.HasPrefix(sch.Name, prefix) {
			continue
		}
		v, err := s.scheduleView(ctx, sch)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// scheduleStatus is the part of a schedule that changes by itself.
type scheduleStatus struct{ scheduleView }

func (scheduleStatus) template() string    { return "schedule_status.html" }
func (v scheduleStatus) elementID() string { return "schedule-" + strings.ReplaceAll(v.Name, ".", "-") }

// ID is elementID for the template.
func (v scheduleStatus) ID() string { return v.elementID() }

// scheduleForm is a schedule as somebody changes it.
type scheduleForm struct {
	scheduleView
	At      string // 04:30
	Problem map[string]string
}

// Status is what the stream keeps up to date.
func (f scheduleForm) Status() scheduleStatus { return scheduleStatus{f.scheduleView} }

type schedulesPage struct {
	Layout layout
	Forms  []scheduleForm
	Here   string // the time zone of this machine
}

func (schedulesPage) template() string { return "schedules.html" }

func (s *Server) showSchedules(c *gin.Context) error {
	return s.renderSchedules(c, http.StatusOK, scheduleForm{})
}

// renderSchedules shows all of them, with what somebody sent in place of one.
func (s *Server) renderSchedules(c *gin.Context, status int, sent scheduleForm) error {
	list, err := s.schedules(c.Request.Context(), "")
	if err != nil {
		return err
	}
	l, err := s.layout(c, "Schedules", "admin", "admin-schedules")
	if err != nil {
		return err
	}
	page := schedulesPage{Layout: l, Here: time.Now().Format("MST")}
	for _, v := range list {
		f := scheduleForm{scheduleView: v, At: fmt.Sprintf("%02d:%02d", v.Hour, v.Minute)}
		if v.Name == sent.Name {
			v.Schedule = sent.Schedule
			f = scheduleForm{scheduleView: v, At: sent.At, Problem: sent.Problem}
		}
		page.Forms = append(page.Forms, f)
	}
	return s.show(c, status, page)
}

// namedSchedule reads the schedule that the address names.
func (s *Server) namedSchedule(c *gin.Context) (*models.Schedule, error) {
	name := c.Param("schedule")
	if _, known := scheduleWords[name]; !known {
		return nil, fmt.Errorf("schedule %q: %w", clip(name, 60), models.ErrNotFound)
	}
	return models.ScheduleByName(c.Request.Context(), s.DB, models.LocalHost, name)
}

// clockTime is what a browser sends of a time field; some add seconds.
var clockTime = regexp.MustCompile(`^(\d{1,2}):(\d{2})(:\d{2})?$`)

func (s *Server) editSchedule(c *gin.Context) error {
	sch, err := s.namedSchedule(c)
	if err != nil {
		return err
	}
	at := clip(strings.TrimSpace(c.PostForm("at")), 20)
	sch.Hour = -1 // refused with the sentence about times
	if m := clockTime.FindStringSubmatch(at); m != nil {
		sch.Hour, _ = strconv.Atoi(m[1]) // two digits
		sch.Minute, _ = strconv.Atoi(m[2])
	}
	sch.Zone = clip(strings.TrimSpace(c.PostForm("zone")), 100)
	sch.Enabled, sch.CatchUp = c.PostForm("enabled") == "yes", c.PostForm("missed") == "late"
	by := actor(c)
	err = s.DB.RunInTx(c.Request.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		if err := models.EditSchedule(ctx, tx, sch, time.Now()); err != nil {
			return err
		}
		return models.Audit(ctx, tx, by, "schedule.edit", "schedule:"+sch.Name, scheduleInWords(sch))
	})
	if bad, ok := models.AsInvalid(err); ok {
		return s.renderSchedules(c, http.StatusUnprocessableEntity, scheduleForm{
			scheduleView: scheduleView{Schedule: *sch}, At: at, Problem: map[string]string{bad.Field: bad.Message},
		})
	} else if err != nil {
		return err
	}
	s.flash(c, "saved")
	return goTo(c, "/admin/schedules")
}

// scheduleInWords is what the audit log keeps of a change.
func scheduleInWords(s *models.Schedule) string {
	if !s.Enabled {
		return "switched off"
	}
	text := fmt.Sprintf("at %02d:%02d", s.Hour, s.Minute)
	if s.Zone != "" {
		text += " " + s.Zone
	}
	if s.CatchUp {
		return text + ", late when missed"
	}
	return text + ", passed over when missed"
}

func (s *Server) runSchedule(c *gin.Context) error {
	sch, err := s.namedSchedule(c)
	if err != nil {
		return err
	}
	args, known := jobs.Scheduled(sch.Name)
	if !known {
		return fmt.Errorf("schedule %s: %w", sch.Name, models.ErrNotFound)
	}
	return s.enqueueAndShow(c, args)
}

func (s *Server) schedulesFeed(u *models.User) *feed {
	return &feed{render: func(ctx context.Context) ([]fragment, []string, error) {
		list, err := s.schedules(ctx, "")
		frags := make([]fragment, len(list))
		for i, v := range list {
			frags[i] = scheduleStatus{v}
		}
		return frags, adminTopics(u), err
	}}
}

// jobsOfKind finds the host's first unfinished job of a kind and the last one that
// ended, each nil when there is none.
func (s *Server) jobsOfKind(ctx context.Context, kind string) (running, last *jobView, err error) {
	waiting, err := models.UnfinishedByKind(ctx, s.DB, models.LocalHost, kind)
	if err != nil {
		return nil, nil, err
	}
	if len(waiting) > 0 {
		running = &jobView{Job: &waiting[0]}
	}
	ended, err := models.LastJobByKind(ctx, s.DB, models.LocalHost, kind)
	if ended != nil {
		last = &jobView{Job: ended}
	}
	return running, last, err
}
