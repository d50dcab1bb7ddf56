package servercfg

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"left4me/hostops/ctl"
)

func TestSettingIsReadBackExactly(t *testing.T) {
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
		got, err := Setting("hostname", value)
		if got != want || (want == "") != (err != nil) {
			t.Errorf("Setting(%q) = %q, %v; want %q", value, got, err, want)
		}
	}
}

// none reads overlays of which none has a server.cfg.
func none(ref string) (string, error) { return "", fmt.Errorf("%s: %w", ref, fs.ErrNotExist) }

func TestRender(t *testing.T) {
	spec := ctl.Spec{
		Port: 27015, RCONPassword: "secret1234", Hostname: `Friday "versus" ; $(id)`,
		Config: "sv_cheats 0\r\nhostname \"mine\" // x\n  RCON_Password weak\nsay \"rcon_password no\"\n" +
			"\"rcon_password\"\"a\"; sm_cvar rcon_password b // rcon_password c\nrcon_password\nlast",
	}
	c, err := Render(spec, none)
	if err != nil {
		t.Fatal(err)
	}
	user := strings.ReplaceAll(spec.Config, "\r\n", "\n")
	want := []File{{Name, Banner + user + "\nhostname \"Friday \"versus\" ; $(id)\"\nrcon_password \"secret1234\"\n"}}
	if !reflect.DeepEqual(c.Files, want) {
		t.Errorf("got\n%s\nwant\n%s", c.Files, want)
	}
	notices := []string{
		"line 2 of the config sets hostname; the server's own comes last and wins",
		"line 3 of the config sets rcon_password; the server's own comes last and wins",
		"line 5 of the config sets rcon_password; the server's own comes last and wins",
		"line 5 of the config sets rcon_password; the server's own comes last and wins",
	}
	if !reflect.DeepEqual(c.Notices, notices) {
		t.Errorf("got %q\nwant %q", c.Notices, notices)
	}
	if got := c.Last("rcon_password"); got != "secret1234" {
		t.Errorf("the game's password is %q", got)
	}
}

func TestRenderAddsNothingButTheEnd(t *testing.T) {
	for config, want := range map[string]string{"": "", "a": "a\n", "a\n": "a\n", "a \"unclosed": "a \"unclosed\n", "// x": "// x\n"} {
		c, err := Render(ctl.Spec{RCONPassword: "secret1234", Config: config}, none)
		if err != nil || len(c.Notices) > 0 || len(c.Files) != 1 || c.Files[0].Text != Banner+want+"rcon_password \"secret1234\"\n" {
			t.Errorf("%q became %q, %v", config, c, err)
		}
	}
}

func TestRenderExecutesOverlaysLowestFirst(t *testing.T) {
	texts := map[string]string{
		"12/v3": "sv_alltalk 1\nsv_lan 1", // no line break at its end
		"4/v17": "hostname theirs\nsv_alltalk 0; sm_cvar RCON_PASSWORD x\nexec \"server.cfg\"\nexec server_overlay_4; exec server_overlay_12\n",
		"9/v1":  "sv_gravity 1\n",
	}
	read := func(ref string) (string, error) {
		if text, ok := texts[ref]; ok {
			return text, nil
		}
		return none(ref)
	}
	spec := ctl.Spec{
		Overlays: []string{"12/v3", "9/v1", "5/v1", "4/v17"}, Exec: []string{"5/v1", "12/v3", "4/v17"},
		Hostname: "ours", RCONPassword: "secret1234", Config: "sv_lan 0\nexec server\n",
	}
	c, err := Render(spec, read)
	if err != nil {
		t.Fatal(err)
	}
	want := []File{
		{Name, Banner + "exec server_overlay_4\nexec server_overlay_12\nsv_lan 0\nexec server\nhostname \"ours\"\nrcon_password \"secret1234\"\n"},
		{"server_overlay_12.cfg", texts["12/v3"] + "\n"},
		{"server_overlay_4.cfg", texts["4/v17"]},
	}
	if !reflect.DeepEqual(c.Files, want) {
		t.Errorf("got  %q\nwant %q", c.Files, want)
	}
	notices := []string{
		"line 1 of overlay 4/v17's server.cfg sets hostname; the server's own comes last and wins",
		"line 2 of overlay 4/v17's server.cfg sets rcon_password; the server's own comes last and wins",
		"line 3 of overlay 4/v17's server.cfg executes server.cfg, which executes it again without end: take the line out",
		"line 4 of overlay 4/v17's server.cfg executes server_overlay_4.cfg, which executes it again without end: take the line out",
		"overlay 5/v1 has no left4dead2/cfg/server.cfg, so nothing of it is executed",
		"line 2 of the config executes server.cfg, which executes it again without end: take the line out",
	}
	if !reflect.DeepEqual(c.Notices, notices) {
		t.Errorf("got  %q\nwant %q", c.Notices, notices)
	}
	for variable, want := range map[string]string{"sv_alltalk": "1", "sv_lan": "0", "hostname": "ours", "rcon_password": "secret1234", "sv_gravity": ""} {
		if got := c.Last(variable); got != want {
			t.Errorf("%s ends as %q, want %q", variable, got, want)
		}
	}
}

