package worker_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/internal/testenv"
	"left4me/jobs"
	"left4me/models"
)

func answer(lines ...string) act {
	a := act{}
	for _, l := range lines {
		a.Events = append(a.Events, ctl.Event{Type: ctl.EventLog, Stream: ctl.StreamGame, Text: l})
	}
	return a
}

// tells asks and returns the row.
func (w *world) tells(srv *models.Server, cmd jobs.Command) *models.ConsoleCommand {
	w.t.Helper()
	c, err := w.queue.Command(context.Background(), models.Actor{Name: "tester"}, srv, cmd)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// told waits for a command's end.
func (w *world) told(c *models.ConsoleCommand) *models.ConsoleCommand {
	w.t.Helper()
	var row *models.ConsoleCommand
	testenv.Eventually(w.t, soon, "the command "+c.Line+" ends", func() bool {
		var err error
		if row, err = models.ConsoleCommandOf(context.Background(), w.s.DB, c.ServerID, c.ID); err != nil {
			w.t.Fatal(err)
		}
		return row.State == models.CommandDone || row.State == models.CommandFailed
	})
	return row
}

func (w *world) stdin(verb, instance string) string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, "stdin-"+verb+"-"+instance))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

func typed(text string) jobs.Command {
	return jobs.Command{Verb: models.CommandRCON, CommandArguments: models.CommandArguments{Text: text}}
}

func TestCommandReachesTheGame(t *testing.T) {
	t.Parallel()
	testenv.EachPair(t, func(t *testing.T, s testenv.Stores) {
		w := newWorld(t, s)
		srv := w.server()
		w.plan("rcon", answer("hostname: x", "players : 0 humans"))
		w.plan("kick", act{Codes: []int{100}, Message: "nobody with the Steam id STEAM_1:0:5 is on it"})
		w.work()
		if got := w.told(w.tells(srv, typed("status"))); got.State != models.CommandDone || got.Reply != "hostname: x\nplayers : 0 humans" || got.Message != "" {
			t.Errorf("the answer is %s %q %q", got.State, got.Reply, got.Message)
		}
		if got := w.stdin("rcon", srv.Instance); got != "status\n" {
			t.Errorf("l4d2ctl read %q", got)
		}
		kick := jobs.Command{Verb: models.CommandKick, CommandArguments: models.CommandArguments{SteamID: "STEAM_1:0:5", Reason: "-x"}}
		if got := w.told(w.tells(srv, kick)); got.State != models.CommandFailed || got.Message != "nobody with the Steam id STEAM_1:0:5 is on it" {
			t.Errorf("a kick of nobody is %s %q", got.State, got.Message)
		}
	})
}

// A worker that ends in the middle does not send the command again, nor does the next.
func TestCommandIsSentAtMostOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.EmbeddedPair(t))
	srv := w.server()
	w.plan("rcon", act{Hold: true})
	stop := w.work()
	first := w.tells(srv, typed("first"))
	testenv.Eventually(t, soon, "it runs", func() bool { return w.runs("rcon", srv.Instance) == 1 })
	second := w.tells(srv, typed("second"))
	stop()
	if got := w.told(first); got.State != models.CommandFailed || got.Message != models.CommandLost {
		t.Errorf("the interrupted one is %s: %s", got.State, got.Message)
	}
	w.release()
	w.work()
	w.told(second)
	if n := w.runs("rcon", srv.Instance); n != 2 {
		t.Errorf("l4d2ctl ran %d times for two commands", n)
	}
}

// One that waited too long is not sent when a worker comes at last.
func TestLateCommandIsNotSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.EmbeddedPair(t))
	srv := w.server()
	c := w.tells(srv, typed("late"))
	_, err := w.s.DB.NewUpdate().Model(c).Set("created_at = ?", models.Now().Add(-models.CommandSentWithin-time.Second)).WherePK().Exec(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	w.work()
	if got := w.told(c); got.State != models.CommandFailed || !strings.HasPrefix(got.Message, "It was not sent") {
		t.Errorf("it is %s: %s", got.State, got.Message)
	}
	if n := w.runs("rcon", srv.Instance); n != 0 {
		t.Errorf("it was sent %d times", n)
	}
}

// A server's own password is in no answer, whoever printed it, and nothing typed is on
// a command line.
func TestAttack24CommandAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.EmbeddedPair(t))
	srv := w.server()
	secret, err := w.key.Open(srv.RCONOwner(), srv.RCONPassword)
	if err != nil {
		t.Fatal(err)
	}
	w.plan("rcon", answer("the password is "+secret, `say "`+secret+`"`))
	w.work()
	got := w.told(w.tells(srv, typed("echo x; sv_password hunter2")))
	if strings.Contains(got.Reply, secret) || strings.Count(got.Reply, "********") != 2 {
		t.Errorf("the answer is %q", got.Reply)
	}
	if strings.Contains(got.Line, "hunter2") || got.Arguments.Text != "" {
		t.Errorf("the row keeps %q and %q", got.Line, got.Arguments.Text)
	}
	if got := w.stdin("rcon", srv.Instance); got != "echo x; sv_password hunter2\n" {
		t.Errorf("the game would read %q", got)
	}
	w.plan("rcon", act{Codes: []int{99}, Message: "the game said " + secret})
	if got := w.told(w.tells(srv, typed("x"))); strings.Contains(got.Message, secret) {
		t.Errorf("the failure is %q", got.Message)
	}
}

func TestLongAnswerIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.EmbeddedPair(t))
	srv := w.server()
	lines := make([]string, 100)
	for i := range lines {
		lines[i] = strings.Repeat("x", 4000)
	}
	w.plan("rcon", answer(lines...))
	w.work()
	if got := w.told(w.tells(srv, typed("cvarlist"))); got.State != models.CommandDone || len(got.Reply) > 65<<10 || len(got.Reply) < 60<<10 {
		t.Errorf("%s with %d bytes", got.State, len(got.Reply))
	}
}
