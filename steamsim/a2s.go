package steamsim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"net/netip"
	"syscall"
	"time"
	"unsafe"
)

// Server queries on the game port.
const (
	a2sSingle     = "\xff\xff\xff\xff"
	a2sSplit      = "\xfe\xff\xff\xff"
	a2sPayload    = 1248 // bytes of an answer in one datagram
	a2sInfo       = 'T'
	a2sPlayer     = 'U'
	a2sRules      = 'V'
	a2sInfoString = "Source Engine Query\x00"
)

// serveQueries answers until the socket closes. It needs to know which of our
// addresses a request came to, because the real server never answers on
// 127.0.0.1; and it answers from that address.
func (s *server) serveQueries() {
	q := queries{server: s, secret: time.Now().UnixNano()}
	buf, oob := make([]byte, 1400), make([]byte, 64)
	for {
		n, oobn, _, from, err := s.udp.ReadMsgUDPAddrPort(buf, oob)
		if err != nil {
			return // closed
		}
		to, reply := arrivedAt(oob[:oobn])
		if to == loopback && !s.control.A2SLoopback {
			continue
		}
		if !q.allowed(from.Addr(), time.Now()) {
			continue
		}
		for _, b := range q.answer(buf[:n], from) {
			_, _, _ = s.udp.WriteMsgUDPAddrPort(b, reply, from) // datagrams may be lost
		}
	}
}

// arrivedAt reads the address a datagram was sent to, and returns the control
// message that makes the answer leave from there.
func arrivedAt(oob []byte) (netip.Addr, []byte) {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return netip.Addr{}, nil
	}
	for _, m := range messages {
		if m.Header.Level != syscall.IPPROTO_IP || m.Header.Type != syscall.IP_PKTINFO || len(m.Data) < syscall.SizeofInet4Pktinfo {
			continue
		}
		local := [4]byte(m.Data[4:8])
		reply := make([]byte, syscall.CmsgSpace(syscall.SizeofInet4Pktinfo))
		h := (*syscall.Cmsghdr)(unsafe.Pointer(&reply[0]))
		h.Level, h.Type = syscall.IPPROTO_IP, syscall.IP_PKTINFO
		h.SetLen(syscall.CmsgLen(syscall.SizeofInet4Pktinfo))
		copy(reply[syscall.CmsgLen(0)+4:], local[:])
		return netip.AddrFrom4([4]byte(m.Data[8:12])), reply
	}
	return netip.Addr{}, nil
}

// queries is the state of the query port. Only one goroutine uses it.
type queries struct {
	*server
	secret int64
	splits uint32
	window time.Time
	total  int
	each   map[netip.Addr]int
}

// allowed limits requests as the engine does: on average so many a second over
// a window, from one address and from all. What is too much gets no answer.
func (q *queries) allowed(from netip.Addr, now time.Time) bool {
	q.mu.Lock()
	seconds := max(q.number("sv_max_queries_window"), 1)
	one, all := q.number("sv_max_queries_sec"), q.number("sv_max_queries_sec_global")
	q.mu.Unlock()
	if now.Sub(q.window) > time.Duration(seconds*float64(time.Second)) {
		q.window, q.total, q.each = now, 0, map[netip.Addr]int{}
	}
	q.total++
	q.each[from]++
	return (one <= 0 || float64(q.each[from]) <= one*seconds) && (all <= 0 || float64(q.total) <= all*seconds)
}

// answer returns the datagrams that a request gets.
func (q *queries) answer(b []byte, from netip.AddrPort) [][]byte {
	if len(b) < 5 || string(b[:4]) != a2sSingle {
		return nil
	}
	kind, rest := b[4], b[5:]
	if kind == a2sInfo {
		if !bytes.HasPrefix(rest, []byte(a2sInfoString)) {
			return nil
		}
		rest = rest[len(a2sInfoString):]
	}
	challenge := q.challenge(from)
	switch kind {
	case a2sInfo, a2sPlayer, a2sRules:
		if len(rest) < 4 || binary.LittleEndian.Uint32(rest) != challenge {
			return [][]byte{binary.LittleEndian.AppendUint32([]byte(a2sSingle+"A"), challenge)}
		}
	default:
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch kind {
	case a2sInfo:
		return q.split(q.info())
	case a2sPlayer:
		return q.split(q.players())
	}
	return q.split(q.rulesAnswer())
}

// challenge is the same for an address for as long as the server runs.
func (q *queries) challenge(from netip.AddrPort) uint32 {
	return crc32.ChecksumIEEE(fmt.Appendf(nil, "%d %s", q.secret, from))
}

func (q *queries) info() []byte {
	b := append([]byte(a2sSingle), 'I', 17)
	for _, text := range []string{q.get("hostname"), q.mapName, "left4dead2", "Left 4 Dead 2"} {
		b = append(append(b, text...), 0)
	}
	humans, bots := q.world.count()
	b = binary.LittleEndian.AppendUint16(b, 550)
	b = append(b, byte(humans+bots), byte(q.maxPlayers()), byte(bots), 'd', 'l', asByte(q.get("sv_password") != ""), asByte(q.secure))
	b = append(append(b, gameVersion...), 0)
	b = append(b, 0x80|0x10|0x20|0x01)
	b = binary.LittleEndian.AppendUint16(b, uint16(q.address.port))
	b = binary.LittleEndian.AppendUint64(b, 90071996842377216+uint64(q.address.port))
	tags := "empty,secure"
	if humans > 0 {
		tags = "secure"
	}
	b = append(append(b, tags...), 0)
	return binary.LittleEndian.AppendUint64(b, 550)
}

func asByte(on bool) byte {
	if on {
		return 1
	}
	return 0
}

func (q *queries) players() []byte {
	b := append([]byte(a2sSingle), 'D', byte(min(len(q.world.players), 255)))
	for _, p := range q.world.players {
		b = append(b, 0)
		b = append(append(b, p.name...), 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(p.score))
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(time.Since(p.joined).Seconds())))
	}
	return b
}

func (q *queries) rulesAnswer() []byte {
	rules := q.rules()
	b := binary.LittleEndian.AppendUint16(append([]byte(a2sSingle), 'E'), uint16(len(rules)))
	for _, r := range rules {
		b = append(append(b, r[0]...), 0)
		b = append(append(b, r[1]...), 0)
	}
	return b
}

// split cuts an answer that does not fit into one datagram.
func (q *queries) split(b []byte) [][]byte {
	if len(b) <= a2sPayload {
		return [][]byte{b}
	}
	q.splits++
	total := (len(b) + a2sPayload - 1) / a2sPayload
	var out [][]byte
	for i := range total {
		piece := b[i*a2sPayload : min((i+1)*a2sPayload, len(b))]
		d := binary.LittleEndian.AppendUint32([]byte(a2sSplit), q.splits)
		d = append(d, byte(total), byte(i))
		d = binary.LittleEndian.AppendUint16(d, a2sPayload)
		out = append(out, append(d, piece...))
	}
	return out
}
