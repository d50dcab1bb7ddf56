//go:build look

package webui

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"left4me/jobs"
	"left4me/models"
)

// TestLook serves seeded pages for somebody who wants to look at them, until the
// file named by LOOK_UNTIL is gone:
//
//	LOOK_LISTEN=127.0.0.1:8099 LOOK_UNTIL=/tmp/look go test -tags look -run TestLook ./webui
func TestLook(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	hash, err := HashPassword("correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	u, err := models.CreateUser(ctx, s.db, "mira", hash, true)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("LOOK_EMPTY") == "" {
		seedLook(t, s, u)
	} else if err := models.SeeHost(ctx, s.db, "local", &models.Game{}); err != nil {
		t.Fatal(err)
	}
	token, err := models.CreateSession(ctx, s.db, u.ID, "127.0.0.1", "look")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", os.Getenv("LOOK_LISTEN"))
	if err != nil {
		t.Fatal(err)
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/signin" {
			r.AddCookie(&http.Cookie{Name: s.cookieName(), Value: token})
		}
		s.Handler().ServeHTTP(w, r)
	})
	srv := &http.Server{Handler: h}
	go func() { _ = srv.Serve(l) }()
	for {
		if _, err := os.Stat(os.Getenv("LOOK_UNTIL")); err != nil {
			break
		}
		<-time.After(200 * time.Millisecond)
		_ = models.SeeHost(ctx, s.db, "local", nil)
	}
	s.Close()
	_ = srv.Close()
}

