package models_test

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"left4me/internal/testenv"
	"left4me/models"
	"left4me/models/modelstest"
)

func rcon(text string) models.CommandArguments { return models.CommandArguments{Text: text} }

// One server's commands run one at a time and in order, whoever asks; other servers
// do not wait for them.
func TestCommandsRunInOrderAndOnce(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, u, key := context.Background(), modelstest.User(t, db, false), modelstest.Key(t)
		by := models.Actor{ID: u.ID, Name: u.Name}
		a, b := modelstest.Server(t, db, key, u), modelstest.Server(t, db, key, u)
		add := func(s *models.Server, text string) *models.ConsoleCommand {
			c, err := models.InsertCommand(ctx, db, by, s, models.CommandRCON, rcon(text))
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		first, second, other := add(a, "status"), add(a, "users"), add(b, "maps *")
		next := func() string {
			id, err := models.NextCommand(ctx, db, models.LocalHost)
			if err != nil && !errors.Is(err, models.ErrNotFound) {
				t.Fatal(err)
			}
			return id
		}
		if got := next(); got != first.ID {
			t.Errorf("next is %s, want the oldest, %s", got, first.ID)
		}
		won := make(chan *models.ConsoleCommand, 8)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				c, s, err := models.ClaimCommand(ctx, db, first.ID)
				if err == nil && s.ID == a.ID {
					won <- c
				} else if !errors.Is(err, models.ErrConflict) {
					t.Errorf("claim: %v", err)
				}
			})
		}
		all.Wait()
		if len(won) != 1 {
			t.Fatalf("%d workers took the same command", len(won))
		}
		claimed := <-won
		if claimed.Arguments.Text != "status" {
			t.Errorf("the claim brought %+v", claimed.Arguments)
		}
		if _, _, err := models.ClaimCommand(ctx, db, second.ID); !errors.Is(err, models.ErrConflict) {
			t.Errorf("a second command of the server was taken beside the first: %v", err)
		}
		if got := next(); got != other.ID {
			t.Errorf("while one runs, next is %s; want the other server's", got)
		}
		if stored, err := models.ConsoleCommandOf(ctx, db, a.ID, first.ID); err != nil || stored.Arguments != (models.CommandArguments{}) || stored.State != models.CommandRunning {
			t.Errorf("a taken command is %+v, %v; want one without its arguments", stored, err)
		}
		if err := models.FinishCommand(ctx, db, claimed, models.CommandDone, strings.Repeat("x", 70<<10), ""); err != nil {
			t.Fatal(err)
		}
		if err := models.FinishCommand(ctx, db, claimed, models.CommandDone, "again", ""); !errors.Is(err, models.ErrConflict) {
			t.Errorf("a command ended twice: %v", err)
		}
		stored, err := models.ConsoleCommandOf(ctx, db, a.ID, first.ID)
		if err != nil || len(stored.Reply) > 64<<10+len("…") || stored.State != models.CommandDone {
			t.Errorf("stored %d bytes of reply, %s, %v", len(stored.Reply), stored.State, err)
		}
		if _, _, err := models.ClaimCommand(ctx, db, second.ID); err != nil {
			t.Errorf("the second one cannot be taken behind the first: %v", err)
		}
		if _, err := models.ConsoleCommandOf(ctx, db, b.ID, first.ID); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("another server shows the command: %v", err)
		}
	})
}

// A game that hangs holds its command for half a minute. Four of one user's kept
// everybody else's from being sent in time.
func TestAttack27GamesThatHang(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, key := context.Background(), modelstest.Key(t)
		mallory, alice := modelstest.User(t, db, false), modelstest.User(t, db, false)
		tell := func(u *models.User) string {
			c, err := models.InsertCommand(ctx, db, models.Actor{ID: u.ID}, modelstest.Server(t, db, key, u), models.CommandRCON, rcon("status"))
			if err != nil {
				t.Fatal(err)
			}
			return c.ID
		}
		hung := []string{tell(mallory), tell(mallory), tell(mallory)}
		claim := func(want string) *models.ConsoleCommand {
			t.Helper()
			id, err := models.NextCommand(ctx, db, models.LocalHost)
			if err != nil || id != want {
				t.Fatalf("next is %s, %v; want %s", id, err, want)
			}
			c, _, err := models.ClaimCommand(ctx, db, id)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		first := claim(hung[0])
		claim(hung[1])
		claim(tell(alice))
		if id, err := models.NextCommand(ctx, db, models.LocalHost); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("while two of one user's games hang, next is %s, %v", id, err)
		}
		if err := models.FinishCommand(ctx, db, first, models.CommandFailed, "", "It hangs."); err != nil {
			t.Fatal(err)
		}
		claim(hung[2])
	})
}

