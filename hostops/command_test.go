package hostops

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"left4me/hostops/ctl"
	"left4me/hostops/rcon"
	"left4me/hostops/servercfg"
)

// Whatever a text holds, the engine reads one command with one argument.
func TestAttack8EngineCommand(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"words":                {"hello all", `"hello all"`},
		"quotes":               {`the "real" Ellis`, `"the 'real' Ellis"`},
		"a quote that ends it": {`"; quit; "`, `"'; quit; '"`},
		"a semicolon":          {"a; quit", `"a; quit"`},
		"a comment":            {"a // b", `"a // b"`},
		"a newline":            {"a\nquit", `"a quit"`},
		"a carriage return":    {"a\r\nquit", `"a  quit"`},
		"an escape":            {"a\x1b[2Jb", `"a [2Jb"`},
		"a NUL":                {"a\x00quit", `"a quit"`},
		"C1 and separators":    {"a\u0085b\u2028c", `"a b c"`},
		"an option":            {"+exec x", `"+exec x"`},
		"a shell":              {"$(id) `id`", "\"$(id) `id`\""},
		"broken UTF-8":         {"a\xffb", "\"a\uFFFDb\""},
		"a player":             {`" STEAM_1:0:99 00:10 5 0 active`, `"' STEAM_1:0:99 00:10 5 0 active"`},
		"letters":              {"岡崎 Нина", `"岡崎 Нина"`},
		"nothing":              {"", `""`},
	}
	for name, test := range tests {
		for _, verb := range []word{"say", "kickid"} {
			args := []any{phrase(test.in)}
			if verb == "kickid" {
				args = []any{12, phrase(test.in)}
			}
			line, err := engineCommand(verb, args...)
			if err != nil || !strings.HasSuffix(line, " "+test.want) {
				t.Errorf("%s: %q, %v; want it to end in %s", name, line, err, test.want)
			}
			commands := servercfg.Commands(line)
			if len(commands) != 1 || commands[0].Name != string(verb) || strings.Count(line, `"`) != 2 || strings.ContainsAny(line, "\r\n\x00") {
				t.Errorf("%s: the engine reads %q as %+v", name, line, commands)
			}
		}
	}
	if line, err := engineCommand("say", phrase(strings.Repeat("x", 300))); err != nil || len(line) != 306 {
		t.Errorf("300 bytes: %d, %v", len(line), err)
	}
	if _, err := engineCommand("say", phrase(strings.Repeat(`"`, rcon.MaxCommand))); !errors.Is(err, ctl.ErrUsage) {
		t.Errorf("a text that is too long: %v", err)
	}
	for _, bad := range []word{"", "a b", "a;quit", `a"`, "a\nquit", "+exec", "-x", "../x", word(strings.Repeat("x", 65))} {
		if _, err := engineCommand("map", bad); !errors.Is(err, ctl.ErrUsage) {
			t.Errorf("the word %q was taken: %v", bad, err)
		}
	}
}

func FuzzEngineCommand(f *testing.F) {
	for _, s := range []string{`"; quit`, "a\nb", "// x", "\x00", "\u0085"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line, err := engineCommand("say", phrase(s))
		if err != nil {
			return
		}
		if c := servercfg.Commands(line); len(c) != 1 || c[0].Name != "say" || strings.Count(line, `"`) != 2 {
			t.Errorf("%q became %q", s, line)
		}
	})
}

func TestParseBans(t *testing.T) {
	tests := map[string]struct {
		reply string
		want  []ctl.Ban
		ok    bool
	}{
		"empty":    {"ID filter list: empty\n", nil, true},
		"one":      {"ID filter list: 1 entry\n1 STEAM_0:1:123 : permanent\n", []ctl.Ban{{SteamID: "STEAM_0:1:123", Number: "76561197960265975"}}, true},
		"two":      {"ID filter list: 2 entries\r\n1 STEAM_1:0:12345678 : permanent\r\n2 [U:1:400] : 29.500 min\r\n", []ctl.Ban{{SteamID: "STEAM_1:0:12345678", Number: "76561197984957084"}, {SteamID: "[U:1:400]", Number: "76561197960266128", Minutes: 29.5}}, true},
		"nonsense": {"ID filter list: 3 entries\n1 STEAM_1:0:1;quit : permanent\nL 01/01: x\n2 UNKNOWN : permanent\n", nil, true},
		"no list":  {"Unknown command \"listid\"\n", nil, false},
	}
	for name, test := range tests {
		if got, ok := parseBans(test.reply); ok != test.ok || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, %v; want %+v, %v", name, got, ok, test.want, test.ok)
		}
	}
}

func TestAttack24SettingsInTheConsole(t *testing.T) {
	tests := map[string]string{
		`rcon from "127.0.0.1:5": command "sv_password hunter2"`:   `rcon from "127.0.0.1:5": command "sv_password ********`,
		`"sv_password" = "hunter2" ( def. "" )`:                    `"sv_password ********`,
		`rcon from "127.0.0.1:5": command "RCON_Password hunter2"`: `rcon from "127.0.0.1:5": command "RCON_Password ********`,
		`[SM] Changed cvar "sv_password" to "hunter2".`:            `[SM] Changed cvar "sv_password ********`,
		`[SM] Value of cvar "sv_password": "hunter2"`:              `[SM] Value of cvar "sv_password ********`,
		`sv_password                              : hunter2`:       `sv_password ********`,
		`tv_relaypassword hunter2; say b`:                          `tv_relaypassword ********; say b`,
		`sv_setsteamaccount hunter2`:                               `sv_setsteamaccount ********`,
		`Unknown command "sv_passwords"`:                           `Unknown command "sv_passwords"`,
		`say the password is known`:                                `say the password is known`,
	}
	for in, want := range tests {
		if got := maskSettings(in); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}

func TestGameMode(t *testing.T) {
	for reply, want := range map[string]string{
		`"mp_gamemode" = "versus" ( def. "coop" )`: "versus", `[SM] Value of cvar "mp_gamemode": "coop"`: "coop",
		`Unknown command "mp_gamemode"`: "", `"mp_gamemode" = "a;b"`: "",
	} {
		got := ""
		if found := gameMode.FindStringSubmatch(reply); found != nil {
			got = found[1]
		}
		if got != want {
			t.Errorf("%s: %q, want %q", reply, got, want)
		}
	}
}

func TestMapAndModeNames(t *testing.T) {
	for name, good := range map[string]bool{"c2m1_highway": true, "l4d2_city17_01": true, "Dead_Before-Dawn.v2": true, "": false, "../x": false, "a..b": false, "a b": false, "a;quit": false, "-x": false, "+exec": false, fmt.Sprintf("%064d", 0): false} {
		if err := ctl.CheckMap(name); (err == nil) != good || err != nil && !errors.Is(err, ctl.ErrUsage) {
			t.Errorf("the map %q: %v", name, err)
		}
	}
	for mode, good := range map[string]bool{"": true, "versus": true, "mutation20": true, "mutation21": false, "community6": true, "versus;quit": false, "x": false} {
		if err := ctl.CheckMode(mode); (err == nil) != good {
			t.Errorf("the mode %q: %v", mode, err)
		}
	}
}
