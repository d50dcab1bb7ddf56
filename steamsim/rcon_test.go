package steamsim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// rconDial opens a connection; the bytes are the test's own business.
func (g *gameServer) dial() net.Conn {
	g.Helper()
	c, err := net.DialTimeout("tcp4", fmt.Sprintf("127.0.0.1:%d", g.port), patience)
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { _ = c.Close() }) // at the latest
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		g.Fatal(err)
	}
	return c
}

func (g *gameServer) exchange(c net.Conn, send, want string) {
	g.Helper()
	if _, err := io.WriteString(c, send); err != nil {
		g.Fatal(err)
	}
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		g.Fatalf("sent %q\n got %q (%v)\nwant %q", send, got[:n], err, want)
	}
}

// packet reads one packet: id, type, body.
func (g *gameServer) packet(c net.Conn) (id, kind int32, body string) {
	g.Helper()
	var head [12]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		g.Fatal(err)
	}
	rest := make([]byte, binary.LittleEndian.Uint32(head[:])-8)
	if _, err := io.ReadFull(c, rest); err != nil {
		g.Fatal(err)
	}
	if !bytes.HasSuffix(rest, []byte{0, 0}) {
		g.Fatalf("packet ends in %q", rest)
	}
	return int32(binary.LittleEndian.Uint32(head[4:])), int32(binary.LittleEndian.Uint32(head[8:])), string(rest[:len(rest)-2])
}

func packetBytes(id, kind byte, body string) string {
	return string([]byte{byte(len(body) + 10), 0, 0, 0, id, 0, 0, 0, kind, 0, 0, 0}) + body + "\x00\x00"
}

// rcon signs in, runs one command and returns the whole reply, found with an
// empty packet sent after it.
func (g *gameServer) rcon(password, command string) string {
	g.Helper()
	c := g.dial()
	g.exchange(c, packetBytes(1, 3, password), packetBytes(1, 0, "")+packetBytes(1, 2, ""))
	if _, err := io.WriteString(c, packetBytes(2, 2, command)+packetBytes(3, 0, "")); err != nil {
		g.Fatal(err)
	}
	var reply strings.Builder
	for {
		id, _, body := g.packet(c)
		if id == 3 {
			_ = c.Close() // done with it
			return reply.String()
		}
		reply.WriteString(body)
	}
}

func TestRconBytes(t *testing.T) {
	g := newServer(t, SrcdsControl{}, "rcon_password \"secret\"\n").start()
	c := g.dial()
	// Size 16, id 7, type 3; the empty reply comes first, then the verdict.
	g.exchange(c, "\x10\x00\x00\x00\x07\x00\x00\x00\x03\x00\x00\x00secret\x00\x00",
		"\x0a\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00"+"\x0a\x00\x00\x00\x07\x00\x00\x00\x02\x00\x00\x00\x00\x00")
	// A command, and its answer in a packet of type 0.
	g.exchange(c, "\x11\x00\x00\x00\x08\x00\x00\x00\x02\x00\x00\x00echo hi\x00\x00",
		"\x0d\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00hi\n\x00\x00")
	// An empty reply packet comes back, and 00 01 00 00 after it.
	g.exchange(c, "\x0a\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"\x0a\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00"+"\x0e\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00")
	// An empty command is answered by one empty packet.
	g.exchange(c, "\x0a\x00\x00\x00\x0a\x00\x00\x00\x02\x00\x00\x00\x00\x00", "\x0a\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	if peer := c.LocalAddr().String(); !strings.Contains(g.out.String(), "rcon from \""+peer+"\": command \"echo hi\"\n") {
		t.Errorf("the console does not tell of the command:\n%s", g.out)
	}
	// A packet larger than any client may send ends the connection.
	if _, err := io.WriteString(c, "\xff\xff\xff\x7f"); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("still open, read %d byte", n)
	}
}

func TestLongRepliesAreSplit(t *testing.T) {
	g := newServer(t, SrcdsControl{}, "rcon_password pw\n").start()
	c := g.dial()
	g.exchange(c, packetBytes(1, 3, "pw"), packetBytes(1, 0, "")+packetBytes(1, 2, ""))
	if _, err := io.WriteString(c, packetBytes(5, 2, "cvarlist")+packetBytes(6, 2, "")); err != nil {
		t.Fatal(err)
	}
	var sizes []int
	var all strings.Builder
	for {
		id, kind, body := g.packet(c)
		if kind != 0 {
			t.Errorf("a reply of type %d", kind)
		}
		if id == 6 {
			break
		}
		sizes = append(sizes, len(body))
		all.WriteString(body)
	}
	if len(sizes) < 2 || sizes[0] != 4086 || !strings.HasSuffix(all.String(), " total convars/concommands\n") {
		t.Errorf("packets of %v bytes, together:\n%s", sizes, all.String())
	}
}

