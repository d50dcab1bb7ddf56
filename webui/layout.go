package webui

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"left4me/models"
)

// layout is what every page has around its content.
type layout struct {
	Title   string
	Section string // the navigation's current entry
	User    *models.User
	Strip   stripView
	Feeds   string   // what the page's live stream carries, comma-separated
	Seen    string   // what the page shows of a feed already, as "feed=print"
	Scripts []string // static files beside app.js
	Flash   string
	Monitor bool
	Version string
	HostAt  time.Time // set when the host has been silent for too long: since when
	Silent  bool
}

// hostSilence is how long a host may say nothing before pages say so.
const hostSilence = 45 * time.Second

// layout reads what a page of a signed-in user needs around it.
func (s *Server) layout(c *gin.Context, title, section string, feeds ...string) (layout, error) {
	u := user(c)
	l := layout{
		Title: title, Section: section, User: u, Version: s.Version, Monitor: s.Monitor != nil && u.Admin,
		Feeds: strings.Join(append([]string{"strip"}, feeds...), ","), Flash: s.takeFlash(c),
	}
	var err error
	if l.Strip, err = s.strip(c.Request.Context(), u); err != nil {
		return l, err
	}
	host, err := models.HostByName(c.Request.Context(), s.DB, models.LocalHost)
	if err != nil {
		return l, err
	}
	l.HostAt, l.Silent = host.SeenAt, models.Now().Sub(host.SeenAt) > hostSilence
	return l, nil
}

// stripView is the line at the foot of every page: the work that goes on.
type stripView struct{ Jobs []jobView }

func (stripView) template() string  { return "strip.html" }
func (stripView) elementID() string { return "strip" }

// First is the job to show: one that runs before one that waits.
func (v stripView) First() *jobView {
	for i := len(v.Jobs) - 1; i >= 0; i-- { // the list is newest first
		if v.Jobs[i].Job.State == models.JobRunning {
			return &v.Jobs[i]
		}
	}
	if len(v.Jobs) > 0 {
		return &v.Jobs[len(v.Jobs)-1]
	}
	return nil
}

func (s *Server) strip(ctx context.Context, u *models.User) (stripView, error) {
	list, err := models.Jobs(ctx, s.DB, models.JobFilter{User: u, Unfinished: true, Limit: 30})
	if err != nil {
		return stripView{}, err
	}
	return stripView{Jobs: jobViews(list)}, nil
}

// messagePage is a page that says one thing, mostly why there is no other.
type messagePage struct {
	Layout   layout
	Status   int
	Heading  string
	Text     string
	SignedIn bool
}

func (messagePage) template() string { return "message.html" }

// toastView is a note in the corner.
type toastView struct{ Tone, Text string }

func (toastView) template() string { return "toast.html" }

// confirmPage asks before something is destroyed, where no script could.
type confirmPage struct {
	Layout   layout
	Heading  string
	Text     string
	Action   string
	Button   string
	Back     string
	Keep     string // what leaving it alone is called, "" for "Never mind"
	FieldErr string
	Fields   url.Values // what the form that asks had in it; sent again with the answer
}

func (confirmPage) template() string { return "confirm.html" }

// sure is true when the form says that its sender was asked. Otherwise it shows
// the page that asks, and the handler is done.
func (s *Server) sure(c *gin.Context, section string, page confirmPage) (bool, error) {
	if c.PostForm("sure") == "yes" {
		return true, nil
	}
	l, err := s.layout(c, page.Heading, section)
	if err != nil {
		return false, err
	}
	page.Layout, page.Action, page.Fields = l, c.Request.URL.Path, c.Request.PostForm
	return false, s.show(c, http.StatusOK, page)
}

func (s *Server) home(c *gin.Context) error { return goTo(c, "/servers") }

// stateView is a state as people see it: a word, and a tone that chooses its
// colour and its shape.
type stateView struct{ Word, Tone string }
