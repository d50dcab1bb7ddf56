package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

// webOn starts `left4me web` alone on a database that holds what fill puts there.
func (s *site) webOn(dsn string, fill func(*bun.DB, *models.SecretKey)) *exec.Cmd {
	s.t.Helper()
	r := testenv.Redis(s.t)
	s.redis = r
	text := models.NewSecretKey()
	s.env = append(s.env, "DATABASE_URL="+dsn, "REDIS_URL="+r.URL, "LEFT4ME_ROOT="+s.data, "LEFT4ME_SECRET_KEY="+text)
	s.run("left4me", "migrate")
	key, err := models.ParseSecretKey(text)
	if err != nil {
		s.t.Fatal(err)
	}
	db, err := models.Open(context.Background(), dsn)
	if err != nil {
		s.t.Fatal(err)
	}
	fill(db, key)
	if err := db.Close(); err != nil {
		s.t.Fatal(err)
	}
	address := freeAddress(s.t)
	s.base = "http://" + address
	cmd := s.start("web", "--listen", address)
	s.ready()
	return cmd
}

// databases are the two that left4me runs on.
var databases = []string{"PostgreSQL", "SQLite"}

// database is a fresh one of the kind.
func (s *site) database(kind string) string {
	s.t.Helper()
	if kind == "PostgreSQL" {
		return testenv.Postgres(s.t)
	}
	return "sqlite://" + filepath.Join(s.t.TempDir(), "bench.db")
}

// fillServers gives u a number of servers, three of four running with people on
// them, on a host that was seen just now. It returns a session of u's.
func fillServers(t testing.TB, db *bun.DB, key *models.SecretKey, u *models.User, n int) (token string) {
	t.Helper()
	ctx := context.Background()
	maps := []string{"c1m1_hotel", "c2m1_highway", "c5m1_waterfront", "c8m1_apartment", "c10m4_mainstreet"}
	err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		print := modelstest.Blueprint(t, tx, u)
		for i := range n {
			srv := &models.Server{UserID: u.ID, BlueprintID: print.ID, Name: fmt.Sprintf("Server %d", i+1)}
			if err := models.CreateServer(ctx, tx, key, srv); err != nil {
				return err
			}
			o := models.Observation{Host: models.LocalHost, Instance: srv.Instance, State: models.ServerStopped, Since: models.Now()}
			if i%4 != 0 {
				live := &models.Live{At: models.Now(), Hostname: srv.Name, Map: maps[i%len(maps)], Players: i % 9, Max: 8}
				for p := range live.Players {
					live.Names = append(live.Names, models.Player{Name: fmt.Sprintf("Coach %d", p), SteamID: "76561198000000001", Connected: 600, Ping: 40})
				}
				o.State = models.ServerRunning
				o.Status = models.ServerStatus{Grade: "steam", PID: 1000 + i, Memory: 300 << 20, Argv: []string{"-game", "left4dead2", "-port", strconv.Itoa(srv.Port)}, Live: live}
			}
			if _, _, err := models.Observe(ctx, tx, o); err != nil {
				return err
			}
			if err := models.SetApplied(ctx, tx, srv.ID, print.Revision); err != nil {
				return err
			}
		}
		game := &models.Game{Installed: true, Build: "1", Version: "2.2.4.3", Size: 9e9}
		return models.SeeHost(ctx, tx, models.LocalHost, game)
	})
	if err != nil {
		t.Fatal(err)
	}
	if token, err = models.CreateSession(ctx, db, u.ID, "127.0.0.1", "bench"); err != nil {
		t.Fatal(err)
	}
	return token
}

var (
	wrkRate = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	wrkTail = regexp.MustCompile(`99%\s+([\d.]+)(us|ms|s)`)
	wrkBad  = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
)

