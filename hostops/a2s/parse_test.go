package a2s

import (
	"embed"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

//go:embed testdata/rules.bz2part
var testdata embed.FS

func TestParseInfoNeedsOnlyTheFixedPart(t *testing.T) {
	whole := infoReply("Friday")[len(single)+1:]
	fixed := strings.Index(whole, "\xf1") // the flags
	for n := range len(whole) {
		got, err := parseInfo([]byte(whole[:n]))
		switch {
		case n < fixed:
			if !errors.Is(err, ErrMalformed) || got != (ServerInfo{}) {
				t.Errorf("%d of %d bytes: %+v, %v; want ErrMalformed", n, len(whole), got, err)
			}
		case err != nil || got.Name != "Friday" || got.Version != "2.2.4.3" || got.GameID != 0:
			t.Errorf("%d of %d bytes: %+v, %v; want the fixed part", n, len(whole), got, err)
		}
	}
}

func TestParseInfoLetters(t *testing.T) {
	tests := map[string]struct{ kind, os string }{
		"dl": {"dedicated", "linux"}, "lw": {"listen", "windows"}, "pm": {"proxy", "mac"}, "Do": {"dedicated", "mac"}, "??": {"", ""},
	}
	for letters, want := range tests {
		got, err := parseInfo([]byte("\x11\x00\x00\x00\x00\x26\x02\x00\x04\x00" + letters + "\x01\x00v\x00"))
		if err != nil || got.Type != want.kind || got.OS != want.os || !got.Password || got.VAC || got.Port != 0 {
			t.Errorf("%q: %+v, %v; want %+v", letters, got, err, want)
		}
	}
}

func TestParsePlayersKeepsWhatIsWhole(t *testing.T) {
	whole := playersReply("Ann", "Ben")[len(single)+1:]
	for n, want := range map[int]int{1: 0, 5: 0, 13: 0, 14: 1, 20: 1, len(whole): 2, len(whole) - 1: 1} {
		got, err := parsePlayers([]byte(whole[:n]))
		if err != nil || len(got) != want {
			t.Errorf("%d of %d bytes: %+v, %v; want %d players", n, len(whole), got, err, want)
		}
	}
	if _, err := parsePlayers(nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("no bytes: error %v, want ErrMalformed", err)
	}
}

func TestParseRulesKeepsWhatIsWhole(t *testing.T) {
	for in, want := range map[string]int{"\x00\x00": 0, "\xff\xffa\x001\x00b\x002\x00c\x00": 2, "\x01\x00a\x001\x00b\x002\x00": 1, "\x02\x00a": 0} {
		got, err := parseRules([]byte(in))
		if err != nil || len(got) != want {
			t.Errorf("%q: %v, %v; want %d rules", in, got, err, want)
		}
	}
	if _, err := parseRules([]byte{1}); !errors.Is(err, ErrMalformed) {
		t.Errorf("one byte: error %v, want ErrMalformed", err)
	}
}

func TestSeconds(t *testing.T) {
	for in, want := range map[float32]time.Duration{
		90.5: 90500 * time.Millisecond, 0: 0, -1: 0, 1e30: 0, float32(math.Inf(1)): 0, float32(math.Inf(-1)): 0, float32(math.NaN()): 0,
	} {
		if got := seconds(math.Float32bits(in)); got != want {
			t.Errorf("seconds(%v) = %v, want %v", in, got, want)
		}
	}
}

var here = netip.MustParseAddrPort("127.0.0.1:27015")

func TestAssemblerPutsPartsTogether(t *testing.T) {
	message := single + strings.Repeat("0123456789", 50)
	parts := cut(message, 7, 100)
	strange := cut(single+strings.Repeat("x", 150), 8, 100)
	packed, err := testdata.ReadFile("testdata/rules.bz2part")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		in   []string
		want string // how the last part's message begins
	}{
		"in order":              {parts, "0123"},
		"backwards":             {[]string{parts[5], parts[4], parts[3], parts[2], parts[1], parts[0]}, "0123"},
		"twice":                 {[]string{parts[0], parts[0], parts[1], parts[1], parts[2], parts[3], parts[4], parts[5]}, "0123"},
		"two at a time":         {[]string{parts[0], strange[1], parts[1], parts[2], parts[3], parts[4], strange[0]}, "xxx"},
		"one part":              {cut(single+"I", 7, 100), "I"},
		"packed":                {cut(string(packed), splitPacked|7, 300), "E"},
		"one is missing":        {parts[1:], ""},
		"totals differ":         {[]string{strings.Replace(parts[0], "\x06\x00", "\x07\x00", 1), parts[1], parts[2], parts[3], parts[4], parts[5]}, ""},
		"no mark inside":        {cut("0123456789", 7, 5), ""},
		"no parts":              {[]string{splitMark + "\x07\x00\x00\x00\x00\x00\x00\x00"}, ""},
		"number beyond total":   {[]string{splitMark + "\x07\x00\x00\x00\x01\x01\x00\x00" + single + "I"}, ""},
		"too many parts":        {[]string{splitMark + "\x07\x00\x00\x00\xff\x00\x00\x00" + single + "I"}, ""},
		"packed and too short":  {cut("1234567", splitPacked, 100), ""},
		"packed and not bzip2":  {cut("\x01\x00\x00\x00\x00\x00\x00\x00BZnot", splitPacked, 100), ""},
		"packed, wrong sum":     {cut(string(packed[:4])+"\x00\x00\x00\x00"+string(packed[8:]), splitPacked, 5000), ""},
		"packed, size too low":  {cut("\x10\x00"+string(packed[2:]), splitPacked, 5000), ""},
		"packed, size too high": {cut("\xff\xff\xff\xff"+string(packed[4:]), splitPacked, 5000), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var a assembler
			for i, part := range tt.in {
				got, ok := a.add(here, []byte(part))
				if last := i == len(tt.in)-1; !last && ok || last && ok != (tt.want != "") || !strings.HasPrefix(string(got), tt.want) && last {
					t.Errorf("part %d of %d: %.20q, %v; want %q at the end", i+1, len(tt.in), got, ok, tt.want)
				}
			}
		})
	}
}

