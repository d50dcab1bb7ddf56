package hostops

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"left4me/hostops/ctl"
)

const goodSpec = `port: 27015
overlays: [12/v3, 4/v17]
exec: [4/v17]
arguments: ["-tickrate", "60", "+map", "c1m1_hotel versus"]
hostname: "Friday versus"
rcon_password: abcd1234
config: |
  sv_alltalk 1
`

func TestParseSpecReadsEveryField(t *testing.T) {
	got, err := ParseSpec("good.yaml", strings.NewReader(goodSpec))
	if err != nil {
		t.Fatal(err)
	}
	want := ctl.Spec{
		Port: 27015, Overlays: []string{"12/v3", "4/v17"}, Exec: []string{"4/v17"},
		Arguments: []string{"-tickrate", "60", "+map", "c1m1_hotel versus"},
		Hostname:  "Friday versus", RCONPassword: "abcd1234", Config: "sv_alltalk 1\n",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestParseSpecTakesWhatTheWorkerPipes(t *testing.T) {
	want := ctl.Spec{
		Port: 27015, RCONPassword: "abcd1234",
		Hostname:  `Friday "versus" ; $(id)`,
		Arguments: []string{"+map", "c2m1_highway versus", "\t<>&\u2028é\u0085"},
		Config:    "// del \x7f, c1 \u0081, bom \ufeff\n\tkey \"値\" \\ 🎮\r\nsv_x 1  ",
	}
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseSpec("spec", strings.NewReader(string(data)))
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestStoredSpecGivesEveryByteBack(t *testing.T) {
	for _, config := range []string{"", "\n", "  a\n", "\ta\n b", "a\r\nb\r\n", "a\n\n\n", "# x: y\n", "- a", "\x7f\n", "'\"\n", "a: b\n...\n---\n", " \n"} {
		want := ctl.Spec{Port: 27015, RCONPassword: "abcd1234", Hostname: "true", Arguments: []string{"-1", "yes", "~"}, Config: config}
		data, err := encodeSpec(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseSpec(specFile, strings.NewReader(string(data)))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("config %q stored as\n%s\ncame back as %q, %v", config, data, got.Config, err)
		}
	}
}

func TestParseSpecRefuses(t *testing.T) {
	base := "port: 27015\nrcon_password: abcd1234\n"
	list := func(n int, item string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(item+", ", n), ", ") + "]"
	}
	refs := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "\n- %d/v1", i)
		}
		return b.String()
	}
	tests := map[string]struct{ spec, want string }{
		"empty":                    {"", `x.yaml: the spec is empty`},
		"a list":                   {"- a\n", `x.yaml:1: a spec is a list of fields`},
		"two documents":            {base + "---\n" + base, `x.yaml: the file holds more than one document`},
		"broken":                   {"port: [1\n", `x.yaml:`},
		"unknown field":            {base + "overlay: [1/v1]\n", `x.yaml:3: unknown field "overlay" (did you mean "overlays"?)`},
		"unknown far field":        {base + "shell: x\n", `x.yaml:3: unknown field "shell" (the fields are port, overlays, `},
		"twice":                    {base + "port: 27016\n", `x.yaml:3: port is given twice: first on line 1`},
		"anchor":                   {base + "config: &a x\n", `x.yaml:3: anchors and aliases`},
		"alias bomb":               {"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", `x.yaml:1: anchors and aliases`},
		"merge key":                {base + "<<: {hostname: x}\n", `x.yaml:3: unknown field "<<"`},
		"too large":                {strings.Repeat("#", 1<<20) + "\n" + base, `x.yaml: the spec is larger than 1 MiB`},
		"raw nul":                  {base + "hostname: \"a\x00b\"\n", `x.yaml:3: a NUL byte`},
		"raw control":              {base + "hostname: \"a\x01b\"\n", `x.yaml: not valid YAML: control characters are not allowed`},
		"no port":                  {"rcon_password: abcd1234\n", `x.yaml: port is missing`},
		"port as text":             {"port: '27015'\nrcon_password: abcd1234\n", `x.yaml:1: port must be a whole number, not text`},
		"port as float":            {"port: 27015.5\nrcon_password: abcd1234\n", `x.yaml:1: port must be a whole number, not a number`},
		"port hex":                 {"port: 0x6987\nrcon_password: abcd1234\n", `x.yaml:1: port must be a plain whole number, not "0x6987"`},
		"port huge":                {"port: 99999999999999999999999\nrcon_password: abcd1234\n", `x.yaml:1: port must be a whole number`},
		"port low":                 {"port: 1023\nrcon_password: abcd1234\n", `x.yaml:1: port 1023 is out of range: use 1024 to 65535`},
		"port high":                {"port: 65536\nrcon_password: abcd1234\n", `x.yaml:1: port 65536 is out of range`},
		"port negative":            {"port: -1\nrcon_password: abcd1234\n", `x.yaml:1: port -1 is out of range`},
		"client port":              {"port: 27005\nrcon_password: abcd1234\n", `x.yaml:1: port 27005 is the one every game server uses for outgoing`},
		"sourcetv port":            {"port: 27020\nrcon_password: abcd1234\n", `x.yaml:1: port 27020 is SourceTV's`},
		"no password":              {"port: 27015\n", `x.yaml: rcon_password is missing`},
		"password short":           {"port: 27015\nrcon_password: abc1234\n", `x.yaml:2: rcon_password has 7 characters`},
		"password long":            {"port: 27015\nrcon_password: " + strings.Repeat("a", 65) + "\n", `x.yaml:2: rcon_password has 65 characters`},
		"password odd":             {"port: 27015\nrcon_password: abcd+1234\n", `x.yaml:2: rcon_password may hold only letters and digits`},
		"password a number":        {"port: 27015\nrcon_password: 12345678\n", `x.yaml:2: rcon_password must be text, but YAML reads a number here: put it in "quotes"`},
		"overlays as text":         {base + "overlays: 12/v3\n", `x.yaml:3: overlays must be a list`},
		"overlay path":             {base + "overlays:\n- 1/v1\n- /etc\n", `x.yaml:5: overlay "/etc" leaves its folder`},
		"overlay dots":             {base + "overlays: [../x]\n", `x.yaml:3: overlay "../x" leaves its folder`},
		"overlay inner dots":       {base + "overlays: [1/../../x]\n", `x.yaml:3: overlay "1/../../x" leaves its folder`},
		"overlay odd":              {base + "overlays: [1/v1/]\n", `x.yaml:3: "1/v1/" is not an overlay ref`},
		"overlay newline":          {base + "overlays: [\"1/v1\\n\"]\n", `is not an overlay ref`},
		"overlay twice":            {base + "overlays: [1/v1, 2/v1, 1/v1]\n", `x.yaml:3: overlay 1/v1 is listed twice`},
		"overlays many":            {base + "overlays:" + refs(401) + "\n", `401 overlays are too many`},
		"exec of none":             {base + "exec: [1/v1]\n", `x.yaml:3: exec names "1/v1", which is none of the overlays`},
		"exec of another version":  {base + "overlays: [1/v1, 2/v2]\nexec:\n- 2/v2\n- 1/v2\n", `x.yaml:6: exec names "1/v2", which is none of the overlays`},
		"exec path":                {base + "overlays: [1/v1]\nexec: [../1/v1]\n", `x.yaml:4: exec names "../1/v1", which is none`},
		"exec twice":               {base + "overlays: [1/v1]\nexec: [1/v1, 1/v1]\n", `x.yaml:4: exec names overlay 1 twice`},
		"exec of two versions":     {base + "overlays: [1/v1, 1/v2]\nexec: [1/v1, 1/v2]\n", `x.yaml:4: exec names overlay 1 twice`},
		"exec as text":             {base + "overlays: [1/v1]\nexec: 1/v1\n", `x.yaml:4: exec must be a list`},
		"argument a number":        {base + "arguments: [-tickrate, 60]\n", `x.yaml:3: arguments entry 2 must be text, but YAML reads a number here`},
		"argument nothing":         {base + "arguments: [a, ~]\n", `x.yaml:3: arguments entry 2 is empty`},
		"argument empty":           {base + "arguments: ['']\n", `x.yaml:3: argument 1 is empty`},
		"argument nul":             {base + "arguments: [\"a\\0b\"]\n", `x.yaml:3: argument 1 contains a NUL byte`},
		"argument newline":         {base + "arguments: [\"a\\nb\"]\n", `x.yaml:3: argument 1 contains a line break`},
		"argument return":          {base + "arguments: [\"a\\rb\"]\n", `x.yaml:3: argument 1 contains a line break`},
		"argument long":            {base + "arguments: [" + strings.Repeat("a", 1025) + "]\n", `x.yaml:3: argument 1 has 1025 bytes`},
		"arguments many":           {base + "arguments: " + list(129, "a") + "\n", `x.yaml:3: 129 arguments are too many`},
		"own port":                 {base + "arguments: [-port, '1']\n", `x.yaml:3: argument "-port" is left4me's own: set the server's port`},
		"own port in other case":   {base + "arguments: [+HostPort, '1']\n", `argument "+HostPort" is left4me's own`},
		"own password":             {base + "arguments: [+rcon_password, x]\n", `set the server's rcon_password`},
		"own hidden in another":    {base + "arguments: ['+map', 'x\" -port 1']\n", `argument "-port" is left4me's own`},
		"hostname long":            {base + "hostname: " + strings.Repeat("é", 65) + "\n", `x.yaml:3: hostname has 130 bytes`},
		"hostname newline":         {base + "hostname: \"a\\nquit\"\n", `x.yaml:3: hostname contains a control character`},
		"hostname nul":             {base + "hostname: \"a\\0\"\n", `x.yaml:3: hostname contains a control character`},
		"hostname inexpressible":   {base + "hostname: 'a;b\"c;d'\n", `cannot be written so that the game reads exactly that: a ';' outside quotes`},
		"hostname slashes":         {base + "hostname: 'a//b\"c//d'\n", `a // outside quotes begins a comment`},
		"hostname of blanks":       {base + "hostname: 'x \"'\n", ``},
		"config nul":               {base + "config: \"a\\nb\\0\"\n", `x.yaml:3: line 2 of config contains a NUL byte`},
		"config lone return":       {base + "config: \"a\\rb\"\n", `x.yaml:3: line 1 of config contains a lone carriage return`},
		"config large":             {base + "config: " + strings.Repeat("a", 256<<10+1) + "\n", `x.yaml:3: config has 262145 bytes`},
		"config a list":            {base + "config: [a]\n", `x.yaml:3: config must be text, not a list`},
		"config binary":            {base + "config: !!binary aGk=\n", `x.yaml:3: config must be text`},
		"a tag of somebody else's": {base + "hostname: !ruby/x y\n", `x.yaml:3: hostname must be text`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ParseSpec("x.yaml", strings.NewReader(tt.spec))
			if tt.want == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			if !errors.Is(err, ctl.ErrBadSpec) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %q", err, tt.want)
			}
		})
	}
}

func FuzzParseSpec(f *testing.F) {
	f.Add(goodSpec)
	f.Add(`{"port":27015,"rcon_password":"abcd1234","config":"a\u0000"}`)
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := ParseSpec("x", strings.NewReader(text))
		if err != nil {
			if !errors.Is(err, ctl.ErrBadSpec) {
				t.Errorf("%q: %v is no ErrBadSpec", text, err)
			}
			return
		}
		data, err := encodeSpec(spec)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseSpec("x", strings.NewReader(string(data)))
		if err != nil || again.Sum() != spec.Sum() {
			t.Errorf("%q stored as %q came back as %+v, %v", text, data, again, err)
		}
	})
}