// A list of whole answers is megabytes, and an open page reads it at every change.
func TestAttack26LongAnswers(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, u := context.Background(), modelstest.User(t, db, false)
		s := modelstest.Server(t, db, modelstest.Key(t), u)
		for _, verb := range []models.CommandVerb{models.CommandKick, models.CommandRCON} {
			c, err := models.InsertCommand(ctx, db, models.Actor{}, s, verb, models.CommandArguments{Text: "x", SteamID: "STEAM_1:0:1"})
			if err != nil {
				t.Fatal(err)
			}
			if c, _, err = models.ClaimCommand(ctx, db, c.ID); err != nil {
				t.Fatal(err)
			}
			if err := models.FinishCommand(ctx, db, c, models.CommandDone, strings.Repeat("x", 60<<10), ""); err != nil {
				t.Fatal(err)
			}
		}
		list, err := models.ConsoleCommands(ctx, db, s.ID, "", 10)
		if err != nil || len(list) != 2 || list[0].Line != "x" || list[0].State != models.CommandDone {
			t.Fatalf("the list is %d commands, %v", len(list), err)
		}
		for _, c := range list {
			if len(c.Reply) != models.CommandReplyPart {
				t.Errorf("the list brings %d bytes of an answer", len(c.Reply))
			}
		}
		orders, err := models.PlayerCommands(ctx, db, s.ID)
		if err != nil || len(orders) != 1 || orders[0].Verb != models.CommandKick || orders[0].Arguments.SteamID != "STEAM_1:0:1" || orders[0].Reply != "" {
			t.Errorf("with players were done %+v, %v", orders, err)
		}
	})
}

// What waited too long is never sent, and what lost its worker says that nobody knows.
func TestCommandsExpire(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, u, key := context.Background(), modelstest.User(t, db, false), modelstest.Key(t)
		s := modelstest.Server(t, db, key, u)
		insert := func() *models.ConsoleCommand {
			c, err := models.InsertCommand(ctx, db, models.Actor{}, s, models.CommandRCON, rcon("sv_password hush"))
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		age := func(c *models.ConsoleCommand, column string, by time.Duration) {
			_, err := db.NewUpdate().Model(c).Set("? = ?", bun.Ident(column), models.Now().Add(-by)).WherePK().Exec(ctx)
			if err != nil {
				t.Fatal(err)
			}
		}
		late, lost := insert(), insert()
		age(late, "created_at", models.CommandSentWithin+time.Second)
		if _, _, err := models.ClaimCommand(ctx, db, late.ID); !errors.Is(err, models.ErrConflict) {
			t.Fatalf("a command that is too old was taken: %v", err)
		}
		if _, _, err := models.ClaimCommand(ctx, db, lost.ID); err != nil {
			t.Fatal(err)
		}
		age(lost, "started_at", models.CommandAnswersWithin+time.Second)
		young := insert()
		servers, err := models.ExpireCommands(ctx, db, models.LocalHost)
		if err != nil || len(servers) != 1 || servers[0] != s.ID {
			t.Fatalf("gave up on commands of %v, %v", servers, err)
		}
		for id, want := range map[string]string{late.ID: "It was not sent", lost.ID: "It is not known", young.ID: ""} {
			c, err := models.ConsoleCommandOf(ctx, db, s.ID, id)
			if err != nil {
				t.Fatal(err)
			}
			if failed := c.State == models.CommandFailed; failed != (want != "") || !strings.HasPrefix(c.Message, want) {
				t.Errorf("the command that should say %q is %s: %s", want, c.State, c.Message)
			}
			if want != "" && c.Arguments != (models.CommandArguments{}) {
				t.Errorf("a lost command keeps its arguments: %+v", c.Arguments)
			}
		}
		if again, err := models.ExpireCommands(ctx, db, models.LocalHost); err != nil || len(again) != 0 {
			t.Errorf("gave up again on %v, %v", again, err)
		}
	})
}

