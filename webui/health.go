package webui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"left4me/models"
)

// healthz says that the process is up; it asks nobody else.
func (s *Server) healthz(c *gin.Context) error {
	c.String(http.StatusOK, "ok\n")
	return nil
}

// How long /readyz waits for an answer, and how long it gives the same one again:
// everybody may ask, and nobody may make it ask the stores more often than that.
const (
	readyWait = 2 * time.Second
	readyHold = time.Second
)

// readiness is what /readyz answers.
type readiness struct {
	Ready  bool    `json:"ready"`
	Checks []check `json:"checks"`
}

// check is how one thing stands that pages need. Only what Matters makes /readyz
// answer 503: without a worker pages still show what is known and take what is
// asked for.
type check struct {
	Name    string  `json:"name"`
	OK      bool    `json:"ok"`
	Matters bool    `json:"matters"`
	MS      float64 `json:"ms"`
	Age     float64 `json:"age_seconds,omitempty"` // since its last sign of life
	Says    string  `json:"says,omitempty"`        // what is wrong, in our words: never an error's own
}

// readyChecks remembers the last answer.
type readyChecks struct {
	mu   sync.Mutex
	last readiness
	at   time.Time
}

// looks is what /readyz asks, in the order of its answer. Each returns the age of a
// last sign of life, 0 where that means nothing.
func (s *Server) looks() []struct {
	name    string
	matters bool
	says    string
	look    func(context.Context) (time.Duration, error)
} {
	plain := func(look func(context.Context) error) func(context.Context) (time.Duration, error) {
		return func(ctx context.Context) (time.Duration, error) { return 0, look(ctx) }
	}
	return []struct {
		name    string
		matters bool
		says    string
		look    func(context.Context) (time.Duration, error)
	}{
		{"database", true, "the database does not answer", plain(s.DB.PingContext)},
		{"migrations", true, "the database is not up to date: run left4me migrate", plain(s.migrated)},
		{"redis", true, "the queue does not answer", plain(s.queueAnswers)},
		{"worker", false, "no worker is connected to the queue", plain(s.workerThere)},
		{"observer", false, "the host has been silent for too long", s.observerAge},
	}
}

func (s *Server) migrated(ctx context.Context) error {
	n, err := models.PendingMigrations(ctx, s.DB)
	if err == nil && n > 0 {
		err = fmt.Errorf("%d migrations are pending", n)
	}
	return err
}

func (s *Server) queueAnswers(ctx context.Context) error {
	if s.Ready == nil {
		return nil
	}
	return s.Ready(ctx)
}

func (s *Server) workerThere(context.Context) error {
	n, err := s.Jobs.Workers()
	if err == nil && n == 0 {
		err = errors.New("no queue is served")
	}
	return err
}

func (s *Server) observerAge(ctx context.Context) (time.Duration, error) {
	host, err := models.HostByName(ctx, s.DB, models.LocalHost)
	if err != nil {
		return 0, err
	}
	if host.SeenAt.IsZero() {
		return 0, errors.New("the host has never reported")
	}
	age := models.Now().Sub(host.SeenAt)
	if age > hostSilence {
		return age, fmt.Errorf("the host was last heard of %s ago", age)
	}
	return max(age, time.Millisecond), nil
}

// readiness asks all at once and waits readyWait at most for the slowest.
func (s *Server) readiness(ctx context.Context) readiness {
	s.ready.mu.Lock()
	defer s.ready.mu.Unlock()
	if time.Since(s.ready.at) < readyHold {
		return s.ready.last
	}
	// The answer is for whoever asks next, too: it does not end with this visitor.
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), readyWait)
	defer stop()
	type answer struct {
		i   int
		c   check
		err error
	}
	list := s.looks()
	answers := make(chan answer, len(list)) // as many as may come after the end
	began := time.Now()
	r := readiness{Ready: true, Checks: make([]check, len(list))}
	for i, one := range list {
		r.Checks[i] = check{Name: one.name, Matters: one.matters, Says: one.says, MS: float64(readyWait.Milliseconds())}
		go func() {
			age, err := one.look(ctx)
			answers <- answer{i, check{OK: err == nil, MS: float64(time.Since(began).Microseconds()) / 1000, Age: age.Seconds()}, err}
		}()
	}
	for range list {
		select {
		case a := <-answers:
			c := &r.Checks[a.i]
			c.OK, c.MS, c.Age = a.c.OK, a.c.MS, a.c.Age
			if c.OK {
				c.Says = ""
			} else {
				s.Log.WarnContext(ctx, "not ready", "what", c.Name, "err", a.err)
			}
		case <-ctx.Done():
		}
	}
	for _, c := range r.Checks {
		r.Ready = r.Ready && (c.OK || !c.Matters)
	}
	s.ready.last, s.ready.at = r, time.Now()
	return r
}

// readyz says whether the process can serve, and how each thing stands that it
// needs: as JSON to who asks for that, else as text.
func (s *Server) readyz(c *gin.Context) error {
	r := s.readiness(c.Request.Context())
	status := http.StatusOK
	if !r.Ready {
		status = http.StatusServiceUnavailable
	}
	if c.Query("format") == "json" || strings.Contains(c.GetHeader("Accept"), "application/json") {
		c.JSON(status, r)
		return nil
	}
	var text strings.Builder
	text.WriteString(map[bool]string{true: "ok\n", false: "not ready\n"}[r.Ready])
	for _, one := range r.Checks {
		line := fmt.Sprintf("%-10s  ok  %.1f ms", one.Name, one.MS)
		switch {
		case !one.OK:
			line = fmt.Sprintf("%-10s  out  %s", one.Name, one.Says)
		case one.Age > 0:
			line += fmt.Sprintf("  heard of %.0f s ago", one.Age)
		}
		text.WriteString(line + "\n")
	}
	c.String(status, text.String())
	return nil
}
