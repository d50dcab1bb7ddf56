package webui

import (
	"strings"
	"testing"
	"time"

	"left4me/models"
)

func TestHowGoodAStateIs(t *testing.T) {
	hung := models.ServerStatus{Hung: true, Message: "It hangs."}
	tests := map[string]struct {
		observed models.ServerState
		ago      time.Duration
		status   models.ServerStatus
		want     string
		tone     string
		late     bool
	}{
		"running":               {models.ServerRunning, 0, models.ServerStatus{}, "Running", "ok", false},
		"seen a moment ago":     {models.ServerRunning, 40 * time.Second, models.ServerStatus{}, "Running", "ok", false},
		"nobody looks":          {models.ServerRunning, time.Minute, models.ServerStatus{}, "Last seen running", "warn", true},
		"nobody looks at it":    {models.ServerStopped, time.Minute, models.ServerStatus{}, "Last seen stopped", "warn", true},
		"never set up":          {models.ServerAbsent, time.Hour, models.ServerStatus{}, "Never started", "off", false},
		"unknown for long":      {models.ServerUnknown, time.Hour, models.ServerStatus{}, "Unknown", "warn", true},
		"hung":                  {models.ServerRunning, 0, hung, "Not answering", "warn", false},
		"hung, seen long ago":   {models.ServerRunning, time.Hour, hung, "Last seen running", "warn", true},
		"on the LAN":            {models.ServerRunning, 0, models.ServerStatus{LAN: true}, "Running, LAN only", "ok", false},
		"asleep":                {models.ServerRunning, 0, models.ServerStatus{Live: &models.Live{Hibernating: true}}, "Running", "ok", false},
		"stopped after a crash": {models.ServerStopped, 0, hung, "Stopped", "off", false},
	}
	for name, test := range tests {
		v := serverView{Server: &models.Server{Observed: test.observed, ObservedAt: models.Now().Add(-test.ago), Status: test.status}}
		if got := v.State(); got != (stateView{test.want, test.tone}) || v.Late() != test.late {
			t.Errorf("%s: %+v, late %v; want %s (%s), late %v", name, got, v.Late(), test.want, test.tone, test.late)
		}
		if got := v.SinceKnown(); got == (test.tone == "warn" || test.observed == models.ServerAbsent) {
			t.Errorf("%s: tells since when: %v", name, got)
		}
	}
}

func TestACrashIsToldForAWhile(t *testing.T) {
	at := models.Now().Add(-3 * time.Minute)
	server := func(change func(*models.Server)) serverView {
		s := &models.Server{
			Observed: models.ServerRunning, ObservedAt: models.Now(),
			Status: models.ServerStatus{Restarts: 2, Exit: &models.GameExit{At: at, Code: 139, Signal: "SIGSEGV", Cause: "The add-on <b> is no VPK."}},
		}
		change(s)
		return serverView{Server: s}
	}
	tests := map[string]struct {
		change func(*models.Server)
		want   bool
	}{
		"it runs again":      {func(*models.Server) {}, true},
		"it starts again":    {func(s *models.Server) { s.Observed = models.ServerStarting }, true},
		"hours ago":          {func(s *models.Server) { s.Status.Exit.At = at.Add(-2 * time.Hour) }, false},
		"it was stopped":     {func(s *models.Server) { s.Observed = models.ServerStopped }, false},
		"started by hand":    {func(s *models.Server) { s.Status.Restarts = 0 }, false},
		"nobody knows how":   {func(s *models.Server) { s.Status.Exit = nil }, false},
		"without any signal": {func(s *models.Server) { s.Status.Exit.Signal = "" }, true},
	}
	st, err := loadStatic()
	if err != nil {
		t.Fatal(err)
	}
	set, err := loadTemplates(st.url)
	if err != nil {
		t.Fatal(err)
	}
	html, err := set.render(serverHead{server(func(s *models.Server) {
		s.Observed, s.Status.Message = models.ServerStarting, "It is started again in 2s."
	})})
	if text := string(html); err != nil || !strings.Contains(text, "and is started again.") || strings.Contains(text, "runs again") || strings.Contains(text, "in 2s") {
		t.Errorf("a game that comes again: %v: %s", err, text)
	}
	for name, test := range tests {
		v := server(test.change)
		html, err := set.render(serverHead{v})
		if err != nil {
			t.Fatal(err)
		}
		text := string(html)
		if got := strings.Contains(text, "The game crashed") && strings.Contains(text, "The add-on &lt;b&gt; is no VPK.") && strings.Contains(text, "restarted 2 times"); got != test.want {
			t.Errorf("%s: told %v, want %v: %s", name, got, test.want, text)
		}
	}
}

func TestWhatIsPlayedInWords(t *testing.T) {
	tests := map[string]struct{ mode, difficulty, want string }{
		"campaign":   {"coop", "Hard", "Campaign, Advanced"},
		"realism":    {"realism", "Impossible", "Realism, Expert"},
		"versus":     {"versus", "Normal", "Versus"},
		"a mutation": {"mutation12", "Easy", "mutation12"},
		"not told":   {"", "Easy", ""},
	}
	for name, test := range tests {
		v := serverView{Server: &models.Server{Observed: models.ServerRunning, Status: models.ServerStatus{Live: &models.Live{Mode: test.mode, Difficulty: test.difficulty}}}}
		if got := v.Mode(); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