// wrk loads a page for some seconds with 2 threads and 32 connections.
func (s *site) wrk(b *testing.B, path, token, seconds string, headers ...string) (rate, p99ms float64) {
	b.Helper()
	args := []string{"-t2", "-c32", "-d" + seconds, "--latency", "--timeout", "10s", "-H", "Cookie: left4me=" + token}
	for _, h := range headers {
		args = append(args, "-H", h)
	}
	out, err := exec.Command("wrk", append(args, s.base+path)...).CombinedOutput()
	if err != nil {
		b.Fatalf("wrk: %v\n%s", err, out)
	}
	if bad := wrkBad.FindSubmatch(out); bad != nil {
		b.Fatalf("%s of the answers were failures:\n%s", bad[1], out)
	}
	number := func(m [][]byte) float64 {
		if m == nil {
			b.Fatalf("wrk said nothing that was understood:\n%s", out)
		}
		f, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			b.Fatal(err)
		}
		return f
	}
	tail := wrkTail.FindSubmatch(out)
	p99ms = number(tail)
	switch string(tail[2]) {
	case "us":
		p99ms /= 1000
	case "s":
		p99ms *= 1000
	}
	return number(wrkRate.FindSubmatch(out)), p99ms
}

// BenchmarkServersList loads the list of 200 servers as hard as wrk can.
func BenchmarkServersList(b *testing.B) {
	if _, err := exec.LookPath("wrk"); err != nil {
		b.Skip("wrk is missing (Debian package wrk)")
	}
	for _, kind := range databases {
		b.Run(kind, func(b *testing.B) {
			s := newSite(b, false)
			var token string
			s.webOn(s.database(kind), func(db *bun.DB, key *models.SecretKey) {
				token = fillServers(b, db, key, modelstest.User(b, db, false), 200)
			})
			s.wrk(b, "/servers", token, "2s")
			for b.Loop() {
				for _, way := range []struct {
					name    string
					headers []string
				}{{"plain", nil}, {"gzip", []string{"Accept-Encoding: gzip"}}} {
					rate, p99 := s.wrk(b, "/servers", token, "8s", way.headers...)
					figure(b, "list of 200 servers, "+kind+", "+way.name, rate, "req/s", atLeast(600))
					figure(b, "list of 200 servers, "+kind+", "+way.name+", p99", p99, "ms", atMost(150))
				}
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkWebMemory measures the web process at rest: with nothing, and with 200
// servers whose list was looked at.
func BenchmarkWebMemory(b *testing.B) {
	rest := map[int]float64{}
	for b.Loop() {
		for _, servers := range []int{0, 200} {
			s := newSite(b, false)
			var token string
			cmd := s.webOn(s.database("PostgreSQL"), func(db *bun.DB, key *models.SecretKey) {
				token = fillServers(b, db, key, modelstest.User(b, db, false), servers)
			})
			rest[servers] = s.atRest(b, cmd, token)
			s.end()
			s.procs = nil
		}
	}
	figure(b, "left4me web at rest, no servers", rest[0], "MB", atMost(40))
	figure(b, "left4me web, 200 servers, more than with none", rest[200]-rest[0], "MB", atMost(10))
	b.ReportMetric(0, "ns/op")
}

// BenchmarkUpMemory measures the one process that is web, worker and stores.
func BenchmarkUpMemory(b *testing.B) {
	rest := map[int]float64{}
	for b.Loop() {
		s := newSite(b, true)
		cmd := s.up()
		db, err := models.Open(context.Background(), "sqlite://"+filepath.Join(s.data, "web", "left4me.db"))
		if err != nil {
			b.Fatal(err)
		}
		u := modelstest.User(b, db, false)
		for _, servers := range []int{0, 200} {
			rest[servers] = s.atRest(b, cmd, fillServers(b, db, modelstest.Key(b), u, servers))
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
	figure(b, "left4me up at rest, no servers", rest[0], "MB", atMost(40))
	figure(b, "left4me up, 200 servers, more than with none", rest[200]-rest[0], "MB", atMost(10))
	b.ReportMetric(0, "ns/op")
}

// atRest is the memory of a process some seconds after its list was looked at, in MB.
func (s *site) atRest(b *testing.B, cmd *exec.Cmd, token string) float64 {
	b.Helper()
	for range 20 {
		s.as(b, token, "/servers")
	}
	time.Sleep(8 * time.Second) // what was needed to begin is given back
	return float64(rss(b, cmd.Process.Pid)) / 1024
}

// as gets a page as whoever the session is of.
func (s *site) as(b *testing.B, token, path string) string {
	b.Helper()
	req, err := http.NewRequest(http.MethodGet, s.base+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	req.AddCookie(&http.Cookie{Name: "left4me", Value: token})
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		b.Fatal(err)
	}
	status, body := s.body(resp)
	if status != http.StatusOK {
		b.Fatalf("GET %s: status %d\n%s", path, status, body)
	}
	return body
}
