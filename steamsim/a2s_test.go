package steamsim

import (
	"bytes"
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"
)

// querySocket asks the server at one address.
type querySocket struct {
	*gameServer
	c *net.UDPConn
}

func (g *gameServer) query(address string) *querySocket {
	g.Helper()
	c, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.ParseIP(address), Port: g.port})
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { _ = c.Close() }) // nothing is pending
	return &querySocket{gameServer: g, c: c}
}

func (q *querySocket) ask(b string, wait time.Duration) []byte {
	q.Helper()
	if _, err := q.c.Write([]byte(b)); err != nil {
		q.Fatal(err)
	}
	return q.next(wait)
}

func (q *querySocket) next(wait time.Duration) []byte {
	q.Helper()
	if err := q.c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		q.Fatal(err)
	}
	buf := make([]byte, 2000)
	n, err := q.c.Read(buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}

const (
	askInfo    = "\xff\xff\xff\xffTSource Engine Query\x00"
	askPlayers = "\xff\xff\xff\xffU\xff\xff\xff\xff"
	askRules   = "\xff\xff\xff\xffV\xff\xff\xff\xff"
)

// challenged asks, takes the challenge and asks again with it.
func (q *querySocket) challenged(request string) []byte {
	q.Helper()
	c := q.ask(request, patience)
	if len(c) != 9 || !bytes.HasPrefix(c, []byte("\xff\xff\xff\xffA")) {
		q.Fatalf("first answer to %q: %q, want a challenge", request, c)
	}
	return q.ask(strings.TrimSuffix(request, "\xff\xff\xff\xff")+string(c[5:]), patience)
}

func TestQueries(t *testing.T) {
	g := newServer(t, SrcdsControl{}, "hostname \"Friday\"\n").start("+map", "c2m1_highway versus")
	q := g.query("127.0.1.1")
	info := q.challenged(askInfo)
	want := "\xff\xff\xff\xffI\x11Friday\x00c2m1_highway\x00left4dead2\x00Left 4 Dead 2\x00\x26\x02\x00\x08\x00dl\x00\x012.2.4.3\x00\xb1"
	if !bytes.HasPrefix(info, []byte(want)) {
		t.Errorf("info\n got %q\nwant %q…", info, want)
	}
	if port := binary.LittleEndian.Uint16(info[len(want):]); int(port) != g.port {
		t.Errorf("info says port %d, it is %d", port, g.port)
	}
	if players := q.challenged(askPlayers); string(players) != "\xff\xff\xff\xffD\x00" {
		t.Errorf("players of an empty server: %q", players)
	}
	if wrong := q.ask("\xff\xff\xff\xffU\x01\x02\x03\x04", patience); !bytes.HasPrefix(wrong, []byte("\xff\xff\xff\xffA")) {
		t.Errorf("a wrong challenge got %q", wrong)
	}
	first := q.challenged(askRules)
	var body []byte
	for i := 0; ; i++ {
		if len(first) < 12 || string(first[:4]) != "\xfe\xff\xff\xff" || int(first[9]) != i || binary.LittleEndian.Uint16(first[10:]) != 1248 {
			t.Fatalf("part %d: %q", i, first)
		}
		body = append(body, first[12:]...)
		if i+1 == int(first[8]) {
			break
		}
		first = q.next(patience)
	}
	n := int(binary.LittleEndian.Uint16(body[5:]))
	if fields := bytes.Count(body[7:], []byte{0}); !bytes.HasPrefix(body, []byte("\xff\xff\xff\xffE")) || fields != 2*n || len(body) < 1248 {
		t.Errorf("%d rules in %d fields, %d bytes", n, fields, len(body))
	}
	if !bytes.Contains(body, []byte("\x00mp_gamemode\x00versus\x00")) {
		t.Errorf("no mp_gamemode in the rules: %q", body)
	}
}

// silence is how long no answer must come. An answer takes microseconds.
const silence = 300 * time.Millisecond

func TestNoAnswerOnLoopback(t *testing.T) {
	g := newServer(t, SrcdsControl{}, "").start()
	if b := g.query("127.0.0.1").ask(askInfo, silence); b != nil {
		t.Errorf("answered on 127.0.0.1: %q", b)
	}
	if b := g.query(primaryAddress().String()).ask(askInfo, patience); b == nil {
		t.Error("no answer on the primary address")
	}
	open := newServer(t, SrcdsControl{A2SLoopback: true}, "").start()
	if b := open.query("127.0.0.1").ask(askInfo, patience); b == nil {
		t.Error("a2s_loopback does not make it answer")
	}
}

func TestTooManyQueriesGetNoAnswer(t *testing.T) {
	g := newServer(t, SrcdsControl{}, "sv_max_queries_sec 1\nsv_max_queries_window 10\n").start()
	q := g.query("127.0.1.1")
	for i := range 10 {
		if q.ask(askInfo, patience) == nil {
			t.Fatalf("query %d of 10 got no answer", i+1)
		}
	}
	if b := q.ask(askInfo, silence); b != nil {
		t.Errorf("the eleventh in ten seconds was answered: %q", b)
	}
}
