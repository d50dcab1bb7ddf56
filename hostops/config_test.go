package hostops

import (
	"reflect"
	"strings"
	"testing"

	"left4me/hostops/ctl"
)

func TestSettingLineIsReadBackExactly(t *testing.T) {
	tests := map[string]string{ // value: line, or "" where there is none
		`Friday versus`:           `hostname "Friday versus"`,
		`Friday "versus" ; $(id)`: `hostname "Friday "versus" ; $(id)"`,
		`http://x`:                `hostname "http://x"`,
		`a;b`:                     `hostname "a;b"`,
		`a"b`:                     `hostname "a"b"`,
		`a" b ; c`:                `hostname a" b ; c`,
		`a" b // c`:               `hostname a" b // c`,
		`"a"`:                     `hostname ""a""`,
		`"`:                       `hostname """`,
		` a `:                     `hostname " a "`,
		`a;"b;c`:                  ``,
		`;"`:                      `hostname ";""`,
		`a//"b//c`:                ``,
		`-x +y`:                   `hostname "-x +y"`,
		`\`:                       `hostname "\"`,
	}
	for value, want := range tests {
		got, err := settingLine("hostname", value)
		if got != want || (want == "") != (err != nil) {
			t.Errorf("settingLine(%q) = %q, %v; want %q", value, got, err, want)
		}
	}
}

func TestServerCfg(t *testing.T) {
	spec := ctl.Spec{
		Port: 27015, RCONPassword: "secret1234", Hostname: `Friday "versus" ; $(id)`,
		Config: "sv_cheats 0\r\nhostname \"mine\" // x\n  RCON_Password weak\nsay \"rcon_password no\"\n" +
			"\"rcon_password\"\"a\"; sm_cvar rcon_password b // rcon_password c\nrcon_password\nlast",
	}
	text, notices, err := serverCfg(spec)
	if err != nil {
		t.Fatal(err)
	}
	user := strings.ReplaceAll(spec.Config, "\r\n", "\n")
	if want := serverCfgBanner + user + "\nhostname \"Friday \"versus\" ; $(id)\"\nrcon_password \"secret1234\"\n"; text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	want := []string{
		"line 2 of the config sets hostname; the server's own comes last and wins",
		"line 3 of the config sets rcon_password; the server's own comes last and wins",
		"line 5 of the config sets rcon_password; the server's own comes last and wins",
		"line 5 of the config sets rcon_password; the server's own comes last and wins",
	}
	if !reflect.DeepEqual(notices, want) {
		t.Errorf("got %q\nwant %q", notices, want)
	}
	if got := lastSetting(text, "rcon_password"); got != "secret1234" {
		t.Errorf("the game's password is %q", got)
	}
}

func TestServerCfgAddsNothingButTheEnd(t *testing.T) {
	for config, want := range map[string]string{"": "", "a": "a\n", "a\n": "a\n", "a \"unclosed": "a \"unclosed\n", "// x": "// x\n"} {
		text, notices, err := serverCfg(ctl.Spec{RCONPassword: "secret1234", Config: config})
		if err != nil || len(notices) > 0 || text != serverCfgBanner+want+"rcon_password \"secret1234\"\n" {
			t.Errorf("%q became %q, %q, %v", config, text, notices, err)
		}
	}
}

func FuzzSettingLine(f *testing.F) {
	f.Add(`Friday "versus" ; $(id)`)
	f.Fuzz(func(t *testing.T, value string) {
		line, err := settingLine("hostname", value)
		if err != nil {
			return
		}
		text := "before \"x\n" + line + "\nafter 1\n"
		if got := lastSetting(text, "hostname"); got != value {
			t.Errorf("%q was written as %q and read as %q", value, line, got)
		}
		if got := lastSetting(text, "after"); got != "1" {
			t.Errorf("%q swallowed what follows", line)
		}
	})
}