func seedLook(t *testing.T, s *site, u *models.User) {
	ctx := context.Background()
	now := models.Now()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(models.SeeHost(ctx, s.db, "local", &models.Game{Installed: true, Version: "2.2.4.3", Build: "18412299", Size: 9402880113, Updated: now.Add(-30 * time.Hour)}))
	bp := func(name string, args []string, config string) *models.Blueprint {
		b := &models.Blueprint{UserID: u.ID, Name: name, Arguments: args, Config: config}
		must(models.CreateBlueprint(ctx, s.db, b))
		return b
	}
	comp := bp("Competitive", []string{"-tickrate", "60", "+sv_setmax", "31", "+map", "c2m1_highway versus"}, "sv_steamgroup 38347879\nsv_minrate 60000\nsv_maxrate 100000\nsm_cvar mv_maxplayers 8\n")
	van := bp("Vanilla +", []string{"+map", "c5m1_waterfront"}, "sv_alltalk 1\n")
	_ = bp("Practice", nil, "")
	mk := func(name string, b *models.Blueprint, state models.ServerState, status models.ServerStatus, ago time.Duration, applied int64) *models.Server {
		srv := &models.Server{UserID: u.ID, BlueprintID: b.ID, Name: name}
		must(models.CreateServer(ctx, s.db, s.key, srv))
		_, _, err := models.Observe(ctx, s.db, models.Observation{Host: "local", Instance: srv.Instance, State: state, Since: now.Add(-ago), Status: status})
		must(err)
		must(models.SetApplied(ctx, s.db, srv.ID, applied))
		return srv
	}
	live := func(m string, n, max int, names ...string) *models.Live {
		l := &models.Live{At: now, Hostname: `Friday "versus" ; $(id)`, Map: m, Players: n, Max: max}
		for i, name := range names {
			l.Names = append(l.Names, models.Player{Name: name, SteamID: fmt.Sprintf("STEAM_1:0:%d", 1234567+i), Connected: int64(600 * (i + 1)), Ping: 34 + i*9})
		}
		return l
	}
	friday := mk("Friday versus", comp, models.ServerRunning, models.ServerStatus{
		Grade: "rcon", PID: 4711, Memory: 912 << 20,
		Argv: []string{"srcds_linux", "-game", "left4dead2", "-port", "27015", "-tickrate", "60", "+sv_setmax", "31", "+map", "c2m1_highway versus"},
		Live: live("c2m2_fairgrounds", 4, 8, "Coach<2><STEAM_1:0:1>", "Zoey", `"><img src=x onerror=alert(1)>`, "\u202eevil"),
	}, 72*time.Minute, 1)
	mk("Coop for four", van, models.ServerRunning, models.ServerStatus{Grade: "steam", Live: live("c5m4_quarter", 2, 4)}, 26*time.Hour, 0)
	mk("Custom campaigns", van, models.ServerStarting, models.ServerStatus{Grade: "port"}, 8*time.Second, 1)
	mk("Training", comp, models.ServerFailed, models.ServerStatus{Message: "urban_flight.vpk cannot be read by the game. Its directory is cut off at 12 MB. Download it again or take it out of Workshop maps.", Restarts: 3, Exit: &models.GameExit{At: now.Add(-9 * time.Minute), Code: 139, Signal: "SIGSEGV"}}, 9*time.Minute, 1)
	idle := mk("Scavenge night", van, models.ServerStopped, models.ServerStatus{}, 50*time.Hour, 1)
	by := models.Actor{ID: u.ID, Name: u.Name}
	start, err := s.Jobs.Enqueue(ctx, by, jobs.StopServer{ServerID: idle.ID})
	must(err)
	_ = start
	_, err = models.ClaimJob(ctx, s.db, start.ID, "look")
	must(err)
	code := 0
	must(s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		return models.FinishJob(ctx, tx, start.ID, 1, models.Ending{State: models.JobSucceeded, ExitCode: &code})
	}))
	apply, err := s.Jobs.Enqueue(ctx, by, jobs.ApplyBlueprint{ServerID: friday.ID})
	must(err)
	_, err = models.ClaimJob(ctx, s.db, apply.ID, "look")
	must(err)
	code = 78
	must(s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		return models.FinishJob(ctx, tx, apply.ID, 1, models.Ending{State: models.JobFailed, ExitCode: &code, Message: "The port 27015 is taken by another program on this host. Choose another port, or stop that program.", Notices: []string{"Your config sets rcon_password in line 3; the server's own comes last and wins."}})
	}))
	install, err := s.Jobs.Enqueue(ctx, by, jobs.InstallGame{})
	must(err)
	j, err := models.ClaimJob(ctx, s.db, install.ID, "look")
	must(err)
	st := func(key, title string, total int64, d time.Duration) models.JobStep {
		return models.JobStep{Key: key, Title: title, Total: total, Began: now.Add(-d), Ended: now.Add(-d / 3)}
	}
	j.Progress = models.JobProgress{
		Steps: []models.JobStep{st("client", "Steam client updated", 0, 18*time.Second), st("win", "Windows files: downloaded and checked", 9040000000, 500*time.Second)},
		Now:   &models.JobStep{Key: "linux", Title: "Linux files: downloading", Step: 3, Steps: 5, Percent: 66.3, Done: 128000000, Total: 193000000, Rate: 31000000, Left: 2, Try: 2, Tries: 3, Why: "Steam had not cached the app information yet", Began: now.Add(-9 * time.Second)},
	}
	_, err = models.BeatJob(ctx, s.db, j)
	must(err)
	var lines []models.LogLine
	for i := range 60 {
		lines = append(lines, models.LogLine{At: now.Add(time.Duration(i-60) * time.Second), Stream: "out", Text: fmt.Sprintf(" Update state (0x61) downloading, progress: %.2f (%d / 202762857)", float64(i)*1.1, i*2234511)})
	}
	lines = append(lines, models.LogLine{At: now, Stream: "err", Text: "\x1b[31msteamcmd.sh[12]: warning <script>alert(1)</script>\x1b[0m"}, models.LogLine{At: now, Stream: "ctl", Text: "trying again, 2 of 3: Steam had not cached the app information yet"})
	must(models.AppendLog(ctx, s.db, install.ID, 1, lines))
	w, _, err := jobs.OpenConsole(ctx, s.rdb, friday.Instance)
	must(err)
	var cl []jobs.ConsoleLine
	for _, text := range []string{"Executing dedicated server config file", "exec: server_overlay_tickrate.cfg", `Unknown command "nb_update_frequency" (needs sm_cvar)`, "Connection to Steam servers successful.", "   VAC secure mode is activated.", `L 11/21/2026 - 20:15:40: "Coach<2><STEAM_1:0:1234567><>" connected, address "198.51.100.7:27005"`, `L 11/21/2026 - 20:17:11: "Zoey<4><STEAM_1:1:7654321><Survivor>" say "gg <script>alert(1)</script>"`} {
		cl = append(cl, jobs.ConsoleLine{Line: jobs.Line{At: now, Stream: "game", Text: text}})
	}
	must(w.Append(ctx, cl))
}
