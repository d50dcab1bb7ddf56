package models

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// CommandVerb is what somebody tells a running game to do.
type CommandVerb string

// The verbs.
const (
	CommandRCON  CommandVerb = "rcon" // a line as typed into the console
	CommandSay   CommandVerb = "say"
	CommandKick  CommandVerb = "kick"
	CommandBan   CommandVerb = "ban"
	CommandUnban CommandVerb = "unban"
	CommandMap   CommandVerb = "map"
)

// CommandState is how far a command is: queued → running → done or failed, or
// queued → failed when nobody took it in time. There is no way back: what may have
// reached the game is never sent again.
type CommandState string

// The states.
const (
	CommandQueued  CommandState = "queued"
	CommandRunning CommandState = "running"
	CommandDone    CommandState = "done"
	CommandFailed  CommandState = "failed"
)

// The limits of a command.
const (
	CommandSentWithin    = 15 * time.Second // one that waited longer is never sent
	CommandAnswersWithin = time.Minute      // one that ran longer has lost its worker
	maxCommandLine       = 500              // bytes; the game's console takes 510
	maxCommandText       = 200              // bytes of a word in the chat, or of a reason
	maxCommandReply      = 64 << 10         // bytes
	maxCommandsWaiting   = 20               // of one server
	commandsKept         = 500              // of one server
	maxBanMinutes        = 60 * 24 * 366    // a longer ban is for ever
)

const commandNotSent = "It was not sent: the worker did not take it in time. Look whether the server runs, then send it again."

// CommandLost is what is said of a command that a worker took and did not account for.
const CommandLost = "It is not known whether the game got it: the worker ended meanwhile. Look at the server before you send it again."

// CommandArguments are what a verb needs; the others stay empty.
type CommandArguments struct {
	Text    string `json:"text,omitempty"`     // rcon: the line; say: the words
	SteamID string `json:"steam_id,omitempty"` // kick, ban, unban: STEAM_1:0:123, [U:1:246] or the number of 17 digits
	Minutes int    `json:"minutes,omitempty"`  // ban: for how long, 0 for ever
	Reason  string `json:"reason,omitempty"`   // kick, ban: what the player reads
	Map     string `json:"map,omitempty"`      // map: such as c2m1_highway
	Mode    string `json:"mode,omitempty"`     // map: such as versus; "" keeps the present one
}

// kept is a without what people typed freely.
func (a CommandArguments) kept() CommandArguments {
	a.Text, a.Reason = "", ""
	return a
}

// ConsoleCommand is something that was told to a game, and its answer.
type ConsoleCommand struct {
	bun.BaseModel `bun:"table:console_commands,alias:command"`

	ID         string           `bun:"id,pk"`
	ServerID   string           `bun:"server_id"`
	UserID     string           `bun:"user_id,nullzero"`
	UserName   string           `bun:"user_name"`
	Verb       CommandVerb      `bun:"verb"`
	Arguments  CommandArguments `bun:"arguments,type:jsonb"` // without what was typed once a worker has them: it may hold a password
	Line       string           `bun:"line"`                 // for people, without passwords
	State      CommandState     `bun:"state"`
	Reply      string           `bun:"reply"`   // what the game printed, cleaned and without passwords
	Message    string           `bun:"message"` // why it failed: one sentence
	CreatedAt  time.Time        `bun:"created_at"`
	StartedAt  time.Time        `bun:"started_at,nullzero"`
	FinishedAt time.Time        `bun:"finished_at,nullzero"`
}

// Now returns the command as it stands at now: with no worker at all nobody writes
// down that one has waited too long.
func (c ConsoleCommand) Now(now time.Time) ConsoleCommand {
	switch {
	case c.State == CommandQueued && now.Sub(c.CreatedAt) > CommandSentWithin:
		c.State, c.Message, c.FinishedAt = CommandFailed, commandNotSent, c.CreatedAt.Add(CommandSentWithin)
	case c.State == CommandRunning && now.Sub(c.StartedAt) > CommandAnswersWithin:
		c.State, c.Message, c.FinishedAt = CommandFailed, CommandLost, c.StartedAt.Add(CommandAnswersWithin)
	}
	return c
}

