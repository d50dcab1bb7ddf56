package webui

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"left4me/models"
)

// adminTab is one entry of the administrators' pages.
type adminTab struct {
	Word, Path string
	Current    bool
}

// AdminTabs lists the pages for administrators. The current one is the page whose
// title is the entry's word.
func (l layout) AdminTabs() []adminTab {
	list := []adminTab{
		{Word: "Overview", Path: "/admin"},
		{Word: "Host", Path: "/admin/host"},
		{Word: "Schedules", Path: "/admin/schedules"},
		{Word: "Users", Path: "/admin/users"},
		{Word: "Who did what", Path: "/admin/audit"},
	}
	if l.Monitor {
		list = append(list, adminTab{Word: "Queues", Path: MonitorPath})
	}
	for i := range list {
		list[i].Current = list[i].Word == l.Title
	}
	return list
}

type adminPage struct {
	Layout layout
	Health adminHealth
}

func (adminPage) template() string { return "admin.html" }

// adminHealth is the installation at a glance.
type adminHealth struct{ Rows []healthRow }

func (adminHealth) template() string  { return "admin_health.html" }
func (adminHealth) elementID() string { return "admin-health" }

// healthRow is one thing that an administrator keeps an eye on.
type healthRow struct {
	Title string
	State stateView
	Text  string
	At    time.Time // what Text is about happened then; zero for none
	Link  string
}

func (s *Server) showAdmin(c *gin.Context) error {
	health, err := s.adminHealth(c.Request.Context(), user(c))
	if err != nil {
		return err
	}
	l, err := s.layout(c, "Overview", "admin", "admin-health")
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, adminPage{Layout: l, Health: health})
}

func (s *Server) adminHealth(ctx context.Context, u *models.User) (adminHealth, error) {
	game, err := s.gameCard(ctx, u)
	if err != nil {
		return adminHealth{}, err
	}
	host := game.Host
	worker := healthRow{Title: "Worker", State: stateView{"Running", "ok"}, Text: "It carries out what is asked for on this host. Heard", At: host.SeenAt}
	switch {
	case host.SeenAt.IsZero():
		worker.State, worker.Text = stateView{"Never heard of", "bad"}, "Nothing can be installed or started until it runs."
	case models.Now().Sub(host.SeenAt) > hostSilence:
		worker.State, worker.Text = stateView{"Silent", "bad"}, "What is asked for waits until it is back. Last heard"
	}
	rows := []healthRow{
		worker,
		{Title: "Game", State: game.State(), Text: game.Fresh(), Link: "/game"},
		hostHealth(host),
	}
	clock, err := s.clockHealth(ctx)
	if err != nil {
		return adminHealth{}, err
	}
	work, err := s.jobsHealth(ctx, u)
	return adminHealth{Rows: append(rows, clock, work)}, err
}

func hostHealth(host models.Host) healthRow {
	r := healthRow{Title: "Host", Link: "/admin/host", At: host.DoctorAt, Text: "Everything that servers need is there. Checked"}
	problems, warnings := host.Doctor.Count(models.CheckProblem), host.Doctor.Count(models.CheckWarning)
	switch {
	case host.DoctorAt.IsZero():
		r.State, r.Text = stateView{"Not checked", "off"}, "Nobody looked yet whether everything that servers need is there."
	case problems > 0:
		r.State, r.Text = stateView{count(problems, "problem"), "bad"}, "Servers cannot run until that is solved. Checked"
	case warnings > 0:
		r.State, r.Text = stateView{count(warnings, "warning"), "warn"}, "Servers can run. Checked"
	default:
		r.State = stateView{"Fit", "ok"}
	}
	return r
}

func (s *Server) clockHealth(ctx context.Context) (healthRow, error) {
	r := healthRow{Title: "Schedules", Link: "/admin/schedules", State: stateView{"On time", "ok"}, Text: "The clock was looked at"}
	list, err := models.Schedules(ctx, s.DB, models.LocalHost)
	if err != nil {
		return r, err
	}
	on := 0
	for _, sch := range list {
		if sch.Enabled {
			on++
		}
		r.At = sch.SeenAt
	}
	switch {
	case on == 0:
		r.State, r.Text = stateView{"Off", "off"}, "None is switched on. The clock was looked at"
	case r.At.IsZero():
		r.State, r.Text = stateView{"Waiting", "warn"}, "No worker has looked at the clock yet."
	case scheduleLate(r.At):
		r.State, r.Text = stateView{"Late", "bad"}, "No worker looks at the clock. It last did"
	}
	return r, nil
}

// jobsHealth looks at the newest jobs only: that costs the same with a million rows.
func (s *Server) jobsHealth(ctx context.Context, u *models.User) (healthRow, error) {
	const looked = 100
	r := healthRow{Title: "Jobs", Link: "/jobs", State: stateView{"Fine", "ok"}}
	list, err := models.Jobs(ctx, s.DB, models.JobFilter{User: u, Limit: looked})
	if err != nil {
		return r, err
	}
	if len(list) == 0 {
		r.Text = "There was none yet."
		return r, nil
	}
	failed, unfinished := 0, 0
	for _, j := range list {
		switch {
		case !j.Finished():
			unfinished++
		case j.State == models.JobFailed && models.Now().Sub(j.FinishedAt) < 24*time.Hour:
			failed++
		}
	}
	r.Text = fmt.Sprintf("None of the newest %s failed within a day. Under way: %d.", count(len(list), "job"), unfinished)
	if failed > 0 {
		r.State = stateView{fmt.Sprintf("%d failed", failed), "warn"}
		r.Text = fmt.Sprintf("%d of the newest %s failed within a day. Under way: %d.", failed, count(len(list), "job"), unfinished)
	}
	return r, nil
}

func (s *Server) adminHealthFeed(u *models.User) *feed {
	return &feed{render: func(ctx context.Context) ([]fragment, []string, error) {
		v, err := s.adminHealth(ctx, u)
		return []fragment{v}, adminTopics(u), err
	}}
}
