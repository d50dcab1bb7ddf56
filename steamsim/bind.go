package steamsim

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// address is where a server listens.
type address struct {
	bind  netip.Addr // game port; the wildcard when no address was given
	rcon  netip.Addr // TCP; the primary address when none was given
	shown netip.Addr // in "Network: IP" and status
	port  int
}

// portsTried is how far the engine walks for a free port when it may.
const portsTried = 100

// bind opens the game port (UDP) and RCON (TCP) on the same number. Without
// -strictportbind the engine takes the next free one. The caller holds s.mu.
func (s *server) bind() bool {
	s.address = s.wantedAddress()
	tries := portsTried
	if s.opts.has("-strictportbind") {
		tries = 1
	}
	for range tries {
		err := s.open()
		if err == nil {
			s.set("hostport", strconv.Itoa(s.address.port))
			s.printf("Network: IP %s, mode MP, dedicated Yes, ports %d SV / 0 CL\n", s.address.shown, s.address.port)
			return true
		}
		s.printf("WARNING: UDP_OpenSocket: port: %d  bind: %s\n", s.address.port, strerror(err))
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
		s.address.port++
	}
	s.print("Couldn't allocate any server IP port\n")
	return false
}

func (s *server) wantedAddress() address {
	port := s.get("hostport")
	if p := s.opts.value("-port"); p != "" && !s.opts.has("+hostport") {
		port = p
	}
	a := address{port: int(leadingNumber(port)), bind: netip.IPv4Unspecified()}
	ip := s.opts.value("-ip")
	if v := s.opts.value("+ip"); v != "" {
		ip = v
	}
	want, err := netip.ParseAddr(ip)
	switch {
	case err != nil || !want.Is4():
		a.rcon = primaryAddress()
		a.shown = a.rcon
	case want.IsUnspecified():
		a.rcon = want
		a.shown = primaryAddress()
	default:
		a.bind, a.rcon, a.shown = want, want, want
	}
	return a
}

func (s *server) open() error {
	if s.address.port < 1 || s.address.port > 65535 {
		return syscall.EINVAL
	}
	udp, err := listenUDP(netip.AddrPortFrom(s.address.bind, uint16(s.address.port)))
	if err != nil {
		return err
	}
	tcp, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.address.rcon, uint16(s.address.port))))
	if err != nil {
		_ = udp.Close() // half a server is none
		return err
	}
	s.udp, s.tcp = udp, tcp
	return nil
}

// strerror gives the C library's words for the error number in err.
func strerror(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	text := errno.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// primaryAddress is what the host name means in /etc/hosts (127.0.1.1 on a
// fresh Debian), else the address that packets to the world would leave from.
func primaryAddress() netip.Addr {
	if a, ok := hostsEntry(); ok {
		return a
	}
	c, err := net.Dial("udp4", "192.0.2.1:9") // sends nothing; asks for the route
	if err == nil {
		defer func() { _ = c.Close() }() // nothing was sent
		if a, err := netip.ParseAddrPort(c.LocalAddr().String()); err == nil {
			return a.Addr()
		}
	}
	return netip.AddrFrom4([4]byte{127, 0, 1, 1})
}

func hostsEntry() (netip.Addr, bool) {
	name, err := os.Hostname()
	if err != nil {
		return netip.Addr{}, false
	}
	f, err := os.Open("/etc/hosts")
	if err != nil {
		return netip.Addr{}, false
	}
	defer func() { _ = f.Close() }() // read only
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) < 2 {
			continue
		}
		a, err := netip.ParseAddr(words[0])
		if err != nil || !a.Is4() || a == loopback {
			continue
		}
		for _, w := range words[1:] {
			if w == name {
				return a, true
			}
		}
	}
	return netip.Addr{}, false
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// listenUDP binds a socket that tells for each datagram which address it was sent
// to. The option must be set before the socket is bound: a datagram that came
// in earlier does not know, and its answer would leave from another address.
func listenUDP(at netip.AddrPort) (*net.UDPConn, error) {
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_PKTINFO, 1)
		})
		return errors.Join(err, failed)
	}}
	conn, err := c.ListenPacket(context.Background(), "udp4", at.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}