// Subject is what the audit log says of the command beside its verb: never more of
// a typed line than the command's name, and nothing that was said.
func (c *ConsoleCommand) Subject() string {
	a := c.Arguments
	switch c.Verb {
	case CommandRCON:
		return commandName.FindString(strings.TrimSpace(a.Text))
	case CommandKick, CommandUnban:
		return a.SteamID
	case CommandBan:
		return a.SteamID + " " + banLength(a.Minutes)
	case CommandMap:
		return strings.TrimSpace(a.Map + " " + a.Mode)
	}
	return ""
}

var (
	commandName = regexp.MustCompile(`\A[A-Za-z_][A-Za-z0-9_.]{0,60}`)
	steamID     = regexp.MustCompile(`\A(STEAM_[01]:[01]:[0-9]{1,10}|\[U:1:[0-9]{1,10}\]|7656119[0-9]{10})\z`)
	mapName     = regexp.MustCompile(`\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}\z`)
	modeName    = regexp.MustCompile(`\A[a-z]{1,12}[0-9]{0,2}\z`)
)

// check refuses what no host would send, with a word about it at its field. The host
// checks again and writes the engine's command itself.
func (c *ConsoleCommand) check() error {
	a := &c.Arguments
	a.Text, a.Reason, a.SteamID = strings.TrimSpace(a.Text), strings.TrimSpace(a.Reason), strings.TrimSpace(a.SteamID)
	switch c.Verb {
	case CommandRCON:
		return checkCommandText("command", a.Text, "Type a command, such as status.", maxCommandLine)
	case CommandSay:
		return checkCommandText("text", a.Text, "Type what the players should read.", maxCommandText)
	case CommandKick, CommandBan, CommandUnban:
		if !steamID.MatchString(a.SteamID) {
			return Invalid("steam_id", "Type a Steam id, such as STEAM_1:0:12345678 or a number of 17 digits.")
		}
		if a.Minutes < 0 || a.Minutes > maxBanMinutes {
			return Invalid("minutes", "Type a number of minutes up to a year, or 0 for ever.")
		}
		if a.Reason == "" {
			return nil
		}
		return checkCommandText("reason", a.Reason, "", maxCommandText)
	case CommandMap:
		if !mapName.MatchString(a.Map) {
			return Invalid("map", "Choose a map. A map's name has letters, digits, _, - and dots only.")
		}
		if a.Mode != "" && !modeName.MatchString(a.Mode) {
			return Invalid("mode", "Choose one of the modes that the map has.")
		}
		return nil
	}
	return Invalid("verb", "There is no such thing to tell a game. Reload the page and try again.")
}

func checkCommandText(field, text, empty string, most int) error {
	switch {
	case text == "":
		return Invalid(field, empty)
	case len(text) > most:
		return Invalid(field, fmt.Sprintf("That is too long: the game takes at most %d bytes. Shorten it.", most))
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return Invalid(field, "It contains a line break or another control character. Type it again on one line.")
	}
	return nil
}

// line is the command as people read it.
func (c *ConsoleCommand) line() string {
	a := c.Arguments
	words := []string{string(c.Verb)}
	switch c.Verb {
	case CommandRCON:
		return MaskSecrets(a.Text)
	case CommandSay:
		words = append(words, a.Text)
	case CommandBan:
		words = append(words, a.SteamID, banLength(a.Minutes))
	case CommandKick, CommandUnban:
		words = append(words, a.SteamID)
	case CommandMap:
		words = append(words, a.Map, a.Mode)
	}
	if a.Reason != "" {
		words = append(words, "· "+a.Reason)
	}
	return strings.TrimSpace(strings.Join(words, " "))
}

func banLength(minutes int) string {
	switch minutes {
	case 0:
		return "for ever"
	case 1:
		return "for 1 minute"
	}
	return fmt.Sprintf("for %d minutes", minutes)
}

// assignsSecret finds what a variable that is a secret is set to: the value ends
// where the engine ends a command, at a ';' outside quotes.
var assignsSecret = regexp.MustCompile(`(?i)\b(rcon_password|sv_password|tv_password|tv_relaypassword|sv_setsteamaccount)\b("?[ \t=:]+"?)((?:"[^"]*"?|[^;"])*)`)

// MaskSecrets takes the values of passwords out of a line of commands.
func MaskSecrets(line string) string { return assignsSecret.ReplaceAllString(line, "$1 ********") }