func TestAssemblerIsBounded(t *testing.T) {
	var a assembler
	for id := range uint32(100) {
		a.add(here, []byte(cut(single+"0123456789", id, 10)[0]))
	}
	if len(a.splits) != maxSplits {
		t.Errorf("%d unfinished messages are kept, want %d", len(a.splits), maxSplits)
	}
	parts := cut(single+strings.Repeat("x", maxMessage), 200, maxMessage/4)
	for i, part := range parts {
		if _, ok := a.add(here, []byte(part)); ok {
			t.Errorf("part %d completes a message above the limit", i+1)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(infoReply("Friday")[5:]))
	f.Add([]byte(playersReply("Ann", "caf\xe9")[5:]))
	f.Add([]byte("\x02\x00mp_gamemode\x00coop\x00sv_cheats\x000\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := parseInfo(b)
		if err != nil && (!errors.Is(err, ErrMalformed) || info != ServerInfo{}) || !utf8.ValidString(info.Name+info.Map+info.TVName) {
			t.Errorf("parseInfo(%q) = %+v, %v", b, info, err)
		}
		players, err := parsePlayers(b)
		if err != nil && !errors.Is(err, ErrMalformed) || len(players)*10 > len(b) {
			t.Errorf("parsePlayers(%q) = %+v, %v", b, players, err)
		}
		for _, p := range players {
			if p.Connected < 0 || !utf8.ValidString(p.Name) {
				t.Errorf("parsePlayers(%q): %+v", b, p)
			}
		}
		rules, err := parseRules(b)
		if err != nil && !errors.Is(err, ErrMalformed) || len(rules)*2 > len(b) {
			t.Errorf("parseRules(%q) = %v, %v", b, rules, err)
		}
	})
}

// FuzzReceive feeds a query with datagrams, each preceded by its length, from the server and from elsewhere.
func FuzzReceive(f *testing.F) {
	packed, err := testdata.ReadFile("testdata/rules.bz2part")
	if err != nil {
		f.Fatal(err)
	}
	stream := func(datagrams ...string) []byte {
		var b strings.Builder
		for _, d := range datagrams {
			fmt.Fprintf(&b, "%c%s", byte(len(d)), d)
		}
		return []byte(b.String())
	}
	f.Add(stream(single+"Aabcd", single+"Eab"))
	f.Add(stream(cut(string(packed), splitPacked|7, 100)...))
	f.Add(stream(cut(single+"E\x01\x00a\x00b\x00", 7, 5)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		e := exchange{server: here, query: queryRules}
		elsewhere := netip.MustParseAddrPort("127.0.0.2:27015")
		for i := 0; len(b) > 0; i++ {
			n := min(int(b[0]), len(b)-1)
			from := here
			if i%3 == 2 {
				from = elsewhere
			}
			body, _ := e.receive(from, b[1:1+n])
			if body != nil && from == elsewhere && e.challenger != elsewhere {
				t.Fatalf("an answer from elsewhere was taken without a challenge: %q", body)
			}
			if len(e.parts.splits) > maxSplits || len(body) > maxMessage {
				t.Fatalf("%d unfinished messages, an answer of %d bytes", len(e.parts.splits), len(body))
			}
			b = b[1+n:]
		}
	})
}
