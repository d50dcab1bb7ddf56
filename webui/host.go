package webui

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"left4me/jobs"
	"left4me/models"
)

type hostPage struct {
	Layout layout
	Report hostReport
}

func (hostPage) template() string { return "host.html" }

// hostReport is what was found when the host was checked.
type hostReport struct {
	Host models.Host
	Job  *jobView // a check that is under way
	Last *jobView // the last one, when it did not get so far
}

func (hostReport) template() string  { return "host_report.html" }
func (hostReport) elementID() string { return "host-report" }

// State is the host's fitness in a word.
func (v hostReport) State() stateView {
	if v.Job != nil {
		return stateView{"Being checked", "busy"}
	}
	return hostHealth(v.Host).State
}

// checkView is one finding.
type checkView struct{ models.HostCheck }

// State is the finding in a word.
func (v checkView) State() stateView {
	switch v.Level {
	case models.CheckProblem:
		return stateView{"Problem", "bad"}
	case models.CheckWarning:
		return stateView{"Warning", "warn"}
	}
	return stateView{"Fine", "ok"}
}

// Checks are the findings, what must be done first.
func (v hostReport) Checks() []checkView {
	var list []checkView
	for _, level := range []string{models.CheckProblem, models.CheckWarning, models.CheckOK} {
		for _, c := range v.Host.Doctor.Checks {
			if c.Level == level {
				list = append(list, checkView{c})
			}
		}
	}
	return list
}

func (s *Server) hostReport(ctx context.Context) (hostReport, error) {
	host, err := models.HostByName(ctx, s.DB, models.LocalHost)
	if err != nil {
		return hostReport{}, err
	}
	v := hostReport{Host: host}
	job, last, err := s.jobsOfKind(ctx, jobs.CheckHost{}.Kind())
	v.Job = job
	if last != nil && last.Job.State != models.JobSucceeded && last.Job.FinishedAt.After(host.DoctorAt) {
		v.Last = last
	}
	return v, err
}

func (s *Server) showHost(c *gin.Context) error {
	report, err := s.hostReport(c.Request.Context())
	if err != nil {
		return err
	}
	l, err := s.layout(c, "Host", "admin", "admin-host")
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, hostPage{Layout: l, Report: report})
}

// checkHost asks for a look at the host; its page shows what is found.
func (s *Server) checkHost(c *gin.Context) error {
	if _, err := s.Jobs.Enqueue(c.Request.Context(), actor(c), jobs.CheckHost{}); err != nil {
		return err
	}
	return goTo(c, "/admin/host")
}

// adminTopics are what the administrators' pages listen to.
func adminTopics(u *models.User) []string { return []string{jobs.TopicGame(), jobsTopic(u)} }

func (s *Server) hostFeed(u *models.User) *feed {
	return &feed{render: func(ctx context.Context) ([]fragment, []string, error) {
		v, err := s.hostReport(ctx)
		return []fragment{v}, adminTopics(u), err
	}}
}