func TestWrongPasswordsLeadToABan(t *testing.T) {
	h := newServer(t, SrcdsControl{}, "rcon_password pw\nsv_rcon_minfailures 3\nexec banned_ip.cfg\n")
	g := h.start()
	for range 3 {
		g.exchange(g.dial(), packetBytes(4, 3, "wrong"), packetBytes(4, 0, "")+"\x0a\x00\x00\x00\xff\xff\xff\xff\x02\x00\x00\x00\x00\x00")
	}
	g.out.waitFor(t, "Banning 127.0.0.1 for rcon hacking attempts\n")
	if got := h.read(filepath.Join(h.game, "left4dead2/cfg/banned_ip.cfg")); got != "addip 0 127.0.0.1\n" {
		t.Errorf("banned_ip.cfg: %q", got)
	}
	refused := func(g *gameServer) bool {
		_, err := io.ReadFull(g.dial(), make([]byte, 1))
		return err != nil
	}
	if !refused(g) {
		t.Error("a banned address was served")
	}
	// The ban outlives the server, because server.cfg reads the file; removeip
	// on the console lifts it.
	if _, err := io.WriteString(g.stdin, "quit\n"); err != nil {
		t.Fatal(err)
	}
	_ = g.cmd.Wait() // status is another test's matter
	g = h.start()
	if !refused(g) {
		t.Error("the ban did not outlive the server")
	}
	if _, err := io.WriteString(g.stdin, "listip\nremoveip 127.0.0.1\nlistip\n"); err != nil {
		t.Fatal(err)
	}
	g.out.waitFor(t, "IP filter list: 1 entry\n1 127.  0.  0.  1 : permanent\nFilter removed.\nIP filter list: empty\n")
	if out := g.rcon("pw", "echo back"); out != "back\n" {
		t.Errorf("after removeip: %q", out)
	}
}

func TestCommandsNeedTheLogin(t *testing.T) {
	g := newServer(t, SrcdsControl{}, "rcon_password pw\nhostname one\n").start()
	g.exchange(g.dial(), packetBytes(1, 2, "hostname two"), "\x0a\x00\x00\x00\xff\xff\xff\xff\x02\x00\x00\x00\x00\x00")
	if out := g.rcon("pw", "hostname"); !strings.HasPrefix(out, `"hostname" = "one"`) {
		t.Error(out)
	}
	empty := newServer(t, SrcdsControl{}, "hostname one\n").start()
	empty.exchange(empty.dial(), packetBytes(1, 3, ""), packetBytes(1, 0, "")+"\x0a\x00\x00\x00\xff\xff\xff\xff\x02\x00\x00\x00\x00\x00")
}

// RCON connects while the map loads, and is answered only after server.cfg.
func TestRconWaitsForTheMap(t *testing.T) {
	h := newServer(t, SrcdsControl{}, "rcon_password pw\n")
	c := Control{Speed: 4, Srcds: SrcdsControl{LineBuffered: true}}
	h.control(c)
	port := freePort(t)
	g := h.launch("+ip", "127.0.0.1", "+hostport", fmt.Sprint(port), "+map", "c1m1_hotel")
	g.out.waitFor(t, "---- Host_NewGame ----\n")
	g.port = port
	if out := g.rcon("pw", "status"); !strings.Contains(out, "map     : c1m1_hotel\n") {
		t.Error(out)
	}
	if !strings.Contains(g.out.String(), "Executing dedicated server config file\n") {
		t.Error("RCON was answered before server.cfg")
	}
}

func TestRconListensOnThePrimaryAddressOnly(t *testing.T) {
	if primaryAddress() == loopback {
		t.Fatal("the primary address must not be 127.0.0.1")
	}
	h := newServer(t, SrcdsControl{}, "rcon_password pw\n")
	g := h.launch("+hostport", fmt.Sprint(freePort(t)), "+map", "c1m1_hotel")
	port := networkLine.FindStringSubmatch(g.out.waitFor(t, loadedLine))[1]
	if c, err := net.DialTimeout("tcp4", "127.0.0.1:"+port, patience); err == nil {
		_ = c.Close() // it should not be there
		t.Error("without +ip, RCON is open on 127.0.0.1")
	}
	c, err := net.DialTimeout("tcp4", net.JoinHostPort(primaryAddress().String(), port), patience)
	if err != nil {
		t.Fatalf("without +ip, RCON should be open on the primary address: %v", err)
	}
	_ = c.Close() // open is all we asked
}