func TestCommandNow(t *testing.T) {
	now := models.Now()
	tests := map[string]struct {
		c    models.ConsoleCommand
		want models.CommandState
	}{
		"waiting":  {models.ConsoleCommand{State: models.CommandQueued, CreatedAt: now.Add(-10 * time.Second)}, models.CommandQueued},
		"too long": {models.ConsoleCommand{State: models.CommandQueued, CreatedAt: now.Add(-16 * time.Second)}, models.CommandFailed},
		"under way": {
			models.ConsoleCommand{State: models.CommandRunning, CreatedAt: now.Add(-time.Hour), StartedAt: now.Add(-59 * time.Second)},
			models.CommandRunning,
		},
		"lost": {models.ConsoleCommand{State: models.CommandRunning, StartedAt: now.Add(-61 * time.Second)}, models.CommandFailed},
		"done": {models.ConsoleCommand{State: models.CommandDone, CreatedAt: now.Add(-time.Hour)}, models.CommandDone},
	}
	for name, test := range tests {
		if got := test.c.Now(now); got.State != test.want || (got.State == models.CommandFailed) != (got.Message != "") {
			t.Errorf("%s: %s %q, want %s", name, got.State, got.Message, test.want)
		}
	}
}

// A server keeps its newest 500, and no more than 20 wait.
func TestCommandsAreBounded(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, u, key := context.Background(), modelstest.User(t, db, false), modelstest.Key(t)
		s := modelstest.Server(t, db, key, u)
		old := make([]models.ConsoleCommand, 520)
		for i := range old {
			old[i] = models.ConsoleCommand{ID: models.NewID(), ServerID: s.ID, UserName: "x", Verb: models.CommandRCON, State: models.CommandDone, CreatedAt: models.Now(), FinishedAt: models.Now()}
		}
		if _, err := db.NewInsert().Model(&old).Exec(ctx); err != nil {
			t.Fatal(err)
		}
		var first *models.ConsoleCommand
		for i := range 21 {
			c, err := models.InsertCommand(ctx, db, models.Actor{}, s, models.CommandSay, rcon("hello"))
			if i == 0 {
				first = c
			}
			if (i < 20) != (err == nil) || err != nil && field(err) != "command" {
				t.Fatalf("command %d: %v", i+1, err)
			}
		}
		c, _, err := models.ClaimCommand(ctx, db, first.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := models.FinishCommand(ctx, db, c, models.CommandDone, "", ""); err != nil {
			t.Fatal(err)
		}
		left, err := models.ConsoleCommands(ctx, db, s.ID, "", 1000)
		if err != nil || len(left) != 500 {
			t.Errorf("%d commands are kept, %v; want 500", len(left), err)
		}
		page, err := models.ConsoleCommands(ctx, db, s.ID, left[9].ID, 5)
		if err != nil || len(page) != 5 || page[0].ID != left[10].ID {
			t.Errorf("the page behind the tenth begins elsewhere: %d rows, %v", len(page), err)
		}
	})
}

