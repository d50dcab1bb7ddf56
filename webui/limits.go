package webui

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limiter counts events under a key.
type Limiter interface {
	// Take counts one event under key, of which burst may come at once and one
	// more after each interval. It returns how long to wait when that is too many,
	// and 0 when it is not.
	Take(ctx context.Context, key string, burst int, interval time.Duration) (time.Duration, error)
	// Forget begins key anew.
	Forget(ctx context.Context, key string) error
}

// Tries to sign in: every try counts for its address, and for the name it is
// taken back when it succeeds.
const (
	addressBurst    = 30
	addressInterval = 10 * time.Second
	nameBurst       = 8
	nameInterval    = time.Minute
)

// signinLimits asks the shared limiter and, when that fails, counts by itself:
// Redis being away must not open the door to guessing.
type signinLimits struct {
	shared Limiter // may be nil
	local  *memoryLimiter
	log    *slog.Logger
}

func newSigninLimits(shared Limiter, log *slog.Logger) *signinLimits {
	return &signinLimits{shared: shared, local: newMemoryLimiter(time.Now), log: log}
}

// try counts one try and returns a failure that says how long to wait when there
// were too many.
func (l *signinLimits) try(ctx context.Context, address, name string) error {
	if wait := l.take(ctx, "address:"+clip(address, 64), addressBurst, addressInterval); wait > 0 {
		return tooMany("There were too many tries to sign in from your address.", wait)
	}
	if wait := l.take(ctx, nameKey(name), nameBurst, nameInterval); wait > 0 {
		return tooMany("There were too many tries to sign in with this name.", wait)
	}
	return nil
}

// succeeded takes the tries of a name back.
func (l *signinLimits) succeeded(ctx context.Context, name string) {
	_ = l.local.Forget(ctx, nameKey(name)) // memory does not fail
	if l.shared != nil {
		if err := l.shared.Forget(ctx, nameKey(name)); err != nil {
			l.log.WarnContext(ctx, "could not reset the count of tries to sign in", "err", err)
		}
	}
}

func nameKey(name string) string { return "name:" + strings.ToLower(clip(name, 64)) }

func (l *signinLimits) take(ctx context.Context, key string, burst int, interval time.Duration) time.Duration {
	if l.shared != nil {
		wait, err := l.shared.Take(ctx, key, burst, interval)
		if err == nil {
			return wait
		}
		l.log.WarnContext(ctx, "counting tries to sign in by ourselves", "err", err)
	}
	wait, _ := l.local.Take(ctx, key, burst, interval) // memory does not fail
	return wait
}

func tooMany(what string, wait time.Duration) error {
	wait = wait.Truncate(time.Second) + time.Second
	return &failure{
		status: http.StatusTooManyRequests, title: "Too many tries", retryAfter: int(wait / time.Second),
		text: fmt.Sprintf("%s Wait %s and try again.", what, formatSpan(wait)),
	}
}

// memoryLimiter is a Limiter of one process. It remembers at most maxKeys keys.
type memoryLimiter struct {
	now  func() time.Time
	mu   sync.Mutex
	keys map[string]*rate.Limiter
}

const maxKeys = 20_000

func newMemoryLimiter(now func() time.Time) *memoryLimiter {
	return &memoryLimiter{now: now, keys: map[string]*rate.Limiter{}}
}

func (m *memoryLimiter) Take(_ context.Context, key string, burst int, interval time.Duration) (time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	l := m.keys[key]
	if l == nil {
		if len(m.keys) >= maxKeys {
			m.sweep(now)
		}
		l = rate.NewLimiter(rate.Every(interval), burst)
		m.keys[key] = l
	}
	if l.AllowN(now, 1) {
		return 0, nil
	}
	missing := 1 - l.TokensAt(now)
	return max(time.Duration(missing*float64(interval)), time.Millisecond), nil
}

func (m *memoryLimiter) Forget(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.keys, key)
	return nil
}

// sweep drops the keys that have all their tries back; when none has, all of
// them: memory is worth more than the count of a flood from 20,000 addresses.
func (m *memoryLimiter) sweep(now time.Time) {
	before := len(m.keys)
	for k, l := range m.keys {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(m.keys, k)
		}
	}
	if len(m.keys) == before {
		clear(m.keys)
	}
}
