package hostops

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"left4me/hostops/ctl"
	"left4me/hostops/rcon"
	"left4me/hostops/servercfg"
	"left4me/hostops/supervisor"
)

// What people tell a running game. Every command of the engine that is not typed by
// its owner is written by engineCommand; names of players are in none of them.

// commandLimit is how long a game has to answer; changing the map takes a while.
const commandLimit = 30 * time.Second

// phrase is an argument that may hold anything; engineCommand quotes it.
type phrase string

// word is an argument of a few safe characters. The colons are a Steam id's, which the
// engine takes only without quotes around it.
type word string

var wordForm = regexp.MustCompile(`\A[A-Za-z0-9_\[][A-Za-z0-9_.:\]-]{0,63}\z`)

// engineCommand writes one command of the engine's console. Its arguments are numbers,
// words and phrases. The engine splits a line at line breaks, and at ';' and "//"
// outside quotes, and knows no escape for a quote mark: a phrase's own become
// apostrophes, its control characters blanks, and it stands between quotes.
func engineCommand(name word, args ...any) (string, error) {
	parts := []string{string(name)}
	for _, arg := range args {
		switch a := arg.(type) {
		case int:
			parts = append(parts, strconv.Itoa(a))
		case word:
			if !wordForm.MatchString(string(a)) {
				return "", fail(ctl.ErrUsage, "%q cannot be part of a command", clipText(string(a), 60))
			}
			parts = append(parts, string(a))
		case phrase:
			parts = append(parts, quoteText(string(a)))
		default:
			return "", fmt.Errorf("an argument of type %T in a command: %w", arg, ctl.ErrInternal)
		}
	}
	line := strings.Join(parts, " ")
	if len(line) > rcon.MaxCommand {
		return "", fail(ctl.ErrUsage, "the text is too long: the game takes %d bytes in all, and this makes %d", rcon.MaxCommand, len(line))
	}
	return line, nil
}

func quoteText(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case unicode.IsControl(r) || r == '\u2028' || r == '\u2029':
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return `"` + strings.TrimSpace(s) + `"`
}

func clipText(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}

// gameConsole is the console of a game that runs.
type gameConsole struct {
	h       *Host
	name    string
	conn    *rcon.Conn
	secrets *masker
}

// withConsole calls act with the console of a running game, and limits the whole of
// it. Errors: ctl.ErrNotFound, ctl.ErrNotRunning, ctl.ErrConsole. A password that the
// game rejected in this run is not tried again: the game would ban this host.
func (h *Host) withConsole(ctx context.Context, name string, act func(context.Context, *gameConsole) error) error {
	if err := ctl.CheckName(name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	st, inst, err := h.seen(ctx, name)
	switch {
	case err != nil:
		return err
	case st.State == ctl.ServerAbsent:
		return fail(ctl.ErrNotFound, "there is no server %s", name)
	case !up(inst) || inst.PID == 0:
		return fail(ctl.ErrNotRunning, "server %s is not running: start it first", name)
	case !h.listens(ctx, name, inst):
		return fail(ctl.ErrConsole, "the game of %s takes no commands before its first map is loaded: wait until it runs", name)
	case h.rconRefused(name, inst):
		return rejected(name)
	}
	conn, err := rcon.Dial(ctx, onPort(rconHost, st.Port), h.gamePassword(name, inst))
	if errors.Is(err, rcon.ErrAuth) {
		h.noteRefused(name, inst)
		return rejected(name)
	}
	if err != nil {
		return unheard(ctx, name, err)
	}
	defer conn.Close() // everything it had to say was read
	return act(ctx, &gameConsole{h: h, name: name, conn: conn, secrets: h.maskerOf(name)})
}

// listens reports whether the game has read the password from its server.cfg. Before
// that it would count the right one as a wrong one.
func (h *Host) listens(ctx context.Context, name string, inst supervisor.Instance) bool {
	if time.Since(inst.Since) > settledAfter {
		return true
	}
	m, err := h.readMarkers(ctx, name, inst.Since.Add(-sinceSlack))
	return err == nil && m.executed
}

func rejected(name string) error {
	return fail(ctl.ErrConsole, "the game of %s rejected the RCON password, so nothing was sent: something changed the password after its server.cfg. Restart the server", name)
}

// unheard says what a failure on the way to the game means.
func unheard(ctx context.Context, name string, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		return fail(ctl.ErrConsole, "the game of %s did not answer within %d seconds: it may still do it, or hang", name, int(commandLimit/time.Second))
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, rcon.ErrCommand):
		return fail(ctl.ErrUsage, "a command is one line of at most %d bytes without control characters", rcon.MaxCommand)
	case errors.Is(err, rcon.ErrClosed):
		return fail(ctl.ErrConsole, "the game of %s closed the connection before it answered: it may have ended, or it bans this host", name)
	}
	return fail(ctl.ErrConsole, "the game of %s did not answer: %v", name, err)
}

// run sends one command and returns what the game printed.
func (g *gameConsole) run(ctx context.Context, line string) (string, error) {
	reply, err := g.conn.Exec(ctx, line)
	if err != nil {
		return reply, unheard(ctx, g.name, err)
	}
	return reply, nil
}

// tell is run for a command of ours.
func (g *gameConsole) tell(ctx context.Context, name word, args ...any) (string, error) {
	line, err := engineCommand(name, args...)
	if err != nil {
		return "", err
	}
	return g.run(ctx, line)
}

// print emits what the game printed, line by line, without passwords.
func (g *gameConsole) print(reply string) {
	for line := range strings.SplitSeq(strings.TrimRight(reply, "\r\n\x00 "), "\n") {
		text := g.secrets.mask(ctl.CleanLine([]byte(strings.TrimRight(line, "\r")), false))
		g.h.Emit(ctl.Event{Type: ctl.EventLog, At: now(), Stream: ctl.StreamGame, Text: text})
	}
}

// Rcon sends a line that the server's owner typed, and emits the answer as lines of
// the game. It may hold several commands. A new RCON password is refused: left4me
// would be locked out of the game that it runs.
func (h *Host) Rcon(ctx context.Context, name, line string) error {
	line = strings.TrimSpace(line)
	if line == "" {
		return fail(ctl.ErrUsage, "there is no command: type one, such as status")
	}
	ends := false
	for _, c := range servercfg.Commands(line) {
		c = c.Unwrapped()
		if strings.EqualFold(c.Name, "rcon_password") && c.Rest != "" {
			return fail(ctl.ErrUsage, "the RCON password belongs to the server's definition and cannot be changed here: left4me would lose the game")
		}
		ends = ends || strings.EqualFold(c.Name, "quit") || strings.EqualFold(c.Name, "exit") || strings.EqualFold(c.Name, "_restart")
	}
	return h.withConsole(ctx, name, func(ctx context.Context, g *gameConsole) error {
		reply, err := g.conn.Exec(ctx, line)
		if reply != "" {
			g.print(reply)
		}
		switch {
		case ends && (err == nil || errors.Is(err, rcon.ErrClosed)):
			h.say("The game ends.")
			return nil
		case err != nil:
			return unheard(ctx, name, err)
		}
		return nil
	})
}

// Say writes into the chat of a game.
func (h *Host) Say(ctx context.Context, name, words string) error {
	if strings.TrimSpace(words) == "" {
		return fail(ctl.ErrUsage, "there is nothing to say: type what the players should read")
	}
	return h.withConsole(ctx, name, func(ctx context.Context, g *gameConsole) error {
		if _, err := g.tell(ctx, "say", phrase(words)); err != nil {
			return err
		}
		h.say("The players were told.")
		return nil
	})
}
