package steamsim

import (
	"strings"
	"testing"
)

func TestSplitCommands(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"lines":                            {"a 1\nb 2\r\n\n  c\n", []string{"a 1", "b 2", "c"}},
		"semicolon":                        {"a 1; b 2 ;; c", []string{"a 1", "b 2", "c"}},
		"semicolon in quotes":              {`say "a;b"; c`, []string{`say "a;b"`, "c"}},
		"quotes in the middle of quotes":   {`hostname "Friday "versus" ; $(id)"`, []string{`hostname "Friday "versus" ; $(id)"`}},
		"an odd quote opens the semicolon": {`hostname "a" b" ; quit`, []string{`hostname "a" b" ; quit`}},
		"even quotes leave it outside":     {`hostname "a" ; quit`, []string{`hostname "a"`, "quit"}},
		"newline ends even in quotes":      {"a \"1\nb 2\"\nc", []string{`a "1`, `b 2"`, "c"}},
		"comment":                          {"a 1 // b; c\nd // e", []string{"a 1", "d"}},
		"only comments":                    {"// a\n//b", nil},
		"comment in quotes":                {`a "http://x" // y`, []string{`a "http://x"`}},
		"address without quotes":           {"a http://x", []string{"a http:"}},
		"one slash":                        {"a b/c", []string{"a b/c"}},
		"nothing":                          {"", nil},
	}
	for name, tt := range tests {
		if got := splitCommands(tt.text); strings.Join(got, "\x00") != strings.Join(tt.want, "\x00") {
			t.Errorf("%s: %q\n got %q\nwant %q", name, tt.text, got, tt.want)
		}
	}
}

func TestCvarValue(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"word":                     {`hostname x`, `x`},
		"whole rest":               {`hostname My Cool  Server`, `My Cool  Server`},
		"quoted":                   {`hostname "My Server"`, `My Server`},
		"blanks after the quote":   {"hostname \"My Server\" \t ", `My Server`},
		"blanks inside":            {`hostname " x "`, ` x `},
		"quotes inside":            {`hostname "Friday "versus" ; $(id)"`, `Friday "versus" ; $(id)`},
		"no closing quote":         {`hostname "open`, `open`},
		"one closing quote only":   {`hostname "a""`, `a"`},
		"quote that does not lead": {`hostname a "b"`, `a "b"`},
		"glued":                    {`hostname"x y"`, `x y`},
		"empty":                    {`hostname ""`, ``},
		"single apostrophes":       {`hostname 'a b'`, `'a b'`},
		"text after the quotes":    {`hostname "a" b`, `a" b`},
	}
	for name, tt := range tests {
		c, ok := parseCommand(tt.text, fromConfig)
		if got := cvarValue(c.rest); !ok || c.name != "hostname" || got != tt.want {
			t.Errorf("%s: %s: name %q, got %q, want %q", name, tt.text, c.name, got, tt.want)
		}
	}
}

func TestParseLaunch(t *testing.T) {
	tests := map[string]struct {
		args     []string
		commands string
	}{
		"map and mode in one":       {[]string{"-game", "left4dead2", "+map", "c2m1_highway versus"}, "map c2m1_highway versus\n"},
		"map and mode in two":       {[]string{"+map", "c2m1_highway", "versus"}, "map c2m1_highway\n"},
		"a minus begins an option":  {[]string{"+sv_contact", "-1"}, "sv_contact\n"},
		"a plus begins an option":   {[]string{"+rcon_password", "+secret"}, "rcon_password\nsecret\n"},
		"dash options are no text":  {[]string{"-tickrate", "60", "-console", "+sv_setmax", "31"}, "sv_setmax 31\n"},
		"stray words are dropped":   {[]string{"word", "-console", "x", "y"}, ""},
		"the last of several wins":  {[]string{"+map", "a", "+map", "b"}, "map a\nmap b\n"},
		"an empty value is a value": {[]string{"+sv_password", "", "+exec", "x"}, "sv_password\nexec x\n"},
	}
	for name, tt := range tests {
		if got := launch(parseLaunch(tt.args)).commands(); got != tt.commands {
			t.Errorf("%s: %q\n got %q\nwant %q", name, tt.args, got, tt.commands)
		}
	}
	l := launch(parseLaunch([]string{"-port", "1", "-PORT", "2", "-console", "-ip"}))
	if l.value("-port") != "2" || !l.has("-console") || l.value("-ip") != "" || l.has("-nothing") {
		t.Errorf("lookups in %v are wrong", l)
	}
}

func TestTooLongCommandsAreIgnored(t *testing.T) {
	s, out := idleServer(t, SrcdsControl{})
	s.run("hostname "+strings.Repeat("x", 600)+"\nhostname y\n", fromConfig)
	if s.get("hostname") != "y" || !strings.HasPrefix(out(), "WARNING: Command too long... ignoring!\nhostname xxx") {
		t.Errorf("hostname %q, console %q", s.get("hostname"), out())
	}
}

func TestLeadingNumber(t *testing.T) {
	for text, want := range map[string]float64{"": 0, "12": 12, "-1.5": -1.5, "10total 20": 10, " 3": 3, "x": 0, "0.0001": 0.0001, "1.2.3": 1.2, "+7": 7} {
		if got := leadingNumber(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
