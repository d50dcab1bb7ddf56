package jobs_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"left4me/internal/testenv"
	"left4me/jobs"
)

// TestLinesAreEncodedOnce: what goes out is made once for all viewers, and one that
// lies far behind is handed no lines to keep.
func TestLinesAreEncodedOnce(t *testing.T) {
	s := testenv.EmbeddedPair(t)
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	hub := jobs.NewHub(s.Redis, testenv.Log())
	var viewers []*jobs.Viewer
	for range 3 {
		v := hub.Subscribe("console:x")
		defer v.Close()
		viewers = append(viewers, v)
	}
	lazy := hub.Subscribe("console:x")
	defer lazy.Close()
	go hub.Run(ctx)
	for _, v := range viewers {
		select {
		case <-v.Gap(): // the subscription stands
		case <-ctx.Done():
			t.Fatal("the hub never subscribed")
		}
	}
	made := 0
	encode := func(lines []jobs.Line) []byte { made++; return fmt.Appendf(nil, "%d lines", len(lines)) }
	const messages = 40
	for i := range int64(messages) {
		m := jobs.Message{Topics: []string{"console:x"}, Epoch: 1, First: i + 1, Last: i + 1, Lines: []jobs.Line{{N: i + 1, Text: strings.Repeat("x", 100)}}}
		if err := jobs.Publish(ctx, s.Redis, m); err != nil {
			t.Fatal(err)
		}
		for _, v := range viewers {
			select {
			case got := <-v.Messages():
				if text := string(got.Encode(encode)); text != "1 lines" || len(got.Lines) != 1 {
					t.Fatalf("a message came as %q, with %d lines", text, len(got.Lines))
				}
			case <-ctx.Done():
				t.Fatalf("message %d never came", i+1)
			}
		}
	}
	if made != messages {
		t.Errorf("lines were encoded %d times for %d messages", made, messages)
	}
	held := 0
	for range messages {
		m := <-lazy.Messages()
		held += len(m.Lines)
		if m.First == 0 {
			t.Error("a message without lines lost their numbers")
		}
	}
	if held >= messages/2 {
		t.Errorf("the lines of %d messages of %d are kept for a viewer that does not read", held, messages)
	}
}