// Whatever stands in an executed file, the settings behind it stay whole and win.
func TestAttack8ExecutedCfgDoesNotWin(t *testing.T) {
	for name, text := range map[string]string{
		"plain":          "rcon_password weak; hostname weak",
		"open quote":     "rcon_password \"weak",
		"open quotes":    "echo \"\nrcon_password \"weak\"; hostname \"weak",
		"comment at end": "rcon_password weak //",
		"no line break":  "rcon_password",
		"CRLF":           "rcon_password weak\r\nhostname weak\r\n",
		"SourceMod":      "sm_cvar rcon_password weak; SM_CVAR hostname weak",
		"tabs and case":  "\tRCON_password\tweak; HostName weak",
	} {
		t.Run(name, func(t *testing.T) {
			spec := ctl.Spec{Overlays: []string{"1/v1"}, Exec: []string{"1/v1"}, Hostname: `a "b" ; c`, RCONPassword: "secret1234"}
			c, err := Render(spec, func(string) (string, error) { return text, nil })
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Files[0].Text; got != Banner+"exec server_overlay_1\nhostname \"a \"b\" ; c\"\nrcon_password \"secret1234\"\n" {
				t.Errorf("server.cfg is %q", got)
			}
			if c.Last("rcon_password") != "secret1234" || c.Last("hostname") != `a "b" ; c` {
				t.Errorf("the server has %q and %q", c.Last("hostname"), c.Last("rcon_password"))
			}
			if !strings.HasSuffix(c.Files[1].Text, "\n") {
				t.Errorf("the copy %q runs into what follows", c.Files[1].Text)
			}
			if name != "no line break" && len(c.Notices) == 0 {
				t.Error("nobody is told")
			}
		})
	}
	c, err := Render(ctl.Spec{Overlays: []string{"1/v1"}, Exec: []string{"1/v1"}}, func(string) (string, error) { return "echo a\nWAIT 9999\n", nil })
	if err != nil || len(c.Notices) != 1 || !strings.HasPrefix(c.Notices[0], "line 2 of overlay 1/v1's server.cfg waits") {
		t.Errorf("got %q, %v", c.Notices, err)
	}
}

func TestPreviewMasksThePassword(t *testing.T) {
	text, notices, err := Preview(ctl.Spec{
		Overlays: []string{"1/v1"}, Exec: []string{"1/v1"}, Hostname: "x", RCONPassword: "secret1234", Config: "rcon_password mine\n",
	}, none)
	want := Banner + "rcon_password mine\nhostname \"x\"\nrcon_password \"********\"\n"
	if err != nil || text != want || len(notices) != 2 {
		t.Errorf("got %q, %q, %v\nwant %q", text, notices, err, want)
	}
}

func TestRenderPassesErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	_, err := Render(ctl.Spec{Overlays: []string{"1/v1"}, Exec: []string{"1/v1"}}, func(string) (string, error) { return "", broken })
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := Render(ctl.Spec{Hostname: `a;"b;c`}, none); err == nil || !strings.Contains(err.Error(), "write hostname into server.cfg") {
		t.Errorf("got %v", err)
	}
}

func FuzzSetting(f *testing.F) {
	f.Add(`Friday "versus" ; $(id)`)
	f.Fuzz(func(t *testing.T, value string) {
		line, err := Setting("hostname", value)
		if err != nil {
			return
		}
		text := "before \"x\n" + line + "\nafter 1\n"
		if got := Last(text, "hostname"); got != value {
			t.Errorf("%q was written as %q and read as %q", value, line, got)
		}
		if got := Last(text, "after"); got != "1" {
			t.Errorf("%q swallowed what follows", line)
		}
	})
}

// Whatever an overlay's file says, ours comes last.
func FuzzRender(f *testing.F) {
	f.Add("rcon_password \"x", "exec server_overlay_1 \"")
	f.Fuzz(func(t *testing.T, overlay, config string) {
		if strings.Contains(config, "\r") || strings.Contains(config, "\x00") {
			return // refused before
		}
		spec := ctl.Spec{Overlays: []string{"1/v1"}, Exec: []string{"1/v1"}, Hostname: "ours", RCONPassword: "secret1234", Config: config}
		c, err := Render(spec, func(string) (string, error) { return overlay, nil })
		if err != nil {
			t.Fatal(err)
		}
		if c.Last("rcon_password") != "secret1234" || c.Last("hostname") != "ours" {
			t.Errorf("overlay %q and config %q win: %q", overlay, config, c.Files)
		}
	})
}
