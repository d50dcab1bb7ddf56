package e2e

import (
	"debug/elf"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"left4me/internal/testenv"
	"left4me/models"
)

// refuses runs left4me with args and expects it to end by itself with a sentence.
func (s *site) refuses(want string, args ...string) {
	s.t.Helper()
	out, err := s.try("left4me", args...)
	if err == nil || !strings.Contains(out, want) {
		s.t.Errorf("left4me %s: %v\n%s\nwant an error that says %q", strings.Join(args, " "), err, out, want)
	}
}

func TestCommandsSayWhatIsMissing(t *testing.T) {
	s := newSite(t, true)
	s.refuses("set DATABASE_URL and REDIS_URL", "web")
	s.refuses("set DATABASE_URL and REDIS_URL", "worker")
	s.refuses("set DATABASE_URL", "migrate")
	s.refuses("cannot listen on 127.0.0.1:1", "web", "--listen", "127.0.0.1:1")
	if out := s.run("left4me", "version"); !strings.HasPrefix(out, "left4me ") {
		t.Errorf("version prints %q", out)
	}
	s.env = append(s.env, "REDIS_URL=redis://127.0.0.1:1/0")
	s.refuses("secret key must be 32 bytes", "web", "--database-url", "postgres://x", "--listen", freeAddress(t), "--secret-key-file", "/dev/null")
	s.env = append(s.env, "LEFT4ME_SECRET_KEY="+models.NewSecretKey())
	s.refuses("must begin with postgres:// or sqlite://", "web", "--database-url", "mysql://x", "--listen", freeAddress(t))
	s.refuses("reach the database", "web", "--database-url", "postgres://u@127.0.0.1:1/x?connect_timeout=2", "--listen", freeAddress(t))
}

func TestUpRefusesWhatIsTaken(t *testing.T) {
	s := newSite(t, true)
	s.up()
	address := strings.TrimPrefix(s.base, "http://")
	s.refuses("is running with the data folder "+s.data+" already", "up", "--data", s.data, "--listen", freeAddress(t))
	s.refuses("choose another address with --listen", "up", "--data", filepath.Join(s.data, "tmp"), "--listen", address)
}

func TestUsersFromTheShell(t *testing.T) {
	s := newSite(t, true)
	s.up()
	s.env = append(s.env, "LEFT4ME_ADMIN_PASSWORD=another good one")
	s.run("left4me", "user", "add", "mira", "--data", s.data)
	s.refuses("there is a user MIRA already", "user", "add", "MIRA", "--data", s.data)
	s.refuses("there is no user zoey", "user", "passwd", "zoey", "--data", s.data)
	s.refuses("A user name is 1 to 32", "user", "add", "a b", "--data", s.data)
	signs := func(password string) bool {
		s.forget()
		_, body := s.post("/signin", map[string][]string{"name": {"mira"}, "password": {password}})
		return !strings.Contains(body, `action="/signin"`)
	}
	if !signs("another good one") {
		t.Error("the new user cannot sign in")
	}
	if status, _ := s.get("/admin/queues"); status == http.StatusOK {
		t.Error("a user who is no admin sees the queues")
	}
	s.env = append(s.env, "LEFT4ME_ADMIN_PASSWORD=yet another one")
	s.run("left4me", "user", "passwd", "mira", "--data", s.data)
	if _, body := s.get("/servers"); !strings.Contains(body, `action="/signin"`) {
		t.Error("the change of password left the session alive")
	}
	if signs("another good one") || !signs("yet another one") {
		t.Error("the new password was not stored")
	}
}

// Redis is away: a click is kept, pages answer, and the work is done when Redis
// is back.
func TestClicksSurviveRedis(t *testing.T) {
	s := newSite(t, false)
	s.split()
	s.signIn()
	name := s.makeServer("Patient", "", "", "")
	s.redis.Kill()
	began := time.Now()
	if status, body := s.post("/servers/"+name+"/stop", nil); status != http.StatusOK {
		t.Fatalf("the click answers %d\n%s", status, body)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the click took %s", took)
	}
	job := s.newestJob()
	if status, body := s.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "queue") {
		t.Errorf("/readyz answers %d %s; want 503 and what is away", status, body)
	}
	s.redis.Start()
	testenv.Eventually(t, 60*time.Second, "the job of the click is done", func() bool {
		_, body := s.get("/jobs/" + job)
		return strings.Contains(body, "Succeeded") || strings.Contains(body, "Done")
	})
}

// The programs are static: they must run where their builder's libraries are not.
func TestProgramsAreStatic(t *testing.T) {
	for _, program := range []string{"left4me", "l4d2ctl", "left4me-overlay", "steamsim"} {
		f, err := elf.Open(filepath.Join(bin, program))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				t.Errorf("%s is linked dynamically", program)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
