package worker

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
)

const (
	tellAtOnce  = 4                // games that are told something at the same time
	tellTimeout = 35 * time.Second // for one command; l4d2ctl gives up after 30
	maxReply    = 64 << 10         // bytes of an answer
)

// tellGames sends what people told their games, each server's commands one after
// another. A claimed row is sent once, whatever happens: when its outcome is lost, it
// says so instead of being sent again.
func (w *Worker) tellGames(ctx context.Context) {
	ended := make(chan struct{})
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	running := 0
	for {
		select {
		case <-ctx.Done():
			for ; running > 0; running-- {
				<-ended
			}
			return
		case <-w.told:
		case <-ended:
			running--
		case <-tick.C:
			w.giveUpCommands(ctx)
		}
		for running < tellAtOnce {
			c, srv := w.nextCommand(ctx)
			if c == nil {
				break
			}
			running++
			go func() {
				w.tellGame(ctx, c, srv)
				ended <- struct{}{}
			}()
		}
	}
}

// nextCommand takes the next command that may be sent, nil when there is none.
func (w *Worker) nextCommand(ctx context.Context) (*models.ConsoleCommand, *models.Server) {
	for range 10 { // each one lost was won by somebody else; what is left waits for the next wake
		id, err := models.NextCommand(ctx, w.DB, w.Host)
		if err != nil {
			return nil, nil // there is none, or the sweeper says that the database does not answer
		}
		c, srv, err := models.ClaimCommand(ctx, w.DB, id)
		if err == nil {
			return c, srv
		}
	}
	return nil, nil
}

// giveUpCommands fails what nobody may send any more.
func (w *Worker) giveUpCommands(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	servers, _ := models.ExpireCommands(ctx, w.DB, w.Host) // the next second tries again
	for _, id := range servers {
		w.publish(jobs.Message{Topics: []string{jobs.TopicCommands(id)}, Change: true})
	}
}

func (w *Worker) tellGame(ctx context.Context, c *models.ConsoleCommand, srv *models.Server) {
	reply, message := w.tell(ctx, c, srv)
	state := models.CommandDone
	if message != "" {
		state = models.CommandFailed
	}
	after, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	for {
		err := models.FinishCommand(after, w.DB, c, state, reply, message)
		if err == nil || errors.Is(err, models.ErrConflict) {
			break
		}
		select {
		case <-after.Done():
			w.Log.WarnContext(ctx, "could not store a command's answer; it will be called lost", "server", srv.Instance, "err", err)
			return
		case <-time.After(500 * time.Millisecond):
		}
	}
	w.publish(jobs.Message{Topics: []string{jobs.TopicCommands(srv.ID)}, Change: true})
}

// tell runs l4d2ctl for one command and returns what it printed, and in a sentence why
// it failed, "" when it did not.
func (w *Worker) tell(ctx context.Context, c *models.ConsoleCommand, srv *models.Server) (printed, failed string) {
	secret, err := w.Key.Open(srv.RCONOwner(), srv.RCONPassword)
	if err != nil {
		return "", "The server's RCON password cannot be read, so nothing was sent: the secret key is not the one it was stored with."
	}
	args, input := commandLine(c, srv.Instance)
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	var (
		reply  strings.Builder
		result *ctl.Result
	)
	out := &lineWriter{each: func(line []byte) {
		switch e := ctl.Parse(line); e.Type {
		case ctl.EventLog:
			if reply.Len() < maxReply {
				reply.WriteString(e.Text + "\n")
			}
		case ctl.EventResult:
			result = e.Result
		}
	}}
	cmd := w.command(ctx, append([]string{"--events=json"}, args...)...)
	cmd.Stdin, cmd.Stdout = strings.NewReader(input), out
	err = cmd.Run()
	out.close()
	reap(cmd)
	text := strings.ReplaceAll(strings.TrimRight(reply.String(), "\n"), secret, "********")
	return text, strings.ReplaceAll(toldOutcome(ctx, err, result), secret, "********")
}

// commandLine is how l4d2ctl is asked. What was typed goes through its standard input:
// a command line can be seen by everybody on the host.
func commandLine(c *models.ConsoleCommand, instance string) (args []string, input string) {
	a := c.Arguments
	switch c.Verb {
	case models.CommandRCON, models.CommandSay:
		return []string{string(c.Verb), instance}, a.Text + "\n"
	case models.CommandKick:
		args = []string{"kick", instance, a.SteamID}
	case models.CommandBan:
		args = []string{"ban", instance, a.SteamID, "--minutes=" + strconv.Itoa(a.Minutes)}
	case models.CommandUnban:
		return []string{"unban", instance, a.SteamID}, ""
	case models.CommandMap:
		if a.Mode == "" {
			return []string{"map", instance, a.Map}, ""
		}
		return []string{"map", instance, a.Map, "--mode=" + a.Mode}, ""
	}
	if a.Reason != "" {
		args = append(args, "--reason="+a.Reason)
	}
	return args, ""
}

// toldOutcome says in a sentence how l4d2ctl failed, "" when it did not.
func toldOutcome(ctx context.Context, err error, result *ctl.Result) string {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return ""
	case ctx.Err() != nil, !errors.As(err, &exit), result == nil:
		return models.CommandLost
	}
	return result.Message
}