func TestAttack8CommandValues(t *testing.T) {
	db, key := testenv.EmbeddedPair(t).DB, modelstest.Key(t)
	s := modelstest.Server(t, db, key, modelstest.User(t, db, false))
	good := "STEAM_1:0:12345678"
	tests := map[string]struct {
		verb models.CommandVerb
		a    models.CommandArguments
		want string // the field that is wrong; "" for none
	}{
		"a command":                {models.CommandRCON, rcon("sv_alltalk 1; say hi"), ""},
		"nothing":                  {models.CommandRCON, rcon("   "), "command"},
		"two lines":                {models.CommandRCON, rcon("say a\nquit"), "command"},
		"a NUL":                    {models.CommandRCON, rcon("say a\x00b"), "command"},
		"an escape":                {models.CommandRCON, rcon("say \x1b[2J"), "command"},
		"a line separator of C1":   {models.CommandRCON, rcon("say a\u0085quit"), "command"},
		"broken UTF-8":             {models.CommandRCON, rcon("say \xff"), "command"},
		"501 bytes":                {models.CommandRCON, rcon(strings.Repeat("x", 501)), "command"},
		"words":                    {models.CommandSay, rcon(`it's "over"; quit`), ""},
		"300 bytes of words":       {models.CommandSay, rcon(strings.Repeat("x", 300)), "text"},
		"a Steam id":               {models.CommandKick, models.CommandArguments{SteamID: good, Reason: "bye"}, ""},
		"a new kind of id":         {models.CommandUnban, models.CommandArguments{SteamID: "[U:1:24691356]"}, ""},
		"a number":                 {models.CommandBan, models.CommandArguments{SteamID: "76561197984957084", Minutes: 30}, ""},
		"a name":                   {models.CommandKick, models.CommandArguments{SteamID: "Coach"}, "steam_id"},
		"an id and more":           {models.CommandBan, models.CommandArguments{SteamID: good + "; quit"}, "steam_id"},
		"an id and a line":         {models.CommandBan, models.CommandArguments{SteamID: good + "\n+exec x"}, "steam_id"},
		"less than nothing":        {models.CommandBan, models.CommandArguments{SteamID: good, Minutes: -1}, "minutes"},
		"more minutes than a year": {models.CommandBan, models.CommandArguments{SteamID: good, Minutes: 1 << 40}, "minutes"},
		"a reason of two lines":    {models.CommandKick, models.CommandArguments{SteamID: good, Reason: "a\nquit"}, "reason"},
		"a map":                    {models.CommandMap, models.CommandArguments{Map: "c2m1_highway", Mode: "versus"}, ""},
		"a map and a command":      {models.CommandMap, models.CommandArguments{Map: "c2m1_highway;quit"}, "map"},
		"a map elsewhere":          {models.CommandMap, models.CommandArguments{Map: "../x"}, "map"},
		"a mode and a command":     {models.CommandMap, models.CommandArguments{Map: "c2m1_highway", Mode: "versus;quit"}, "mode"},
		"no verb of ours":          {"exec", rcon("x"), "verb"},
	}
	for name, test := range tests {
		_, err := models.InsertCommand(context.Background(), db, models.Actor{}, s, test.verb, test.a)
		if got := field(err); got != cmp.Or(test.want, "nothing") {
			t.Errorf("%s: complains about %s (%v), want %q", name, got, err, test.want)
		}
	}
}

// Passwords are in no line that is kept, and the audit log has no more of a command
// than its name.
func TestAttack24CommandRowAndAudit(t *testing.T) {
	testenv.EachDB(t, func(t *testing.T, db *bun.DB) {
		ctx, u, key := context.Background(), modelstest.User(t, db, false), modelstest.Key(t)
		s := modelstest.Server(t, db, key, u)
		for _, line := range []string{
			"sv_password hunter2", `sv_password "hunter2 with; blanks"`, "say a; SV_Password  hunter2 ;say b", "sm_cvar sv_password hunter2",
			`"rcon_password" "hunter2"`, "tv_password hunter2", "sv_setsteamaccount hunter2", `rcon_password "hunter2`, "rcon_password\thunter2",
		} {
			if strings.Contains(line, "\t") {
				if got := models.MaskSecrets(line); strings.Contains(got, "hunter2") {
					t.Errorf("%q is shown as %q", line, got)
				}
				continue
			}
			c, err := models.InsertCommand(ctx, db, models.Actor{ID: u.ID, Name: u.Name}, s, models.CommandRCON, rcon(line))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(c.Line, "hunter2") || !strings.Contains(c.Line, "********") {
				t.Errorf("%q is shown as %q", line, c.Line)
			}
			if strings.Contains(line, "say b") && !strings.HasSuffix(c.Line, ";say b") {
				t.Errorf("%q lost what follows: %q", line, c.Line)
			}
		}
		entries, err := models.AuditEntries(ctx, db, 50)
		if err != nil || len(entries) != 8 {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		for _, e := range entries {
			if strings.Contains(e.Detail, "hunter2") || strings.Contains(e.Detail, " ") || e.Action != "server.rcon" {
				t.Errorf("the audit log says %s %q", e.Action, e.Detail)
			}
		}
		if got := models.MaskSecrets("sv_alltalk 1; say the password is known"); got != "sv_alltalk 1; say the password is known" {
			t.Errorf("an innocent line became %q", got)
		}
	})
}
