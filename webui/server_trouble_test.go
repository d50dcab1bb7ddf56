package webui

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"left4me/jobs"
	"left4me/models"
	"left4me/models/modelstest"
)

// A start that failed before there was a process left no trace on the server's page:
// it said that the server's log tells why, and the log knew nothing.
func TestAFailedStartIsToldOnTheServersPage(t *testing.T) {
	s := newSite(t)
	s.installed()
	u := modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, u)
	never := modelstest.Server(t, s.db, s.key, u)
	b := s.browser(u)
	s.observe(srv, models.ServerStopped, nil)
	const why = "Port 27015 is taken by another program: end it, or choose another port."
	for _, one := range []*models.Server{srv, never} {
		b.post("/servers/"+one.Instance+"/start", nil).want(t, http.StatusSeeOther)
		s.failAll(one, why)
		b.get("/servers/"+one.Instance).want(t, http.StatusOK, why, "Start "+one.Name+"</a> failed")
	}
	b.get("/servers").want(t, http.StatusOK, why)

	// The next one is under way: what became of the last is history.
	b.post("/servers/"+srv.Instance+"/start", nil).want(t, http.StatusSeeOther)
	if page := b.get("/servers/" + srv.Instance); strings.Contains(page.Text, why) {
		t.Errorf("the old failure is still told:\n%s", page.Text)
	}
}

// failAll ends the server's unfinished jobs.
func (s *site) failAll(srv *models.Server, why string) {
	s.t.Helper()
	ctx := context.Background()
	list, err := models.UnfinishedJobs(ctx, s.db, srv.ID)
	for _, j := range list {
		if _, err := models.ClaimJob(ctx, s.db, j.ID, "w"); err != nil {
			s.t.Fatal(err)
		}
		if err := models.FinishJob(ctx, s.db, j.ID, 1, models.Ending{State: models.JobFailed, Message: why}); err != nil {
			s.t.Fatal(err)
		}
	}
	if err != nil || len(list) == 0 || list[len(list)-1].Kind != (jobs.StartServer{}).Kind() {
		s.t.Fatalf("%d jobs: %v", len(list), err)
	}
}

func TestWhyAServerIsDown(t *testing.T) {
	at := models.Now()
	tests := map[string]struct {
		server models.Server
		failed *models.Job
		want   string
	}{
		"ended by itself":     {models.Server{Desired: models.ServerRunning, Observed: models.ServerStopped, Status: models.ServerStatus{Message: "The game ended."}}, nil, "The game ended. You asked for it to run: start it again."},
		"nobody knows":        {models.Server{Desired: models.ServerRunning, Observed: models.ServerStopped}, nil, "You asked for it to run, and it does not. Start it again; its log says why it ended."},
		"its start failed":    {models.Server{Desired: models.ServerRunning, Observed: models.ServerStopped, Status: models.ServerStatus{Message: "The game ended."}}, &models.Job{Message: "no port"}, "No port."},
		"it is to be stopped": {models.Server{Desired: models.ServerStopped, Observed: models.ServerStopped, Status: models.ServerStatus{Message: "The game ended."}}, nil, ""},
		"it runs":             {models.Server{Desired: models.ServerRunning, Observed: models.ServerRunning}, nil, ""},
	}
	for name, test := range tests {
		test.server.ObservedAt = at
		if got := (serverView{Server: &test.server, Failed: test.failed}).Trouble(); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// The page offered the new port to friends while the game still sat on the old one.
func TestAddressIsWhereTheGameIs(t *testing.T) {
	started := models.ServerStatus{Argv: []string{"srcds_linux", "-port", "27015", "+map", "c1m1_hotel"}}
	tests := map[string]struct {
		server models.Server
		want   string
	}{
		"runs on the old port": {models.Server{Port: 27040, Observed: models.ServerRunning, Status: started}, "host:27015"},
		"stopped":              {models.Server{Port: 27040, Observed: models.ServerStopped, Status: started}, "host:27040"},
		"arguments not told":   {models.Server{Port: 27040, Observed: models.ServerRunning}, "host:27040"},
		"cut off":              {models.Server{Port: 27040, Observed: models.ServerRunning, Status: models.ServerStatus{Argv: []string{"-port"}}}, "host:27040"},
	}
	for name, test := range tests {
		v := serverView{Server: &test.server, Host: "host"}
		if got := v.Address(); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}
