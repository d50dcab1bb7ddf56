package webui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/gin-gonic/gin"

	"left4me/models"
)

const rightPassword = "correct horse battery"

func (s *site) account(name string, admin bool) *models.User {
	s.t.Helper()
	hash, err := HashPassword(rightPassword)
	if err != nil {
		s.t.Fatal(err)
	}
	u, err := models.CreateUser(context.Background(), s.db, name, hash, admin)
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

func cookieOf(a answer, name string) *http.Cookie {
	for _, c := range a.Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func TestSignIn(t *testing.T) {
	s := newSite(t)
	u := s.account("Mira", false)
	b := s.browser(nil)
	b.get("/jobs?state=unfinished").want(t, 303)
	b.get("/signin?next=%2Fjobs%3Fstate%3Dunfinished").want(t, 200, `value="/jobs?state=unfinished"`)
	for _, form := range []url.Values{{"name": {"Mira"}, "password": {"wrong password"}}, {"name": {"nobody"}, "password": {rightPassword}}} {
		b.post("/signin", form).want(t, 422, "This name and password do not belong together.")
	}
	in := b.post("/signin", url.Values{"name": {"mira"}, "password": {rightPassword}, "next": {"/jobs?state=unfinished"}})
	in.want(t, 303)
	if to := in.Header.Get("Location"); to != "/jobs?state=unfinished" {
		t.Errorf("sent to %q", to)
	}
	ck := cookieOf(in, "left4me")
	if ck == nil || !ck.HttpOnly || ck.SameSite != http.SameSiteLaxMode || ck.Path != "/" || ck.Secure {
		t.Fatalf("the cookie is %+v", ck)
	}
	b.token = ck.Value
	b.get("/servers").want(t, 200, "Mira")
	out := b.post("/signout", nil)
	out.want(t, 303)
	if ck := cookieOf(out, "left4me"); ck == nil || ck.MaxAge >= 0 {
		t.Errorf("signing out left the cookie %+v", ck)
	}
	b.get("/servers").want(t, 303)
	entries, err := models.AuditEntries(context.Background(), s.db, 5)
	if err != nil || len(entries) != 2 || entries[0].Action != "session.end" || entries[1].Action != "session.begin" || entries[1].UserID != u.ID {
		t.Errorf("the audit log holds %+v, %v", entries, err)
	}
}

// TestAttack23SessionFixation: a token that was in the browser before is worth nothing
// after, whoever's it was.
func TestAttack23SessionFixation(t *testing.T) {
	s := newSite(t)
	victim, attacker := s.account("victim", false), s.account("attacker", false)
	b := s.browser(attacker)
	planted := b.token
	in := b.post("/signin", url.Values{"name": {victim.Name}, "password": {rightPassword}})
	in.want(t, 303)
	fresh := cookieOf(in, "left4me")
	if fresh == nil || fresh.Value == planted {
		t.Fatalf("the token is still the planted one: %v", fresh)
	}
	b.token = planted
	b.get("/servers").want(t, 303)
}

// TestAttack23PasswordChangedMeanwhile: to check a password takes a while, in which
// somebody else may change it. The one that was checked opens nothing then, and changes
// nothing.
func TestAttack23PasswordChangedMeanwhile(t *testing.T) {
	s, ctx := newSite(t), context.Background()
	u := s.account("mira", false)
	checked, err := s.authenticate(ctx, "mira", rightPassword)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Jobs.ResetPassword(ctx, models.Actor{Name: "admin"}, u.ID, "another hash"); err != nil {
		t.Fatal(err)
	}
	out := httptest.NewRecorder()
	c, _ := gin.CreateTestContext(out)
	c.Request = httptest.NewRequestWithContext(ctx, http.MethodPost, "/signin", nil)
	if err := s.beginSession(c, checked); !errors.Is(err, errWrongPassword) || out.Header().Get("Set-Cookie") != "" {
		t.Errorf("the old password opens a session: %v, %v", err, out.Header())
	}
	if err := s.Jobs.ChangePassword(ctx, models.Actor{ID: u.ID, Name: u.Name}, checked, "the attacker's", ""); !errors.Is(err, models.ErrConflict) {
		t.Errorf("the old password changes the new one: %v", err)
	}
	if list, err := models.Sessions(ctx, s.db, u.ID); err != nil || len(list) != 0 {
		t.Errorf("%d sessions live, %v", len(list), err)
	}
}

func TestAttack23SecureCookies(t *testing.T) {
	s := newSite(t, func(c *Config) { c.SecureCookies = true })
	s.account("mira", false)
	in := s.browser(nil).post("/signin", url.Values{"name": {"mira"}, "password": {rightPassword}})
	in.want(t, 303)
	ck := cookieOf(in, "__Host-left4me")
	if ck == nil || !ck.Secure || !ck.HttpOnly || ck.Domain != "" || ck.Path != "/" {
		t.Errorf("the cookie is %+v", ck)
	}
	if in.Header.Get("Strict-Transport-Security") == "" {
		t.Error("no Strict-Transport-Security")
	}
}

func TestAttack20InactiveUser(t *testing.T) {
	s := newSite(t)
	u := s.account("mira", false)
	b := s.browser(u)
	b.get("/servers").want(t, 200)
	if _, err := s.db.NewUpdate().Model((*models.User)(nil)).Set("active = ?", false).Where("id = ?", u.ID).Exec(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.get("/servers").want(t, 303)
	b.post("/signin", url.Values{"name": {"mira"}, "password": {rightPassword}}).want(t, 422, "do not belong together")
}

func TestAttack23NextIsLocal(t *testing.T) {
	tests := map[string]string{
		"/jobs":                  "/jobs",
		"/jobs?before=5&x=/y//z": "/jobs?before=5&x=/y//z",
		"":                       "/servers",
		"//evil.example":         "/servers",
		`/\evil.example`:         "/servers",
		"/\t/evil.example":       "/servers",
		"https://evil.example/":  "/servers",
		"javascript:alert(1)":    "/servers",
		"evil":                   "/servers",
		"/signin?next=/signin":   "/servers",
		"/%2F/evil":              "/servers",
		"/jobs\r\nX: y":          "/servers",
	}
	for next, want := range tests {
		if got := localPath(next); got != want {
			t.Errorf("localPath(%q) = %q, want %q", next, got, want)
		}
	}
}

// TestAttack27SignInLimits: failures count for a name whatever the address, and a
// success takes them back.
func TestAttack27SignInLimits(t *testing.T) {
	s := newSite(t)
	s.account("mira", false)
	s.account("zoey", false)
	b := s.browser(nil)
	wrong := url.Values{"name": {"MIRA"}, "password": {"wrong password"}}
	right := url.Values{"name": {"mira"}, "password": {rightPassword}}
	for range nameBurst - 1 {
		b.post("/signin", wrong).want(t, 422)
	}
	b.post("/signin", right).want(t, 303)
	for range nameBurst {
		b.post("/signin", wrong).want(t, 422)
	}
	limited := b.post("/signin", right)
	limited.want(t, 429, "There were too many tries to sign in with this name. Wait ", `value="mira"`)
	if limited.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	b.post("/signin", url.Values{"name": {"zoey"}, "password": {rightPassword}}).want(t, 303)
	for i := range addressBurst {
		if b.post("/signin", url.Values{"name": {fmt.Sprint("nobody", i)}, "password": {"x"}}).StatusCode == 429 {
			break
		}
	}
	b.post("/signin", url.Values{"name": {"zoey"}, "password": {rightPassword}}).want(t, 429, "from your address")
}

type brokenLimiter struct{}

func (brokenLimiter) Take(context.Context, string, int, time.Duration) (time.Duration, error) {
	return 0, errors.New("redis is away")
}
func (brokenLimiter) Forget(context.Context, string) error { return errors.New("redis is away") }

func TestSignInLimitsWithoutRedis(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Limiter = brokenLimiter{} })
	s.account("mira", false)
	b := s.browser(nil)
	for range nameBurst {
		b.post("/signin", url.Values{"name": {"mira"}, "password": {"x"}}).want(t, 422)
	}
	b.post("/signin", url.Values{"name": {"mira"}, "password": {rightPassword}}).want(t, 429)
}

func TestMemoryLimiter(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	m := newMemoryLimiter(func() time.Time { return now })
	ctx := context.Background()
	take := func(key string) time.Duration {
		wait, err := m.Take(ctx, key, 2, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	if a, b := take("x"), take("x"); a != 0 || b != 0 {
		t.Fatalf("the burst waits: %s, %s", a, b)
	}
	if got := take("x"); got < 59*time.Second || got > time.Minute {
		t.Errorf("the third waits %s, want a minute", got)
	}
	now = now.Add(30 * time.Second)
	if got := take("x"); got < 29*time.Second || got > 31*time.Second {
		t.Errorf("half a minute later the wait is %s", got)
	}
	if got := take("y"); got != 0 {
		t.Errorf("another key waits %s", got)
	}
	now = now.Add(31 * time.Second)
	if got := take("x"); got != 0 {
		t.Errorf("a minute later it still waits %s", got)
	}
	for i := range maxKeys + 10 {
		take(fmt.Sprint("key", i))
	}
	if len(m.keys) > maxKeys {
		t.Errorf("%d keys are remembered, more than %d", len(m.keys), maxKeys)
	}
}

func TestPasswords(t *testing.T) {
	for _, bad := range []string{"", "short", "123456789", strings.Repeat("x", maxPassword+1)} {
		if err := CheckPassword(bad); err == nil {
			t.Errorf("the password %q was taken", clip(bad, 20))
		} else if e, ok := models.AsInvalid(err); !ok || e.Field != "password" {
			t.Errorf("the password %q: %v", clip(bad, 20), err)
		}
	}
	hash, err := HashPassword("zehn Zeichen ü")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("the hash is %q", hash)
	}
	p, ctx := newPasswords(), context.Background()
	if ok, stale, err := p.verify(ctx, &models.User{PasswordHash: hash}, "zehn Zeichen ü"); !ok || stale || err != nil {
		t.Errorf("the right password: %v %v %v", ok, stale, err)
	}
	for _, u := range []*models.User{nil, {PasswordHash: hash}, {PasswordHash: "!"}, {PasswordHash: ""}} {
		if ok, _, err := p.verify(ctx, u, "something else"); ok || err != nil {
			t.Errorf("a wrong password for %+v: %v %v", u, ok, err)
		}
	}
	if params, _, _, err := argon2id.DecodeHash(strangerHash); err != nil || params.Memory != hashing.Memory || params.Iterations != hashing.Iterations {
		t.Errorf("the hash for strangers costs %+v (%v), want %+v", params, err, hashing)
	}
}

func TestRehash(t *testing.T) {
	s := newSite(t)
	old := argon2id.Params{Memory: 8 << 10, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}
	hash, err := argon2id.CreateHash(rightPassword, &old)
	if err != nil {
		t.Fatal(err)
	}
	u, err := models.CreateUser(context.Background(), s.db, "mira", hash, false)
	if err != nil {
		t.Fatal(err)
	}
	b := s.browser(u)
	s.browser(nil).post("/signin", url.Values{"name": {"mira"}, "password": {rightPassword}}).want(t, 303)
	got, err := models.UserByName(context.Background(), s.db, "mira")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got.PasswordHash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("the hash is still %q", got.PasswordHash)
	}
	b.get("/servers").want(t, 200) // a new hash of the same password ends no session
}

// TestAttack27HashingIsBounded: no more than four at once, and who waits can leave.
func TestAttack27HashingIsBounded(t *testing.T) {
	p := newPasswords()
	hold, inside := make(chan struct{}), make(chan struct{}, 10)
	for range cap(p.slots) {
		go func() { _ = p.do(context.Background(), func() error { inside <- struct{}{}; <-hold; return nil }) }()
	}
	for range cap(p.slots) {
		<-inside
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := p.do(ctx, func() error { t.Error("a fifth ran"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("the fifth got %v", err)
	}
	close(hold)
}

func TestChangePassword(t *testing.T) {
	s := newSite(t)
	u := s.account("mira", false)
	here, elsewhere := s.browser(u), s.browser(u)
	const fresh = "a better one than that"
	here.post("/account/password", url.Values{"current": {"wrong password"}, "password": {fresh}}).want(t, 422, "This is not your present password.")
	here.post("/account/password", url.Values{"current": {rightPassword}, "password": {"short"}}).want(t, 422, "The password is too short")
	elsewhere.get("/servers").want(t, 200)
	here.post("/account/password", url.Values{"current": {rightPassword}, "password": {fresh}}).want(t, 303)
	here.get("/servers").want(t, 200)
	elsewhere.get("/servers").want(t, 303)
	s.browser(nil).post("/signin", url.Values{"name": {"mira"}, "password": {rightPassword}}).want(t, 422)
	s.browser(nil).post("/signin", url.Values{"name": {"mira"}, "password": {fresh}}).want(t, 303)
}

// TestAttack23ForwardedAddress: X-Forwarded-For is believed from a trusted proxy only.
func TestAttack23ForwardedAddress(t *testing.T) {
	for _, tt := range []struct {
		trusted []string
		want    string
	}{{nil, "127.0.0.1"}, {[]string{"127.0.0.1"}, "203.0.113.9"}} {
		s := newSite(t, func(c *Config) { c.TrustedProxies = tt.trusted })
		s.account("mira", false)
		s.browser(nil).post("/signin", url.Values{"name": {"mira"}, "password": {rightPassword}}, "X-Forwarded-For", "203.0.113.9").want(t, 303)
		entries, err := models.AuditEntries(context.Background(), s.db, 1)
		if err != nil || len(entries) != 1 || entries[0].Address != tt.want {
			t.Errorf("with trusted proxies %q the address is %+v (%v), want %s", tt.trusted, entries, err, tt.want)
		}
	}
}
