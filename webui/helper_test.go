package webui

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/uptrace/bun"

	"left4me/jobs"
	"left4me/models"
	"left4me/models/modelstest"
)

// site is a whole site over a real SQLite file and an in-process Redis.
type site struct {
	*Server
	t     testing.TB
	http  *httptest.Server
	redis *miniredis.Miniredis
	rdb   *redis.Client
	db    *bun.DB
	key   *models.SecretKey
	// noStreams makes a proxy that answers every live stream with 502.
	noStreams atomic.Bool
	// token is the session of who comes without a cookie.
	token atomic.Value
}

func newSite(t testing.TB, change ...func(*Config)) *site {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	log := slog.New(slog.DiscardHandler)
	path := filepath.Join(t.TempDir(), "site.db")
	fresh, err := freshDatabase()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, fresh, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := models.Open(ctx, "sqlite://"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	mr := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: mr.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	hub := jobs.NewHub(rdb, log)
	heard := make(chan struct{})
	go func() { hub.Run(ctx); close(heard) }()
	t.Cleanup(func() { stop(); <-heard })
	key := modelstest.Key(t)
	cfg := Config{
		DB: db, Jobs: jobs.NewClient(db, rdb, log), Hub: hub, Key: key, Log: log, Version: "test", PublicHost: "left4.example",
		Ready: func(ctx context.Context) error { return rdb.Ping(ctx).Err() },
	}
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	all := &site{Server: s, t: t, redis: mr, rdb: rdb, db: db, key: key}
	all.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/events" && all.noStreams.Load() {
			http.Error(w, "bad gateway", http.StatusBadGateway)
			return
		}
		if token, ok := all.token.Load().(string); ok && s.token(r) == "" {
			r.AddCookie(&http.Cookie{Name: s.cookieName(), Value: token})
		}
		s.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(all.http.Close)
	t.Cleanup(s.Close) // before the line above: cleanups run backwards
	return all
}

// freshDatabase is a migrated file without rows, made once.
var freshDatabase = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "webui")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left is in a temporary folder
	path, ctx := filepath.Join(dir, "fresh.db"), context.Background()
	db, err := models.Open(ctx, "sqlite://"+path)
	if err != nil {
		return nil, err
	}
	if err := models.Migrate(ctx, db, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil { // which writes the log back into the file
		return nil, err
	}
	return os.ReadFile(path)
})

// browser is somebody with cookies. It follows no redirect.
type browser struct {
	t      testing.TB
	base   string
	token  string // a session's, "" for a stranger
	name   string // the cookie's
	client *http.Client
}

func (s *site) browser(u *models.User) *browser {
	s.t.Helper()
	b := &browser{t: s.t, base: s.http.URL, name: s.cookieName(), client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if u != nil {
		token, err := models.CreateSession(context.Background(), s.db, u.ID, "127.0.0.1", "test")
		if err != nil {
			s.t.Fatal(err)
		}
		b.token = token
	}
	return b
}

// answer is what came back, read whole.
type answer struct {
	*http.Response
	Text string
}

func (b *browser) send(method, path string, form url.Values, headers ...string) answer {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(context.Background(), method, b.base+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if b.token != "" {
		req.AddCookie(&http.Cookie{Name: b.name, Value: b.token})
	}
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatalf("%s %s: read the answer: %v", method, path, err)
	}
	return answer{res, string(text)}
}

func (b *browser) get(path string, headers ...string) answer {
	b.t.Helper()
	return b.send(http.MethodGet, path, nil, headers...)
}

func (b *browser) post(path string, form url.Values, headers ...string) answer {
	b.t.Helper()
	if form == nil {
		form = url.Values{}
	}
	return b.send(http.MethodPost, path, form, headers...)
}

// hx are the headers of a form that a script sends.
func hx(target string) []string { return []string{"HX-Request", "true", "HX-Target", target} }

func (a answer) want(t testing.TB, status int, parts ...string) {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d; body:\n%s", a.Request.Method, a.Request.URL, a.StatusCode, status, clip(a.Text, 2000))
	}
	for _, p := range parts {
		if !strings.Contains(a.Text, p) {
			t.Errorf("%s %s: the answer does not contain %q; body:\n%s", a.Request.Method, a.Request.URL, p, clip(a.Text, 6000))
		}
	}
}

// eventually waits for ok to become true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10 s for: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
