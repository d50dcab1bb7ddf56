// Package e2e tests the whole way of a click with the real programs: a request
// to `left4me`, a job, l4d2ctl, a mounted overlay, a running (simulated) game,
// and back as an event stream. Nothing is replaced but Steam.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"left4me/internal/testenv"
	"left4me/models"
)

// bin holds the programs, built once, in a folder that every user may enter.
var bin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "l4e")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err == nil {
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	bin = dir
	testenv.AtExit(func() { _ = os.RemoveAll(dir) })
	testenv.Main(m)
}

func build(dir string) error {
	cmd := exec.Command("go", "build", "-tags", "nomsgpack", "-trimpath", "-o", dir+"/", "left4me/cmd/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return nil
}

const (
	adminPassword = "correct horse battery"
	logLimit      = 64 << 10
)

// site is a running left4me: one process, or web and worker.
type site struct {
	t       testing.TB
	base    string
	data    string // the state root
	env     []string
	cred    *syscall.Credential
	procs   []*exec.Cmd
	output  *lockedBuffer
	client  *http.Client
	control string               // steamsim's control file
	redis   *testenv.RedisServer // of split
}

// ordinary is the unprivileged user that tests run things as when they are root.
func ordinary(t testing.TB) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// newSite prepares a data folder with a quick simulated Steam. Running as root,
// the programs give root up by themselves unless asUser says to start them so.
func newSite(t testing.TB, asUser bool) *site {
	t.Helper()
	s := &site{t: t, data: filepath.Join(t.TempDir(), "data"), output: &lockedBuffer{}}
	if asUser && os.Geteuid() == 0 {
		s.cred = ordinary(t)
		if err := os.Chmod(filepath.Dir(filepath.Dir(s.data)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(s.data, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(s.data, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	s.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LEFT4ME_ADMIN_PASSWORD=" + adminPassword, "LEFT4ME_SUPERVISOR=rootless"}
	s.control = filepath.Join(s.data, "steam", "steamsim.json")
	s.run("steamsim", "link", filepath.Join(s.data, "steam"), "--speed", "fast")
	s.script(`{"speed": 30, "steamcmd": {"scenario": "stub_refused"}, "srcds": {"players": true, "seed": 7}}`)
	s.forget()
	t.Cleanup(s.end)
	return s
}

// script tells the simulated Steam what to do from now on.
func (s *site) script(control string) {
	s.t.Helper()
	if err := os.WriteFile(s.control, []byte(control), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// forget makes the client a stranger.
func (s *site) forget() {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.client = &http.Client{Jar: jar}
}

// run runs one of our programs to its end and returns what it printed.
func (s *site) run(program string, args ...string) string {
	s.t.Helper()
	out, err := s.try(program, args...)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return out
}

func (s *site) try(program string, args ...string) (string, error) {
	return s.tryFor(time.Minute, program, args...)
}

// patiently is run for what moves gigabytes.
func (s *site) patiently(program string, args ...string) string {
	s.t.Helper()
	out, err := s.tryFor(5*time.Minute, program, args...)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return out
}

func (s *site) tryFor(patience time.Duration, program string, args ...string) (string, error) {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, program), args...)
	cmd.Env = append(append([]string{}, s.env...), "LEFT4ME_ROOT="+s.data)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// start starts a program that stays.
func (s *site) start(args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(bin, "left4me"), args...)
	cmd.Env, cmd.Dir = s.env, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Setpgid: true}
	cmd.Stdout, cmd.Stderr = s.output, s.output
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.procs = append(s.procs, cmd)
	return cmd
}

// up starts everything in one process on the embedded stores and waits until it
// serves.
func (s *site) up() *exec.Cmd {
	s.t.Helper()
	address := freeAddress(s.t)
	s.base = "http://" + address
	cmd := s.start("up", "--data", s.data, "--listen", address)
	s.ready()
	return cmd
}

// split starts web and worker apart on PostgreSQL and Redis.
func (s *site) split() {
	s.t.Helper()
	r := testenv.Redis(s.t)
	s.redis = r
	dsn := testenv.Postgres(s.t)
	s.env = append(s.env, "DATABASE_URL="+dsn, "REDIS_URL="+r.URL, "LEFT4ME_ROOT="+s.data,
		"LEFT4ME_SECRET_KEY="+models.NewSecretKey())
	s.run("left4me", "migrate")
	s.run("left4me", "user", "add", "admin", "--admin")
	address := freeAddress(s.t)
	s.base = "http://" + address
	s.start("web", "--listen", address)
	s.start("worker")
	s.ready()
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // only its number was wanted
	return l.Addr().String()
}

func (s *site) ready() {
	s.t.Helper()
	testenv.Eventually(s.t, 30*time.Second, "the site answers", func() bool {
		resp, err := http.Get(s.base + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close() // the status is all that counts
		return resp.StatusCode == http.StatusOK
	})
}

// end stops the programs and every server that was started.
func (s *site) end() {
	if s.t.Failed() {
		s.t.Logf("the programs said:\n%s", s.output.String())
	}
	for _, cmd := range s.procs {
		stop(cmd)
	}
	out, _ := s.try("l4d2ctl", "status", "--json") // nothing was installed: nothing runs
	for line := range strings.Lines(out) {
		if _, name, ok := strings.Cut(line, `"name": "`); ok {
			name, _, _ = strings.Cut(name, `"`)
			_, _ = s.try("l4d2ctl", "delete", name) // the folder goes in any case
		}
	}
}

func stop(cmd *exec.Cmd) {
	if cmd.ProcessState != nil {
		return
	}
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may be gone
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }() // how it ends does not matter here
	select {
	case <-done:
	case <-time.After(15 * time.Second):
		_ = cmd.Process.Kill() // it did not obey
		<-done
	}
}

// lockedBuffer keeps the last of what programs print.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buf.Len() > logLimit {
		b.buf.Reset()
	}
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// post sends a form as a browser does and returns the final page.
func (s *site) post(path string, form url.Values) (int, string) {
	s.t.Helper()
	resp, err := s.client.PostForm(s.base+path, form)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.body(resp)
}

func (s *site) get(path string) (int, string) {
	s.t.Helper()
	resp, err := s.client.Get(s.base + path)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.body(resp)
}

func (s *site) body(resp *http.Response) (int, string) {
	s.t.Helper()
	defer func() { _ = resp.Body.Close() }() // read whole
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}
