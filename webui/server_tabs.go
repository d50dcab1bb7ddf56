package webui

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"left4me/models"
)

// serverFrame is what the tabs of a server have around their content: its state, what
// changed, and the other tabs.
type serverFrame struct {
	Layout  layout
	Head    serverHead
	Changes changesNote
	Tab     string // the current one's path below the server's
}

// serverTab is one entry of the tabs.
type serverTab struct {
	Word, Path string
	Current    bool
}

// Tabs lists the tabs in their order.
func (f serverFrame) Tabs() []serverTab {
	list := []serverTab{{Word: "Log", Path: ""}, {Word: "Console", Path: "/console"}, {Word: "Players", Path: "/players"}, {Word: "Files", Path: "/files"}, {Word: "History", Path: "/history"}, {Word: "Jobs", Path: "/jobs"}, {Word: "Settings", Path: "/settings"}}
	for i := range list {
		list[i].Current = list[i].Path == f.Tab
		list[i].Path = f.Head.Path() + list[i].Path
	}
	return list
}

// serverFrame makes the frame of a tab. Its live stream carries the server's state
// and what feeds adds.
func (s *Server) serverFrame(c *gin.Context, v serverView, tab string, feeds ...string) (serverFrame, error) {
	l, err := s.layout(c, v.Server.Name, "servers", append([]string{"server:" + v.Server.Instance}, feeds...)...)
	return serverFrame{Layout: l, Head: serverHead{v}, Changes: changesNote{v}, Tab: tab}, err
}

// tabView reads the server that the address names.
func (s *Server) tabView(c *gin.Context) (serverView, error) {
	return s.serverView(c.Request.Context(), user(c), c.Param("instance"), s.publicHost(c.Request))
}

type serverJobsPage struct {
	serverFrame
	Recent jobTable
}

func (serverJobsPage) template() string { return "server_jobs.html" }

func (s *Server) showServerJobs(c *gin.Context) error {
	v, err := s.tabView(c)
	if err != nil {
		return err
	}
	recent, err := s.recentJobs(c.Request.Context(), user(c), v.Server.ID)
	if err != nil {
		return err
	}
	frame, err := s.serverFrame(c, v, "/jobs", "server-jobs:"+v.Server.Instance)
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, serverJobsPage{frame, recent})
}

// recentJobs are the last jobs of a server.
func (s *Server) recentJobs(ctx context.Context, u *models.User, serverID string) (jobTable, error) {
	list, err := models.Jobs(ctx, s.DB, models.JobFilter{User: u, ServerID: serverID, Limit: jobsPerPage})
	return jobTable{Jobs: jobViews(list), ID: "server-jobs", Empty: "Nothing was done with this server yet."}, err
}

type serverSettingsPage struct {
	serverFrame
	Form serverForm
	RCON rconView
}

func (serverSettingsPage) template() string { return "server_settings.html" }

func (s *Server) showServerSettings(c *gin.Context) error {
	v, err := s.tabView(c)
	if err != nil {
		return err
	}
	return s.renderSettings(c, http.StatusOK, v, settingsOf(v), rconView{})
}

func (s *Server) renderSettings(c *gin.Context, status int, v serverView, form serverForm, rcon rconView) error {
	if err := s.complete(c.Request.Context(), user(c), &form); err != nil {
		return err
	}
	frame, err := s.serverFrame(c, v, "/settings")
	if err != nil {
		return err
	}
	rcon.Path, rcon.Former = v.Path(), v.Up() && v.Server.Status.Pending
	return s.show(c, status, serverSettingsPage{frame, form, rcon})
}
