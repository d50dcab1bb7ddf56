package a2s

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// fake is a game server on a loopback address.
type fake struct {
	t    *testing.T
	conn *net.UDPConn
	addr netip.AddrPort
}

// serve starts a server that hands every datagram to handle, one at a time.
func serve(t *testing.T, handle func(f *fake, from netip.AddrPort, request string)) *fake {
	t.Helper()
	f := listen(t, netip.MustParseAddrPort("127.0.0.1:0"))
	f.answer(handle)
	return f
}

// listen makes a server that can send and does not read yet.
func listen(t *testing.T, addr netip.AddrPort) *fake {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &fake{t: t, conn: conn, addr: conn.LocalAddr().(*net.UDPAddr).AddrPort()}
}

func (f *fake) answer(handle func(f *fake, from netip.AddrPort, request string)) {
	var done sync.WaitGroup
	done.Go(func() {
		buffer := make([]byte, 2048)
		for {
			n, from, err := f.conn.ReadFromUDPAddrPort(buffer)
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					f.t.Errorf("server: read: %v", err)
				}
				return
			}
			handle(f, from, string(buffer[:n]))
		}
	})
	f.t.Cleanup(func() {
		f.conn.Close()
		done.Wait()
	})
}

func (f *fake) send(to netip.AddrPort, datagrams ...string) {
	for _, d := range datagrams {
		if _, err := f.conn.WriteToUDPAddrPort([]byte(d), to); err != nil {
			f.t.Errorf("server: send: %v", err)
		}
	}
}

// second is another address of the same host: the same port on 127.0.0.2.
func (f *fake) second() *fake {
	f.t.Helper()
	return listen(f.t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), f.addr.Port()))
}

// infoReply is a whole answer of a Left 4 Dead 2 server with every optional field.
func infoReply(name string) string {
	b := []byte(single + "I\x11" + name + "\x00c2m1_highway\x00left4dead2\x00Left 4 Dead 2\x00")
	b = binary.LittleEndian.AppendUint16(b, 550)
	b = append(b, 3, 8, 1, 'd', 'l', 0, 1)
	b = append(b, "2.2.4.3\x00\xf1"...)
	b = binary.LittleEndian.AppendUint16(b, 27015)
	b = binary.LittleEndian.AppendUint64(b, 85568392920039424)
	b = binary.LittleEndian.AppendUint16(b, 27020)
	b = append(b, "tv\x00coop,empty\x00"...)
	return string(binary.LittleEndian.AppendUint64(b, 550))
}

func wantInfo(name string) ServerInfo {
	return ServerInfo{
		Protocol: 17, Name: name, Map: "c2m1_highway", Folder: "left4dead2", Game: "Left 4 Dead 2", AppID: 550,
		Players: 3, MaxPlayers: 8, Bots: 1, Type: "dedicated", OS: "linux", VAC: true, Version: "2.2.4.3",
		Port: 27015, SteamID: 85568392920039424, TVPort: 27020, TVName: "tv", Keywords: "coop,empty", GameID: 550,
	}
}

func playersReply(names ...string) string {
	b := []byte(single + "D")
	b = append(b, byte(len(names)))
	for i, name := range names {
		b = append(append(b, 0), name+"\x00"...)
		b = binary.LittleEndian.AppendUint32(b, uint32(i))
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(90.5))
	}
	return string(b)
}

// cut makes parts of a message, or of what a packed one consists of.
func cut(message string, id uint32, size int) []string {
	var parts []string
	total := (len(message) + size - 1) / size
	for i := range total {
		b := binary.LittleEndian.AppendUint32([]byte(splitMark), id)
		b = append(b, byte(total), byte(i))
		b = binary.LittleEndian.AppendUint16(b, uint16(size))
		parts = append(parts, string(b)+message[i*size:min((i+1)*size, len(message))])
	}
	return parts
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