// InsertCommand checks and stores a command that waits to be sent. With too many
// waiting it is refused.
func InsertCommand(ctx context.Context, tx bun.IDB, by Actor, s *Server, verb CommandVerb, a CommandArguments) (*ConsoleCommand, error) {
	c := &ConsoleCommand{ID: NewID(), ServerID: s.ID, UserID: by.ID, UserName: by.Name, Verb: verb, Arguments: a, State: CommandQueued, CreatedAt: Now()}
	if err := c.check(); err != nil {
		return nil, err
	}
	waiting, err := tx.NewSelect().Model((*ConsoleCommand)(nil)).
		Where("server_id = ? AND finished_at IS NULL AND created_at > ?", s.ID, c.CreatedAt.Add(-CommandAnswersWithin)).Count(ctx)
	if err != nil {
		return nil, fmt.Errorf("count the commands of %s: %w", s.Instance, err)
	}
	if waiting >= maxCommandsWaiting {
		return nil, Invalid("command", fmt.Sprintf("%d commands wait for this server already. Wait for their answers.", waiting))
	}
	c.Line = c.line()
	if _, err := tx.NewInsert().Model(c).Exec(ctx); err != nil {
		return nil, fmt.Errorf("store a command for %s: %w", s.Instance, violation(err))
	}
	return c, Audit(ctx, tx, by, "server."+string(verb), "server:"+s.Instance, c.Subject())
}

// commandsOfOwner is how many games of one user are told something at the same time. A
// game that hangs holds its command for half a minute: without a limit somebody whose
// games hang would keep everybody else's from being sent.
const commandsOfOwner = 2

// NextCommand is the oldest command that may be sent now to a server of the host: a
// server's first one, where none is under way, and not too many of its owner's are.
// ErrNotFound when there is none.
func NextCommand(ctx context.Context, db bun.IDB, host string) (string, error) {
	var id string
	err := db.NewRaw(`SELECT c.id FROM console_commands c JOIN servers s ON s.id = c.server_id
		WHERE s.host = ? AND c.finished_at IS NULL AND c.state = 'queued' AND c.created_at > ? AND NOT EXISTS (
			SELECT 1 FROM console_commands o WHERE o.server_id = c.server_id AND o.finished_at IS NULL AND (o.state = 'running' OR o.id < c.id))
		AND (SELECT count(*) FROM console_commands r JOIN servers rs ON rs.id = r.server_id
			WHERE r.finished_at IS NULL AND r.state = 'running' AND rs.host = s.host AND rs.user_id = s.user_id) < ?
		ORDER BY c.id LIMIT 1`, host, Now().Add(-CommandSentWithin), commandsOfOwner).Scan(ctx, &id)
	if err != nil {
		return "", fmt.Errorf("next command: %w", found(err))
	}
	return id, nil
}

// ClaimCommand takes a command to send it, with its server. ErrConflict when it was
// taken, is too old, or its server has one under way. The row forgets what was typed:
// nobody will need it again.
func ClaimCommand(ctx context.Context, db *bun.DB, id string) (*ConsoleCommand, *Server, error) {
	c, s := new(ConsoleCommand), new(Server)
	err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := tx.NewSelect().Model(c).Where("id = ?", id).Scan(ctx); err != nil {
			return fmt.Errorf("claim command: %w", found(err))
		}
		if err := tx.NewSelect().Model(s).Where("id = ?", c.ServerID).Scan(ctx); err != nil {
			return fmt.Errorf("claim command: %w", found(err))
		}
		now := Now()
		res, err := tx.NewUpdate().Model(&ConsoleCommand{Arguments: c.Arguments.kept()}).Column("arguments").
			Set("state = ?", CommandRunning).Set("started_at = ?", now).
			Where("id = ? AND state = ? AND created_at > ?", id, CommandQueued, now.Add(-CommandSentWithin)).Exec(ctx)
		c.State, c.StartedAt = CommandRunning, now
		return oneRow(res, err)
	})
	if errors.Is(err, ErrTaken) { // one command of a server runs at a time: the index says so
		err = fmt.Errorf("%w: another command of the server is under way", ErrConflict)
	}
	if err != nil {
		return nil, nil, err
	}
	return c, s, nil
}

