package hostops

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
)

// talker is a game that answers A2S and RCON as it is told, or not at all.
type talker struct {
	port int

	mu     sync.Mutex
	silent bool
	status string            // what RCON says to every command
	rules  map[string]string // what A2S says of public cvars
	humans byte
	asked  map[string]int // how often, by what
}

func newTalker(t *testing.T) *talker {
	t.Helper()
	g := &talker{asked: map[string]int{}, rules: map[string]string{}}
	g.say("(not hibernating)", "198.51.100.1:27015")
	var tcp net.Listener
	var udp *net.UDPConn
	for range 20 { // the same number has to be free twice
		l, err := net.Listen("tcp4", rconHost+":0")
		if err != nil {
			t.Fatal(err)
		}
		g.port = l.Addr().(*net.TCPAddr).Port
		if udp, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(queryHost), Port: g.port}); err == nil {
			tcp = l
			break
		}
		_ = l.Close() // another number then
	}
	if tcp == nil {
		t.Fatal("no port is free for both TCP and UDP")
	}
	var all sync.WaitGroup
	all.Go(func() { g.serveQueries(udp) })
	all.Go(func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			all.Go(func() { g.serveConsole(c) })
		}
	})
	t.Cleanup(func() {
		_, _ = udp.Close(), tcp.Close() // over
		all.Wait()
	})
	return g
}

// say makes the answer to status.
func (g *talker) say(sleep, public string, rows ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.humans = byte(len(rows))
	g.status = fmt.Sprintf("hostname: x\nudp/ip  : 127.0.1.1:1 [ public %s ]\nmap     : c1m1_hotel\nplayers : %d humans, 0 bots (4 max) %s (unreserved)\n\n", public, len(rows), sleep) +
		strings.Join(rows, "\n") + "\n#end\n"
}

// play sets what is played.
func (g *talker) play(mode, difficulty string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rules = map[string]string{"mp_gamemode": mode, "z_difficulty": difficulty}
}

func (g *talker) hush(silent bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.silent = silent
}

func (g *talker) times(what string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked[what]
}

func (g *talker) serveQueries(udp *net.UDPConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		g.mu.Lock()
		if g.silent || n < 5 {
			g.mu.Unlock()
			continue
		}
		answer := []byte("\xff\xff\xff\xff")
		switch buf[4] {
		case 'T':
			g.asked["info"]++
			answer = append(answer, "I\x11x\x00c1m1_hotel\x00left4dead2\x00Left 4 Dead 2\x00\x26\x02"...)
			answer = append(answer, g.humans, 4, 0, 'd', 'l', 0, 1)
			answer = append(answer, "2.2.4.3\x00"...)
		case 'V':
			g.asked["rules"]++
			answer = binary.LittleEndian.AppendUint16(append(answer, 'E'), uint16(len(g.rules)))
			for k, v := range g.rules {
				answer = append(append(append(append(answer, k...), 0), v...), 0)
			}
		}
		g.mu.Unlock()
		_, _ = udp.WriteToUDPAddrPort(answer, from) // datagrams may be lost
	}
}

// serveConsole takes any password.
func (g *talker) serveConsole(c net.Conn) {
	defer c.Close()
	packet := func(id, kind uint32, body string) []byte {
		b := binary.LittleEndian.AppendUint32(nil, uint32(10+len(body)))
		b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, id), kind)
		return append(append(b, body...), 0, 0)
	}
	for {
		head := make([]byte, 12)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		rest := make([]byte, binary.LittleEndian.Uint32(head)-8)
		if _, err := io.ReadFull(c, rest); err != nil {
			return
		}
		g.mu.Lock()
		silent, status := g.silent, g.status
		id, kind := binary.LittleEndian.Uint32(head[4:]), binary.LittleEndian.Uint32(head[8:])
		if kind == 2 {
			g.asked["console"]++
		}
		g.mu.Unlock()
		if silent {
			return
		}
		answer := packet(id, 0, "") // mirrored
		switch kind {
		case 3:
			answer = packet(id, 2, "")
		case 2:
			answer = packet(id, 0, status)
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// watched is a running game with a watcher that asks at every look.
func watched(t *testing.T) (g *talker, fake *fakeSupervisor, look func() ctl.Status, w *watcher) {
	t.Helper()
	h, fake, _ := newHost(t)
	g = newTalker(t)
	initialise(t, h, "friday", g.port)
	fake.print("friday", bannerLine, "Network: IP 192.0.2.10, mode MP, dedicated Yes, ports "+fmt.Sprint(g.port)+" SV / 0 CL",
		"Host_NewGame on map c1m1_hotel", "Executing dedicated server config file")
	fake.set("friday", supervisor.Instance{State: ctl.ServerRunning, PID: 1})
	w = &watcher{h: h, name: "friday", slots: make(chan struct{}, 1)}
	t.Cleanup(func() { w.base.close() })
	return g, fake, func() ctl.Status {
		w.queryAt = w.queryAt.AddDate(-1, 0, 0)
		return w.look(t.Context())
	}, w
}
