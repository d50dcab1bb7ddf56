package keyvalues

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// dump shows a tree on one line: key=value, key{…}.
func dump(n *Node) string {
	var parts []string
	for _, c := range n.Children() {
		if c.IsBlock() {
			parts = append(parts, c.Key()+"{"+dump(c)+"}")
		} else {
			parts = append(parts, c.Key()+"="+c.Value())
		}
	}
	return strings.Join(parts, " ")
}

func TestParseReadsEveryNotation(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"empty":                          {"", ""},
		"quoted":                         {`"a" "b"`, "a=b"},
		"unquoted":                       {"a b", "a=b"},
		"no space between":               {`"Map""x"`, "Map=x"},
		"unquoted touching quotes":       {`Map"x"b{c d}`, "Map=x b{c=d}"},
		"empty strings":                  {`"" ""`, "="},
		"block":                          {"a { b c }", "a{b=c}"},
		"brace on the next line":         {"\"a\"\r\n{\r\n\t\"b\"\t\t\"c\"\r\n}\r\n", "a{b=c}"},
		"empty block":                    {"a{}", "a{}"},
		"value on the next line":         {"a\nb", "a=b"},
		"repeated keys keep their order": {"k 1\nk 2\nK 3", "k=1 k=2 K=3"},
		"comments":                       {"// first\na b // second\n// third", "a=b"},
		"comment at the end of a block":  {"a { b c //}\n}", "a{b=c}"},
		"address is no comment":          {"url http://x.example/y", "url=http://x.example/y"},
		"comment signs in quotes":        {`"url" "http://x"`, "url=http://x"},
		"braces in quotes":               {`"a{" "}b"`, "a{=}b"},
		"byte order mark":                {"\xef\xbb\xbf\"a\" \"b\"", "a=b"},
		"latin-1 bytes":                  {"\"t\" \"caf\xe9\"", "t=caf\xe9"},
		"NUL at the end":                 {"a b\n\x00\x00", "a=b"},
		"several lines":                  {"\"d\" \"one\ntwo\"", "d=one\ntwo"},
		"escaped quotes":                 {`"t" "say \"hi\""`, `t=say "hi"`},
		"escaped backslash":              {`"p" "C:\\dir\\"`, `p=C:\dir\`},
		"backslash as itself":            {`"p" "maps\new"`, `p=maps\new`},
		"backslash before the end":       {"\"p\" \"maps\\\"\n\"q\" \"r\"", `p=maps\ q=r`},
		"include is an ordinary pair":    {`#base "other.txt"`, "#base=other.txt"},

		"console value dropped":        {"t pc [!$X360]\nt xbox [$X360]", "t=pc"},
		"console block dropped":        {"a [$X360] { b c }\nd e", "d=e"},
		"computer block kept":          {"a [$WIN32||$LINUX] { b c }", "a{b=c}"},
		"both halves must hold":        {"a b [$WIN32&&$X360]", ""},
		"condition touching the value": {`"a" "b"[$PS3]`, ""},
		"unknown symbol kept":          {"a b [$FUTURE]", "a=b"},
		"brackets that are a value":    {"color [255]", "color=[255]"},
		"condition without an owner":   {"a { [$X360] b c }", "a{b=c}"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			root, err := Parse(strings.NewReader(tt.in))
			if err != nil {
				t.Fatalf("Parse(%q): %v", tt.in, err)
			}
			if got := dump(root); got != tt.want {
				t.Errorf("Parse(%q)\n got %q\nwant %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestParseNamesTheFirstFaultAndKeepsTheRest(t *testing.T) {
	tests := map[string]struct {
		in, problem, want string
		line              int
	}{
		"missing brace":        {"a\n{\nb c\n", `the block "a" of line 1 is never closed`, "a{b=c}", 4},
		"surplus brace":        {"a b\n}\nc d", "} without a block to close", "a=b c=d", 2},
		"block without a key":  {"a b\n{ c d }", "{ without a key before it", "a=b {c=d}", 2},
		"key without a value":  {"a {\n b\n}\nc d", `the key "b" has no value`, "a{b=} c=d", 2},
		"key at the end":       {"a b c", `the key "c" has no value`, "a=b c=", 1},
		"quote never closed":   {"a b\nc \"d\r\ne f", "a quote is opened and never closed", "a=b c=d e=f", 2},
		"only the first fault": {"}\n}\n{", "} without a block to close", "{}", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			root, err := Parse(strings.NewReader(tt.in))
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Line != tt.line || syntax.Problem != tt.problem {
				t.Errorf("Parse(%q): error %v, want line %d: %s", tt.in, err, tt.line, tt.problem)
			}
			if got := dump(root); got != tt.want {
				t.Errorf("Parse(%q)\n got %q\nwant %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestParseLenientTellsEveryFault(t *testing.T) {
	tests := map[string]struct {
		in, want string
		faults   []SyntaxError
	}{
		"none": {`a { "b" "c" } "d"{ }`, "a{b=c} d{}", nil},
		"key touches value": {
			"m {\n\"Map\"\"x\"\n\"Map\" \"y\"\n\"Map\"\"z\" }", "m{Map=x Map=y Map=z}",
			[]SyntaxError{{2, `no space between the key "Map" and its value`}, {4, `no space between the key "Map" and its value`}},
		},
		"unquoted may touch": {`Map"x"`, "Map=x", nil},
		"value touches key":  {`"a" "b""c" "d"`, "a=b c=d", nil},
		"in order of lines":  {"}\n\"a\"\"b\"\n}", "a=b", []SyntaxError{{1, "} without a block to close"}, {2, `no space between the key "a" and its value`}, {3, "} without a block to close"}}},
		"no end of them": {strings.Repeat("}\n", 50), "", slices.Collect(func(yield func(SyntaxError) bool) {
			for i := range MaxFaults {
				yield(SyntaxError{i + 1, "} without a block to close"})
			}
		})},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			root, faults, err := ParseLenient(strings.NewReader(tt.in))
			if err != nil || dump(root) != tt.want || !slices.Equal(faults, tt.faults) {
				t.Errorf("ParseLenient(%q)\n got %q, %v, %v\nwant %q, %v", tt.in, dump(root), faults, err, tt.want, tt.faults)
			}
		})
	}
	root, _, err := ParseLenient(strings.NewReader("a b\n" + strings.Repeat("c{", MaxDepth+1)))
	if !errors.Is(err, ErrLimit) || root.Get("a").Value() != "b" {
		t.Errorf("too deep: %v with %q, want ErrLimit with what came before", err, dump(root))
	}
}

func TestParseStopsAtItsLimits(t *testing.T) {
	tests := map[string]string{
		"size":             "a \"" + strings.Repeat("x", MaxSize) + "\"",
		"depth":            strings.Repeat("a{", MaxDepth+1) + strings.Repeat("}", MaxDepth+1),
		"depth of nothing": strings.Repeat("{", MaxDepth+1),
		"entries":          strings.Repeat("a b\n", MaxNodes+1),
		"dropped entries":  strings.Repeat("a b [$X360]\n", MaxNodes+1),
	}
	for name, in := range tests {
		if _, err := Parse(strings.NewReader(in)); !errors.Is(err, ErrLimit) {
			t.Errorf("%s: Parse of %d bytes: error %v, want ErrLimit", name, len(in), err)
		}
	}
	deepest := strings.Repeat("a{", MaxDepth) + strings.Repeat("}", MaxDepth)
	if _, err := Parse(strings.NewReader(deepest)); err != nil {
		t.Errorf("%d blocks inside each other: %v", MaxDepth, err)
	}
}

// Each input makes a careless reader look at the rest of the file once per token.
func TestParseReadsHostileTextInLinearTime(t *testing.T) {
	for name, unit := range map[string]string{
		"brackets": "[ ", "escaped quotes": `\"`, "lonely quotes": "\"\\\"\n", "slashes": "/ ", "conditions": "[$A",
	} {
		in := strings.Repeat(unit, (4<<20)/len(unit))
		start := time.Now()
		_, _ = Parse(strings.NewReader(in)) // right or wrong does not matter here
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: %d bytes took %v", name, len(in), took)
		}
	}
}

func TestParsePassesReadErrorsOn(t *testing.T) {
	want := errors.New("disk gone")
	if _, err := Parse(iotest.ErrReader(want)); !errors.Is(err, want) {
		t.Errorf("Parse: error %v, want %v", err, want)
	}
}

func TestGet(t *testing.T) {
	root, err := Parse(strings.NewReader(`mission { Name One modes { coop { 1 { Map a } } } modes { versus { 1 { Map b } } } }`))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		"mission/name":               "One",
		"MISSION/MODES/COOP/1/MAP":   "a",
		"mission/modes/versus/1/map": "b", // stands in the second of two blocks of one name
		"mission/modes/survival":     "",
		"mission/name/deeper":        "",
		"mission/modes":              "", // a block has no value
	}
	for path, want := range tests {
		if got := root.Get(strings.Split(path, "/")...).Value(); got != want {
			t.Errorf("Get(%s) = %q, want %q", path, got, want)
		}
	}
	if got := len(root.Get("mission", "modes").Children()); got != 1 {
		t.Errorf("the first modes block has %d children, want 1", got)
	}
	absent := root.Get("campaign")
	if absent != nil || absent.IsBlock() || absent.Key() != "" || absent.Line() != 0 || absent.Children() != nil || absent.Get("x") != nil {
		t.Errorf("an absent node answers as if it were there: %v", absent)
	}
	latin := Block("", Pair("\xe4", "a"), Pair("\xe5", "b"))
	if got := latin.Get("\xe5").Value(); got != "b" {
		t.Errorf("latin-1 keys are mixed up: got %q, want b", got)
	}
}

func TestLinesAreThoseOfTheKeys(t *testing.T) {
	root, err := Parse(strings.NewReader("// c\na \"x\ny\"\nb\n{\n\tc d\n}"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"a": 2, "b": 4, "b/c": 6} {
		if got := root.Get(strings.Split(path, "/")...).Line(); got != want {
			t.Errorf("%s is on line %d, want %d", path, got, want)
		}
	}
}

func TestWriteLooksLikeSteams(t *testing.T) {
	var got bytes.Buffer
	err := Write(&got, Block("AppState",
		Pair("appid", "222860"),
		Pair("name", `Left 4 Dead 2 "Dedicated" C:\x`),
		Block("InstalledDepots", Block("222861", Pair("manifest", "1")))))
	if err != nil {
		t.Fatal(err)
	}
	want := "\"AppState\"\n{\n\t\"appid\"\t\t\"222860\"\n\t\"name\"\t\t\"Left 4 Dead 2 \\\"Dedicated\\\" C:\\\\x\"\n" +
		"\t\"InstalledDepots\"\n\t{\n\t\t\"222861\"\n\t\t{\n\t\t\t\"manifest\"\t\t\"1\"\n\t\t}\n\t}\n}\n"
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

func TestWriteRefusesWhatDoesNotFitOnALine(t *testing.T) {
	for _, n := range []*Node{Pair("a", "b\nc"), Pair("a\r", "b"), Pair("a", "\x00"), Block("x", Block("a\n"))} {
		if err := Write(io.Discard, n); !errors.Is(err, ErrText) {
			t.Errorf("Write(%q, %q): error %v, want ErrText", n.Key(), n.Value(), err)
		}
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestWritePassesErrorsOn(t *testing.T) {
	full := errors.New("disk full")
	if err := Write(brokenWriter{full}, Pair("a", strings.Repeat("x", 1<<16))); !errors.Is(err, full) {
		t.Errorf("Write: error %v, want %v", err, full)
	}
}

func TestRealShapes(t *testing.T) {
	tests := map[string]map[string]string{
		"appmanifest_222860.acf": {"AppState/StateFlags": "4", "AppState/buildid": "15423042", "appstate/InstalledDepots/222863/size": "202762857"},
		"app_info.txt":           {"222860/depots/branches/public/buildid": "15423042", "222860/common/name": "Left 4 Dead 2 Dedicated Server"},
		"mission.txt":            {"mission/DisplayTitle": "Urban \"Flight\"", "mission/modes/coop/2/Map": "uf2_rooftops", "mission/modes/versus/1/Map": "uf1_boulevard"},
		"addoninfo.txt":          {"addoninfo/ADDONTITLE": "Caf\xe9 Noir", "AddonInfo/addonContent_Campaign": "1", "addoninfo/addonURL0": "http://maps.example/cafe"},
	}
	for name, values := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			root, err := Parse(f)
			if err != nil {
				t.Fatal(err)
			}
			for path, want := range values {
				if got := root.Get(strings.Split(path, "/")...).Value(); got != want {
					t.Errorf("%s = %q, want %q", path, got, want)
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil || len(files) == 0 {
		f.Fatalf("no samples: %v", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("a [$X360] { \"b\\\"\nc \"d\\\\\" } [ } \""))
	f.Fuzz(func(t *testing.T, text []byte) {
		root, err := Parse(bytes.NewReader(text))
		if err != nil && !errors.Is(err, ErrLimit) {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Line < 1 || syntax.Line > bytes.Count(text, []byte("\n"))+1 {
				t.Fatalf("Parse(%q): error %v names no line of the text", text, err)
			}
		}
		lenient, faults, wrong := ParseLenient(bytes.NewReader(text))
		if dump(lenient) != dump(root) || errors.Is(wrong, ErrLimit) != errors.Is(err, ErrLimit) || len(faults) > MaxFaults || err != nil && wrong == nil && len(faults) == 0 {
			t.Fatalf("ParseLenient(%q): %q, %v, %v; Parse says %q, %v", text, dump(lenient), faults, wrong, dump(root), err)
		}
		var out bytes.Buffer
		if err := Write(&out, root.Children()...); err != nil {
			if !errors.Is(err, ErrText) {
				t.Fatalf("Write of Parse(%q): %v", text, err)
			}
			return
		}
		again, err := Parse(bytes.NewReader(out.Bytes()))
		if errors.Is(err, ErrLimit) {
			return // quoting made it larger
		}
		if err != nil {
			t.Fatalf("Parse of what Write wrote: %v\n%s", err, out.Bytes())
		}
		if got, want := dump(again), dump(root); got != want {
			t.Fatalf("Parse(%q) does not survive writing\n got %q\nwant %q", text, got, want)
		}
	})
}

func ExampleParse() {
	root, err := Parse(strings.NewReader(`"AppState" { "appid" "222860" "StateFlags" "4" }`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(root.Get("AppState", "stateflags").Value() == "4")
	// Output: true
}