// FinishCommand stores how a command ended that was claimed, and removes what is
// older than the newest 500 of its server. ErrConflict when somebody else has
// declared it lost.
func FinishCommand(ctx context.Context, db bun.IDB, c *ConsoleCommand, state CommandState, reply, message string) error {
	c.State, c.Reply, c.Message, c.FinishedAt = state, clip(reply, maxCommandReply), clip(message, 500), Now()
	res, err := db.NewUpdate().Model(c).Column("state", "reply", "message", "finished_at").WherePK().Where("state = ?", CommandRunning).Exec(ctx)
	if err := oneRow(res, err); err != nil {
		return fmt.Errorf("finish command: %w", err)
	}
	_, err = db.NewRaw(`DELETE FROM console_commands WHERE server_id = ? AND finished_at IS NOT NULL AND id <= (
		SELECT id FROM console_commands WHERE server_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?)`, c.ServerID, c.ServerID, commandsKept).Exec(ctx)
	if err != nil {
		return fmt.Errorf("remove old commands: %w", err)
	}
	return nil
}

// ExpireCommands fails what waited too long to be sent and what has lost its worker,
// and returns the servers that it concerns.
func ExpireCommands(ctx context.Context, db bun.IDB, host string) ([]string, error) {
	now := Now()
	waits, err := db.NewSelect().Model((*ConsoleCommand)(nil)).Where("finished_at IS NULL AND created_at <= ?", now.Add(-CommandSentWithin)).Exists(ctx)
	if err != nil || !waits { // nearly always: nothing needs to be written each second
		return nil, err
	}
	var servers []string
	for _, rule := range []struct {
		state   CommandState
		since   string
		before  time.Time
		message string
	}{
		{CommandQueued, "created_at", now.Add(-CommandSentWithin), commandNotSent},
		{CommandRunning, "started_at", now.Add(-CommandAnswersWithin), CommandLost},
	} {
		var ids []string
		err := db.NewRaw(`UPDATE console_commands SET state = 'failed', arguments = '{}', message = ?, finished_at = ?
			WHERE finished_at IS NULL AND state = ? AND ? <= ? AND server_id IN (SELECT id FROM servers WHERE host = ?) RETURNING server_id`,
			rule.message, now, rule.state, bun.Ident(rule.since), rule.before, host).Scan(ctx, &ids)
		if err != nil {
			return servers, fmt.Errorf("give up on commands: %w", err)
		}
		servers = append(servers, ids...)
	}
	slices.Sort(servers)
	return slices.Compact(servers), nil
}

// CommandReplyPart is how much of an answer ConsoleCommands reads, in characters: a list
// of whole ones would be megabytes.
const CommandReplyPart = 4<<10 + 1

// ConsoleCommands lists a server's commands with the beginnings of their answers, newest
// first, at most limit of those before the id before ("" for the newest). What is no id
// is ErrNotFound.
func ConsoleCommands(ctx context.Context, db bun.IDB, serverID, before string, limit int) ([]ConsoleCommand, error) {
	var list []ConsoleCommand
	q := db.NewSelect().Model(&list).ExcludeColumn("reply").ColumnExpr("substr(command.reply, 1, ?) AS reply", CommandReplyPart).
		Where("server_id = ?", serverID).OrderExpr("id DESC").Limit(int64(limit))
	if before != "" {
		if uuid.Validate(before) != nil {
			return nil, fmt.Errorf("list commands before %q: %w", clip(before, 40), ErrNotFound)
		}
		q = q.Where("id < ?", before)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list commands: %w", err)
	}
	return list, nil
}

// PlayerCommands lists what was done with players of a server, newest first, without the
// game's answers.
func PlayerCommands(ctx context.Context, db bun.IDB, serverID string) ([]ConsoleCommand, error) {
	var list []ConsoleCommand
	err := db.NewSelect().Model(&list).ExcludeColumn("reply").Where("server_id = ?", serverID).
		Where("verb IN (?)", bun.List([]CommandVerb{CommandKick, CommandBan, CommandUnban})).
		OrderExpr("id DESC").Limit(200).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list what was done with players: %w", err)
	}
	return list, nil
}

// ConsoleCommandOf returns one command of a server. Another server's is ErrNotFound.
func ConsoleCommandOf(ctx context.Context, db bun.IDB, serverID, id string) (*ConsoleCommand, error) {
	c := new(ConsoleCommand)
	if uuid.Validate(id) != nil {
		return nil, fmt.Errorf("command %q: %w", clip(id, 40), ErrNotFound)
	}
	if err := db.NewSelect().Model(c).Where("server_id = ? AND id = ?", serverID, id).Scan(ctx); err != nil {
		return nil, fmt.Errorf("command: %w", found(err))
	}
	return c, nil
}
