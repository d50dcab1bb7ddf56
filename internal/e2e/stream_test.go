package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// event is one server-sent event.
type event struct {
	name, id, data string
}

// stream opens a page's live stream, as its script does, and hands its events to
// each until that says it has seen enough.
func (s *site) stream(page string, limit time.Duration, each func(event) bool) {
	s.t.Helper()
	_, body := s.get(page)
	topics := regexp.MustCompile(`data-feeds="([^"]*)"`).FindStringSubmatch(body)
	if topics == nil {
		s.t.Fatalf("%s has no live stream", page)
	}
	s.streamTopics(topics[1], limit, each)
}

// streamTopics opens a live stream of the topics.
func (s *site) streamTopics(topics string, limit time.Duration, each func(event) bool) {
	s.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), limit)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/events?topics="+url.QueryEscape(topics), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // cut off on purpose
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("stream of %s: status %d", topics, resp.StatusCode)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	var e event
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "event":
			e.name = value
		case "id":
			e.id = value
		case "data":
			e.data = value
		case "":
			if e.name != "" && each(e) {
				return
			}
			e = event{}
		}
	}
	s.t.Fatalf("the stream of %s ended before what was waited for: %v", topics, lines.Err())
}

// logLines reads the texts of a log event.
func logLines(t testing.TB, e event) (texts []string) {
	t.Helper()
	var data struct {
		Lines [][]any `json:"lines"`
	}
	if err := json.Unmarshal([]byte(e.data), &data); err != nil {
		t.Fatalf("log event %s: %v", e.data, err)
	}
	for _, l := range data.Lines {
		text, ok := l[len(l)-1].(string)
		if !ok {
			t.Fatalf("a log line is not text: %v", l)
		}
		texts = append(texts, text)
	}
	return texts
}
