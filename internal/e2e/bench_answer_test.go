package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// BenchmarkConsoleAnswer measures what a person feels in the console: from the click
// on Send to the game's answer in the page's event stream, which is open already. In
// between lie the form post, the worker, l4d2ctl, the game, and the way back.
func BenchmarkConsoleAnswer(b *testing.B) {
	pairs := map[string]func(*site){"embedded": func(s *site) { s.up() }, "postgres+redis": func(s *site) { s.split() }}
	for _, name := range []string{"embedded", "postgres+redis"} {
		b.Run(name, func(b *testing.B) {
			s := newSite(b, name == "embedded")
			pairs[name](s)
			s.signIn()
			s.install()
			instance := s.makeServer("Bench", "", "", "")
			s.post("/servers/"+instance+"/start", nil)
			s.idle()
			var (
				took  []time.Duration
				began time.Time
				word  string
			)
			ask := func() {
				word = fmt.Sprintf("answer %d.", len(took))
				began = time.Now()
				s.tell(instance, "echo "+word)
			}
			s.streamTopics("server-console:"+instance, 10*time.Minute, func(e event) bool {
				switch {
				case began.IsZero(): // the stream is open
				case strings.Contains(e.data, `\u003cpre\u003e`+word):
					took = append(took, time.Since(began))
				default:
					return false // the question, not yet its answer
				}
				if !b.Loop() {
					return true
				}
				time.Sleep(20 * time.Millisecond) // people read
				ask()
				return false
			})
			report(b, took) // which sorts them
			figure(b, "console, click to answer, "+name+", p50", float64(took[len(took)/2].Microseconds())/1000, "ms", atMost(60))
		})
	}
}

// tell sends a command as the console's script does.
func (s *site) tell(instance, line string) {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodPost, s.base+"/servers/"+instance+"/console", strings.NewReader(url.Values{"command": {line}}.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("HX-Request", "true")
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	if status, body := s.body(resp); status != http.StatusNoContent {
		s.t.Fatalf("tell the game %q: status %d\n%s", line, status, body)
	}
}
