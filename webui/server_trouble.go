package webui

import (
	"context"

	"left4me/models"
)

// down says that the server is to run, does not, and that no job is about to change
// that: somebody wants to know why.
func (v serverView) down() bool {
	return v.Server.Desired == models.ServerRunning && !v.Up() && len(v.Jobs) == 0
}

// addFailed adds the newest job of those servers that are down, where it failed: what
// the host tells of a server knows nothing of a start that never came to a process.
func (s *Server) addFailed(ctx context.Context, views []serverView) error {
	var ids []string
	for _, v := range views {
		if v.down() {
			ids = append(ids, v.Server.ID)
		}
	}
	newest, err := models.NewestServerJobs(ctx, s.DB, ids)
	if err != nil {
		return err
	}
	for i := range views {
		if j := newest[views[i].Server.ID]; j != nil && j.State == models.JobFailed {
			views[i].Failed = j
		}
	}
	return nil
}

// Trouble is why the server is not as its owner wants it, "" when it is.
func (v serverView) Trouble() string {
	s := v.Server
	switch {
	case v.Failed != nil && v.Failed.Message != "":
		return sentence(v.Failed.Message)
	case s.Observed == models.ServerFailed && s.Status.Message != "":
		return s.Status.Message
	case s.Observed == models.ServerFailed:
		return "The game ended by itself and is not started again. Its log says why."
	case len(v.Jobs) > 0:
		return ""
	case s.Observed == models.ServerUnknown && s.Status.Message != "":
		return s.Status.Message
	case v.Up() && s.Status.Hung:
		return s.Status.Message
	case v.down() && s.Observed == models.ServerStopped && s.Status.Message != "":
		return s.Status.Message + " You asked for it to run: start it again."
	case v.down() && s.Observed == models.ServerStopped:
		return "You asked for it to run, and it does not. Start it again; its log says why it ended."
	}
	return ""
}
